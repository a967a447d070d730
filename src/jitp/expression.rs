//! Expressions: a text, a `Ref`, or one of the intrinsic functions.
//!
//! The functions and Mappings are documented for fleet provisioning alone; whoever uses them is warned.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::finding::Finding;
use super::json::Path;

/// A value of a template, its parameters found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    /// Position in the template's parameters.
    Ref(usize),
    Join {
        separator: String,
        list: List,
    },
    /// Texts and references in turn.
    Sub(Vec<Expression>),
    Select {
        index: Box<Expression>,
        list: List,
    },
    FindInMap {
        map: String,
        top: Box<Expression>,
        second: Box<Expression>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    Items(Vec<Expression>),
    Split {
        separator: String,
        source: Box<Expression>,
    },
}

/// Map, top-level key, second-level key, value.
pub(super) type Mappings = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    #[error("Fn::Select asks for item {index:?}, which is no number")]
    Index { index: String },
    #[error("Fn::Select asks for item {index} of a list of {len}")]
    OutOfList { index: usize, len: usize },
    #[error("Fn::FindInMap finds no {top:?}, {second:?} in {map}")]
    NotInMap {
        map: String,
        top: String,
        second: String,
    },
}

/// What expressions are evaluated with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The values of the template's parameters, in its order.
    pub parameters: &'a [&'a str],
    pub mappings: &'a Mappings,
}

impl Expression {
    /// # Errors
    ///
    /// When a function asks for what is not there.
    pub fn evaluate<'a>(&'a self, scope: Scope<'a>) -> Result<Cow<'a, str>, NoValue> {
        Ok(match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Ref(position) => Cow::Borrowed(scope.parameters[*position]),
            Self::Join { separator, list } => Cow::Owned(list.evaluate(scope)?.join(separator)),
            Self::Sub(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&part.evaluate(scope)?);
                }
                Cow::Owned(text)
            }
            Self::Select { index, list } => {
                let index = index.evaluate(scope)?;
                let index: usize = index.parse().map_err(|_| NoValue::Index {
                    index: index.into_owned(),
                })?;
                let mut items = list.evaluate(scope)?;
                if index >= items.len() {
                    return Err(NoValue::OutOfList {
                        index,
                        len: items.len(),
                    });
                }
                items.swap_remove(index)
            }
            Self::FindInMap { map, top, second } => {
                let (top, second) = (top.evaluate(scope)?, second.evaluate(scope)?);
                let found = scope
                    .mappings
                    .get(map)
                    .and_then(|map| map.get(&*top)?.get(&*second));
                match found {
                    Some(value) => Cow::Borrowed(value),
                    None => {
                        return Err(NoValue::NotInMap {
                            map: map.clone(),
                            top: top.into_owned(),
                            second: second.into_owned(),
                        });
                    }
                }
            }
        })
    }

    /// Calls back with every parameter that it refers to.
    pub fn references(&self, found: &mut dyn FnMut(usize)) {
        match self {
            Self::Text(_) => {}
            Self::Ref(position) => found(*position),
            Self::Join { list, .. } => list.references(found),
            Self::Sub(parts) => parts.iter().for_each(|part| part.references(found)),
            Self::Select { index, list } => {
                index.references(found);
                list.references(found);
            }
            Self::FindInMap { top, second, .. } => {
                top.references(found);
                second.references(found);
            }
        }
    }

    /// The value, if it is the same for every device.
    pub fn constant<'a>(&'a self, mappings: &'a Mappings) -> Option<Result<Cow<'a, str>, NoValue>> {
        let mut is_constant = true;
        self.references(&mut |_| is_constant = false);
        let scope = Scope {
            parameters: &[],
            mappings,
        };
        is_constant.then(|| self.evaluate(scope))
    }
}

impl List {
    fn evaluate<'a>(&'a self, scope: Scope<'a>) -> Result<Vec<Cow<'a, str>>, NoValue> {
        match self {
            Self::Items(items) => items.iter().map(|item| item.evaluate(scope)).collect(),
            Self::Split { separator, source } => Ok(match source.evaluate(scope)? {
                Cow::Borrowed(text) => text.split(separator.as_str()).map(Cow::Borrowed).collect(),
                Cow::Owned(text) => text
                    .split(separator.as_str())
                    .map(|part| Cow::Owned(part.to_owned()))
                    .collect(),
            }),
        }
    }

