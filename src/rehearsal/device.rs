//! A device: what it has from its bundle, found by what the files hold, whatever they are named.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::content::{Content, is_issued_by, read};
use super::known::{self, Shut};
use crate::batch::IndexEntry;
use crate::bundle::encryption::{DecryptError, Identities, decrypt, is_encrypted};
use crate::bundle::format::{Beside, Unread};
use crate::bundle::{
    self, Delivered, EndpointFile, OpenError, Opened, Recipe, Secrets, is_bundle, open_unknown,
};
use crate::digest::sha256;
use crate::profile::Passwords;

/// What a device knows of itself and of where to connect.
pub struct Device {
    /// Of its certificate.
    pub certificate_id: String,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its subject's CN, if it has one.
    pub common_name: Option<String>,
    /// Where it connects, and as whom; `None`: the bundle does not say.
    pub endpoint: Option<EndpointFile<'static>>,
    /// The roots in the bundle, DER, Amazon's as a rule.
    pub roots: Vec<Vec<u8>>,
    /// Which files of the bundle they are from.
    pub files: Files,
    key: Arc<dyn SigningKey>,
    /// Leaf first.
    chain: Vec<CertificateDer<'static>>,
}

/// Files of a bundle that are PEM, by what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    pub key: Option<String>,
    /// The device's certificate, with no other or, failing that, with others.
    pub certificate: Option<String>,
    /// The device's certificate with most others.
    pub chain: Option<String>,
    pub root: Option<String>,
}

/// What of its certificates a device sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    Chain,
    LeafOnly,
}

impl Sends {
    #[must_use]
    pub fn new(leaf_only: bool) -> Self {
        match leaf_only {
            true => Self::LeafOnly,
            false => Self::Chain,
        }
    }
}

/// A bundle that no device can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error(transparent)]
    Zip(#[from] OpenError),
    #[error(transparent)]
    Encrypted(#[from] DecryptError),
    #[error(
        "{name} opens with a password that is not at hand: a column of the manifest, or a file for --pkcs12-password-file"
    )]
    Locked { name: String },
    #[error("{name} opens with none of the passwords and keys beside it")]
    NotOpened { name: String },
    #[error("{name} holds the key as the DS peripheral of its chip needs it, and nothing else can use it")]
    InHardware { name: String },
    #[error("the bundle has no private key in PEM, DER, PKCS#12, esp_secure_cert or NVS")]
    NoKey,
    #[error("the bundle's private key is of no use to TLS")]
    Key,
    #[error("the bundle has no certificate for its private key")]
    NoCertificate,
}

impl Device {
    /// Opens a bundle, which may be its one file itself; one that is encrypted by these identities, and files by these passwords.
    ///
    /// # Errors
    ///
    /// When a device could not use it.
    pub fn open(
        octets: &[u8],
        identities: Option<&Identities>,
        passwords: &Passwords,
    ) -> Result<Self, DeviceError> {
        let identities = identities.filter(|_| is_encrypted(octets));
        let plain = identities.map(|own| decrypt(octets, own)).transpose()?;
        let plain = plain.as_ref().map_or(octets, |plain| plain.as_slice());
        match known::is_of_a_device(plain) {
            true => {
                let file = ("the file".to_owned(), Zeroizing::new(plain.to_vec()));
                Self::from_files(vec![file], passwords)
            }
            false => Self::from_files(open_unknown(plain)?, passwords),
        }
    }

    /// Opens the bundle of a batch that the index has so, and that was made by this recipe; with the files that its devices
    /// share. Encrypted ones are read by these identities.
    ///
    /// # Errors
    ///
    /// When it is another, or a device could not use it.
    pub fn of_batch(
        octets: &[u8],
        entry: &IndexEntry,
        recipe: &Recipe,
        (shared, identities): (&bundle::Files, Option<&Identities>),
    ) -> Result<Self, DeviceError> {
        if sha256(octets) != entry.sha256 {
            return Err(OpenError::OtherDigest.into());
        }
        let plain = identities.map(|own| decrypt(octets, own)).transpose()?;
        let plain = plain.as_ref().map_or(octets, |plain| plain.as_slice());
        let files = bundle::examine(plain, recipe, entry.device_id.as_str())?;
        let mut contents = Vec::new();
        let delivered = Delivered::by(&files);
        for file in &files {
            contents.extend(of_member(file, delivered.secrets())?);
        }
        for (name, octets) in shared {
            contents.extend(
                read(octets.clone())
                    .into_iter()
                    .map(|content| (name.clone(), content)),
            );
        }
        Self::from_contents(contents)
    }

