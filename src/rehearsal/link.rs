//! A link: packets over a connection.

use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::version::VersionCodec;
use rmqtt_codec::{MqttCodec, v3, v5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, Encoder};

use super::fault::Fault;
use super::packet::{Packet, Version, code_of};

/// What a device has to say or to take, it must within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of the largest packet: AWS IoT takes payloads of 128 KiB.
/// <https://docs.aws.amazon.com/general/latest/gr/iot-core.html>
const LARGEST_PACKET: u32 = 146 << 10;

/// The first octet that a client hears (MQTT 5, 3.2.1). Other protocols have lengths in other places, and would be waited
/// for as long packets.
const CONNACK: u8 = 0x20;

/// Octets that are shown of a protocol that is none.
const BEGINNING: usize = 16;

/// Octets of the buffers that a link begins with; an idle one keeps no more than that.
const BUFFER: usize = 1 << 10;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{}", Fault::of(.0).in_session())]
    Io(#[from] std::io::Error),
    #[error("this is no MQTT: {0}")]
    Decode(DecodeError),
    #[error("this is no MQTT, it begins with {beginning:?}")]
    NoConnAck { beginning: String },
    #[error("the packet cannot be sent: {0}")]
    Encode(EncodeError),
}

impl LinkError {
    /// What a server says of it in a DISCONNECT.
    pub(super) fn code(&self) -> Option<u8> {
        match self {
            Self::Decode(error) => Some(code_of(error)),
            Self::Io(_) | Self::Encode(_) | Self::NoConnAck { .. } => None,
        }
    }
}

/// One end of an MQTT connection. A server's learns the version from the first packet.
pub struct Link<S> {
    stream: S,
    codec: MqttCodec,
    read: BytesMut,
    /// What the next octet must be, if that is known.
    expected: Option<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// The server's end.
    pub fn accept(stream: S) -> Self {
        Self::new(stream, MqttCodec::Version(VersionCodec), None)
    }

    /// The client's end.
    pub fn open(stream: S, version: Version) -> Self {
        Self::new(stream, codec(version), Some(CONNACK))
    }

    fn new(stream: S, codec: MqttCodec, expected: Option<u8>) -> Self {
        Self {
            stream,
            codec,
            read: BytesMut::with_capacity(BUFFER),
            expected,
        }
    }

    /// The version of the protocol; `None` before a client's first packet.
    pub fn version(&self) -> Option<Version> {
        match self.codec {
            MqttCodec::V3(_) => Some(Version::MQTT3),
            MqttCodec::V5(_) => Some(Version::MQTT5),
            MqttCodec::Version(_) => None,
        }
    }

