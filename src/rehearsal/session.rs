//! A session: one device's MQTT connection, from CONNECT to its end.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/mqtt.html>

use std::num::NonZeroU16;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

use super::account::{AccountError, CertificateStatus};
use super::admission::{admit, first, refusal_of};
use super::broker::{Message, Seat};
use super::endpoint::Endpoint;
use super::event::{EventKind, Who};
use super::leaf::Leaf;
use super::link::{Link, LinkError, PATIENCE};
use super::packet::{ConnAck, Packet, Publish, QoS, Version, reason};
use super::rights::Rights;
use super::topic::{MOST_FILTERS, filter_refusal};
use crate::causes::in_one_line;
use crate::jitp::Ask;

/// Seconds of keep-alive that AWS IoT grants.
const KEEP_ALIVE: std::ops::RangeInclusive<u16> = 30..=1_200;

/// How a connection ended.
enum End {
    /// The device said so, or went away; its will is sent, unless it said DISCONNECT.
    Left {
        will: bool,
    },
    /// The endpoint ends it, with a reason code and a reason.
    Refused {
        code: u8,
        reason: String,
    },
    /// Another connection took the client id.
    TakenOver,
    Broken(LinkError),
    State(AccountError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        match error.code() {
            Some(code) => Self::Refused {
                code,
                reason: error.to_string(),
            },
            None => Self::Broken(error),
        }
    }
}

impl From<AccountError> for End {
    fn from(error: AccountError) -> Self {
        Self::State(error)
    }
}

fn refused(code: u8, reason: impl Into<String>) -> End {
    End::Refused {
        code,
        reason: reason.into(),
    }
}

/// Serves a device whose certificate TLS has let in, until its connection ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    endpoint: &Endpoint,
    stream: S,
    leaf: &Leaf,
    mut who: Who,
) {
    let mut link = Link::accept(stream);
    let connect = match first(&mut link).await {
        Ok(connect) => connect,
        Err(text) => {
            endpoint.tell(&who, EventKind::Refused, text);
            return link.close().await;
        }
    };
    let (client_id, assigned) = match connect.client_id.as_str() {
        "" => (endpoint.new_client_id(), true),
        given => (given.to_owned(), false),
    };
    who.client_id = Some(client_id.clone());
    let rights = match admit(endpoint, leaf, &who, &connect, &client_id) {
        Ok(Some(rights)) => rights,
        // AWS IoT closes without a word.
        Ok(None) => return link.close().await,
        Err(text) => {
            endpoint.tell(&who, EventKind::Refused, text.clone());
            // MQTT 3.1.1 devices see the connection close; MQTT 5 has words for it.
            if link.version() == Some(Version::MQTT5) {
                let _ = link
                    .send(Packet::ConnAck(ConnAck {
                        code: reason::NOT_AUTHORIZED,
                        reason: Some(text),
                        assigned_client_id: None,
                    }))
                    .await;
            }
            return link.close().await;
        }
    };
    let seat = endpoint.broker.join(&client_id);
    let version = match link.version() {
        Some(Version::MQTT5) => "MQTT 5",
        _ => "MQTT 3.1.1",
    };
    let things = match rights.things.as_slice() {
        [] => "no thing".to_owned(),
        things => format!("thing {}", things.join(", ")),
    };
    endpoint.tell(&who, EventKind::Connected, format!("{version}, {things}"));
    let ack = ConnAck {
        assigned_client_id: assigned.then(|| client_id.clone()),
        ..ConnAck::default()
    };
    let mut session = Session {
        endpoint,
        link,
        rights,
        who,
        seat,
        keep_alive: patience(connect.keep_alive),
        next_id: NonZeroU16::MIN,
    };
    let end = match session.send(Packet::ConnAck(ack)).await {
        Ok(()) => session.run().await,
        Err(end) => end,
    };
    session.end(end, connect.will).await;
}

