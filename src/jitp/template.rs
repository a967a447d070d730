//! The provisioning template: what AWS IoT makes for a device that connects for the first time.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html>
//!
//! Invariant: a [`Template`] exists only when nothing is wrong with it that can be seen without a certificate.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::declarations::{Declared, check_top_level, check_use, read_mappings, read_parameters};
use super::expression::{Mappings, Reader};
use super::finding::Finding;
use super::json::{self, Path};
use super::parameter::Parameter;
use super::policy;
use super::read_resources::read_resources;
use super::resources::{Certificate, Placed, Policy, Thing};
use crate::profile::{Attribute, Profile};

/// Most characters of a template (`templateBody`).
const MAX_TEMPLATE: usize = 10_240;

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

/// A template as it was read: what is wrong with it, and itself if that is no error.
#[derive(Debug)]
pub struct Reading {
    pub template: Option<Template>,
    pub findings: Vec<Finding>,
}

impl Reading {
    /// What may not be as it was meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.is_error())
    }
}

impl Template {
    /// Reads a template, or the `registrationConfig` of a CA that holds one.
    #[must_use]
    pub fn read(text: &str) -> Reading {
        Self::read_for(text, None)
    }

    /// The same, with what keeps certificates of a profile from being provisioned.
    #[must_use]
    pub fn read_for(text: &str, profile: Option<&Profile>) -> Reading {
        let root = Path::root();
        let failed = |finding: Finding| Reading {
            template: None,
            findings: vec![finding],
        };
        let document = match json::read(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return failed(Finding::error(&root, "this is no JSON object")),
            Err(error) => {
                let finding = Finding::error(&root, format!("this is no JSON: {error}"));
                return failed(
                    finding.with_hint("a template is a JSON file; `certforge jitp template check` takes a manifest with --manifest"),
                );
            }
        };
        if let (Some(Value::String(body)), None) = (document.get("templateBody"), document.get("Resources")) {
            let mut reading = Self::read_for(body, profile);
            let note = "the template stands in a registrationConfig, as a text; it is taken from there";
            let path = root.key("templateBody");
            reading.findings.insert(0, Finding::warning(&path, note));
            return reading;
        }
        if document.contains_key("templateName") && !document.contains_key("Resources") {
            let finding = Finding::error(&root, "this names a template, and holds none");
            let hint = "give the template itself: `aws iot describe-provisioning-template` prints it";
            return failed(finding.with_hint(hint));
        }
        let mut findings = Vec::new();
        check_size(text, &document, &mut findings);
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
        if let Some(profile) = profile {
            findings.extend(check_profile(&parameters, profile));
        }
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
        check_profile(&self.parameters, profile)
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
                    .type_name
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

/// AWS IoT counts what is sent; certforge sends no indentation.
fn check_size(text: &str, document: &serde_json::Map<String, Value>, findings: &mut Vec<Finding>) {
    let root = Path::root();
    let sent = Value::Object(document.clone()).to_string().chars().count();
    let written = text.chars().count();
    if sent > MAX_TEMPLATE {
        findings.push(
            Finding::error(
                &root,
                format!("the template has {sent} characters without indentation, AWS IoT allows {MAX_TEMPLATE}"),
            )
            .with_hint("take what is the same for all devices into a policy that exists, and name it with PolicyName"),
        );
    } else if written > MAX_TEMPLATE {
        findings.push(
            Finding::warning(
                &root,
                format!(
                    "the template has {written} characters as it is written, AWS IoT allows {MAX_TEMPLATE}"
                ),
            )
            .with_hint("`certforge jitp register` sends it without indentation; other tools may not"),
        );
    }
}

fn check_profile(parameters: &[Declared], profile: &Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let attributes: Vec<Attribute> = profile.attributes().collect();
    for declared in parameters {
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

impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThingType(name) => write!(f, "thing type {name}"),
            Self::ThingGroup(name) => write!(f, "thing group {name}"),
            Self::BillingGroup(name) => write!(f, "billing group {name}"),
            Self::Policy(name) => write!(f, "policy {name}"),
        }
    }
}
