//! What people walk into on the way to a batch, and what they are told before it costs them one.

use std::fs;
use std::path::Path;

use crate::support::{Workplace, tool};

/// A CA for production, whose key is not encrypted.
fn make_ca(place: &Workplace, days: &str) {
    place.succeed(&["ca", "new", "--no-passphrase", "--days", days]);
}

const HOST: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

fn output(place: &Workplace, arguments: &[&str], code: i32) -> (String, String) {
    let output = place.run(arguments);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}\n{stdout}{stderr}"
    );
    (stdout, stderr)
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn certificates_that_end_too_soon_are_told_of_and_every_report_says_when_they_end() {
    let place = Workplace::new();
    make_ca(&place, "30");
    place.manifest(3);
    // `check` says it before anything is made.
    let (checked, _) = output(&place, &["check", "devices.csv", "--endpoint", HOST], 0);
    assert!(
        checked.contains("warning: these certificates are valid until"),
        "{checked}"
    );
    let (made, told) = output(
        &place,
        &["run", "devices.csv", "--endpoint", HOST, "--batch", "b"],
        0,
    );
    let line = made
        .lines()
        .find(|line| line.starts_with("valid until"))
        .expect("it is said");
    let end = line.split_whitespace().last().expect("a date");
    assert!(
        told.contains(&format!(
            "warning: these certificates are valid until {end}, which is less than 2 years"
        )),
        "{told}"
    );
    for arguments in [
        &["status", "b"][..],
        &["status", "out/b"],
        &["verify", "b"],
        &["run", "devices.csv", "--endpoint", HOST, "--batch", "b"],
    ] {
        let (text, _) = output(&place, arguments, 0);
        let is_said =
            text.contains(&format!("valid until {end}")) || text.contains(&format!("valid until  {end}"));
        assert!(is_said, "{arguments:?}: {text}");
        let (document, _) = output(&place, &[arguments, &["--json"]].concat(), 0);
        let document = json(&document);
        let document = document.get(0).unwrap_or(&document);
        assert_eq!(document["valid_until"]["earliest"], end, "{arguments:?}");
        assert_eq!(document["valid_until"]["latest"], end, "{arguments:?}");
    }
    // What is enough is said by whoever knows the product.
    let (_, told) = output(
        &place,
        &[
            "run",
            "devices.csv",
            "--endpoint",
            HOST,
            "--batch",
            "c",
            "--reissue",
            "--min-validity",
            "4w",
        ],
        0,
    );
    assert!(!told.contains("valid until"), "{told}");
    fs::write(
        place.join("short.toml"),
        "name = 'short'\n[validity]\nuntil = 'issuer'\nmin_days = 20\n",
    )
    .expect("it is written");
    let (_, told) = output(
        &place,
        &[
            "run",
            "devices.csv",
            "--endpoint",
            HOST,
            "--batch",
            "d",
            "--reissue",
            "--profile",
            "short.toml",
        ],
        0,
    );
    assert!(!told.contains("valid until"), "{told}");
    assert!(
        place
            .fail(&["run", "devices.csv", "--min-validity", "soon"], 2)
            .contains("no span of time such as 90d, 26w or 2y")
    );
}

#[test]
fn a_ca_and_a_profile_of_as_many_days_go_together() {
    let place = Workplace::new();
    make_ca(&place, "3650");
    place.manifest(2);
    fs::write(place.join("ten.toml"), "name = 'ten'\n[validity]\ndays = 3650\n").expect("it is written");
    let run = ["run", "devices.csv", "--profile", "ten.toml", "--endpoint", HOST];
    output(&place, &run, 0);
    // One that outlives its CA by more is refused by both, in the same words.
    fs::write(place.join("ten.toml"), "name = 'ten'\n[validity]\ndays = 3652\n").expect("it is written");
    let checked = place.fail(&[&["check"], &run[1..]].concat(), 4);
    assert!(checked.contains("the issuer only until"), "{checked}");
    assert_eq!(place.fail(&run, 4), checked);
}

