//! Conditions of a statement: one operator, one key and the values that it is compared with.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
//!
//! Invariant: a [`Condition`] is evaluated in full. What is not evaluated here is an error when the policy is
//! read, never a condition that holds. Where the documents leave open what AWS IoT does, the answer is the
//! one that refuses: the condition holds in a Deny and not in an Allow.

use serde_json::Value;

use super::clause::Effect;
use super::connection::Connection;
use super::network::Network;
use super::reason::{Actual, Unmet};
use super::text::{Filled, Text, Unfilled};
use super::variable::{Absent, Variable};

#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// As it is written, such as `ForAnyValue:StringLike`.
    operator: String,
    key: String,
    wanted: Vec<String>,
    variable: Variable,
    /// `ForAllValues:` or `ForAnyValue:`.
    set: Option<Set>,
    if_exists: bool,
    is_negated: bool,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    All,
    Any,
}

#[derive(Debug, Clone)]
enum Test {
    Text(Comparison, Vec<Text>),
    Address(Vec<Network>),
    /// Whether the key may be absent, present, or both.
    Null(Vec<bool>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
}

/// Why a condition cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("operator {operator} is not evaluated here")]
    Operator { operator: String },
    #[error("AWS IoT documents no condition key {key}")]
    Key { key: String },
    #[error("{operator} does not take {value}")]
    Value { operator: String, value: String },
}

impl Condition {
    /// Reads one key of an operator.
    pub fn read(operator: &str, key: &str, value: &Value) -> Result<Self, ConditionError> {
        let unknown = || ConditionError::Operator {
            operator: operator.to_owned(),
        };
        let wanted = texts(value).ok_or_else(|| ConditionError::Value {
            operator: operator.to_owned(),
            value: value.to_string(),
        })?;
        let (set, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Some(Set::All), name),
            Some(("ForAnyValue", name)) => (Some(Set::Any), name),
            Some(_) => return Err(unknown()),
            None => (None, operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let text = |comparison| {
            let texts = wanted.iter().map(|wanted| Text::parse(wanted));
            Test::Text(comparison, texts.collect())
        };
        let (test, is_negated) = match name {
            "StringEquals" => (text(Comparison::Equals), false),
            "StringNotEquals" => (text(Comparison::Equals), true),
            "StringEqualsIgnoreCase" | "Bool" => (text(Comparison::EqualsIgnoreCase), false),
            "StringNotEqualsIgnoreCase" => (text(Comparison::EqualsIgnoreCase), true),
            "StringLike" => (text(Comparison::Like), false),
            "StringNotLike" => (text(Comparison::Like), true),
            "IpAddress" => (Test::Address(parse_all(operator, &wanted)?), false),
            "NotIpAddress" => (Test::Address(parse_all(operator, &wanted)?), true),
            "Null" if set.is_none() && !if_exists => (Test::Null(parse_all(operator, &wanted)?), false),
            _ => return Err(unknown()),
        };
        let variable = Variable::parse(key).ok_or_else(|| ConditionError::Key { key: key.to_owned() })?;
        Ok(Self {
            operator: operator.to_owned(),
            key: key.to_owned(),
            wanted,
            variable,
            set,
            if_exists,
            is_negated,
            test,
        })
    }

    /// # Errors
    ///
    /// That it does not hold, and why.
    pub fn check(&self, effect: Effect, connection: &Connection) -> Result<(), Box<Unmet>> {
        let values = match self.variable.values(connection) {
            Ok(values) => values,
            Err(reason) if self.holds_without(&reason, effect) => return Ok(()),
            Err(reason) => return Err(self.unmet(Actual::Nothing(reason))),
        };
        let wanted = match &self.test {
            Test::Text(_, texts) => self.fill(texts, effect, connection),
            Test::Address(_) | Test::Null(_) => Ok(Vec::new()),
        };
        let wanted = wanted.map_err(|unfilled| self.unmet(Actual::Unfilled(unfilled)))?;
        let matches = |value: &str| self.test.matches(value, &wanted);
        let satisfies = |value: &str| matches(value) != self.is_negated;
        let holds = match self.set {
            Some(Set::All) => values.iter().all(|value| satisfies(value)),
            Some(Set::Any) => values.iter().any(|value| satisfies(value)),
            // Of a list, which should not be compared without ForAllValues or ForAnyValue: whether any is
            // equal, or none.
            None => values.iter().any(|value| matches(value)) != self.is_negated,
        };
        if holds {
            return Ok(());
        }
        let values = values.into_iter().map(String::from).collect();
        Err(self.unmet(Actual::Values(values)))
    }

    /// Whether it holds although its key has no value.
    fn holds_without(&self, reason: &Absent, effect: Effect) -> bool {
        if reason.is_unusable() {
            return effect == Effect::Deny;
        }
        match (&self.test, self.set) {
            (Test::Null(wanted), _) => wanted.contains(&true),
            (_, Some(Set::All)) => true,
            (_, Some(Set::Any)) => self.if_exists,
            (_, None) => self.if_exists || self.is_negated,
        }
    }

    /// The texts for a connection. In a Deny a variable without a value stays as it is written; in an Allow
    /// no value is equal to it, nor different from it.
    fn fill(&self, texts: &[Text], effect: Effect, connection: &Connection) -> Result<Vec<Filled>, Unfilled> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let filled = text.fill(connection);
            match (effect, &filled.unfilled) {
                (Effect::Deny, _) | (Effect::Allow, None) => all.push(filled),
                (Effect::Allow, Some(_)) if texts.len() > 1 && !self.is_negated => {}
                (Effect::Allow, Some(unfilled)) => return Err(unfilled.clone()),
            }
        }
        Ok(all)
    }

    fn unmet(&self, found: Actual) -> Box<Unmet> {
        Box::new(Unmet {
            operator: self.operator.clone(),
            key: self.key.clone(),
            wanted: self.wanted.clone(),
            found,
        })
    }
}

