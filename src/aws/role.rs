//! The role that AWS IoT takes to run a template: who may take it, and what it may do.

use serde_json::{Value, json};

/// Who may take the role: AWS IoT itself.
const SERVICE: &str = "iot.amazonaws.com";

/// The policies of AWS that JITP's role needs, under `service-role/`.
const POLICIES: [&str; 3] = ["AWSIoTThingsRegistration", "AWSIoTLogging", "AWSIoTRuleActions"];

/// The trust policy of the role.
#[must_use]
pub fn trust_policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": SERVICE },
            "Action": "sts:AssumeRole"
        }]
    })
}

/// ARNs of the policies of AWS that the role needs.
#[must_use]
pub fn managed_policies(partition: &str) -> Vec<String> {
    let arn = |name| format!("arn:{partition}:iam::aws:policy/service-role/{name}");
    POLICIES.into_iter().map(arn).collect()
}

/// Whether AWS IoT may take a role, whatever else its trust policy says.
#[must_use]
pub fn trusts_iot(trust: &Value) -> bool {
    let has = |value: &Value, text: &str| match value {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| item == text),
        _ => false,
    };
    let statements = match &trust["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        statement => vec![statement],
    };
    statements.into_iter().any(|statement| {
        statement["Effect"] == "Allow"
            && has(&statement["Principal"]["Service"], SERVICE)
            && has(&statement["Action"], "sts:AssumeRole")
            && statement.get("Condition").is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_others_may_take_too_is_a_role() {
        let mut trust = trust_policy();
        trust["Statement"][0]["Principal"]["Service"] = json!(["ec2.amazonaws.com", SERVICE]);
        assert!(trusts_iot(&trust));
        trust["Statement"][0]["Effect"] = "Deny".into();
        assert!(!trusts_iot(&trust));
        assert!(!trusts_iot(&Value::Null));
    }
}