/// A machine that lost its clock dates everything by the year that its clock begins with.
#[test]
fn a_clock_before_the_program_was_built_signs_nothing() {
    let place = Workplace::new();
    place.manifest(1);
    let program = env!("CARGO_BIN_EXE_certforge");
    for arguments in [
        &["ca", "new", "--no-passphrase"][..],
        &["run", "devices.csv"],
        &["seal", "out/b"],
    ] {
        let output = tool(
            "faketime",
            &[&["1970-01-01 02:10", program], arguments].concat(),
            place.path(),
        );
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("this machine's clock says 1970-01-01T"), "{told}");
        assert!(told.contains("this program was built on 20"), "{told}");
        assert!(told.contains("hint: set the clock"), "{told}");
    }
    assert!(!place.join("ca").exists() && !place.join("out").exists());
}

#[test]
fn a_batch_that_has_expired_is_told_by_its_date() {
    let place = Workplace::new();
    make_ca(&place, "30");
    place.manifest(2);
    output(
        &place,
        &["run", "devices.csv", "--endpoint", HOST, "--batch", "b"],
        0,
    );
    let verify = [env!("CARGO_BIN_EXE_certforge"), "verify", "b"];
    let output = tool("faketime", &[&["-f", "+40d"], &verify[..]].concat(), place.path());
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the bundle is whole"), "{text}");
    assert!(
        !text.contains("CertExpired") && !text.contains("--reissue"),
        "{text}"
    );
    let ledger = json(&place.succeed(&["status", "b", "--json"]));
    let end = ledger[0]["valid_until"]["latest"]
        .as_str()
        .expect("a date")
        .to_owned();
    assert!(text.contains(&end), "{text}");
}

/// Bundles without a host cannot be given one: their devices would need second identities.
#[test]
fn a_batch_without_an_endpoint_is_made_only_when_that_is_asked_for() {
    let place = Workplace::new();
    make_ca(&place, "9125");
    place.manifest(2);
    let told = place.fail(&["run", "devices.csv"], 2);
    assert!(
        told.contains("bundles of profile aws-iot-p256 name an endpoint, and none is known"),
        "{told}"
    );
    assert!(
        told.contains("aws iot describe-endpoint --endpoint-type iot:Data-ATS"),
        "{told}"
    );
    assert!(!place.join("out").exists());
    let (checked, _) = output(&place, &["check", "devices.csv"], 0);
    assert!(
        checked.contains("and none is known, so that `run` refuses"),
        "{checked}"
    );
    output(
        &place,
        &["run", "devices.csv", "--no-endpoint", "--batch", "b"],
        0,
    );
    // A recipe without an endpoint needs none.
    let recipe = "name = 'bare'\n[bundle]\nfiles = [{ name = 'key.pem', content = 'private-key' }, { name = 'cert.pem', content = 'certificate' }]\n";
    fs::write(place.join("bare.toml"), recipe).expect("it is written");
    output(
        &place,
        &[
            "run",
            "devices.csv",
            "--profile",
            "bare.toml",
            "--batch",
            "c",
            "--reissue",
        ],
        0,
    );
}

#[test]
fn an_example_signs_for_nobody_without_a_word() {
    let place = Workplace::new();
    make_ca(&place, "9125");
    place.manifest(2);
    let run = [
        "run",
        "devices.csv",
        "--profile",
        "aws-iot-subject",
        "--endpoint",
        HOST,
    ];
    let (_, told) = output(&place, &run, 0);
    assert!(
        told.contains("profile aws-iot-subject is an example: every certificate would say O=Example Devices"),
        "{told}"
    );
    let own = place.succeed(&["profile", "show", "aws-iot-subject"]);
    assert!(own.contains("# Subject alternative names"), "{own}");
    let own = own
        .replace("Example Devices", "Halle Pumps")
        .replace(".devices.example", ".pumps.test")
        .replace("urn:example:", "urn:pumps:");
    fs::write(place.join("own.toml"), own).expect("it is written");
    place.succeed(&["profile", "check", "own.toml"]);
    let (_, told) = output(
        &place,
        &[
            "run",
            "devices.csv",
            "--profile",
            "own.toml",
            "--endpoint",
            HOST,
            "--batch",
            "own",
            "--reissue",
        ],
        0,
    );
    assert!(!told.contains("example"), "{told}");
    let (_, told) = output(&place, &["profile", "check", "aws-iot-subject"], 0);
    assert!(
        told.contains("would be in every certificate: O=Example Devices, "),
        "{told}"
    );
    // A lab CA is for examples.
    let lab = Workplace::new();
    lab.manifest(2);
    let (_, told) = output(&lab, &["run", "devices.csv", "--profile", "aws-iot-subject"], 0);
    assert!(!told.contains("example"), "{told}");
}