impl Test {
    /// Whether a value is one of those that are wanted; those of a text come filled in.
    fn matches(&self, value: &str, texts: &[Filled]) -> bool {
        match self {
            Self::Text(comparison, _) => texts.iter().any(|wanted| match comparison {
                Comparison::Equals => wanted.text == value,
                Comparison::EqualsIgnoreCase => wanted.text.to_lowercase() == value.to_lowercase(),
                Comparison::Like => wanted.pattern.matches(value),
            }),
            Self::Address(networks) => value
                .parse()
                .is_ok_and(|address| networks.iter().any(|network| network.contains(address))),
            Self::Null(wanted) => wanted.contains(&false),
        }
    }
}

/// One value or a list of values, of which there must be one.
fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let texts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(text).collect::<Option<_>>()?,
        single => vec![text(single)?],
    };
    (!texts.is_empty()).then_some(texts)
}

fn parse_all<T: std::str::FromStr>(operator: &str, wanted: &[String]) -> Result<Vec<T>, ConditionError> {
    let parsed = wanted.iter().map(|text| {
        text.parse().map_err(|_| ConditionError::Value {
            operator: operator.to_owned(),
            value: format!("{text:?}"),
        })
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::connection::tests::connection;
    use super::*;

    /// Whether a condition holds in an Allow, and whether it does in a Deny.
    fn holds(operator: &str, key: &str, value: &Value) -> (bool, bool) {
        let connection = connection();
        let condition = Condition::read(operator, key, value).unwrap();
        let holds = |effect| condition.check(effect, &connection).is_ok();
        (holds(Effect::Allow), holds(Effect::Deny))
    }

    #[test]
    fn compares_as_iam_does() {
        let (id, thing) = ("iot:ClientId", "iot:Connection.Thing.ThingTypeName");
        let (ip, dns) = (
            "aws:SourceIp",
            "iot:Certificate.Subject.AlternativeName.DNSName.List",
        );
        for (operator, key, value, expected) in [
            ("StringEquals", id, json!("SN1"), true),
            ("StringEquals", id, json!("sn1"), false),
            ("StringEquals", id, json!("SN*"), false),
            ("StringEquals", id, json!(["x", "SN1"]), true),
            (
                "StringEquals",
                id,
                json!("${iot:Connection.Thing.ThingName}"),
                true,
            ),
            ("StringNotEquals", id, json!("SN1"), false),
            ("StringNotEquals", id, json!(["x", "SN1"]), false),
            ("StringNotEquals", id, json!(["x", "y"]), true),
            ("StringEqualsIgnoreCase", id, json!("sn1"), true),
            ("StringNotEqualsIgnoreCase", id, json!("sn1"), false),
            ("StringLike", id, json!("S?1"), true),
            ("StringLike", id, json!("s*"), false),
            ("StringLike", id, json!("${*}"), false),
            ("StringNotLike", id, json!("S*"), false),
            ("StringNotLike", id, json!("X*"), true),
            ("Bool", "iot:Connection.Thing.IsAttached", json!(true), true),
            ("Bool", "iot:Connection.Thing.IsAttached", json!("true"), true),
            ("Bool", "iot:Connection.Thing.IsAttached", json!(["false"]), false),
            ("IpAddress", ip, json!("203.0.113.0/24"), true),
            ("IpAddress", ip, json!(["10.0.0.0/8", "::/0"]), false),
            ("NotIpAddress", ip, json!("203.0.113.0/24"), false),
            ("NotIpAddress", ip, json!("10.0.0.0/8"), true),
            // The thing has no type.
            ("StringEquals", thing, json!("Lamp"), false),
            ("StringEqualsIfExists", thing, json!("Lamp"), true),
            ("StringEqualsIfExists", id, json!("x"), false),
            ("StringNotEquals", thing, json!("Lamp"), true),
            ("Null", thing, json!("true"), true),
            ("Null", thing, json!(false), false),
            ("Null", id, json!("true"), false),
            ("Null", id, json!("false"), true),
            // The certificate is for a.example and b.example.
            ("ForAllValues:StringLike", dns, json!("*.example"), true),
            (
                "ForAllValues:StringEquals",
                dns,
                json!(["a.example", "b.example"]),
                true,
            ),
            ("ForAllValues:StringEquals", dns, json!("a.example"), false),
            ("ForAllValues:StringNotEquals", dns, json!("a.example"), false),
            ("ForAnyValue:StringEquals", dns, json!("b.example"), true),
            ("ForAnyValue:StringEquals", dns, json!("c.example"), false),
            ("ForAnyValue:StringNotEquals", dns, json!("a.example"), true),
            ("StringEquals", dns, json!("b.example"), true),
            ("StringNotEquals", dns, json!("b.example"), false),
            ("ForAllValues:StringEquals", thing, json!("Lamp"), true),
            ("ForAnyValue:StringEquals", thing, json!("Lamp"), false),
            ("ForAnyValue:StringNotEquals", thing, json!("Lamp"), false),
            ("ForAnyValue:StringEqualsIfExists", thing, json!("Lamp"), true),
        ] {
            assert_eq!(
                holds(operator, key, &value),
                (expected, expected),
                "{operator} {key} {value}"
            );
        }
    }

    #[test]
    fn refuses_where_a_value_cannot_be_filled_in() {
        let (id, city) = ("iot:ClientId", "iot:Certificate.Subject.State");
        let none = "${iot:Connection.Thing.ThingTypeName}";
        for (operator, key, value, in_allow, in_deny) in [
            ("StringEquals", id, json!(none), false, false),
            ("StringEquals", id, json!([none, "SN1"]), true, true),
            ("StringNotEquals", id, json!(none), false, true),
            ("StringNotEquals", id, json!([none, "x"]), false, true),
            // The certificate's state has a +.
            ("StringEquals", city, json!("A+"), false, true),
            ("StringNotEquals", city, json!("x"), false, true),
            ("ForAllValues:StringEquals", city, json!("x"), false, true),
            ("StringEqualsIfExists", city, json!("x"), false, true),
            ("Null", city, json!("true"), false, true),
        ] {
            assert_eq!(
                holds(operator, key, &value),
                (in_allow, in_deny),
                "{operator} {key} {value}"
            );
        }
    }

    #[test]
    fn names_what_it_does_not_evaluate() {
        let id = "iot:ClientId";
        for (operator, key, value, message) in [
            ("NumericEquals", id, json!("1"), "operator NumericEquals"),
            (
                "DateLessThan",
                "aws:CurrentTime",
                json!("2030-01-01"),
                "operator DateLessThan",
            ),
            ("ArnLike", id, json!("x"), "operator ArnLike"),
            ("stringequals", id, json!("x"), "operator stringequals"),
            ("ForSomeValues:StringEquals", id, json!("x"), "operator ForSome"),
            ("NullIfExists", id, json!("true"), "operator NullIfExists"),
            (
                "StringEquals",
                "aws:SecureTransport",
                json!("x"),
                "key aws:SecureTransport",
            ),
            ("StringEquals", "iot:clientid", json!("x"), "key iot:clientid"),
            (
                "StringEquals",
                "iot:Certificate.AvailableKeys",
                json!("x"),
                "key iot:Cert",
            ),
            ("StringEquals", id, json!({"a": 1}), "does not take"),
            ("StringEquals", id, json!([]), "does not take []"),
            (
                "IpAddress",
                "aws:SourceIp",
                json!("1.2.3"),
                "does not take \"1.2.3\"",
            ),
            ("Null", id, json!("yes"), "does not take \"yes\""),
        ] {
            let error = Condition::read(operator, key, &value).unwrap_err().to_string();
            assert!(error.contains(message), "{operator} {key} {value}: {error}");
        }
    }
}
