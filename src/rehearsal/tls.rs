//! TLS as AWS IoT Core speaks it: 1.2 and 1.3, client certificates asked for and judged by the registered CAs.
//!
//! Nothing is resumed: each connection shows its certificate, so that one that is revoked meanwhile is found out.

use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerConfig};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::account::Authority;
use super::clock::Clock;
use super::leaf::{self, Leaf, Unfit};
use super::server::{ServerIdentity, provider};

/// MQTT with client certificates on port 443.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html>
pub const ALPN: &[u8] = b"x-amzn-mqtt-ca";

/// What a device presented in a handshake, and what was found of it.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    /// The certificate id.
    pub id: String,
    pub name: String,
    /// Whether the certificate came without the CA's.
    pub is_alone: bool,
    pub judgement: Result<Leaf, Unfit>,
}

/// Keeps what a connection presented, for whoever wants to know after the handshake.
pub(super) type Slot = Arc<OnceLock<Presented>>;

/// TLS settings; each connection has some of its own, with a slot.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    server: Arc<SingleCertAndKey>,
    authorities: Arc<Vec<Authority>>,
    clock: Clock,
}

impl Tls {
    pub(super) fn new(identity: &ServerIdentity, authorities: Vec<Authority>, clock: Clock) -> Self {
        Self {
            provider: provider(),
            server: Arc::new(SingleCertAndKey::from(identity.key.clone())),
            authorities: Arc::new(authorities),
            clock,
        }
    }

    /// The settings of one connection.
    pub(super) fn of_connection(&self) -> (ServerConfig, Slot) {
        let slot = Slot::default();
        let verifier = Verifier {
            algorithms: self.provider.signature_verification_algorithms,
            authorities: self.authorities.clone(),
            clock: self.clock,
            slot: slot.clone(),
        };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.server.clone());
        config.alpn_protocols = vec![ALPN.to_vec(), b"mqtt".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        (config, slot)
    }
}

#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    authorities: Arc<Vec<Authority>>,
    clock: Clock,
    slot: Slot,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Without hints a device sends what it has, and learns what is wrong with it.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judgement = leaf::judge(end_entity, &self.authorities, self.clock.now());
        let verdict = judgement
            .as_ref()
            .map(|_| ClientCertVerified::assertion())
            .map_err(|unfit| Error::InvalidCertificate(unfit.certificate_error()));
        let (id, name) = leaf::identify(end_entity);
        // A connection has one handshake.
        let _ = self.slot.set(Presented {
            id,
            name,
            is_alone: intermediates.is_empty(),
            judgement,
        });
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
