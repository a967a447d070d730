//! The endpoint's own certificate: from a throw-away root that devices trust in place of Amazon's, or the user's.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::digest::sha256;

/// Devices whose clock is late find it valid still.
const BACKDATED: Duration = Duration::days(365);
const LIFETIME: Duration = Duration::days(365);

/// The certificate that the endpoint shows to devices, with its key.
pub struct ServerIdentity {
    pub(super) key: Arc<CertifiedKey>,
    /// The root that devices must trust, DER.
    root: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerIdentityError {
    #[error("{host:?} is neither a host name nor an address")]
    Host { host: String },
    #[error("the endpoint's certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("the endpoint's certificate and key do not go together, or are of no use to TLS")]
    Use(#[from] rustls::Error),
}

impl ServerIdentityError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text =
            "give host names with --host, or a certificate and its key with --server-cert and --server-key";
        Some(text.to_owned())
    }
}

impl ServerIdentity {
    /// A new one, under a new root, for hosts by name or address.
    ///
    /// # Errors
    ///
    /// When a host is no name.
    pub fn throw_away(hosts: &[String], now: OffsetDateTime) -> Result<Self, ServerIdentityError> {
        for host in hosts {
            ServerName::try_from(host.as_str())
                .map_err(|_| ServerIdentityError::Host { host: host.clone() })?;
        }
        let root_key = KeyPair::generate()?;
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

        let key = KeyPair::generate()?;
        let mut params = self::params("certforge rehearsal endpoint", now);
        params.subject_alt_names = hosts
            .iter()
            .map(|host| match host.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(host.as_str().try_into()?)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &issuer)?;
        let private =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        let key = CertifiedKey::from_der(
            vec![certificate.der().clone(), root.der().clone()],
            private,
            &provider(),
        )?;
        Ok(Self {
            key: Arc::new(key),
            root: root.der().to_vec(),
        })
    }

    /// The user's own: certificate and what is above it, the root last, and its key.
    ///
    /// # Errors
    ///
    /// When they do not go together.
    pub fn own(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServerIdentityError> {
        Ok(Self {
            root: chain.last().map(|der| der.to_vec()).unwrap_or_default(),
            key: Arc::new(CertifiedKey::from_der(chain, key, &provider())?),
        })
    }

    /// The root that devices must trust, DER.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root
    }
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
