//! The issuer: a CA certificate and the signer proven to match it.
//!
//! An [`Issuer`] exists only once its certificate is a CA's, is within its validity, and a signature of its signer
//! verifies with its public key: wherever the private key lives, nobody has to show it. On disk it is a folder with `certificate.pem`, `key.pem` (PKCS#8,
//! encrypted by default, readable by its owner alone) and, for an intermediate, `chain.pem`: the
//! certificates above it, nearest first. A key that is elsewhere has `key.uri` in the place of `key.pem`: public facts, by
//! which it is found.

mod ca_certificate;
mod create;
mod crl;
mod key_file;
mod key_place;
mod rcgen_key;
mod registration;
mod request;
mod retire;
mod wrapped_key;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use ca_certificate::CaCertificate;
pub(crate) use ca_certificate::{key_identifier, key_identifiers, key_type};
pub use create::{CaRequest, NewCa, Protection, adopt, check, create, create_with};
pub use crl::{CRL_FILE, Crl, CrlRequest, RevocationCode, RevokedCertificate};

pub use key_place::{KEY_URI_FILE, KeyPlace};
pub use registration::{
    CertificateMode, REGISTRATION_FILE, Registered, read_registrations, remember_registration,
};
pub use retire::{FOR_BATCH_FILE, ForBatch, retire};
pub use wrapped_key::WRAPPED_KEY_FILE;

use crate::bounded;
use crate::engine::{Choice, EngineError, PrivateKeyError, Random, SignatureAlgorithm};
use crate::exposure::{self, Exposure};
use crate::pem::{self, PemError};
use crate::profile::{KeyType, rfc3339};
use crate::signer::{self, AccessError, KeyUri, Manner, Memory, Signer, SignerError, UriError};

pub const CERTIFICATE_FILE: &str = "certificate.pem";
pub const KEY_FILE: &str = "key.pem";
pub const CHAIN_FILE: &str = "chain.pem";
/// The host that the CA's devices connect to, once the CA is registered: `{"host": "…"}`.
pub const ENDPOINT_FILE: &str = "endpoint.json";

