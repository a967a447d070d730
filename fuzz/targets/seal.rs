//! `seal.json`: nothing is taken for a seal that its issuer has not signed.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;
use std::sync::LazyLock;

use certforge::issuer::CaCertificate;
use certforge::seal::Seal;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static ISSUER: LazyLock<CaCertificate> = LazyLock::new(|| {
    let ders = certforge::pem::certificates(include_bytes!("../data/ca.pem"));
    CaCertificate::from_der(&ders[0], Path::new("ca.pem")).expect("a CA")
});
/// The one statement that this issuer has signed.
const SIGNED: &[u8] = include_bytes!("../data/seal.json");

pub fn run(octets: &[u8]) {
    let Ok(seal) = Seal::open(octets, &ISSUER) else {
        return;
    };
    assert_eq!(seal, Seal::open(SIGNED, &ISSUER).expect("it is signed"));
    assert!(seal.index(0, octets).is_err() && seal.record(octets).is_err());
}
