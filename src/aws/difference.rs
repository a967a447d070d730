//! Differences: what is there held against what shall be there, place by place.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::inventory::RegistrationConfig;

/// Something that is otherwise than it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub what: String,
    pub is: String,
    pub wanted: String,
}

pub(super) fn difference(what: &str, is: &str, wanted: &str) -> Difference {
    Difference {
        what: what.to_owned(),
        is: is.to_owned(),
        wanted: wanted.to_owned(),
    }
}

/// Where two registrations of a CA differ.
pub(super) fn compare_configs(found: &RegistrationConfig, wanted: &RegistrationConfig) -> Vec<Difference> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let presence = |value: &Option<String>| match value {
        Some(body) => format!("one of {} characters", body.chars().count()),
        None => "none".to_owned(),
    };
    let mut differences = Vec::new();
    match (&found.template_body, &wanted.template_body) {
        (Some(found), Some(wanted)) => differences.extend(compare_templates(found, wanted)),
        (None, None) => {}
        (found, wanted) => differences.push(difference(
            "template in the CA's registration",
            &presence(found),
            &presence(wanted),
        )),
    }
    for (what, found, wanted) in [
        ("template name", &found.template_name, &wanted.template_name),
        ("role", &found.role_arn, &wanted.role_arn),
    ] {
        if found != wanted {
            differences.push(difference(what, &text(found), &text(wanted)));
        }
    }
    differences
}

/// Where two templates differ, place by place.
pub(super) fn compare_templates(found: &str, wanted: &str) -> Vec<Difference> {
    let parse = |text| serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let mut differences = Vec::new();
    compare_json(
        "template $",
        Some(&parse(found)),
        Some(&parse(wanted)),
        &mut differences,
    );
    differences
}

fn compare_json(
    path: &str,
    found: Option<&Value>,
    wanted: Option<&Value>,
    differences: &mut Vec<Difference>,
) {
    if found == wanted {
        return;
    }
    if let (Some(Value::Object(found)), Some(Value::Object(wanted))) = (found, wanted) {
        let keys: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
        for key in keys {
            let path = format!("{path}.{key}");
            compare_json(&path, found.get(key), wanted.get(key), differences);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), Value::to_string);
    differences.push(difference(path, &text(found), &text(wanted)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_compared_place_by_place() {
        let differences = compare_templates(
            r#"{"a": {"b": "x", "c": 1}, "d": [1]}"#,
            r#"{"d": [1], "a": {"c": 1, "e": {}}}"#,
        );
        let [b, e] = differences.as_slice() else {
            panic!("{differences:?}");
        };
        assert_eq!(
            (b.what.as_str(), b.is.as_str(), b.wanted.as_str()),
            ("template $.a.b", "\"x\"", "none")
        );
        assert_eq!(
            (e.what.as_str(), e.is.as_str(), e.wanted.as_str()),
            ("template $.a.e", "none", "{}")
        );
    }
}