/// How long a device may be silent: one and a half times what it says (MQTT 5, 3.1.2.10), within AWS IoT's limits.
fn patience(keep_alive: u16) -> Duration {
    let seconds = match keep_alive {
        0 => *KEEP_ALIVE.end(),
        seconds => seconds.clamp(*KEEP_ALIVE.start(), *KEEP_ALIVE.end()),
    };
    Duration::from_millis(u64::from(seconds) * 1_500)
}

struct Session<'a, S> {
    endpoint: &'a Endpoint,
    link: Link<S>,
    rights: Rights,
    who: Who,
    seat: Seat,
    keep_alive: Duration,
    next_id: NonZeroU16,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn run(&mut self) -> End {
        let mut deadline = Instant::now() + self.keep_alive;
        loop {
            let step = tokio::select! {
                _ = &mut self.seat.taken => return End::TakenOver,
                packet = self.link.next() => {
                    deadline = Instant::now() + self.keep_alive;
                    match packet {
                        Ok(Some(packet)) => self.take(packet).await,
                        Ok(None) => return End::Left { will: true },
                        Err(error) => return error.into(),
                    }
                }
                Some(message) = self.seat.inbox.recv() => self.deliver(message).await,
                () = sleep_until(deadline) => {
                    let text = format!("nothing came for {} s (keep-alive)", self.keep_alive.as_secs());
                    return refused(reason::KEEP_ALIVE_TIMEOUT, text);
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => {
                self.check_status()?;
                self.publish(publish).await
            }
            Packet::Subscribe { id, filters } => {
                self.check_status()?;
                self.subscribe(id, filters).await
            }
            Packet::Unsubscribe { id, filters } => {
                for filter in &filters {
                    self.endpoint.broker.unsubscribe(&self.seat, filter);
                }
                let filters = filters.len();
                self.send(Packet::UnsubAck { id, filters }).await
            }
            Packet::PingReq => self.send(Packet::PingResp).await,
            // Messages are sent once, whether they arrive or not.
            Packet::PubAck { .. } => Ok(()),
            Packet::Disconnect { code, .. } => Err(End::Left {
                will: code == reason::DISCONNECT_WITH_WILL,
            }),
            Packet::Connect(_) => Err(refused(reason::PROTOCOL_ERROR, "a second CONNECT")),
            Packet::Other(what) => Err(refused(
                reason::PROTOCOL_ERROR,
                format!("{what}, which AWS IoT does not take"),
            )),
            Packet::ConnAck(_) | Packet::SubAck { .. } | Packet::UnsubAck { .. } | Packet::PingResp => {
                Err(refused(reason::PROTOCOL_ERROR, "a packet that only servers send"))
            }
        }
    }

    async fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if let Err((code, text)) = refusal_of(&publish, &self.rights) {
            return Err(refused(code, format!("PUBLISH: {text}")));
        }
        let topic = publish.topic.as_str();
        let text = format!(
            "{topic}, {} octets, QoS {}",
            publish.payload.len(),
            publish.qos.value()
        );
        self.endpoint.tell(&self.who, EventKind::Published, text);
        let wanted = self.endpoint.broker.publish(&Message {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
        });
        if let Some(id) = publish.id {
            let code = match wanted {
                0 => reason::NO_MATCHING_SUBSCRIBERS,
                _ => reason::SUCCESS,
            };
            self.send(Packet::PubAck { id, code }).await?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, id: NonZeroU16, filters: Vec<(String, QoS)>) -> Result<(), End> {
        if filters.len() > MOST_FILTERS {
            let text = format!(
                "SUBSCRIBE: {} topic filters, AWS IoT allows {MOST_FILTERS} in one packet",
                filters.len()
            );
            return Err(refused(reason::UNSPECIFIED, text));
        }
        let mut codes = Vec::with_capacity(filters.len());
        for (filter, qos) in &filters {
            let code = match self.may_subscribe(filter) {
                Ok(()) => {
                    let qos = (*qos).min(QoS::AtLeastOnce);
                    self.endpoint.broker.subscribe(&self.seat, filter, qos);
                    self.endpoint
                        .tell(&self.who, EventKind::Subscribed, filter.clone());
                    qos.value()
                }
                Err((code, text)) => {
                    let text = format!("SUBSCRIBE: {text}");
                    self.endpoint.tell(&self.who, EventKind::Refused, text);
                    code
                }
            };
            codes.push(code);
        }
        self.send(Packet::SubAck { id, codes }).await
    }

    fn may_subscribe(&self, filter: &str) -> Result<(), (u8, String)> {
        if filter.starts_with("$share/") {
            let text = "shared subscriptions, which the rehearsal does not have".to_owned();
            return Err((reason::SHARED_NOT_SUPPORTED, text));
        }
        if let Some(text) = filter_refusal(filter) {
            return Err((reason::TOPIC_FILTER_INVALID, text));
        }
        self.rights
            .may(&Ask::Subscribe { filter })
            .map_err(|text| (reason::NOT_AUTHORIZED, text))
    }

    /// Sends a message to the device, if it may receive it.
    async fn deliver(&mut self, message: Message) -> Result<(), End> {
        let topic = message.topic.as_str();
        if let Err(text) = self.rights.may(&Ask::Receive { topic }) {
            let text = format!("a message is not delivered: {text}");
            self.endpoint.tell(&self.who, EventKind::Refused, text);
            return Ok(());
        }
        let id = (message.qos != QoS::AtMostOnce).then(|| self.new_id());
        Ok(self
            .link
            .send(Packet::Publish(Publish {
                topic: message.topic,
                payload: message.payload,
                qos: message.qos,
                retain: false,
                id,
            }))
            .await?)
    }

    /// Sends a packet; a device that does not read it in time is gone.
    async fn send(&mut self, packet: Packet) -> Result<(), End> {
        match timeout(PATIENCE, self.link.send(packet)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(End::Broken(LinkError::Io(std::io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Whether the certificate is still ACTIVE.
    fn check_status(&self) -> Result<(), End> {
        let id = self.who.certificate_id.as_deref().unwrap_or_default();
        match self.endpoint.account.certificate(id)?.map(|found| found.status) {
            Some(CertificateStatus::Active) => Ok(()),
            status => Err(refused(
                reason::NOT_AUTHORIZED,
                format!(
                    "the certificate is {}",
                    status.map_or("gone", CertificateStatus::as_str)
                ),
            )),
        }
    }

    fn new_id(&mut self) -> NonZeroU16 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(NonZeroU16::MIN);
        id
    }

    /// Ends the connection, and says so to whom it concerns.
    async fn end(mut self, end: End, will: Option<Publish>) {
        self.endpoint.broker.leave(&self.seat);
        let will = will.filter(|_| !matches!(end, End::Left { will: false }));
        let (kind, text, code) = match end {
            End::Left { will: false } => (EventKind::Disconnected, "DISCONNECT".to_owned(), None),
            End::Left { will: true } => {
                let text = "the device closed the connection".to_owned();
                (EventKind::Disconnected, text, None)
            }
            End::Refused { code, reason } => (EventKind::Refused, reason, Some(code)),
            End::TakenOver => {
                let text = "another connection took the client id".to_owned();
                (EventKind::Dropped, text, Some(reason::SESSION_TAKEN_OVER))
            }
            End::Broken(error) => (
                EventKind::Disconnected,
                format!("the connection broke: {error}"),
                None,
            ),
            End::State(error) => (
                EventKind::Refused,
                format!("the state failed: {}", in_one_line(&error)),
                None,
            ),
        };
        self.endpoint.tell(&self.who, kind, text.clone());
        if let Some(code) = code
            && self.link.version() == Some(Version::MQTT5)
        {
            let disconnect = Packet::Disconnect {
                code,
                reason: Some(text.clone()),
            };
            let _ = self.send(disconnect).await;
        }
        let _ = timeout(PATIENCE, self.link.close()).await;
        if let Some(will) = will {
            self.endpoint.broker.publish(&Message {
                topic: will.topic,
                payload: will.payload,
                qos: will.qos,
            });
        }
    }
}
