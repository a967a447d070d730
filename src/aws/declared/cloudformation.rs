//! CloudFormation, JSON.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IoT.html>

use serde_json::{Map, Value, json};

use super::{Declared, SQL_VERSION};
use crate::aws::cloud::Caller;
use crate::aws::wanted::Wanted;

/// The registration as a template of CloudFormation. `certificate`: the CA's, PEM.
#[must_use]
pub fn cloudformation(wanted: &Wanted, caller: &Caller, certificate: &str) -> String {
    let declared = Declared::new(wanted, caller);
    let mut resources = Map::new();
    let mut add = |name: &str, kind: &str, properties: Value| {
        let resource = json!({"Type": format!("AWS::{kind}"), "Properties": properties});
        resources.insert(name.to_owned(), resource);
    };
    let role_arn = match declared.role {
        Some(name) => {
            add(
                "Role",
                "IAM::Role",
                json!({
                    "RoleName": name,
                    "AssumeRolePolicyDocument": declared.trust(),
                    "ManagedPolicyArns": declared.managed_policies().collect::<Vec<_>>(),
                }),
            );
            json!({"Fn::GetAtt": ["Role", "Arn"]})
        }
        None => json!(declared.role_arn()),
    };
    let mut ca = Map::new();
    ca.insert("CACertificatePem".to_owned(), certificate.into());
    ca.insert("Status".to_owned(), "ACTIVE".into());
    ca.insert("AutoRegistrationStatus".to_owned(), "ENABLE".into());
    ca.insert("CertificateMode".to_owned(), wanted.mode.as_str().into());
    if declared.needs_proof() {
        ca.insert(
            "VerificationCertificatePem".to_owned(),
            json!({"Ref": "VerificationCertificate"}),
        );
    }
    match declared.template() {
        Some((body, Some(name))) => {
            add(
                "Template",
                "IoT::ProvisioningTemplate",
                json!({
                    "TemplateName": name,
                    "TemplateType": "JITP",
                    "Enabled": true,
                    "ProvisioningRoleArn": role_arn,
                    "TemplateBody": body,
                }),
            );
            ca.insert(
                "RegistrationConfig".to_owned(),
                json!({"TemplateName": {"Ref": "Template"}}),
            );
        }
        Some((body, None)) => {
            let config = json!({"TemplateBody": body, "RoleArn": role_arn});
            ca.insert("RegistrationConfig".to_owned(), config);
        }
        None => {}
    }
    if let Some(function) = declared.function() {
        add(
            "Permission",
            "Lambda::Permission",
            json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "iot.amazonaws.com",
                "SourceAccount": caller.account,
                "SourceArn": declared.rule_arn(),
            }),
        );
        add(
            "Rule",
            "IoT::TopicRule",
            json!({
                "RuleName": declared.rule_name(),
                "TopicRulePayload": {
                    "Sql": declared.sql(),
                    "AwsIotSqlVersion": SQL_VERSION,
                    "RuleDisabled": false,
                    "Actions": [{"Lambda": {"FunctionArn": function}}],
                },
            }),
        );
    }
    add("Ca", "IoT::CACertificate", Value::Object(ca));
    if declared.function().is_some() {
        // An event that nobody hears is lost.
        resources["Ca"]["DependsOn"] = json!(["Rule", "Permission"]);
    }
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Registers a CA with AWS IoT, for the first connections of its devices",
    });
    if declared.needs_proof() {
        template["Parameters"] = json!({
            "VerificationCertificate": {
                "Type": "String",
                "Description": "PEM of the proof that the CA's key is at hand: certforge jitp proof, with the code of aws iot get-registration-code",
            },
        });
    }
    template["Resources"] = Value::Object(resources);
    serde_json::to_string_pretty(&template).expect("documents have only text keys") + "\n"
}
