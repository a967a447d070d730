//! The resources of a template: the thing, the certificate and the policies.

use std::collections::BTreeSet;

use super::expression::Expression;
use super::json::Path;
use super::name::ValueKind;

/// Most policies of a certificate (quota L-BC2638B3).
pub(super) const MAX_POLICIES: usize = 10;

/// A value with the place where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub kind: ValueKind,
    pub expression: Expression,
    pub path: Path,
}

#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub name: Placed,
    pub attributes: Vec<(String, Placed)>,
    pub type_name: Option<Placed>,
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

/// The resources of a template.
#[derive(Default)]
pub(super) struct Resources {
    pub thing: Option<Thing>,
    pub certificate: Option<Certificate>,
    pub policies: Vec<Policy>,
}

impl Resources {
    /// Which parameters they refer to.
    pub fn used(&self) -> BTreeSet<usize> {
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
            thing.type_name.iter().for_each(|placed| note(&placed.expression));
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
