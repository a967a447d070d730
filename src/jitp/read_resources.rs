//! Reads the resources of a template, each property held to its rules.

use serde_json::{Map, Value};

use super::expression::{Expression, Reader};
use super::finding::Finding;
use super::json::Path;
use super::name::ValueKind;
use super::parameter::Parameter;
use super::policy;
use super::resources::{Certificate, Placed, Policy, Resources, Thing};

/// Most attributes of a thing that has no thing type, and of one that has.
const MAX_ATTRIBUTES: usize = 3;
const MAX_ATTRIBUTES_WITH_TYPE: usize = 50;

/// Most groups that a thing may be in.
const MAX_GROUPS: usize = 10;

pub(super) fn read_resources(document: &Map<String, Value>, reader: &mut Reader<'_>) -> Resources {
    let path = Path::root().key("Resources");
    let mut read = Resources::default();
    let resources = match document.get("Resources") {
        Some(Value::Object(resources)) => resources,
        Some(_) => {
            reader.error(&path, "Resources is no object");
            return read;
        }
        None => {
            reader.error(&path, "Resources is missing");
            return read;
        }
    };
    let (mut things, mut certificates) = (0, 0);
    for (name, resource) in resources {
        let path = path.key(name);
        let Value::Object(resource) = resource else {
            reader.error(&path, "a resource is an object with Type and Properties");
            continue;
        };
        for key in resource.keys() {
            if !["Type", "Properties", "OverrideSettings"].contains(&key.as_str()) {
                reader.error(
                    &path.key(key),
                    format!("a resource has Type, Properties and OverrideSettings, and no {key}"),
                );
            }
        }
        let none = Map::new();
        let properties = resource.get("Properties").and_then(Value::as_object);
        if properties.is_none() {
            reader.error(&path, "Properties is missing, or no object");
        }
        let properties = properties.unwrap_or(&none);
        let mut reader = ResourceReader {
            reader: &mut *reader,
            properties,
            path: path.key("Properties"),
        };
        match resource.get("Type").and_then(Value::as_str) {
            Some("AWS::IoT::Thing") => {
                things += 1;
                reader.check_names(&THING_PROPERTIES, &THING_PROPERTIES);
                reader.check_overrides(resource, &path, &THING_PROPERTIES);
                let thing = reader.thing();
                read.thing = read.thing.or(thing);
            }
            Some("AWS::IoT::Certificate") => {
                certificates += 1;
                reader.check_names(&CERTIFICATE_PROPERTIES, &["CertificateId", "Status"]);
                reader.check_overrides(resource, &path, &["Status"]);
                let certificate = reader.certificate();
                read.certificate = read.certificate.or(certificate);
            }
            Some("AWS::IoT::Policy") => {
                reader.check_names(&POLICY_PROPERTIES, &POLICY_PROPERTIES);
                reader.check_overrides(resource, &path, &[]);
                let policy = reader.policy();
                read.policies.extend(policy);
            }
            Some(other) => reader.reader.findings.push(
                Finding::error(&path.key("Type"), format!("there is no resource {other}"))
                    .with_hint("AWS::IoT::Thing, AWS::IoT::Certificate or AWS::IoT::Policy"),
            ),
            None => reader.reader.error(&path, "Type is missing, or no text"),
        }
    }
    if certificates == 0 {
        reader.error(
            &path,
            "there is no AWS::IoT::Certificate, which every template needs",
        );
    }
    for (what, count) in [
        ("AWS::IoT::Certificate", certificates),
        ("AWS::IoT::Thing", things),
    ] {
        if count > 1 {
            reader.error(
                &path,
                format!("there are {count} {what}; a template has one at most"),
            );
        }
    }
    if things == 0 {
        let message = "there is no AWS::IoT::Thing: devices would come up without a thing";
        reader.findings.push(Finding::warning(&path, message));
    }
    let has_policy = resources
        .values()
        .any(|resource| resource.get("Type").and_then(Value::as_str) == Some("AWS::IoT::Policy"));
    if !has_policy {
        let message = "there is no AWS::IoT::Policy: devices would be allowed nothing, not even to connect";
        reader.findings.push(Finding::warning(&path, message));
    }
    read
}

const THING_PROPERTIES: [&str; 6] = [
    "ThingName",
    "AttributePayload",
    "ThingTypeName",
    "ThingGroups",
    "BillingGroup",
    "PackageVersions",
];

const POLICY_PROPERTIES: [&str; 2] = ["PolicyName", "PolicyDocument"];

const CERTIFICATE_PROPERTIES: [&str; 6] = [
    "CertificateId",
    "Status",
    "ThingPrincipalType",
    "CertificatePem",
    "CACertificatePem",
    "CertificateSigningRequest",
];

/// Reads the properties of one resource.
struct ResourceReader<'a, 'b> {
    reader: &'a mut Reader<'b>,
    properties: &'a Map<String, Value>,
    path: Path,
}

impl ResourceReader<'_, '_> {
    /// `offered` are those that a hint names.
    fn check_names(&mut self, known: &[&str], offered: &[&str]) {
        for key in self.properties.keys() {
            if !known.contains(&key.as_str()) {
                self.reader.findings.push(
                    Finding::error(
                        &self.path.key(key),
                        format!("this resource has no property {key}"),
                    )
                    .with_hint(offered.join(", ")),
                );
            }
        }
    }

