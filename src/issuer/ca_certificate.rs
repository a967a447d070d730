//! A CA certificate, parsed once, with the facts that signing and checking need.
//!
//! Invariant: basicConstraints says CA:TRUE, keyUsage (if any) has keyCertSign, and the key is of a
//! type that AWS IoT accepts.

use std::io;
use std::path::Path;

use time::OffsetDateTime;
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::{FromDer, ParsedExtension};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{IssuerError, blocks};
use crate::bounded;
use crate::digest::{sha256, sha256_many, sha256_start};
use crate::engine::verifies;
use crate::pem;
use crate::profile::{KeyType, Period};

/// A certificate of a CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    subject_text: String,
    issuer: Vec<u8>,
    key_type: KeyType,
    public_key: Vec<u8>,
    key_identifier: Vec<u8>,
    period: Period,
    path_len: Option<u32>,
}

impl CaCertificate {
    /// The first certificate of a PEM file.
    pub(super) fn read(path: &Path) -> Result<Self, IssuerError> {
        let text = read_text(path)?;
        let blocks = blocks(&text, path)?;
        let block = blocks.iter().find(|block| block.label == pem::CERTIFICATE);
        let block = block.ok_or_else(|| not_pem(path))?;
        Self::from_der(&block.der, path)
    }

    /// Every certificate of a PEM file, of which there must be one.
    pub(super) fn read_chain(path: &Path) -> Result<Vec<Self>, IssuerError> {
        let text = read_text(path)?;
        let blocks = blocks(&text, path)?;
        if blocks.is_empty() {
            return Err(not_pem(path));
        }
        blocks
            .iter()
            .map(|block| Self::from_der(&block.der, path))
            .collect()
    }

    /// Parses a certificate; `path` is what messages call it.
    ///
    /// # Errors
    ///
    /// When it is no certificate, not a CA's, or has a key that AWS IoT does not accept.
    pub fn from_der(der: &[u8], path: &Path) -> Result<Self, IssuerError> {
        let not_certificate = || IssuerError::NotCertificate {
            path: path.to_owned(),
        };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| not_certificate())?;
        if !rest.is_empty() {
            return Err(not_certificate());
        }
        let not_ca = |reason| IssuerError::NotCa {
            path: path.to_owned(),
            reason,
        };
        let constraints = certificate.basic_constraints().map_err(|_| not_certificate())?;
        let constraints = constraints.ok_or_else(|| not_ca("it has no basicConstraints"))?;
        if !constraints.value.ca {
            return Err(not_ca("basicConstraints says CA:FALSE"));
        }
        let usage = certificate.key_usage().map_err(|_| not_certificate())?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(not_ca("keyUsage lacks keyCertSign"));
        }
        if certificate.subject().iter_attributes().next().is_none() {
            return Err(not_ca("its subject is empty (RFC 5280, 4.1.2.6)"));
        }
        let extended = certificate.extended_key_usage().map_err(|_| not_certificate())?;
        if extended.is_some_and(|usage| !usage.value.any && !usage.value.client_auth) {
            return Err(not_ca(
                "its extKeyUsage does not allow clientAuth, which devices need",
            ));
        }
        let constraints_on_names = certificate.name_constraints().map_err(|_| not_certificate())?;
        if constraints_on_names.is_some() {
            return Err(not_ca(
                "it has nameConstraints, which device certificates are not checked against",
            ));
        }
        let spki = certificate.public_key();
        let key_type = key_type(spki).map_err(|algorithm| IssuerError::KeyAlgorithm {
            path: path.to_owned(),
            algorithm,
        })?;
        let public_key = spki.subject_public_key.data.to_vec();
        let key_identifier = certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
            .unwrap_or_else(|| key_identifier(&public_key).to_vec());
        Ok(Self {
            der: der.to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
            subject_text: certificate.subject().to_string(),
            issuer: certificate.issuer().as_raw().to_vec(),
            key_type,
            public_key,
            key_identifier,
            period: Period {
                not_before: certificate.validity().not_before.to_datetime(),
                not_after: certificate.validity().not_after.to_datetime(),
            },
            path_len: constraints.value.path_len_constraint,
        })
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }

    /// The subject Name, DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The subject as people read it.
    #[must_use]
    pub fn subject_text(&self) -> &str {
        &self.subject_text
    }

    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What the BIT STRING of its SubjectPublicKeyInfo holds.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Its subjectKeyIdentifier; one computed from the key when it carries none.
    #[must_use]
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }

    #[must_use]
    pub fn path_len(&self) -> Option<u32> {
        self.path_len
    }

    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// SHA-256 of the DER: what AWS IoT calls caCertificateId.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Whether a signature over a message was made with this CA's key.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        verifies(self.key_type, &self.public_key, message, signature)
    }

    /// Whether this certificate was signed by another CA: by name, and by a signature that verifies.
    #[must_use]
    pub fn is_issued_by(&self, other: &Self) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(&self.der) else {
            return false;
        };
        self.issuer == other.subject
            && other.has_signed(
                certificate.tbs_certificate.as_ref(),
                &certificate.signature_value.data,
            )
    }

    /// # Errors
    ///
    /// When it is not valid `now`; `path` is what the message calls it.
    pub fn check_validity(&self, path: &Path, now: OffsetDateTime) -> Result<(), IssuerError> {
        let Period {
            not_before,
            not_after,
        } = self.period;
        if now > not_after {
            return Err(IssuerError::Expired {
                path: path.to_owned(),
                not_after,
            });
        }
        if now < not_before {
            return Err(IssuerError::NotYetValid {
                path: path.to_owned(),
                not_before,
            });
        }
        Ok(())
    }

    /// Whether this CA may have so many CAs below it (RFC 5280, 4.2.1.9).
    pub(super) fn check_path_len(&self, below: usize) -> Result<(), IssuerError> {
        match self.path_len {
            Some(path_len) if (path_len as usize) < below => Err(IssuerError::PathLen {
                ancestor: self.subject_text.clone(),
                path_len,
                below,
            }),
            _ => Ok(()),
        }
    }

    /// Whether names and signature agree.
    pub(super) fn is_signed_by(&self, parent: &Self) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(&self.der) else {
            return false;
        };
        let Ok((_, parent_certificate)) = X509Certificate::from_der(&parent.der) else {
            return false;
        };
        self.issuer == parent.subject
            && certificate
                .verify_signature(Some(parent_certificate.public_key()))
                .is_ok()
    }
}

