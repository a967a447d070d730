//! One batch made in shards, at the same time and with a ledger each, and sealed in the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[cfg(feature = "s3")]
use crate::s3_server;
use crate::support::Workplace;

const ROWS: usize = 1000;

fn factory() -> Workplace {
    let place = Workplace::new();
    place.manifest(ROWS);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place
}

fn run<'a>(to: &'a str, shard: &'a str) -> Vec<&'a str> {
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--to",
        to,
    ];
    let shard = ["--layout", "packs", "--chunk-rows", "64", "--shard", shard];
    [&arguments[..], &shard].concat()
}

/// Three shards, made at the same time; then the last one, and the seal.
fn is_made_in_shards(to: &str, command: &dyn Fn(&[&str]) -> Command) {
    let succeed = |arguments: &[&str]| -> String {
        let output = command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let batch = format!("{to}/b");
    let shards = ["1/4", "2/4", "4/4"].map(|shard| {
        let mut command = command(&run(to, shard));
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    });
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    let seal = ["seal", &batch, "--ca", "ca"];
    let output = command(&seal).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: error: batch b is not complete: 4 of 16 chunks are missing, the first is 2\n\
         certforge: hint: run the command that began it again, for every shard; then seal it\n"
    );
    assert_eq!(output.status.code(), Some(6));
    // 16 chunks of 64 rows, the last one of 40: the third shard has chunks 2, 6, 10 and 14.
    let text = succeed(&run(to, "3/4"));
    assert!(
        text.contains("shard        3/4\nmade         256 devices in "),
        "{text}"
    );
    assert!(text.contains("ledger       ca/ledger-3-of-4.db\n"), "{text}");
    assert!(
        text.contains("next         when every shard is made: certforge seal "),
        "{text}"
    );
    let again = succeed(&run(to, "4/4"));
    assert!(
        again.contains("made         nothing: 232 devices made before\n"),
        "{again}"
    );
    succeed(&seal);
    // Its devices are known to the shards alone: nobody else makes any of them again.
    let again = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "again",
        "--to",
        to,
    ];
    let output = command(&again).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("/b has 16 released chunks of which ledger ca/ledger.db knows nothing: "),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(7));
    let verified = succeed(&["verify", &batch, "--manifest", "devices.csv"]);
    assert!(
        verified.contains("1,000 devices verified, sealed, against manifest devices.csv\n"),
        "{verified}"
    );
    let claim = ["station", "claim", "--next", "--out", "dev", "--batch", &batch];
    succeed(&[&claim[..], &["--station", "st1"]].concat());
}

#[test]
fn a_folder_takes_shards_and_is_sealed() {
    let place = factory();
    is_made_in_shards("out", &|arguments| place.command(arguments));
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_takes_shards_and_is_sealed() {
    let place = factory();
    let server = s3_server::S3Server::start();
    is_made_in_shards("s3://factory", &|arguments| {
        let mut command = place.command(arguments);
        command.args(["--endpoint-url", &s3_server::url(server.address)]);
        s3_server::account(&mut command, place.path());
        command
    });
}

#[test]
fn a_shard_writes_nothing_but_its_own() {
    let place = factory();
    place.succeed(&run("out", "1/2"));
    let here = format!("{}/out/b", place.path().display());
    let told = |arguments: &[&str], code| place.fail(arguments, code).replace(&here, "[BATCH]");
    // Another number of shards, another setting, or all of it at once: that would be another batch.
    let whole = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--layout",
        "packs",
    ];
    let error = told(&run("out", "2/3"), 6);
    assert!(
        error.contains("certforge: error: [BATCH] is made in 2 shards, not in 3 shards\n"),
        "{error}"
    );
    let error = told(&whole, 6);
    assert!(
        error.contains("certforge: error: [BATCH] is made in 2 shards, not as a whole\n"),
        "{error}"
    );
    // The same shard by one who does not know that it is made.
    fs::remove_file(place.join("ca/ledger-1-of-2.db")).unwrap();
    let error = told(&run("out", "1/2"), 7);
    assert!(
        error.contains("ledger ca/ledger-1-of-2.db is not there, and "),
        "{error}"
    );
    let told = told(&[&run("out", "1/2")[..], &["--new-ledger"]].concat(), 6);
    assert!(
        told.contains("[BATCH] has an index for chunk 0, of which this ledger knows nothing"),
        "{told}"
    );
    place.succeed(&run("out", "2/2"));
    let told = place.succeed(&["verify", "out/b", "--ledger", "ca/ledger-2-of-2.db"]);
    assert!(told.contains(" and the ledger of a shard\n"), "{told}");
    place.succeed(&["seal", "out/b"]);
}

