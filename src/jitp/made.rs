//! What AWS IoT makes of a device at its first connection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prerequisite::Prerequisite;

/// What AWS IoT creates for a device that connects for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provisioned {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing: Option<ThingMade>,
    pub certificate: CertificateMade,
    pub policies: Vec<PolicyMade>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThingMade {
    pub thing_name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_type_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thing_groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateMade {
    pub certificate_id: String,
    /// ACTIVE or INACTIVE.
    pub status: String,
}

impl Provisioned {
    /// What must exist in the account beforehand.
    pub fn prerequisites(&self) -> impl Iterator<Item = Prerequisite> {
        let policies = self.policies.iter().filter_map(|policy| match policy {
            PolicyMade::PolicyName(name) => Some(Prerequisite::Policy(name.clone())),
            PolicyMade::PolicyDocument(_) => None,
        });
        self.thing
            .iter()
            .flat_map(ThingMade::prerequisites)
            .chain(policies)
    }
}

impl ThingMade {
    /// What must exist in the account beforehand.
    pub fn prerequisites(&self) -> impl Iterator<Item = Prerequisite> {
        let kind = self.thing_type_name.iter().cloned().map(Prerequisite::ThingType);
        let groups = self.thing_groups.iter().cloned().map(Prerequisite::ThingGroup);
        let billing = self.billing_group.iter().cloned().map(Prerequisite::BillingGroup);
        kind.chain(groups).chain(billing)
    }
}

/// A policy that is attached to the certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PolicyMade {
    /// One that exists.
    PolicyName(String),
    /// A new one; AWS IoT names it.
    PolicyDocument(String),
}
