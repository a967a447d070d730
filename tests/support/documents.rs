//! What `docs/json.md` says of the documents that `--json` prints, and whether one is so.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test crate uses a part of it, and one may use it all"
)]

use std::process::Command;

use serde_json::{Map, Value};

use crate::support::Workplace;

const PAGE: &str = include_str!("../../docs/json.md");

/// A field, as the page's tables have it.
struct Field {
    path: String,
    /// Such as `text or null`.
    types: String,
}

/// A section of the page: an example, and a line for each field.
pub struct Documented {
    title: &'static str,
    example: Value,
    fields: Vec<Field>,
}

/// Every section that describes a document.
pub fn all() -> Vec<Documented> {
    let sections = PAGE.split("\n## ").skip(1);
    sections.map(Documented::parse).collect()
}

/// The section with this title.
pub fn of(title: &str) -> Documented {
    let found = all().into_iter().find(|section| section.title == title);
    found.unwrap_or_else(|| panic!("docs/json.md has no section {title}"))
}

/// Runs a command, whatever its exit code, and holds each document that it prints against a section of the page.
pub fn hold(place: &Workplace, title: &str, arguments: &[&str]) -> Vec<Value> {
    hold_command(title, &mut place.command(arguments))
}

/// The same, of a command that wants nothing more than `--json`.
pub fn hold_command(title: &str, command: &mut Command) -> Vec<Value> {
    let output = command.arg("--json").output().expect("the binary runs");
    let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let documents: Vec<Value> = documents.map(|document| document.expect("it is JSON")).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!documents.is_empty(), "{command:?} prints no document\n{said}");
    let documented = of(title);
    documented.hold_example();
    for document in &documents {
        documented.hold(document);
    }
    documents
}

impl Documented {
    fn parse(section: &'static str) -> Self {
        let (title, rest) = section.split_once('\n').expect("a title");
        let (_, rest) = rest.split_once("```json\n").expect("an example");
        let (example, rest) = rest.split_once("```").expect("its end");
        let lines = rest.lines().filter(|line| line.starts_with("| `"));
        let fields = lines.map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            Field {
                path: cells[1].trim_matches('`').to_owned(),
                types: cells[2].to_owned(),
            }
        });
        Self {
            title,
            example: serde_json::from_str(example).unwrap_or_else(|error| panic!("{title}: {error}")),
            fields: fields.collect(),
        }
    }

    /// Holds the example against the table: each field that the table has is in the example.
    pub fn hold_example(&self) {
        self.hold(&self.example);
        for field in &self.fields {
            assert!(
                has(&self.example, &field.path),
                "{}: the example has no {}",
                self.title,
                field.path
            );
        }
    }

    /// Holds a document against the table: all fields, no others, in this order and of these types.
    pub fn hold(&self, document: &Value) {
        self.walk(document, "");
    }

    fn walk(&self, value: &Value, path: &str) {
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.walk(item, &format!("{path}[]"))),
            Value::Object(object) => self.hold_object(object, path),
            _ => {}
        }
    }

    fn hold_object(&self, object: &Map<String, Value>, path: &str) {
        let below = |field: &&Field| parent(&field.path) == path;
        let fields: Vec<&Field> = self.fields.iter().filter(below).collect();
        // What an error is, is said once for all documents.
        if fields.is_empty() && path == "error" {
            return of("A command that fails").hold_object(object, path);
        }
        // Names that are the user's.
        if let [any] = fields[..]
            && name(&any.path) == "*"
        {
            return object.values().for_each(|value| self.hold_value(value, any));
        }
        let is_there =
            |field: &&&Field| object.contains_key(name(&field.path)) || !field.types.contains("absent");
        let expected: Vec<&str> = fields
            .iter()
            .filter(is_there)
            .map(|field| name(&field.path))
            .collect();
        let found: Vec<&String> = object.keys().collect();
        assert_eq!(found, expected, "{}: fields of {path:?}", self.title);
        for field in fields {
            if let Some(value) = object.get(name(&field.path)) {
                self.hold_value(value, field);
            }
        }
    }

    fn hold_value(&self, value: &Value, field: &Field) {
        let is = kind(value);
        assert!(
            field.types.split(" or ").any(|kind| kind == is),
            "{}: {} is {is}, not {}",
            self.title,
            field.path,
            field.types
        );
        self.walk(value, &field.path);
    }
}

/// Whether a document has a field; one of a list's items, in an item at least.
fn has(document: &Value, path: &str) -> bool {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let has_rest = |value: &Value| rest.is_none_or(|rest| has(value, rest));
    let field = first.trim_end_matches("[]");
    let found = match field {
        "" => Some(document),
        "*" => return document.as_object().is_some_and(|all| all.values().any(has_rest)),
        _ => document.get(field),
    };
    found.is_some_and(|found| match found {
        Value::Array(items) if field != first => items.iter().any(has_rest),
        _ => has_rest(found),
    })
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn name(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
