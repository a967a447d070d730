//! Greetings: what a device asks for when it connects, as conditions know it.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/connect-policy.html>

use super::home::Home;

/// What a device asks for in its CONNECT, besides a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// A session that outlives the connection: not `CleanSession` (MQTT 3.1.1), not `CleanStart` or with an expiry (MQTT 5).
    pub persistent: bool,
    /// The topic of its last will.
    pub last_will: Option<String>,
}

/// The same as the keys `iot:ConnectAttributes` and `iot:LastWillTopic`, which requests to connect alone have.
pub(super) struct Greeted {
    pub attributes: Vec<&'static str>,
    /// The ARN.
    pub last_will: Option<String>,
}

impl Greeted {
    /// The values of `iot:ConnectAttributes`.
    pub const ATTRIBUTES: [&'static str; 2] = ["PersistentConnect", "LastWill"];

    pub fn new(greeting: &Greeting, home: &Home) -> Self {
        let [persistent, will] = Self::ATTRIBUTES;
        let asked = [
            (greeting.persistent, persistent),
            (greeting.last_will.is_some(), will),
        ];
        let asked = asked.into_iter().filter(|(is_asked, _)| *is_asked);
        let topic = greeting.last_will.as_ref();
        Self {
            attributes: asked.map(|(_, name)| name).collect(),
            last_will: topic.map(|topic| home.arn(&format!("topic/{topic}"))),
        }
    }
}
