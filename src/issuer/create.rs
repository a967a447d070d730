//! New CAs: a root, or an intermediate under an existing issuer. rcgen encodes, a signer signs.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, KeyIdMethod,
    KeyUsagePurpose, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::ca_certificate::key_identifier;
use super::key_place::{self, KEY_URI_FILE};
use super::rcgen_key::RcgenKey;
use super::retire::ForBatch;
use super::wrapped_key::{self, WRAPPED_KEY_FILE};
use super::{
    AskSecret, CERTIFICATE_FILE, CHAIN_FILE, CaCertificate, CaFiles, Issuer, IssuerError, KEY_FILE, KeyPlace,
    key_file,
};
use crate::engine::{Choice, DeviceKey, PrivateKey, Random};
use crate::profile::{Attribute, KeyType, NotAfter, Period, Validity, ValidityError, no_expiry};
use crate::signer::{KeyUri, Memory, PublicKey, Signer};

/// What a new CA shall be.
#[derive(Debug, Clone)]
pub struct CaRequest {
    /// In DN order.
    pub subject: Vec<(Attribute, String)>,
    pub key_type: KeyType,
    /// [`NotAfter::Issuer`]: as long as the parent; of a root, without end.
    pub not_after: NotAfter,
    /// CAs that may stand below it; `None`: any number.
    pub path_len: Option<u8>,
}

/// A CA that is not yet on disk.
#[derive(Debug)]
pub struct NewCa {
    certificate: CaCertificate,
    key: NewKey,
    chain: Vec<CaCertificate>,
}

/// The key of a CA that is not yet on disk.
#[derive(Debug)]
enum NewKey {
    Here(DeviceKey),
    Elsewhere(KeyUri),
}

