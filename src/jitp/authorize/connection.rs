//! Connections: who asks.

use std::net::IpAddr;

use super::super::made::ThingMade;
use super::certificate::CertificateNames;
use super::greeting::Greeting;

/// Who asks: what policy variables are filled with.
#[derive(Debug, Clone)]
pub struct Connection {
    pub client_id: String,
    /// The thing that the connection is of: attached to the certificate, and named as the client id is. (One
    /// that is attached exclusively may have another name.)
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/thing-policy-variables.html>
    pub thing: Option<ThingMade>,
    /// Names of all things that are attached to the certificate: what an engineer is told when `thing` is
    /// `None`.
    pub attached: Vec<String>,
    pub certificate: CertificateNames,
    pub source_ip: IpAddr,
    /// The server that the device asked for (SNI).
    pub domain_name: Option<String>,
    /// What it asked for when it connected.
    pub greeting: Greeting,
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use rcgen::SanType;

    use super::super::certificate::tests::certificate;
    use super::*;

    /// Client SN1, of the thing SN1, which has an attribute and no type.
    pub fn connection() -> Connection {
        let names = ["a.example", "b.example"];
        let san = names.map(|name| SanType::DnsName(name.try_into().unwrap()));
        let subject = [(3, "SN1"), (8, "A+"), (12, &*"x".repeat(1025))];
        let der = certificate(&subject, san.to_vec());
        Connection {
            client_id: "SN1".to_owned(),
            thing: Some(ThingMade {
                thing_name: "SN1".to_owned(),
                attributes: BTreeMap::from([("line".to_owned(), "3".to_owned())]),
                thing_type_name: None,
                thing_groups: Vec::new(),
                billing_group: None,
            }),
            attached: vec!["SN1".to_owned()],
            certificate: CertificateNames::of_certificate(&der).unwrap(),
            source_ip: "203.0.113.9".parse().unwrap(),
            domain_name: None,
            greeting: Greeting::default(),
        }
    }
}
