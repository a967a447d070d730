//! Documents as AWS prints them, and what is wrong around a template in each.

use serde_json::json;
use time::macros::datetime;

use super::*;

/// The paths of what is wrong around a template, or with a document that holds none.
fn around(document: &Value) -> Vec<String> {
    let now = datetime!(2026-06-01 0:00 UTC);
    let findings = match open(document.as_object().unwrap(), Some(now)) {
        Content::Template => panic!("{document}"),
        Content::Within(contained) => contained.around,
        Content::None(findings) => findings,
    };
    let of = |finding: Finding| {
        let mark = if finding.is_error() { "" } else { "?" };
        mark.to_owned() + &finding.path
    };
    findings.into_iter().map(of).collect()
}

#[test]
fn everything_that_aws_prints_around_a_template_is_looked_at() {
    let role = "arn:aws:iam::123456789012:role/r";
    let described = |key: &str, value: Value| {
        let mut document = json!({
            "certificateDescription": {
                "certificateArn": "arn:aws:iot:eu-west-1:123456789012:cacert/ab",
                "certificateId": "ab", "status": "ACTIVE", "autoRegistrationStatus": "ENABLE",
                "certificateMode": "SNI_ONLY",
                "validity": {"notBefore": "2020-01-01T00:00:00+01:00", "notAfter": "2030-01-01T00:00:00+01:00"}
            },
            "registrationConfig": {"templateBody": "{}", "roleArn": role}
        });
        document["certificateDescription"][key] = value;
        document
    };
    let kept = |key: &str, value: Value| {
        let mut document = json!({
            "templateArn": "arn:aws:iot:eu-west-1:123456789012:provisioningtemplate/t",
            "templateName": "t", "templateBody": "{}", "enabled": true, "provisioningRoleArn": role, "type": "JITP"
        });
        document[key] = value;
        document
    };
    for (document, expected) in [
        (described("x", json!(1)), &[][..]),
        (
            described("status", json!("INACTIVE")),
            &["$.certificateDescription.status"],
        ),
        (
            described("autoRegistrationStatus", json!("DISABLE")),
            &["$.certificateDescription.autoRegistrationStatus"],
        ),
        (
            described("validity", json!({"notAfter": "2025-01-01T00:00:00+01:00"})),
            &["$.certificateDescription.validity.notAfter"],
        ),
        (
            described("validity", json!({"notAfter": 1e9})),
            &["$.certificateDescription.validity.notAfter"],
        ),
        (
            described(
                "certificateArn",
                json!("arn:aws:iot:eu-west-1:111122223333:cacert/ab"),
            ),
            &["$.registrationConfig.roleArn"],
        ),
        (json!({"certificateDescription": {"status": "ACTIVE"}}), &["$"]),
        (
            json!({"certificateDescription": {}, "registrationConfig": {"templateName": "t"}}),
            &["$.registrationConfig"],
        ),
        (kept("x", json!(1)), &[]),
        (kept("enabled", json!(false)), &["$.enabled"]),
        (kept("type", json!("FLEET_PROVISIONING")), &["$.type"]),
        (
            kept("preProvisioningHook", json!({"targetArn": "a"})),
            &["$.preProvisioningHook"],
        ),
        (
            kept("provisioningRoleArn", json!("arn:aws:iam::ACCOUNT:role/r")),
            &["$.provisioningRoleArn"],
        ),
        (
            json!({"versionId": 2, "templateBody": "{}", "isDefaultVersion": false}),
            &["?$.isDefaultVersion"],
        ),
        (json!({"templateBody": "{}", "roleArn": role}), &[]),
        (json!({"templateBody": "{}"}), &["?$"]),
        (json!({"templateBody": "{}", "roleArn": "r"}), &["$.roleArn"]),
        (
            json!({"templateBody": "{}", "roleArn": role, "rolearn": "r"}),
            &["$.rolearn"],
        ),
        (
            json!({"templateBody": "{}", "roleArn": role, "templateName": "t"}),
            &["$"],
        ),
        (
            json!({"caCertificate": "", "setAsActive": false, "allowAutoRegistration": true,
                "registrationConfig": {"templateBody": "{}", "roleArn": role}}),
            &["$.setAsActive", "$"],
        ),
    ] {
        assert_eq!(around(&document), expected, "{document}");
    }
}
