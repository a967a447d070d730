//! Conditions of a statement: one operator, one key and the values that it is compared with.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
//!
//! Invariant: a [`Condition`] is evaluated in full. What is not evaluated here is an error when the policy is
//! read, never a condition that holds. Where the documents leave open what AWS IoT does, the answer is the
//! one that refuses: the condition holds in a Deny and not in an Allow.

use serde_json::Value;

use super::super::arn::Arn;
use super::clause::Effect;
use super::connection::Connection;
use super::greeting::Greeted;
use super::network::Network;
use super::ordered::{Relation, Scale};
use super::reason::{Actual, Unmet};
use super::text::{Filled, Text, Unfilled};
use super::variable::{Absent, Variable};

#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// As it is written, such as `ForAnyValue:StringLike`.
    operator: String,
    key: String,
    wanted: Vec<String>,
    /// `None`: AWS IoT documents no such key.
    variable: Option<Variable>,
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
    /// The parts of each ARN; of `*` one.
    Arn(Vec<Vec<Text>>),
    Ordered(Scale, Relation, Vec<f64>),
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
    #[error("there is no operator {operator}")]
    Operator { operator: String },
    #[error("{operator} does not take {value}")]
    Value { operator: String, value: String },
}

impl ConditionError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Operator { .. } => Some(
                "operators are StringEquals, StringEqualsIgnoreCase, StringLike, Numeric…, Date…, Bool, BinaryEquals, IpAddress, ArnEquals, ArnLike, their opposites and Null, with ForAllValues: or ForAnyValue: before, or IfExists behind",
            ),
            Self::Value { .. } => None,
        }
    }
}

