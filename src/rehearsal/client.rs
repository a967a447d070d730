//! The client: one attempt at a connection, step by step as a device makes it, each step timed.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{self, AlertDescription, ClientConfig, RootCertStore};

use super::device::{Device, Sends};
use super::link::{Link, LinkError};
use super::packet::{ConnAck, Connect, Packet, Publish, QoS, Version, reason};
use super::server::provider;
use super::tls::ALPN;

/// Seconds of keep-alive that a device asks for; it is gone before.
const KEEP_ALIVE: u16 = 60;

/// A step of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Dns,
    Tcp,
    Tls,
    Connect,
    Publish,
}

/// A step that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    pub step: Step,
    pub milliseconds: f64,
    pub detail: String,
}

/// Why a step could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("DNS: {host} is not found")]
    Dns { host: String, source: io::Error },
    #[error("DNS: {host} has no address")]
    NoAddress { host: String },
    #[error("TCP: {address} cannot be reached")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("{host:?} is no name that TLS can check")]
    ServerName { host: String },
    #[error("TLS: the root certificates are of no use")]
    Roots,
    #[error("TLS: the server's certificate is not accepted: {0}")]
    Untrusted(rustls::Error),
    #[error("TLS: the server refuses the device's certificate with alert {}: {}", name(*.0), meaning(*.0))]
    Refused(AlertDescription),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("the server closed the connection before CONNACK")]
    Dropped,
    #[error("CONNACK: the server refuses the connection with code {code:#04x}: {reason}")]
    NotAdmitted { code: u8, reason: String },
    #[error("the server closed the connection after PUBLISH to {topic}, before PUBACK")]
    PublishDropped { topic: String },
    #[error("the server refuses the message to {topic} with code {code:#04x}: {reason}")]
    PublishRefused { topic: String, code: u8, reason: String },
    #[error("MQTT: {0}")]
    Mqtt(String),
    #[error("no answer within {} s to {}", .limit.as_secs_f64(), waited_for(*.step))]
    Timeout { step: Step, limit: Duration },
}

impl ConnectError {
    /// The step that could not be made.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Dns { .. } | Self::NoAddress { .. } => Step::Dns,
            Self::Tcp { .. } => Step::Tcp,
            Self::ServerName { .. } | Self::Roots | Self::Untrusted(_) | Self::Refused(_) | Self::Tls(_) => {
                Step::Tls
            }
            Self::Dropped | Self::NotAdmitted { .. } | Self::Mqtt(_) => Step::Connect,
            Self::PublishDropped { .. } | Self::PublishRefused { .. } => Step::Publish,
            Self::Timeout { step, .. } => *step,
        }
    }

    /// Whether this is how AWS IoT ends the first connection of a device that it provisions.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped)
    }
}

fn waited_for(step: Step) -> &'static str {
    match step {
        Step::Dns => "the question for the address",
        Step::Tcp => "the TCP connection",
        Step::Tls => "the TLS handshake",
        Step::Connect => "CONNECT",
        Step::Publish => "PUBLISH",
    }
}

fn name(alert: AlertDescription) -> String {
    alert.as_str().map_or_else(|| format!("{alert:?}"), str::to_owned)
}

fn meaning(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "it does not know the CA; is it registered there?",
        AlertDescription::CertificateExpired => "the certificate is not valid yet, or no more, by its clock",
        AlertDescription::CertificateRevoked => "the certificate is revoked",
        AlertDescription::CertificateRequired => "it wants a certificate and got none",
        AlertDescription::NoApplicationProtocol => "it does not know the ALPN protocol",
        AlertDescription::ProtocolVersion => "it speaks another version of TLS",
        _ => "is the CA registered there and active, and the certificate not INACTIVE?",
    }
}

/// Where to connect.
#[derive(Debug, Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// Where it is, if it need not be asked for.
    pub address: Option<SocketAddr>,
}

/// How to connect, and what to say.
#[derive(Debug, Clone)]
pub struct Greeting {
    pub version: Version,
    pub client_id: String,
    /// `None`: nothing is published.
    pub topic: Option<String>,
    pub payload: Bytes,
    pub sends: Sends,
    /// Of each step.
    pub timeout: Duration,
}

/// How an attempt went.
#[derive(Debug)]
pub struct Attempt {
    pub done: Vec<Done>,
    pub error: Option<ConnectError>,
}

