//! The key file of a CA: PKCS#8, encrypted or not, and the older forms.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::engine::Choice;
use certforge::issuer::{CaFiles, Issuer, KeyPlace, Secret, read_public};
use certforge::pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::pkcs5::pbes2::Kdf;
use tempfile::{NamedTempFile, TempDir};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    std::fs::write(
        folder.path().join("certificate.pem"),
        include_bytes!("../data/ca.pem"),
    )
    .expect("a file");
    folder
});

pub fn run(octets: &[u8]) {
    let file = NamedTempFile::new_in(FOLDER.path()).expect("a file");
    std::fs::write(file.path(), octets).expect("it is written");
    let files = CaFiles {
        key: KeyPlace::File(file.path().to_owned()),
        ..CaFiles::in_folder(FOLDER.path())
    };
    let now = read_public(&files).expect("a CA").0.period().not_before + time::Duration::DAY;
    let mut ask = |_: Secret<'_>| Ok("correct horse".to_owned().into());
    if is_quick(octets) {
        let _ = Issuer::load(&files, &Choice::Auto, now, &mut ask);
    }
}

/// A person waits until a passphrase opens a key; whoever tries many keys cannot. What no person would wait for is
/// refused at once, so it is quick as well.
fn is_quick(octets: &[u8]) -> bool {
    let blocks = pem::blocks(&String::from_utf8_lossy(octets)).unwrap_or_default();
    blocks.iter().all(|block| {
        let info = EncryptedPrivateKeyInfoRef::from_der(&block.der).ok();
        let cost = match info
            .as_ref()
            .and_then(|info| info.encryption_algorithm.pbes2())
            .map(|pbes2| &pbes2.kdf)
        {
            Some(Kdf::Pbkdf2(kdf)) => u64::from(kdf.iteration_count),
            Some(Kdf::Scrypt(kdf)) => kdf
                .cost_parameter
                .saturating_mul(u64::from(kdf.block_size) * u64::from(kdf.parallelization)),
            _ => 0,
        };
        !(4096..10_000_000).contains(&cost)
    })
}