#[test]
fn ids_are_as_the_profile_says() {
    let place = Workplace::new();
    let profile = |rules: &str| {
        fs::write(place.join("p.toml"), format!("name = 'p'\n[manifest]\n{rules}\n")).expect("it is written");
    };
    fs::write(place.join("lost.csv"), "serial_number\n000999\n1000\n001001\n").expect("it is written");
    let check = ["check", "lost.csv", "--profile", "p.toml"];
    profile("id_length = 6");
    let (told, hints) = output(&place, &check, 3);
    assert!(
        told.contains("line 3, column serial_number: \"1000\" has 4 characters, and id_length is 6"),
        "{told}"
    );
    assert!(!told.contains("different lengths"), "{told}");
    assert!(
        hints.contains("ids are as [manifest] of the profile says"),
        "{hints}"
    );
    profile("id_pattern = '[0-9]{4,6}'");
    assert!(
        output(&place, &check, 0)
            .0
            .starts_with("lost.csv: 3 devices, all fit")
    );
    profile("id_pattern = 'L7-[0-9]+'");
    assert!(
        output(&place, &check, 3)
            .0
            .contains("\"000999\" does not match id_pattern L7-[0-9]+")
    );
    fs::write(place.join("lost.csv"), "serial_number\nAA:0f\n").expect("it is written");
    profile("id_case = 'upper'");
    assert!(
        output(&place, &check, 3)
            .0
            .contains("\"AA:0f\" is not in upper case, as id_case has it")
    );
    profile("id_pattern = '[0-9'");
    assert!(
        place
            .fail(&check, 4)
            .contains("field manifest.id_pattern: is no regular expression")
    );
}

/// Who returns devices for a second time asks first which of them there were.
#[test]
fn check_lists_every_row_that_was_issued_before() {
    let place = Workplace::new();
    make_ca(&place, "9125");
    fs::write(place.join("a.csv"), "serial_number\nP1\nP2\nP3\nP4\n").expect("it is written");
    fs::write(place.join("b.csv"), "serial_number\nQ1\nP2\nP/9\nP4\n").expect("it is written");
    let options = ["--endpoint", HOST, "--batch"];
    place.succeed(&[&["run", "a.csv"], &options[..], &["first"]].concat());
    let (told, _) = output(
        &place,
        &[&["check", "b.csv"], &options[..], &["second"]].concat(),
        3,
    );
    let begun = json(&place.succeed(&["status", "first", "--json"]))[0]["created_at"]
        .as_str()
        .expect("a date")
        .to_owned();
    for line in [
        format!("b.csv, line 3, column serial_number: \"P2\" was issued in batch first, begun {begun}\n"),
        "b.csv, line 4, column serial_number: \"P/9\" contains \"/\"\n".to_owned(),
        format!("b.csv, line 5, column serial_number: \"P4\" was issued in batch first, begun {begun}\n"),
        "b.csv: bad rows: 3 of 4\n".to_owned(),
    ] {
        assert!(told.contains(&line), "{line}{told}");
    }
    // Nothing else is wrong: it is the ledger that says no, as to `run`.
    fs::write(place.join("b.csv"), "serial_number\nQ1\nP2\nP4\n").expect("it is written");
    let (document, _) = output(&place, &["check", "b.csv", "--endpoint", HOST, "--json"], 7);
    assert_eq!(
        (
            json(&document)["issued"].as_u64(),
            json(&document)["ledger"].as_str()
        ),
        (Some(2), Some("ca/ledger.db"))
    );
    let refused = place.fail(&["run", "b.csv", "--endpoint", HOST], 7);
    assert!(
        refused.contains("\"P2\" was issued in batch first") && refused.contains("(and 1 more)"),
        "{refused}"
    );
    // What goes on, or is a second identity on purpose, is none of this.
    let (told, _) = output(
        &place,
        &[&["check", "a.csv"], &options[..], &["first"]].concat(),
        0,
    );
    assert!(
        told.contains("all of them are made, in batch first, as ledger ca/ledger.db has it"),
        "{told}"
    );
    output(&place, &["check", "b.csv", "--endpoint", HOST, "--reissue"], 0);
}

