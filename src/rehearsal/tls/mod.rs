//! TLS as AWS IoT Core speaks it: what a security policy has, client certificates asked for and judged by the registered
//! CAs. What a device offers is read first; then rustls shakes hands, or for suites that it has not, OpenSSL
//! (feature `openssl`), or the device is told of in words.
//!
//! Nothing is resumed: each connection shows its certificate, so that one that is revoked meanwhile is found out.

mod choice;
mod hello;
#[cfg(feature = "openssl")]
mod openssl;
mod policy;
mod rewound;

use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerConfig};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version::TLS12, version::TLS13,
};

use super::account::Authority;
use super::clock::Clock;
use super::fault::Fault;
use super::leaf::{self, Leaf, Unfit};
use super::server::{KeyKind, ServerIdentity, ServerIdentityError, provider};
use choice::{Choice, HANDSHAKE_FAILURE, Keys, Library, Server};
use hello::Hello;
pub use policy::SecurityPolicy;
use policy::{Exchange, Suite};
use rewound::Rewound;

/// MQTT with client certificates on port 443.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html>
pub const ALPN: &[u8] = b"x-amzn-mqtt-ca";

/// What a device may name in ALPN, in the order in which it is liked.
const PROTOCOLS: [&[u8]; 2] = [ALPN, b"mqtt"];

/// Which of AWS IoT Core's ports a listener stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 8883.
    Mqtt,
    /// 443, where ALPN must say `x-amzn-mqtt-ca`.
    Alpn,
}

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
type Slot = Arc<OnceLock<Presented>>;

/// Octets in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A handshake that was finished.
pub(super) struct Shaken {
    pub stream: Box<dyn Duplex>,
    pub server_name: Option<String>,
    /// Whether both agreed on `x-amzn-mqtt-ca`.
    pub has_alpn: bool,
    pub presented: Presented,
}

/// One that was not, and why.
pub(super) struct Unshaken {
    pub presented: Option<Box<Presented>>,
    pub why: String,
}

impl Unshaken {
    fn by(why: &impl ToString) -> Self {
        Self {
            presented: None,
            why: why.to_string(),
        }
    }
}

/// TLS settings; each connection has some of its own, with a slot.
pub(super) struct Tls {
    policy: SecurityPolicy,
    keys: Box<Keys>,
    judge: Judge,
    #[cfg(feature = "openssl")]
    openssl: openssl::OpenSsl,
}

impl Tls {
    #[cfg_attr(
        not(feature = "openssl"),
        expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")
    )]
    pub(super) fn new(
        identity: &ServerIdentity,
        authorities: Vec<Authority>,
        clock: Clock,
        policy: SecurityPolicy,
    ) -> Result<Self, ServerIdentityError> {
        Ok(Self {
            policy,
            keys: identity.keys().into(),
            #[cfg(feature = "openssl")]
            openssl: openssl::OpenSsl::new(identity, &authorities, policy)
                .map_err(|error| ServerIdentityError::OpenSsl(error.to_string()))?,
            judge: Judge {
                authorities: authorities.into(),
                clock,
            },
        })
    }

    /// Shakes hands with a device, as far as AWS IoT would.
    pub(super) async fn shake(&self, mut stream: TcpStream, port: Port) -> Result<Shaken, Unshaken> {
        let (hello, octets) = hello::read(&mut stream)
            .await
            .map_err(|none| Unshaken::by(&none))?;
        let server = Server {
            policy: self.policy,
            port,
            keys: &self.keys,
            has_openssl: cfg!(feature = "openssl"),
        };
        match server.choose(&hello) {
            Choice::Take { suite, key, library } => {
                let stream = Rewound::new(octets, stream);
                match library {
                    Library::Rustls => self.shake_with_rustls(stream, &hello, port, suite, key).await,
                    Library::OpenSsl => self.shake_with_openssl(stream, &hello, port, key).await,
                }
            }
            refusal => {
                dismiss(stream, &refusal).await;
                Err(Unshaken::by(&in_words(&refusal, &hello, self.policy)))
            }
        }
    }

    async fn shake_with_rustls(
        &self,
        stream: Rewound<TcpStream>,
        hello: &Hello,
        port: Port,
        suite: &Suite,
        key: KeyKind,
    ) -> Result<Shaken, Unshaken> {
        let (config, slot) = self.of_connection(port, suite, key);
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        let presented = slot.get().cloned();
        let stream = accepted.map_err(|error| failed(&Fault::of(&error), presented.clone()))?;
        let has_alpn = stream.get_ref().1.alpn_protocol() == Some(ALPN);
        finished(Box::new(stream), hello, has_alpn, presented)
    }

    #[cfg(feature = "openssl")]
    async fn shake_with_openssl(
        &self,
        stream: Rewound<TcpStream>,
        hello: &Hello,
        port: Port,
        key: KeyKind,
    ) -> Result<Shaken, Unshaken> {
        let slot = Slot::default();
        let accepted = self
            .openssl
            .accept(key, port, stream, self.judge.clone(), &slot)
            .await;
        let presented = slot.get().cloned();
        let stream = accepted.map_err(|error| {
            let error = std::io::Error::other(error);
            failed(&Fault::of(&error), presented.clone())
        })?;
        let presented = presented.map(|presented| openssl::with_chain(presented, &stream));
        let has_alpn = stream.ssl().selected_alpn_protocol() == Some(ALPN);
        finished(Box::new(stream), hello, has_alpn, presented)
    }

    /// The choice takes none that needs it.
    #[cfg(not(feature = "openssl"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    async fn shake_with_openssl(
        &self,
        _: Rewound<TcpStream>,
        hello: &Hello,
        _: Port,
        _: KeyKind,
    ) -> Result<Shaken, Unshaken> {
        Err(Unshaken::by(&hello.in_words()))
    }

    /// The settings of one connection, by what was chosen.
    fn of_connection(&self, port: Port, suite: &Suite, key: KeyKind) -> (ServerConfig, Slot) {
        let mut provider = provider();
        let of_policy: Vec<u16> = match suite.exchange {
            Exchange::Tls13 => self.policy.suites(port).map(|suite| suite.id).collect(),
            _ => vec![suite.id],
        };
        let own = Arc::make_mut(&mut provider);
        own.cipher_suites
            .retain(|own| of_policy.contains(&u16::from(own.suite())));
        let slot = Slot::default();
        let verifier = Verifier {
            algorithms: provider.signature_verification_algorithms,
            judge: self.judge.clone(),
            slot: slot.clone(),
        };
        let version = match suite.exchange {
            Exchange::Tls13 => &TLS13,
            _ => &TLS12,
        };
        let found = self.keys.iter().find(|(kind, _)| *kind == key);
        let (_, certified) = found.expect("the choice is made of the same keys");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("what was chosen is a suite of this version")
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone())));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        (config, slot)
    }
}