/// Swaps all but the ids of the first two rows of an index: each device would get the other's identity.
fn swap_identities(index: &Path) {
    let text = fs::read_to_string(index).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (a, of_a) = lines[1]
        .split_once(',')
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .unwrap();
    let (b, of_b) = lines[2]
        .split_once(',')
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .unwrap();
    lines[1] = format!("{a},{of_b}");
    lines[2] = format!("{b},{of_a}");
    fs::write(index, lines.join("\n") + "\n").unwrap();
}

#[test]
fn seals_nothing_that_no_shard_has_signed_for() {
    let place = factory();
    place.succeed(&run("out", "1/2"));
    place.succeed(&run("out", "2/2"));
    let batch = place.join("out/b");
    let seal = |code| {
        place
            .fail(&["seal", "out/b"], code)
            .replace(batch.to_str().unwrap(), "[BATCH]")
    };
    let put_back = |object: &str, change: &dyn Fn(&Path), code: i32, told: &str| {
        let path = batch.join(object);
        let octets = fs::read(&path).unwrap();
        change(&path);
        let error = seal(code);
        assert!(
            error.starts_with(&format!("certforge: error: {told}\n")),
            "{object}: {error}"
        );
        assert!(!batch.join("seal.json").exists());
        fs::write(&path, octets).unwrap();
    };
    put_back(
        "index/000000.csv",
        &swap_identities,
        6,
        "index/000000.csv is not what shard 1/2 released: it was changed since",
    );
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    put_back(
        "shards/000002.json",
        &remove,
        6,
        "[BATCH] has no seal of shard 2/2: nobody has signed for what it released",
    );
    let other = |path: &Path| assert!(fs::copy(path.with_file_name("000001.json"), path).unwrap() > 0);
    put_back(
        "shards/000002.json",
        &other,
        6,
        "shards/000002.json is of shard 1/2 of batch b, or of another record of it",
    );
    let changed = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replacen("\"indexes\":[\"", "\"indexes\":[\"00", 1)).unwrap();
    };
    put_back(
        "shards/000001.json",
        &changed,
        5,
        &format!(
            "the signature of shards/000001.json is not that of issuer {}",
            place
                .succeed(&["ca", "show"])
                .lines()
                .find_map(|line| line.strip_prefix("subject"))
                .unwrap()
                .trim()
        ),
    );
    put_back(
        "shards/000001.json",
        &|path| fs::write(path, "{").unwrap(),
        6,
        "shards/000001.json is no seal: EOF while parsing an object at line 1 column 1",
    );
    // The record is what the shards made their chunks by.
    let wider = |path: &Path| {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        record["profile"]["name"] = "wider".into();
        fs::write(path, record.to_string()).unwrap();
    };
    put_back(
        "batch.json",
        &wider,
        6,
        "shards/000001.json is of shard 1/2 of batch b, or of another record of it",
    );
    place.succeed(&["seal", "out/b"]);
    assert!(place.succeed(&["seal", "out/b"]).contains(" before, at "));
    // What is sealed is seen to lie there as it was sealed.
    swap_identities(&batch.join("index/000001.csv"));
    let told = seal(6);
    assert!(
        told.starts_with("certforge: error: index/000001.csv is not what the seal says: it was changed"),
        "{told}"
    );
}

#[test]
fn a_batch_that_is_made_as_a_whole_is_sealed_by_what_its_ledger_says() {
    let place = factory();
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows",
        "64",
    ]);
    fs::remove_file(place.join("out/b/seal.json")).unwrap();
    let told = place.fail(&["seal", "out/b", "--ledger", "none.db"], 7);
    assert!(told.contains("none.db"), "{told}");
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--ledger",
        "other.db",
        "--new-ledger",
        "--batch",
        "b",
        "--to",
        "elsewhere",
    ]);
    let told = place.fail(&["seal", "out/b", "--ledger", "other.db"], 6);
    assert!(
        told.contains("holds another batch, or one that another ledger accounts for\n"),
        "{told}"
    );
    let index = place.join("out/b/index/000003.csv");
    let rows = fs::read(&index).unwrap();
    swap_identities(&index);
    let told = place.fail(&["seal", "out/b"], 6);
    assert!(
        told.starts_with(
            "certforge: error: index/000003.csv is not what the ledger released: it was changed since\n"
        ),
        "{told}"
    );
    fs::write(&index, rows).unwrap();
    place.succeed(&["seal", "out/b"]);
    place.succeed(&["verify", "out/b"]);
}

