//! Carrying out: each action of a plan as a request to AWS IoT or IAM.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
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

const ROLE_DESCRIPTION: &str = "Lets AWS IoT provision devices just in time (JITP)";

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
        let answer = self.ask("iot:GetRegistrationCode", self.iot.get_registration_code())?;
        let code = answer["registrationCode"].as_str().ok_or(AwsError::Incomplete {
            operation: "iot:GetRegistrationCode",
            what: "a code",
        })?;
        Ok(code.to_owned())
    }

    fn request(&self, action: &Action, ca: &CaCertificate, proof: Option<&str>) -> Result<(), AwsError> {
        let (iot, iam) = (&self.iot, &self.iam);
        match action {
            Action::CreateRole { name, trust } => {
                let trust = trust.to_string();
                let request = iam.create_role(name, &trust, ROLE_DESCRIPTION);
                self.ask("iam:CreateRole", request).map(drop)
            }
            Action::SetTrust { name, trust } => {
                let trust = trust.to_string();
                let request = iam.update_assume_role_policy(name, &trust);
                self.ask("iam:UpdateAssumeRolePolicy", request).map(drop)
            }
            Action::AttachPolicy { role, policy_arn } => {
                let request = iam.attach_role_policy(role, policy_arn);
                self.ask("iam:AttachRolePolicy", request).map(drop)
            }
            Action::CreateTemplate { name, body, role_arn } => {
                let template = json!({
                    "templateName": name,
                    "type": "JITP",
                    "enabled": true,
                    "provisioningRoleArn": role_arn,
                    "templateBody": body,
                });
                let request = iot.create_provisioning_template(&template);
                self.ask("iot:CreateProvisioningTemplate", request).map(drop)
            }
            Action::AddTemplateVersion { name, body } => {
                let request = iot.create_provisioning_template_version(name, body);
                self.ask("iot:CreateProvisioningTemplateVersion", request)
                    .map(drop)
            }
            Action::UpdateTemplate { name, role_arn } => {
                let change = json!({ "enabled": true, "provisioningRoleArn": role_arn });
                let request = iot.update_provisioning_template(name, &change);
                self.ask("iot:UpdateProvisioningTemplate", request).map(drop)
            }
            Action::PutRule {
                name,
                sql,
                function,
                replace,
            } => self.put_rule(name, sql, function, *replace),
            Action::RegisterCa { mode, config } => {
                let mut asked = json!({ "caCertificate": ca.to_pem(), "certificateMode": mode.as_str() });
                if let Some(proof) = proof {
                    asked["verificationCertificate"] = proof.into();
                }
                if let Some(config) = config {
                    asked["registrationConfig"] = registration_config(config);
                }
                let request = iot.register_ca_certificate(&asked);
                self.ask("iot:RegisterCACertificate", request).map(drop)
            }
            Action::UpdateCa {
                id,
                activate,
                enable_registration,
                config,
            } => {
                let mut settings = Vec::new();
                settings.extend(activate.then_some(("newStatus", "ACTIVE")));
                settings.extend(enable_registration.then_some(("newAutoRegistrationStatus", "ENABLE")));
                let config = config.as_ref().map(registration_config);
                let request = iot.update_ca_certificate(id, &settings, config);
                self.ask("iot:UpdateCACertificate", request).map(drop)
            }
            Action::NoteEndpoint { .. } => Ok(()),
        }
    }

    fn put_rule(&self, name: &str, sql: &str, function: &str, replace: bool) -> Result<(), AwsError> {
        let rule = json!({
            "sql": sql,
            "awsIotSqlVersion": SQL_VERSION,
            "description": "Just-In-Time Registration by certforge",
            "actions": [{ "lambda": { "functionArn": function } }],
            "ruleDisabled": false,
        });
        if replace {
            let request = self.iot.replace_topic_rule(name, &rule);
            self.ask("iot:ReplaceTopicRule", request).map(drop)
        } else {
            let request = self.iot.create_topic_rule(name, &rule);
            self.ask("iot:CreateTopicRule", request).map(drop)
        }
    }
}

/// As AWS IoT has it.
fn registration_config(config: &RegistrationConfig) -> Value {
    let mut asked = Map::new();
    for (name, value) in [
        ("templateBody", &config.template_body),
        ("roleArn", &config.role_arn),
        ("templateName", &config.template_name),
    ] {
        if let Some(value) = value {
            asked.insert(name.to_owned(), value.as_str().into());
        }
    }
    Value::Object(asked)
}

/// Writes the note; it appears whole or not at all.
fn note_endpoint(path: &std::path::Path, host: &str) -> std::io::Result<()> {
    whole::write(path, format!("{}\n", endpoint_note(host)).as_bytes(), 0o644)
}
