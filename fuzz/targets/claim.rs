//! A claim, and the record of how it ended: what stations write.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::batch::claim::{Claim, State, Wish};
use certforge::batch::report::{self, Record};
use certforge::batch::{Device, parse_index};
use certforge::manifest::DeviceId;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static DEVICE: LazyLock<Device> = LazyLock::new(|| Device {
    chunk: 0,
    entry: parse_index(include_bytes!("../corpus/index/packs")).expect("an index")[0]
        .entry
        .clone(),
});

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
    let _ = (claim.hold.is_stale(now), claim.followed(next.hold.clone()));
    for state in [State::Flashed, State::Failed, State::Scrapped] {
        let Some(ended) = next.ended(state, now, Some("it runs")) else {
            continue;
        };
        assert!(ended.device_id == asked && ended.hold.state == state);
        let record = Record::of(&ended, &DEVICE);
        let object = report::object(&ended, &DEVICE).expect("it has ended");
        assert_eq!(Record::read(&record.to_json(), &object, &asked), Ok(record));
    }
}
