//! Why a connection could not be made: one variant for each way, with the step at which it shows.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_rustls::rustls::{self, AlertDescription};

use super::super::fault::{Fault, alert_name, mistrust};
use super::Step;

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
    #[error("TLS: the server's certificate is not accepted: {}", mistrust(.0))]
    Untrusted(rustls::Error),
    #[error("TLS: the server refuses the device's certificate with alert {}: {}", alert_name(u8::from(*.0)), meaning(*.0))]
    Refused(AlertDescription),
    #[error("TLS: {}", Fault::of(.0).of_server())]
    Tls(io::Error),
    #[error("the server closed the connection before CONNACK")]
    Dropped,
    #[error("CONNACK: the server refuses the connection with code {code:#04x}: {reason}")]
    NotAdmitted { code: u8, reason: String },
    #[error("the server closed the connection after SUBSCRIBE to {filters}, before SUBACK")]
    SubscribeDropped { filters: String },
    #[error("the server refuses the subscription to {filters} with code {code:#04x}{reason}")]
    SubscribeRefused {
        filters: String,
        code: u8,
        /// Begins with a colon, or is empty.
        reason: String,
    },
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
    /// What the user can do about it. `attempts`: how many there were.
    #[must_use]
    pub fn hint(&self, attempts: usize) -> String {
        match self {
            Self::Dns { .. } | Self::NoAddress { .. } => {
                "is this the account's endpoint? `aws iot describe-endpoint --endpoint-type iot:Data-ATS` says; and is there a network?".to_owned()
            }
            Self::Tcp { .. } => "does a firewall let the port out? AWS IoT takes devices on 8883 and 443".to_owned(),
            Self::Timeout { step: Step::Tcp, .. } => {
                "does a firewall let the port out? try --port 443".to_owned()
            }
            Self::ServerName { .. } => "give a host name, without a scheme and without a port".to_owned(),
            Self::Roots => "give root certificates, PEM, with --cafile".to_owned(),
            Self::Untrusted(_) => {
                "is this AWS's ATS endpoint, and this machine's clock right? for an endpoint of your own give its root with --cafile".to_owned()
            }
            Self::Refused(_) => {
                "`certforge jitp status` shows whether the CA is registered and active in that account and Region".to_owned()
            }
            Self::Tls(_) => "does a TLS endpoint of MQTT listen there?".to_owned(),
            Self::Dropped if attempts > 1 => {
                format!("dropped {attempts} times: the certificate stays PENDING_ACTIVATION because its template fails, or is INACTIVE or REVOKED, or its policy does not let client id connect; `certforge rehearse` with the same template says which")
            }
            Self::Dropped => "the first connection of a device is dropped; allow more with --attempts".to_owned(),
            Self::NotAdmitted { .. } => {
                "does the policy allow iot:Connect for this client id? `certforge rehearse` with the same template says".to_owned()
            }
            Self::PublishDropped { .. } | Self::PublishRefused { .. } => {
                "the policy does not allow iot:Publish to this topic, so the server disconnects; name one that it allows with --topic".to_owned()
            }
            Self::SubscribeDropped { .. } | Self::SubscribeRefused { .. } => {
                "the policy does not allow iot:Subscribe to this filter, which goes by topicfilter/ and not by topic/; `certforge rehearse --subscribe FILTER` with the same template says why".to_owned()
            }
            Self::Mqtt(_) => "does an MQTT broker listen there?".to_owned(),
            Self::Timeout { .. } => "is the endpoint right and the network up? allow more time with --timeout".to_owned(),
        }
    }

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
            Self::SubscribeDropped { .. } | Self::SubscribeRefused { .. } => Step::Subscribe,
            Self::PublishDropped { .. } | Self::PublishRefused { .. } => Step::Publish,
            Self::Timeout { step, .. } => *step,
        }
    }

    /// Whether it will be the same whenever the device comes again, and the server has no part in it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::ServerName { .. } | Self::Roots)
    }

    /// Whether the server refused the device's certificate, which it tells a moment later.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
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
        Step::Subscribe => "SUBSCRIBE",
        Step::Publish => "PUBLISH",
    }
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
