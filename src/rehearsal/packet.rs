//! Packets: MQTT 3.1.1 and MQTT 5 as one, as far as a first connection has use for them.
//!
//! The octets are rmqtt-codec's work. Reason codes are those of MQTT 5, 2.4; MQTT 3.1.1 has few of them, and where
//! it has none they are lost on the way.

use std::num::NonZeroU16;

use bytes::Bytes;
use rmqtt_codec::types::{Protocol, Publish as CodecPublish};
use rmqtt_codec::v5::{self, PublishProperties, ToReasonCode};
use rmqtt_codec::{MqttPacket, v3};

pub use rmqtt_codec::types::QoS;
pub use rmqtt_codec::version::ProtocolVersion as Version;

/// Reason codes of MQTT 5, 2.4.
pub mod reason {
    pub const SUCCESS: u8 = 0x00;
    pub const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
    pub const DISCONNECT_WITH_WILL: u8 = 0x04;
    pub const UNSPECIFIED: u8 = 0x80;
    pub const PROTOCOL_ERROR: u8 = 0x82;
    pub const NOT_AUTHORIZED: u8 = 0x87;
    pub const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;
    pub const SESSION_TAKEN_OVER: u8 = 0x8E;
    pub const TOPIC_FILTER_INVALID: u8 = 0x8F;
    pub const TOPIC_NAME_INVALID: u8 = 0x90;
    pub const PACKET_TOO_LARGE: u8 = 0x95;
    pub const QOS_NOT_SUPPORTED: u8 = 0x9B;
    pub const SHARED_NOT_SUPPORTED: u8 = 0x9E;

    /// Whether it says that something failed.
    #[must_use]
    pub fn is_failure(code: u8) -> bool {
        code >= 0x80
    }
}

