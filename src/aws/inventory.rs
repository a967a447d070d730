//! The inventory: what is in the account already.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cloud::Caller;
use crate::jitp::Prerequisite;

/// What is in the account, as far as a registration is about it.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// `false`: AWS was not asked, and nothing is known of what is there.
    pub asked: bool,
    pub caller: Caller,
    /// `None`: there is none, or it is another's and was not looked at.
    pub role: Option<IamRole>,
    pub template: Option<ProvisioningTemplate>,
    pub ca: Option<RegisteredCa>,
    pub rule: Option<TopicRule>,
    /// What the template takes for granted and is not there.
    pub missing: Vec<Prerequisite>,
    /// Host that devices connect to, as far as AWS was asked.
    pub endpoint: Option<String>,
}

impl Inventory {
    /// What is known without asking: nothing.
    #[must_use]
    pub fn unasked(caller: Caller) -> Self {
        Self {
            asked: false,
            caller,
            role: None,
            template: None,
            ca: None,
            rule: None,
            missing: Vec::new(),
            endpoint: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IamRole {
    pub arn: String,
    pub trust: Value,
    /// ARNs of the policies that are attached.
    pub policies: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvisioningTemplate {
    pub body: String,
    pub role_arn: String,
    pub is_jitp: bool,
    pub enabled: bool,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisteredCa {
    /// `ACTIVE` or `INACTIVE`.
    pub status: String,
    pub auto_registration: bool,
    /// `DEFAULT` or `SNI_ONLY`.
    pub mode: String,
    pub config: Option<RegistrationConfig>,
}

/// The template of a CA: in itself, with its role, or by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all(deserialize = "camelCase"))]
pub struct RegistrationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicRule {
    pub sql: String,
    /// ARNs of the functions that it calls.
    pub functions: Vec<String>,
    pub enabled: bool,
}
