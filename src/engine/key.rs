//! Keys: what an engine makes for a device, and what it signs with for an issuer.
//!
//! Secrets are zeroized when dropped and elided in `Debug`.

use std::fmt;

use aws_lc_rs::signature::KeyPair as _;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::ObjectIdentifier;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::EngineError;
use super::document::Document;
use crate::profile::KeyType;

/// A device's key pair. A slot that is filled again and again keeps its memory.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct DeviceKey {
    pkcs8: Vec<u8>,
    public_key: Vec<u8>,
}

impl DeviceKey {
    /// The private key as PKCS#8 DER (RFC 5958, version 1).
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// What the BIT STRING of a SubjectPublicKeyInfo holds: an uncompressed point (SEC 1, 2.3.3), or
    /// an RSAPublicKey (RFC 8017, A.1.1).
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    pub(super) fn set(&mut self, pkcs8: &[u8], public_key: &[u8]) {
        self.zeroize();
        self.pkcs8.extend_from_slice(pkcs8);
        self.public_key.extend_from_slice(public_key);
    }

    /// Takes a PKCS#8 document as ring and aws-lc write it: the public point is what it ends with.
    pub(super) fn set_ec(&mut self, key_type: KeyType, pkcs8: &[u8]) {
        let point = point_len(key_type).expect("an EC key type");
        let public_key = &pkcs8[pkcs8.len() - point..];
        assert_eq!(public_key[0], 4, "the document ends with an uncompressed point");
        self.set(pkcs8, public_key);
    }

    /// Writes a document in place; `fill` is that of [`Document::write`].
    pub(super) fn write_ec(&mut self, document: &Document, fill: impl FnOnce(&mut [u8], &mut [u8])) {
        // A key of the same length is overwritten whole, which leaves as little of it as zeros do.
        if self.pkcs8.len() != document.len() {
            self.pkcs8.zeroize();
            self.pkcs8.resize(document.len(), 0);
        }
        document.write(&mut self.pkcs8, fill);
        self.public_key.clear();
        self.public_key
            .extend_from_slice(&self.pkcs8[document.len() - document.point_len()..]);
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(elided)")
    }
}

/// Octets of an uncompressed point on the curve.
fn point_len(key_type: KeyType) -> Option<usize> {
    scalar_len(key_type).map(|n| 1 + 2 * n)
}

fn scalar_len(key_type: KeyType) -> Option<usize> {
    match key_type {
        KeyType::P256 => Some(32),
        KeyType::P384 => Some(48),
        KeyType::P521 => Some(66),
        _ => None,
    }
}

/// An issuer's private key, not yet held against a certificate.
pub struct PrivateKey(Material);

enum Material {
    Ec {
        key_type: KeyType,
        scalar: Zeroizing<Vec<u8>>,
    },
    Rsa {
        pkcs1: Zeroizing<Vec<u8>>,
    },
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(elided)")
    }
}

/// Why octets are no private key that certforge can sign with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    #[error("it is not a DER private key")]
    Malformed,
    #[error("its algorithm {0} is neither RSA nor an elliptic curve key")]
    Algorithm(String),
    #[error("its curve is none of P-256, P-384 and P-521")]
    Curve,
}

