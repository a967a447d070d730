//! Records of stations: what was flashed or scrapped stays so, whatever becomes of its claim.

use std::fs;

use crate::line::Line;
use certforge::batch::claim::{Claim, State};

/// Writes over a claim, as every station can.
fn write_over(line: &Line, device: &str, change: impl Fn(&mut Claim)) {
    let mut claim = line.claim_of(device);
    change(&mut claim);
    fs::write(
        line.path(&format!("claims/000000/{device}.json")),
        claim.to_json(),
    )
    .unwrap();
}

fn take_over<'a>(device: &'a str, out: &'a str) -> [&'a str; 6] {
    ["claim", "--device", device, "--take-over", "--out", out]
}

#[test]
fn what_a_record_calls_flashed_or_scrapped_is_never_given_out_again() {
    let line = Line::new("objects", 4);
    let is_refused = |station: &str, arguments: &[&str], state: &str| {
        let device = arguments[2];
        assert_eq!(
            line.fail(station, arguments, 9),
            format!(
                "certforge: error: device {device} was {state}, whatever its claim says: there is a record, \
                 {state}/000000/{device}.json\n\
                 certforge: hint: an identity is for one device: put this one aside, and find out who wrote the claim over; \
                 `station show` tells who had it"
            )
        );
        assert!(!line.0.join("dev").exists());
    };
    // It is called failed after all.
    line.claim("st1", "SN000000");
    line.succeed("st1", &["done", "SN000000"]);
    write_over(&line, "SN000000", |claim| claim.hold.state = State::Failed);
    for station in ["st1", "st2"] {
        is_refused(station, &take_over("SN000000", "dev"), "flashed");
    }
    // The failure of the first station is put back, which may try again by itself.
    line.claim("st1", "SN000001");
    line.succeed("st1", &["failed", "SN000001"]);
    line.succeed("st2", &take_over("SN000001", "dev"));
    line.succeed("st2", &["done", "SN000001"]);
    write_over(&line, "SN000001", |claim| claim.hold = claim.earlier.remove(0));
    is_refused(
        "st1",
        &["claim", "--device", "SN000001", "--out", "dev"],
        "flashed",
    );
    // So is the hold of one that was stopped with the device in its hands.
    line.succeed("st1", &["claim", "--next", "--out", "dev-st1"]);
    let held = fs::read_dir(line.path("claims/000000")).unwrap();
    let names = held.map(|claim| claim.unwrap().file_name().into_string().unwrap());
    let next = names.map(|name| name[..8].to_owned()).max().unwrap();
    line.age(&next);
    line.succeed("st2", &take_over(&next, "dev"));
    line.succeed("st2", &["done", &next]);
    write_over(&line, &next, |claim| claim.hold = claim.earlier.remove(0));
    line.script("echo $CERTFORGE_DEVICE_ID >> log");
    line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert!(log.lines().count() == 1 && !log.contains(&next), "{log}");
    assert!(!line.0.join("dev-st1").exists(), "the key is gone");
}

#[test]
fn what_was_scrapped_is_exported_whatever_its_claim_says() {
    let line = Line::new("packs", 4);
    for device in ["SN000001", "SN000002"] {
        line.claim("st1", device);
        line.succeed("st1", &["done", device]);
    }
    line.succeed(
        "st1",
        &[
            "scrap",
            "SN000002",
            "--although-flashed",
            "--reason",
            "thrown away",
        ],
    );
    line.succeed("st1", &["scrap", "SN000003", "--reason", "stolen"]);
    let export = |which| line.0.succeed(&["export", which, "--batch", "out/b"]);
    let before = ["--flashed", "--scrapped"].map(export);
    assert_eq!(before[0].matches("SN00000").count(), 1, "{}", before[0]);
    assert_eq!(before[1].matches("SN00000").count(), 2, "{}", before[1]);
    for device in ["SN000001", "SN000002", "SN000003"] {
        write_over(&line, device, |claim| {
            claim.hold.state = State::Failed;
            claim.hold.station = "st2".to_owned();
        });
    }
    assert_eq!(["--flashed", "--scrapped"].map(export), before);
    for device in ["SN000002", "SN000003"] {
        let told = line.fail("st2", &take_over(device, "dev"), 9);
        assert!(told.contains(&format!("device {device} was ")), "{told}");
    }
    fs::remove_dir_all(line.path("claims")).unwrap();
    assert_eq!(["--flashed", "--scrapped"].map(export), before);
}
