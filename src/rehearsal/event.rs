//! Events: what happens at the endpoint, for the console, the page and the state.

use std::net::SocketAddr;

use serde::Serialize;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A certificate that was not known is registered now, as PENDING_ACTIVATION.
    Registered,
    /// Its things and policies are made, and its status is set.
    Provisioned,
    /// The endpoint ended the connection on purpose, as AWS IoT does after the first one.
    Dropped,
    /// A device is connected.
    Connected,
    Published,
    Subscribed,
    /// A device went away.
    Disconnected,
    /// A device was refused, or what it asked for was.
    Refused,
}

impl EventKind {
    pub(super) const ALL: [Self; 8] = [
        Self::Registered,
        Self::Provisioned,
        Self::Dropped,
        Self::Connected,
        Self::Published,
        Self::Subscribed,
        Self::Disconnected,
        Self::Refused,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Provisioned => "provisioned",
            Self::Dropped => "dropped",
            Self::Connected => "connected",
            Self::Published => "published",
            Self::Subscribed => "subscribed",
            Self::Disconnected => "disconnected",
            Self::Refused => "refused",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something that happened at the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Milliseconds since 1970.
    pub at: i64,
    pub kind: EventKind,
    /// Address and port of the device.
    pub peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_id: Option<String>,
    /// What the certificate's subject calls the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened, or why it was refused.
    pub text: String,
}

/// A device that is connected, as events name it.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub peer: SocketAddr,
    pub certificate_id: Option<String>,
    pub name: Option<String>,
    pub client_id: Option<String>,
    /// SNI.
    pub server_name: Option<String>,
}
