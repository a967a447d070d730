//! Listening: takes connections as AWS IoT Core does, with TLS and client certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::event::{EventKind, Who};
use super::link::PATIENCE;
use super::session;
use super::tls::{Port, Presented, Shaken, Unshaken};

/// After an error that one more connection would not mend: no file descriptors, no memory.
const PAUSE: Duration = Duration::from_millis(50);

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
        let mut who = Who {
            peer,
            certificate_id: None,
            name: None,
            client_id: None,
            server_name: None,
        };
        let refuse = |who: &Who, why: &str| self.tell(who, EventKind::Refused, format!("TLS: {why}"));
        let Ok(shaken) = timeout(PATIENCE, self.tls.shake(stream, port)).await else {
            let text = format!("the handshake took more than {} s", PATIENCE.as_secs());
            return refuse(&who, &text);
        };
        let mut introduce = |presented: &Presented| {
            who.certificate_id = Some(presented.id.clone());
            who.name = Some(presented.name.clone());
        };
        let shaken = match shaken {
            Ok(shaken) => shaken,
            Err(Unshaken { presented, why }) => {
                presented.as_deref().into_iter().for_each(introduce);
                return refuse(&who, &why);
            }
        };
        introduce(&shaken.presented);
        if let Some(text) = self.objection(&shaken, port) {
            return refuse(&who, &text);
        }
        let leaf = match shaken.presented.judgement {
            Ok(leaf) => leaf,
            // No handshake is finished without the consent of whoever judges.
            Err(unfit) => return refuse(&who, &unfit.to_string()),
        };
        who.server_name = shaken.server_name;
        session::serve(self, shaken.stream, &leaf, who).await;
    }

    /// What AWS IoT would not like of a handshake that succeeded.
    fn objection(&self, shaken: &Shaken, port: Port) -> Option<String> {
        if port == Port::Alpn && !shaken.has_alpn {
            return Some(
                "the device sent no ALPN x-amzn-mqtt-ca, which port 443 of AWS IoT asks for".to_owned(),
            );
        }
        if shaken.server_name.is_some() {
            return None;
        }
        // https://docs.aws.amazon.com/iot/latest/developerguide/jit-provisioning.html
        let why = match shaken.presented.is_alone {
            _ if self.sni_only => "where the CA is SNI_ONLY",
            true => "of a device that sends its certificate without the CA's",
            false => return None,
        };
        Some(format!(
            "the device sent no server name (SNI), which AWS IoT asks for {why}"
        ))
    }
}
