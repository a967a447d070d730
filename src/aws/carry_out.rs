//! Carrying out: each action of a plan as a request to AWS IoT or IAM.

use std::time::{Duration, Instant};

use aws_sdk_iot::types;
use time::OffsetDateTime;

use super::action::{Action, ActionError, SQL_VERSION, endpoint_note};
use super::call::AwsError;
use super::cloud::Cloud;
use super::inventory::RegistrationConfig;
use super::registration::Registration;
use crate::issuer::CaCertificate;
use crate::jitp::ProofError;
use crate::whole;

/// How long a role that was just made is waited for, and how long between two attempts.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_secs(2);

/// Makes the proof of possession for a registration code: the verification certificate, PEM.
pub type Prove<'a> = &'a dyn Fn(&str, OffsetDateTime) -> Result<String, ProofError>;

impl Registration {
    /// Carries out what is to be done, in order, and returns how many changes that were. `tell` hears of each.
    ///
    /// # Errors
    ///
    /// When AWS refuses, or the proof cannot be made.
    pub fn carry_out(
        &self,
        cloud: &Cloud,
        ca: &CaCertificate,
        update: bool,
        now: OffsetDateTime,
        prove: Prove<'_>,
        tell: &mut dyn FnMut(&Action),
    ) -> Result<usize, ActionError> {
        let mut changes = 0;
        for action in self.actions(update) {
            cloud.carry_out(action, ca, now, prove)?;
            tell(action);
            changes += 1;
        }
        Ok(changes)
    }
}

