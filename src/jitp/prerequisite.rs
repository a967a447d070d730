//! Prerequisites: what a template names and does not make.

use std::fmt;

/// What a template takes for granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prerequisite {
    ThingType(String),
    ThingGroup(String),
    BillingGroup(String),
    Policy(String),
}

impl Prerequisite {
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::ThingType(name)
            | Self::ThingGroup(name)
            | Self::BillingGroup(name)
            | Self::Policy(name) => name,
        }
    }
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
