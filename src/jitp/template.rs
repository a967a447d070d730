//! The provisioning template: what AWS IoT makes for a device that connects for the first time.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html>
//!
//! Invariant: a [`Template`] exists only when nothing is wrong with it that can be seen without a certificate.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::expression::{Expression, Mappings, Reader};
use super::finding::Finding;
use super::json::{self, Path};
use super::name::Kind;
use super::parameter::Parameter;
use super::policy;
use crate::profile::{Attribute, Profile};

/// Most characters of a template (`templateBody`).
const MAX_TEMPLATE: usize = 10_240;

/// Most attributes of a thing that has no thing type, and of one that has.
const MAX_ATTRIBUTES: usize = 3;
const MAX_ATTRIBUTES_WITH_TYPE: usize = 50;

/// Most groups that a thing may be in.
const MAX_GROUPS: usize = 10;

/// A template without a fault.
#[derive(Debug, Clone)]
pub struct Template {
    pub(super) text: String,
    pub(super) parameters: Vec<Declared>,
    pub(super) mappings: Mappings,
    pub(super) thing: Option<Thing>,
    pub(super) certificate: Certificate,
    pub(super) policies: Vec<Policy>,
    /// Which parameters the resources refer to.
    pub(super) used: BTreeSet<usize>,
}

/// A parameter that is declared.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub name: String,
    /// What fills it; `None`: nothing but its default.
    pub parameter: Option<Parameter>,
    pub default: Option<String>,
}

/// A value with the place where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub kind: Kind,
    pub expression: Expression,
    pub path: Path,
}

#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub name: Placed,
    pub attributes: Vec<(String, Placed)>,
    pub thing_type: Option<Placed>,
    pub groups: Vec<Placed>,
    pub billing_group: Option<Placed>,
}

#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub id: Expression,
    pub path: Path,
    pub status: Placed,
}

#[derive(Debug, Clone)]
pub(super) enum Policy {
    Named(Placed),
    Document { expression: Expression, path: Path },
}

/// A template as it was read: what is wrong with it, and itself if that is no error.
#[derive(Debug)]
pub struct Reading {
    pub template: Option<Template>,
    pub findings: Vec<Finding>,
}

