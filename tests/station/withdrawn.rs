//! A batch that is withdrawn: no station begins a device of it, what was done with it may still be said,
//! and nothing more is made of it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::line;
use crate::line::Line;
use certforge::issuer::{CERTIFICATE_FILE, CaFiles, KeyPlace, read_public};
use certforge::ledger;
use certforge::station::{Options, Station, StationError, Trust};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

const REFUSED: &str = "certforge: error: batch b is withdrawn since 2026-11-24T12:00:00Z: stolen\n\
     certforge: hint: the board in hand must not be flashed: put it aside, and ask whoever withdrew the batch, or whoever made it, what to flash instead";

const REFUSED_BY_THE_FORGE: &str = "certforge: error: batch b is withdrawn since 2026-11-24T12:00:00Z: stolen\n\
     certforge: hint: nothing of it may come up, and a withdrawal is not taken back; to give the devices new identities: --reissue with a new --batch\n";

const NEXT: [&str; 4] = ["claim", "--next", "--out", "dev-st1"];

fn again() -> [&'static str; 8] {
    [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows=4",
    ]
}

/// Withdraws the batch, as far as the ledger goes.
fn withdraw_in_ledger(line: &Line) {
    let mut ledger = ledger::open(&line.0.join("ca/ledger.db"), [0; 16]).unwrap();
    let batch = ledger.batch("b").unwrap();
    let noon = time::macros::datetime!(2026-11-24 12:00 UTC);
    ledger.withdraw(&batch, "stolen", noon).unwrap();
    ledger
        .set_revoked(&batch, "123456789012 eu-central-1", 3)
        .unwrap();
}

#[test]
fn no_device_of_a_withdrawn_batch_is_claimed() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 9);
        line.withdraw("stolen");
        assert_eq!(line.refusal("st1", "SN000000", 9), REFUSED);
        assert_eq!(line.fail("st1", &NEXT, 9), REFUSED);
        line.script("touch flashed");
        let run = ["run", "--exec", "./flash.sh", "--out", "dev-st1"];
        assert_eq!(line.fail("st1", &run, 9), REFUSED);
        assert!(!line.path("claims").exists(), "nothing is claimed");
        assert!(!line.0.join("dev-st1").exists(), "nothing is unpacked");
        assert!(!line.0.join("flashed").exists(), "nothing is flashed");
        // The station remembers it for good, whatever becomes of the record.
        fs::remove_file(line.path("withdrawn.json")).unwrap();
        assert_eq!(line.fail("st1", &NEXT, 9), REFUSED);
        // A station that never asked has nothing to remember.
        line.claim("st2", "SN000000");
    }
}

#[test]
fn a_record_that_cannot_be_read_withdraws_a_batch_too() {
    let line = Line::new("packs", 9);
    fs::write(line.path("withdrawn.json"), "{\"reason\": 7}").unwrap();
    let error = line.refusal("st1", "SN000000", 9);
    let told = "certforge: error: batch b is withdrawn: withdrawn.json is there and cannot be read: ";
    assert!(error.starts_with(told), "{error}");
    let error = line.0.fail(&["seal", "out/b", "--ca", "ca"], 7);
    assert!(error.starts_with(told), "{error}");
}

static SECONDS: AtomicI64 = AtomicI64::new(0);

fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::seconds(SECONDS.load(Ordering::SeqCst))
}

#[test]
fn a_withdrawal_reaches_every_station_within_a_minute() {
    let line = Line::new("objects", 9);
    let files = CaFiles {
        certificate: line.0.join("ca").join(CERTIFICATE_FILE),
        key: KeyPlace::File(PathBuf::new()),
        chain: None,
    };
    let (issuer, _) = read_public(&files).unwrap();
    let options = Options {
        name: "st1".to_owned(),
        issuer: Trust::Certificate(Box::new(issuer)),
        moved: true,
        memory: line.0.join("memory"),
        lease: Duration::HOUR,
        identities: None,
        clock,
    };
    let mut station = Station::open(line.store(), options).unwrap();
    let mut claim = |seconds: i64| {
        SECONDS.store(seconds, Ordering::SeqCst);
        station.claim_next()
    };
    claim(0).unwrap();
    line.withdraw("stolen");
    // It asked a moment ago.
    claim(50).unwrap();
    let is_withdrawn = |claimed| matches!(claimed, Err(StationError::Withdrawn { .. }));
    assert!(is_withdrawn(claim(62)));
    // It does not forget.
    assert!(is_withdrawn(claim(0)));
    assert!(is_withdrawn(claim(-1_000_000)));
}

#[test]
fn what_was_flashed_before_the_withdrawal_may_still_be_said() {
    let line = Line::new("packs", 9);
    for (i, station) in ["st1", "st2", "st3"].iter().enumerate() {
        line.claim(station, &format!("SN00000{i}"));
    }
    line.withdraw("stolen");
    line.succeed("st1", &["done", "SN000000"]);
    line.succeed("st2", &["failed", "SN000001", "--reason", "flash verify"]);
    line.succeed("st3", &["scrap", "SN000002", "--reason", "board broken"]);
    line.succeed("st3", &["send"]);
    assert!(line.path("flashed/000000/SN000000.json").exists());
    assert!(line.path("failed/000000/SN000001/1.json").exists());
    assert!(line.path("scrapped/000000/SN000002.json").exists());
    for station in ["st1", "st2", "st3"] {
        assert!(!line.0.join(&line::out(station)).exists(), "its key is wiped");
    }
}