impl PrivateKey {
    /// Reads PKCS#8 (RFC 5958).
    ///
    /// # Errors
    ///
    /// When the octets are something else, or the key is of a kind that AWS IoT does not take.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| PrivateKeyError::Malformed)?;
        let inner = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA_ENCRYPTION => Ok(Self::from_pkcs1(inner)),
            EC_PUBLIC_KEY => {
                let curve = info
                    .algorithm
                    .parameters_oid()
                    .map_err(|_| PrivateKeyError::Curve)?;
                Self::from_ec(inner, Some(curve))
            }
            other => Err(PrivateKeyError::Algorithm(other.to_string())),
        }
    }

    /// Reads `EC PRIVATE KEY` (RFC 5915).
    ///
    /// # Errors
    ///
    /// When the octets are something else, or the curve is not one that AWS IoT takes.
    pub fn from_sec1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        Self::from_ec(der, None)
    }

    /// Takes `RSA PRIVATE KEY` (RFC 8017, A.1.2); [`PrivateKey::prove`] finds out whether it is one.
    #[must_use]
    pub fn from_pkcs1(der: &[u8]) -> Self {
        Self(Material::Rsa {
            pkcs1: Zeroizing::new(der.to_vec()),
        })
    }

    fn from_ec(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, PrivateKeyError> {
        let key = sec1::EcPrivateKey::from_der(der).map_err(|_| PrivateKeyError::Malformed)?;
        let named = key
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.named_curve());
        let key_type = match curve.or(named) {
            Some(SECP256R1) => KeyType::P256,
            Some(SECP384R1) => KeyType::P384,
            Some(SECP521R1) => KeyType::P521,
            _ => return Err(PrivateKeyError::Curve),
        };
        // Some writers drop leading zeros of the scalar (RFC 5915, section 3 asks for full length).
        let octets = scalar_len(key_type).expect("an EC key type");
        if key.private_key.len() > octets {
            return Err(PrivateKeyError::Malformed);
        }
        let mut scalar = Zeroizing::new(vec![0; octets]);
        scalar[octets - key.private_key.len()..].copy_from_slice(key.private_key);
        Ok(Self(Material::Ec { key_type, scalar }))
    }

    /// The signing key, if this private key belongs to the public key, given as in
    /// [`DeviceKey::public_key`].
    #[must_use]
    pub fn prove(self, public_key: &[u8]) -> Option<SigningKey> {
        use aws_lc_rs::signature as s;
        let key_type = match &self.0 {
            Material::Ec { key_type, scalar } => {
                let algorithm = match key_type {
                    KeyType::P256 => &s::ECDSA_P256_SHA256_ASN1_SIGNING,
                    KeyType::P384 => &s::ECDSA_P384_SHA384_ASN1_SIGNING,
                    _ => &s::ECDSA_P521_SHA512_ASN1_SIGNING,
                };
                // Compares the public key with the one that the scalar gives.
                s::EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public_key).ok()?;
                *key_type
            }
            Material::Rsa { pkcs1 } => {
                let pair = aws_lc_rs::rsa::KeyPair::from_der(pkcs1).ok()?;
                if pair.public_key().as_ref() != public_key {
                    return None;
                }
                match pair.public_modulus_len() {
                    256 => KeyType::Rsa2048,
                    384 => KeyType::Rsa3072,
                    512 => KeyType::Rsa4096,
                    _ => return None,
                }
            }
        };
        Some(SigningKey {
            material: self.0,
            key_type,
            public_key: public_key.to_vec(),
        })
    }
}

/// An issuer's private key, proven to belong to its public key.
pub struct SigningKey {
    material: Material,
    key_type: KeyType,
    public_key: Vec<u8>,
}

pub(super) enum Secret<'a> {
    Ec { scalar: &'a [u8], public_key: &'a [u8] },
    Rsa { pkcs1: &'a [u8] },
}

impl SigningKey {
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// As in [`DeviceKey::public_key`].
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    pub(super) fn secret(&self) -> Secret<'_> {
        match &self.material {
            Material::Ec { scalar, .. } => Secret::Ec {
                scalar,
                public_key: &self.public_key,
            },
            Material::Rsa { pkcs1 } => Secret::Rsa { pkcs1 },
        }
    }

    pub(super) fn rejected(&self, engine: &'static str, error: &impl ToString) -> EngineError {
        EngineError::KeyRejected {
            engine,
            key_type: self.key_type,
            reason: error.to_string(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, elided)", self.key_type)
    }
}

impl SigningKey {
    /// Whether a signature over a message is this key's; judged by aws-lc, whatever engine made it.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        verifies(self.key_type, &self.public_key, message, signature)
    }
}

/// Whether a signature over a message is that of a public key, as [`DeviceKey::public_key`] has it.
#[must_use]
pub fn verifies(key_type: KeyType, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use aws_lc_rs::signature as s;
    let algorithm: &dyn s::VerificationAlgorithm = match SignatureAlgorithm::for_key(key_type) {
        SignatureAlgorithm::EcdsaSha256 => &s::ECDSA_P256_SHA256_ASN1,
        SignatureAlgorithm::EcdsaSha384 => &s::ECDSA_P384_SHA384_ASN1,
        SignatureAlgorithm::EcdsaSha512 => &s::ECDSA_P521_SHA512_ASN1,
        SignatureAlgorithm::RsaSha256 => &s::RSA_PKCS1_2048_8192_SHA256,
    };
    s::UnparsedPublicKey::new(algorithm, public_key)
        .verify(message, signature)
        .is_ok()
}

/// How an issuer signs, which follows from its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaSha256,
}

impl SignatureAlgorithm {
    #[must_use]
    pub fn for_key(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::EcdsaSha256,
            KeyType::P384 => Self::EcdsaSha384,
            KeyType::P521 => Self::EcdsaSha512,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => Self::RsaSha256,
        }
    }

    /// The algorithm's name in X.509 (RFC 5758, RFC 8017).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::RsaSha256 => "sha256WithRSAEncryption",
        }
    }
}

/// rsaEncryption (RFC 8017, Appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey and the named curves (RFC 5480, 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
