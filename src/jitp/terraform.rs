//! Terraform: templates and policies of devices that stand in resources of a configuration, as `jsonencode(…)`, a heredoc or
//! a text.
//!
//! What Terraform would fill in is known by its form alone.

use serde_json::{Value, json};

use super::cloudformation::{Kept, drop_nulls};
use super::finding::Finding;
use super::hcl::{Resource, resources};
use super::json::Path;
use super::stand_in::is_document;

/// Whether a text that is no JSON is a configuration of Terraform.
pub(super) fn looks_like(text: &str) -> bool {
    text.contains("resource") && text.contains("\"aws_iot_")
}

/// The policies of `aws_iot_policy`, each with where it stands; and what is wrong with how they are written.
pub(super) fn policies(text: &str) -> (Vec<(Path, String)>, Vec<Finding>) {
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    for resource in resources(text) {
        match resource.arguments.get("policy") {
            Some(Value::String(policy)) if resource.kind == "aws_iot_policy" && is_document(policy) => {
                findings.extend(resource.findings());
                found.push((resource.path().key("policy"), policy.clone()));
            }
            _ => {}
        }
    }
    (found, findings)
}

/// The provisioning templates, in the form in which AWS prints one, each with where it stands; and what is wrong with how they
/// are written.
pub(super) fn templates(text: &str) -> (Vec<Kept>, Vec<Finding>) {
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    for resource in resources(text) {
        let arguments = &resource.arguments;
        let document = match resource.kind.as_str() {
            "aws_iot_provisioning_template" => json!({
                "templateName": arguments.get("name"),
                "templateBody": arguments.get("template_body"),
                "enabled": arguments.get("enabled"),
                "type": arguments.get("type"),
                "provisioningRoleArn": arguments.get("provisioning_role_arn"),
                "preProvisioningHook": arguments.get("pre_provisioning_hook"),
            }),
            "aws_iot_ca_certificate" => {
                let Some(config) = arguments.get("registration_config") else {
                    continue;
                };
                let status = |key: &str, yes: &str, no: &str| match arguments.get(key) {
                    Some(Value::Bool(true)) => Some(yes.to_owned()),
                    Some(Value::Bool(false)) => Some(no.to_owned()),
                    _ => None,
                };
                json!({
                    "certificateDescription": {
                        "status": status("active", "ACTIVE", "INACTIVE"),
                        "autoRegistrationStatus": status("allow_auto_registration", "ENABLE", "DISABLE"),
                    },
                    "registrationConfig": {
                        "templateBody": config.get("template_body"),
                        "templateName": config.get("template_name"),
                        "roleArn": config.get("role_arn"),
                    },
                })
            }
            _ => continue,
        };
        let mut document = document;
        let config = document.get("registrationConfig").unwrap_or(&document);
        if config["templateBody"]
            .as_str()
            .is_some_and(|body| !is_document(body))
        {
            continue;
        }
        drop_nulls(&mut document);
        if let Value::Object(document) = document {
            findings.extend(resource.findings());
            found.push((resource.path(), document));
        }
    }
    (found, findings)
}

impl Resource {
    fn path(&self) -> Path {
        Path::root().key(&self.kind).key(&self.name)
    }

    fn findings(&self) -> impl Iterator<Item = Finding> {
        self.unescaped.iter().map(|name| {
            Finding::error(
                &self.path(),
                format!("Terraform would take ${{{name}}} for its own"),
            )
            .with_hint(format!(
                "a policy variable within a text of Terraform is written $${{{name}}}"
            ))
        })
    }
}

#[cfg(test)]
#[path = "terraform_tests.rs"]
mod tests;