    /// The next packet; `None` when the other side has closed. May be dropped while it waits, and called again.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or what comes is no MQTT.
    pub async fn next(&mut self) -> Result<Option<Packet>, LinkError> {
        loop {
            self.expect()?;
            if let MqttCodec::Version(detect) = &mut self.codec {
                let version = detect.decode(&mut self.read).map_err(LinkError::Decode)?;
                if let Some(version) = version {
                    self.codec = codec(version);
                }
            }
            if self.version().is_some() {
                let packet = self.codec.decode(&mut self.read).map_err(LinkError::Decode)?;
                if let Some((packet, _)) = packet {
                    return Ok(Some(Packet::read(packet)));
                }
            }
            let octets = match self.stream.read_buf(&mut self.read).await {
                // Most firmware closes TCP without a word of TLS.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                other => other?,
            };
            if octets == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err(LinkError::Io(std::io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
    }

    /// Looks at the first octet, once it is there.
    fn expect(&mut self) -> Result<(), LinkError> {
        if let (Some(expected), Some(first)) = (self.expected, self.read.first()) {
            if *first != expected {
                let shown = &self.read[..self.read.len().min(BEGINNING)];
                return Err(LinkError::NoConnAck {
                    beginning: String::from_utf8_lossy(shown).into_owned(),
                });
            }
            self.expected = None;
        }
        Ok(())
    }

    /// Sends a packet; one that the version has no form for is left out.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the packet is too large.
    pub async fn send(&mut self, packet: Packet) -> Result<(), LinkError> {
        let Some(packet) = self.version().and_then(|version| packet.write(version)) else {
            return Ok(());
        };
        let mut octets = BytesMut::with_capacity(BUFFER);
        self.codec
            .encode(packet, &mut octets)
            .map_err(LinkError::Encode)?;
        self.stream.write_all(&octets).await?;
        Ok(self.stream.flush().await?)
    }

    /// Closes this side; the other one may have gone.
    pub async fn close(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

fn codec(version: Version) -> MqttCodec {
    match version {
        Version::MQTT3 => MqttCodec::V3(v3::Codec::new(LARGEST_PACKET)),
        Version::MQTT5 => MqttCodec::V5(v5::Codec::new(LARGEST_PACKET, LARGEST_PACKET)),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use tokio::io::ReadBuf;

    use super::*;
    use crate::rehearsal::packet::{ConnAck, Connect, Publish, QoS};

    const ID: NonZeroU16 = NonZeroU16::MIN;

    fn packets() -> Vec<Packet> {
        vec![
            Packet::Publish(Publish {
                topic: "a/b".to_owned(),
                payload: Bytes::from_static(b"first light"),
                qos: QoS::AtLeastOnce,
                retain: false,
                id: Some(ID),
            }),
            Packet::PubAck { id: ID, code: 0 },
            Packet::Subscribe {
                id: ID,
                filters: vec![("a/#".to_owned(), QoS::AtLeastOnce)],
            },
            Packet::SubAck {
                id: ID,
                codes: vec![1, 0x80],
            },
            Packet::Unsubscribe {
                id: ID,
                filters: vec!["a/#".to_owned()],
            },
            Packet::UnsubAck { id: ID, filters: 1 },
            Packet::PingReq,
            Packet::PingResp,
            Packet::ConnAck(ConnAck::default()),
            Packet::Disconnect {
                code: 0,
                reason: None,
            },
        ]
    }

    #[tokio::test]
    async fn packets_of_both_versions_arrive_as_they_were_sent() {
        for version in [Version::MQTT3, Version::MQTT5] {
            // So narrow that every packet comes in pieces.
            let (client, server) = tokio::io::duplex(3);
            let mut client = Link::open(client, version);
            let mut server = Link::accept(server);
            let connect = Packet::Connect(Connect {
                client_id: "SN000001".to_owned(),
                keep_alive: 30,
                clean_start: true,
                is_persistent: false,
                will: None,
            });
            let mut sent = vec![connect];
            sent.extend(packets());
            let all = sent.clone();
            let sending = tokio::spawn(async move {
                for packet in all {
                    client.send(packet).await.expect("it is sent");
                }
                client.close().await;
            });
            for packet in sent {
                assert_eq!(server.next().await.expect("it arrives"), Some(packet));
                assert_eq!(server.version(), Some(version));
            }
            assert_eq!(server.next().await.expect("it ends"), None);
            sending.await.expect("it does not panic");
        }
    }

    #[tokio::test]
    async fn what_is_no_mqtt_is_refused() {
        for octets in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x10\x0c\x00\x04MQTS\x04\x02\x00\x3c\x00\x00",
            b"\xe0\x00\x00",
            b"\x10\xff\xff\xff\xff\x7f",
        ] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(octets).await.expect("it is sent");
            drop(client);
            let error = Link::accept(server).next().await.expect_err("it is refused");
            assert!(matches!(error, LinkError::Decode(_)), "{octets:?}: {error}");
        }
    }

    /// As rustls tells that a peer has closed TCP and said nothing before.
    struct Cut;

    impl AsyncRead for Cut {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let error = std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "peer closed connection without sending TLS close_notify",
            );
            Poll::Ready(Err(error))
        }
    }

    impl AsyncWrite for Cut {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_closes_tcp_without_a_word_of_tls_has_closed_the_connection() {
        assert_eq!(Link::accept(Cut).next().await.expect("it is no fault"), None);
    }

    #[tokio::test]
    async fn a_server_that_does_not_begin_with_connack_is_refused_at_once() {
        // Both stay open: what comes may be no whole packet of MQTT.
        let (client, mut server) = tokio::io::duplex(64);
        server
            .write_all(b"HTTP/1.1 400 Bad Request\r\n")
            .await
            .expect("it is sent");
        let mut link = Link::open(client, Version::MQTT5);
        let error = link.next().await.expect_err("it is refused");
        assert_eq!(
            error.to_string(),
            "this is no MQTT, it begins with \"HTTP/1.1 400 Bad\""
        );
    }
}
