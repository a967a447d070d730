//! What `--json` prints is what `docs/json.md` says, field by field.

#[path = "../support/documents.rs"]
mod page;

use page::hold;

use crate::support::Workplace;

#[test]
fn every_example_has_every_field() {
    for documented in page::all() {
        documented.hold_example();
    }
}

#[test]
fn the_forge_prints_what_the_page_says() {
    let place = Workplace::new();
    let hold = |title: &str, arguments: &[&str]| hold(&place, title, arguments);
    hold("A command that fails", &["check", "devices.csv"]);
    let usage = hold("A command that fails", &["verify", "out/b", "--no-ledgr"]).remove(0);
    assert_eq!(
        usage["error"],
        serde_json::json!({
            "message": "unexpected argument '--no-ledgr' found",
            "hint": "a similar argument exists: '--no-ledger'",
            "exit_code": 2
        })
    );
    place.manifest(3);
    let rows = "serial_number\nA1\nA/2\nA1,Lyon\n";
    std::fs::write(place.join("bad.csv"), rows).expect("the manifest is written");
    hold("`check`", &["check", "bad.csv"]);
    hold("`check`", &["check", "devices.csv"]);
    let rows: String = (0..1100).map(|row| format!("A/{row}\n")).collect();
    std::fs::write(place.join("many.csv"), format!("serial_number\n{rows}"))
        .expect("the manifest is written");
    let document = hold("`check`", &["check", "many.csv"]).remove(0);
    assert_eq!(document["bad_lines"], 1100);
    assert_eq!(document["problems"].as_array().map(Vec::len), Some(1000));
    assert_eq!(document["unlisted"][0]["problems"], 100);
    hold("`ca new` and `ca show`", &["ca", "new", "--no-passphrase"]);
    hold("`ca new` and `ca show`", &["ca", "show"]);
    hold("`run`", &["run", "devices.csv", "--batch", "b", "--no-endpoint"]);
    hold("`run`", &["run", "devices.csv", "--batch", "b", "--no-endpoint"]);
    hold("`check`", &["check", "devices.csv", "--batch", "c"]);
    let made = ["check", "devices.csv", "--batch", "b", "--no-endpoint"];
    assert_eq!(hold("`check`", &made).remove(0)["made"], 3);
    hold("`config show`", &["config", "show"]);
    hold(
        "`station identity`",
        &["station", "identity", "new", "--to", "st1.key"],
    );
    hold("`station identity`", &["station", "identity", "show", "st1.key"]);
    hold("`profile list`", &["profile", "list"]);
    hold("`profile check`", &["profile", "check", "aws-iot-subject"]);
    hold("`profile show`", &["profile", "show", "aws-iot-subject"]);
    hold(
        "A command that fails",
        &["run", "devices.csv", "--batch", "b", "--endpoint", "a.example"],
    );
    hold("`seal`", &["seal", "out/b"]);
    hold("`status`", &["status"]);
    hold("`status` of a place", &["status", "out/b"]);
    assert_eq!(hold("`ledger export`", &["ledger", "export"]).len(), 3);
    let expiring = ["ledger", "expiring", "--within", "7000y"];
    assert_eq!(hold("`ledger expiring`", &expiring).len(), 3);
    hold("`ledger history`", &["ledger", "history"]);
    hold("`ca crl`", &["ca", "crl"]);
    hold(
        "`ledger backup`",
        &["ledger", "backup", "ca/ledger.db", "copy.db"],
    );
    hold(
        "`ledger copy`",
        &["ledger", "copy", "ca/ledger.db", "copy.db", "both.db"],
    );
    let rebuild = ["ledger", "rebuild", "out", "--ledger", "new.db"];
    assert_eq!(hold("`ledger rebuild`", &rebuild)[0]["batches"][0]["released"], 3);
    hold("`doctor`", &["doctor", "--offline"]);
    hold("`verify`", &["verify", "out/b"]);
    let repack = [
        "bundle",
        "repack",
        "out/b",
        "--endpoint",
        "b-ats.iot.eu-west-1.amazonaws.com",
    ];
    hold("`bundle rewrap` and `bundle repack`", &repack);
    hold("`verify`", &["verify", "out/b"]);
    let withdrawn = r#"{"batch": "b", "withdrawn_at": "2026-11-24T12:00:00Z", "reason": "a key was copied"}"#;
    std::fs::write(place.join("out/b/withdrawn.json"), withdrawn).expect("it is written");
    std::fs::remove_file(place.join("out/b/index/000000.csv")).expect("an index");
    hold("`verify`", &["verify", "out/b"]);
    hold("`status` of a place", &["status", "out/b"]);
    let wrong = hold(
        "`ledger rebuild`",
        &["ledger", "rebuild", "out", "--ledger", "other.db"],
    );
    assert_eq!(wrong[0]["error"]["exit_code"], 7);
}

