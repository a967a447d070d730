//! A certificate: a CA's, a device's as its endpoint judges it, and as its bundle has it.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;
use std::sync::LazyLock;

use certforge::issuer::CaCertificate;
use certforge::jitp::{CertificateNames, Facts};
use certforge::profile::Passwords;
use certforge::rehearsal::{Authority, Device, fuzzing::judge};
use zeroize::Zeroizing;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let ders = certforge::pem::certificates(include_bytes!("../data/ca.pem"));
    let certificate = CaCertificate::from_der(&ders[0], Path::new("ca.pem")).expect("a CA");
    Authority {
        id: String::new(),
        certificate,
        is_active: true,
    }
});

pub fn run(octets: &[u8]) {
    if let Ok(ca) = CaCertificate::from_der(octets, Path::new("fuzz")) {
        assert!(ca.der() == octets && !ca.has_signed(octets, octets));
    }
    let now = AUTHORITY.certificate.period().not_before + time::Duration::DAY;
    let leaf = judge(octets, std::slice::from_ref(&AUTHORITY), now);
    assert!(leaf.is_err() || CertificateNames::of_certificate(octets).is_ok());
    let _ = Facts::of_certificate(octets);
    let _ = Device::from_files(
        vec![("identity".to_owned(), Zeroizing::new(octets.to_vec()))],
        &Passwords::default(),
    );
}
