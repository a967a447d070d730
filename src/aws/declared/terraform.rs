//! Terraform.
//!
//! <https://registry.terraform.io/providers/hashicorp/aws/latest/docs>

use super::{Declared, SQL_VERSION};
use crate::aws::cloud::Caller;
use crate::aws::wanted::Wanted;

/// The registration as a configuration of Terraform. `certificate`: the file of the CA's.
#[must_use]
pub fn terraform(wanted: &Wanted, caller: &Caller, certificate: &str) -> String {
    let declared = Declared::new(wanted, caller);
    let mut blocks = Vec::new();
    let role_arn = match declared.role {
        Some(name) => {
            blocks.push(block(
                "aws_iam_role",
                &[
                    ("name", text(name)),
                    ("assume_role_policy", text(&declared.trust().to_string())),
                ],
            ));
            let policies: Vec<String> = declared.managed_policies().map(|arn| text(&arn)).collect();
            blocks.push(block(
                "aws_iam_role_policy_attachment",
                &[
                    ("for_each", format!("toset([{}])", policies.join(", "))),
                    ("role", "aws_iam_role.certforge.name".to_owned()),
                    ("policy_arn", "each.value".to_owned()),
                ],
            ));
            "aws_iam_role.certforge.arn".to_owned()
        }
        None => text(declared.role_arn().unwrap_or_default()),
    };
    let mut ca = vec![
        ("ca_certificate_pem", format!("file({})", text(certificate))),
        ("active", "true".to_owned()),
        ("allow_auto_registration", "true".to_owned()),
        ("certificate_mode", text(wanted.mode.as_str())),
    ];
    if declared.needs_proof() {
        // `certforge jitp proof --to proof` makes it.
        ca.push((
            "verification_certificate_pem",
            "file(\"proof/verification.pem\")".to_owned(),
        ));
    }
    match declared.template() {
        Some((body, Some(name))) => {
            blocks.push(block(
                "aws_iot_provisioning_template",
                &[
                    ("name", text(name)),
                    ("type", text("JITP")),
                    ("enabled", "true".to_owned()),
                    ("provisioning_role_arn", role_arn),
                    ("template_body", text(body)),
                ],
            ));
            let name = "aws_iot_provisioning_template.certforge.name";
            ca.push((
                "registration_config",
                format!("{{\n    template_name = {name}\n  }}"),
            ));
        }
        Some((body, None)) => {
            let body = text(body);
            let config = format!("{{\n    template_body = {body}\n    role_arn = {role_arn}\n  }}");
            ca.push(("registration_config", config));
        }
        None => {}
    }
    if let Some(function) = declared.function() {
        blocks.push(block(
            "aws_lambda_permission",
            &[
                ("action", text("lambda:InvokeFunction")),
                ("function_name", text(function)),
                ("principal", text("iot.amazonaws.com")),
                ("source_account", text(&caller.account)),
                ("source_arn", text(&declared.rule_arn())),
            ],
        ));
        blocks.push(block(
            "aws_iot_topic_rule",
            &[
                ("name", text(&declared.rule_name())),
                ("enabled", "true".to_owned()),
                ("sql", text(&declared.sql())),
                ("sql_version", text(SQL_VERSION)),
                (
                    "lambda",
                    format!("{{\n    function_arn = {}\n  }}", text(function)),
                ),
            ],
        ));
        // An event that nobody hears is lost.
        let after = "[aws_iot_topic_rule.certforge, aws_lambda_permission.certforge]";
        ca.push(("depends_on", after.to_owned()));
    }
    blocks.push(block("aws_iot_ca_certificate", &ca));
    blocks.join("\n")
}

/// A resource with its arguments; one that begins with a brace is a block.
fn block(kind: &str, arguments: &[(&str, String)]) -> String {
    let lines: String = arguments
        .iter()
        .map(|(name, value)| match value.starts_with('{') {
            true => format!("  {name} {value}\n"),
            false => format!("  {name} = {value}\n"),
        })
        .collect();
    format!("resource \"{kind}\" \"certforge\" {{\n{lines}}}\n")
}

/// A text in quotes, in which nothing is filled in.
fn text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_variable_is_no_place_of_terraform() {
        assert_eq!(
            text("a\"${iot:ClientId}\n%{x}"),
            r#""a\"$${iot:ClientId}\n%%{x}""#
        );
    }
}