/// What can be wrong with a CA.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} exists already")]
    Exists { path: PathBuf },
    #[error("{path} holds no PEM {expected}")]
    NotPem { path: PathBuf, expected: &'static str },
    #[error("{path} is not an X.509 certificate")]
    NotCertificate { path: PathBuf },
    #[error("{path} is not a CA certificate: {reason}")]
    NotCa { path: PathBuf, reason: &'static str },
    #[error("{path} has a key that cannot be used: {algorithm}")]
    KeyAlgorithm { path: PathBuf, algorithm: String },
    #[error("{path} expired on {}", rfc3339(*.not_after))]
    Expired {
        path: PathBuf,
        not_after: OffsetDateTime,
    },
    #[error("{path} is not valid before {}", rfc3339(*.not_before))]
    NotYetValid {
        path: PathBuf,
        not_before: OffsetDateTime,
    },
    #[error("{key} is not the key of {certificate}")]
    KeyMismatch { certificate: PathBuf, key: String },
    #[error("{path} {exposure}")]
    Exposed { path: PathBuf, exposure: Exposure },
    #[error("{path} cannot be used as a CA key")]
    Key { path: PathBuf, source: PrivateKeyError },
    #[error("{path} cannot be read as PEM")]
    Pem { path: PathBuf, source: PemError },
    #[error("{path} is encrypted in the old PEM way (Proc-Type), not as PKCS#8")]
    LegacyEncryption { path: PathBuf },
    #[error("{path} is encrypted in a way that is not supported")]
    Encryption { path: PathBuf },
    #[error("it would take {work} to open {path}")]
    Work { path: PathBuf, work: String },
    #[error("{path} is no certificate revocation list of this CA: {reason}")]
    NotCrl { path: PathBuf, reason: &'static str },
    #[error("{path} names no endpoint")]
    Endpoint { path: PathBuf },
    #[error("{path} does not say where this CA was registered")]
    Registration { path: PathBuf, source: io::Error },
    #[error("{path} does not say where the key is")]
    KeyUri { path: PathBuf, source: UriError },
    #[error("{folder} has a key, and a URI of another")]
    TwoKeys { folder: PathBuf },
    #[error("{path} is not a key that was wrapped, or not whole")]
    WrappedKey { path: PathBuf },
    #[error("{path} is not opened by {uri}, or was changed")]
    WrappedByOther { path: PathBuf, uri: String },
    #[error("{path} does not say what a CA for a batch is")]
    ForBatch { path: PathBuf },
    #[error("{folder} is not a CA for one batch")]
    NotForBatch { folder: PathBuf },
    #[error("{folder} was retired at {at}: its key was destroyed")]
    Retired { folder: PathBuf, at: String },
    #[error("no passphrase for {path}")]
    NoPassphrase { path: PathBuf, source: io::Error },
    #[error("the passphrase does not open {path}")]
    WrongPassphrase { path: PathBuf },
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    #[error("{path}: {reason}")]
    Chain { path: PathBuf, reason: String },
    #[error("pathLen {path_len} of {ancestor} forbids an intermediate CA {} under it", depth(*.below))]
    PathLen {
        ancestor: String,
        path_len: u32,
        below: usize,
    },
    #[error("the new CA would be valid until {}, its parent only until {}", rfc3339(*.not_after), rfc3339(*.parent))]
    OutlivesParent {
        not_after: OffsetDateTime,
        parent: OffsetDateTime,
    },
    #[error("the parent's subject cannot be copied to the letter; its encoding is unusual")]
    ParentName,
    #[error("subject {attribute}={value:?} {reason}")]
    Subject {
        attribute: &'static str,
        value: String,
        reason: String,
    },
    #[error("the CA certificate cannot be made")]
    Create { source: rcgen::Error },
    #[error("the CA key cannot be used")]
    Engine {
        #[from]
        source: EngineError,
    },
    #[error(transparent)]
    Signer(#[from] SignerError),
}

fn depth(below: usize) -> String {
    match below {
        0 | 1 => "directly".to_owned(),
        n => format!("{n} levels"),
    }
}

impl IssuerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                format!("a CA is {CERTIFICATE_FILE} and {KEY_FILE} in a folder, or two files; `certforge ca new` makes one")
            }
            Self::Exists { .. } => "a CA is never overwritten; choose another folder with --to".to_owned(),
            Self::NotCa { .. } => {
                "device certificates are signed by a CA: basicConstraints CA:TRUE and, if there is a keyUsage, keyCertSign"
                    .to_owned()
            }
            Self::KeyAlgorithm { .. } => {
                "use P-256, P-384, P-521, or RSA of 2048, 3072 or 4096 bits".to_owned()
            }
            Self::Expired { .. } => "`certforge ca new` makes a new CA; AWS IoT must be told of it".to_owned(),
            Self::NotYetValid { .. } => "check this machine's clock".to_owned(),
            Self::KeyMismatch { .. } => format!("{CERTIFICATE_FILE} and {KEY_FILE} must belong together"),
            Self::Exposed { path, exposure } => exposure.hint(path),
            Self::LegacyEncryption { path } | Self::Encryption { path } | Self::Work { path, .. } => format!(
                "`openssl pkcs8 -topk8 -v2 aes-256-cbc -in {} -out new.pem` writes it as certforge reads it",
                path.display()
            ),
            Self::NoPassphrase { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "a passphrase file must be readable by its owner alone".to_owned()
            }
            Self::NoPassphrase { .. } | Self::WrongPassphrase { .. } => {
                "give it with --passphrase-file FILE (a parent's with --parent-passphrase-file), in CERTFORGE_CA_PASSPHRASE, or at the prompt"
                    .to_owned()
            }
            Self::Endpoint { .. } => {
                "it holds {\"host\": \"…\"}; remove it, and `certforge jitp register` writes it anew".to_owned()
            }
            Self::Registration { .. } => {
                "remove it, and `certforge jitp register` writes it anew".to_owned()
            }
            Self::EmptyPassphrase => "give one, or ask for --no-passphrase".to_owned(),
            Self::Key {
                source: PrivateKeyError::Algorithm(_) | PrivateKeyError::Curve,
                ..
            } => "use P-256, P-384, P-521, or RSA of 2048, 3072 or 4096 bits".to_owned(),
            Self::NotPem { .. } | Self::NotCertificate { .. } | Self::Key { .. } | Self::Pem { .. } => {
                "give PEM, as `openssl x509` and `openssl pkey` write it".to_owned()
            }
            Self::Chain { .. } => {
                "list the certificates above the CA, nearest first, each signed by the next".to_owned()
            }
            Self::NotCrl { .. } => {
                "name another file with --to, or move that one away: a list's number must be higher than that of the list before"
                    .to_owned()
            }
            Self::Subject { .. } => "a country is two letters, other values have at most 64 characters".to_owned(),
            Self::Read { .. } | Self::Write { .. } => "check the path and who may use it".to_owned(),
            Self::ParentName => "use another parent; one relative name may hold one attribute".to_owned(),
            Self::PathLen { .. } => "give the new CA a smaller --path-len, or make the ancestor with a larger one".to_owned(),
            Self::OutlivesParent { .. } => "give fewer --days".to_owned(),
            Self::KeyUri { source, .. } => source.hint().to_owned(),
            Self::TwoKeys { .. } => format!("remove the one that is not the certificate's: {KEY_FILE} or {KEY_URI_FILE}"),
            Self::WrappedKey { .. } | Self::ForBatch { .. } => "fetch it from a copy of the CA's folder".to_owned(),
            Self::WrappedByOther { .. } => {
                "the token's key is another one than it was, or certificate and key are not of one CA: nothing of it is used"
                    .to_owned()
            }
            Self::NotForBatch { .. } => {
                "only CAs that were made with `certforge ca new --for-batch` are retired; of another, remove the key yourself if you are sure"
                    .to_owned()
            }
            Self::Retired { .. } => {
                "make a CA for the next batch: certforge ca new --parent ROOT --for-batch; for bundles made anew the CA above it signs, `certforge bundle … --parent ROOT`".to_owned()
            }
            Self::Signer(error) => return error.hint(),
            Self::Create { .. } | Self::Engine { .. } => return None,
        })
    }
}

