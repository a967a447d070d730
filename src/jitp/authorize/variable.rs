//! Policy variables: the facts of a connection that a policy can name.
//!
//! A name counts as AWS IoT documents it, letters in their case: a policy that differs is not one to rely on.
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policy-variables.html> and the pages below it.

use std::borrow::Cow;

use serde::Serialize;

use super::super::made::ThingMade;
use super::certificate::CertificateNames;
use super::connection::Connection;
use super::greeting::Greeted;

/// Most characters of a certificate's value.
const MAX_VALUE: usize = 1024;

/// Characters for which AWS IoT fills in no value of a certificate that has them.
const WILDCARDS: [char; 5] = ['*', '$', '+', '?', '#'];

/// Names of variables that stand alone, and what follows `iot:Connection.Thing.`: what a misspelt name is held against.
const KNOWN: [&str; 10] = [
    "iot:ClientId",
    "aws:SourceIp",
    "iot:DomainName",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.IsAttached",
    "iot:CertificateId",
    "iot:Certificate.SerialNumber",
    "iot:ConnectAttributes",
    "iot:LastWillTopic",
];
const THING_NAMES: [&str; 3] = ["ThingName", "ThingTypeName", "IsAttached"];

/// A variable that AWS IoT Core documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    ClientId,
    SourceIp,
    DomainName,
    ThingName,
    ThingTypeName,
    Attribute(String),
    IsAttached,
    CertificateId,
    CertificateSerial,
    /// What a device asks for when it connects; a key of conditions alone.
    ConnectAttributes,
    /// The ARN of a topic; a key of conditions alone.
    LastWillTopic,
    /// A name such as `Subject.CommonName`.
    Certificate {
        name: String,
        which: Which,
    },
}

/// Which of a name's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The value at a position, from 0; that of the name alone is the first.
    At(usize),
    /// `.List`: all of them.
    All,
}

/// Why a variable has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Absent {
    #[error("AWS IoT documents no such variable")]
    Unknown,
    #[error("no thing named {client_id:?} is attached to the certificate{}", others(.attached))]
    Thing {
        client_id: String,
        attached: Vec<String>,
    },
    #[error("thing {thing} has no thing type")]
    ThingType { thing: String },
    #[error("thing {thing} has no attribute {name}")]
    Attribute { thing: String, name: String },
    #[error("the device named no server (SNI)")]
    DomainName,
    #[error("the certificate has none")]
    NotInCertificate,
    #[error("the certificate has {count} of them, counted from 0")]
    PastTheLast { count: usize },
    #[error(
        "the certificate's value {value:?} has {sign:?}, and AWS IoT fills in none that has * $ + ? or #"
    )]
    Wildcard { value: String, sign: char },
    #[error("the certificate's value has {len} characters, AWS IoT takes {MAX_VALUE}")]
    TooLong { len: usize },
    #[error("it is a list, which only a Condition can have")]
    List,
    #[error("it is a key of conditions, and no variable")]
    ConditionOnly,
    #[error("only iot:Connect has it")]
    NotConnect,
    #[error("the device asks for no persistent session, and has no last will")]
    Plain,
    #[error("the device has no last will")]
    NoLastWill,
}

fn others(attached: &[String]) -> String {
    match attached {
        [] => String::new(),
        [one] => format!("; {one:?} is"),
        [one, rest @ ..] => format!("; {one:?} and {} others are", rest.len()),
    }
}

impl Absent {
    /// Whether there is a value that AWS IoT does not fill in, or may be one that nobody knows of.
    pub(super) fn is_unusable(&self) -> bool {
        matches!(self, Self::Wildcard { .. } | Self::TooLong { .. } | Self::Unknown)
    }
}

