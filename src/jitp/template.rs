//! The provisioning template: what AWS IoT makes for a device that connects for the first time.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html>
//!
//! Invariant: a [`Template`] exists only when nothing is wrong with it that can be seen without a certificate.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::assumptions::Assumptions;
use super::cloudformation;
use super::container::{self, Content};
use super::declarations::{Declared, check_top_level, check_use, read_mappings, read_parameters};
use super::expression::Mappings;
use super::finding::Finding;
use super::fit::{Parts, fit};
use super::json::{self, Path};
use super::parameter::Parameter;
use super::policy;
use super::prerequisite::Prerequisite;
use super::read_expression::Reader;
use super::read_resources::read_resources;
use super::resources::{Certificate, Placed, Policy, Thing};
use super::terraform;
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
    pub(super) assumptions: Assumptions,
}

/// A template as it was read: what is wrong with it, and itself if that is no error.
#[derive(Debug, Default)]
pub struct Reading {
    pub template: Option<Template>,
    pub findings: Vec<Finding>,
    /// What is wrong with what stands around it in its file: the CA, the role, or how AWS IoT keeps it.
    pub around: Vec<Finding>,
}

impl Reading {
    fn failed(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            ..Self::default()
        }
    }

    /// What may not be as it was meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        let of_itself = self.findings.iter().filter(|finding| !finding.is_error());
        self.around.iter().chain(of_itself)
    }
}

impl Template {
    /// Reads a template, or a document that holds one.
    #[must_use]
    pub fn read(text: &str) -> Reading {
        Self::read_for(text, None, None)
    }

    /// The same, with what keeps certificates of a profile from being provisioned; `now` tells a CA that has ended.
    #[must_use]
    pub fn read_for(text: &str, profile: Option<&Profile>, now: Option<OffsetDateTime>) -> Reading {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = Path::root();
        let document = match json::read(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return Reading::failed(Finding::error(&root, "this is no JSON object")),
            Err(_) if terraform::looks_like(text) => {
                let (kept, findings) = terraform::templates(text);
                return Self::read_kept(kept, findings, profile);
            }
            Err(error) => {
                let finding = Finding::error(&root, format!("this is no JSON: {error}"));
                return Reading::failed(
                    finding.with_hint("a template is a JSON file; `certforge jitp template check` takes a manifest with --manifest"),
                );
            }
        };
        if cloudformation::is_one(&document) {
            let (kept, findings) = cloudformation::templates(&document);
            return Self::read_kept(kept, findings, profile);
        }
        Self::read_document(text, &document, profile, now)
    }

    /// The template among those that the resources of a configuration hold.
    fn read_kept(
        mut kept: Vec<(Path, Map<String, Value>)>,
        findings: Vec<Finding>,
        profile: Option<&Profile>,
    ) -> Reading {
        let root = Path::root();
        let others = kept.len().saturating_sub(1);
        if kept.is_empty() {
            let finding = Finding::error(&root, "no resource of it holds a provisioning template");
            let hint = "AWS::IoT::ProvisioningTemplate, or the registration of a CA with a template in it; `certforge jitp policy check` looks at policies";
            return Reading::failed(finding.with_hint(hint));
        }
        let (path, document) = kept.swap_remove(0);
        let mut reading = Self::read_document("", &document, profile, None);
        // What is within the template's text is told by its place there.
        let is_around = |finding: &Finding| {
            ["$.templateBody", "$.registrationConfig"]
                .iter()
                .any(|begin| finding.path.starts_with(begin))
        };
        let within = |finding: Finding| match is_around(&finding) {
            true => finding.within(&path),
            false => finding,
        };
        reading.findings = reading.findings.into_iter().map(within).collect();
        let around = reading.around.into_iter().map(|finding| finding.within(&path));
        reading.around = around.collect();
        reading.around.splice(0..0, findings);
        if others > 0 {
            let message = format!(
                "{others} more resources hold a template; this is the first, and the others are not looked at"
            );
            reading.around.push(Finding::warning(&root, message));
        }
        reading
    }

