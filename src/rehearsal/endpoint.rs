//! The endpoint: takes connections as AWS IoT Core does, with TLS and client certificates, and tells what happens.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConnection};

use super::account::{Account, AccountError};
use super::admission::PATIENCE;
use super::broker::{Broker, Message};
use super::causes;
use super::client::ConnectError;
use super::clock::Clock;
use super::event::{Event, Kind};
use super::leaf::Leaf;
use super::packet::QoS;
use super::provisioner::{Mode, Provisioner, Standing};
use super::rights::{Origin, Rights};
use super::server::ServerIdentity;
use super::session::{self, Who};
use super::tls::{ALPN, Presented, Tls};
use crate::jitp::Home;

/// After an error that one more connection would not mend: no file descriptors, no memory.
const PAUSE: Duration = Duration::from_millis(50);

/// How much later than its device the endpoint may tell of a handshake that failed.
const LATE: Duration = Duration::from_secs(2);

/// What an endpoint is.
pub struct Options {
    pub mode: Mode,
    pub home: Home,
    pub identity: ServerIdentity,
    /// Refuse devices that send no server name (SNI), as AWS IoT does where the CA is registered as SNI_ONLY.
    pub sni_only: bool,
    pub clock: Clock,
}

/// Hears of everything that happens.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Which of AWS IoT Core's ports a listener stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 8883.
    Mqtt,
    /// 443, where ALPN must say `x-amzn-mqtt-ca`.
    Alpn,
}

/// An endpoint that behaves as AWS IoT Core does for one account in one Region.
pub struct Endpoint {
    pub account: Arc<Account>,
    pub broker: Broker,
    pub(super) home: Home,
    provisioner: Provisioner,
    tls: Tls,
    sni_only: bool,
    clock: Clock,
    listener: Listener,
    /// Why each certificate was last refused, by certificate id.
    refusals: Mutex<HashMap<String, String>>,
    /// Wakes whoever waits for a refusal.
    told: Notify,
    client_ids: AtomicU64,
}

impl Endpoint {
    /// # Errors
    ///
    /// When the CAs cannot be read from the state.
    pub fn new(account: Arc<Account>, options: Options, listener: Listener) -> Result<Self, AccountError> {
        let authorities = account.authorities()?;
        Ok(Self {
            tls: Tls::new(&options.identity, authorities, options.clock),
            provisioner: Provisioner::new(account.clone(), options.mode),
            account,
            broker: Broker::default(),
            home: options.home,
            sni_only: options.sni_only,
            clock: options.clock,
            listener,
            refusals: Mutex::default(),
            told: Notify::new(),
            client_ids: AtomicU64::default(),
        })
    }