/// RFC 7093, method 1: the leftmost 160 bits of the SHA-256 of the BIT STRING's value.
#[must_use]
pub(crate) fn key_identifier(public_key: &[u8]) -> [u8; 20] {
    sha256_start(public_key)
}

/// Appends the identifiers of many keys, in their order.
pub(crate) fn key_identifiers(public_keys: &[&[u8]], ids: &mut Vec<[u8; 20]>) {
    let mut digests = vec![[0; 32]; public_keys.len()];
    sha256_many(public_keys, &mut digests);
    ids.extend(
        digests
            .iter()
            .map(|digest| *digest.first_chunk().expect("it is longer")),
    );
}

/// The type of a public key, or the name of one that is not accepted.
pub(crate) fn key_type(spki: &SubjectPublicKeyInfo<'_>) -> Result<KeyType, String> {
    let algorithm = &spki.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(key)) = spki.parsed() else {
            return Err("malformed RSA".to_owned());
        };
        return match key.key_size() {
            2048 => Ok(KeyType::Rsa2048),
            3072 => Ok(KeyType::Rsa3072),
            4096 => Ok(KeyType::Rsa4096),
            bits => Err(format!("RSA of {bits} bits")),
        };
    }
    if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(format!("algorithm {algorithm}"));
    }
    let parameters = spki.algorithm.parameters.as_ref();
    let curve = parameters
        .filter(|any| any.tag() == Tag::Oid)
        .and_then(|any| any.as_oid().ok());
    match curve {
        Some(oid) if oid == OID_EC_P256 => Ok(KeyType::P256),
        Some(oid) if oid == OID_NIST_EC_P384 => Ok(KeyType::P384),
        Some(oid) if oid == OID_NIST_EC_P521 => Ok(KeyType::P521),
        Some(oid) => Err(format!("curve {oid}")),
        None => Err("an unnamed curve".to_owned()),
    }
}

fn read_text(path: &Path) -> Result<String, IssuerError> {
    bounded::read_text(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => not_pem(path),
        _ => IssuerError::Read {
            path: path.to_owned(),
            source,
        },
    })
}

fn not_pem(path: &Path) -> IssuerError {
    IssuerError::NotPem {
        path: path.to_owned(),
        expected: pem::CERTIFICATE,
    }
}
