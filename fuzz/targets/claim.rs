//! A claim, and the record of how it ended: what stations write.
#![cfg_attr(fuzzing, no_main)]

use certforge::batch::claim::{Claim, State, Wish};
use certforge::batch::report::Record;
use certforge::manifest::DeviceId;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    let asked = DeviceId::parse("SN000001").expect("an id");
    if let Ok(record) = Record::read(octets, "flashed/000000/SN000001.json", &asked) {
        assert_eq!(Record::read(&record.to_json(), "", &asked), Ok(record));
    }
    let Ok(claim) = Claim::read(octets, "claims/000000/SN000001.json", &asked) else {
        return;
    };
    assert_eq!(Claim::read(&claim.to_json(), "", &asked), Ok(claim.clone()));
    let (now, lease) = (
        time::macros::datetime!(2026-11-24 12:00 UTC),
        time::Duration::HOUR,
    );
    let wish = Wish {
        station: "st1",
        now,
        lease,
        take_over: true,
    };
    let next = claim
        .again("0".repeat(32), wish, true)
        .unwrap_or_else(|_| claim.renewed(wish));
    let ended = next.ended(State::Flashed, now, Some("it runs"));
    assert!(ended.is_none_or(|ended| ended.device_id == asked && ended.hold.state.is_final()));
}
