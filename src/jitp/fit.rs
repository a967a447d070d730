//! Fit: whether a template can do with what certificates of a profile have, whatever the manifest says.
//!
//! What a column gives is not known here. So a value is evaluated with a stand-in for each column, of which every name and
//! value may consist: when it is refused even so, it is refused for every device.

use std::borrow::Cow;

use super::authorize;
use super::declarations::Declared;
use super::expression::{Expression, Mappings, Scope};
use super::finding::Finding;
use super::json::Path;
use super::parameter::Parameter;
use super::resources::{Placed, Policy, Thing};
use crate::profile::{Attribute, Profile};

/// Stands for what a column gives.
const STAND_IN: &str = "0";

/// The parts of a template that a profile is held against.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub parameters: &'a [Declared],
    pub mappings: &'a Mappings,
    pub thing: Option<&'a Thing>,
    pub policies: &'a [Policy],
}

/// What a profile gives a parameter.
struct Given {
    /// With stand-ins.
    value: String,
    /// As the profile has it.
    written: String,
    is_constant: bool,
}

pub(super) fn fit(parts: Parts<'_>, profile: &Profile) -> Vec<Finding> {
    let mut findings = check_attributes(parts.parameters, profile);
    let given: Vec<Option<Given>> = parts
        .parameters
        .iter()
        .map(|declared| given(declared, profile))
        .collect();
    let fitting = Fitting {
        parts,
        profile,
        given,
    };
    if let Some(thing) = parts.thing {
        fitting.constant_name(thing, &mut findings);
        let placed = std::iter::once(&thing.name)
            .chain(thing.attributes.iter().map(|(_, placed)| placed))
            .chain(&thing.type_name)
            .chain(&thing.groups)
            .chain(&thing.billing_group);
        placed.for_each(|placed| findings.extend(fitting.check(placed)));
    }
    for policy in parts.policies {
        match policy {
            Policy::Named(placed) => findings.extend(fitting.check(placed)),
            Policy::Document { expression, path } => fitting.document(expression, path, &mut findings),
        }
    }
    findings
}

/// Attributes that certificates of the profile lack, or have twice.
fn check_attributes(parameters: &[Declared], profile: &Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let attributes: Vec<Attribute> = profile.attributes().collect();
    for declared in parameters {
        let Some(attribute) = declared.parameter.and_then(Parameter::attribute) else {
            continue;
        };
        let path = Path::root().key("Parameters").key(&declared.name);
        let times = attributes.iter().filter(|other| **other == attribute).count();
        // SerialNumber may be the certificate's own serial, which each has; there is a warning of that.
        if times == 0 && declared.default.is_none() && attribute != Attribute::SerialNumber {
            findings.push(
                Finding::error(
                    &path,
                    format!(
                        "certificates of profile {} have no {attribute}: no device would be provisioned; AWS IoT logs \"Cannot resolve reference value: {{Ref={}}}\"",
                        profile.name(),
                        declared.name
                    ),
                )
                .with_hint(format!("give the profile a subject with {attribute}=…, or take the parameter out")),
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

/// `None`: certificates of the profile lack it, and there is no default.
fn given(declared: &Declared, profile: &Profile) -> Option<Given> {
    let constant = |text: &str| Given {
        value: text.to_owned(),
        written: text.to_owned(),
        is_constant: true,
    };
    let own = |value: String| Given {
        written: declared.name.clone(),
        value,
        is_constant: false,
    };
    let attribute = match declared.parameter {
        None => return declared.default.as_deref().map(constant),
        Some(Parameter::Id) => return Some(own(STAND_IN.repeat(64))),
        Some(parameter) => parameter.attribute()?,
    };
    let found = profile
        .subject_filled(STAND_IN)
        .find(|(other, ..)| *other == attribute);
    match found {
        Some((_, value, written)) => Some(Given {
            is_constant: value == written,
            value,
            written,
        }),
        None if attribute == Attribute::SerialNumber && declared.default.is_none() => {
            Some(own(STAND_IN.to_owned()))
        }
        None => declared.default.as_deref().map(constant),
    }
}

struct Fitting<'a> {
    parts: Parts<'a>,
    profile: &'a Profile,
    given: Vec<Option<Given>>,
}

impl Fitting<'_> {
    /// The value of an expression with stand-ins, and as the profile has it; `None` where nothing can be said of it.
    fn evaluate(&self, expression: &Expression) -> Option<(String, String)> {
        let mut references = Vec::new();
        expression.references(&mut |position| references.push(position));
        let all: Option<Vec<&Given>> = references
            .iter()
            .map(|position| self.given.get(*position)?.as_ref())
            .collect();
        let is_constant = all?.iter().all(|given| given.is_constant);
        if references.is_empty() || !(is_constant || expression.is_plain()) {
            return None;
        }
        let value = |of: fn(&Given) -> &str| {
            let values: Vec<&str> = self
                .given
                .iter()
                .map(|given| given.as_ref().map_or("", of))
                .collect();
            let scope = Scope {
                parameters: &values,
                mappings: self.parts.mappings,
            };
            expression.evaluate(scope).ok().map(Cow::into_owned)
        };
        Some((value(|given| &given.value)?, value(|given| &given.written)?))
    }

    /// What the profile says of the parameters of an expression, such as `O=Example Devices`.
    fn sources(&self, expression: &Expression) -> String {
        let mut sources: Vec<String> = Vec::new();
        expression.references(&mut |position| {
            let declared = &self.parts.parameters[position];
            let written = self.given[position].as_ref().map_or("", |given| &given.written);
            let source = match declared.parameter.and_then(Parameter::attribute) {
                Some(attribute) => format!("{attribute}={written}"),
                None => declared.name.clone(),
            };
            if !sources.contains(&source) {
                sources.push(source);
            }
        });
        sources.join(", ")
    }

    fn check(&self, placed: &Placed) -> Option<Finding> {
        let (value, written) = self.evaluate(&placed.expression)?;
        let refusal = placed.kind.refusal(&value)?;
        let refusal = refusal.replace(&format!("{value:?}"), &format!("{written:?}"));
        Some(
            Finding::error(
                &placed.path,
                format!(
                    "{refusal}; certificates of profile {} have {}: no device would be provisioned",
                    self.profile.name(),
                    self.sources(&placed.expression)
                ),
            )
            .with_hint("change the profile's subject, or take the value from elsewhere"),
        )
    }

    fn constant_name(&self, thing: &Thing, findings: &mut Vec<Finding>) {
        if let Some((value, written)) = self.evaluate(&thing.name.expression)
            && value == written
        {
            findings.push(
                Finding::warning(
                    &thing.name.path,
                    format!(
                        "ThingName is {written:?} for every device of profile {}: all of them would be one thing",
                        self.profile.name()
                    ),
                )
                .with_hint("{\"Ref\": \"AWS::IoT::Certificate::CommonName\"}"),
            );
        }
    }

    /// A policy document that is the same for every certificate of the profile.
    fn document(&self, expression: &Expression, path: &Path, findings: &mut Vec<Finding>) {
        if let Some((value, written)) = self.evaluate(expression)
            && value == written
        {
            let linted = authorize::lint(&value);
            findings.extend(linted.findings.into_iter().map(|finding| finding.at(path)));
        }
    }
}
