//! A device: what it has from its bundle, found by what the files hold, whatever they are named.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::bundle::EndpointFile;
use crate::digest::sha256;
use crate::pem;
use crate::verify::members;

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
    #[error("{0}")]
    Zip(String),
    #[error("this is a pack, with the bundles of {bundles} devices")]
    Pack { bundles: usize },
    #[error("the bundle has no private key")]
    NoKey,
    #[error("the bundle's private key is of no use to TLS")]
    Key,
    #[error("the bundle has no certificate for its private key")]
    NoCertificate,
}

impl Device {
    /// Opens a bundle.
    ///
    /// # Errors
    ///
    /// When a device could not use it.
    pub fn open(octets: &[u8]) -> Result<Self, DeviceError> {
        Self::from_files(members(octets).map_err(DeviceError::Zip)?)
    }

    /// Takes the files of a bundle, by name.
    ///
    /// # Errors
    ///
    /// When a device could not use them.
    pub fn from_files(files: Vec<(String, Zeroizing<Vec<u8>>)>) -> Result<Self, DeviceError> {
        let bundles = files.iter().filter(|(name, _)| name.ends_with(".zip")).count();
        if bundles > 0 {
            return Err(DeviceError::Pack { bundles });
        }
        let mut endpoint = None;
        let mut keys = Vec::new();
        let mut lists = Vec::new();
        for (name, content) in files {
            match read(content) {
                Content::Endpoint(found) => endpoint = Some(found),
                Content::Key { der, is_pem } => keys.push((der, is_pem.then_some(name))),
                Content::Certificates { ders, is_pem } => lists.push((ders, is_pem.then_some(name))),
                Content::Nothing => {}
            }
        }
        let (key, key_file) = keys.into_iter().next().ok_or(DeviceError::NoKey)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
        let key =
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).map_err(|_| DeviceError::Key)?;
        let is_own = |list: &Vec<Vec<u8>>| {
            let first = CertificateDer::from(list[0].clone());
            CertifiedKey::new(vec![first], key.clone()).keys_match().is_ok()
        };
        let (mut own, others): (Vec<_>, Vec<_>) = lists.into_iter().partition(|(list, _)| is_own(list));
        own.sort_by_key(|(list, _)| list.len());
        let (chain, _) = own.last().ok_or(DeviceError::NoCertificate)?.clone();
        let roots = others.iter().filter(|(list, _)| is_root(&list[0]));
        let files = Files {
            key: key_file,
            certificate: own.iter().find_map(|(_, name)| name.clone()),
            chain: own.iter().rev().find_map(|(_, name)| name.clone()),
            root: roots.clone().find_map(|(_, name)| name.clone()),
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

/// What a file of a bundle holds.
enum Content {
    Endpoint(EndpointFile<'static>),
    Key {
        der: Zeroizing<Vec<u8>>,
        is_pem: bool,
    },
    /// One or more.
    Certificates {
        ders: Vec<Vec<u8>>,
        is_pem: bool,
    },
    Nothing,
}

fn read(content: Zeroizing<Vec<u8>>) -> Content {
    if let Ok(endpoint) = serde_json::from_slice(&content) {
        return Content::Endpoint(endpoint);
    }
    if X509Certificate::from_der(&content).is_ok() {
        return Content::Certificates {
            ders: vec![content.to_vec()],
            is_pem: false,
        };
    }
    let text = std::str::from_utf8(&content).ok();
    let Some(blocks) = text.and_then(|text| pem::blocks(text).ok()) else {
        // Of all that a bundle may hold, only a private key in DER is left.
        return Content::Key {
            der: content,
            is_pem: false,
        };
    };
    let mut ders = Vec::new();
    for block in blocks {
        match block.label.as_str() {
            pem::PRIVATE_KEY => {
                return Content::Key {
                    der: block.der,
                    is_pem: true,
                };
            }
            pem::CERTIFICATE => ders.push(block.der.to_vec()),
            _ => {}
        }
    }
    match ders.is_empty() {
        true => Content::Nothing,
        false => Content::Certificates { ders, is_pem: true },
    }
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
