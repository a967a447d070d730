//! Authorization: what the policies of a device let its connection do, decided as AWS IoT Core decides it.
//!
//! ```text
//! (name, document)… ─► Policies::read ─► Policies ─┐
//!        Ask ─────────────────────────────────────┼─► decide ─► Decision
//!        Connection (thing, certificate, address) ─┘
//! ```
//!
//! What no statement allows is refused, and what one denies is refused whatever others allow.
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policies.html>
//!
//! Invariant: nothing is [`Decision::Allowed`] that AWS IoT is documented to refuse. Where its documents
//! leave open what becomes of a variable, the answer here is to refuse.

use std::collections::BTreeSet;

use serde::Serialize;

use super::policy;

mod ask;
mod certificate;
mod clause;
mod condition;
mod connection;
mod greeting;
mod home;
mod lint;
mod meetings;
mod network;
mod ordered;
mod reason;
mod statement;
mod text;
mod variable;

pub use ask::Ask;
pub use certificate::CertificateNames;
pub use clause::Clause;
pub use condition::ConditionError;
pub use connection::Connection;
pub use greeting::Greeting;
pub use home::{Home, ManyHomes, NamedHome};
pub use reason::{Actual, Cause, Miss, Reason, Unmet, Why};
pub use statement::PolicyError;
pub use text::Unfilled;
pub use variable::Absent;

use clause::Effect;
use greeting::Greeted;
pub(super) use lint::lint;
use statement::Statement;

/// The policies of a certificate.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    statements: Vec<Statement>,
    homes: BTreeSet<NamedHome>,
}

impl Policies {
    /// Reads documents, each with its policy's name.
    ///
    /// # Errors
    ///
    /// When AWS IoT would refuse a document, or when it has a condition that cannot be evaluated here.
    pub fn read<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PolicyError> {
        let mut policies = Self::default();
        for (name, document) in documents {
            policies.statements.extend(Statement::read_all(name, document)?);
            let arns = policy::resources(document);
            policies
                .homes
                .extend(arns.iter().filter_map(|arn| NamedHome::of_arn(arn)));
        }
        Ok(policies)
    }

    /// Every account and Region that the ARNs of the documents name, so that nobody needs to say them.
    #[must_use]
    pub fn homes(&self) -> &BTreeSet<NamedHome> {
        &self.homes
    }

    /// The resources that an action is allowed on, as ARNs with wildcards; of those with a variable that has no value
    /// none.
    #[must_use]
    pub fn resources(&self, action: &str, connection: &Connection) -> Vec<String> {
        let statements = self.statements.iter();
        statements
            .filter(|statement| statement.effect == Effect::Allow && statement.names(action))
            .flat_map(|statement| statement.filled(connection))
            .collect()
    }

    /// Whether the connection may do what it asks for.
    #[must_use]
    pub fn decide(&self, ask: &Ask<'_>, connection: &Connection, home: &Home) -> Decision {
        let action = ask.action();
        let resource = home.arn(&ask.resource(&connection.client_id));
        let greeted = matches!(ask, Ask::Connect).then(|| Greeted::new(&connection.greeting, home));
        let mut misses = Vec::new();
        let mut is_allowed = false;
        for statement in self.statements.iter().filter(|statement| statement.names(action)) {
            match (
                statement.effect,
                statement.applies(&resource, connection, greeted.as_ref()),
            ) {
                (Effect::Deny, Ok(())) => {
                    let cause = Cause::Denied(statement.clause.clone());
                    return Decision::Refused(Reason {
                        action,
                        resource,
                        cause,
                    });
                }
                (Effect::Deny, Err(_)) => {}
                (Effect::Allow, Ok(())) => is_allowed = true,
                (Effect::Allow, Err(all)) => misses.extend(all.into_iter().map(|why| Miss {
                    clause: statement.clause.clone(),
                    why,
                })),
            }
        }
        if is_allowed {
            return Decision::Allowed;
        }
        Decision::Refused(Reason {
            action,
            resource,
            cause: Cause::of_misses(misses),
        })
    }
}

/// Every account and Region that the ARNs in a text name, such as a template with policies in it.
#[must_use]
pub fn homes_in(text: &str) -> BTreeSet<NamedHome> {
    let arns = text.match_indices("arn:").map(|(at, _)| &text[at..]);
    arns.filter_map(|rest| NamedHome::of_arn(rest.split(['"', '\\', ' ']).next()?))
        .collect()
}

