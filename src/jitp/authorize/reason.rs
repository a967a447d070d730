//! Reasons: why AWS IoT would refuse what a connection asks for, as an engineer needs it to mend a policy.

use std::fmt;

use serde::Serialize;

use super::clause::Clause;
use super::text::Unfilled;
use super::variable::Absent;

/// Most misses that are told.
const MAX_MISSES: usize = 3;

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Such as `iot:Publish`.
    pub action: &'static str,
    /// The ARN that was asked for.
    pub resource: String,
    pub cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// A statement with the effect Deny applies.
    Denied(Clause),
    /// No statement allows the action on anything.
    NoStatement,
    /// Statements allow the action, and none of them applies.
    NoMatch {
        /// The nearest first: conditions, then variables, then resources; at most three.
        misses: Vec<Miss>,
        /// How many more there are.
        more: usize,
    },
}

/// A statement that allows the action, and why it does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    pub clause: Clause,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// Its resource matches, and a condition does not hold.
    Condition(Unmet),
    /// A variable of its resource has no value.
    Variable(Unfilled),
    /// Its resource, variables filled in, is another one.
    Resource(String),
    /// Its `NotResource`, variables filled in, is this one.
    NotResource(String),
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// As it is written, such as `ForAnyValue:StringLike`.
    pub operator: String,
    pub key: String,
    /// What the policy compares the key with, as it is written.
    pub wanted: Vec<String>,
    pub found: Actual,
}

/// What a condition's key has instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Actual {
    Values(Vec<String>),
    Nothing(Absent),
    /// What it is compared with has no value.
    Unfilled(Unfilled),
}

impl Cause {
    pub(super) fn of_misses(mut misses: Vec<Miss>) -> Self {
        if misses.is_empty() {
            return Self::NoStatement;
        }
        misses.sort_by_key(|miss| match miss.why {
            Why::Condition(_) => 0,
            Why::Variable(_) => 1,
            Why::Resource(_) | Why::NotResource(_) => 2,
        });
        let more = misses.len().saturating_sub(MAX_MISSES);
        misses.truncate(MAX_MISSES);
        Self::NoMatch { misses, more }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, resource, .. } = self;
        write!(f, "{action} on {resource} is refused: ")?;
        match &self.cause {
            Cause::Denied(clause) => write!(f, "{clause} denies it"),
            Cause::NoStatement => write!(f, "no statement allows {action}"),
            Cause::NoMatch { misses, more } => {
                for (i, Miss { clause, why }) in misses.iter().enumerate() {
                    let separator = if i == 0 { "" } else { "; " };
                    write!(f, "{separator}{clause}: {why}")?;
                }
                match more {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for Reason {}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(unmet) => unmet.fmt(f),
            Self::Variable(unfilled) => unfilled.fmt(f),
            Self::Resource(resource) => write!(f, "it allows {resource}"),
            Self::NotResource(resource) => write!(f, "it allows all but {resource}"),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, key, .. } = self;
        write!(
            f,
            "Condition {operator} of {key} with {} does not hold: ",
            quoted(&self.wanted)
        )?;
        match &self.found {
            Actual::Values(values) => write!(f, "it is {}", quoted(values)),
            Actual::Nothing(reason) => write!(f, "it has no value: {reason}"),
            Actual::Unfilled(unfilled) => unfilled.fmt(f),
        }
    }
}

fn quoted(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::connection::tests::connection;
    use super::super::tests::{Short, home, policies};
    use super::super::{Ask, Decision};
    use super::*;

    /// Why a client x is refused, whose certificate is attached to the thing SN1.
    fn reason(statements: &[Short<'_>], condition: &Value) -> Reason {
        let mut stranger = connection();
        stranger.client_id = "x".to_owned();
        stranger.thing = None;
        match policies(statements, condition).decide(&Ask::Connect, &stranger, &home()) {
            Decision::Refused(reason) => reason,
            Decision::Allowed => panic!("{statements:?} {condition}"),
        }
    }

    #[test]
    fn says_why_it_refuses() {
        let all: Short<'_> = ("Allow", &["iot:*"], &["*"]);
        let (thing, domain) = (
            "client/${iot:Connection.Thing.ThingName}",
            "client/${iot:DomainName}",
        );
        let other = json!({"StringEquals": {"iot:ClientId": ["a", "b"]}});
        let unfilled = json!({"StringEquals": {"iot:ClientId": "${iot:DomainName}"}});
        let none = json!({});
        let cases: &[(&[Short<'_>], &Value, &[&str])] = &[
            (&[], &none, &["no statement allows iot:Connect"]),
            (&[all, ("Deny", &["*"], &["client/*"])], &none, &["p1 denies it"]),
            (
                &[("Allow", &["iot:Connect"], &[thing])],
                &none,
                &["p0: ${iot:Connection.Thing.ThingName} has no value: \
                   no thing named \"x\" is attached to the certificate; \"SN1\" is"],
            ),
            (
                &[all],
                &unfilled,
                &[
                    "p0: Condition StringEquals of iot:ClientId with \"${iot:DomainName}\" does not hold: \
                   ${iot:DomainName} has no value: the device named no server (SNI)",
                ],
            ),
            (
                &[("Allow", &["iot:Connect"], &["client/b", domain]), all],
                &other,
                &[
                    "p1: Condition StringEquals of iot:ClientId with \"a\", \"b\" does not hold: it is \"x\"",
                    "p0: ${iot:DomainName} has no value: the device named no server (SNI)",
                    "p0: it allows arn:aws:iot:eu-west-1:123456789012:client/b",
                ],
            ),
            (
                &[
                    (
                        "Allow",
                        &["iot:*"],
                        &["client/${iot:Certificate.Subject.CommonName}"],
                    ),
                    (
                        "Allow",
                        &["iot:*"],
                        &["client/b", "client/c", domain, "x/${iot:DomainName}"],
                    ),
                ],
                &none,
                &[
                    "p1: ${iot:DomainName} has no value: the device named no server (SNI)",
                    "p0: it allows arn:aws:iot:eu-west-1:123456789012:client/SN1",
                    "p1: it allows arn:aws:iot:eu-west-1:123456789012:client/b",
                    "and 1 more",
                ],
            ),
        ];
        for (statements, condition, expected) in cases {
            let mut found = reason(statements, condition).to_string();
            for policy in ["p0", "p1"] {
                found = found.replace(&format!("Statement[0] of policy {policy:?}"), policy);
            }
            let asked = "iot:Connect on arn:aws:iot:eu-west-1:123456789012:client/x is refused";
            assert_eq!(found, format!("{asked}: {}", expected.join("; ")));
        }
    }

    #[test]
    fn is_written_as_json() {
        let reason = reason(&[("Allow", &["iot:*"], &["client/b"])], &json!({}));
        assert_eq!(
            serde_json::to_value(Decision::Refused(reason)).unwrap(),
            json!({"refused": {
                "action": "iot:Connect",
                "resource": "arn:aws:iot:eu-west-1:123456789012:client/x",
                "cause": {"noMatch": {
                    "misses": [{
                        "clause": {"policy": "p0", "index": 0},
                        "why": {"resource": "arn:aws:iot:eu-west-1:123456789012:client/b"},
                    }],
                    "more": 0,
                }},
            }})
        );
    }
}
