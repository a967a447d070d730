//! Statements of a policy, read once, and whether each applies to what a connection asks for.

use serde_json::{Map, Value};

use super::super::{json, policy};
use super::clause::{Clause, Effect};
use super::condition::{Condition, ConditionError};
use super::connection::Connection;
use super::reason::Why;
use super::text::Text;

/// A policy that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// AWS IoT would refuse the document.
    #[error("policy {policy:?}: {reason}")]
    Document { policy: String, reason: String },
    #[error("{clause} has a Condition that cannot be evaluated")]
    Condition { clause: Clause, source: ConditionError },
}

#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub clause: Clause,
    pub effect: Effect,
    actions: Vec<String>,
    resources: Vec<Text>,
    conditions: Vec<Condition>,
}

impl Statement {
    /// Reads all statements of a document.
    pub fn read_all(policy: &str, document: &str) -> Result<Vec<Self>, PolicyError> {
        let refused = |reason: String| PolicyError::Document {
            policy: policy.to_owned(),
            reason,
        };
        if let Some(reason) = policy::check(document).errors.into_iter().next() {
            return Err(refused(reason));
        }
        let document = json::read(document).map_err(|error| refused(error.to_string()))?;
        let statements = match &document["Statement"] {
            Value::Array(statements) => statements.as_slice(),
            single => std::slice::from_ref(single),
        };
        let statements = statements.iter().filter_map(Value::as_object).enumerate();
        statements
            .map(|(index, statement)| Self::read(policy, index, statement))
            .collect()
    }

    /// Reads a statement of a document without a fault.
    fn read(policy: &str, index: usize, statement: &Map<String, Value>) -> Result<Self, PolicyError> {
        let texts = |key| policy::texts(statement.get(key)).unwrap_or_default();
        let sid = statement.get("Sid").and_then(Value::as_str);
        let clause = Clause {
            policy: policy.to_owned(),
            index,
            sid: sid.filter(|sid| !sid.is_empty()).map(str::to_owned),
        };
        let conditions = match statement.get("Condition").and_then(Value::as_object) {
            None => Vec::new(),
            Some(operators) => read_conditions(operators).map_err(|source| PolicyError::Condition {
                clause: clause.clone(),
                source,
            })?,
        };
        Ok(Self {
            clause,
            effect: match statement.get("Effect").and_then(Value::as_str) {
                Some("Allow") => Effect::Allow,
                _ => Effect::Deny,
            },
            actions: texts("Action").into_iter().map(str::to_owned).collect(),
            resources: texts("Resource").into_iter().map(Text::parse).collect(),
            conditions,
        })
    }

    /// Whether it is about an action.
    pub fn names(&self, action: &str) -> bool {
        self.actions
            .iter()
            .any(|pattern| policy::matches(pattern, action))
    }

    /// Its resources, as far as their variables have values.
    pub fn filled(&self, connection: &Connection) -> Vec<String> {
        let filled = self.resources.iter().map(|text| text.fill(connection));
        filled
            .filter(|filled| filled.unfilled.is_none())
            .map(|filled| filled.text)
            .collect()
    }

    /// Whether it applies to a resource, given as an ARN.
    ///
    /// # Errors
    ///
    /// Why it does not: a condition, or what became of each resource.
    pub fn applies(&self, resource: &str, connection: &Connection) -> Result<(), Vec<Why>> {
        let mut misses = Vec::new();
        let mut is_named = false;
        for text in &self.resources {
            let filled = text.fill(connection);
            let miss = match filled.unfilled {
                // It stays as it is written, and a topic of that name is not what anybody meant to allow.
                Some(unfilled) if self.effect == Effect::Allow => Why::Variable(unfilled),
                _ if filled.pattern.matches(resource) => {
                    is_named = true;
                    break;
                }
                _ => Why::Resource(filled.text),
            };
            if !misses.contains(&miss) {
                misses.push(miss);
            }
        }
        if !is_named {
            return Err(misses);
        }
        for condition in &self.conditions {
            condition
                .check(self.effect, connection)
                .map_err(|unmet| vec![Why::Condition(*unmet)])?;
        }
        Ok(())
    }
}

fn read_conditions(operators: &Map<String, Value>) -> Result<Vec<Condition>, ConditionError> {
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return Err(ConditionError::Value {
                operator: operator.clone(),
                value: keys.to_string(),
            });
        };
        for (key, value) in keys {
            conditions.push(Condition::read(operator, key, value)?);
        }
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn names_what_cannot_be_evaluated() {
        let document = |condition: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Time","Effect":"Allow",
                "Action":"iot:Connect","Resource":"*","Condition":{condition}}}]}}"#
            )
        };
        let condition = "statement \"Time\" of policy \"p\" has a Condition that cannot be evaluated";
        for (document, expected, cause) in [
            (
                document(r#"{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}"#),
                condition,
                Some("operator DateLessThan is not evaluated here"),
            ),
            (
                document(r#"{"StringEquals":"x"}"#),
                condition,
                Some("StringEquals does not take \"x\""),
            ),
            (
                r#"{"Version":"2008-10-17","Statement":[]}"#.to_owned(),
                "policy \"p\": Version is \"2008-10-17\", AWS IoT takes \"2012-10-17\" alone",
                None,
            ),
            (
                document("[]"),
                "policy \"p\": Statement[0] has a Condition that is no object",
                None,
            ),
        ] {
            let error = Statement::read_all("p", &document).unwrap_err();
            assert_eq!(error.to_string(), expected, "{document}");
            let source = error.source().map(ToString::to_string);
            assert_eq!(source.as_deref(), cause, "{document}");
        }
    }

    #[test]
    fn reads_one_statement_or_many() {
        let statement = r#"{"Effect":"Deny","Action":"iot:*","Resource":"*"}"#;
        for (statements, expected) in [
            (statement.to_owned(), 1),
            (format!("[{statement}, {statement}]"), 2),
        ] {
            let document = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
            let read = Statement::read_all("p", &document).unwrap();
            assert_eq!(read.len(), expected);
            let last = &read[expected - 1];
            assert_eq!(last.clause.index, expected - 1);
            assert_eq!(last.effect, Effect::Deny);
        }
    }
}
