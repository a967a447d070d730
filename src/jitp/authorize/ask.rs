//! Asks: what a connection wants to do, as the action and the resource that a policy knows it by.

/// What a connection wants to do. A retained message needs both Publish and RetainPublish.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policy-actions.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    Connect,
    Publish { topic: &'a str },
    RetainPublish { topic: &'a str },
    Subscribe { filter: &'a str },
    Receive { topic: &'a str },
}

impl Ask<'_> {
    /// Such as `iot:Publish`.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::Publish { .. } => "iot:Publish",
            Self::RetainPublish { .. } => "iot:RetainPublish",
            Self::Subscribe { .. } => "iot:Subscribe",
            Self::Receive { .. } => "iot:Receive",
        }
    }

    /// The last part of the ARN: `client/…`, `topic/…` or `topicfilter/…`.
    #[must_use]
    pub fn resource(&self, client_id: &str) -> String {
        match self {
            Self::Connect => format!("client/{client_id}"),
            Self::Publish { topic } | Self::RetainPublish { topic } | Self::Receive { topic } => {
                format!("topic/{topic}")
            }
            Self::Subscribe { filter } => format!("topicfilter/{filter}"),
        }
    }
}