    /// Takes the files of a bundle, by name, and what opens those with a password.
    ///
    /// # Errors
    ///
    /// When a device could not use them.
    pub fn from_files(files: bundle::Files, passwords: &Passwords) -> Result<Self, DeviceError> {
        let bundles = files.iter().filter(|(name, _)| is_bundle(name)).count();
        if bundles > 0 && bundles == files.len() {
            return Err(OpenError::Pack { bundles }.into());
        }
        let openers = known::openers(&files, passwords);
        let mut contents = Vec::new();
        for (name, octets) in files {
            let found = known::read(&openers, &name, octets).map_err(|shut| match shut {
                Shut::Locked => DeviceError::NotOpened { name: name.clone() },
                Shut::InHardware => DeviceError::InHardware { name: name.clone() },
            })?;
            contents.extend(found.into_iter().map(|content| (name.clone(), content)));
        }
        Self::from_contents(contents)
    }

    fn from_contents(contents: Vec<(String, Content)>) -> Result<Self, DeviceError> {
        let mut endpoint = None;
        let mut keys = Vec::new();
        let mut lists = Vec::new();
        for (name, content) in contents {
            match content {
                Content::Endpoint(found) => endpoint = Some(found),
                Content::Key { der, is_pem } => keys.push((der, is_pem.then(|| name.clone()))),
                Content::Certificates { ders, is_pem } => {
                    lists.push((ders, is_pem.then(|| name.clone())));
                }
            }
        }
        if keys.is_empty() {
            return Err(DeviceError::NoKey);
        }
        // A file of the user's own may look like a key in DER.
        let usable = |(der, file): (Zeroizing<Vec<u8>>, _)| {
            let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).ok()?;
            Some((key, file))
        };
        let (key, key_file) = keys.into_iter().find_map(usable).ok_or(DeviceError::Key)?;
        let is_own = |list: &Vec<Vec<u8>>| {
            let first = CertificateDer::from(list[0].clone());
            CertifiedKey::new(vec![first], key.clone()).keys_match().is_ok()
        };
        let (mut own, others): (Vec<_>, Vec<_>) = lists.into_iter().partition(|(list, _)| is_own(list));
        own.sort_by_key(|(list, _)| list.len());
        let (mut chain, _) = own.last().ok_or(DeviceError::NoCertificate)?.clone();
        let is_issuer = |list: &[Vec<u8>]| is_issued_by(&chain[0], &list[0]);
        let roots = others.iter().filter(|(list, _)| is_root(&list[0]));
        // By which it would know its own certificate, and no endpoint.
        let (issuers, known): (Vec<_>, Vec<_>) = roots.clone().partition(|(list, _)| is_issuer(list));
        let root = known
            .into_iter()
            .chain(issuers)
            .find_map(|(_, name)| name.clone());
        // Firmware joins its certificate and its issuer's when each is in a file of its own.
        let apart = others.iter().find(|(list, _)| is_issuer(list));
        if let Some((list, _)) = apart.filter(|_| chain.len() == 1) {
            chain.extend_from_slice(list);
        }
        let files = Files {
            key: key_file,
            certificate: own.iter().find_map(|(_, name)| name.clone()),
            chain: own.iter().rev().find_map(|(_, name)| name.clone()),
            root,
        };
        Ok(Self {
            certificate_id: HEXLOWER.encode(&sha256(&chain[0])),
            common_name: common_name(&chain[0]),
            certificate: chain[0].clone(),
            endpoint,
            roots: roots.flat_map(|(list, _)| list.clone()).collect(),
            files,
            key,
            chain: chain.into_iter().map(CertificateDer::from).collect(),
        })
    }

    /// The client id that it connects with: what endpoint.json says, or else the certificate's CN.
    #[must_use]
    pub fn client_id(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref();
        endpoint
            .map(|endpoint| endpoint.client_id.to_string())
            .or_else(|| self.common_name.clone())
    }

    /// What TLS needs to be this device.
    pub(super) fn certified_key(&self, sends: Sends) -> CertifiedKey {
        let count = match sends {
            Sends::Chain => self.chain.len(),
            Sends::LeafOnly => 1,
        };
        CertifiedKey::new(self.chain[..count].to_vec(), self.key.clone())
    }
}