impl Variable {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "iot:ClientId" => Self::ClientId,
            "aws:SourceIp" => Self::SourceIp,
            "iot:DomainName" => Self::DomainName,
            "iot:Connection.Thing.ThingName" => Self::ThingName,
            "iot:Connection.Thing.ThingTypeName" => Self::ThingTypeName,
            "iot:Connection.Thing.IsAttached" => Self::IsAttached,
            "iot:CertificateId" => Self::CertificateId,
            "iot:Certificate.SerialNumber" => Self::CertificateSerial,
            "iot:ConnectAttributes" => Self::ConnectAttributes,
            "iot:LastWillTopic" => Self::LastWillTopic,
            _ => {
                if let Some(rest) = name.strip_prefix("iot:Connection.Thing.Attributes[") {
                    return rest
                        .strip_suffix(']')
                        .map(|name| Self::Attribute(name.to_owned()));
                }
                return Self::parse_certificate(name.strip_prefix("iot:Certificate.")?);
            }
        })
    }

    /// The name that somebody may have meant who wrote one that is not documented.
    pub fn nearest(name: &str) -> Option<String> {
        let lower = name.to_ascii_lowercase();
        let thing = lower
            .strip_prefix("iot:thing.")
            .or_else(|| lower.strip_prefix("iot:connection."));
        if let Some(rest) = thing
            && let Some(known) = THING_NAMES.iter().find(|known| known.eq_ignore_ascii_case(rest))
        {
            return Some(format!("iot:Connection.Thing.{known}"));
        }
        let last = |name: &str| name.rsplit([':', '.']).next().map(str::to_ascii_lowercase);
        let mut known = KNOWN
            .into_iter()
            .map(str::to_owned)
            .chain(CertificateNames::known().map(|name| format!("iot:Certificate.{name}")));
        known.find(|known| known.eq_ignore_ascii_case(name)).or_else(|| {
            let mut known = KNOWN.into_iter();
            known.find(|known| last(known) == last(name)).map(str::to_owned)
        })
    }

    fn parse_certificate(name: &str) -> Option<Self> {
        let (name, which) = match name.rsplit_once('.') {
            Some((name, "List")) => (name, Which::All),
            Some((before, index)) if index.bytes().all(|b| b.is_ascii_digit()) => {
                (before, Which::At(index.parse().ok()?))
            }
            Some(_) => (name, Which::At(0)),
            None => return None,
        };
        CertificateNames::is_name(name).then(|| Self::Certificate {
            name: name.to_owned(),
            which,
        })
    }

    /// Its one value.
    ///
    /// # Errors
    ///
    /// Why it has none.
    pub fn value<'a>(&self, connection: &'a Connection) -> Result<Cow<'a, str>, Absent> {
        let certificate = &connection.certificate;
        Ok(match self {
            Self::ClientId => Cow::Borrowed(&connection.client_id),
            Self::SourceIp => Cow::Owned(connection.source_ip.to_string()),
            Self::DomainName => Cow::Borrowed(connection.domain_name.as_deref().ok_or(Absent::DomainName)?),
            Self::ThingName => Cow::Borrowed(&thing(connection)?.thing_name),
            Self::ThingTypeName => {
                let thing = thing(connection)?;
                let value = thing.thing_type_name.as_deref();
                Cow::Borrowed(value.ok_or_else(|| Absent::ThingType {
                    thing: thing.thing_name.clone(),
                })?)
            }
            Self::Attribute(name) => {
                let thing = thing(connection)?;
                let value = thing.attributes.get(name);
                Cow::Borrowed(value.ok_or_else(|| Absent::Attribute {
                    thing: thing.thing_name.clone(),
                    name: name.clone(),
                })?)
            }
            Self::IsAttached => Cow::Borrowed(match connection.thing {
                Some(_) => "true",
                None => "false",
            }),
            Self::CertificateId => Cow::Borrowed(certificate.id()),
            Self::CertificateSerial => Cow::Borrowed(certificate.serial()),
            Self::ConnectAttributes | Self::LastWillTopic => return Err(Absent::ConditionOnly),
            Self::Certificate {
                which: Which::All, ..
            } => return Err(Absent::List),
            Self::Certificate {
                name,
                which: Which::At(position),
            } => match (certificate.values(name), *position) {
                ([], _) => return Err(Absent::NotInCertificate),
                (values, position) => match values.get(position) {
                    Some(value) => usable(value)?,
                    None => return Err(Absent::PastTheLast { count: values.len() }),
                },
            },
        })
    }

    /// Its values as the key of a condition, of which there is one unless it is a list. `greeted`: with requests to connect.
    ///
    /// # Errors
    ///
    /// Why it has none.
    pub fn values<'a>(
        &self,
        connection: &'a Connection,
        greeted: Option<&'a Greeted>,
    ) -> Result<Vec<Cow<'a, str>>, Absent> {
        match self {
            Self::ConnectAttributes => match greeted.ok_or(Absent::NotConnect)?.attributes.as_slice() {
                [] => Err(Absent::Plain),
                names => Ok(names.iter().map(|name| Cow::Borrowed(*name)).collect()),
            },
            Self::LastWillTopic => {
                let topic = greeted.ok_or(Absent::NotConnect)?.last_will.as_deref();
                Ok(vec![Cow::Borrowed(topic.ok_or(Absent::NoLastWill)?)])
            }
            Self::Certificate {
                name,
                which: Which::All,
            } => match connection.certificate.values(name) {
                [] => Err(Absent::NotInCertificate),
                values => values.iter().map(|value| usable(value)).collect(),
            },
            single => Ok(vec![single.value(connection)?]),
        }
    }
}

