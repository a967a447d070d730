//! CloudFormation: templates and policies of devices that stand in a template of CloudFormation's, JSON.
//!
//! What CloudFormation fills in is known by its form alone: an account, a Region and the like stand for themselves.

use serde_json::{Map, Value, json};

use super::finding::Finding;
use super::json::Path;
use super::parameter::Parameter;
use super::stand_in::{Escape, interpolate, is_document, stand_in};

type Object = Map<String, Value>;

/// A provisioning template, in the form in which AWS prints one, with where it stands.
pub(super) type Kept = (Path, Object);

/// Whether a document is a template of CloudFormation, and not one for provisioning.
pub(super) fn is_one(document: &Object) -> bool {
    let kinds = ["AWS::IoT::ProvisioningTemplate", "AWS::IoT::CACertificate"];
    let resources = document.get("Resources").and_then(Value::as_object);
    let mut all = resources.into_iter().flat_map(Map::values);
    document.contains_key("AWSTemplateFormatVersion")
        || all.any(|resource| {
            kinds
                .iter()
                .any(|kind| resource.get("Type").is_some_and(|found| found == kind))
        })
}

/// The provisioning templates, in the form in which AWS prints one, each with where its properties stand; and what is wrong with
/// how they are written.
pub(super) fn templates(document: &Object) -> (Vec<Kept>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut kept = Vec::new();
    for (kind, properties, path) in resources(document, &mut findings) {
        let object = match kind.as_str() {
            "AWS::IoT::ProvisioningTemplate" => json!({
                "templateName": properties.get("TemplateName"),
                "templateBody": properties.get("TemplateBody"),
                "enabled": properties.get("Enabled"),
                "type": properties.get("TemplateType"),
                "provisioningRoleArn": properties.get("ProvisioningRoleArn"),
                "preProvisioningHook": properties.get("PreProvisioningHook"),
            }),
            "AWS::IoT::CACertificate" if properties.contains_key("RegistrationConfig") => {
                let config = &properties["RegistrationConfig"];
                json!({
                    "certificateDescription": {
                        "status": properties.get("Status"),
                        "autoRegistrationStatus": properties.get("AutoRegistrationStatus"),
                    },
                    "registrationConfig": {
                        "templateBody": config.get("TemplateBody"),
                        "templateName": config.get("TemplateName"),
                        "roleArn": config.get("RoleArn"),
                    },
                })
            }
            _ => continue,
        };
        let mut object = object;
        let config = object.get("registrationConfig").unwrap_or(&object);
        if config["templateBody"]
            .as_str()
            .is_some_and(|body| !is_document(body))
        {
            continue;
        }
        drop_nulls(&mut object);
        if let Value::Object(document) = object {
            kept.push((path, document));
        }
    }
    (kept, findings)
}

/// The documents of `AWS::IoT::Policy`, each with where it stands.
pub(super) fn policies(document: &Object) -> (Vec<(Path, String)>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut found = Vec::new();
    for (kind, properties, path) in resources(document, &mut findings) {
        if let ("AWS::IoT::Policy", Some(policy)) = (kind.as_str(), properties.get("PolicyDocument")) {
            let text = match policy {
                Value::String(text) => text.clone(),
                object => object.to_string(),
            };
            // What comes from elsewhere is not known here.
            if is_document(&text) {
                found.push((path.key("PolicyDocument"), text));
            }
        }
    }
    (found, findings)
}

/// Takes out what was not given.
pub(super) fn drop_nulls(value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(drop_nulls);
    }
}

/// The resources with their properties, all that is filled in filled in.
fn resources(document: &Object, findings: &mut Vec<Finding>) -> Vec<(String, Object, Path)> {
    let path = Path::root().key("Resources");
    let mut filler = Filler { document, findings };
    let all = document.get("Resources").and_then(Value::as_object);
    let read = all.into_iter().flatten().filter_map(|(name, resource)| {
        let kind = resource.get("Type")?.as_str()?;
        let path = path.key(name).key("Properties");
        match kind.starts_with("AWS::IoT::") {
            true => match filler.fill(resource.get("Properties")?, &path) {
                Value::Object(properties) => Some((kind.to_owned(), properties, path)),
                _ => None,
            },
            false => None,
        }
    });
    read.collect()
}

struct Filler<'a> {
    document: &'a Object,
    findings: &'a mut Vec<Finding>,
}