/// Says in an alert what nobody goes on with (RFC 8446, 6), as a server does.
async fn dismiss(mut stream: TcpStream, refusal: &Choice) {
    const FATAL: u8 = 2;
    let alert = match refusal {
        Choice::Refuse { alert, .. } => *alert,
        _ => HANDSHAKE_FAILURE,
    };
    // The device may be gone.
    let _ = stream.write_all(&[21, 3, 3, 0, 2, FATAL, alert]).await;
    let _ = stream.shutdown().await;
}

fn in_words(refusal: &Choice, hello: &Hello, policy: SecurityPolicy) -> String {
    let offer = hello.in_words();
    match refusal {
        Choice::Cannot { suite, because } => format!(
            "AWS IoT would take this device, with suite {} of {}; this rehearsal cannot: {because}; {offer}",
            suite.name,
            policy.name()
        ),
        Choice::Refuse { why, .. } => format!("AWS IoT would refuse this device too: {why}; {offer}"),
        Choice::Take { .. } => offer,
    }
}

fn failed(fault: &Fault, presented: Option<Presented>) -> Unshaken {
    let why = match &presented {
        Some(Presented {
            judgement: Err(unfit),
            ..
        }) => unfit.to_string(),
        _ => fault.in_handshake(),
    };
    let presented = presented.map(Box::new);
    Unshaken { presented, why }
}

fn finished(
    stream: Box<dyn Duplex>,
    hello: &Hello,
    has_alpn: bool,
    presented: Option<Presented>,
) -> Result<Shaken, Unshaken> {
    match presented {
        Some(presented) => Ok(Shaken {
            stream,
            server_name: hello.host(),
            has_alpn,
            presented,
        }),
        // Neither library finishes a handshake without a certificate.
        None => Err(Unshaken::by(&"the device sent no certificate")),
    }
}

/// Judges devices' certificates.
#[derive(Debug, Clone)]
struct Judge {
    authorities: Arc<[Authority]>,
    clock: Clock,
}

impl Judge {
    fn present(&self, leaf: &[u8], is_alone: bool) -> Presented {
        let (id, name) = leaf::identify(leaf);
        Presented {
            id,
            name,
            is_alone,
            judgement: leaf::judge(leaf, &self.authorities, self.clock.now()),
        }
    }
}

#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    judge: Judge,
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
        // A connection has one handshake.
        let presented = self
            .slot
            .get_or_init(|| self.judge.present(end_entity, intermediates.is_empty()));
        let verdict = presented.judgement.as_ref();
        verdict
            .map(|_| ClientCertVerified::assertion())
            .map_err(|unfit| Error::InvalidCertificate(unfit.certificate_error()))
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

/// What is told of octets that are a hello, or are none; `None`: more is to come.
pub(super) fn read_hello(octets: &[u8]) -> Option<String> {
    match hello::parse(octets) {
        Ok(hello) => hello.map(|hello| hello.in_words()),
        Err(none) => Some(none.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_aws_iot_would_refuse_too() {
        let policy = SecurityPolicy::Tls13;
        let suite = policy.suites(Port::Mqtt).find(|suite| suite.name == "AES128-SHA");
        let hello = Hello {
            legacy_version: 0x0303,
            suites: vec![0x002f],
            ..Hello::default()
        };
        let cannot = Choice::Cannot {
            suite: suite.unwrap(),
            because: "it has no such suite".to_owned(),
        };
        let offer = "the device offers TLS 1.2 at most; cipher suites TLS_RSA_WITH_AES_128_CBC_SHA; no list of groups; no \
                     list of signature algorithms; no server name (SNI); no ALPN";
        assert_eq!(
            in_words(&cannot, &hello, policy),
            format!(
                "AWS IoT would take this device, with suite AES128-SHA of IoTSecurityPolicy_TLS13_1_2_2022_10; this \
                 rehearsal cannot: it has no such suite; {offer}"
            )
        );
        let refused = Choice::Refuse {
            why: "why not".to_owned(),
            alert: HANDSHAKE_FAILURE,
        };
        assert_eq!(
            in_words(&refused, &hello, policy),
            format!("AWS IoT would refuse this device too: why not; {offer}")
        );
    }
}
