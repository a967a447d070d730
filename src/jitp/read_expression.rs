//! Reads expressions of a template, each function held to its form.

use serde_json::{Map, Value};

use super::expression::{Expression, List, Mappings};
use super::finding::Finding;
use super::json::Path;
use super::parameter::Parameter;

/// Reads expressions, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    /// Names of the parameters that are declared, and behind them those that are used without.
    pub parameters: Vec<String>,
    pub mappings: &'a Mappings,
    pub findings: Vec<Finding>,
}

impl Reader<'_> {
    pub fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.findings.push(Finding::error(path, message));
    }

    /// The expression that stands at a path; `None` when it is none, which is then among the findings.
    pub fn expression(&mut self, value: &Value, path: &Path) -> Option<Expression> {
        match value {
            Value::String(text) => Some(Expression::Text(text.clone())),
            Value::Object(object) => self.function(object, path),
            Value::Number(_) | Value::Bool(_) => {
                self.findings.push(
                    Finding::error(path, format!("{value} is no text"))
                        .with_hint(format!("put it in quotes: \"{value}\"")),
                );
                None
            }
            Value::Array(_) | Value::Null => {
                self.error(path, format!("{value} is neither a text nor a function"));
                None
            }
        }
    }

    fn function(&mut self, object: &Map<String, Value>, path: &Path) -> Option<Expression> {
        let mut entries = object.iter();
        let (Some((name, argument)), None) = (entries.next(), entries.next()) else {
            self.error(
                path,
                "an object stands here that is no function; it would have one key, such as Ref",
            );
            return None;
        };
        let at = path.key(name);
        if name == "Ref" {
            if let Value::String(parameter) = argument {
                return self.reference(parameter, &at);
            }
            self.error(&at, "Ref takes the name of a parameter");
            return None;
        }
        let expression = match name.as_str() {
            "Fn::Join" => self.join(argument, &at),
            "Fn::Sub" => self.sub(argument, &at),
            "Fn::Select" => self.select(argument, &at),
            "Fn::FindInMap" => self.find_in_map(argument, &at),
            "Fn::Split" => {
                self.error(
                    &at,
                    "Fn::Split gives a list, which stands in Fn::Select or Fn::Join only",
                );
                None
            }
            _ => {
                let message = format!("there is no function {name}");
                let known =
                    "Ref; and of fleet templates Fn::Join, Fn::Sub, Fn::Select, Fn::Split, Fn::FindInMap";
                self.findings.push(Finding::error(&at, message).with_hint(known));
                return None;
            }
        };
        self.warn_of_function(name, &at);
        expression
    }

    fn warn_of_function(&mut self, name: &str, at: &Path) {
        self.findings.push(
            Finding::warning(
                at,
                format!("{name} is documented for fleet templates only, not for JITP"),
            )
            .with_hint("use Ref alone, or try the template on AWS with one device first"),
        );
    }

    fn reference(&mut self, parameter: &str, at: &Path) -> Option<Expression> {
        if let Some(position) = self.parameters.iter().position(|declared| declared == parameter) {
            return Some(Expression::Ref(position));
        }
        if Parameter::is_reserved(parameter) && Parameter::parse(parameter).is_some() {
            self.findings.push(
                Finding::warning(
                    at,
                    format!(
                        "parameter {parameter} is not declared; AWS's documents do not say whether that fails"
                    ),
                )
                .with_hint(format!(
                    "declare it under Parameters: {parameter:?}: {{\"Type\": \"String\"}}"
                )),
            );
            self.parameters.push(parameter.to_owned());
            return Some(Expression::Ref(self.parameters.len() - 1));
        }
        let alike = self
            .parameters
            .iter()
            .find(|declared| last_part(declared).eq_ignore_ascii_case(last_part(parameter)));
        let hint = match alike {
            Some(alike) => format!("did you mean {alike}?"),
            None if Parameter::is_reserved(parameter) && !parameter.contains("Certificate") => {
                "it is CloudFormation's; write what it stands for".to_owned()
            }
            None => "declare it under Parameters".to_owned(),
        };
        let message = format!(
            "parameter {parameter} is not declared; AWS IoT answers \"Cannot resolve reference value: {{Ref={parameter}}}\""
        );
        self.findings.push(Finding::error(at, message).with_hint(hint));
        None
    }

    fn join(&mut self, argument: &Value, at: &Path) -> Option<Expression> {
        match argument.as_array().map(Vec::as_slice) {
            Some([Value::String(separator), list]) => {
                let list = self.list(list, &at.index(1))?;
                Some(Expression::Join {
                    separator: separator.clone(),
                    list,
                })
            }
            _ => self.malformed(at, "Fn::Join takes [separator, [values]]"),
        }
    }

    fn select(&mut self, argument: &Value, at: &Path) -> Option<Expression> {
        match argument.as_array().map(Vec::as_slice) {
            Some([index, list]) => {
                // CloudFormation takes a number as well as a text.
                let index = match index {
                    Value::Number(number) => Some(Expression::Text(number.to_string())),
                    other => self.expression(other, &at.index(0)),
                };
                let list = self.list(list, &at.index(1))?;
                Some(Expression::Select {
                    index: Box::new(index?),
                    list,
                })
            }
            _ => self.malformed(at, "Fn::Select takes [index, [values]]"),
        }
    }

    fn find_in_map(&mut self, argument: &Value, at: &Path) -> Option<Expression> {
        let Some([Value::String(map), top, second]) = argument.as_array().map(Vec::as_slice) else {
            return self.malformed(at, "Fn::FindInMap takes [map, key, key]");
        };
        if !self.mappings.contains_key(map) {
            self.error(&at.index(0), format!("there is no map {map} under Mappings"));
            return None;
        }
        let top = self.expression(top, &at.index(1));
        let second = self.expression(second, &at.index(2));
        Some(Expression::FindInMap {
            map: map.clone(),
            top: Box::new(top?),
            second: Box::new(second?),
        })
    }

    /// `${name}` is a parameter or one of the values that follow, `${!name}` stands for `${name}` itself.
    fn sub(&mut self, argument: &Value, at: &Path) -> Option<Expression> {
        let (text, own) = match argument {
            Value::String(text) => (text, None),
            Value::Array(items) => match items.as_slice() {
                [Value::String(text), Value::Object(own)] => (text, Some(own)),
                _ => return self.malformed(at, "Fn::Sub takes a text, or [text, {name: value}]"),
            },
            _ => return self.malformed(at, "Fn::Sub takes a text, or [text, {name: value}]"),
        };
        let (mut parts, mut rest, mut is_whole) = (Vec::new(), text.as_str(), true);
        while let Some(start) = rest.find("${") {
            parts.push(Expression::Text(rest[..start].to_owned()));
            let Some(len) = rest[start..].find('}') else {
                return self.malformed(at, "a place that ${ opens is not closed");
            };
            let name = &rest[start + 2..start + len];
            rest = &rest[start + len + 1..];
            let part = match (name.strip_prefix('!'), own.and_then(|own| own.get(name))) {
                (Some(literal), _) => Some(Expression::Text(format!("${{{literal}}}"))),
                (None, Some(value)) => self.expression(value, &at.index(1).key(name)),
                (None, None) => {
                    let found = self.reference(name, at);
                    if found.is_none()
                        && name.contains(':')
                        && let Some(finding) = self.findings.last_mut()
                    {
                        finding.hint = Some(format!(
                            "a policy variable within Fn::Sub is written ${{!{name}}}"
                        ));
                    }
                    found
                }
            };
            is_whole &= part.is_some();
            parts.extend(part);
        }
        parts.push(Expression::Text(rest.to_owned()));
        is_whole.then_some(Expression::Sub(parts))
    }

    fn list(&mut self, value: &Value, path: &Path) -> Option<List> {
        match value {
            Value::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.expression(item, &path.index(i)))
                    .collect();
                items.into_iter().collect::<Option<_>>().map(List::Items)
            }
            Value::Object(object) if object.len() == 1 && object.contains_key("Fn::Split") => {
                let at = path.key("Fn::Split");
                self.warn_of_function("Fn::Split", &at);
                match object["Fn::Split"].as_array().map(Vec::as_slice) {
                    Some([Value::String(separator), source]) if !separator.is_empty() => {
                        let source = self.expression(source, &at.index(1))?;
                        Some(List::Split {
                            separator: separator.clone(),
                            source: Box::new(source),
                        })
                    }
                    _ => self.malformed(&at, "Fn::Split takes [separator, text]"),
                }
            }
            _ => self.malformed(path, "a list is needed here, or Fn::Split"),
        }
    }

    fn malformed<T>(&mut self, at: &Path, message: &str) -> Option<T> {
        self.error(at, message);
        None
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}