/// How the key of a CA for one batch is kept on disk.
#[derive(Debug, Clone, Copy)]
pub enum Protection<'a> {
    Passphrase(&'a str),
    /// By a key in a token.
    Key(&'a KeyUri),
}

/// Makes a CA, with a key of its own: self-signed, or signed by `parent`.
///
/// # Errors
///
/// When the subject breaks X.520's bounds, or the parent may not have such a CA below it.
pub fn create(
    request: &CaRequest,
    parent: Option<&Issuer>,
    now: OffsetDateTime,
) -> Result<NewCa, IssuerError> {
    check(request, parent, now)?;
    let engine = Choice::Auto.for_keys(request.key_type)?;
    let mut keys = [DeviceKey::default()];
    engine.make_keys(request.key_type, &mut keys)?;
    let [key] = keys;
    let signing_key = PrivateKey::from_pkcs8(key.pkcs8())
        .ok()
        .and_then(|private| private.prove(key.public_key()))
        .expect("the engine's key is sound");
    let signer = Memory::new(&signing_key, "a new key".to_owned(), &Choice::Auto)?;
    let (certificate, chain) = certify(request, parent, now, (key.public_key(), &signer))?;
    Ok(NewCa {
        certificate,
        key: NewKey::Here(key),
        chain,
    })
}

/// Makes a CA with a key that is elsewhere: self-signed, or signed by `parent`.
///
/// # Errors
///
/// When the subject breaks X.520's bounds, the parent may not have such a CA below it, or the key does not sign.
pub fn create_with(
    request: &CaRequest,
    parent: Option<&Issuer>,
    now: OffsetDateTime,
    key: (&KeyUri, &PublicKey, &dyn Signer),
) -> Result<NewCa, IssuerError> {
    let (uri, public, signer) = key;
    let request = CaRequest {
        key_type: public.key_type,
        ..request.clone()
    };
    check(&request, parent, now)?;
    let (certificate, chain) = certify(&request, parent, now, (&public.octets, signer))?;
    Ok(NewCa {
        certificate,
        key: NewKey::Elsewhere(uri.clone()),
        chain,
    })
}

/// Takes over a CA whose key is elsewhere, proven to be that of its certificate.
///
/// # Errors
///
/// When it is not, or it is no CA that could sign.
pub fn adopt(
    certificate: &Path,
    chain: Option<&Path>,
    uri: &KeyUri,
    now: OffsetDateTime,
    ask: AskSecret<'_>,
) -> Result<NewCa, IssuerError> {
    let files = CaFiles {
        certificate: certificate.to_owned(),
        key: KeyPlace::Elsewhere(uri.clone()),
        chain: chain.map(Path::to_owned),
    };
    let Issuer {
        certificate, chain, ..
    } = Issuer::load(&files, &Choice::Auto, now, ask)?;
    Ok(NewCa {
        certificate,
        key: NewKey::Elsewhere(uri.clone()),
        chain,
    })
}

/// Whether such a CA may be, before a key is made for it.
///
/// # Errors
///
/// When the subject breaks X.520's bounds, or the parent may not have such a CA below it.
pub fn check(request: &CaRequest, parent: Option<&Issuer>, now: OffsetDateTime) -> Result<(), IssuerError> {
    let ancestors = parent
        .into_iter()
        .flat_map(|parent| std::iter::once(&parent.certificate).chain(&parent.chain));
    for (depth, ancestor) in ancestors.enumerate() {
        // The new CA itself, and those that it may have below it.
        ancestor.check_path_len(depth + 1 + usize::from(request.path_len.unwrap_or(0)))?;
    }
    params(request, parent, now, &[]).map(drop)
}

/// The certificate of a key, and those above it.
fn certify(
    request: &CaRequest,
    parent: Option<&Issuer>,
    now: OffsetDateTime,
    (public_key, signer): (&[u8], &dyn Signer),
) -> Result<(CaCertificate, Vec<CaCertificate>), IssuerError> {
    let params = params(request, parent, now, public_key)?;
    let own = RcgenKey::new(request.key_type, public_key, signer);
    let (certificate, chain) = match parent {
        None => (own.signed(params.self_signed(&own))?, Vec::new()),
        Some(parent) => {
            let der = parent.certificate.der().into();
            let key = RcgenKey::new(
                parent.key_type(),
                parent.certificate.public_key(),
                &*parent.signer,
            );
            let issuer = rcgen::Issuer::from_ca_cert_der(&der, &key).map_err(|_| IssuerError::ParentName)?;
            let certificate = key.signed(params.signed_by(&own, &issuer))?;
            let chain = std::iter::once(&parent.certificate)
                .chain(&parent.chain)
                .cloned()
                .collect();
            (certificate, chain)
        }
    };
    let certificate = CaCertificate::from_der(certificate.der(), Path::new(CERTIFICATE_FILE))?;
    if parent.is_some_and(|parent| !certificate.is_signed_by(&parent.certificate)) {
        return Err(IssuerError::ParentName);
    }
    Ok((certificate, chain))
}

fn params(
    request: &CaRequest,
    parent: Option<&Issuer>,
    now: OffsetDateTime,
    public_key: &[u8],
) -> Result<CertificateParams, IssuerError> {
    let mut name = DistinguishedName::new();
    for (attribute, value) in &request.subject {
        attribute.check(value).map_err(|reason| IssuerError::Subject {
            attribute: attribute.name(),
            value: value.clone(),
            reason: reason.to_string(),
        })?;
        let text = if attribute.is_printable_string() {
            DnValue::PrintableString(
                value
                    .as_str()
                    .try_into()
                    .map_err(|source| IssuerError::Create { source })?,
            )
        } else {
            DnValue::Utf8String(value.clone())
        };
        name.push(DnType::from_oid(&[2, 5, 4, u64::from(attribute.arc())]), text);
    }
    let period = period(request, parent, now)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = period.not_before;
    params.not_after = period.not_after;
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::Ca(match request.path_len {
        Some(path_len) => BasicConstraints::Constrained(path_len),
        None => BasicConstraints::Unconstrained,
    });
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = parent.is_some();
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(public_key).to_vec());
    Ok(params)
}

