//! Drafts: a new template of the usual form.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::name::ValueKind;
use super::parameter::Parameter;

/// What a new template shall make of a device.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What the thing is named after.
    pub thing_name: Parameter,
    /// Attributes of the thing, each with what it is filled from.
    pub attributes: Vec<(String, Parameter)>,
    pub thing_type: Option<String>,
    pub groups: Vec<String>,
    /// A policy that exists; `None`: one of its own, which allows a device its own topics.
    pub policy_name: Option<String>,
    /// `aws`, or `aws-cn`.
    pub partition: &'static str,
}

impl Draft {
    /// The template, JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut used = vec![self.thing_name];
        used.extend(self.attributes.iter().map(|(_, parameter)| *parameter));
        used.push(Parameter::Id);
        let parameters: Map<String, Value> = Parameter::ALL
            .into_iter()
            .filter(|parameter| used.contains(parameter))
            .map(|parameter| (parameter.name(), json!({ "Type": "String" })))
            .collect();
        let reference = |parameter: Parameter| json!({ "Ref": parameter.name() });
        let mut thing = Map::new();
        thing.insert("ThingName".to_owned(), reference(self.thing_name));
        if !self.attributes.is_empty() {
            let attributes: Map<String, Value> = self
                .attributes
                .iter()
                .map(|(name, parameter)| (name.clone(), reference(*parameter)))
                .collect();
            thing.insert("AttributePayload".to_owned(), Value::Object(attributes));
        }
        if let Some(thing_type) = &self.thing_type {
            thing.insert("ThingTypeName".to_owned(), thing_type.as_str().into());
        }
        if !self.groups.is_empty() {
            thing.insert("ThingGroups".to_owned(), json!(self.groups));
        }
        let policy = match &self.policy_name {
            Some(name) => json!({ "PolicyName": name }),
            None => json!({ "PolicyDocument": self.policy().to_string() }),
        };
        let template = json!({
            "Parameters": parameters,
            "Resources": {
                "thing": { "Type": "AWS::IoT::Thing", "Properties": thing },
                "certificate": {
                    "Type": "AWS::IoT::Certificate",
                    "Properties": { "CertificateId": reference(Parameter::Id), "Status": "ACTIVE" }
                },
                "policy": { "Type": "AWS::IoT::Policy", "Properties": policy }
            }
        });
        serde_json::to_string_pretty(&template).expect("documents have only text keys") + "\n"
    }

    /// A device may connect under the name of its thing, and use topics that begin with it.
    fn policy(&self) -> Value {
        const THING: &str = "${iot:Connection.Thing.ThingName}";
        let arn = |kind: &str, rest: &str| format!("arn:{}:iot:*:*:{kind}/{THING}{rest}", self.partition);
        json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client", "") },
                {
                    "Effect": "Allow",
                    "Action": ["iot:Publish", "iot:Receive"],
                    "Resource": arn("topic", "/*")
                },
                { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": arn("topicfilter", "/*") }
            ]
        })
    }

    /// Why a name among those that the user gave cannot be one.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        if let Some((twice, _)) = self.attributes.iter().find(|(name, _)| !seen.insert(name)) {
            return Some(format!("attribute {twice} is given twice"));
        }
        let names = self
            .attributes
            .iter()
            .map(|(name, _)| (ValueKind::AttributeName, name));
        let types = self.thing_type.iter().map(|name| (ValueKind::ThingType, name));
        let groups = self.groups.iter().map(|name| (ValueKind::ThingGroup, name));
        let policies = self.policy_name.iter().map(|name| (ValueKind::PolicyName, name));
        let mut all = names.chain(types).chain(groups).chain(policies);
        all.find_map(|(kind, name)| kind.refusal(name))
    }
}
