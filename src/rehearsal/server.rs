//! The endpoint's own certificates: from throw-away roots that devices trust in place of Amazon's, or the user's.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls;
use tokio_rustls::rustls::SignatureAlgorithm;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;

#[cfg(feature = "openssl")]
use zeroize::Zeroizing;

use crate::digest::sha256;

/// Devices whose clock is late find it valid still.
const BACKDATED: Duration = Duration::days(365);
const LIFETIME: Duration = Duration::days(365);

/// Which key a certificate of the endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    Rsa,
    Ecdsa,
}

/// The certificates that the endpoint shows to devices, with their keys; which one, what a device offers decides.
pub struct ServerIdentity {
    /// One of a kind at most, RSA first: those who have both take RSA on the way that all firmware goes.
    all: Vec<ServerKey>,
    /// The roots that devices must trust, DER, in the same order.
    roots: Vec<Vec<u8>>,
}

pub(super) struct ServerKey {
    pub kind: KeyKind,
    key: Arc<CertifiedKey>,
    /// PKCS#8.
    #[cfg(feature = "openssl")]
    pub private: Zeroizing<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerIdentityError {
    #[error("{host:?} is neither a host name nor an address")]
    Host { host: String },
    #[error("the endpoint's certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("the endpoint's certificate and key do not go together, or are of no use to TLS")]
    Use(#[source] rustls::Error),
    #[error(
        "a certificate of the endpoint has a key that is neither RSA nor ECDSA, or two have one of the same kind"
    )]
    Kind,
    #[cfg(feature = "openssl")]
    #[error("OpenSSL does not take the endpoint's certificate: {0}")]
    OpenSsl(String),
}

impl ServerIdentityError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Kind => "give one certificate with an RSA key and one with an ECDSA key, or one of them",
            _ => {
                "give host names with --host, or a certificate and its key with --server-cert and --server-key"
            }
        };
        Some(text.to_owned())
    }
}

impl ServerIdentity {
    /// New ones, each under a new root, for hosts by name or address.
    ///
    /// # Errors
    ///
    /// When a host is no name.
    pub fn throw_away(
        hosts: &[String],
        kinds: &[KeyKind],
        now: OffsetDateTime,
    ) -> Result<Self, ServerIdentityError> {
        for host in hosts {
            ServerName::try_from(host.as_str())
                .map_err(|_| ServerIdentityError::Host { host: host.clone() })?;
        }
        let made = kinds.iter().map(|kind| make(*kind, hosts, now));
        Self::own(made.collect::<Result<_, _>>()?)
    }

    /// The user's own: each a certificate and what is above it, the root last, and its key.
    ///
    /// # Errors
    ///
    /// When they do not go together.
    pub fn own(
        given: Vec<(Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>)>,
    ) -> Result<Self, ServerIdentityError> {
        let mut all = Vec::new();
        for (chain, private) in given {
            #[cfg(feature = "openssl")]
            let kept = Zeroizing::new(private.secret_pkcs8_der().to_vec());
            let key = CertifiedKey::from_der(chain, private.into(), &provider());
            let key = key.map_err(ServerIdentityError::Use)?;
            let kind = match key.key.algorithm() {
                SignatureAlgorithm::RSA => KeyKind::Rsa,
                SignatureAlgorithm::ECDSA => KeyKind::Ecdsa,
                _ => return Err(ServerIdentityError::Kind),
            };
            all.push(ServerKey {
                kind,
                key: Arc::new(key),
                #[cfg(feature = "openssl")]
                private: kept,
            });
        }
        all.sort_by_key(|key| key.kind);
        if all.windows(2).any(|pair| pair[0].kind == pair[1].kind) {
            return Err(ServerIdentityError::Kind);
        }
        let mut roots: Vec<Vec<u8>> = all
            .iter()
            .filter_map(|key| Some(key.key.cert.last()?.to_vec()))
            .collect();
        roots.dedup();
        Ok(Self { all, roots })
    }

    /// The roots that devices must trust, DER.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    pub(super) fn keys(&self) -> Vec<(KeyKind, Arc<CertifiedKey>)> {
        self.all.iter().map(|key| (key.kind, key.key.clone())).collect()
    }

    #[cfg(feature = "openssl")]
    pub(super) fn all(&self) -> &[ServerKey] {
        &self.all
    }
}

#[cfg(feature = "openssl")]
impl ServerKey {
    /// Leaf first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }
}

/// A certificate for hosts, and a root above it with a key of the same kind: a device may have no use for the other kind.
fn make(
    kind: KeyKind,
    hosts: &[String],
    now: OffsetDateTime,
) -> Result<(Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>), ServerIdentityError> {
    let generate = || match kind {
        KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyKind::Ecdsa => KeyPair::generate(),
    };
    let root_key = generate()?;
    // Two of them are told apart by their names.
    let mark: String = sha256(root_key.public_key_raw())[..4]
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let mut params = params(&format!("certforge rehearsal root {mark}"), now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = params.self_signed(&root_key)?;
    let issuer = Issuer::new(params, root_key);

    let key = generate()?;
    let mut params = self::params("certforge rehearsal endpoint", now);
    params.subject_alt_names = hosts
        .iter()
        .map(|host| match host.parse::<IpAddr>() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => Ok(SanType::DnsName(host.as_str().try_into()?)),
        })
        .collect::<Result<_, rcgen::Error>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Devices encrypt to an RSA key where the suite has it so.
    params.key_usages = match kind {
        KeyKind::Rsa => vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
        KeyKind::Ecdsa => vec![KeyUsagePurpose::DigitalSignature],
    };
    let certificate = params.signed_by(&key, &issuer)?;
    let chain = vec![certificate.der().clone(), root.der().clone()];
    Ok((chain, PrivatePkcs8KeyDer::from(key.serialize_der())))
}

fn params(name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = now - BACKDATED;
    params.not_after = now + LIFETIME;
    params.use_authority_key_identifier_extension = true;
    params
}

/// The cryptography of TLS here.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
