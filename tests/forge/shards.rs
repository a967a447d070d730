//! One batch made in shards, at the same time and with a ledger each, and sealed in the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
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
    let arguments = ["run", "devices.csv", "--ca", "ca", "--batch", "b", "--to", to];
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
        text.contains("shard     3/4\nmade      256 devices in "),
        "{text}"
    );
    assert!(text.contains("ledger    certforge-3-of-4.db\n"), "{text}");
    assert!(
        text.contains("next      when every shard is made: certforge seal "),
        "{text}"
    );
    let again = succeed(&run(to, "4/4"));
    assert!(
        again.contains("made      nothing: 232 devices made before\n"),
        "{again}"
    );
    succeed(&seal);
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
    fs::remove_file(place.join("certforge-1-of-2.db")).unwrap();
    let told = told(&run("out", "1/2"), 6);
    assert!(
        told.contains("[BATCH] has an index for chunk 0, of which this ledger knows nothing"),
        "{told}"
    );
    place.succeed(&run("out", "2/2"));
    assert_eq!(
        place.fail(&["verify", "out/b", "--ledger", "certforge-2-of-2.db"], 7),
        "certforge: error: batch b was made in 2 shards, each with a ledger of its own\n\
         certforge: hint: leave --ledger out; --manifest names what to verify it against\n"
    );
    place.succeed(&["seal", "out/b"]);
}

#[test]
fn shards_have_a_ca_and_a_number() {
    let place = Workplace::new();
    place.manifest(5);
    assert_eq!(
        place.fail(&["run", "devices.csv", "--shard", "1/2"], 2),
        "certforge: error: shards need a CA that all of them have\n\
         certforge: hint: make one with `certforge ca new`, and name it with --ca\n"
    );
    let told = place.fail(&["run", "devices.csv", "--shard", "0/2"], 2);
    assert!(told.contains("shards are 1/N to N/N"), "{told}");
}
