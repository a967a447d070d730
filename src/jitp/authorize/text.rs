//! Texts of a policy with variables in them, and what becomes of them for a connection.
//!
//! Invariant: a value that is filled in is matched as it is, whatever characters it has. So a client id of
//! `*` opens nothing; that the client id `+` makes the topic filter `my/+/topic` of
//! `my/${iot:ClientId}/topic` is as documented.
//! <https://docs.aws.amazon.com/iot/latest/developerguide/basic-policy-variables.html>

use serde::Serialize;

use super::super::pattern::Pattern;
use super::connection::Connection;
use super::variable::{Absent, Variable};

/// A text of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// As it stands in the policy, wildcards and all.
    Written(String),
    /// `${*}`, `${?}` or `${$}`.
    Sign(&'static str),
    Variable {
        /// With `${` and `}`.
        written: String,
        /// `None`: AWS IoT documents no such variable.
        variable: Option<Variable>,
    },
}

/// A text with its variables filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Filled {
    pub text: String,
    pub pattern: Pattern,
    /// The first variable that has no value. AWS IoT leaves such a variable in the text as it is written.
    pub unfilled: Option<Unfilled>,
}

/// A variable without a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{variable} has no value: {reason}")]
pub struct Unfilled {
    /// As the policy has it, such as `${iot:Connection.Thing.ThingName}`.
    pub variable: String,
    pub reason: Absent,
}

impl Text {
    pub fn parse(written: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some(start) = rest.find("${") {
            let Some(len) = rest[start..].find('}') else { break };
            let (before, variable) = (&rest[..start], &rest[start..=start + len]);
            rest = &rest[start + len + 1..];
            if !before.is_empty() {
                parts.push(Part::Written(before.to_owned()));
            }
            parts.push(match variable {
                "${*}" => Part::Sign("*"),
                "${?}" => Part::Sign("?"),
                "${$}" => Part::Sign("$"),
                _ => Part::Variable {
                    written: variable.to_owned(),
                    variable: Variable::parse(&variable[2..len]),
                },
            });
        }
        if !rest.is_empty() {
            parts.push(Part::Written(rest.to_owned()));
        }
        Self(parts)
    }

    /// The names within `${…}`, signs aside, each with whether AWS IoT documents it.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Option<&Variable>)> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable { written, variable } => Some((&written[2..written.len() - 1], variable.as_ref())),
            Part::Written(_) | Part::Sign(_) => None,
        })
    }

    pub fn fill(&self, connection: &Connection) -> Filled {
        let mut filled = Filled::default();
        for part in &self.0 {
            match part {
                Part::Written(written) => {
                    filled.text.push_str(written);
                    filled.pattern.push(written);
                }
                Part::Sign(sign) => filled.push_literal(sign),
                Part::Variable { written, variable } => {
                    let variable = variable.as_ref().ok_or(Absent::Unknown);
                    match variable.and_then(|variable| variable.value(connection)) {
                        Ok(value) => filled.push_literal(&value),
                        Err(reason) => {
                            filled.push_literal(written);
                            filled.unfilled.get_or_insert_with(|| Unfilled {
                                variable: written.clone(),
                                reason,
                            });
                        }
                    }
                }
            }
        }
        filled
    }
}

impl Filled {
    fn push_literal(&mut self, text: &str) {
        self.text.push_str(text);
        self.pattern.push_literal(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::connection;
    use super::*;

    #[test]
    fn fills_in_values_that_match_as_they_are() {
        for (written, client_id, text, matched, missed) in [
            ("a/${iot:ClientId}/*", "x", "a/x/*", "a/x/y/z", "a/y/x"),
            ("${iot:ClientId}", "*", "*", "*", "x"),
            ("${iot:ClientId}?", "?", "??", "?x", "xx"),
            ("my/${iot:ClientId}/t", "+", "my/+/t", "my/+/t", "my/x/t"),
            ("${*}${?}${$}{a}", "x", "*?${a}", "*?${a}", "x?${a}"),
            ("$share/*/a", "x", "$share/*/a", "$share/g/a", "share/g/a"),
            ("${iot:ClientId", "x", "${iot:ClientId", "${iot:ClientId", "x"),
        ] {
            let mut connection = connection();
            connection.client_id = client_id.to_owned();
            let filled = Text::parse(written).fill(&connection);
            assert_eq!(filled.text, text, "{written}");
            assert_eq!(filled.unfilled, None, "{written}");
            assert!(filled.pattern.matches(matched), "{written} {matched}");
            assert!(!filled.pattern.matches(missed), "{written} {missed}");
        }
    }

    #[test]
    fn leaves_a_variable_without_a_value_as_it_is_written() {
        for (written, variable, reason) in [
            ("a/${aws:username}", "${aws:username}", Absent::Unknown),
            (
                "${iot:ClientId}/${iot:DomainName}/${aws:username}",
                "${iot:DomainName}",
                Absent::DomainName,
            ),
        ] {
            let filled = Text::parse(written).fill(&connection());
            assert!(filled.text.ends_with("${aws:username}"), "{}", filled.text);
            let expected = Unfilled {
                variable: variable.to_owned(),
                reason,
            };
            assert_eq!(filled.unfilled, Some(expected), "{written}");
        }
    }
}