#[test]
fn a_batch_a_ca_and_a_place_have_one_way_to_be_named() {
    let place = Workplace::new();
    make_ca(&place, "9125");
    place.manifest(2);
    let run = ["run", "devices.csv", "--endpoint", HOST, "--batch", "b", "--ca"];
    place.succeed(&[&run[..], &["ca/certificate.pem", "-o", "here"]].concat());
    for option in ["--output", "--out", "--to"] {
        let again = place.succeed(&[&run[..], &["ca", option, "here"]].concat());
        assert!(
            again.contains("nothing: 2 devices made before"),
            "{option}: {again}"
        );
    }
    for batch in ["b", "here/b", "./here/b"] {
        place.succeed(&["verify", batch]);
        place.succeed(&["verify", "--batch", batch]);
        place.succeed(&["status", batch]);
        place.succeed(&["export", "--flashed", "--batch", batch]);
        place.succeed(&["station", "status", "--batch", batch]);
        place.succeed(&["seal", batch]);
    }
    for ca in [
        &[][..],
        &["ca"],
        &["ca/certificate.pem"],
        &["--ca", "ca"],
        &["--ca", "ca/certificate.pem"],
    ] {
        let shown = place.succeed(&[&["ca", "show"], ca].concat());
        assert!(shown.contains("caCertificateId"), "{ca:?}: {shown}");
    }
    for issuer in ["ca", "ca/certificate.pem"] {
        place.succeed(&["verify", "b", "--issuer", issuer]);
    }
    // A folder here, or where batches are made, needs no ledger.
    fs::rename(place.join("here"), place.join("out")).expect("it is there");
    fs::remove_file(place.join("ca/ledger.db")).expect("it is there");
    place.succeed(&["verify", "b", "--issuer", "ca"]);
    let told = place.fail(&["verify", "c"], 7);
    assert!(
        told.contains("there is no folder c and no folder out/c"),
        "{told}"
    );
}