impl Template {
    /// Reads a template, or the `registrationConfig` of a CA that holds one.
    #[must_use]
    pub fn read(text: &str) -> Reading {
        let root = Path::root();
        let failed = |finding: Finding| Reading {
            template: None,
            findings: vec![finding],
        };
        let document = match json::read(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return failed(Finding::error(&root, "this is no JSON object")),
            Err(error) => return failed(Finding::error(&root, format!("this is no JSON: {error}"))),
        };
        if let (Some(Value::String(body)), None) = (document.get("templateBody"), document.get("Resources")) {
            let mut reading = Self::read(body);
            let note = "the template stands in a registrationConfig, as a text; it is taken from there";
            let path = root.key("templateBody");
            reading.findings.insert(0, Finding::warning(&path, note));
            return reading;
        }
        let mut findings = Vec::new();
        let size = text.chars().count();
        if size > MAX_TEMPLATE {
            findings.push(
                Finding::error(
                    &root,
                    format!("the template has {size} characters, AWS IoT allows {MAX_TEMPLATE}"),
                )
                .with_hint("write it without indentation, or take what is the same for all devices into a named policy"),
            );
        }
        check_top_level(&document, &mut findings);
        let parameters = read_parameters(&document, &mut findings);
        let mappings = read_mappings(&document, &mut findings);
        let names: Vec<String> = parameters.iter().map(|declared| declared.name.clone()).collect();
        let mut reader = Reader {
            parameters: &names,
            mappings: &mappings,
            findings,
        };
        let resources = read_resources(&document, &mut reader);
        let mut findings = reader.findings;
        let used = resources.used();
        for (i, declared) in parameters.iter().enumerate() {
            let path = root.key("Parameters").key(&declared.name);
            check_use(declared, used.contains(&i), &path, &mut findings);
        }
        let is_sound = !findings.iter().any(Finding::is_error);
        let template = match resources.certificate {
            Some(certificate) if is_sound => Some(Self {
                text: text.to_owned(),
                parameters,
                mappings,
                thing: resources.thing,
                certificate,
                policies: resources.policies,
                used,
            }),
            _ => None,
        };
        Reading { template, findings }
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without what only people need, as it is sent.
    #[must_use]
    pub fn body(&self) -> String {
        let value: Value = serde_json::from_str(&self.text).expect("it was read before");
        value.to_string()
    }

    /// What keeps certificates of a profile from being provisioned, whatever the manifest says.
    #[must_use]
    pub fn check_profile(&self, profile: &Profile) -> Vec<Finding> {
        let mut findings = Vec::new();
        let attributes: Vec<Attribute> = profile.attributes().collect();
        for declared in &self.parameters {
            let Some(attribute) = declared.parameter.and_then(Parameter::attribute) else {
                continue;
            };
            let path = Path::root().key("Parameters").key(&declared.name);
            let times = attributes.iter().filter(|other| **other == attribute).count();
            if times == 0 && declared.default.is_none() {
                findings.push(
                    Finding::error(
                        &path,
                        format!(
                            "certificates of profile {} have no {attribute}, and the parameter has no Default: no device would be provisioned",
                            profile.name()
                        ),
                    )
                    .with_hint(format!("give the parameter a Default, or the profile a subject with {attribute}=…")),
                );
            }
            if times > 1 {
                findings.push(Finding::warning(
                    &path,
                    format!(
                        "certificates of profile {} have {times} {attribute}; AWS does not document which of them is taken, certforge takes the first",
                        profile.name()
                    ),
                ));
            }
        }
        findings
    }

    /// Names that must exist in the account before the first device connects, each with what it is.
    #[must_use]
    pub fn prerequisites(&self) -> Vec<Prerequisite> {
        let constant = |placed: &Placed| {
            let value = placed.expression.constant(&self.mappings)?.ok()?;
            Some(value.into_owned())
        };
        let mut found = Vec::new();
        if let Some(thing) = &self.thing {
            found.extend(
                thing
                    .thing_type
                    .as_ref()
                    .and_then(constant)
                    .map(Prerequisite::ThingType),
            );
            found.extend(
                thing
                    .groups
                    .iter()
                    .filter_map(constant)
                    .map(Prerequisite::ThingGroup),
            );
            found.extend(
                thing
                    .billing_group
                    .as_ref()
                    .and_then(constant)
                    .map(Prerequisite::BillingGroup),
            );
        }
        for policy in &self.policies {
            if let Policy::Named(placed) = policy {
                found.extend(constant(placed).map(Prerequisite::Policy));
            }
        }
        found
    }

    /// The ARNs in its policy documents, as far as they are the same for every device.
    #[must_use]
    pub fn policy_resources(&self) -> Vec<String> {
        let documents = self.policies.iter().filter_map(|policy| match policy {
            Policy::Document { expression, .. } => expression.constant(&self.mappings)?.ok(),
            Policy::Named(_) => None,
        });
        documents
            .flat_map(|document| policy::resources(&document))
            .collect()
    }

    /// Whether a policy speaks of the thing that a device is attached to by its client id.
    #[must_use]
    pub fn needs_thing_name_as_client_id(&self) -> bool {
        self.text.contains("iot:Connection.Thing.")
    }
}

/// What a template takes for granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prerequisite {
    ThingType(String),
    ThingGroup(String),
    BillingGroup(String),
    Policy(String),
}

/// The resources of a template.
#[derive(Default)]
struct Resources {
    thing: Option<Thing>,
    certificate: Option<Certificate>,
    policies: Vec<Policy>,
}

impl Resources {
    fn used(&self) -> BTreeSet<usize> {
        let mut used = BTreeSet::new();
        let mut note = |expression: &Expression| {
            expression.references(&mut |position| {
                used.insert(position);
            });
        };
        if let Some(thing) = &self.thing {
            note(&thing.name.expression);
            thing
                .attributes
                .iter()
                .for_each(|(_, placed)| note(&placed.expression));
            thing.groups.iter().for_each(|placed| note(&placed.expression));
            thing
                .thing_type
                .iter()
                .for_each(|placed| note(&placed.expression));
            thing
                .billing_group
                .iter()
                .for_each(|placed| note(&placed.expression));
        }
        if let Some(certificate) = &self.certificate {
            note(&certificate.id);
            note(&certificate.status.expression);
        }
        for policy in &self.policies {
            match policy {
                Policy::Named(placed) => note(&placed.expression),
                Policy::Document { expression, .. } => note(expression),
            }
        }
        used
    }
}

