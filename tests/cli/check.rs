//! What `check` says of the ledger is what `run` would do, and what it refuses is what `run` refuses.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::Workplace;

const HOST: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const OF: [&str; 7] = [
    "devices.csv",
    "--endpoint",
    HOST,
    "--batch",
    "b",
    "--chunk-rows",
    "2",
];

/// A workplace with a CA for production, and a manifest of five devices.
fn workplace() -> Workplace {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase", "--days", "9125"]);
    place
}

fn with<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command], &OF[..], more].concat()
}

/// What `check` says of the ledger, in both ways.
fn outlook(place: &Workplace, more: &[&str]) -> (String, Value) {
    let told = place.succeed(&with("check", more));
    let start = "devices.csv: 5 devices, all fit profile aws-iot-p256; ";
    let told = told.strip_prefix(start).unwrap_or_else(|| panic!("{told}"));
    let document = place.succeed(&with("check", &[more, &["--json"]].concat()));
    (
        told.to_owned(),
        serde_json::from_str(&document).expect("a document"),
    )
}

#[test]
fn check_says_how_much_of_the_batch_is_made() {
    let place = workplace();
    assert!(place.succeed(&with("check", &[])).ends_with("aws-iot-p256\n"));
    place.succeed(&with("run", &[]));
    let (told, document) = outlook(&place, &[]);
    assert_eq!(
        told,
        "all of them are made, in batch b, as ledger ca/ledger.db has it: nothing is left to make\n"
    );
    assert_eq!(
        (&document["issued"], &document["batch"], &document["made"]),
        (&0.into(), &"b".into(), &5.into())
    );

    // As a process leaves it that is killed before it commits the last chunk.
    Connection::open(place.join("ca/ledger.db"))
        .and_then(|ledger| {
            ledger.execute_batch("DELETE FROM committed WHERE chunk = 2; DELETE FROM device WHERE row >= 4")
        })
        .expect("the ledger is changed");
    let (told, document) = outlook(&place, &[]);
    assert_eq!(
        told,
        "4 of them are made, in batch b, as ledger ca/ledger.db has it: `run` goes on with that\n"
    );
    assert_eq!((&document["batch"], &document["made"]), (&"b".into(), &4.into()));
}

#[test]
fn check_says_how_much_of_a_shard_is_made() {
    let place = workplace();
    let shard = ["--shard", "1/2"];
    place.succeed(&with("run", &shard));
    // Its chunks are the first and the third.
    let (told, document) = outlook(&place, &shard);
    assert_eq!(
        told,
        "all of the 3 of shard 1/2 are made, in batch b, as ledger ca/ledger-1-of-2.db has it: nothing is left to make\n"
    );
    assert_eq!(document["made"], 3);
}

#[test]
fn check_refuses_what_run_refuses_by_its_ledger() {
    let place = workplace();
    place.succeed(&with("run", &[]));
    fs::write(
        place.join("own.toml"),
        "name = 'own'\nvalidity = { days = 3650 }\n",
    )
    .expect("a profile");
    let identity = place.succeed(&["station", "identity", "new", "--to", "st1.key", "--json"]);
    let identity: Value = serde_json::from_str(&identity).expect("a document");
    let recipient = identity["recipients"][0].as_str().expect("a recipient");
    let of = ["devices.csv", "--batch", "b", "--chunk-rows", "2"];
    let host = ["--endpoint", HOST];
    for (options, code, says) in [
        (
            &["--endpoint", "other.example"][..],
            7,
            "--endpoint or --recipient",
        ),
        (&["--no-endpoint"], 7, "--endpoint or --recipient"),
        (&[], 2, "and none is known"),
        (&["--profile", "own.toml", host[0], host[1]], 7, "another profile"),
        (&["--layout", "packs", host[0], host[1]], 7, "another layout"),
        (&["--chunk-rows", "3", host[0], host[1]], 7, "another chunk size"),
        (&["--to", "elsewhere", host[0], host[1]], 7, "another place"),
        (&["--recipient", recipient, host[0], host[1]], 2, "for others"),
        (&["--reissue", host[0], host[1]], 2, "without --reissue"),
        (&["--chunk-rows", "0", host[0], host[1]], 2, "chunk"),
    ] {
        let of = if options[0..1.min(options.len())] == ["--chunk-rows"] {
            &of[..3]
        } else {
            &of[..]
        };
        let run = place.fail(&[&["run"], of, options].concat(), code);
        assert!(run.contains(says), "{options:?}: {run}");
        let check = place.fail(&[&["check"], of, options].concat(), code);
        assert_eq!(check, run, "{options:?}");
    }
    // Another batch of the same devices is asked for by its name.
    let told = place.succeed(&[&["check"], &of[..1], &host, &["--reissue", "--batch", "c"]].concat());
    assert_eq!(told, "devices.csv: 5 devices, all fit profile aws-iot-p256\n");

    fs::rename(place.join("ca/ledger.db"), place.join("gone.db")).expect("it was made");
    let run = place.fail(&with("run", &[]), 7);
    assert!(run.contains("ledger ca/ledger.db is not there, and "), "{run}");
    assert_eq!(place.fail(&with("check", &[]), 7), run);
}

#[test]
fn what_is_asked_for_is_not_warned_of() {
    let place = workplace();
    let told = place.succeed(&["check", "devices.csv"]);
    assert!(
        told.contains("and none is known, so that `run` refuses"),
        "{told}"
    );
    let told = place.succeed(&["check", "devices.csv", "--no-endpoint"]);
    assert_eq!(told, "devices.csv: 5 devices, all fit profile aws-iot-p256\n");
}

/// What `run` says of an endpoint that bundles do not name can be done.
#[test]
fn a_batch_without_an_endpoint_gets_one_as_run_says() {
    let place = workplace();
    let run = ["run", "devices.csv", "--no-endpoint", "--batch", "b"];
    let line = |told: &str| -> String {
        let mut lines = told.lines();
        let line = lines.find(|line| line.starts_with("endpoint "));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        let (label, value) = line.split_once("  ").expect("a label and a value");
        format!("{label} {}", value.trim_start())
    };
    for _ in 0..2 {
        assert_eq!(
            line(&place.succeed(&run)),
            "endpoint none; `certforge bundle repack out/b --endpoint HOST` makes bundles that name one"
        );
    }
    let repack = ["bundle", "repack", "out/b", "--endpoint", HOST];
    assert_eq!(line(&place.succeed(&repack)), format!("endpoint {HOST}"));
    // Where no file of the bundles names it, there is nothing to be done.
    let recipe = "name = 'bare'\n[bundle]\nfiles = [{ name = 'key.pem', content = 'private-key' }, { name = 'cert.pem', content = 'certificate' }]\n";
    fs::write(place.join("bare.toml"), recipe).expect("it is written");
    fs::write(place.join("more.csv"), "serial_number\nQ1\n").expect("it is written");
    assert_eq!(
        line(&place.succeed(&["run", "more.csv", "--profile", "bare.toml"])),
        "endpoint none: no file of these bundles names one"
    );
}