/// What a file of a batch holds: by the recipe, or, where its format is none of its own, as any bundle's.
fn of_member(file: &Opened<'_>, secrets: Secrets<'_>) -> Result<Vec<(String, Content)>, DeviceError> {
    let name = file.name.to_string();
    let member = file.member;
    let is_plain = ["pem", "der", "json", "raw"].contains(&member.format().name());
    if member
        .contents()
        .iter()
        .any(|content| matches!(content, bundle::Content::Drawn(_)))
    {
        return Ok(Vec::new());
    }
    if is_plain && member.texts().is_empty() {
        let contents = read(file.octets.clone()).into_iter();
        return Ok(contents.map(|content| (name.clone(), content)).collect());
    }
    let beside = Beside { texts: None, secrets };
    let values = match member.read(&file.octets, &beside) {
        Err(Unread::Locked) => return Err(DeviceError::Locked { name }),
        values => values.unwrap_or_default(),
    };
    let contents = values.into_iter().filter_map(Content::of);
    Ok(contents.map(|content| (name.clone(), content)).collect())
}

fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    Some(name.as_str().ok()?.to_owned())
}

fn is_root(der: &[u8]) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| certificate.subject().as_raw() == certificate.issuer().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

    #[test]
    fn a_device_sends_the_issuer_that_is_in_a_file_of_its_own() {
        let named = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let (ca_key, leaf_key, root_key) = [0; 3].map(|_| KeyPair::generate().unwrap()).into();
        let mut ca = named("CA");
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = named("root").self_signed(&root_key).unwrap();
        let issuer = ca.self_signed(&ca_key).unwrap();
        let leaf = named("SN1")
            .signed_by(&leaf_key, &Issuer::new(ca, ca_key))
            .unwrap();
        let file = |name: &str, octets: &str| (name.to_owned(), Zeroizing::new(octets.as_bytes().to_vec()));
        let files = vec![
            file("key", &leaf_key.serialize_pem()),
            file("certificate", &leaf.pem()),
            file("issuer", &issuer.pem()),
            file("root", &root.pem()),
        ];
        let device = Device::from_files(files, &Passwords::default()).unwrap();
        assert_eq!(device.chain, [leaf.der().clone(), issuer.der().clone()]);
        assert_eq!(device.files.root, Some("root".to_owned()));
    }

    #[test]
    fn a_device_is_found_in_one_file_beside_others_that_are_the_users_own() {
        let named = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let key = || KeyPair::generate().unwrap();
        let (ca_key, leaf_key, root_key) = (key(), key(), key());
        let mut ca = named("CA");
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = named("root").self_signed(&root_key).unwrap();
        let issuer = ca.self_signed(&ca_key).unwrap();
        let leaf = named("SN1")
            .signed_by(&leaf_key, &Issuer::new(ca, ca_key))
            .unwrap();
        let text = [&leaf, &leaf, &issuer, &root]
            .map(rcgen::Certificate::pem)
            .concat();
        let file = |name: &str, octets: &[u8]| (name.to_owned(), Zeroizing::new(octets.to_vec()));
        let files = vec![
            file("own.bin", &[0xff; 100]),
            file("own.zip", b"PK"),
            file("identity.pem", (leaf_key.serialize_pem() + &text).as_bytes()),
        ];
        let device = Device::from_files(files, &Passwords::default()).unwrap();
        assert_eq!(device.certificate, leaf.der().to_vec());
        assert_eq!(device.chain, [leaf.der().clone(), issuer.der().clone()]);
        assert_eq!(device.roots, [root.der().to_vec()]);
        let identity = Some("identity.pem".to_owned());
        assert_eq!((&device.files.key, &device.files.root), (&identity, &identity));
    }
}
