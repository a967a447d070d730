//! `batch.json`; the ledger of a shard; and `withdrawn.json`, which is believed whatever it says.
#![cfg_attr(fuzzing, no_main)]

use certforge::batch::{BatchRecord, Outline, ShardLedger, WithdrawnRecord};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    let withdrawn = WithdrawnRecord::read(octets);
    assert!(!withdrawn.to_string().chars().any(char::is_control));
    if let Ok(shard) = ShardLedger::read(octets, 1) {
        assert_eq!(ShardLedger::read(&shard.to_json(), 1), Ok(shard));
    }
    let outline = Outline::read(octets);
    if let Ok(read) = BatchRecord::read(octets, "out/b") {
        let outline = outline.expect("a record has an outline");
        assert_eq!(
            (&outline.batch, &outline.issuer[..]),
            (&read.record.batch, read.issuer.der())
        );
        let again = BatchRecord::read(&read.record.to_json(), "out/b").expect("it was read before");
        assert_eq!(
            (again.record, again.profile.digest()),
            (read.record, read.profile.digest())
        );
    }
}
