//! Reads the resources of a template, each property held to its rules.

use serde_json::{Map, Value};

use super::authorize;
use super::expression::Expression;
use super::finding::Finding;
use super::json::Path;
use super::name::ValueKind;
use super::parameter::Parameter;
use super::placeholder::placeholder;
use super::read_expression::Reader;
use super::resources::{Certificate, Placed, Policy, Resources};
use super::rights::Rights;

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
    let mut rights = Rights::default();
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
            rights: &mut rights,
        };
        match resource.get("Type").and_then(Value::as_str) {
            Some("AWS::IoT::Thing") => {
                things += 1;
                reader.check_names(&THING_PROPERTIES, &THING_PROPERTIES);
                reader.check_overrides(resource, &path, &THING_OVERRIDES);
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
    rights.check(&read, &path, reader);
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

/// Properties of a thing that OverrideSettings may speak of, and how AWS's documents spelt them once.
const THING_OVERRIDES: [&str; 3] = ["AttributePayload", "ThingTypeName", "ThingGroups"];
const OLD_OVERRIDES: [&str; 3] = ["ATTRIBUTE_PAYLOAD", "THING_TYPE_NAME", "THING_GROUPS"];

const POLICY_PROPERTIES: [&str; 2] = ["PolicyName", "PolicyDocument"];

const CERTIFICATE_PROPERTIES: [&str; 7] = [
    "CertificateId",
    // As AWS's documents list it; in their examples it is CertificateId.
    "CertificateID",
    "Status",
    "ThingPrincipalType",
    "CertificatePem",
    "CACertificatePem",
    "CertificateSigningRequest",
];

/// Reads the properties of one resource.
pub(super) struct ResourceReader<'a, 'b> {
    pub reader: &'a mut Reader<'b>,
    pub properties: &'a Map<String, Value>,
    pub path: Path,
    rights: &'a mut Rights,
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
        for (written, setting) in settings {
            let at = path.key(written);
            let old = OLD_OVERRIDES.iter().position(|old| old == written);
            let property = old.map_or(written.as_str(), |i| THING_OVERRIDES[i]);
            if !known.contains(&property) {
                let finding = Finding::error(&at, format!("{written} cannot be overridden here"));
                self.reader.findings.push(match known {
                    [] => finding,
                    known => finding.with_hint(known.join(", ")),
                });
                continue;
            }
            if old.is_some() {
                let message = format!("AWS's documents list {written}, and their examples have {property}");
                let hint = format!("write {property}");
                self.reader
                    .findings
                    .push(Finding::warning(&at, message).with_hint(hint));
            }
            let may_merge = ["AttributePayload", "ThingGroups"].contains(&property);
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
    pub fn placed(&mut self, value: &Value, path: Path, kind: ValueKind) -> Option<Placed> {
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
        if let Expression::Text(text) = &expression
            && let Some(left) = placeholder(text)
        {
            let message = format!("{left} looks like a placeholder that was left");
            self.reader.findings.push(Finding::warning(&path, message));
        }
        Some(Placed {
            kind,
            expression,
            path,
        })
    }

    pub fn property(&mut self, name: &str, kind: ValueKind) -> Option<Placed> {
        let value = self.properties.get(name)?;
        self.placed(value, self.path.key(name), kind)
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
        let name = match self.properties.contains_key("CertificateID") {
            true => "CertificateID",
            false => "CertificateId",
        };
        let path = self.path.key(name);
        if name == "CertificateID" {
            let message = "AWS's documents list CertificateID, and their examples have CertificateId";
            let hint = "write CertificateId";
            self.reader
                .findings
                .push(Finding::warning(&path, message).with_hint(hint));
        }
        let id = match self.properties.get(name) {
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
        let status = match self.properties.get("Status") {
            // It is optional, and ACTIVE then.
            None => Some(Placed {
                kind: ValueKind::CertificateStatus,
                expression: Expression::Text("ACTIVE".to_owned()),
                path: self.path.key("Status"),
            }),
            Some(_) => self.property("Status", ValueKind::CertificateStatus),
        };
        if let Some(Value::String(text)) = self.properties.get("Status")
            && text.eq_ignore_ascii_case("INACTIVE")
        {
            let message = "INACTIVE: devices would be registered, and refused until somebody activates them";
            self.reader
                .findings
                .push(Finding::warning(&self.path.key("Status"), message));
        }
        Some(Certificate {
            id: id?,
            path,
            status: status?,
        })
    }

    fn policy(&mut self) -> Option<Policy> {
        self.rights.policies += 1;
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
            (Some(_), None) => {
                // Nobody knows here what it allows.
                self.rights.may_connect = true;
                self.property("PolicyName", ValueKind::PolicyName)
                    .map(Policy::Named)
            }
            (None, Some(document)) => self.policy_document(document),
        }
    }

    fn policy_document(&mut self, document: &Value) -> Option<Policy> {
        let path = self.path.key("PolicyDocument");
        if let Some(object) = document.as_object()
            && object.contains_key("Statement")
        {
            self.reader.findings.push(
                Finding::error(
                    &path,
                    "PolicyDocument is an object; it must be the policy as a text",
                )
                .with_hint("a policy in a text: \"{\\\"Version\\\": \\\"2012-10-17\\\", …}\""),
            );
            self.judge(&document.to_string(), &path);
            return None;
        }
        let Some(expression) = self.reader.expression(document, &path) else {
            self.rights.may_connect = true;
            return None;
        };
        match expression.constant(self.reader.mappings) {
            None => self.rights.may_connect = true,
            Some(Err(error)) => {
                self.rights.may_connect = true;
                let error = error.to_string();
                self.reader.error(&path, error);
            }
            Some(Ok(text)) => {
                let text = text.into_owned();
                self.judge(&text, &path);
            }
        }
        Some(Policy::Document { expression, path })
    }

    fn judge(&mut self, document: &str, path: &Path) {
        let linted = authorize::lint(document);
        self.rights.may_connect |= linted.lets_connect || linted.error().is_some();
        self.rights.first.get_or_insert_with(|| path.clone());
        let findings = linted.findings.into_iter().map(|finding| finding.at(path));
        self.reader.findings.extend(findings);
    }
}