    /// Takes connections until the task is dropped.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, port: Port) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let endpoint = self.clone();
                    tokio::spawn(async move { endpoint.greet(stream, peer, port).await });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn greet(&self, stream: TcpStream, peer: SocketAddr, port: Port) {
        // Small packets, one after the other; a socket that has no such option works all the same.
        let _ = stream.set_nodelay(true);
        let (config, slot) = self.tls.of_connection();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepted = timeout(PATIENCE, acceptor.accept(stream)).await;
        let presented = slot.get().cloned();
        let mut who = Who {
            peer,
            certificate_id: presented.as_ref().map(|presented| presented.id.clone()),
            name: presented.as_ref().map(|presented| presented.name.clone()),
            client_id: None,
            server_name: None,
        };
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let text = explain(&error, presented.as_ref());
                return self.tell(&who, Kind::Refused, format!("TLS: {text}"));
            }
            Err(_) => {
                let text = format!("TLS: the handshake took more than {} s", PATIENCE.as_secs());
                return self.tell(&who, Kind::Refused, text);
            }
        };
        let (_, connection) = stream.get_ref();
        if let Some(text) = self.objection(connection, port, presented.as_ref()) {
            return self.tell(&who, Kind::Refused, format!("TLS: {text}"));
        }
        let Some(Presented {
            judgement: Ok(leaf), ..
        }) = presented
        else {
            // rustls finishes no handshake without the verifier's consent.
            return self.tell(&who, Kind::Refused, "TLS: no certificate".to_owned());
        };
        who.server_name = connection.server_name().map(str::to_owned);
        session::serve(self, stream, &leaf, who).await;
    }

    /// What AWS IoT would not like of a handshake that succeeded.
    fn objection(
        &self,
        connection: &ServerConnection,
        port: Port,
        presented: Option<&Presented>,
    ) -> Option<String> {
        if port == Port::Alpn && connection.alpn_protocol() != Some(ALPN) {
            return Some(
                "the device sent no ALPN x-amzn-mqtt-ca, which port 443 of AWS IoT asks for".to_owned(),
            );
        }
        if connection.server_name().is_some() {
            return None;
        }
        // https://docs.aws.amazon.com/iot/latest/developerguide/jit-provisioning.html
        let why = match presented {
            _ if self.sni_only => "where the CA is SNI_ONLY",
            Some(presented) if presented.is_alone => {
                "of a device that sends its certificate without the CA's"
            }
            _ => return None,
        };
        Some(format!(
            "the device sent no server name (SNI), which AWS IoT asks for {why}"
        ))
    }

    pub(super) fn admit(&self, leaf: &Leaf) -> Result<Standing, AccountError> {
        self.provisioner.admit(leaf, Clock::milliseconds() / 1_000)
    }

    /// Publishes that a certificate was registered, as AWS IoT does.
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/auto-register-device-cert.html>
    pub(super) fn announce(&self, leaf: &Leaf) {
        let now = self.clock.now().unix_timestamp() * 1_000;
        let event = json!({
            "certificateId": leaf.id,
            "caCertificateId": leaf.authority,
            "timestamp": now,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": self.home.account,
            "certificateRegistrationTimestamp": now.to_string(),
        });
        self.broker.publish(&Message {
            topic: format!("$aws/events/certificates/registered/{}", leaf.authority),
            payload: Bytes::from(event.to_string()),
            qos: QoS::AtLeastOnce,
        });
    }

    /// A client id for a device that has none.
    pub(super) fn new_client_id(&self) -> String {
        format!("unnamed-{}", self.client_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Why a certificate was last refused, if it was; asked by a device that saw this error.
    pub(super) async fn refusal_after(&self, certificate_id: &str, error: &ConnectError) -> Option<String> {
        let refusal = || {
            let refusals = self.refusals.lock().expect("no holder panics");
            refusals.get(certificate_id).cloned()
        };
        let deadline = Instant::now() + LATE;
        loop {
            let told = self.told.notified();
            let found = refusal();
            // A device hears a TLS alert before the endpoint has told of it.
            if found.is_some() || !error.is_refused() {
                return found;
            }
            if timeout_at(deadline, told).await.is_err() {
                return refusal();
            }
        }
    }

    /// A topic that the policies of a certificate let its device publish to.
    pub(super) fn a_topic(
        &self,
        der: &[u8],
        certificate_id: &str,
        client_id: &str,
        host: &str,
    ) -> Option<String> {
        let leaf = Leaf {
            der: der.to_vec(),
            id: certificate_id.to_owned(),
            authority: String::new(),
            name: String::new(),
        };
        let origin = Origin {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_name: Some(host.to_owned()),
        };
        let rights = Rights::read(&self.account, &leaf, client_id, &origin, &self.home);
        rights.ok()?.ok()?.a_topic()
    }

    pub(super) fn tell(&self, who: &Who, kind: Kind, text: String) {
        if let (Kind::Refused, Some(id)) = (kind, &who.certificate_id) {
            let mut refusals = self.refusals.lock().expect("no holder panics");
            refusals.insert(id.clone(), text.clone());
        }
        let mut event = Event {
            at: Clock::milliseconds(),
            kind,
            peer: who.peer.to_string(),
            client_id: who.client_id.clone(),
            certificate_id: who.certificate_id.clone(),
            name: who.name.clone(),
            text,
        };
        if let Err(error) = self.account.record(&event) {
            // Whoever listens hears it still, and why nobody will read it later.
            event.text = format!("{} ({})", event.text, causes(&error));
        }
        (self.listener)(&event);
        if kind == Kind::Refused {
            self.told.notify_waiters();
        }
    }
}

/// Why a handshake failed, as its device's engineer needs to hear it.
fn explain(error: &io::Error, presented: Option<&Presented>) -> String {
    if let Some(Presented {
        judgement: Err(unfit),
        ..
    }) = presented
    {
        return unfit.to_string();
    }
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => "the device sent no certificate".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => format!(
            "the device broke off with alert {alert:?}; it must trust the root that this endpoint's certificate has"
        ),
        Some(rustls::Error::NoApplicationProtocol) => {
            "the device's ALPN has neither x-amzn-mqtt-ca nor mqtt".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => "what the device sends is no TLS".to_owned(),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the device closed the connection during the handshake".to_owned()
        }
        None => error.to_string(),
    }
}
