//! The key file of a CA: PKCS#8, encrypted or not, and the older forms that openssl writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pkcs8::der::Decode;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::{AskPassphrase, IssuerError, blocks};
use crate::engine::{PrivateKey, Random};
use crate::exposure;
use crate::pem;

/// Rounds of PBKDF2-HMAC-SHA-256 for a new key (OWASP, Password Storage, 2023).
const PBKDF2_ROUNDS: u32 = 600_000;

const PKCS8_ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Reads the private key in a file of one's own that no one else may read.
pub(super) fn read(path: &Path, ask: AskPassphrase<'_>) -> Result<PrivateKey, IssuerError> {
    let read_error = |source| IssuerError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(read_error)?;
    let exposure = exposure::of_secret(&file.metadata().map_err(read_error)?);
    if let Some(exposure) = exposure {
        return Err(IssuerError::Exposed {
            path: path.to_owned(),
            exposure,
        });
    }
    refuse_exposed_folder(path)?;
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => not_pem(path),
            _ => read_error(source),
        })?;
    let blocks = blocks(&text, path)?;
    let key = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let key = key.ok_or_else(|| not_pem(path))?;
    let key_error = |source| IssuerError::Key {
        path: path.to_owned(),
        source,
    };
    match key.label.as_str() {
        PKCS8_ENCRYPTED => decrypt(path, &key.der, ask),
        pem::PRIVATE_KEY => PrivateKey::from_pkcs8(&key.der).map_err(key_error),
        "EC PRIVATE KEY" => PrivateKey::from_sec1(&key.der).map_err(key_error),
        "RSA PRIVATE KEY" => Ok(PrivateKey::from_pkcs1(&key.der)),
        _ => Err(not_pem(path)),
    }
}

/// Refuses a file in whose place others could put one of theirs.
pub(super) fn refuse_exposed_folder(path: &Path) -> Result<(), IssuerError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let metadata = folder.metadata().map_err(|source| IssuerError::Read {
        path: folder.to_owned(),
        source,
    })?;
    match exposure::of_folder(&metadata) {
        None => Ok(()),
        Some(exposure) => Err(IssuerError::Exposed {
            path: folder.to_owned(),
            exposure,
        }),
    }
}

fn not_pem(path: &Path) -> IssuerError {
    IssuerError::NotPem {
        path: path.to_owned(),
        expected: pem::PRIVATE_KEY,
    }
}

fn decrypt(path: &Path, der: &[u8], ask: AskPassphrase<'_>) -> Result<PrivateKey, IssuerError> {
    let unsupported = || IssuerError::Encryption {
        path: path.to_owned(),
    };
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| unsupported())?;
    if encrypted.encryption_algorithm.pbes2().is_none() {
        return Err(unsupported());
    }
    let passphrase = ask(path).map_err(|source| IssuerError::NoPassphrase {
        path: path.to_owned(),
        source,
    })?;
    let wrong = || IssuerError::WrongPassphrase {
        path: path.to_owned(),
    };
    let document = encrypted
        .decrypt(passphrase.as_bytes())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => {
                unsupported()
            }
            _ => wrong(),
        })?;
    // A wrong passphrase leaves valid padding once in 256 times, and then anything but a key.
    PrivateKey::from_pkcs8(document.as_bytes()).map_err(|_| wrong())
}

/// Writes a new key file, mode 0600 from the moment it exists.
pub(super) fn write(path: &Path, pkcs8: &[u8], passphrase: Option<&str>) -> Result<(), IssuerError> {
    let text = match passphrase {
        None => Zeroizing::new(pem::encode(pem::PRIVATE_KEY, pkcs8)),
        Some("") => return Err(IssuerError::EmptyPassphrase),
        Some(passphrase) => {
            let random = Random.octets::<32>()?;
            let (salt, iv) = random.split_at(16);
            let iv = iv.try_into().expect("16 octets");
            // PBKDF2 rather than scrypt: every openssl since 1.0 opens it.
            let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(PBKDF2_ROUNDS, salt, iv)
                .expect("the parameters are in range");
            let encrypted = PrivateKeyInfoRef::from_der(pkcs8)
                .map(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
                .expect("the engine writes PKCS#8")
                .expect("the key is shorter than any limit");
            Zeroizing::new(pem::encode(PKCS8_ENCRYPTED, encrypted.as_bytes()))
        }
    };
    let write_error = |source| IssuerError::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(write_error)?;
    file.write_all(text.as_bytes()).map_err(write_error)?;
    file.sync_all().map_err(write_error)
}
