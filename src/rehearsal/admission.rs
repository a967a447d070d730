//! Admission: whether a device that TLS has let in may connect, decided at its CONNECT.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::account::AccountError;
use super::endpoint::Endpoint;
use super::event::{EventKind, Who};
use super::leaf::Leaf;
use super::link::{Link, PATIENCE};
use super::packet::{Connect, Packet, Publish, QoS, reason};
use super::provisioner::{Settled, Standing};
use super::rights::{Origin, Rights};
use super::topic::topic_refusal;
use crate::causes::in_one_line;
use crate::jitp::{Ask, Greeting};

/// <https://docs.aws.amazon.com/general/latest/gr/iot-core.html>, message broker and protocol limits.
const LONGEST_CLIENT_ID: usize = 128;
const LARGEST_PAYLOAD: usize = 128 << 10;

/// The first packet, which must be CONNECT.
pub(super) async fn first<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>) -> Result<Connect, String> {
    match timeout(PATIENCE, link.next()).await {
        Ok(Ok(Some(Packet::Connect(connect)))) => Ok(connect),
        Ok(Ok(Some(Packet::Other(what)))) => Err(format!("CONNECT: {what}")),
        Ok(Ok(Some(_))) => Err("the first packet is no CONNECT".to_owned()),
        Ok(Ok(None)) => Err("the device closed the connection before CONNECT".to_owned()),
        Ok(Err(error)) => Err(format!("CONNECT: {error}")),
        Err(_) => Err(format!("no CONNECT within {} s", PATIENCE.as_secs())),
    }
}

/// Decides whether a device may connect. `None`: it is dropped, which has been told.
pub(super) fn admit(
    endpoint: &Endpoint,
    leaf: &Leaf,
    who: &Who,
    connect: &Connect,
    client_id: &str,
) -> Result<Option<Rights>, String> {
    let state = |error: AccountError| format!("the state failed: {}", in_one_line(&error));
    if client_id.len() > LONGEST_CLIENT_ID {
        return Err(format!(
            "the client id has {} octets, AWS IoT allows {LONGEST_CLIENT_ID}",
            client_id.len()
        ));
    }
    match endpoint.admit(leaf).map_err(state)? {
        Standing::Active => {}
        Standing::Refused(text) => return Err(text),
        Standing::Dropped { new, outcome } => {
            if new {
                endpoint.tell(who, EventKind::Registered, "PENDING_ACTIVATION".to_owned());
                endpoint.announce(leaf);
            }
            tell_outcome(endpoint, who, outcome);
            return Ok(None);
        }
    }
    let origin = Origin {
        address: who.peer.ip(),
        server_name: who.server_name.clone(),
        greeting: Greeting {
            persistent: connect.is_persistent,
            last_will: connect.will.as_ref().map(|will| will.topic.clone()),
        },
    };
    let rights = Rights::read(&endpoint.account, leaf, client_id, &origin, &endpoint.home);
    let rights = rights.map_err(state)??;
    rights.may(&Ask::Connect)?;
    if let Some(will) = &connect.will
        && let Err((_, text)) = refusal_of(will, &rights)
    {
        return Err(format!("last will: {text}"));
    }
    Ok(Some(rights))
}

/// Why AWS IoT does not take a message from a device, with the reason code for it.
pub(super) fn refusal_of(publish: &Publish, rights: &Rights) -> Result<(), (u8, String)> {
    let topic = publish.topic.as_str();
    if publish.qos == QoS::ExactlyOnce {
        let text = "QoS 2, which AWS IoT does not take".to_owned();
        return Err((reason::QOS_NOT_SUPPORTED, text));
    }
    if let Some(text) = topic_refusal(topic) {
        return Err((reason::TOPIC_NAME_INVALID, text));
    }
    if publish.payload.len() > LARGEST_PAYLOAD {
        let text = format!(
            "the payload has {} octets, AWS IoT allows {LARGEST_PAYLOAD}",
            publish.payload.len()
        );
        return Err((reason::PACKET_TOO_LARGE, text));
    }
    let mut asks = vec![Ask::Publish { topic }];
    if publish.retain {
        asks.push(Ask::RetainPublish { topic });
    }
    asks.iter()
        .try_for_each(|ask| rights.may(ask))
        .map_err(|text| (reason::NOT_AUTHORIZED, text))
}

fn tell_outcome(endpoint: &Endpoint, who: &Who, outcome: Settled) {
    match outcome {
        Settled::Made(made) => {
            let thing = made.thing.as_deref().unwrap_or("none");
            let mut text = format!(
                "thing {thing}, policies {}, certificate {}",
                made.policies,
                made.status.as_str()
            );
            if !made.also_attached.is_empty() {
                text.push_str("; the thing is attached to another certificate as well: ");
                text.push_str(&made.also_attached.join(", "));
            }
            endpoint.tell(who, EventKind::Provisioned, text);
            let text = "the first connection ends; the device has to come again".to_owned();
            endpoint.tell(who, EventKind::Dropped, text);
        }
        Settled::Waits => {
            let text = "the certificate is PENDING_ACTIVATION until it is activated (JITR)".to_owned();
            endpoint.tell(who, EventKind::Dropped, text);
        }
        Settled::NotAllowed => {
            let text = "the certificate is INACTIVE now: it is not in the allow list (JITR)".to_owned();
            endpoint.tell(who, EventKind::Refused, text);
        }
        Settled::Pending(text) => {
            let text = format!("the certificate stays PENDING_ACTIVATION, the template failed: {text}");
            endpoint.tell(who, EventKind::Refused, text);
        }
    }
}
