//! What a template declares, beside its resources: parameters and maps.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::expression::Mappings;
use super::finding::Finding;
use super::json::Path;
use super::parameter::Parameter;

/// A parameter that is declared.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub name: String,
    /// What fills it; `None`: nothing but its default.
    pub parameter: Option<Parameter>,
    pub default: Option<String>,
}

impl Declared {
    /// One that is used and not declared.
    pub fn undeclared(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parameter: Parameter::parse(name),
            default: None,
        }
    }
}

pub(super) fn check_top_level(document: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let root = Path::root();
    for key in document.keys() {
        let path = root.key(key);
        match key.as_str() {
            "Parameters" | "Resources" => {}
            "Mappings" => findings.push(
                Finding::warning(&path, "Mappings are documented for fleet templates only, not for JITP")
                    .with_hint("try the template on AWS with one device first"),
            ),
            "DeviceConfiguration" => findings.push(Finding::warning(
                &path,
                "DeviceConfiguration is for fleet provisioning; a device that is provisioned just in time never sees it",
            )),
            _ => findings.push(
                Finding::error(&path, format!("a template has no {key}"))
                    .with_hint("it has Parameters and Resources"),
            ),
        }
    }
}

pub(super) fn read_parameters(document: &Map<String, Value>, findings: &mut Vec<Finding>) -> Vec<Declared> {
    let path = Path::root().key("Parameters");
    let declared = match document.get("Parameters") {
        Some(Value::Object(declared)) => declared,
        Some(_) => {
            findings.push(Finding::error(&path, "Parameters is no object"));
            return Vec::new();
        }
        None => {
            findings.push(
                Finding::warning(
                    &path,
                    "Parameters is missing, which AWS's documents show in every template",
                )
                .with_hint("declare at least AWS::IoT::Certificate::Id"),
            );
            return Vec::new();
        }
    };
    declared
        .iter()
        .map(|(name, value)| read_parameter(name, value, &path.key(name), findings))
        .collect()
}

fn read_parameter(name: &str, value: &Value, path: &Path, findings: &mut Vec<Finding>) -> Declared {
    let parameter = Parameter::parse(name).filter(|_| Parameter::is_reserved(name));
    let mut default = None;
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let at = path.key(key);
                match (key.as_str(), field) {
                    ("Type", Value::String(text)) if text == "String" => {}
                    ("Type", _) => findings.push(Finding::error(&at, "Type must be \"String\"")),
                    ("Default", Value::String(text)) => default = Some(text.clone()),
                    ("Default", _) => findings.push(Finding::error(&at, "Default must be a text")),
                    _ => findings.push(Finding::error(
                        &at,
                        format!("a parameter has Type and Default, and no {key}"),
                    )),
                }
            }
            if !fields.contains_key("Type") {
                findings.push(
                    Finding::error(path, "the parameter has no Type").with_hint("\"Type\": \"String\""),
                );
            }
        }
        _ => findings
            .push(Finding::error(path, "the parameter is no object").with_hint("{\"Type\": \"String\"}")),
    }
    if parameter.is_none() && Parameter::is_reserved(name) {
        let short = name.rsplit("::").next().unwrap_or(name);
        let alike = Parameter::nearest(short);
        let names: Vec<_> = Parameter::ALL.iter().map(|known| known.short_name()).collect();
        findings.push(
            Finding::error(path, format!("JITP gives no {name}")).with_hint(match alike {
                Some(known) => format!("did you mean {}?", known.name()),
                None => format!("AWS::IoT::Certificate:: goes with {}", names.join(", ")),
            }),
        );
    } else if parameter.is_none() && default.is_none() {
        findings.push(
            Finding::error(
                path,
                "nothing gives this parameter a value: JITP fills AWS::IoT::Certificate::… only",
            )
            .with_hint("write the value where it is used, or take one of AWS::IoT::Certificate::…"),
        );
    }
    if default.is_some() {
        findings.push(warning_of_default(parameter, &path.key("Default")));
    }
    Declared {
        name: name.to_owned(),
        parameter,
        default,
    }
}

pub(super) fn check_use(declared: &Declared, is_used: bool, path: &Path, findings: &mut Vec<Finding>) {
    if declared.parameter == Some(Parameter::SerialNumber) {
        let message = "AWS's documents disagree on SerialNumber: the subject's serialNumber, without which no device would be provisioned, or the certificate's own serial";
        let hint = match is_used {
            true => {
                "use AWS::IoT::Certificate::CommonName; `certforge rehearse --serial-number` tries each reading"
            }
            false => "no resource uses it: leave it out",
        };
        findings.push(Finding::warning(path, message).with_hint(hint));
    } else if !is_used {
        let message = match (declared.parameter, &declared.default) {
            (Some(_), None) => {
                "no resource uses this parameter, and certificates that lack it would not be provisioned"
            }
            _ => "no resource uses this parameter",
        };
        findings.push(Finding::warning(path, message));
    }
}

pub(super) fn read_mappings(document: &Map<String, Value>, findings: &mut Vec<Finding>) -> Mappings {
    let path = Path::root().key("Mappings");
    let mut mappings = Mappings::new();
    let maps = match document.get("Mappings") {
        None => return mappings,
        Some(Value::Object(maps)) => maps,
        Some(_) => {
            findings.push(Finding::error(&path, "Mappings is no object"));
            return mappings;
        }
    };
    for (map, tops) in maps {
        let path = path.key(map);
        let mut read = BTreeMap::new();
        for (top, seconds) in object_or(tops, &path, findings) {
            let path = path.key(top);
            let mut values = BTreeMap::new();
            for (second, value) in object_or(seconds, &path, findings) {
                match value {
                    Value::String(text) => {
                        values.insert(second.clone(), text.clone());
                    }
                    _ => findings.push(Finding::error(&path.key(second), "a map holds texts here")),
                }
            }
            read.insert(top.clone(), values);
        }
        mappings.insert(map.clone(), read);
    }
    mappings
}

fn warning_of_default(parameter: Option<Parameter>, path: &Path) -> Finding {
    match parameter {
        Some(parameter) => Finding::warning(
            path,
            "AWS documents Default for values that are passed in; of first connections, that they fail when the certificate lacks what is under Parameters",
        )
        .with_hint(match parameter.attribute() {
            Some(attribute) => format!(
                "do not rely on it: give the profile a subject with {attribute}=…, or write the value where it is used"
            ),
            None => "every certificate has an id: leave Default out".to_owned(),
        }),
        None => Finding::warning(
            path,
            "AWS documents for first connections that a template can use values of the certificate alone, not that a parameter of its own takes its Default",
        )
        .with_hint("do not rely on it: write the value where it is used"),
    }
}

/// The entries of an object; none of anything else, which is then among the findings.
fn object_or<'a>(
    value: &'a Value,
    path: &Path,
    findings: &mut Vec<Finding>,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    if !value.is_object() {
        findings.push(Finding::error(path, "an object is needed here"));
    }
    value.as_object().into_iter().flatten()
}