impl Filler<'_> {
    fn fill(&mut self, value: &Value, path: &Path) -> Value {
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Value::Array(items.map(|(i, item)| self.fill(item, &path.index(i))).collect())
            }
            Value::Object(object) => match (object.len(), object.iter().next()) {
                (1, Some((name, argument))) if name == "Ref" || name.starts_with("Fn::") => {
                    self.function(name, argument, path)
                }
                _ => {
                    let entries = object.iter();
                    Value::Object(
                        entries
                            .map(|(key, value)| (key.clone(), self.fill(value, &path.key(key))))
                            .collect(),
                    )
                }
            },
            plain => plain.clone(),
        }
    }

    fn function(&mut self, name: &str, argument: &Value, path: &Path) -> Value {
        let path = path.key(name);
        if let ("Ref", Value::String(parameter)) = (name, argument)
            && Parameter::parse(parameter).is_some_and(|_| Parameter::is_reserved(parameter))
        {
            self.findings.push(
                Finding::error(
                    &path,
                    format!("CloudFormation would resolve {parameter} itself, and knows no such name"),
                )
                .with_hint("give the provisioning template as a text: its Ref is AWS IoT's to resolve"),
            );
            return json!({"Ref": parameter});
        }
        let argument = self.fill(argument, &path);
        let text = match (name, &argument) {
            ("Ref", Value::String(name)) => self.named(name),
            ("Fn::Sub", Value::String(text)) => self.sub(text, None, &path),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => self.sub(text, Some(own), &path),
                _ => stand_in(name),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(separator), Value::Array(items)] => {
                    let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    items.join(separator)
                }
                _ => stand_in(name),
            },
            ("Fn::ToJsonString", value) => value.to_string(),
            ("Fn::GetAtt", Value::Array(parts)) => {
                stand_in(parts.last().and_then(Value::as_str).unwrap_or_default())
            }
            ("Fn::GetAtt", Value::String(text)) => stand_in(text),
            _ => stand_in(name),
        };
        Value::String(text)
    }

    /// The default of a parameter, or what stands for it.
    fn named(&self, name: &str) -> String {
        let parameter = self.document.get("Parameters").and_then(|all| all.get(name));
        match parameter.and_then(|parameter| parameter.get("Default")?.as_str()) {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => stand_in(name),
        }
    }

    fn sub(&mut self, text: &str, own: Option<&Object>, path: &Path) -> String {
        let mut wrong = Vec::new();
        let filled = interpolate(text, Escape::Exclaimed, &mut |name| {
            if let Some(value) = own.and_then(|own| own.get(name)) {
                return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            }
            if name.starts_with("iot:") || name.starts_with("aws:") {
                wrong.push(name.to_owned());
                return format!("${{{name}}}");
            }
            self.named(name)
        });
        for name in wrong {
            self.findings.push(
                Finding::error(
                    path,
                    format!("CloudFormation would fill in ${{{name}}}, and has no such parameter"),
                )
                .with_hint(format!(
                    "a policy variable within Fn::Sub is written ${{!{name}}}"
                )),
            );
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_cloudformation_would() {
        let document = json!({
            "Parameters": {"Site": {"Type": "String", "Default": "HH"}},
            "Resources": {
                "Kept": {"Type": "AWS::IoT::ProvisioningTemplate", "Properties": {
                    "TemplateBody": {"Fn::Sub": "{${Site}/${AWS::AccountId}/${!iot:ClientId}}"},
                    "ProvisioningRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "TemplateType": "JITP"}},
                "Policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {"Statement": [
                    {"Resource": {"Fn::Join": [":", ["arn", {"Ref": "AWS::Partition"}, "iot"]]}},
                    {"Resource": {"Fn::Sub": "${iot:ClientId}"}}]}}},
                "Bucket": {"Type": "AWS::S3::Bucket"},
            }
        });
        let document = document.as_object().unwrap();
        let (kept, findings) = templates(document);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].1["templateBody"], "{HH/123456789012/${iot:ClientId}}");
        assert_eq!(
            kept[0].1["provisioningRoleArn"],
            "arn:aws:iam::123456789012:role/x"
        );
        assert_eq!(findings.len(), 1, "{findings:?}");
        let (policies, _) = policies(document);
        assert_eq!(
            policies[0].1,
            r#"{"Statement":[{"Resource":"arn:aws:iot"},{"Resource":"${iot:ClientId}"}]}"#
        );
    }
}
