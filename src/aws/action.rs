//! Actions: everything that a plan may change, each as the AWS CLI would say it.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_iot::types;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::call::{AwsError, refusal};
use super::cloud::Cloud;
use super::find::RegistrationConfig;
use crate::issuer::CaCertificate;
use crate::jitp::ProofError;

/// How long a role that was just made is waited for, and how long between two attempts.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_secs(2);

/// A change to the account, or to the folder of the CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    CreateRole {
        name: String,
        trust: Value,
    },
    SetTrust {
        name: String,
        trust: Value,
    },
    AttachPolicy {
        role: String,
        policy_arn: String,
    },
    CreateTemplate {
        name: String,
        body: String,
        role_arn: String,
    },
    /// The new version becomes the default.
    AddTemplateVersion {
        name: String,
        body: String,
    },
    UpdateTemplate {
        name: String,
        role_arn: String,
    },
    PutRule {
        name: String,
        sql: String,
        function: String,
        replace: bool,
    },
    RegisterCa {
        mode: &'static str,
        config: Option<RegistrationConfig>,
    },
    UpdateCa {
        id: String,
        activate: bool,
        enable_registration: bool,
        config: Option<RegistrationConfig>,
    },
    NoteEndpoint {
        path: PathBuf,
        host: String,
    },
}

/// An action that failed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("{path} cannot be written")]
    Note { path: PathBuf, source: std::io::Error },
}

impl ActionError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Aws(error) => error.hint(),
            Self::Proof(error) => error.hint(),
            Self::Note { .. } => Some("check the path and who may use it".to_owned()),
        }
    }
}

impl Action {
    /// What it does, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::CreateRole { name, .. } => format!("create role {name}, which AWS IoT may take"),
            Self::SetTrust { name, .. } => format!("let AWS IoT alone take role {name}"),
            Self::AttachPolicy { role, policy_arn } => format!("attach {policy_arn} to role {role}"),
            Self::CreateTemplate { name, .. } => format!("create provisioning template {name}"),
            Self::AddTemplateVersion { name, .. } => {
                format!(
                    "add a version to provisioning template {name}, and make it the default for every CA that uses it"
                )
            }
            Self::UpdateTemplate { name, role_arn } => {
                format!("enable provisioning template {name}, with role {role_arn}")
            }
            Self::PutRule {
                name,
                function,
                replace,
                ..
            } => format!(
                "{} rule {name}, which calls {function}",
                if *replace { "replace" } else { "create" }
            ),
            Self::RegisterCa { mode, config } => {
                let config = match config {
                    None => "and no template".to_owned(),
                    Some(RegistrationConfig {
                        template_name: Some(name),
                        ..
                    }) => format!("and template {name}"),
                    Some(_) => "and the template".to_owned(),
                };
                let proof = if *mode == "DEFAULT" { ", prove its key" } else { "" };
                format!("register the CA ({mode}){proof}: active, with auto-registration {config}")
            }
            Self::UpdateCa {
                activate,
                enable_registration,
                config,
                ..
            } => {
                let parts = [
                    (*activate, "activate it"),
                    (*enable_registration, "enable auto-registration"),
                    (config.is_some(), "replace its template and role"),
                ];
                let parts: Vec<&str> = parts
                    .iter()
                    .filter(|(is_wanted, _)| *is_wanted)
                    .map(|(_, text)| *text)
                    .collect();
                format!("change the CA: {}", parts.join(", "))
            }
            Self::NoteEndpoint { path, host } => format!("note endpoint {host} in {}", path.display()),
        }
    }
}

/// The version of AWS IoT SQL in which rules are written.
pub(super) const SQL_VERSION: &str = "2016-03-23";