impl Condition {
    /// Reads one key of an operator.
    pub fn read(operator: &str, key: &str, value: &Value) -> Result<Self, ConditionError> {
        let unknown = || ConditionError::Operator {
            operator: operator.to_owned(),
        };
        let (set, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Some(Set::All), name),
            Some(("ForAnyValue", name)) => (Some(Set::Any), name),
            Some(_) => return Err(unknown()),
            None => (None, operator),
        };
        // AWS shows an empty list with ForAllValues: connections that ask for nothing.
        let wanted = texts(value).filter(|wanted| set.is_some() || !wanted.is_empty());
        let wanted = wanted.ok_or_else(|| ConditionError::Value {
            operator: operator.to_owned(),
            value: value.to_string(),
        })?;
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let is_null = name == "Null" && set.is_none() && !if_exists;
        let read = match is_null {
            true => Some((Test::Null(parse_all(operator, &wanted)?), false)),
            false => Test::read(operator, name, &wanted)?,
        };
        let (test, is_negated) = read.ok_or_else(unknown)?;
        Ok(Self {
            operator: operator.to_owned(),
            key: key.to_owned(),
            wanted,
            variable: Variable::parse(key),
            set,
            if_exists,
            is_negated,
            test,
        })
    }

    /// Its key, if AWS IoT documents it.
    pub fn variable(&self) -> Option<&Variable> {
        self.variable.as_ref()
    }

    /// What the key is compared with.
    pub fn wanted(&self) -> &[String] {
        &self.wanted
    }

    /// The texts in which variables count.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let (texts, arns) = match &self.test {
            Test::Text(_, texts) => (texts.as_slice(), [].as_slice()),
            Test::Arn(arns) => ([].as_slice(), arns.as_slice()),
            Test::Ordered(..) | Test::Address(_) | Test::Null(_) => ([].as_slice(), [].as_slice()),
        };
        texts.iter().chain(arns.iter().flatten())
    }

    /// `greeted`: with requests to connect.
    ///
    /// # Errors
    ///
    /// That it does not hold, and why.
    pub fn check(
        &self,
        effect: Effect,
        connection: &Connection,
        greeted: Option<&Greeted>,
    ) -> Result<(), Box<Unmet>> {
        let variable = self.variable.as_ref().ok_or(Absent::Unknown);
        let values = match variable.and_then(|variable| variable.values(connection, greeted)) {
            Ok(values) => values,
            Err(reason) if self.holds_without(&reason, effect) => return Ok(()),
            Err(reason) => return Err(self.unmet(Actual::Nothing(reason))),
        };
        let wanted = match &self.test {
            Test::Text(_, texts) => {
                let texts: Vec<&[Text]> = texts.iter().map(std::slice::from_ref).collect();
                self.fill(&texts, effect, connection)
            }
            Test::Arn(arns) => {
                let arns: Vec<&[Text]> = arns.iter().map(Vec::as_slice).collect();
                self.fill(&arns, effect, connection)
            }
            Test::Ordered(..) | Test::Address(_) | Test::Null(_) => Ok(Vec::new()),
        };
        let wanted = wanted.map_err(|unfilled| self.unmet(Actual::Unfilled(unfilled)))?;
        // A value of another kind than the operator's is neither equal nor unequal to anything.
        let otherwise = effect == Effect::Deny;
        let matches = |value: &str| self.test.matches(value, &wanted);
        let satisfies = |value: &str| matches(value).map_or(otherwise, |matches| matches != self.is_negated);
        let holds = match self.set {
            Some(Set::All) => values.iter().all(|value| satisfies(value)),
            Some(Set::Any) => values.iter().any(|value| satisfies(value)),
            // Of a list, which should not be compared without ForAllValues or ForAnyValue: whether any is
            // equal, or none.
            None if self.is_negated => values.iter().all(|value| satisfies(value)),
            None => values.iter().any(|value| satisfies(value)),
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

    /// What is wanted of a connection, each in its parts. In a Deny a variable without a value stays as it is written; in an
    /// Allow no value is equal to it, nor different from it.
    fn fill(
        &self,
        all_wanted: &[&[Text]],
        effect: Effect,
        connection: &Connection,
    ) -> Result<Vec<Vec<Filled>>, Unfilled> {
        let mut all = Vec::with_capacity(all_wanted.len());
        for texts in all_wanted {
            let filled: Vec<Filled> = texts.iter().map(|text| text.fill(connection)).collect();
            let unfilled = filled.iter().find_map(|part| part.unfilled.as_ref());
            match (effect, unfilled) {
                (Effect::Deny, _) | (Effect::Allow, None) => all.push(filled),
                (Effect::Allow, Some(_)) if all_wanted.len() > 1 && !self.is_negated => {}
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
    /// The test of an operator, and whether its opposite is wanted: the one list of them. `None`: there is no such operator.
    fn read(operator: &str, name: &str, wanted: &[String]) -> Result<Option<(Self, bool)>, ConditionError> {
        let text = |comparison| {
            let texts = wanted.iter().map(|wanted| Text::parse(wanted));
            Self::Text(comparison, texts.collect())
        };
        Ok(Some(match name {
            // Base64 is compared as it is written.
            "StringEquals" | "BinaryEquals" => (text(Comparison::Equals), false),
            "StringNotEquals" => (text(Comparison::Equals), true),
            "StringEqualsIgnoreCase" | "Bool" => (text(Comparison::EqualsIgnoreCase), false),
            "StringNotEqualsIgnoreCase" => (text(Comparison::EqualsIgnoreCase), true),
            "StringLike" => (text(Comparison::Like), false),
            "StringNotLike" => (text(Comparison::Like), true),
            "IpAddress" => (Self::Address(parse_all(operator, wanted)?), false),
            "NotIpAddress" => (Self::Address(parse_all(operator, wanted)?), true),
            // Both take wildcards, each within its part of the ARN.
            "ArnEquals" | "ArnLike" => (Self::arns(operator, wanted)?, false),
            "ArnNotEquals" | "ArnNotLike" => (Self::arns(operator, wanted)?, true),
            _ => {
                let numeric = name.strip_prefix("Numeric").map(|rest| (Scale::Number, rest));
                let dated = name.strip_prefix("Date").map(|rest| (Scale::Time, rest));
                let Some((scale, rest)) = numeric.or(dated) else {
                    return Ok(None);
                };
                let Some((relation, is_negated)) = Relation::parse(rest) else {
                    return Ok(None);
                };
                let read = |text: &String| {
                    scale.read(text).ok_or_else(|| ConditionError::Value {
                        operator: operator.to_owned(),
                        value: format!("{text:?}"),
                    })
                };
                let wanted = wanted.iter().map(read).collect::<Result<_, _>>()?;
                (Self::Ordered(scale, relation, wanted), is_negated)
            }
        }))
    }

    fn arns(operator: &str, wanted: &[String]) -> Result<Self, ConditionError> {
        let parts = |text: &String| match Arn::parse(text) {
            Some(arn) => Ok(
                [arn.partition, arn.service, arn.region, arn.account, arn.resource]
                    .map(Text::parse)
                    .to_vec(),
            ),
            None if text == "*" => Ok(vec![Text::parse(text)]),
            None => Err(ConditionError::Value {
                operator: operator.to_owned(),
                value: format!("{text:?}, which is no ARN"),
            }),
        };
        wanted.iter().map(parts).collect::<Result<_, _>>().map(Self::Arn)
    }

    /// Whether a value is one of those that are wanted, which come filled in; `None`: it is of another kind.
    fn matches(&self, value: &str, all_wanted: &[Vec<Filled>]) -> Option<bool> {
        match self {
            Self::Text(comparison, _) => Some(all_wanted.iter().flatten().any(|wanted| match comparison {
                Comparison::Equals => wanted.text == value,
                Comparison::EqualsIgnoreCase => wanted.text.to_lowercase() == value.to_lowercase(),
                Comparison::Like => wanted.pattern.matches(value),
            })),
            Self::Arn(_) => {
                let arn = Arn::parse(value)?;
                let parts = [arn.partition, arn.service, arn.region, arn.account, arn.resource];
                Some(all_wanted.iter().any(|wanted| {
                    match wanted.as_slice() {
                        [any] => any.pattern.matches(value),
                        wanted => wanted
                            .iter()
                            .zip(parts)
                            .all(|(wanted, part)| wanted.pattern.matches(part)),
                    }
                }))
            }
            Self::Ordered(scale, relation, all_wanted) => {
                let value = scale.read(value)?;
                Some(all_wanted.iter().any(|wanted| relation.holds(value, *wanted)))
            }
            Self::Address(networks) => {
                let address = value.parse().ok()?;
                Some(networks.iter().any(|network| network.contains(address)))
            }
            Self::Null(wanted) => Some(wanted.contains(&false)),
        }
    }
}

/// One value or a list of values.
fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        single => Some(vec![text(single)?]),
    }
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
#[path = "condition_tests.rs"]
mod tests;