    fn references(&self, found: &mut dyn FnMut(usize)) {
        match self {
            Self::Items(items) => items.iter().for_each(|item| item.references(found)),
            Self::Split { source, .. } => source.references(found),
        }
    }
}

/// Reads expressions, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    /// Names of the parameters that are declared.
    pub parameters: &'a [String],
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
        let position = self.parameters.iter().position(|declared| declared == parameter);
        if position.is_none() {
            let alike = self
                .parameters
                .iter()
                .find(|declared| last_part(declared).eq_ignore_ascii_case(last_part(parameter)));
            let hint = match alike {
                Some(alike) => format!("did you mean {alike}?"),
                None => "declare it under Parameters".to_owned(),
            };
            let message = format!("parameter {parameter} is not declared");
            self.findings.push(Finding::error(at, message).with_hint(hint));
        }
        position.map(Expression::Ref)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(text: &str) -> Result<String, String> {
        let parameters = ["AWS::IoT::Certificate::CommonName".to_owned(), "Site".to_owned()];
        let inner = BTreeMap::from([("host".to_owned(), "eu.example".to_owned())]);
        let mappings = BTreeMap::from([("Sites".to_owned(), BTreeMap::from([("EU".to_owned(), inner)]))]);
        let mut reader = Reader {
            parameters: &parameters,
            mappings: &mappings,
            findings: Vec::new(),
        };
        let value = serde_json::from_str(text).unwrap();
        let expression = reader.expression(&value, &Path::root());
        let errors: Vec<String> = reader
            .findings
            .iter()
            .filter(|f| f.is_error())
            .map(ToString::to_string)
            .collect();
        let Some(expression) = expression else {
            assert!(!errors.is_empty(), "{text}");
            return Err(errors.join("\n"));
        };
        assert!(errors.is_empty(), "{errors:?}");
        let scope = Scope {
            parameters: &["A-1", "EU"],
            mappings: &mappings,
        };
        expression
            .evaluate(scope)
            .map(Cow::into_owned)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn evaluates_as_cloudformation_does() {
        for (text, expected) in [
            (r#""x""#, "x"),
            (r#"{"Ref": "Site"}"#, "EU"),
            (r#"{"Fn::Join": ["-", ["a", {"Ref": "Site"}, "b"]]}"#, "a-EU-b"),
            (r#"{"Fn::Join": ["", []]}"#, ""),
            (
                r#"{"Fn::Sub": "t/${AWS::IoT::Certificate::CommonName}/${!iot:ClientId}"}"#,
                "t/A-1/${iot:ClientId}",
            ),
            (r#"{"Fn::Sub": ["${x}${Site}", {"x": {"Ref": "Site"}}]}"#, "EUEU"),
            (r#"{"Fn::Select": ["1", ["a", "b"]]}"#, "b"),
            (
                r#"{"Fn::Select": [1, {"Fn::Split": ["-", {"Ref": "AWS::IoT::Certificate::CommonName"}]}]}"#,
                "1",
            ),
            (
                r#"{"Fn::FindInMap": ["Sites", {"Ref": "Site"}, "host"]}"#,
                "eu.example",
            ),
        ] {
            assert_eq!(evaluate(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_has_no_value() {
        for (text, message) in [
            (r#"{"Ref": "CommonName"}"#, "CommonName is not declared"),
            (r#"{"Ref": 1}"#, "$.Ref: Ref takes the name"),
            (r#"{"Ref": "Site", "x": 1}"#, "no function"),
            (r#"{"Fn::GetAtt": ["a", "b"]}"#, "there is no function Fn::GetAtt"),
            (r#"{"Fn::Split": ["-", "a"]}"#, "gives a list"),
            (r#"{"Fn::Join": ["-"]}"#, "takes [separator"),
            (r#"{"Fn::Sub": "${x"}"#, "not closed"),
            (r#"{"Fn::Select": ["2", ["a", "b"]]}"#, "item 2 of a list of 2"),
            (r#"{"Fn::Select": ["x", ["a"]]}"#, "no number"),
            (r#"{"Fn::FindInMap": ["Sites", "US", "host"]}"#, "finds no \"US\""),
            (r#"{"Fn::FindInMap": ["Maps", "US", "host"]}"#, "no map Maps"),
            ("7", "7 is no text"),
        ] {
            let error = evaluate(text).unwrap_err();
            assert!(error.contains(message), "{text} gives {error}");
        }
    }
}