#[test]
fn settings_come_from_the_environment_and_from_files() {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "keys"]);
    place.manifest(2);
    let file = "ca = 'keys'\nto = 'there'\nlayout = 'packs'\nendpoint = 'a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com'\n";
    fs::write(place.join("certforge.toml"), file).expect("it is written");
    let own = place.join(".config/certforge");
    fs::create_dir_all(&own).expect("a folder");
    fs::write(
        own.join("certforge.toml"),
        "to = 'elsewhere'\nledger = 'own.db'\n",
    )
    .expect("it is written");
    let made = place.succeed(&["run", "devices.csv", "--batch", "b"]);
    assert!(made.contains("there/b (packs)"), "{made}");
    assert!(
        own.join("own.db").exists(),
        "a path is counted from the folder of its file"
    );
    let shown = place.succeed(&["config", "show"]);
    for line in [
        "ca               keys  (from certforge.toml)",
        "to               there  (from certforge.toml)",
        "profile          aws-iot-p256  (by default; CERTFORGE_PROFILE sets it)",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let ledger = own.join("own.db").display().to_string();
    assert!(
        shown.contains(&format!("ledger           {ledger}  (from ")),
        "{shown}"
    );
    let output = place
        .command(&["config", "show", "--json"])
        .env("CERTFORGE_TO", "third")
        .output()
        .expect("it runs");
    let document = json(&String::from_utf8_lossy(&output.stdout));
    let to = document
        .as_array()
        .and_then(|all| all.iter().find(|one| one["setting"] == "to"))
        .expect("it is there");
    assert_eq!(
        (to["value"].as_str(), to["source"].as_str()),
        (Some("third"), Some("CERTFORGE_TO"))
    );
    // What is typed comes first.
    let again = place.succeed(&[
        "run",
        "devices.csv",
        "--batch",
        "typed",
        "--reissue",
        "--layout",
        "objects",
        "--to",
        "fourth",
    ]);
    assert!(again.contains("fourth/typed (objects)"), "{again}");
    for (text, told) in [
        ("cs = 'x'\n", "certforge.toml: there is no setting \"cs\""),
        ("ca = \n", "certforge.toml, line 1: "),
        ("ca = true\n", "certforge.toml: ca is no text"),
        (
            "layout = 'boxes'\n",
            "invalid value 'boxes' for '--layout <LAYOUT>'",
        ),
    ] {
        fs::write(place.join("certforge.toml"), text).expect("it is written");
        let found = place.fail(&["run", "devices.csv"], 2);
        assert!(found.contains(told), "{found}");
    }
    // Whoever may write to it could name another CA.
    tool("chmod", &["666", "certforge.toml"], place.path());
    assert!(
        place.fail(&["run", "devices.csv"], 2).contains("certforge.toml"),
        "it is refused"
    );
    let output = place
        .command(&["config", "show"])
        .env("CERTFORGE_CONFIG", "")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "without any file");
}

#[test]
fn as_much_is_said_as_is_asked_for_and_never_a_secret() {
    let place = Workplace::new();
    fs::write(place.join("phrase"), "correct horse battery\n").expect("it is written");
    tool("chmod", &["600", "phrase"], place.path());
    place.succeed(&["ca", "new", "--passphrase-file", "phrase"]);
    place.manifest(3);
    let run = [
        "run",
        "devices.csv",
        "--endpoint",
        HOST,
        "--passphrase-file",
        "phrase",
        "--batch",
        "b",
    ];
    let (made, told) = output(&place, &[&run[..], &["--quiet"]].concat(), 0);
    assert_eq!(made, "");
    // A warning is no small talk.
    assert!(
        told.lines().all(|line| line.starts_with("certforge: warning: ")),
        "{told}"
    );
    assert_eq!(
        output(&place, &["-q", "verify", "b"], 0),
        (String::new(), String::new())
    );
    // What was asked for is printed, and what went wrong.
    assert!(place.succeed(&["-q", "status", "b"]).contains("3 devices"));
    let (document, _) = output(&place, &["-q", "verify", "b", "--json"], 0);
    assert_eq!(json(&document)["good"], 3);
    assert!(place.fail(&["-q", "verify", "none"], 7).contains("error: "));
    let again = ["--reissue", "--verbose", "--log-file", "forge.log"];
    let run = [
        "run",
        "devices.csv",
        "--endpoint",
        HOST,
        "--passphrase-file",
        "phrase",
        "--batch",
        "c",
    ];
    let (_, told) = output(&place, &[&run[..], &again].concat(), 0);
    assert!(told.contains("INFO work begins batch=\"c\""), "{told}");
    let log = fs::read_to_string(place.join("forge.log")).expect("it is there");
    assert!(
        log.contains("DEBUG certforge::forge::pipeline: released chunk=0 devices=3"),
        "{log}"
    );
    for text in [&told, &log] {
        assert!(
            !text.contains("correct horse") && !text.contains("PRIVATE KEY"),
            "{text}"
        );
    }
    // It is added to, and what went wrong is in it.
    place.fail(&["verify", "none", "--log-file", "forge.log"], 7);
    let longer = fs::read_to_string(place.join("forge.log")).expect("it is there");
    assert!(
        longer.starts_with(&log) && longer.contains("it fails error="),
        "{longer}"
    );
    assert!(
        place
            .fail(&["status", "--log-file", "no/such/folder"], 2)
            .contains("log file no/such/folder cannot be written")
    );
    assert!(
        place
            .fail(&["-q", "-v", "status"], 2)
            .contains("cannot be used with")
    );
}