/// Where the parts of a CA are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFiles {
    /// PEM; the first certificate counts.
    pub certificate: PathBuf,
    pub key: KeyPlace,
    /// PEM: the certificates above, nearest first.
    pub chain: Option<PathBuf>,
}

impl CaFiles {
    /// The files of a CA folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            certificate: folder.join(CERTIFICATE_FILE),
            key: KeyPlace::in_folder(folder),
            chain: Some(folder.join(CHAIN_FILE)).filter(|chain| chain.exists()),
        }
    }
}

/// A CA that can sign device certificates.
#[derive(Debug)]
pub struct Issuer {
    certificate: CaCertificate,
    signer: Box<dyn Signer>,
    chain: Vec<CaCertificate>,
}

/// What is asked for, to use a key.
#[derive(Debug, Clone, Copy)]
pub enum Secret<'a> {
    /// The passphrase of a key file.
    Passphrase(&'a Path),
    /// The PIN of the token of this name.
    Pin(&'a str),
}

/// Asks for a secret; called only when there is need.
pub type AskSecret<'a> = &'a mut dyn FnMut(Secret<'_>) -> io::Result<Zeroizing<String>>;

impl Issuer {
    /// Loads a CA. If its key is in a file, an engine of the choice will sign with it.
    ///
    /// # Errors
    ///
    /// When it is incomplete, not a CA, not valid `now`, its key does not match, can be read by
    /// others, cannot be decrypted or reached or is not taken by the engine, or a certificate above it forbids it.
    pub fn load(
        files: &CaFiles,
        engines: &Choice,
        now: OffsetDateTime,
        ask: AskSecret<'_>,
    ) -> Result<Self, IssuerError> {
        let (certificate, chain) = read_valid(files, now)?;
        let path = match &files.key {
            KeyPlace::File(path) | KeyPlace::Wrapped(path) => path,
            KeyPlace::NamedBy(path) => {
                let uri = key_place::read(path)?;
                return Self::elsewhere(files, certificate, chain, &uri, ask);
            }
            KeyPlace::Elsewhere(uri) => return Self::elsewhere(files, certificate, chain, uri, ask),
        };
        retire::refuse_retired(folder_of(path))?;
        let place = path.display().to_string();
        let key = match &files.key {
            KeyPlace::Wrapped(path) => wrapped_key::read(path, certificate.der(), ask)?,
            _ => key_file::read(path, ask)?,
        };
        let Some(key) = key.prove(certificate.public_key()) else {
            return Err(mismatch(files, place));
        };
        let signer = Memory::new(&key, place, engines).map_err(SignerError::from)?;
        Self::proven(files, certificate, chain, Box::new(signer))
    }

    fn elsewhere(
        files: &CaFiles,
        certificate: CaCertificate,
        chain: Vec<CaCertificate>,
        uri: &KeyUri,
        ask: AskSecret<'_>,
    ) -> Result<Self, IssuerError> {
        let (key_type, public_key) = (certificate.key_type(), certificate.public_key());
        let mut ask_pin = |token: &str| ask(Secret::Pin(token));
        let signer = signer::open_for(uri, key_type, public_key, &mut ask_pin)?;
        Self::proven(files, certificate, chain, signer).map_err(|error| match error {
            // Its signature is sound, and not that of the certificate's key: whoever gave it is not to blame.
            IssuerError::Signer(SignerError::Access(AccessError::Wrong { place })) => mismatch(files, place),
            error => error,
        })
    }

    /// Loads a CA whose key is wherever its signer is; `files.key` is not read.
    ///
    /// # Errors
    ///
    /// When it is incomplete, not a CA, not valid `now`, the signer does not match or does not answer, or a certificate
    /// above it forbids it.
    pub fn with_signer(
        files: &CaFiles,
        signer: Box<dyn Signer>,
        now: OffsetDateTime,
    ) -> Result<Self, IssuerError> {
        let (certificate, chain) = read_valid(files, now)?;
        Self::proven(files, certificate, chain, signer)
    }

    /// Lets the signer sign what nobody has ever seen, and can take for nothing else.
    fn proven(
        files: &CaFiles,
        certificate: CaCertificate,
        chain: Vec<CaCertificate>,
        signer: Box<dyn Signer>,
    ) -> Result<Self, IssuerError> {
        let mut message = b"certforge: a signer has the key of its issuer: ".to_vec();
        message.extend_from_slice(&Random.octets::<32>()?);
        let issuer = Self {
            certificate,
            signer,
            chain,
        };
        let mut signature = [Vec::new()];
        issuer.sign(&[&message], &mut signature)?;
        let algorithm = SignatureAlgorithm::for_key(issuer.key_type());
        let is_own = issuer.certificate.has_signed(&message, &signature[0]);
        match is_own && issuer.algorithm() == algorithm {
            true => Ok(issuer),
            false => Err(mismatch(files, issuer.signer.place().to_owned())),
        }
    }

    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.certificate.key_type()
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    /// What makes its signatures, as [`Signer::engine`] says.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.signer.engine()
    }

    /// Where its key is, as a person reads it.
    #[must_use]
    pub fn place(&self) -> &str {
        self.signer.place()
    }

    /// How its signer wants to be asked.
    #[must_use]
    pub fn manner(&self) -> Manner {
        self.signer.manner()
    }

    /// Asks its signer. Certificates of devices come here as `Linted` alone.
    pub(crate) fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
        signer::ask(&*self.signer, messages, signatures)
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn mismatch(files: &CaFiles, key: String) -> IssuerError {
    IssuerError::KeyMismatch {
        certificate: files.certificate.clone(),
        key,
    }
}

/// The certificate of a CA, which is valid, and those above it, which allow it.
fn read_valid(
    files: &CaFiles,
    now: OffsetDateTime,
) -> Result<(CaCertificate, Vec<CaCertificate>), IssuerError> {
    let (certificate, chain) = read_public(files)?;
    certificate.check_validity(&files.certificate, now)?;
    let path = files.chain.as_deref().unwrap_or(&files.certificate);
    check_chain(&certificate, &chain, path, now)?;
    Ok((certificate, chain))
}

/// The certificate of a CA and those above it; its key is not touched.
///
/// # Errors
///
/// When they cannot be read, or are no CA's.
pub fn read_public(files: &CaFiles) -> Result<(CaCertificate, Vec<CaCertificate>), IssuerError> {
    let certificate = CaCertificate::read(&files.certificate)?;
    let mut chain = match &files.chain {
        Some(path) => CaCertificate::read_chain(path)?,
        None => Vec::new(),
    };
    // Other tools begin a chain with the certificate itself.
    if chain.first() == Some(&certificate) {
        chain.remove(0);
    }
    Ok((certificate, chain))
}

/// The host that is noted in a CA's [`ENDPOINT_FILE`]; `None` when there is no such file.
///
/// # Errors
///
/// When it cannot be read, others may write to it, or it names none.
pub fn read_endpoint(path: &Path) -> Result<Option<String>, IssuerError> {
    let Some(text) = own_text(path)? else {
        return Ok(None);
    };
    let note: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let host = note.as_ref().and_then(|note| note["host"].as_str());
    match host.filter(|host| !host.is_empty()) {
        Some(host) => Ok(Some(host.to_owned())),
        None => Err(IssuerError::Endpoint {
            path: path.to_owned(),
        }),
    }
}

/// The text of a file that nobody else may write to; `None`: there is none.
fn own_text(path: &Path) -> Result<Option<String>, IssuerError> {
    let read = || {
        let file = File::open(path)?;
        let exposure = exposure::of_file(&file.metadata()?);
        Ok((exposure, bounded::read_file_text(file)?))
    };
    match read() {
        Ok((None, text)) => Ok(Some(text.as_str().to_owned())),
        Ok((Some(exposure), _)) => Err(IssuerError::Exposed {
            path: path.to_owned(),
            exposure,
        }),
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IssuerError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The PEM blocks of a CA's file.
fn blocks(text: &str, path: &Path) -> Result<Vec<pem::Block>, IssuerError> {
    pem::blocks(text).map_err(|source| match source {
        PemError::LegacyEncryption => IssuerError::LegacyEncryption {
            path: path.to_owned(),
        },
        PemError::Malformed => IssuerError::Pem {
            path: path.to_owned(),
            source,
        },
    })
}

fn check_chain(
    certificate: &CaCertificate,
    chain: &[CaCertificate],
    path: &Path,
    now: OffsetDateTime,
) -> Result<(), IssuerError> {
    let mut below = certificate;
    for (depth, ancestor) in chain.iter().enumerate() {
        ancestor.check_validity(path, now)?;
        if !below.is_signed_by(ancestor) {
            return Err(IssuerError::Chain {
                path: path.to_owned(),
                reason: format!(
                    "{} did not sign {}",
                    ancestor.subject_text(),
                    below.subject_text()
                ),
            });
        }
        ancestor.check_path_len(depth + 1)?;
        below = ancestor;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Attribute, NotAfter};

    fn new_ca(folder: &Path) -> (CaFiles, Memory) {
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "Test CA".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: Some(0),
        };
        let new = create(&request, None, OffsetDateTime::now_utc()).unwrap();
        new.write(folder, None).unwrap();
        let files = CaFiles::in_folder(folder);
        let path = folder.join(KEY_FILE);
        let key = key_file::read(&path, &mut |_| unreachable!("it is not encrypted")).unwrap();
        let key = key.prove(new.certificate().public_key()).unwrap();
        let signer = Memory::new(&key, "token".to_owned(), &Choice::Auto).unwrap();
        (files, signer)
    }

    #[test]
    fn a_signer_with_another_key_makes_no_issuer() {
        let place = tempfile::tempdir().unwrap();
        let (files, own) = new_ca(&place.path().join("one"));
        let (_, others) = new_ca(&place.path().join("other"));
        let now = OffsetDateTime::now_utc();
        assert!(Issuer::with_signer(&files, Box::new(own), now).is_ok());
        let refused = Issuer::with_signer(&files, Box::new(others), now).unwrap_err();
        assert!(matches!(refused, IssuerError::KeyMismatch { .. }));
        let certificate = files.certificate.display();
        assert_eq!(
            refused.to_string(),
            format!("token is not the key of {certificate}")
        );
    }
}
