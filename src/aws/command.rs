//! Actions as commands of the AWS CLI, for those who let nothing else change their account.

use std::path::Path;

use serde_json::{Value, json};

use super::action::{Action, SQL_VERSION, endpoint_note};
use super::inventory::RegistrationConfig;
use crate::issuer::CertificateMode;
use crate::shell::quoted;

/// What commands say besides an action: where it is carried out, and on which CA.
#[derive(Debug, Clone, Copy)]
pub struct CommandWords<'a> {
    pub region: &'a str,
    /// File of the CA's certificate.
    pub ca_certificate: &'a str,
    /// Options by which `certforge` finds the CA.
    pub ca_options: &'a str,
}

impl Action {
    /// The same as commands of the AWS CLI.
    #[must_use]
    pub fn command(&self, words: CommandWords<'_>) -> String {
        let region = words.region;
        match self {
            Self::CreateRole { name, trust } => joined(&[
                "aws iam create-role --role-name",
                &quoted(name),
                "--assume-role-policy-document",
                &quoted(&trust.to_string()),
            ]),
            Self::SetTrust { name, trust } => joined(&[
                "aws iam update-assume-role-policy --role-name",
                &quoted(name),
                "--policy-document",
                &quoted(&trust.to_string()),
            ]),
            Self::AttachPolicy { role, policy_arn } => joined(&[
                "aws iam attach-role-policy --role-name",
                &quoted(role),
                "--policy-arn",
                &quoted(policy_arn),
            ]),
            Self::CreateTemplate { name, body, role_arn } => joined(&[
                "aws iot create-provisioning-template --region",
                region,
                "--type JITP --enabled --template-name",
                &quoted(name),
                "--provisioning-role-arn",
                &quoted(role_arn),
                "--template-body",
                &quoted(body),
            ]),
            Self::AddTemplateVersion { name, body } => joined(&[
                "aws iot create-provisioning-template-version --region",
                region,
                "--set-as-default --template-name",
                &quoted(name),
                "--template-body",
                &quoted(body),
            ]),
            Self::UpdateTemplate { name, role_arn } => joined(&[
                "aws iot update-provisioning-template --region",
                region,
                "--enabled --template-name",
                &quoted(name),
                "--provisioning-role-arn",
                &quoted(role_arn),
            ]),
            Self::PutRule {
                name,
                sql,
                function,
                replace,
            } => put_rule(region, name, sql, function, *replace),
            Self::RegisterCa { mode, config } => register_ca(words, *mode, config.as_ref()),
            Self::UpdateCa {
                id,
                activate,
                enable_registration,
                config,
            } => {
                let mut command =
                    format!("aws iot update-ca-certificate --region {region} --certificate-id {id}");
                if *activate {
                    command.push_str(" --new-status ACTIVE");
                }
                if *enable_registration {
                    command.push_str(" --new-auto-registration-status ENABLE");
                }
                command + &config_option(config.as_ref())
            }
            Self::NoteEndpoint { path, host } => note_endpoint(region, path, host.as_deref()),
        }
    }
}

fn note_endpoint(region: &str, path: &Path, host: Option<&str>) -> String {
    let path = quoted(&path.display().to_string());
    match host {
        Some(host) => joined(&["printf '%s\\n'", &quoted(&endpoint_note(host)), ">", &path]),
        None => format!(
            "endpoint=$(aws iot describe-endpoint --region {region} --endpoint-type iot:Data-ATS \\\n  \
             --query endpointAddress --output text)\n\
             printf '{{\"host\":\"%s\"}}\\n' \"$endpoint\" > {path}"
        ),
    }
}

fn put_rule(region: &str, name: &str, sql: &str, function: &str, replace: bool) -> String {
    let verb = if replace { "replace" } else { "create" };
    let payload = json!({
        "sql": sql,
        "awsIotSqlVersion": SQL_VERSION,
        "actions": [{ "lambda": { "functionArn": function } }],
    });
    joined(&[
        &format!("aws iot {verb}-topic-rule --region"),
        region,
        "--rule-name",
        &quoted(name),
        "--topic-rule-payload",
        &quoted(&payload.to_string()),
    ])
}

fn register_ca(
    words: CommandWords<'_>,
    mode: CertificateMode,
    config: Option<&RegistrationConfig>,
) -> String {
    let region = words.region;
    let certificate = quoted(&format!("file://{}", words.ca_certificate));
    let (proof, verification) = match mode {
        CertificateMode::Default => (
            format!(
                "certforge jitp proof {} --to proof --registration-code \\\n  \
                 \"$(aws iot get-registration-code --region {region} --query registrationCode --output text)\"\n",
                words.ca_options
            ),
            "--verification-certificate file://proof/verification.pem",
        ),
        CertificateMode::SniOnly => (String::new(), "--certificate-mode SNI_ONLY"),
    };
    format!(
        "{proof}aws iot register-ca-certificate --region {region} --ca-certificate {certificate} {verification} \
         --set-as-active --allow-auto-registration{}",
        config_option(config)
    )
}

fn joined(words: &[&str]) -> String {
    words.join(" ")
}

/// The option, with a blank before it; empty for none.
fn config_option(config: Option<&RegistrationConfig>) -> String {
    let Some(config) = config else {
        return String::new();
    };
    let fields = [
        ("templateBody", &config.template_body),
        ("roleArn", &config.role_arn),
        ("templateName", &config.template_name),
    ];
    let object: serde_json::Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())))
        .collect();
    format!(
        " --registration-config {}",
        quoted(&Value::Object(object).to_string())
    )
}