/// The roots that a device trusts.
///
/// # Errors
///
/// When one of them is no certificate.
pub fn roots(ders: &[Vec<u8>]) -> Result<Arc<RootCertStore>, ConnectError> {
    let mut store = RootCertStore::empty();
    for der in ders {
        store
            .add(CertificateDer::from(der.as_slice()))
            .map_err(|_| ConnectError::Roots)?;
    }
    if store.is_empty() {
        return Err(ConnectError::Roots);
    }
    Ok(Arc::new(store))
}

/// Connects as a device, publishes once if that is asked for, and says goodbye.
pub async fn attempt(
    device: &Device,
    roots: Arc<RootCertStore>,
    target: &Target,
    greeting: &Greeting,
) -> Attempt {
    let mut done = Vec::new();
    let error = steps(device, roots, target, greeting, &mut done).await.err();
    Attempt { done, error }
}

/// Makes a step, which may take so long.
async fn step<T>(
    greeting: &Greeting,
    step: Step,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<(T, f64), ConnectError> {
    let begun = Instant::now();
    match timeout(greeting.timeout, work).await {
        Ok(result) => Ok((result?, begun.elapsed().as_secs_f64() * 1e3)),
        Err(_) => Err(ConnectError::Timeout {
            step,
            limit: greeting.timeout,
        }),
    }
}

async fn steps(
    device: &Device,
    roots: Arc<RootCertStore>,
    target: &Target,
    greeting: &Greeting,
    done: &mut Vec<Done>,
) -> Result<(), ConnectError> {
    let addresses = if let Some(address) = target.address {
        vec![address]
    } else {
        let (addresses, milliseconds) = step(greeting, Step::Dns, resolve(target)).await?;
        let found: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        done.push(Done {
            step: Step::Dns,
            milliseconds,
            detail: format!("{} is {}", target.host, found.join(", ")),
        });
        addresses
    };
    let (stream, address, milliseconds) = reach(&addresses, target, greeting).await?;
    let _ = stream.set_nodelay(true);
    done.push(Done {
        step: Step::Tcp,
        milliseconds,
        detail: address.to_string(),
    });
    let shaking = handshake(device, roots, target, greeting, stream);
    let (stream, milliseconds) = step(greeting, Step::Tls, shaking).await?;
    done.push(Done {
        step: Step::Tls,
        milliseconds,
        detail: describe(&stream, &target.host),
    });
    let mut link = Link::open(stream, greeting.version);
    let ((), milliseconds) = step(greeting, Step::Connect, connect(&mut link, greeting)).await?;
    done.push(Done {
        step: Step::Connect,
        milliseconds,
        detail: format!("CONNACK, client id {}", greeting.client_id),
    });
    if let Some(topic) = &greeting.topic {
        let (code, milliseconds) = step(greeting, Step::Publish, publish(&mut link, topic, greeting)).await?;
        let nobody = match code {
            reason::NO_MATCHING_SUBSCRIBERS => "; nobody has subscribed to it",
            _ => "",
        };
        done.push(Done {
            step: Step::Publish,
            milliseconds,
            detail: format!("PUBACK, topic {topic}{nobody}"),
        });
    }
    // The server may be gone, now that all is said.
    let _ = link
        .send(Packet::Disconnect {
            code: reason::SUCCESS,
            reason: None,
        })
        .await;
    link.close().await;
    Ok(())
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let addresses = found.map_err(|source| ConnectError::Dns {
        host: target.host.clone(),
        source,
    })?;
    Ok(addresses.collect())
}

/// Connects to the first address that takes it; if none does, says why the one that the system likes best did not.
async fn reach(
    addresses: &[SocketAddr],
    target: &Target,
    greeting: &Greeting,
) -> Result<(TcpStream, SocketAddr, f64), ConnectError> {
    let mut failure = None;
    for &address in addresses {
        let connecting = async {
            let stream = TcpStream::connect(address).await;
            stream.map_err(|source| ConnectError::Tcp { address, source })
        };
        match step(greeting, Step::Tcp, connecting).await {
            Ok((stream, milliseconds)) => return Ok((stream, address, milliseconds)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| ConnectError::NoAddress {
        host: target.host.clone(),
    }))
}

async fn handshake(
    device: &Device,
    roots: Arc<RootCertStore>,
    target: &Target,
    greeting: &Greeting,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let key = SingleCertAndKey::from(device.certified_key(greeting.sends));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(key));
    config.resumption = Resumption::disabled();
    if target.port == 443 {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| ConnectError::ServerName {
        host: target.host.clone(),
    })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(tls_error)
}

/// What TLS says, in its place.
fn tls_error(error: io::Error) -> ConnectError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => ConnectError::Refused(*alert),
        Some(inner @ rustls::Error::InvalidCertificate(_)) => ConnectError::Untrusted(inner.clone()),
        _ => ConnectError::Tls(error),
    }
}