/// What is noted of an endpoint.
pub(super) fn endpoint_note(host: &str) -> String {
    json!({ "host": host }).to_string()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Makes the proof of possession for a registration code: the verification certificate, PEM.
pub type Prove<'a> = &'a dyn Fn(&str, OffsetDateTime) -> Result<String, ProofError>;

impl Cloud {
    /// Carries out one action of a plan.
    ///
    /// # Errors
    ///
    /// When AWS refuses, or the proof cannot be made.
    pub fn carry_out(
        &self,
        action: &Action,
        ca: &CaCertificate,
        now: OffsetDateTime,
        prove: Prove<'_>,
    ) -> Result<(), ActionError> {
        if let Action::NoteEndpoint { path, host } = action {
            return note_endpoint(path, host).map_err(|source| ActionError::Note {
                path: path.clone(),
                source,
            });
        }
        let proof = match action {
            Action::RegisterCa { mode: "DEFAULT", .. } => Some(prove(&self.registration_code()?, now)?),
            _ => None,
        };
        let give_up = std::time::Instant::now() + PATIENCE;
        loop {
            match self.runtime.block_on(self.ask(action, ca, proof.as_deref())) {
                // A role that was just made is not known everywhere at once.
                Err(AwsError::Refused { code, message, .. })
                    if code == "InvalidRequestException"
                        && message.to_lowercase().contains("role")
                        && std::time::Instant::now() < give_up =>
                {
                    self.runtime.block_on(tokio::time::sleep(PAUSE));
                }
                other => return Ok(other?),
            }
        }
    }

    fn registration_code(&self) -> Result<String, AwsError> {
        let answer = self.runtime.block_on(self.iot.get_registration_code().send());
        let answer = answer.map_err(refusal(&self.server, "iot:GetRegistrationCode"))?;
        let code = answer.registration_code().ok_or(AwsError::Incomplete {
            operation: "iot:GetRegistrationCode",
            what: "a code",
        })?;
        Ok(code.to_owned())
    }

    async fn ask(&self, action: &Action, ca: &CaCertificate, proof: Option<&str>) -> Result<(), AwsError> {
        let (iot, iam, server) = (&self.iot, &self.iam, &self.server);
        match action {
            Action::CreateRole { name, trust } => {
                let request = iam
                    .create_role()
                    .role_name(name)
                    .assume_role_policy_document(trust.to_string())
                    .description("Lets AWS IoT provision devices just in time (JITP)");
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iam:CreateRole"))
            }
            Action::SetTrust { name, trust } => {
                let request = iam
                    .update_assume_role_policy()
                    .role_name(name)
                    .policy_document(trust.to_string());
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iam:UpdateAssumeRolePolicy"))
            }
            Action::AttachPolicy { role, policy_arn } => {
                let request = iam.attach_role_policy().role_name(role).policy_arn(policy_arn);
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iam:AttachRolePolicy"))
            }
            Action::CreateTemplate { name, body, role_arn } => {
                let request = iot
                    .create_provisioning_template()
                    .template_name(name)
                    .r#type(types::TemplateType::Jitp)
                    .enabled(true)
                    .provisioning_role_arn(role_arn)
                    .template_body(body);
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iot:CreateProvisioningTemplate"))
            }
            Action::AddTemplateVersion { name, body } => {
                let request = iot
                    .create_provisioning_template_version()
                    .template_name(name)
                    .template_body(body)
                    .set_as_default(true);
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iot:CreateProvisioningTemplateVersion"))
            }
            Action::UpdateTemplate { name, role_arn } => {
                let request = iot
                    .update_provisioning_template()
                    .template_name(name)
                    .enabled(true)
                    .provisioning_role_arn(role_arn);
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iot:UpdateProvisioningTemplate"))
            }
            Action::PutRule {
                name,
                sql,
                function,
                replace,
            } => self.put_rule(name, sql, function, *replace).await,
            Action::RegisterCa { mode, config } => {
                let request = iot
                    .register_ca_certificate()
                    .ca_certificate(ca.to_pem())
                    .set_verification_certificate(proof.map(str::to_owned))
                    .certificate_mode((*mode).into())
                    .set_as_active(true)
                    .allow_auto_registration(true)
                    .set_registration_config(config.as_ref().map(registration_config));
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iot:RegisterCACertificate"))
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
                let answer = request.send().await.map(|_| ());
                answer.map_err(refusal(server, "iot:UpdateCACertificate"))
            }
            Action::NoteEndpoint { .. } => Ok(()),
        }
    }

    async fn put_rule(&self, name: &str, sql: &str, function: &str, replace: bool) -> Result<(), AwsError> {
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
            let answer = request.send().await.map(|_| ());
            answer.map_err(refusal(&self.server, "iot:ReplaceTopicRule"))
        } else {
            let request = self
                .iot
                .create_topic_rule()
                .rule_name(name)
                .topic_rule_payload(payload);
            let answer = request.send().await.map(|_| ());
            answer.map_err(refusal(&self.server, "iot:CreateTopicRule"))
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
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = std::fs::File::create(&name)?;
    writeln!(file, "{}", endpoint_note(host))?;
    file.sync_all()?;
    std::fs::rename(&name, path)
}
