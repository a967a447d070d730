//! Configurations of Terraform, and texts that are none.

use super::*;

#[test]
fn reads_what_holds_templates_and_policies() {
    let text = r#"
        # resource "aws_iot_policy" "in a comment" has no brace
        resource "aws_s3_bucket" "b" { bucket = "x" }
        resource "aws_iot_policy" "lamps" {
          name = "lamps-${var.site}"
          policy = jsonencode({
            Version = "2012-10-17", Statement = [
              { Effect = "Allow", Action = ["iot:Connect"] // own
                Resource = "arn:${data.aws_partition.current.partition}:iot:${var.region}:${local.account_id}:client/$${iot:ClientId}" },
            ]
          })
          count = var.enabled ? 1 : 0
        }
        resource "aws_iot_provisioning_template" "lamps" {
          enabled = true
          provisioning_role_arn = aws_iam_role.jitp[0].arn
          template_body = <<-EOT
            {"a": "$${iot:ClientId}", "b": "${var.x}"}
          EOT
          pre_provisioning_hook { target_arn = "x" }
          tags = { "a" : "b" }
        }
    "#;
    let found = resources(text);
    let names: Vec<_> = found.iter().map(|resource| resource.kind.as_str()).collect();
    assert_eq!(names, ["aws_iot_policy", "aws_iot_provisioning_template"]);
    let policy: Value = serde_json::from_str(found[0].arguments["policy"].as_str().unwrap()).unwrap();
    let arn = "arn:aws:iot:us-east-1:123456789012:client/${iot:ClientId}";
    assert_eq!(policy["Statement"][0]["Resource"], arn);
    assert_eq!(found[0].arguments["count"], "x");
    let template = &found[1].arguments;
    assert_eq!(
        template["template_body"].as_str().unwrap().trim(),
        r#"{"a": "${iot:ClientId}", "b": "x"}"#
    );
    assert_eq!(
        template["provisioning_role_arn"],
        "arn:aws:iam::123456789012:role/x"
    );
    assert_eq!(template["enabled"], json!(true));
    assert!(template["pre_provisioning_hook"].is_object());
}

#[test]
fn what_comes_from_elsewhere_is_not_looked_at() {
    let text = r#"
        resource "aws_iot_policy" "a" { policy = data.aws_iam_policy_document.a.json }
        resource "aws_iot_policy" "b" { policy = file("${path.module}/b.json") }
        resource "aws_iot_policy" "c" { policy = "{}" }
        resource "aws_iot_provisioning_template" "d" { template_body = file("d.json") }
    "#;
    assert_eq!(policies(text).0.len(), 1);
    assert!(templates(text).0.is_empty());
}

#[test]
fn a_policy_variable_must_be_escaped() {
    let text = r#"
        resource "aws_iot_policy" "a" { policy = "{\"a\": \"${iot:ClientId}\"}" }
        resource "aws_iot_policy" "b" { policy = "{\"a\": \"$${iot:ClientId}\"}" }
    "#;
    let (found, findings) = policies(text);
    assert_eq!(found.len(), 2);
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(finding.path, "$.aws_iot_policy.a");
    assert!(
        finding.hint.as_ref().unwrap().contains("$${iot:ClientId}"),
        "{finding:?}"
    );
}

#[test]
fn whatever_is_written_is_read_to_an_end() {
    for text in [
        "resource \"aws_iot_policy\" \"a\" {",
        "resource \"aws_iot_policy\" \"a\" { policy = <<EOT\nx",
        "resource \"aws_iot_policy\" \"a\" { policy = [[[[",
        "resource \"aws_iot_policy\" \"a\" { policy = \"${\"x\"}\" + \"",
        "resource \"aws_iot_policy\" \"a\" { = }",
        "resource",
    ] {
        assert!(resources(text).is_empty(), "{text}");
    }
    let deep = format!(
        "resource \"aws_iot_policy\" \"a\" {{ policy = {} }}",
        "[".repeat(10_000)
    );
    assert!(resources(&deep).is_empty());
}