#[test]
fn how_a_run_ended_is_told_to_prometheus() {
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["run", "devices.csv", "--batch", "b", "--metrics", "forge.prom"]);
    let text = fs::read_to_string(place.join("forge.prom")).expect("it is there");
    let labels = "batch=\"b\",profile=\"aws-iot-p256\"";
    for line in [
        format!("certforge_run_success{{{labels}}} 1"),
        format!("certforge_run_devices{{{labels},state=\"made\"}} 3"),
        format!("certforge_run_devices{{{labels},state=\"left\"}} 0"),
        format!("certforge_run_sealed{{{labels}}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        text.contains("certforge_batch_not_after_timestamp_seconds"),
        "{text}"
    );
    // A run that was refused made nothing, and is no success.
    fs::write(place.join("devices.csv"), "serial_number\nA/1\n").expect("it is written");
    place.fail(&["run", "devices.csv", "--metrics", "forge.prom"], 3);
    let text = fs::read_to_string(place.join("forge.prom")).expect("it is there");
    assert!(
        text.contains("certforge_run_success{batch=\"\",profile=\"aws-iot-p256\"} 0"),
        "{text}"
    );
    assert!(
        place
            .fail(&["run", "devices.csv", "--metrics", "forge.txt"], 2)
            .contains("ends in .prom")
    );
    assert!(
        place
            .fail(&["run", "devices.csv", "--metrics", "no/forge.prom"], 2)
            .contains("there is no such folder")
    );
    let stray: Vec<_> = fs::read_dir(Path::new(place.path()))
        .expect("it is there")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.contains(".prom") && name != "forge.prom")
        .collect();
    assert!(stray.is_empty(), "{stray:?}");
}

#[test]
fn a_folder_that_is_no_batch_is_called_so_whatever_becomes_of_the_ledger() {
    let place = Workplace::new();
    make_ca(&place, "3650");
    let here = place.path().canonicalize().expect("it is there");
    let expected = format!(
        "certforge: error: {}/ca is no batch: it has no batch.json\n",
        here.display()
    );
    for arguments in [
        &["verify", "ca"][..],
        &["verify", "./ca"],
        &["verify", "ca", "--ledger", "no.db"],
    ] {
        let (_, told) = output(&place, arguments, 6);
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn a_place_is_one_however_it_is_spelt() {
    let place = Workplace::new();
    make_ca(&place, "3650");
    place.manifest(8);
    fs::create_dir(place.join("line")).expect("it is new");
    std::os::unix::fs::symlink(place.join("line"), place.join("link")).expect("it is new");
    for (shard, to) in [
        ("1/3", "link"),
        ("2/3", "line/../link"),
        ("3/3", "./none/../line/"),
    ] {
        let run = [
            "run",
            "devices.csv",
            "--endpoint",
            HOST,
            "--batch",
            "b",
            "--to",
            to,
        ];
        place.succeed(&[&run[..], &["--chunk-rows", "2", "--shard", shard]].concat());
    }
    place.succeed(&["seal", "link/b"]);
    let line = place.join("line/b").canonicalize().expect("it is there");
    let copy = [
        "ledger",
        "copy",
        "ca/ledger-1-of-3.db",
        "ca/ledger-2-of-3.db",
        "ca/ledger-3-of-3.db",
        "ca/ledger.db",
    ];
    place.succeed(&copy);
    let (status, _) = output(&place, &["status", "b", "--json"], 0);
    assert!(status.contains(&format!("\"{}\"", line.display())), "{status}");
    // A station finds it by each of them, and it is no copy.
    for (batch, device) in [
        ("line/b", "SN000000"),
        ("link/b", "SN000001"),
        ("link/../line/b", "SN000002"),
    ] {
        let claim = ["station", "claim", "--batch", batch, "--station", "st1"];
        place.succeed(&[&claim[..], &["--device", device, "--out", device]].concat());
    }
}