/// What AWS IoT would answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    Allowed,
    Refused(Reason),
}

impl Decision {
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::connection::tests::connection;
    use super::*;

    /// Effect, actions and resources of a statement.
    pub type Short<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

    pub fn home() -> Home {
        Home {
            partition: "aws".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
        }
    }

    /// Policies named p0, p1 and so on of one statement each; resources are parts of ARNs.
    pub fn policies(statements: &[Short<'_>], condition: &Value) -> Policies {
        let texts = |texts: Vec<String>| match texts.as_slice() {
            [one] => json!(one),
            many => json!(many),
        };
        let documents = statements
            .iter()
            .enumerate()
            .map(|(i, (effect, actions, resources))| {
                let actions = actions.iter().map(ToString::to_string).collect();
                let resources = resources.iter().map(|resource| match *resource {
                    "*" => "*".to_owned(),
                    resource => home().arn(resource),
                });
                let statement = json!({
                    "Effect": effect,
                    "Action": texts(actions),
                    "Resource": texts(resources.collect()),
                    "Condition": condition,
                });
                let document = json!({"Version": "2012-10-17", "Statement": [statement]});
                (format!("p{i}"), document.to_string())
            });
        let documents: Vec<_> = documents.collect();
        Policies::read(documents.iter().map(|(name, document)| (&**name, &**document))).unwrap()
    }

    #[test]
    fn decides_as_aws_iot_documents_it() {
        let connect = Ask::Connect;
        let publish = Ask::Publish { topic: "a/SN1/b" };
        let receive = Ask::Receive { topic: "a/SN1/b" };
        let retain = Ask::RetainPublish { topic: "a/SN1/b" };
        let subscribe = |filter| Ask::Subscribe { filter };
        let unfilled = Ask::Publish {
            topic: "${iot:DomainName}",
        };
        let all: Short<'_> = ("Allow", &["iot:*"], &["*"]);
        let cases: &[(&[Short<'_>], Ask<'_>, bool)] = &[
            (&[], connect, false),
            (&[("Allow", &["iot:Connect"], &["*"])], connect, true),
            (&[("Allow", &["iot:Connect"], &["*"])], publish, false),
            (&[("Allow", &["IOT:connect"], &["*"])], connect, true),
            (&[("Allow", &["*"], &["*"])], receive, true),
            (&[("Allow", &["iot:Receive", "iot:Pub*"], &["*"])], publish, true),
            (&[("Allow", &["iot:Publish"], &["*"])], retain, false),
            (&[("Allow", &["iot:RetainPublish"], &["topic/a/*"])], retain, true),
            // A Deny counts in whichever policy it stands, and before and after an Allow.
            (&[all, ("Deny", &["iot:Publish"], &["topic/*/b"])], publish, false),
            (&[("Deny", &["iot:Publish"], &["topic/a/*"]), all], publish, false),
            (&[("Deny", &["iot:Publish"], &["topic/c/*"]), all], publish, true),
            (&[("Deny", &["iot:Receive"], &["topic/a/*"]), all], publish, true),
            // Resources.
            (&[("Allow", &["iot:*"], &["client/SN1"])], connect, true),
            (&[("Allow", &["iot:*"], &["client/sn1"])], connect, false),
            (
                &[("Allow", &["iot:*"], &["client/x", "client/S?1"])],
                connect,
                true,
            ),
            (&[("Allow", &["iot:*"], &["topic/a/*"])], publish, true),
            (&[("Allow", &["iot:*"], &["topic/a?SN1?b"])], publish, true),
            (&[("Allow", &["iot:*"], &["topicfilter/a/*"])], publish, false),
            (&[("Allow", &["iot:*"], &["topic/a/*"])], receive, true),
            (
                &[("Allow", &["iot:*"], &["topicfilter/a/*"])],
                subscribe("a/#"),
                true,
            ),
            (&[("Allow", &["iot:*"], &["topic/a/*"])], subscribe("a/b"), false),
            // The wildcards of MQTT are characters like others.
            (&[("Allow", &["iot:*"], &["topic/a/+/b"])], publish, false),
            (&[("Allow", &["iot:*"], &["topic/a/#"])], receive, false),
            (
                &[("Allow", &["iot:*"], &["topicfilter/a/+/b"])],
                subscribe("a/+/b"),
                true,
            ),
            (
                &[("Allow", &["iot:*"], &["topicfilter/a/+/b"])],
                subscribe("a/x/b"),
                false,
            ),
            (
                &[("Allow", &["iot:*"], &["topicfilter/a/#"])],
                subscribe("a/b"),
                false,
            ),
            // Variables. One without a value matches no resource; the others of its statement count.
            (
                &[("Allow", &["iot:*"], &["topic/a/${iot:ClientId}/b"])],
                publish,
                true,
            ),
            (
                &[("Allow", &["iot:*"], &["topic/*${iot:DomainName}*"])],
                publish,
                false,
            ),
            (
                &[("Allow", &["iot:*"], &["topic/${iot:DomainName}", "topic/a/*"])],
                publish,
                true,
            ),
            (
                &[all, ("Deny", &["iot:*"], &["topic/*${iot:DomainName}*"])],
                publish,
                true,
            ),
            // A topic of the variable's own name is not allowed by it, and it is denied.
            (
                &[("Allow", &["iot:*"], &["topic/${iot:DomainName}"])],
                unfilled,
                false,
            ),
            (
                &[all, ("Deny", &["iot:*"], &["topic/${iot:DomainName}"])],
                unfilled,
                false,
            ),
        ];
        for (statements, ask, expected) in cases {
            let decision = policies(statements, &json!({})).decide(ask, &connection(), &home());
            assert_eq!(
                decision.is_allowed(),
                *expected,
                "{statements:?} {ask:?}: {decision:?}"
            );
        }
    }

    #[test]
    fn matches_the_whole_arn() {
        let policies = policies(&[("Allow", &["iot:*"], &["client/*"])], &json!({}));
        let mut elsewhere = home();
        elsewhere.region = "eu-west-2".to_owned();
        for (home, expected) in [(home(), true), (elsewhere, false)] {
            let decision = policies.decide(&Ask::Connect, &connection(), &home);
            assert_eq!(decision.is_allowed(), expected, "{home:?}");
        }
    }

    #[test]
    fn holds_a_statement_to_all_its_conditions() {
        for (id, attached, expected) in [("SN1", true, true), ("SN1", false, false), ("x", true, false)] {
            let condition = json!({
                "StringEquals": {"iot:ClientId": id},
                "Bool": {"iot:Connection.Thing.IsAttached": attached},
            });
            let allow = policies(&[("Allow", &["iot:*"], &["*"])], &condition);
            let decision = allow.decide(&Ask::Connect, &connection(), &home());
            assert_eq!(decision.is_allowed(), expected, "Allow {id} {attached}");
        }
    }

    #[test]
    fn tells_the_resources_of_an_action() {
        let statements: [Short<'_>; 3] = [
            (
                "Allow",
                &["iot:Publish"],
                &["topic/${iot:ClientId}/*", "topic/${iot:DomainName}"],
            ),
            ("Allow", &["iot:Receive"], &["topic/b"]),
            ("Deny", &["iot:Publish"], &["topic/c"]),
        ];
        let policies = policies(&statements, &json!({}));
        let resources = policies.resources("iot:Publish", &connection());
        assert_eq!(resources, [home().arn("topic/SN1/*")]);
    }

    #[test]
    fn finds_homes_in_a_template() {
        let text = r#"{"PolicyDocument":"{\"Resource\":[\"arn:aws:iot:eu-west-1:123456789012:topic/a\",\"arn:aws:iot:*:*:*\"]}"}"#;
        let named: Vec<_> = homes_in(text)
            .into_iter()
            .map(|home| (home.region, home.account))
            .collect();
        let here = (Some("eu-west-1".to_owned()), Some("123456789012".to_owned()));
        assert_eq!(named, [(None, None), here]);
    }

    #[test]
    fn tells_the_homes_of_its_arns() {
        let statements: [Short<'_>; 2] = [
            ("Allow", &["iot:*"], &["client/a", "topic/b"]),
            ("Allow", &["iot:*"], &["*"]),
        ];
        let policies = policies(&statements, &json!({}));
        let expected = NamedHome {
            partition: Some("aws".to_owned()),
            region: Some("eu-west-1".to_owned()),
            account: Some("123456789012".to_owned()),
        };
        assert_eq!(policies.homes().iter().collect::<Vec<_>>(), [&expected]);
    }
}