fn check_top_level(document: &Map<String, Value>, findings: &mut Vec<Finding>) {
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

fn read_parameters(document: &Map<String, Value>, findings: &mut Vec<Finding>) -> Vec<Declared> {
    let path = Path::root().key("Parameters");
    let declared = match document.get("Parameters") {
        Some(Value::Object(declared)) => declared,
        Some(_) => {
            findings.push(Finding::error(&path, "Parameters is no object"));
            return Vec::new();
        }
        None => {
            findings.push(
                Finding::error(&path, "Parameters is missing")
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
            .with_hint("give it a Default, or use one of AWS::IoT::Certificate::…"),
        );
    }
    Declared {
        name: name.to_owned(),
        parameter,
        default,
    }
}

fn check_use(declared: &Declared, is_used: bool, path: &Path, findings: &mut Vec<Finding>) {
    if declared.parameter == Some(Parameter::SerialNumber) && is_used {
        findings.push(
            Finding::warning(
                path,
                "AWS's documents disagree on SerialNumber: the subject's serialNumber, or the certificate's own serial",
            )
            .with_hint("use AWS::IoT::Certificate::CommonName"),
        );
    }
    if !is_used {
        let message = match (declared.parameter, &declared.default) {
            (Some(_), None) => {
                "no resource uses this parameter, and certificates that lack it would not be provisioned"
            }
            _ => "no resource uses this parameter",
        };
        findings.push(Finding::warning(path, message));
    }
}

fn read_mappings(document: &Map<String, Value>, findings: &mut Vec<Finding>) -> Mappings {
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

fn read_resources(document: &Map<String, Value>, reader: &mut Reader<'_>) -> Resources {
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
        let properties = match resource.get("Properties") {
            Some(Value::Object(properties)) => properties,
            _ => {
                reader.error(&path, "Properties is missing, or no object");
                &none
            }
        };
        let mut reader = ResourceReader {
            reader: &mut *reader,
            properties,
            path: path.key("Properties"),
        };
        match resource.get("Type").and_then(Value::as_str) {
            Some("AWS::IoT::Thing") => {
                things += 1;
                reader.check_names(&THING_PROPERTIES);
                reader.check_overrides(resource, &path, &THING_PROPERTIES);
                let thing = reader.thing();
                read.thing = read.thing.or(thing);
            }
            Some("AWS::IoT::Certificate") => {
                certificates += 1;
                reader.check_names(&CERTIFICATE_PROPERTIES);
                reader.check_overrides(resource, &path, &["Status"]);
                let certificate = reader.certificate();
                read.certificate = read.certificate.or(certificate);
            }
            Some("AWS::IoT::Policy") => {
                reader.check_names(&["PolicyName", "PolicyDocument"]);
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
    fn check_names(&mut self, known: &[&str]) {
        for key in self.properties.keys() {
            if !known.contains(&key.as_str()) {
                self.reader.findings.push(
                    Finding::error(
                        &self.path.key(key),
                        format!("this resource has no property {key}"),
                    )
                    .with_hint(known.join(", ")),
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
    fn placed(&mut self, value: &Value, path: Path, kind: Kind) -> Option<Placed> {
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

    fn property(&mut self, name: &str, kind: Kind) -> Option<Placed> {
        let value = self.properties.get(name)?;
        self.placed(value, self.path.key(name), kind)
    }

    fn thing(&mut self) -> Option<Thing> {
        if !self.properties.contains_key("ThingName") {
            self.reader.error(&self.path, "ThingName is missing");
        }
        let name = self.property("ThingName", Kind::ThingName);
        let attributes = self.attributes();
        let thing_type = self.property("ThingTypeName", Kind::ThingType);
        let billing_group = self.property("BillingGroup", Kind::BillingGroup);
        let groups = self.groups();
        if self.properties.contains_key("PackageVersions") {
            let path = self.path.key("PackageVersions");
            let message = "PackageVersions is not looked at by certforge";
            self.reader.findings.push(Finding::warning(&path, message));
        }
        Some(Thing {
            name: name?,
            attributes,
            thing_type,
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
            if let Some(refusal) = Kind::AttributeName.refusal(name) {
                self.reader.error(&at, refusal);
            }
            if let Some(placed) = self.placed(value, at, Kind::AttributeValue) {
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
        read.filter_map(|(i, group)| self.placed(group, path.index(i), Kind::ThingGroup))
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
        let status = self.property("Status", Kind::CertificateStatus);
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
            (Some(_), None) => self.property("PolicyName", Kind::PolicyName).map(Policy::Named),
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
