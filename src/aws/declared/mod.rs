//! The registration as infrastructure that is declared: a template of CloudFormation, or a configuration of Terraform, with all
//! that shall be in the account.
//!
//! Both keep what they make, so they say what is wanted, whether it is there or not. The proof of possession is a file that
//! `certforge jitp proof` makes; neither can sign with the CA's key.

mod cloudformation;
mod terraform;

pub use cloudformation::cloudformation;
pub use terraform::terraform;

use super::action::SQL_VERSION;
use super::cloud::Caller;
use super::role::{managed_policies, trust_policy};
use super::wanted::{Flow, Role, Wanted, rule_name};
use crate::issuer::CertificateMode;

/// What is declared, in the words of both.
struct Declared<'a> {
    caller: &'a Caller,
    wanted: &'a Wanted,
    /// The role that is made, by name.
    role: Option<&'a str>,
}

impl<'a> Declared<'a> {
    fn new(wanted: &'a Wanted, caller: &'a Caller) -> Self {
        let role = match &wanted.role {
            Role::Named(name) if wanted.needs_role() => Some(name.as_str()),
            _ => None,
        };
        Self { caller, wanted, role }
    }

    fn trust(&self) -> serde_json::Value {
        trust_policy(self.caller)
    }

    fn managed_policies(&self) -> impl Iterator<Item = String> {
        managed_policies(self.caller.partition()).into_iter()
    }

    fn rule_name(&self) -> String {
        rule_name(&self.wanted.ca_id)
    }

    fn rule_arn(&self) -> String {
        let Caller { account, region, .. } = self.caller;
        format!(
            "arn:{}:iot:{region}:{account}:rule/{}",
            self.caller.partition(),
            self.rule_name()
        )
    }

    fn sql(&self) -> String {
        super::asset::sql_of(&self.wanted.ca_id)
    }

    fn needs_proof(&self) -> bool {
        self.wanted.mode == CertificateMode::Default
    }

    /// The template, and the name under which AWS IoT keeps it.
    fn template(&self) -> Option<(&'a str, Option<&'a str>)> {
        match &self.wanted.flow {
            Flow::Jitp {
                body, template_name, ..
            } => Some((body, template_name.as_deref())),
            Flow::Jitr { .. } => None,
        }
    }

    fn function(&self) -> Option<&'a str> {
        match &self.wanted.flow {
            Flow::Jitr { function } => Some(function),
            Flow::Jitp { .. } => None,
        }
    }

    /// The role of somebody else.
    fn role_arn(&self) -> Option<&'a str> {
        match &self.wanted.role {
            Role::Arn(arn) => Some(arn),
            Role::Named(_) => None,
        }
    }
}
