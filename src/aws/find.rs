//! Looks at what is in the account already.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::{CaDescription, RuleDescription, TemplateDescription};
use super::call::{AwsError, if_found};
use super::cloud::Cloud;
use super::inventory::{
    IamRole, Inventory, ProvisioningTemplate, RegisteredCa, RegistrationConfig, TopicRule,
};
use super::wanted::{Flow, Role, Wanted, rule_name};
use crate::jitp::Prerequisite;

impl Cloud {
    /// Looks at everything that a registration is about.
    ///
    /// # Errors
    ///
    /// When AWS refuses or cannot be reached.
    pub fn find(&self, wanted: &Wanted) -> Result<Inventory, AwsError> {
        let role = match &wanted.role {
            Role::Named(name) if wanted.needs_role() => self.role(name)?,
            _ => None,
        };
        let (mut template, mut missing) = (None, Vec::new());
        if let Flow::Jitp {
            template_name,
            prerequisites,
            ..
        } = &wanted.flow
        {
            if let Some(name) = template_name {
                template = self.template(name)?;
            }
            for prerequisite in prerequisites {
                if !self.exists(prerequisite)? {
                    missing.push(prerequisite.clone());
                }
            }
        }
        Ok(Inventory {
            asked: true,
            caller: self.caller().clone(),
            role,
            template,
            ca: self.ca(&wanted.ca_id)?,
            rule: self.rule(&rule_name(&wanted.ca_id))?,
            missing,
            endpoint: Some(self.endpoint()?),
        })
    }

    /// A role of IAM with what is attached to it.
    pub(super) fn role(&self, name: &str) -> Result<Option<IamRole>, AwsError> {
        let Some(role) = if_found(self.ask("iam:GetRole", self.iam.get_role(name)))? else {
            return Ok(None);
        };
        let lacks = |what| AwsError::Incomplete {
            operation: "iam:GetRole",
            what,
        };
        let arn = role.first("Arn").ok_or(lacks("a role"))?;
        // What does not read is not taken for a role that nobody may assume: a change of it keeps what it says.
        let trust = role
            .first("AssumeRolePolicyDocument")
            .ok_or(lacks("a trust policy"))?;
        let trust = percent_decode_str(trust).decode_utf8_lossy();
        Ok(Some(IamRole {
            arn: arn.to_owned(),
            trust: serde_json::from_str(&trust).map_err(|_| lacks("a trust policy that reads"))?,
            policies: self.attached_policies(name)?,
        }))
    }

    /// The ARNs of the policies that are attached to a role.
    fn attached_policies(&self, role: &str) -> Result<BTreeSet<String>, AwsError> {
        let mut policies = BTreeSet::new();
        let (mut marker, mut before): (Option<String>, _) = (None, BTreeSet::new());
        loop {
            let request = self.iam.list_attached_role_policies(role, marker.as_deref());
            let page = self.ask("iam:ListAttachedRolePolicies", request)?;
            policies.extend(page.all("PolicyArn"));
            // A page that says that it is not the last one, and not where it ended, ends it all the same.
            let next = page
                .first("Marker")
                .filter(|_| page.first("IsTruncated") == Some("true"));
            // Nor does one that leads back to a page that was read.
            match next.map(str::to_owned).filter(|next| before.insert(next.clone())) {
                None => return Ok(policies),
                next => marker = next,
            }
        }
    }

    /// A provisioning template by its name, in its default version.
    pub(super) fn template(&self, name: &str) -> Result<Option<ProvisioningTemplate>, AwsError> {
        let operation = "iot:DescribeProvisioningTemplate";
        let request = self.iot.describe_provisioning_template(name);
        let Some(answer) = if_found(self.ask(operation, request))? else {
            return Ok(None);
        };
        let answer: TemplateDescription = read(operation, "a template", answer)?;
        Ok(Some(ProvisioningTemplate {
            body: answer.template_body.unwrap_or_default(),
            role_arn: answer.provisioning_role_arn.unwrap_or_default(),
            is_jitp: answer.r#type.as_deref() == Some("JITP"),
            enabled: answer.enabled,
            version: answer.default_version_id.unwrap_or(1),
        }))
    }

    /// A CA that is registered.
    pub(super) fn ca(&self, id: &[u8; 32]) -> Result<Option<RegisteredCa>, AwsError> {
        let operation = "iot:DescribeCACertificate";
        let id = HEXLOWER.encode(id);
        let request = self.iot.describe_ca_certificate(&id);
        let Some(mut answer) = if_found(self.ask(operation, request))? else {
            return Ok(None);
        };
        let description = answer["certificateDescription"].take();
        let described: CaDescription = read(operation, "a description", description)?;
        let config: Option<RegistrationConfig> = match answer["registrationConfig"].take() {
            Value::Null => None,
            config => Some(read(operation, "a registration config", config)?),
        };
        Ok(Some(RegisteredCa {
            status: described.status,
            auto_registration: described.auto_registration_status.as_deref() == Some("ENABLE"),
            mode: described.certificate_mode.unwrap_or_else(|| "DEFAULT".to_owned()),
            // A server that knows no config may answer an empty one.
            config: config.filter(|config| *config != RegistrationConfig::default()),
        }))
    }

    /// A rule of AWS IoT.
    pub(super) fn rule(&self, name: &str) -> Result<Option<TopicRule>, AwsError> {
        let operation = "iot:GetTopicRule";
        let answer = match self.ask(operation, self.iot.get_topic_rule(name)) {
            // AWS IoT says "unauthorized" of a rule that is not there, lest names be guessed.
            Err(AwsError::Refused { code, .. }) if code == "UnauthorizedException" => None,
            other => if_found(other)?,
        };
        let Some(mut answer) = answer else { return Ok(None) };
        if answer["rule"].is_null() {
            return Ok(None);
        }
        let rule: RuleDescription = read(operation, "a rule", answer["rule"].take())?;
        let functions = rule.actions.into_iter().filter_map(|action| action.lambda);
        Ok(Some(TopicRule {
            sql: rule.sql,
            functions: functions.map(|action| action.function_arn).collect(),
            enabled: !rule.rule_disabled,
        }))
    }

    /// The host that devices connect to.
    pub(super) fn endpoint(&self) -> Result<String, AwsError> {
        let answer = self.ask("iot:DescribeEndpoint", self.iot.describe_endpoint())?;
        let address = answer["endpointAddress"].as_str().ok_or(AwsError::Incomplete {
            operation: "iot:DescribeEndpoint",
            what: "an address",
        })?;
        // Servers other than AWS's name a port.
        Ok(address.split(':').next().unwrap_or_default().to_owned())
    }

    /// Whether something that a template takes for granted is there.
    pub(super) fn exists(&self, prerequisite: &Prerequisite) -> Result<bool, AwsError> {
        let operation = match prerequisite {
            Prerequisite::ThingType(_) => "iot:DescribeThingType",
            Prerequisite::ThingGroup(_) => "iot:DescribeThingGroup",
            Prerequisite::BillingGroup(_) => "iot:DescribeBillingGroup",
            Prerequisite::Policy(_) => "iot:GetPolicy",
        };
        let found = self.ask(operation, self.iot.describe(prerequisite));
        Ok(if_found(found)?.is_some())
    }
}

/// What AWS says of something, as far as it is looked at.
fn read<T: DeserializeOwned>(
    operation: &'static str,
    what: &'static str,
    said: Value,
) -> Result<T, AwsError> {
    serde_json::from_value(said).map_err(|_| AwsError::Incomplete { operation, what })
}