#[test]
fn a_ca_for_one_batch_prints_what_the_page_says() {
    let place = Workplace::new();
    let hold = |title: &str, arguments: &[&str]| hold(&place, title, arguments);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    hold(
        "`bench --ca`",
        &[
            "bench",
            "--ca",
            "ca",
            "--quick",
            "--rows",
            "100",
            "--seconds",
            "0.01",
        ],
    );
    std::fs::write(place.join("words"), "correct horse\n").expect("the passphrase is written");
    std::fs::set_permissions(
        place.join("words"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("its mode");
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    place.succeed(&[
        "ca",
        "new",
        "--parent",
        "root",
        "--for-batch",
        "--to",
        "pumps",
        "--passphrase-file",
        "words",
    ]);
    hold("`ca retire`", &["ca", "retire", "pumps", "--unregistered"]);
}

#[test]
fn jobs_print_what_the_page_says() {
    let place = Workplace::new();
    let arguments = [
        "--image",
        "i",
        "--queue",
        "q",
        "--efs",
        "fs-1",
        "--job-role",
        "j",
        "--execution-role",
        "e",
    ];
    let run = [
        "--",
        "run",
        "/factory/d.csv",
        "--ca",
        "/factory/ca",
        "--to",
        "s3://factory/b",
    ];
    hold_job(&place, "slurm", &[], &run);
    hold_job(&place, "aws-batch", &arguments, &run);
    hold_job(&place, "kubernetes", &arguments[..2], &run);
}

/// Behind `--` stands another command, so `--json` comes before.
fn hold_job(place: &Workplace, scheduler: &str, arguments: &[&str], run: &[&str]) {
    let document = place.succeed(&[&["job", scheduler, "--json"], arguments, run].concat());
    page::of("`job`").hold(&serde_json::from_str(&document).expect("it is JSON"));
}

#[test]
fn what_was_read_back_is_told_as_the_page_says() {
    let place = Workplace::new();
    place.manifest(1);
    let run = [
        "run",
        "devices.csv",
        "--batch",
        "b",
        "--endpoint",
        "a.example",
        "--profile",
        "esp32-secure-cert",
    ];
    place.succeed(&run);
    let bundle = std::fs::read(place.join("out/b/bundles/de/SN000000.zip")).expect("a bundle");
    std::fs::write(place.join("image.bin"), bundle).expect("an image");
    // It begins as no file: a bundle is no image. Its certificate is in it all the same.
    let verify = ["flash", "verify", "--batch", "out/b", "--image", "image.bin"];
    let document = hold(&place, "`flash verify`", &verify).remove(0);
    assert_eq!(document["places"][0]["state"], "nothing-released");
    let at = document["not_seen"].as_array().map(Vec::len);
    assert_eq!(at, Some(2));
}

#[test]
fn stations_print_what_the_page_says() {
    let place = Workplace::new();
    place.manifest(4);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["run", "devices.csv", "--batch", "b", "--no-endpoint"]);
    let station = |title: &str, command: &[&str]| {
        let which = ["--batch", "out/b", "--issuer", "ca", "--station", "line7-st3"];
        let which = match command[0] {
            "status" | "burn" => &which[..4],
            _ => &which[..],
        };
        hold(&place, title, &[&["station"][..], command, which].concat());
    };
    let claim = ["claim", "--device", "SN000000", "--out", "dev"];
    station("`station claim`", &claim);
    station("`station show`", &["show", "SN000000"]);
    let failed = ["failed", "SN000000", "--reason", "flash verify"];
    station("`station done`, `failed` and `scrap`", &failed);
    station("`station claim`", &claim);
    station("`station show`", &["show", "SN000000"]);
    station("`station done`, `failed` and `scrap`", &["done", "SN000000"]);
    let scrap = ["scrap", "SN000001", "--reason", "broken"];
    station("`station done`, `failed` and `scrap`", &scrap);
    station("`station show`", &["show", "SN000003"]);
    station("`station send`", &["send"]);
    station("`station claim`", &["claim", "--next", "--out", "dev"]);
    station("`station status`", &["status"]);
    station("`station run`", &["run", "--exec", "true", "--out", "work"]);
    station("`station status`", &["status"]);
    station("`station burn`", &["burn"]);
    let export = ["export", "--scrapped", "--batch", "out/b", "--issuer", "ca"];
    assert_eq!(hold(&place, "`export`", &export).len(), 1);
    assert_eq!(
        hold(&place, "`export`", &[&export[..], &["--pem"]].concat()).len(),
        1
    );
    station(
        "A command that fails",
        &["claim", "--device", "SN9", "--out", "dev"],
    );
}

#[test]
fn a_measurement_is_told_as_the_page_says() {
    let place = Workplace::new();
    let bench = ["bench", "--quick", "--seconds", "0.01", "--to", "."];
    let few = ["--jobs", "1", "--engine", "ring"];
    let bench = |more: &[&str]| hold(&place, "`bench`", &[&bench[..], &few, more].concat());
    let report = bench(&["--only", "keys,sha256,run", "--rows", "70"]);
    std::fs::write(place.join("bench.json"), report[0].to_string()).expect("it is written");
    bench(&["--only", "sha256", "--rows", "7", "--compare", "bench.json"]);
}
