//! Looks at what is in the account already.

use aws_sdk_iot::types::TemplateType;
use data_encoding::HEXLOWER;
use percent_encoding::percent_decode_str;
use serde_json::Value;

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
        let request = self.iam.get_role().role_name(name);
        let Some(answer) = if_found(self.ask("iam:GetRole", request.send()))? else {
            return Ok(None);
        };
        let role = answer.role().ok_or(AwsError::Incomplete {
            operation: "iam:GetRole",
            what: "a role",
        })?;
        let trust = role.assume_role_policy_document().unwrap_or_default();
        let trust = percent_decode_str(trust).decode_utf8_lossy();
        let request = self.iam.list_attached_role_policies().role_name(name);
        let all = request.into_paginator().items().send();
        let attached = self.ask("iam:ListAttachedRolePolicies", all.collect::<Result<Vec<_>, _>>())?;
        Ok(Some(IamRole {
            arn: role.arn().to_owned(),
            trust: serde_json::from_str(&trust).unwrap_or(Value::Null),
            policies: attached
                .into_iter()
                .filter_map(|policy| policy.policy_arn)
                .collect(),
        }))
    }

    /// A provisioning template by its name, in its default version.
    pub(super) fn template(&self, name: &str) -> Result<Option<ProvisioningTemplate>, AwsError> {
        let request = self.iot.describe_provisioning_template().template_name(name);
        let answer = if_found(self.ask("iot:DescribeProvisioningTemplate", request.send()))?;
        Ok(answer.map(|answer| ProvisioningTemplate {
            body: answer.template_body().unwrap_or_default().to_owned(),
            role_arn: answer.provisioning_role_arn().unwrap_or_default().to_owned(),
            is_jitp: answer.r#type() == Some(&TemplateType::Jitp),
            enabled: answer.enabled().unwrap_or(false),
            version: answer.default_version_id().unwrap_or(1),
        }))
    }

    /// A CA that is registered.
    pub(super) fn ca(&self, id: &[u8; 32]) -> Result<Option<RegisteredCa>, AwsError> {
        let request = self
            .iot
            .describe_ca_certificate()
            .certificate_id(HEXLOWER.encode(id));
        let Some(answer) = if_found(self.ask("iot:DescribeCACertificate", request.send()))? else {
            return Ok(None);
        };
        let described = answer.certificate_description().ok_or(AwsError::Incomplete {
            operation: "iot:DescribeCACertificate",
            what: "a description",
        })?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let config = answer.registration_config().map(|config| RegistrationConfig {
            template_body: config.template_body().map(str::to_owned),
            role_arn: config.role_arn().map(str::to_owned),
            template_name: config.template_name().map(str::to_owned),
        });
        Ok(Some(RegisteredCa {
            status: text(
                described
                    .status()
                    .map(aws_sdk_iot::types::CaCertificateStatus::as_str),
            ),
            auto_registration: described
                .auto_registration_status()
                .is_some_and(|status| status.as_str() == "ENABLE"),
            mode: described
                .certificate_mode()
                .map_or("DEFAULT", |mode| mode.as_str())
                .to_owned(),
            // A server that knows no config may answer an empty one.
            config: config.filter(|config| *config != RegistrationConfig::default()),
        }))
    }

    /// A rule of AWS IoT.
    pub(super) fn rule(&self, name: &str) -> Result<Option<TopicRule>, AwsError> {
        let request = self.iot.get_topic_rule().rule_name(name);
        let answer = match self.ask("iot:GetTopicRule", request.send()) {
            // AWS IoT says "unauthorized" of a rule that is not there, lest names be guessed.
            Err(AwsError::Refused { code, .. }) if code == "UnauthorizedException" => None,
            other => if_found(other)?,
        };
        let Some(answer) = answer else { return Ok(None) };
        let Some(rule) = answer.rule() else {
            return Ok(None);
        };
        let functions = rule.actions().iter().filter_map(|action| action.lambda());
        Ok(Some(TopicRule {
            sql: rule.sql().unwrap_or_default().to_owned(),
            functions: functions.map(|action| action.function_arn().to_owned()).collect(),
            enabled: !rule.rule_disabled().unwrap_or(false),
        }))
    }

    /// The host that devices connect to.
    pub(super) fn endpoint(&self) -> Result<String, AwsError> {
        let request = self.iot.describe_endpoint().endpoint_type("iot:Data-ATS");
        let answer = self.ask("iot:DescribeEndpoint", request.send())?;
        let address = answer.endpoint_address().ok_or(AwsError::Incomplete {
            operation: "iot:DescribeEndpoint",
            what: "an address",
        })?;
        // Servers other than AWS's name a port.
        Ok(address.split(':').next().unwrap_or_default().to_owned())
    }

    /// Whether something that a template takes for granted is there.
    pub(super) fn exists(&self, prerequisite: &Prerequisite) -> Result<bool, AwsError> {
        let iot = &self.iot;
        let found = match prerequisite {
            Prerequisite::ThingType(name) => {
                let request = iot.describe_thing_type().thing_type_name(name);
                self.ask("iot:DescribeThingType", request.send()).map(drop)
            }
            Prerequisite::ThingGroup(name) => {
                let request = iot.describe_thing_group().thing_group_name(name);
                self.ask("iot:DescribeThingGroup", request.send()).map(drop)
            }
            Prerequisite::BillingGroup(name) => {
                let request = iot.describe_billing_group().billing_group_name(name);
                self.ask("iot:DescribeBillingGroup", request.send()).map(drop)
            }
            Prerequisite::Policy(name) => {
                let request = iot.get_policy().policy_name(name);
                self.ask("iot:GetPolicy", request.send()).map(drop)
            }
        };
        Ok(if_found(found)?.is_some())
    }
}
