//! The key file of a CA: PKCS#8, encrypted or not, and the older forms that openssl writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pkcs8::der::Decode;
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::{AskSecret, IssuerError, Secret, blocks};
use crate::bounded;
use crate::engine::{PrivateKey, Random};
use crate::exposure;
use crate::pem;

/// Rounds of PBKDF2-HMAC-SHA-256 for a new key (OWASP, Password Storage, 2023).
const PBKDF2_ROUNDS: u32 = 600_000;

/// Work that a passphrase may take, at most: rounds of PBKDF2 (RFC 8018, 4.2 takes so many to be appropriate for the most
/// critical of keys), and N * r * p of scrypt, which is a gibibyte of memory for p = 1.
const MOST_ROUNDS: u32 = 10_000_000;
const MOST_BLOCKS: u64 = 1 << 23;

const PKCS8_ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Reads the private key in a file of one's own that no one else may read.
pub(super) fn read(path: &Path, ask: AskSecret<'_>) -> Result<PrivateKey, IssuerError> {
    let read_error = |source| IssuerError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    let exposure = exposure::of_secret(&file.metadata().map_err(read_error)?);
    if let Some(exposure) = exposure {
        return Err(IssuerError::Exposed {
            path: path.to_owned(),
            exposure,
        });
    }
    refuse_exposed_folder(path)?;
    let text = bounded::read_file_text(file).map_err(|source| match source.kind() {
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
    let of_folder = exposure::of_folder(&metadata).map(|exposure| (folder.to_owned(), exposure));
    let exposed = match of_folder {
        None => exposure::of_way_to(path).map_err(|source| IssuerError::Read {
            path: path.to_owned(),
            source,
        })?,
        found => found,
    };
    exposed.map_or(Ok(()), |(path, exposure)| {
        Err(IssuerError::Exposed { path, exposure })
    })
}

fn not_pem(path: &Path) -> IssuerError {
    IssuerError::NotPem {
        path: path.to_owned(),
        expected: pem::PRIVATE_KEY,
    }
}

fn decrypt(path: &Path, der: &[u8], ask: AskSecret<'_>) -> Result<PrivateKey, IssuerError> {
    let unsupported = || IssuerError::Encryption {
        path: path.to_owned(),
    };
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| unsupported())?;
    let pbes2 = encrypted.encryption_algorithm.pbes2().ok_or_else(unsupported)?;
    check_work(path, &pbes2.kdf)?;
    let passphrase = ask(Secret::Passphrase(path)).map_err(|source| IssuerError::NoPassphrase {
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

/// The file says how much work it takes to open it: nobody waits for hours, or gives all memory, because it says so.
fn check_work(path: &Path, kdf: &Kdf) -> Result<(), IssuerError> {
    let (is_bearable, work) = match kdf {
        Kdf::Pbkdf2(kdf) => (
            kdf.iteration_count <= MOST_ROUNDS,
            format!("{} rounds of PBKDF2", kdf.iteration_count),
        ),
        // N is a power of two, and greater than 1 (RFC 7914, 2); pkcs5 panics where it is 0.
        Kdf::Scrypt(kdf) if kdf.cost_parameter > 1 && kdf.cost_parameter.is_power_of_two() => {
            let blocks = u64::from(kdf.block_size) * u64::from(kdf.parallelization);
            let blocks = kdf.cost_parameter.checked_mul(blocks);
            let (n, r, p) = (kdf.cost_parameter, kdf.block_size, kdf.parallelization);
            (
                blocks.is_some_and(|blocks| blocks <= MOST_BLOCKS),
                format!("scrypt with N {n}, r {r}, p {p}"),
            )
        }
        // That, or a kind that pkcs5 will learn: it is not known what it costs.
        _ => {
            return Err(IssuerError::Encryption {
                path: path.to_owned(),
            });
        }
    };
    match is_bearable {
        true => Ok(()),
        false => Err(IssuerError::Work {
            path: path.to_owned(),
            work,
        }),
    }
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

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::{Pbkdf2Params, ScryptParams};

    use super::*;

    #[test]
    fn no_file_says_how_long_it_is_waited_for() {
        let pbkdf2 = |rounds| Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(rounds, b"12345678").unwrap());
        let scrypt = |log_n: u32, block_size, parallelization| {
            Kdf::Scrypt(ScryptParams {
                salt: b"12345678".as_slice().try_into().unwrap(),
                cost_parameter: 1 << log_n,
                block_size,
                parallelization,
                key_length: None,
            })
        };
        let nothing = check_work(Path::new("key.pem"), &scrypt(0, 8, 1));
        assert!(matches!(nothing, Err(IssuerError::Encryption { .. })));
        for (kdf, told) in [
            (pbkdf2(600_000), None),
            (pbkdf2(10_000_001), Some("10000001 rounds of PBKDF2")),
            (scrypt(14, 8, 1), None),
            (scrypt(20, 8, 1), None),
            (scrypt(40, 8, 1), Some("scrypt with N 1099511627776, r 8, p 1")),
            (scrypt(14, 8, 4096), Some("scrypt with N 16384, r 8, p 4096")),
        ] {
            let error = check_work(Path::new("key.pem"), &kdf).err();
            let expected = told.map(|told| format!("it would take {told} to open key.pem"));
            assert_eq!(error.map(|error| error.to_string()), expected);
        }
    }
}