fn describe(stream: &TlsStream<TcpStream>, host: &str) -> String {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let suite = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown cipher suite");
    format!("{version}, {suite}, server name {host}")
}

/// Says CONNECT and waits for CONNACK.
async fn connect(link: &mut Link<TlsStream<TcpStream>>, greeting: &Greeting) -> Result<(), ConnectError> {
    let connect = Connect {
        client_id: greeting.client_id.clone(),
        keep_alive: KEEP_ALIVE,
        clean_start: true,
        will: None,
        has_password: false,
    };
    // A server that refused the certificate may have closed already; what it said of it is read below.
    let _ = link.send(Packet::Connect(connect)).await;
    match link.next().await {
        Ok(Some(Packet::ConnAck(ConnAck {
            code: reason::SUCCESS,
            ..
        }))) => Ok(()),
        Ok(Some(Packet::ConnAck(ack))) => Err(ConnectError::NotAdmitted {
            code: ack.code,
            reason: ack.reason.unwrap_or_else(|| "no reason given".to_owned()),
        }),
        Ok(Some(_)) => Err(ConnectError::Mqtt(
            "the server answers CONNECT with another packet than CONNACK".to_owned(),
        )),
        Ok(None) => Err(ConnectError::Dropped),
        Err(error) => Err(broken(error, || ConnectError::Dropped)),
    }
}

/// Publishes once and waits for PUBACK.
async fn publish(
    link: &mut Link<TlsStream<TcpStream>>,
    topic: &str,
    greeting: &Greeting,
) -> Result<u8, ConnectError> {
    let topic = topic.to_owned();
    let dropped = || ConnectError::PublishDropped { topic: topic.clone() };
    let sent = link
        .send(Packet::Publish(Publish {
            topic: topic.clone(),
            payload: greeting.payload.clone(),
            qos: QoS::AtLeastOnce,
            retain: false,
            id: Some(NonZeroU16::MIN),
        }))
        .await;
    sent.map_err(|error| broken(error, dropped))?;
    let refused = |code: u8, reason: Option<String>| ConnectError::PublishRefused {
        topic: topic.clone(),
        code,
        reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
    };
    loop {
        match link.next().await {
            Ok(Some(Packet::PubAck { code, .. })) if reason::is_failure(code) => {
                return Err(refused(code, None));
            }
            Ok(Some(Packet::PubAck { code, .. })) => return Ok(code),
            Ok(Some(Packet::Disconnect { code, reason })) => return Err(refused(code, reason)),
            Ok(Some(_)) => {}
            Ok(None) => return Err(dropped()),
            Err(error) => return Err(broken(error, dropped)),
        }
    }
}

/// What the end of a connection means: a TLS alert speaks for itself, and a reset is a close.
fn broken(error: LinkError, dropped: impl FnOnce() -> ConnectError) -> ConnectError {
    let is_tls = |error: &io::Error| {
        let inner = error.get_ref();
        inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
    };
    match error {
        LinkError::Io(error) if is_tls(&error) => tls_error(error),
        LinkError::Io(_) => dropped(),
        other => ConnectError::Mqtt(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_not_the_last_word() {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let open = listen().await;
        let open_address = address(&open);
        // Nobody listens there once it is dropped.
        let closed = address(&listen().await);
        let target = Target {
            host: "two.example".to_owned(),
            port: 8883,
            address: None,
        };
        let greeting = Greeting {
            version: Version::MQTT3,
            client_id: "SN000001".to_owned(),
            topic: None,
            payload: Bytes::new(),
            sends: Sends::Chain,
            timeout: Duration::from_secs(30),
        };
        let (_, reached, _) = reach(&[closed, open_address], &target, &greeting)
            .await
            .expect("one of them answers");
        assert_eq!(reached, open_address);
        let error = reach(&[closed], &target, &greeting)
            .await
            .expect_err("nobody answers");
        assert!(matches!(error, ConnectError::Tcp { address, .. } if address == closed));
        let error = reach(&[], &target, &greeting).await.expect_err("nobody is there");
        assert!(matches!(error, ConnectError::NoAddress { .. }));
    }
}
