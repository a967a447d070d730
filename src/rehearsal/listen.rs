//! Listening: takes connections as AWS IoT Core does, with TLS and client certificates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConnection};

use super::endpoint::Endpoint;
use super::event::{EventKind, Who};
use super::link::PATIENCE;
use super::session;
use super::tls::{ALPN, Presented};

/// After an error that one more connection would not mend: no file descriptors, no memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Which of AWS IoT Core's ports a listener stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 8883.
    Mqtt,
    /// 443, where ALPN must say `x-amzn-mqtt-ca`.
    Alpn,
}

impl Endpoint {
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
                return self.tell(&who, EventKind::Refused, format!("TLS: {text}"));
            }
            Err(_) => {
                let text = format!("TLS: the handshake took more than {} s", PATIENCE.as_secs());
                return self.tell(&who, EventKind::Refused, text);
            }
        };
        let (_, connection) = stream.get_ref();
        if let Some(text) = self.objection(connection, port, presented.as_ref()) {
            return self.tell(&who, EventKind::Refused, format!("TLS: {text}"));
        }
        let Some(Presented {
            judgement: Ok(leaf), ..
        }) = presented
        else {
            // rustls finishes no handshake without the verifier's consent.
            return self.tell(&who, EventKind::Refused, "TLS: no certificate".to_owned());
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
