//! Assumptions: what a rehearsal is told where AWS's documents disagree, or only the account knows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `AWS::IoT::Certificate::SerialNumber` is. AWS's documents disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialNumber {
    /// The subject's serialNumber, or else the certificate serial, which each certificate has.
    #[default]
    Either,
    /// The subject's serialNumber.
    Subject,
    /// The certificate serial, in decimal.
    Certificate,
}

/// What is assumed of an account and of AWS IoT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumptions {
    pub serial_number: SerialNumber,
    /// Names of the thing types, thing groups and billing groups that exist; `None`: all do.
    pub existing: Option<BTreeSet<String>>,
}

impl Assumptions {
    /// Names from a list: one on each line, or what `aws iot list-thing-groups`, `list-thing-types` and `list-billing-groups`
    /// print.
    ///
    /// # Errors
    ///
    /// When a document is none of these.
    pub fn names_in(text: &str) -> Result<BTreeSet<String>, NoList> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.starts_with(['{', '[']) {
            let lines = text.lines().map(str::trim);
            return Ok(lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect());
        }
        let document: Value = serde_json::from_str(text).map_err(|error| NoList(error.to_string()))?;
        let mut names = BTreeSet::new();
        collect(&document, &mut names);
        match names.is_empty() && text.contains(|c: char| c.is_alphanumeric()) && !is_empty_list(&document) {
            true => Err(NoList("no thing type or group is in it".to_owned())),
            false => Ok(names),
        }
    }
}

/// What AWS prints when there is none.
fn is_empty_list(document: &Value) -> bool {
    ["thingGroups", "thingTypes", "billingGroups"]
        .iter()
        .any(|key| document.get(key).is_some_and(Value::is_array))
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| match item {
            Value::String(name) => {
                names.insert(name.clone());
            }
            item => collect(item, names),
        }),
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    (
                        "groupName" | "thingTypeName" | "thingGroupName" | "billingGroupName",
                        Value::String(name),
                    ) => {
                        names.insert(name.clone());
                    }
                    (_, Value::Array(_)) => collect(value, names),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A document that is no list of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no list of names: {0}")]
pub struct NoList(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_as_people_and_aws_list_them() {
        for (text, expected) in [
            ("DE\r\n\n# of the line\n  FR \n", Ok(&["DE", "FR"][..])),
            ("\u{feff}DE", Ok(&["DE"])),
            ("", Ok(&[])),
            (
                r#"{"thingGroups": [{"groupName": "DE", "groupArn": "arn:x"}, {"groupName": "FR"}]}"#,
                Ok(&["DE", "FR"]),
            ),
            (
                r#"{"thingTypes": [{"thingTypeName": "lamp", "thingTypeProperties": {"searchableAttributes": ["x"]}}]}"#,
                Ok(&["lamp"]),
            ),
            (r#"{"billingGroups": []}"#, Ok(&[])),
            (r#"["a", "b"]"#, Ok(&["a", "b"])),
            (r#"{"things": 1}"#, Err("no thing type or group")),
            ("{", Err("no list of names")),
        ] {
            match (Assumptions::names_in(text), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(Vec::from_iter(&names), expected, "{text}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