/// Valid from a day ago, so that certificates backdated against slow clocks stay inside.
fn period(request: &CaRequest, parent: Option<&Issuer>, now: OffsetDateTime) -> Result<Period, IssuerError> {
    let around = match parent {
        Some(parent) => parent.certificate.period(),
        None => Period {
            not_before: now - Duration::days(365),
            not_after: no_expiry(),
        },
    };
    let validity = Validity {
        backdate: Duration::DAY,
        not_after: request.not_after,
    };
    validity.period(now, around).map_err(|error| match error {
        ValidityError::OutlivesIssuer { not_after, issuer } => IssuerError::OutlivesParent {
            not_after,
            parent: issuer,
        },
        ValidityError::Past { not_after } => IssuerError::Expired {
            path: CERTIFICATE_FILE.into(),
            not_after,
        },
    })
}

/// 16 octets, positive and of full length.
fn serial() -> Result<SerialNumber, IssuerError> {
    let mut octets = Random.octets::<16>()?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&octets))
}

impl NewCa {
    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Writes the CA into a folder that must not exist; it appears there whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder exists or cannot be written.
    pub fn write(&self, folder: &Path, passphrase: Option<&str>) -> Result<(), IssuerError> {
        self.write_whole(folder, &mut |scratch| self.write_key(scratch, passphrase))
    }

    /// The same of a CA for one batch, whose key is on disk only encrypted.
    ///
    /// # Errors
    ///
    /// When the folder exists or cannot be written, or the key is not wrapped.
    pub fn write_for_batch(
        &self,
        folder: &Path,
        protection: Protection<'_>,
        ask: AskSecret<'_>,
    ) -> Result<(), IssuerError> {
        self.write_whole(folder, &mut |scratch| {
            ForBatch { retired_at: None }.write(scratch)?;
            match (protection, &self.key) {
                (Protection::Key(uri), NewKey::Here(key)) => {
                    let path = scratch.join(WRAPPED_KEY_FILE);
                    wrapped_key::write(&path, (key.pkcs8(), self.certificate.der()), uri, ask)
                }
                (Protection::Passphrase(passphrase), _) => self.write_key(scratch, Some(passphrase)),
                (Protection::Key(_), NewKey::Elsewhere(_)) => self.write_key(scratch, None),
            }
        })
    }

    fn write_whole(
        &self,
        folder: &Path,
        write_key: &mut dyn FnMut(&Path) -> Result<(), IssuerError>,
    ) -> Result<(), IssuerError> {
        let write_error = |source| IssuerError::Write {
            path: folder.to_owned(),
            source,
        };
        if folder.symlink_metadata().is_ok() {
            return Err(IssuerError::Exists {
                path: folder.to_owned(),
            });
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(write_error)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let scratch = parent.join(format!(".{name}.{}.new", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&scratch)
            .map_err(write_error)?;
        let result = write_key(&scratch)
            .and_then(|()| self.write_files(&scratch))
            .and_then(|()| {
                // The rename fails when the folder has appeared meanwhile and is not empty.
                fs::rename(&scratch, folder).map_err(write_error)?;
                sync_folder(parent).map_err(write_error)
            });
        if result.is_err() {
            let _ = fs::remove_dir_all(&scratch);
        }
        result
    }

    fn write_key(&self, folder: &Path, passphrase: Option<&str>) -> Result<(), IssuerError> {
        match &self.key {
            NewKey::Here(key) => key_file::write(&folder.join(KEY_FILE), key.pkcs8(), passphrase),
            NewKey::Elsewhere(uri) => key_place::write(&folder.join(KEY_URI_FILE), uri),
        }
    }

    fn write_files(&self, folder: &Path) -> Result<(), IssuerError> {
        write_text(&folder.join(CERTIFICATE_FILE), &self.certificate.to_pem())?;
        if !self.chain.is_empty() {
            let chain: String = self.chain.iter().map(CaCertificate::to_pem).collect();
            write_text(&folder.join(CHAIN_FILE), &chain)?;
        }
        sync_folder(folder).map_err(|source| IssuerError::Write {
            path: folder.to_owned(),
            source,
        })
    }
}

fn write_text(path: &Path, text: &str) -> Result<(), IssuerError> {
    fs::write(path, text)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(|source| IssuerError::Write {
            path: path.to_owned(),
            source,
        })
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
