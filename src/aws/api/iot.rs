//! AWS IoT: JSON, with names in paths and settings in queries.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ErrorMetadata;
use aws_types::region::Region;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Client, Refusal, Request, endpoint};
use crate::jitp::Prerequisite;

/// What a path and a query take as it is (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of AWS IoT.
#[derive(Debug, Clone)]
pub(in super::super) struct Iot(Client);

/// What AWS IoT answers, JSON; `Null`, when it is none.
type Answer = Result<Value, Refusal>;

/// What AWS IoT says of a provisioning template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct TemplateDescription {
    pub r#type: Option<String>,
    pub template_body: Option<String>,
    pub provisioning_role_arn: Option<String>,
    pub enabled: bool,
    pub default_version_id: Option<i32>,
}

/// What AWS IoT says of a CA.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct CaDescription {
    pub status: String,
    pub auto_registration_status: Option<String>,
    pub certificate_mode: Option<String>,
}

/// What AWS IoT says of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct RuleDescription {
    pub sql: String,
    pub actions: Vec<RuleAction>,
    pub rule_disabled: bool,
}

/// What a rule does: of all that AWS IoT knows, functions alone are looked at.
#[derive(Debug, Deserialize)]
pub(in super::super) struct RuleAction {
    pub lambda: Option<LambdaAction>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct LambdaAction {
    pub function_arn: String,
}

impl Iot {
    pub fn new(config: &SdkConfig, region: &Region) -> Self {
        Self(Client {
            name: "iot",
            place: endpoint::of_iot(config, region),
            read_refusal,
            is_answer,
            config: config.clone(),
        })
    }

    pub async fn describe_endpoint(&self) -> Answer {
        let target = format!("/endpoint?endpointType={}", encoded("iot:Data-ATS"));
        self.get("DescribeEndpoint", target).await
    }

    pub async fn get_registration_code(&self) -> Answer {
        self.get("GetRegistrationCode", "/registrationcode".to_owned())
            .await
    }

    pub async fn describe_ca_certificate(&self, id: &str) -> Answer {
        self.get("DescribeCACertificate", format!("/cacertificate/{}", encoded(id)))
            .await
    }

    /// `body`: `caCertificate`, `verificationCertificate`, `certificateMode`, `registrationConfig`.
    pub async fn register_ca_certificate(&self, body: &Value) -> Answer {
        let target = "/cacertificate?setAsActive=true&allowAutoRegistration=true".to_owned();
        self.send("RegisterCACertificate", "POST", target, body).await
    }

    /// `settings`: `newStatus` and `newAutoRegistrationStatus`, where they change.
    pub async fn update_ca_certificate(
        &self,
        id: &str,
        settings: &[(&str, &str)],
        config: Option<Value>,
    ) -> Answer {
        let target = format!("/cacertificate/{}{}", encoded(id), query(settings));
        let body = config.map_or_else(|| json!({}), |config| json!({ "registrationConfig": config }));
        self.send("UpdateCACertificate", "PUT", target, &body).await
    }

    pub async fn describe_provisioning_template(&self, name: &str) -> Answer {
        let target = format!("/provisioning-templates/{}", encoded(name));
        self.get("DescribeProvisioningTemplate", target).await
    }

    /// `body`: `templateName`, `type`, `enabled`, `provisioningRoleArn`, `templateBody`.
    pub async fn create_provisioning_template(&self, body: &Value) -> Answer {
        let target = "/provisioning-templates".to_owned();
        self.send("CreateProvisioningTemplate", "POST", target, body)
            .await
    }

    /// Another version, which is the default from then on.
    pub async fn create_provisioning_template_version(&self, name: &str, template: &str) -> Answer {
        let target = format!(
            "/provisioning-templates/{}/versions?setAsDefault=true",
            encoded(name)
        );
        let body = json!({ "templateBody": template });
        self.send("CreateProvisioningTemplateVersion", "POST", target, &body)
            .await
    }

    /// `body`: `enabled`, `provisioningRoleArn`.
    pub async fn update_provisioning_template(&self, name: &str, body: &Value) -> Answer {
        let target = format!("/provisioning-templates/{}", encoded(name));
        self.send("UpdateProvisioningTemplate", "PATCH", target, body)
            .await
    }

    pub async fn get_topic_rule(&self, name: &str) -> Answer {
        self.get("GetTopicRule", format!("/rules/{}", encoded(name)))
            .await
    }

    pub async fn create_topic_rule(&self, name: &str, rule: &Value) -> Answer {
        let target = format!("/rules/{}", encoded(name));
        self.send("CreateTopicRule", "POST", target, rule).await
    }