    fn check_overrides(&mut self, resource: &Map<String, Value>, path: &Path, known: &[&str]) {
        let Some(settings) = resource.get("OverrideSettings") else {
            return;
        };
        let path = path.key("OverrideSettings");
        let Value::Object(settings) = settings else {
            return self.reader.error(&path, "OverrideSettings is no object");
        };
        for (property, setting) in settings {
            let at = path.key(property);
            if !known.contains(&property.as_str()) {
                self.reader
                    .error(&at, format!("{property} cannot be overridden here"));
                continue;
            }
            let may_merge = ["AttributePayload", "ThingGroups"].contains(&property.as_str());
            match setting.as_str() {
                Some("DO_NOTHING" | "REPLACE" | "FAIL") => {}
                Some("MERGE") if may_merge => {}
                Some("MERGE") => self
                    .reader
                    .error(&at, "MERGE is for AttributePayload and ThingGroups only"),
                _ => self.reader.findings.push(
                    Finding::error(&at, format!("{setting} is no setting")).with_hint(match may_merge {
                        true => "DO_NOTHING, REPLACE, FAIL or MERGE",
                        false => "DO_NOTHING, REPLACE or FAIL",
                    }),
                ),
            }
        }
    }

    /// A value of a kind; one that is the same for every device is held to the rule at once.
    fn placed(&mut self, value: &Value, path: Path, kind: ValueKind) -> Option<Placed> {
        let expression = self.reader.expression(value, &path)?;
        if let Some(constant) = expression.constant(self.reader.mappings) {
            let refusal = match constant {
                Ok(text) => kind.refusal(&text),
                Err(error) => Some(error.to_string()),
            };
            if let Some(refusal) = refusal {
                self.reader.findings.push(Finding::error(&path, refusal));
                return None;
            }
        }
        Some(Placed {
            kind,
            expression,
            path,
        })
    }

    fn property(&mut self, name: &str, kind: ValueKind) -> Option<Placed> {
        let value = self.properties.get(name)?;
        self.placed(value, self.path.key(name), kind)
    }

    fn thing(&mut self) -> Option<Thing> {
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

    fn certificate(&mut self) -> Option<Certificate> {
        for other in ["CertificatePem", "CACertificatePem", "CertificateSigningRequest"] {
            if self.properties.contains_key(other) {
                self.reader.error(
                    &self.path.key(other),
                    format!("{other} is for bulk registration; JITP has the certificate already"),
                );
            }
        }
        if self.properties.contains_key("ThingPrincipalType") {
            let path = self.path.key("ThingPrincipalType");
            let message =
                "ThingPrincipalType is documented for fleet templates only; certforge does not look at it";
            self.reader.findings.push(Finding::warning(&path, message));
        }
        let path = self.path.key("CertificateId");
        let id = match self.properties.get("CertificateId") {
            None => {
                self.reader.findings.push(
                    Finding::error(&self.path, "CertificateId is missing")
                        .with_hint("\"CertificateId\": {\"Ref\": \"AWS::IoT::Certificate::Id\"}"),
                );
                None
            }
            Some(value) => self.reader.expression(value, &path),
        };
        if let Some(id) = &id {
            let is_id = match id {
                Expression::Ref(position) => self.reader.parameters[*position] == Parameter::Id.name(),
                _ => false,
            };
            if !is_id {
                self.reader.findings.push(
                    Finding::error(&path, "CertificateId is not that of the device's own certificate")
                        .with_hint("{\"Ref\": \"AWS::IoT::Certificate::Id\"}"),
                );
            }
        }
        let status = self.property("Status", ValueKind::CertificateStatus);
        match self.properties.get("Status") {
            None => self
                .reader
                .findings
                .push(Finding::error(&self.path, "Status is missing").with_hint("\"Status\": \"ACTIVE\"")),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("INACTIVE") => {
                let message =
                    "INACTIVE: devices would be registered, and refused until somebody activates them";
                self.reader
                    .findings
                    .push(Finding::warning(&self.path.key("Status"), message));
            }
            Some(_) => {}
        }
        Some(Certificate {
            id: id?,
            path,
            status: status?,
        })
    }

    fn policy(&mut self) -> Option<Policy> {
        match (
            self.properties.get("PolicyName"),
            self.properties.get("PolicyDocument"),
        ) {
            (Some(_), Some(_)) => {
                let message = "PolicyName and PolicyDocument stand together; a policy has one of them";
                self.reader.error(&self.path, message);
                None
            }
            (None, None) => {
                self.reader
                    .error(&self.path, "PolicyName or PolicyDocument is missing");
                None
            }
            (Some(_), None) => self
                .property("PolicyName", ValueKind::PolicyName)
                .map(Policy::Named),
            (None, Some(document)) => self.policy_document(document),
        }
    }

    fn policy_document(&mut self, document: &Value) -> Option<Policy> {
        let path = self.path.key("PolicyDocument");
        if document
            .as_object()
            .is_some_and(|object| object.contains_key("Statement"))
        {
            self.reader.findings.push(
                Finding::error(
                    &path,
                    "PolicyDocument is an object; it must be the policy as a text",
                )
                .with_hint("a policy in a text: \"{\\\"Version\\\": \\\"2012-10-17\\\", …}\""),
            );
            return None;
        }
        let expression = self.reader.expression(document, &path)?;
        match expression.constant(self.reader.mappings) {
            None => {}
            Some(Err(error)) => self.reader.error(&path, error.to_string()),
            Some(Ok(text)) => {
                let found = policy::check(&text);
                let errors = found.errors.into_iter().map(|text| Finding::error(&path, text));
                self.reader.findings.extend(errors);
                let warnings = found
                    .warnings
                    .into_iter()
                    .map(|text| Finding::warning(&path, text));
                self.reader.findings.extend(warnings);
            }
        }
        Some(Policy::Document { expression, path })
    }
}
