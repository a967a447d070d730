//! What a device may do: the policies of its certificate, asked as its connection.

use std::net::IpAddr;

use super::account::{Account, AccountError};
use super::leaf::Leaf;
use super::topic::topic_refusal;
use crate::causes::in_one_line;
use crate::jitp::{Ask, CertificateNames, Connection, Decision, Greeting, Home, Policies};

/// Where a device connects from, whom it asked for, and what.
pub struct Origin {
    pub address: IpAddr,
    /// SNI.
    pub server_name: Option<String>,
    pub greeting: Greeting,
}

/// The rights of one connection, as they were when it began.
pub struct Rights {
    is_without_policy: bool,
    policies: Policies,
    connection: Connection,
    home: Home,
    /// The thing that is attached to the certificate, whatever the client id.
    pub things: Vec<String>,
}

impl Rights {
    /// Reads them from the account. A policy that nobody can evaluate is the inner error.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn read(
        account: &Account,
        leaf: &Leaf,
        client_id: &str,
        origin: &Origin,
        home: &Home,
    ) -> Result<Result<Self, String>, AccountError> {
        let documents = account.policies_of(&leaf.id)?;
        let is_without_policy = documents.is_empty();
        let documents = documents
            .iter()
            .map(|(name, document)| (short(name), document.as_str()));
        let things = account.things_of(&leaf.id)?;
        let names: Vec<String> = things.iter().map(|thing| thing.thing_name.clone()).collect();
        let policies = match Policies::read(documents) {
            Ok(policies) => policies,
            Err(error) => return Ok(Err(in_one_line(&error))),
        };
        let certificate = match CertificateNames::of_certificate(&leaf.der) {
            Ok(certificate) => certificate,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(Ok(Self {
            is_without_policy,
            policies,
            connection: Connection {
                client_id: client_id.to_owned(),
                thing: things.into_iter().find(|thing| thing.thing_name == client_id),
                attached: names.clone(),
                certificate,
                source_ip: origin.address,
                domain_name: origin.server_name.clone(),
                greeting: origin.greeting.clone(),
            },
            home: home.clone(),
            things: names,
        }))
    }

    /// # Errors
    ///
    /// Why AWS IoT would refuse it.
    pub fn may(&self, ask: &Ask<'_>) -> Result<(), String> {
        if self.is_without_policy {
            return Err(format!(
                "{} is refused: no policy is attached to the certificate",
                ask.action()
            ));
        }
        match self.policies.decide(ask, &self.connection, &self.home) {
            Decision::Allowed => Ok(()),
            Decision::Refused(reason) => Err(reason.to_string()),
        }
    }

    /// A topic that the device may publish to: the usual one of a rehearsal, or the first that a policy names.
    pub fn a_topic(&self) -> Option<String> {
        let named = self.policies.resources("iot:Publish", &self.connection);
        let topics = named.iter().filter_map(|resource| {
            let (_, topic) = resource.split_once(":topic/")?;
            Some(topic.replace('*', "rehearsal").replace('?', "x"))
        });
        std::iter::once(super::DEFAULT_TOPIC.to_owned())
            .chain(topics)
            .find(|topic| topic_refusal(topic).is_none() && self.may(&Ask::Publish { topic }).is_ok())
    }
}

/// The name of a policy for people: of one that AWS IoT named by a digest, its beginning.
fn short(name: &str) -> &str {
    match name.len() {
        64 if name.bytes().all(|b| b.is_ascii_hexdigit()) => &name[..8],
        _ => name,
    }
}
