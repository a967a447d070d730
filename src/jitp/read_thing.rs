//! Reads the thing of a template.

use serde_json::Value;

use super::finding::Finding;
use super::name::ValueKind;
use super::read_resources::ResourceReader;
use super::resources::{Placed, Thing};

/// Most attributes of a thing that has no thing type, and of one that has.
const MAX_ATTRIBUTES: usize = 3;
const MAX_ATTRIBUTES_WITH_TYPE: usize = 50;

/// Most groups that a thing may be in.
const MAX_GROUPS: usize = 10;

impl ResourceReader<'_, '_> {
    pub fn thing(&mut self) -> Option<Thing> {
        if !self.properties.contains_key("ThingName") {
            self.reader.error(&self.path, "ThingName is missing");
        }
        let name = self.property("ThingName", ValueKind::ThingName);
        let is_constant = |name: &Placed| name.expression.constant(self.reader.mappings).is_some();
        if name.as_ref().is_some_and(is_constant) {
            self.reader.findings.push(
                Finding::warning(
                    &self.path.key("ThingName"),
                    "ThingName is the same for every device: all of them would be one thing",
                )
                .with_hint("{\"Ref\": \"AWS::IoT::Certificate::CommonName\"}"),
            );
        }
        let attributes = self.attributes();
        let type_name = self.property("ThingTypeName", ValueKind::ThingType);
        let billing_group = self.property("BillingGroup", ValueKind::BillingGroup);
        let groups = self.groups();
        if self.properties.contains_key("PackageVersions") {
            let path = self.path.key("PackageVersions");
            let message = "PackageVersions is not looked at by certforge";
            self.reader.findings.push(Finding::warning(&path, message));
        }
        Some(Thing {
            name: name?,
            attributes,
            type_name,
            groups,
            billing_group,
        })
    }

    fn attributes(&mut self) -> Vec<(String, Placed)> {
        let path = self.path.key("AttributePayload");
        let attributes = match self.properties.get("AttributePayload") {
            None => return Vec::new(),
            Some(Value::Object(attributes)) => attributes,
            Some(_) => {
                self.reader
                    .error(&path, "AttributePayload is no object of names and values");
                return Vec::new();
            }
        };
        let has_type = self.properties.contains_key("ThingTypeName");
        let most = if has_type {
            MAX_ATTRIBUTES_WITH_TYPE
        } else {
            MAX_ATTRIBUTES
        };
        if attributes.len() > most {
            let message = format!(
                "the thing has {} attributes, AWS IoT allows {most}",
                attributes.len()
            );
            let finding = Finding::error(&path, message);
            self.reader.findings.push(match has_type {
                true => finding,
                false => finding.with_hint(format!(
                    "a thing with a ThingTypeName may have {MAX_ATTRIBUTES_WITH_TYPE}"
                )),
            });
        }
        let mut read = Vec::new();
        for (name, value) in attributes {
            let at = path.key(name);
            if let Some(refusal) = ValueKind::AttributeName.refusal(name) {
                self.reader.error(&at, refusal);
            }
            if let Some(placed) = self.placed(value, at, ValueKind::AttributeValue) {
                read.push((name.clone(), placed));
            }
        }
        read
    }

    fn groups(&mut self) -> Vec<Placed> {
        let path = self.path.key("ThingGroups");
        let groups = match self.properties.get("ThingGroups") {
            None => return Vec::new(),
            Some(Value::Array(groups)) => groups,
            Some(_) => {
                self.reader.error(&path, "ThingGroups is no list");
                return Vec::new();
            }
        };
        if groups.len() > MAX_GROUPS {
            let message = format!(
                "the thing is in {} groups, AWS IoT allows {MAX_GROUPS}",
                groups.len()
            );
            self.reader.error(&path, message);
        }
        let read = groups.iter().enumerate();
        read.filter_map(|(i, group)| self.placed(group, path.index(i), ValueKind::ThingGroup))
            .collect()
    }
}