    pub async fn replace_topic_rule(&self, name: &str, rule: &Value) -> Answer {
        let target = format!("/rules/{}", encoded(name));
        self.send("ReplaceTopicRule", "PATCH", target, rule).await
    }

    pub async fn update_certificate(&self, id: &str, status: &str) -> Answer {
        let target = format!("/certificates/{}{}", encoded(id), query(&[("newStatus", status)]));
        self.ask("UpdateCertificate", "PUT", target, String::new()).await
    }

    /// `body`: `certificatePem`, `caCertificatePem`, `status`.
    pub async fn register_certificate(&self, body: &Value) -> Answer {
        self.send(
            "RegisterCertificate",
            "POST",
            "/certificate/register".to_owned(),
            body,
        )
        .await
    }

    /// Something that a template takes for granted.
    pub async fn describe(&self, prerequisite: &Prerequisite) -> Answer {
        let (operation, folder, name) = match prerequisite {
            Prerequisite::ThingType(name) => ("DescribeThingType", "thing-types", name),
            Prerequisite::ThingGroup(name) => ("DescribeThingGroup", "thing-groups", name),
            Prerequisite::BillingGroup(name) => ("DescribeBillingGroup", "billing-groups", name),
            Prerequisite::Policy(name) => ("GetPolicy", "policies", name),
        };
        self.get(operation, format!("/{folder}/{}", encoded(name))).await
    }

    async fn get(&self, operation: &'static str, target: String) -> Answer {
        self.ask(operation, "GET", target, String::new()).await
    }

    async fn send(
        &self,
        operation: &'static str,
        method: &'static str,
        target: String,
        body: &Value,
    ) -> Answer {
        self.ask(operation, method, target, body.to_string()).await
    }

    async fn ask(
        &self,
        operation: &'static str,
        method: &'static str,
        target: String,
        body: String,
    ) -> Answer {
        let request = Request {
            operation,
            method,
            target,
            content_type: "application/json",
            body,
        };
        let answer = self.0.ask(request).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn query(settings: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (index, (name, value)) in settings.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.extend([*name, "=", &encoded(value)]);
    }
    text
}

/// A document of JSON is an object.
fn is_answer(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, Value>>(body).is_ok()
}

/// The code is in a header, or else in the body; around it there may be a namespace and an address.
fn read_refusal(answer: &HttpResponse) -> ErrorMetadata {
    let body = answer.body().bytes().unwrap_or_default();
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| said[name].as_str());
    let code = answer
        .headers()
        .get("x-amzn-errortype")
        .or_else(|| text(&["code", "__type"]));
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = code {
        let code = code.split(':').next().unwrap_or_default();
        refusal = refusal.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text(&["message", "Message", "errorMessage"]) {
        refusal = refusal.message(message);
    }
    refusal.build()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn refusals_are_read_wherever_their_code_is() {
        let refused = |header: Option<&'static str>, body: &'static str| {
            let mut answer = HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::from(body));
            if let Some(header) = header {
                answer.headers_mut().insert("x-amzn-ErrorType", header);
            }
            let refusal = read_refusal(&answer);
            (
                refusal.code().map(str::to_owned),
                refusal.message().map(str::to_owned),
            )
        };
        let some = |code: &str, message: &str| (Some(code.to_owned()), Some(message.to_owned()));
        assert_eq!(
            refused(
                Some("ResourceNotFoundException:http://internal.amazon.com/"),
                r#"{"message":"no"}"#
            ),
            some("ResourceNotFoundException", "no")
        );
        assert_eq!(
            refused(
                None,
                r#"{"__type":"com.amazon.iot#ThrottlingException","Message":"slow"}"#
            ),
            some("ThrottlingException", "slow")
        );
        assert_eq!(
            refused(None, r#"{"code":"X","errorMessage":"m"}"#),
            some("X", "m")
        );
        assert_eq!(refused(None, "<html>"), (None, None));
    }

    #[test]
    fn an_answer_is_an_object() {
        assert!(is_answer(b"{}") && is_answer(b" {\"rule\": null}\n"));
        for body in ["[]", "\"ok\"", "1", "true", "null", "<html>", "{", "{}{}"] {
            assert!(!is_answer(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn names_stay_where_they_are_put() {
        assert_eq!(
            encoded("a/b?c=d&e%\u{e9} -._~"),
            "a%2Fb%3Fc%3Dd%26e%25%C3%A9%20-._~"
        );
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("a", "b&c"), ("d", "e")]), "?a=b%26c&d=e");
    }
}