/// The index of a chunk of no device: what a ledger would say of one that it has not made.
const EMPTY: &str = "device_id,certificate_id,certificate_serial,not_after,object,offset,length,sha256\n";

#[test]
fn what_was_never_made_is_sealed_by_nobody() {
    let place = factory();
    place.succeed(&run("out", "1/2"));
    for chunk in (0..16).filter(|chunk| chunk % 2 == 1) {
        fs::write(place.join(&format!("out/b/index/{chunk:06}.csv")), EMPTY).unwrap();
    }
    let told = place.fail(&["seal", "out/b"], 6);
    assert!(told.contains(" has no seal of shard 2/2: "), "{told}");
    // As a whole it is not made either, whatever its record says.
    let record = place.join("out/b/batch.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let entered = fs::read(place.join("out/b/shards/000001.ledger.json")).unwrap();
    let entered: serde_json::Value = serde_json::from_slice(&entered).unwrap();
    json["ledger"] = entered["ledger"].clone();
    json.as_object_mut().unwrap().shift_remove("shards");
    fs::write(&record, json.to_string()).unwrap();
    let told = place.fail(&["seal", "out/b", "--ledger", "ca/ledger-1-of-2.db"], 6);
    assert!(
        told.starts_with(
            "certforge: error: batch b is not complete: 8 of 16 chunks are missing, the first is 1\n"
        ),
        "{told}"
    );
    assert!(!place.join("out/b/seal.json").exists());
}

#[test]
fn a_copy_that_is_not_sealed_gets_no_seal_of_its_own() {
    for batch in ["whole", "b"] {
        let place = factory();
        if batch == "whole" {
            place.succeed(&[
                "run",
                "devices.csv",
                "--no-endpoint",
                "--ca",
                "ca",
                "--batch",
                "whole",
            ]);
            fs::remove_file(place.join("out/whole/seal.json")).unwrap();
        } else {
            place.succeed(&run("out", "1/2"));
            place.succeed(&run("out", "2/2"));
        }
        let (made, copy) = (format!("out/{batch}"), format!("copy-{batch}"));
        let copied = Command::new("cp")
            .args(["-a", &made, &copy])
            .current_dir(place.path())
            .status();
        assert!(copied.unwrap().success());
        let told = place.fail(&["seal", &copy], 6);
        assert!(
            told.contains(&format!("/{copy} is not where this batch was made, which is ")),
            "{told}"
        );
        assert!(
            told.contains("certforge: hint: a copy that is sealed would give each device out once more"),
            "{told}"
        );
        place.succeed(&["seal", &copy, "--moved"]);
        place.succeed(&["seal", &made]);
    }
}

#[test]
fn a_shard_is_made_with_one_ledger() {
    let place = factory();
    fs::create_dir_all(place.join("out")).unwrap();
    place.succeed(&run("out", "2/2"));
    // A first attempt at shard 1, of which nothing is released; then another ledger comes.
    let ledger = |name: &'static str| [&run("out", "1/2")[..], &["--new-ledger", "--ledger", name]].concat();
    let mut first = place.command(&ledger("a.db"));
    first.args(["--jobs", "1"]);
    let shard = place.join("out/b/shards/000001.ledger.json");
    let mut first = first.stdout(std::process::Stdio::null()).spawn().unwrap();
    while !shard.exists() {
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    for index in fs::read_dir(place.join("out/b/index")).unwrap() {
        let path = index.unwrap().path();
        let chunk: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap_or(1);
        if chunk.is_multiple_of(2) {
            fs::remove_file(path).unwrap();
        }
    }
    let told = place.fail(&ledger("b.db"), 6);
    assert!(told.contains("certforge: error: shard 1/2 of "), "{told}");
    assert!(told.contains(" is made with another ledger\n"), "{told}");
    assert!(
        told.contains("certforge: hint: name that ledger with --ledger; "),
        "{told}"
    );
}

#[test]
fn shards_have_a_ca_and_a_number() {
    let place = Workplace::new();
    place.manifest(5);
    assert_eq!(
        place.fail(&["run", "devices.csv", "--no-endpoint", "--shard", "1/2"], 2),
        "certforge: error: shards need a CA that all of them have\n\
         certforge: hint: make one with `certforge ca new`, and name it with --ca\n"
    );
    let told = place.fail(&["run", "devices.csv", "--no-endpoint", "--shard", "0/2"], 2);
    assert!(told.contains("shards are 1/N to N/N"), "{told}");
}