fn thing(connection: &Connection) -> Result<&ThingMade, Absent> {
    connection.thing.as_ref().ok_or_else(|| Absent::Thing {
        client_id: connection.client_id.clone(),
        attached: connection.attached.clone(),
    })
}

fn usable(value: &str) -> Result<Cow<'_, str>, Absent> {
    if let Some(sign) = value.chars().find(|c| WILDCARDS.contains(c)) {
        return Err(Absent::Wildcard {
            value: value.to_owned(),
            sign,
        });
    }
    match value.chars().count() {
        len if len > MAX_VALUE => Err(Absent::TooLong { len }),
        _ => Ok(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::connection;
    use super::*;

    #[test]
    fn has_the_value_of_the_connection_or_says_why_not() {
        for (name, expected) in [
            ("iot:ClientId", Ok("SN1")),
            ("aws:SourceIp", Ok("203.0.113.9")),
            ("iot:DomainName", Err("named no server")),
            ("iot:Connection.Thing.ThingName", Ok("SN1")),
            (
                "iot:Connection.Thing.ThingTypeName",
                Err("thing SN1 has no thing type"),
            ),
            ("iot:Connection.Thing.Attributes[line]", Ok("3")),
            (
                "iot:Connection.Thing.Attributes[x]",
                Err("thing SN1 has no attribute x"),
            ),
            ("iot:Connection.Thing.IsAttached", Ok("true")),
            ("iot:Certificate.SerialNumber", Ok("10525622389124227206")),
            ("iot:Certificate.Subject.CommonName", Ok("SN1")),
            ("iot:Certificate.Subject.CommonName.0", Ok("SN1")),
            ("iot:Certificate.Subject.CommonName.1", Err("has 1 of them")),
            ("iot:Certificate.Subject.CommonName.List", Err("a list")),
            ("iot:Certificate.Issuer.CommonName", Ok("SN1")),
            ("iot:Certificate.Subject.AlternativeName.DNSName", Ok("a.example")),
            (
                "iot:Certificate.Subject.AlternativeName.DNSName.1",
                Ok("b.example"),
            ),
            ("iot:Certificate.Subject.Country", Err("the certificate has none")),
            ("iot:Certificate.Subject.State", Err("\"A+\" has '+'")),
            ("iot:Certificate.Subject.Title", Err("1025 characters")),
        ] {
            let connection = connection();
            let value = Variable::parse(name).unwrap().value(&connection);
            match (value, expected) {
                (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{name}"),
                (Err(reason), Err(expected)) => {
                    let reason = reason.to_string();
                    assert!(reason.contains(expected), "{name}: {reason}");
                }
                (value, _) => panic!("{name}: {value:?}"),
            }
        }
        let connection = connection();
        let id = Variable::parse("iot:CertificateId").unwrap();
        assert_eq!(id.value(&connection).unwrap(), connection.certificate.id());
    }

    #[test]
    fn knows_no_other_names() {
        for name in [
            "iot:clientId",
            "iot:Thing.ThingName",
            "iot:Connection.Thing.Attributes",
            "iot:Connection.Thing.Attributes[a",
            "iot:Certificate",
            "iot:Certificate.Subject",
            "iot:Certificate.Subject.Locality",
            "iot:Certificate.Subject.CommonName.+1",
            "iot:Certificate.Subject.CommonName.",
            "aws:username",
            "",
        ] {
            assert_eq!(Variable::parse(name), None, "{name}");
        }
    }

    #[test]
    fn finds_what_a_misspelt_name_may_mean() {
        for (name, expected) in [
            ("iot:Thing.ThingName", Some("iot:Connection.Thing.ThingName")),
            ("iot:clientid", Some("iot:ClientId")),
            ("aws:ClientId", Some("iot:ClientId")),
            (
                "iot:Connection.ThingTypeName",
                Some("iot:Connection.Thing.ThingTypeName"),
            ),
            (
                "iot:certificate.subject.commonname",
                Some("iot:Certificate.Subject.CommonName"),
            ),
            ("aws:username", None),
        ] {
            assert_eq!(Variable::nearest(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn names_the_things_that_are_attached() {
        let mut connection = connection();
        connection.thing = None;
        for (attached, expected) in [
            (&[][..], "no thing named \"SN1\" is attached to the certificate"),
            (
                &["a"],
                "no thing named \"SN1\" is attached to the certificate; \"a\" is",
            ),
            (
                &["a", "b", "c"],
                "no thing named \"SN1\" is attached to the certificate; \"a\" and 2 others are",
            ),
        ] {
            connection.attached = attached.iter().map(ToString::to_string).collect();
            let reason = Variable::ThingName.value(&connection).unwrap_err();
            assert_eq!(reason.to_string(), expected);
        }
        assert_eq!(Variable::IsAttached.value(&connection).unwrap(), "false");
    }
}