impl Cloud {
    /// Carries out one action of a plan.
    fn carry_out(
        &self,
        action: &Action,
        ca: &CaCertificate,
        now: OffsetDateTime,
        prove: Prove<'_>,
    ) -> Result<(), ActionError> {
        if let Action::NoteEndpoint { path, host } = action {
            let host = match host {
                Some(host) => host.clone(),
                None => self.endpoint()?,
            };
            return note_endpoint(path, &host).map_err(|source| ActionError::Note {
                path: path.clone(),
                source,
            });
        }
        let proof = match action.needs_proof() {
            true => Some(prove(&self.registration_code()?, now)?),
            false => None,
        };
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.request(action, ca, proof.as_deref()) {
                // A role that was just made is not known everywhere at once.
                Err(AwsError::Refused { code, message, .. })
                    if code == "InvalidRequestException"
                        && message.to_lowercase().contains("role")
                        && Instant::now() < give_up =>
                {
                    std::thread::sleep(PAUSE);
                }
                other => return Ok(other?),
            }
        }
    }

    fn registration_code(&self) -> Result<String, AwsError> {
        let request = self.iot.get_registration_code();
        let answer = self.ask("iot:GetRegistrationCode", request.send())?;
        let code = answer.registration_code().ok_or(AwsError::Incomplete {
            operation: "iot:GetRegistrationCode",
            what: "a code",
        })?;
        Ok(code.to_owned())
    }

    fn request(&self, action: &Action, ca: &CaCertificate, proof: Option<&str>) -> Result<(), AwsError> {
        let (iot, iam) = (&self.iot, &self.iam);
        match action {
            Action::CreateRole { name, trust } => {
                let request = iam
                    .create_role()
                    .role_name(name)
                    .assume_role_policy_document(trust.to_string())
                    .description("Lets AWS IoT provision devices just in time (JITP)");
                self.ask("iam:CreateRole", request.send()).map(drop)
            }
            Action::SetTrust { name, trust } => {
                let request = iam
                    .update_assume_role_policy()
                    .role_name(name)
                    .policy_document(trust.to_string());
                self.ask("iam:UpdateAssumeRolePolicy", request.send()).map(drop)
            }
            Action::AttachPolicy { role, policy_arn } => {
                let request = iam.attach_role_policy().role_name(role).policy_arn(policy_arn);
                self.ask("iam:AttachRolePolicy", request.send()).map(drop)
            }
            Action::CreateTemplate { name, body, role_arn } => {
                let request = iot
                    .create_provisioning_template()
                    .template_name(name)
                    .r#type(types::TemplateType::Jitp)
                    .enabled(true)
                    .provisioning_role_arn(role_arn)
                    .template_body(body);
                self.ask("iot:CreateProvisioningTemplate", request.send())
                    .map(drop)
            }
            Action::AddTemplateVersion { name, body } => {
                let request = iot
                    .create_provisioning_template_version()
                    .template_name(name)
                    .template_body(body)
                    .set_as_default(true);
                self.ask("iot:CreateProvisioningTemplateVersion", request.send())
                    .map(drop)
            }
            Action::UpdateTemplate { name, role_arn } => {
                let request = iot
                    .update_provisioning_template()
                    .template_name(name)
                    .enabled(true)
                    .provisioning_role_arn(role_arn);
                self.ask("iot:UpdateProvisioningTemplate", request.send())
                    .map(drop)
            }
            Action::PutRule {
                name,
                sql,
                function,
                replace,
            } => self.put_rule(name, sql, function, *replace),
            Action::RegisterCa { mode, config } => {
                let request = iot
                    .register_ca_certificate()
                    .ca_certificate(ca.to_pem())
                    .set_verification_certificate(proof.map(str::to_owned))
                    .certificate_mode(mode.as_str().into())
                    .set_as_active(true)
                    .allow_auto_registration(true)
                    .set_registration_config(config.as_ref().map(registration_config));
                self.ask("iot:RegisterCACertificate", request.send()).map(drop)
            }
            Action::UpdateCa {
                id,
                activate,
                enable_registration,
                config,
            } => {
                let request = iot
                    .update_ca_certificate()
                    .certificate_id(id)
                    .set_new_status(activate.then_some(types::CaCertificateStatus::Active))
                    .set_new_auto_registration_status(
                        enable_registration.then_some(types::AutoRegistrationStatus::Enable),
                    )
                    .set_registration_config(config.as_ref().map(registration_config));
                self.ask("iot:UpdateCACertificate", request.send()).map(drop)
            }
            Action::NoteEndpoint { .. } => Ok(()),
        }
    }

    fn put_rule(&self, name: &str, sql: &str, function: &str, replace: bool) -> Result<(), AwsError> {
        let incomplete = |_| AwsError::Incomplete {
            operation: "iot:CreateTopicRule",
            what: "a part of the request",
        };
        let lambda = types::LambdaAction::builder()
            .function_arn(function)
            .build()
            .map_err(incomplete)?;
        let payload = types::TopicRulePayload::builder()
            .sql(sql)
            .aws_iot_sql_version(SQL_VERSION)
            .description("Just-In-Time Registration by certforge")
            .actions(types::Action::builder().lambda(lambda).build())
            .rule_disabled(false)
            .build()
            .map_err(incomplete)?;
        if replace {
            let request = self
                .iot
                .replace_topic_rule()
                .rule_name(name)
                .topic_rule_payload(payload);
            self.ask("iot:ReplaceTopicRule", request.send()).map(drop)
        } else {
            let request = self
                .iot
                .create_topic_rule()
                .rule_name(name)
                .topic_rule_payload(payload);
            self.ask("iot:CreateTopicRule", request.send()).map(drop)
        }
    }
}

fn registration_config(config: &RegistrationConfig) -> types::RegistrationConfig {
    types::RegistrationConfig::builder()
        .set_template_body(config.template_body.clone())
        .set_role_arn(config.role_arn.clone())
        .set_template_name(config.template_name.clone())
        .build()
}

/// Writes the note; it appears whole or not at all.
fn note_endpoint(path: &std::path::Path, host: &str) -> std::io::Result<()> {
    whole::write(path, format!("{}\n", endpoint_note(host)).as_bytes(), 0o644)
}
