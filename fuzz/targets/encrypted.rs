//! An encrypted bundle: opened whole or not at all, and no longer than it is.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::bundle::encryption::{Identities, decrypt, is_encrypted};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

/// Of nobody: what the corpus is encrypted to.
static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| {
    let text = "AGE-SECRET-KEY-1Z7AN4NZREPP49UR2WH9VW3NGW3MLSV0R40WVECZDJA2MGPJ9N93QNNY6K5";
    Identities::parse(text).expect("it is one")
});

pub fn run(octets: &[u8]) {
    if let Ok(plain) = decrypt(octets, &IDENTITIES) {
        assert!(is_encrypted(octets) && plain.len() < octets.len());
    }
}