/// A control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Connect(Connect),
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck {
        id: NonZeroU16,
        code: u8,
    },
    Subscribe {
        id: NonZeroU16,
        filters: Vec<(String, QoS)>,
    },
    SubAck {
        id: NonZeroU16,
        /// One for each filter: the QoS that was granted, or a failure.
        codes: Vec<u8>,
    },
    Unsubscribe {
        id: NonZeroU16,
        filters: Vec<String>,
    },
    UnsubAck {
        id: NonZeroU16,
        filters: usize,
    },
    PingReq,
    PingResp,
    Disconnect {
        code: u8,
        reason: Option<String>,
    },
    /// One that this endpoint has no use for.
    Other(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub client_id: String,
    /// Seconds; 0: none.
    pub keep_alive: u16,
    pub clean_start: bool,
    /// The session outlives the connection: not `clean_start`, or with an expiry (MQTT 5).
    pub is_persistent: bool,
    pub will: Option<Publish>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAck {
    pub code: u8,
    pub reason: Option<String>,
    /// The client id, where the client sent none (MQTT 5).
    pub assigned_client_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    /// Absent with QoS 0.
    pub id: Option<NonZeroU16>,
}

impl Packet {
    pub(super) fn read(packet: MqttPacket) -> Self {
        match packet {
            MqttPacket::V3(packet) => Self::read_v3(packet),
            MqttPacket::V5(packet) => Self::read_v5(packet),
            MqttPacket::Version(_) => Self::Other("version"),
        }
    }

    fn read_v3(packet: v3::Packet) -> Self {
        use v3::Packet as P;
        match packet {
            P::Connect(connect) if connect.protocol != Protocol::default() => {
                Self::Other("CONNECT of MQTT 3.1, which AWS IoT does not take")
            }
            P::Connect(connect) => Self::Connect(Connect {
                client_id: connect.client_id.to_string(),
                keep_alive: connect.keep_alive,
                clean_start: connect.clean_session,
                is_persistent: !connect.clean_session,
                will: connect
                    .last_will
                    .map(|will| Publish::will(&will.topic, will.message, will.qos, will.retain)),
            }),
            P::ConnectAck(ack) => Self::ConnAck(ConnAck {
                code: match ack.return_code {
                    v3::ConnectAckReason::ConnectionAccepted => reason::SUCCESS,
                    v3::ConnectAckReason::NotAuthorized => reason::NOT_AUTHORIZED,
                    _ => reason::UNSPECIFIED,
                },
                reason: (ack.return_code != v3::ConnectAckReason::ConnectionAccepted)
                    .then(|| ack.return_code.reason().to_owned()),
                assigned_client_id: None,
            }),
            P::Publish(publish) => Self::read_publish(*publish),
            P::PublishAck { packet_id } => Self::PubAck {
                id: packet_id,
                code: reason::SUCCESS,
            },
            P::Subscribe {
                packet_id,
                topic_filters,
            } => Self::Subscribe {
                id: packet_id,
                filters: topic_filters
                    .into_iter()
                    .map(|(filter, qos)| (filter.to_string(), qos))
                    .collect(),
            },
            P::SubscribeAck { packet_id, status } => Self::SubAck {
                id: packet_id,
                codes: status
                    .into_iter()
                    .map(|status| match status {
                        v3::SubscribeReturnCode::Success(qos) => qos.into(),
                        v3::SubscribeReturnCode::Failure => reason::UNSPECIFIED,
                    })
                    .collect(),
            },
            P::Unsubscribe {
                packet_id,
                topic_filters,
            } => Self::Unsubscribe {
                id: packet_id,
                filters: topic_filters.iter().map(ToString::to_string).collect(),
            },
            P::UnsubscribeAck { packet_id } => Self::UnsubAck {
                id: packet_id,
                filters: 1,
            },
            P::PingRequest => Self::PingReq,
            P::PingResponse => Self::PingResp,
            P::Disconnect => Self::Disconnect {
                code: reason::SUCCESS,
                reason: None,
            },
            P::PublishReceived { .. } | P::PublishRelease { .. } | P::PublishComplete { .. } => {
                Self::Other("a packet of QoS 2")
            }
        }
    }

    fn read_v5(packet: v5::Packet) -> Self {
        use v5::Packet as P;
        match packet {
            P::Connect(connect) => Self::Connect(Connect {
                client_id: connect.client_id.to_string(),
                keep_alive: connect.keep_alive,
                clean_start: connect.clean_start,
                is_persistent: !connect.clean_start || connect.session_expiry_interval_secs > 0,
                will: connect
                    .last_will
                    .map(|will| Publish::will(&will.topic, will.message, will.qos, will.retain)),
            }),
            P::ConnectAck(ack) => Self::ConnAck(ConnAck {
                code: ack.reason_code.into(),
                reason: reason_text(
                    ack.reason_string.as_deref(),
                    ack.reason_code.reason(),
                    ack.reason_code.into(),
                ),
                assigned_client_id: ack.assigned_client_id.map(|id| id.to_string()),
            }),
            P::Publish(publish) => Self::read_publish(*publish),
            P::PublishAck(ack) => Self::PubAck {
                id: ack.packet_id,
                code: ack.reason_code.into(),
            },
            P::Subscribe(subscribe) => Self::Subscribe {
                id: subscribe.packet_id,
                filters: subscribe
                    .topic_filters
                    .into_iter()
                    .map(|(filter, options)| (filter.to_string(), options.qos))
                    .collect(),
            },
            P::SubscribeAck(ack) => Self::SubAck {
                id: ack.packet_id,
                codes: ack.status.into_iter().map(Into::into).collect(),
            },
            P::Unsubscribe(unsubscribe) => Self::Unsubscribe {
                id: unsubscribe.packet_id,
                filters: unsubscribe
                    .topic_filters
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
            P::UnsubscribeAck(ack) => Self::UnsubAck {
                id: ack.packet_id,
                filters: ack.status.len(),
            },
            P::PingRequest => Self::PingReq,
            P::PingResponse => Self::PingResp,
            P::Disconnect(disconnect) => Self::Disconnect {
                code: disconnect.reason_code.into(),
                reason: disconnect.reason_string.map(|reason| reason.to_string()),
            },
            P::Auth(_) => Self::Other("AUTH"),
            P::PublishReceived(_) | P::PublishRelease(_) | P::PublishComplete(_) => {
                Self::Other("a packet of QoS 2")
            }
        }
    }

    fn read_publish(publish: CodecPublish) -> Self {
        Self::Publish(Publish {
            topic: publish.topic.to_string(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            id: publish.packet_id,
        })
    }

    /// The packet in a version of the protocol; `None` where that version has no such packet.
    pub(super) fn write(self, version: Version) -> Option<MqttPacket> {
        match version {
            Version::MQTT3 => self.write_v3().map(MqttPacket::V3),
            Version::MQTT5 => self.write_v5().map(MqttPacket::V5),
        }
    }

    fn write_v3(self) -> Option<v3::Packet> {
        use v3::Packet as P;
        Some(match self {
            Self::Connect(connect) => P::from(v3::Connect {
                protocol: Protocol::default(),
                clean_session: connect.clean_start,
                keep_alive: connect.keep_alive,
                client_id: connect.client_id.into(),
                ..v3::Connect::default()
            }),
            Self::ConnAck(ack) => P::ConnectAck(v3::ConnectAck {
                return_code: match ack.code {
                    reason::SUCCESS => v3::ConnectAckReason::ConnectionAccepted,
                    reason::NOT_AUTHORIZED => v3::ConnectAckReason::NotAuthorized,
                    _ => v3::ConnectAckReason::ServiceUnavailable,
                },
                session_present: false,
            }),
            Self::Publish(publish) => P::from(publish.write(None)),
            Self::PubAck { id, .. } => P::PublishAck { packet_id: id },
            Self::Subscribe { id, filters } => P::Subscribe {
                packet_id: id,
                topic_filters: filters
                    .into_iter()
                    .map(|(filter, qos)| (filter.into(), qos))
                    .collect(),
            },
            Self::SubAck { id, codes } => P::SubscribeAck {
                packet_id: id,
                status: codes
                    .into_iter()
                    .map(|code| match QoS::try_from(code) {
                        Ok(qos) => v3::SubscribeReturnCode::Success(qos),
                        Err(_) => v3::SubscribeReturnCode::Failure,
                    })
                    .collect(),
            },
            Self::Unsubscribe { id, filters } => P::Unsubscribe {
                packet_id: id,
                topic_filters: filters.into_iter().map(Into::into).collect(),
            },
            Self::UnsubAck { id, .. } => P::UnsubscribeAck { packet_id: id },
            Self::PingReq => P::PingRequest,
            Self::PingResp => P::PingResponse,
            Self::Disconnect { .. } => P::Disconnect,
            Self::Other(_) => return None,
        })
    }

    fn write_v5(self) -> Option<v5::Packet> {
        use v5::Packet as P;
        Some(match self {
            Self::Connect(connect) => P::from(v5::Connect {
                clean_start: connect.clean_start,
                keep_alive: connect.keep_alive,
                client_id: connect.client_id.into(),
                ..v5::Connect::default()
            }),
            Self::ConnAck(ack) => P::from(v5::ConnectAck {
                reason_code: ack
                    .code
                    .try_into()
                    .unwrap_or(v5::ConnectAckReason::UnspecifiedError),
                reason_string: ack.reason.map(Into::into),
                assigned_client_id: ack.assigned_client_id.map(Into::into),
                max_qos: QoS::AtLeastOnce,
                // Retained messages are taken, as AWS IoT takes them, and delivered once. Said to be unavailable,
                // devices would not send them.
                retain_available: true,
                shared_subscription_available: false,
                subscription_identifiers_available: false,
                ..v5::ConnectAck::default()
            }),
            Self::Publish(publish) => P::from(publish.write(Some(PublishProperties::default()))),
            Self::PubAck { id, code } => P::PublishAck(v5::PublishAck {
                packet_id: id,
                reason_code: code.try_into().unwrap_or(v5::PublishAckReason::UnspecifiedError),
                properties: Vec::new(),
                reason_string: None,
            }),
            Self::Subscribe { id, filters } => P::Subscribe(v5::Subscribe {
                packet_id: id,
                id: None,
                user_properties: Vec::new(),
                topic_filters: filters
                    .into_iter()
                    .map(|(filter, qos)| {
                        let options = v5::SubscriptionOptions {
                            qos,
                            ..v5::SubscriptionOptions::default()
                        };
                        (filter.into(), options)
                    })
                    .collect(),
            }),
            Self::SubAck { id, codes } => P::SubscribeAck(v5::SubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: codes
                    .into_iter()
                    .map(|code| {
                        code.try_into()
                            .unwrap_or(v5::SubscribeAckReason::UnspecifiedError)
                    })
                    .collect(),
            }),
            Self::Unsubscribe { id, filters } => P::Unsubscribe(v5::Unsubscribe {
                packet_id: id,
                user_properties: Vec::new(),
                topic_filters: filters.into_iter().map(Into::into).collect(),
            }),
            Self::UnsubAck { id, filters } => P::UnsubscribeAck(v5::UnsubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: vec![v5::UnsubscribeAckReason::Success; filters],
            }),
            Self::PingReq => P::PingRequest,
            Self::PingResp => P::PingResponse,
            Self::Disconnect { code, reason } => P::Disconnect(v5::Disconnect {
                reason_code: code
                    .try_into()
                    .unwrap_or(v5::DisconnectReasonCode::UnspecifiedError),
                reason_string: reason.map(Into::into),
                ..v5::Disconnect::default()
            }),
            Self::Other(_) => return None,
        })
    }
}

impl Publish {
    /// What a device leaves behind.
    fn will(topic: &str, payload: Bytes, qos: QoS, retain: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            payload,
            qos,
            retain,
            id: None,
        }
    }

    fn write(self, properties: Option<PublishProperties>) -> CodecPublish {
        CodecPublish {
            dup: false,
            retain: self.retain,
            qos: self.qos,
            topic: self.topic.into(),
            packet_id: self.id,
            payload: self.payload,
            properties,
        }
    }
}

/// The reason code that says best what was wrong with octets that are no packet.
pub(super) fn code_of(error: &rmqtt_codec::error::DecodeError) -> u8 {
    error.to_reason_code().into()
}

/// Why a connection is refused: what the server says, or else what the code says.
fn reason_text(said: Option<&str>, meant: &str, code: u8) -> Option<String> {
    if !reason::is_failure(code) {
        return None;
    }
    Some(said.unwrap_or(meant).to_owned())
}