    fn read_document(
        text: &str,
        document: &Map<String, Value>,
        profile: Option<&Profile>,
        now: Option<OffsetDateTime>,
    ) -> Reading {
        let contained = match container::open(document, now) {
            Content::Template => return Self::read_body(text, document, profile),
            Content::None(findings) => {
                return Reading {
                    findings,
                    ..Reading::default()
                };
            }
            Content::Within(contained) => contained,
        };
        let (path, around) = (contained.path, contained.around);
        let mut reading = match contained.body {
            Value::String(body) => {
                let mut reading = Self::read_for(&body, profile, None);
                let note = "the template stands here as a text; it is taken from there";
                reading.findings.insert(0, Finding::warning(&path, note));
                reading
            }
            Value::Object(body) => {
                // Told for what it is, and looked at all the same.
                let text = Value::Object(body.clone()).to_string();
                let mut reading = Self::read_body(&text, &body, profile);
                let findings = std::mem::take(&mut reading.findings);
                let within = findings.into_iter().map(|finding| finding.within(&path));
                let error = Finding::error(
                    &path,
                    "templateBody is an object; it must be the template as a text",
                )
                .with_hint("a template in a text: \"{\\\"Parameters\\\": {…}, \\\"Resources\\\": {…}}\"");
                reading.findings = std::iter::once(error).chain(within).collect();
                reading.template = None;
                reading
            }
            _ => Reading::failed(Finding::error(&path, "templateBody is no text")),
        };
        reading.around = around;
        reading
    }

    /// Reads what is no container.
    fn read_body(text: &str, document: &Map<String, Value>, profile: Option<&Profile>) -> Reading {
        let root = Path::root();
        let mut findings = Vec::new();
        check_size(text, document, &mut findings);
        check_top_level(document, &mut findings);
        let mut parameters = read_parameters(document, &mut findings);
        let mappings = read_mappings(document, &mut findings);
        let mut reader = Reader {
            parameters: parameters.iter().map(|declared| declared.name.clone()).collect(),
            mappings: &mappings,
            findings,
        };
        let resources = read_resources(document, &mut reader);
        let Reader {
            parameters: names,
            mut findings,
            ..
        } = reader;
        let used = resources.used();
        for (i, declared) in parameters.iter().enumerate() {
            let path = root.key("Parameters").key(&declared.name);
            check_use(declared, used.contains(&i), &path, &mut findings);
        }
        let undeclared = names
            .iter()
            .skip(parameters.len())
            .map(|name| Declared::undeclared(name));
        parameters.extend(undeclared.collect::<Vec<_>>());
        let is_sound = !findings.iter().any(Finding::is_error);
        if let Some(profile) = profile {
            let parts = Parts {
                parameters: &parameters,
                mappings: &mappings,
                thing: resources.thing.as_ref(),
                policies: &resources.policies,
            };
            findings.extend(fit(parts, profile));
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
                assumptions: Assumptions::default(),
            }),
            _ => None,
        };
        Reading {
            template,
            findings,
            around: Vec::new(),
        }
    }

    /// The same, evaluated under assumptions.
    #[must_use]
    pub fn assuming(self, assumptions: Assumptions) -> Self {
        Self { assumptions, ..self }
    }

    #[must_use]
    pub fn assumptions(&self) -> &Assumptions {
        &self.assumptions
    }

    /// Whether it asks for `AWS::IoT::Certificate::SerialNumber`, on which AWS's documents disagree.
    #[must_use]
    pub fn asks_for_serial_number(&self) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|declared| declared.parameter == Some(Parameter::SerialNumber))
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
        let parts = Parts {
            parameters: &self.parameters,
            mappings: &self.mappings,
            thing: self.thing.as_ref(),
            policies: &self.policies,
        };
        fit(parts, profile)
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

    /// The variable by which a policy reads an attribute of the subject, if one does.
    #[must_use]
    pub fn subject_variable(&self, attribute: Attribute) -> Option<String> {
        let name = match attribute {
            Attribute::State => "State",
            other => Parameter::of(other).short_name(),
        };
        let variable = format!("iot:Certificate.Subject.{name}");
        let mut found = self.text.match_indices(&variable);
        // CommonName is no part of a longer name.
        let is_whole = |(at, _): (usize, &str)| {
            !self.text[at + variable.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        found.any(is_whole).then_some(variable)
    }

    /// Whether a policy speaks of the thing that a device is attached to by its client id.
    #[must_use]
    pub fn needs_thing_name_as_client_id(&self) -> bool {
        self.text.contains("iot:Connection.Thing.")
    }
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
