//! The client: one attempt at a connection, step by step as a device makes it, each step timed.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::device::{Device, Sends};
use super::fault::is_of_tls;
use super::link::{Link, LinkError};
use super::packet::{ConnAck, Connect, Packet, Publish, QoS, Version, reason};
use super::topic::MOST_FILTERS;

mod error;
mod wire;

pub use error::ConnectError;
use wire::{describe, handshake, reach, resolve, tls_error};

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
    Subscribe,
    Publish,
}

/// A step that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    pub step: Step,
    pub milliseconds: f64,
    pub detail: String,
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
    /// Topic filters, which must all be granted before anything is published.
    pub subscribe: Vec<String>,
    /// `None`: nothing is published.
    pub topic: Option<String>,
    pub payload: Bytes,
    pub sends: Sends,
    /// Of each step.
    pub timeout: Duration,
    /// Whether it sends ALPN `x-amzn-mqtt-ca`.
    pub alpn: bool,
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
    // As many in one packet as AWS IoT takes.
    for (filters, id) in greeting.subscribe.chunks(MOST_FILTERS).zip(1..) {
        let subscribing = subscribe(&mut link, id, filters);
        let ((), milliseconds) = step(greeting, Step::Subscribe, subscribing).await?;
        done.push(Done {
            step: Step::Subscribe,
            milliseconds,
            detail: format!("SUBACK, {}", filters.join(", ")),
        });
    }
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

/// Says CONNECT and waits for CONNACK.
async fn connect(link: &mut Link<TlsStream<TcpStream>>, greeting: &Greeting) -> Result<(), ConnectError> {
    let connect = Connect {
        client_id: greeting.client_id.clone(),
        keep_alive: KEEP_ALIVE,
        clean_start: true,
        is_persistent: false,
        will: None,
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

/// Subscribes to so many topic filters at once and waits for SUBACK.
async fn subscribe(
    link: &mut Link<TlsStream<TcpStream>>,
    id: u16,
    filters: &[String],
) -> Result<(), ConnectError> {
    let dropped = || ConnectError::SubscribeDropped {
        filters: filters.join(", "),
    };
    let sent = link
        .send(Packet::Subscribe {
            id: NonZeroU16::new(id).unwrap_or(NonZeroU16::MIN),
            filters: filters
                .iter()
                .map(|filter| (filter.clone(), QoS::AtLeastOnce))
                .collect(),
        })
        .await;
    sent.map_err(|error| broken(error, dropped))?;
    loop {
        match link.next().await {
            Ok(Some(Packet::SubAck { codes, .. })) => return granted(filters, &codes),
            Ok(Some(Packet::Disconnect { code, reason })) => {
                return Err(ConnectError::SubscribeRefused {
                    filters: filters.join(", "),
                    code,
                    reason: reason.map(|reason| format!(": {reason}")).unwrap_or_default(),
                });
            }
            // What others publish may come at once.
            Ok(Some(_)) => {}
            Ok(None) => return Err(dropped()),
            Err(error) => return Err(broken(error, dropped)),
        }
    }
}

/// Whether a SUBACK grants each filter.
fn granted(filters: &[String], codes: &[u8]) -> Result<(), ConnectError> {
    if codes.len() != filters.len() {
        let text = format!(
            "SUBACK has {} codes for {} topic filters",
            codes.len(),
            filters.len()
        );
        return Err(ConnectError::Mqtt(text));
    }
    let refused = || {
        filters
            .iter()
            .zip(codes)
            .filter(|(_, code)| reason::is_failure(**code))
    };
    let Some((_, code)) = refused().next() else {
        return Ok(());
    };
    let names: Vec<&str> = refused().map(|(filter, _)| filter.as_str()).collect();
    Err(ConnectError::SubscribeRefused {
        filters: names.join(", "),
        code: *code,
        reason: String::new(),
    })
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
    match error {
        LinkError::Io(error) if is_of_tls(&error) => tls_error(error),
        LinkError::Io(_) => dropped(),
        other => ConnectError::Mqtt(other.to_string()),
    }
}