#[test]
fn a_station_that_works_by_itself_stops_when_its_batch_is_withdrawn() {
    let line = Line::new("packs", 9);
    line.withdraw("stolen");
    let record = line.path("withdrawn.json");
    fs::rename(&record, line.0.join("withdrawn.json")).unwrap();
    // While the second device is flashed the batch is withdrawn, and the minute is over.
    line.script(
        "echo \"$CERTFORGE_DEVICE_ID\" >> log\n\
         [ $(wc -l < log) = 2 ] || exit 0\n\
         cp withdrawn.json out/b/\n\
         rm memory/st1/b-*/cache/not-withdrawn",
    );
    let run = ["run", "--exec", "./flash.sh", "--out", "dev-st1"];
    assert_eq!(line.fail("st1", &run, 9), REFUSED);
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert_eq!(log.lines().count(), 2, "the second device is the last one");
    assert!(!line.0.join("dev-st1").exists());
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!((&status["flashed"], &status["left"]), (&2.into(), &7.into()));
    assert_eq!(
        status["withdrawn"],
        serde_json::json!({ "batch": "b", "withdrawn_at": "2026-11-24T12:00:00Z", "reason": "stolen" })
    );
}

#[test]
fn whoever_looks_at_a_withdrawn_batch_is_told() {
    let line = Line::new("packs", 9);
    let is_told = |text: &str| text.lines().any(|line| line.starts_with("withdrawn"));
    assert!(!is_told(&line.succeed("st1", &["status"])));
    assert!(!is_told(&line.0.succeed(&["status"])));
    withdraw_in_ledger(&line);
    // Of the ledger alone, while the store cannot be reached perhaps.
    let told = line.0.succeed(&["status"]);
    assert!(
        told.contains("\nwithdrawn    2026-11-24T12:00:00Z: stolen\nrevoked      3 of 9 certificates\n"),
        "{told}"
    );
    let verified = line.0.succeed(&["verify", "out/b"]);
    let told =
        "batch b: WITHDRAWN 2026-11-24T12:00:00Z: stolen\nbatch b: 9 devices verified, sealed, against ";
    assert!(verified.starts_with(told), "{verified}");
    let json: Value = serde_json::from_str(&line.0.succeed(&["status", "--json"])).unwrap();
    assert_eq!(
        json[0]["withdrawn"],
        serde_json::json!({ "withdrawn_at": "2026-11-24T12:00:00Z", "reason": "stolen", "revoked": 3 })
    );

    line.withdraw("stolen");
    for text in [
        line.succeed("st1", &["status"]),
        line.0.succeed(&["status", "out/b"]),
    ] {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains(" withdrawn 2026-11-24T12:00:00Z: stolen "),
            "{text}"
        );
    }
    let verified = line.0.succeed(&["verify", "out/b", "--no-ledger"]);
    assert!(verified.starts_with(told), "{verified}");
    let json: Value = serde_json::from_str(&line.0.succeed(&["verify", "out/b", "--json"])).unwrap();
    assert_eq!(json["withdrawn"]["reason"], "stolen");
}

#[test]
fn nothing_more_is_made_of_a_withdrawn_batch() {
    for in_ledger in [true, false] {
        let line = Line::new("packs", 9);
        line.0.unseal("b");
        match in_ledger {
            true => withdraw_in_ledger(&line),
            false => line.withdraw("stolen"),
        }
        let before = line.0.succeed(&["status", "--json"]);
        assert_eq!(line.0.fail(&again(), 7), REFUSED_BY_THE_FORGE);
        assert_eq!(line.0.succeed(&["status", "--json"]), before);
        assert!(!line.path("seal.json").exists(), "it is not sealed");
    }
    // Of a batch whose folder is gone the ledger still knows.
    let line = Line::new("packs", 9);
    withdraw_in_ledger(&line);
    fs::remove_dir_all(line.0.join("out")).unwrap();
    assert_eq!(line.0.fail(&again(), 7), REFUSED_BY_THE_FORGE);
    assert!(!line.0.join("out").exists(), "nothing is made");
    // Of one that another ledger would begin anew the store still knows.
    let line = Line::new("packs", 9);
    line.withdraw("stolen");
    fs::remove_file(line.path("batch.json")).unwrap();
    let other = [&again()[..], &["--ledger", "other.db", "--new-ledger"]].concat();
    assert_eq!(line.0.fail(&other, 7), REFUSED_BY_THE_FORGE);
    assert!(!line.path("batch.json").exists(), "nothing is begun");
    // The devices may have other identities.
    let another = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "c",
        "--reissue",
    ];
    line.0.succeed(&another);
}

#[test]
fn a_withdrawn_batch_is_not_sealed() {
    let line = Line::new("packs", 9);
    line.0.unseal("b");
    line.withdraw("stolen");
    let seal = ["seal", "out/b", "--ca", "ca"];
    assert_eq!(line.0.fail(&seal, 7), REFUSED_BY_THE_FORGE);
    assert!(!line.path("seal.json").exists());
    assert!(!line.path("lookup").exists());
    fs::remove_file(line.path("withdrawn.json")).unwrap();
    line.0.succeed(&seal);
}
