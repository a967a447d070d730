//! Statements of a policy, read once, and whether each applies to what a connection asks for.

use serde_json::{Map, Value};

use super::super::action;
use super::super::policy::{self, Listed};
use super::clause::{Clause, Effect};
use super::condition::{Condition, ConditionError};
use super::connection::Connection;
use super::greeting::Greeted;
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
    actions: Listed,
    resources: Vec<Text>,
    /// `NotResource`: all but these.
    is_but: bool,
    conditions: Vec<Condition>,
}

impl Statement {
    /// Reads all statements of a document.
    pub fn read_all(policy: &str, document: &str) -> Result<Vec<Self>, PolicyError> {
        let (statements, findings) = policy::read(document);
        if let Some(error) = findings.into_iter().find(policy::PolicyFinding::is_error) {
            return Err(PolicyError::Document {
                policy: policy.to_owned(),
                reason: error.message,
            });
        }
        statements
            .into_iter()
            .map(|statement| Self::read(policy, statement))
            .collect()
    }

    /// Reads a statement of a document without a fault.
    fn read(policy: &str, statement: policy::Statement) -> Result<Self, PolicyError> {
        let clause = Clause {
            policy: policy.to_owned(),
            index: statement.index,
            sid: statement.sid.filter(|sid| !sid.is_empty()),
        };
        let conditions = read_conditions(&statement.condition).map_err(|source| PolicyError::Condition {
            clause: clause.clone(),
            source,
        })?;
        let resources = statement.resources;
        Ok(Self {
            clause,
            effect: match statement.allows {
                true => Effect::Allow,
                false => Effect::Deny,
            },
            actions: statement.actions,
            resources: resources.texts.iter().map(|text| Text::parse(text)).collect(),
            is_but: resources.is_negated,
            conditions,
        })
    }

    /// Whether it is about an action.
    pub fn names(&self, action: &str) -> bool {
        self.actions.means(|pattern| action::matches(pattern, action))
    }

    /// Its resources, as far as their variables have values.
    pub fn filled(&self, connection: &Connection) -> Vec<String> {
        if self.is_but {
            return Vec::new();
        }
        let filled = self.resources.iter().map(|text| text.fill(connection));
        filled
            .filter(|filled| filled.unfilled.is_none())
            .map(|filled| filled.text)
            .collect()
    }

    /// Whether it applies to a resource, given as an ARN. `greeted`: with requests to connect.
    ///
    /// # Errors
    ///
    /// Why it does not: a condition, or what became of each resource.
    pub fn applies(
        &self,
        resource: &str,
        connection: &Connection,
        greeted: Option<&Greeted>,
    ) -> Result<(), Vec<Why>> {
        match self.is_but {
            true => self.leaves(resource, connection)?,
            false => self.covers(resource, connection)?,
        }
        for condition in &self.conditions {
            condition
                .check(self.effect, connection, greeted)
                .map_err(|unmet| vec![Why::Condition(*unmet)])?;
        }
        Ok(())
    }

    fn covers(&self, resource: &str, connection: &Connection) -> Result<(), Vec<Why>> {
        let mut misses = Vec::new();
        for text in &self.resources {
            let filled = text.fill(connection);
            let miss = match filled.unfilled {
                // It stays as it is written, and a topic of that name is not what anybody meant to allow.
                Some(unfilled) if self.effect == Effect::Allow => Why::Variable(unfilled),
                _ if filled.pattern.matches(resource) => return Ok(()),
                _ => Why::Resource(filled.text),
            };
            if !misses.contains(&miss) {
                misses.push(miss);
            }
        }
        Err(misses)
    }

    /// Whether `NotResource` leaves a resource to the statement.
    fn leaves(&self, resource: &str, connection: &Connection) -> Result<(), Vec<Why>> {
        for text in &self.resources {
            let filled = text.fill(connection);
            match filled.unfilled {
                // What it would have kept out is not known.
                Some(unfilled) if self.effect == Effect::Allow => return Err(vec![Why::Variable(unfilled)]),
                _ if filled.pattern.matches(resource) => return Err(vec![Why::NotResource(filled.text)]),
                _ => {}
            }
        }
        Ok(())
    }
}

pub(super) fn read_conditions(operators: &Map<String, Value>) -> Result<Vec<Condition>, ConditionError> {
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
                document(r#"{"DateBefore":{"aws:CurrentTime":"2030-01-01"}}"#),
                condition,
                Some("there is no operator DateBefore"),
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
