//! Actions: everything that a plan may change, each as the AWS CLI would say it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::call::AwsError;
use super::inventory::RegistrationConfig;
use crate::issuer::CertificateMode;
use crate::jitp::ProofError;

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
        mode: CertificateMode,
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
        /// `None`: AWS was not asked for it yet.
        host: Option<String>,
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
    /// Whether AWS wants a proof that the CA's key is at hand.
    #[must_use]
    pub fn needs_proof(&self) -> bool {
        matches!(
            self,
            Self::RegisterCa {
                mode: CertificateMode::Default,
                ..
            }
        )
    }
}

/// The version of AWS IoT SQL in which rules are written.
pub(super) const SQL_VERSION: &str = "2016-03-23";

/// What is noted of an endpoint.
pub(super) fn endpoint_note(host: &str) -> String {
    json!({ "host": host }).to_string()
}

/// What it does, for people.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRole { name, .. } => write!(f, "create role {name}, which AWS IoT may take"),
            Self::SetTrust { name, .. } => write!(f, "let AWS IoT take role {name}, for this account alone"),
            Self::AttachPolicy { role, policy_arn } => write!(f, "attach {policy_arn} to role {role}"),
            Self::CreateTemplate { name, .. } => write!(f, "create provisioning template {name}"),
            Self::AddTemplateVersion { name, .. } => {
                write!(
                    f,
                    "add a version to provisioning template {name}, and make it the default for every CA that uses it"
                )
            }
            Self::UpdateTemplate { name, role_arn } => {
                write!(f, "enable provisioning template {name}, with role {role_arn}")
            }
            Self::PutRule {
                name,
                function,
                replace,
                ..
            } => write!(
                f,
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
                let proof = if self.needs_proof() { ", prove its key" } else { "" };
                let mode = mode.as_str();
                write!(
                    f,
                    "register the CA ({mode}){proof}: active, with auto-registration {config}"
                )
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
                write!(f, "change the CA: {}", parts.join(", "))
            }
            Self::NoteEndpoint { path, host } => {
                let path = path.display();
                match host {
                    Some(host) => write!(f, "note endpoint {host} in {path}"),
                    None => write!(f, "ask for the endpoint, and note it in {path}"),
                }
            }
        }
    }
}
