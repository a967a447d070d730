//! Policies: whether a document is one that AWS IoT accepts.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policies.html>

use serde_json::{Map, Value};

use super::json;
use super::pattern::Pattern;

/// Most characters of a policy document, white space not counted.
const MAX_DOCUMENT: usize = 2048;

/// The only version that AWS IoT takes.
const VERSION: &str = "2012-10-17";

/// What a device may be allowed by a policy of AWS IoT Core.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policy-actions.html>
const ACTIONS: [&str; 17] = [
    "iot:Connect",
    "iot:Publish",
    "iot:Subscribe",
    "iot:Receive",
    "iot:RetainPublish",
    "iot:GetRetainedMessage",
    "iot:ListRetainedMessages",
    "iot:GetThingShadow",
    "iot:UpdateThingShadow",
    "iot:DeleteThingShadow",
    "iot:ListNamedShadowsForThing",
    "iot:DescribeJobExecution",
    "iot:GetPendingJobExecutions",
    "iot:UpdateJobExecution",
    "iot:StartNextPendingJobExecution",
    "iot:AssumeRoleWithCertificate",
    "iot:DeleteConnection",
];

/// What is wrong with a policy document.
#[derive(Debug, Default)]
pub(super) struct PolicyFindings {
    /// AWS IoT refuses it.
    pub errors: Vec<String>,
    /// AWS IoT takes it, and it may not do what was meant.
    pub warnings: Vec<String>,
}

/// Looks at a policy document.
pub(super) fn check(document: &str) -> PolicyFindings {
    let mut findings = PolicyFindings::default();
    let size = document.chars().filter(|c| !c.is_whitespace()).count();
    if size > MAX_DOCUMENT {
        findings.errors.push(format!(
            "the policy has {size} characters besides white space, AWS IoT allows {MAX_DOCUMENT}"
        ));
    }
    match json::read(document) {
        Ok(Value::Object(policy)) => check_policy(&policy, &mut findings),
        Ok(_) => findings.errors.push("the policy is no JSON object".to_owned()),
        Err(error) => findings.errors.push(format!("the policy is no JSON: {error}")),
    }
    findings
}

fn check_policy(policy: &Map<String, Value>, findings: &mut PolicyFindings) {
    for key in policy.keys() {
        if !["Version", "Id", "Statement"].contains(&key.as_str()) {
            findings.errors.push(format!("a policy has no {key}"));
        }
    }
    match policy.get("Version") {
        Some(Value::String(version)) if version == VERSION => {}
        Some(version) => findings
            .errors
            .push(format!("Version is {version}, AWS IoT takes \"{VERSION}\" alone")),
        None => findings
            .errors
            .push(format!("Version is missing; it must be \"{VERSION}\"")),
    }
    let statements: Vec<&Value> = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        Some(_) => return findings.errors.push("Statement is no list of objects".to_owned()),
        None => return findings.errors.push("Statement is missing".to_owned()),
    };
    if statements.is_empty() {
        findings.errors.push("Statement is empty".to_owned());
    }
    let mut allows_connect = false;
    for (i, statement) in statements.into_iter().enumerate() {
        match statement {
            Value::Object(statement) => allows_connect |= check_statement(i, statement, findings),
            _ => findings.errors.push(format!("Statement[{i}] is no object")),
        }
    }
    if !allows_connect && findings.errors.is_empty() {
        findings
            .warnings
            .push("no statement allows iot:Connect, so that no device can connect".to_owned());
    }
}

/// Whether the statement allows a device to connect.
fn check_statement(i: usize, statement: &Map<String, Value>, findings: &mut PolicyFindings) -> bool {
    let mut error = |text: String| findings.errors.push(format!("Statement[{i}] {text}"));
    for key in statement.keys() {
        match key.as_str() {
            "Sid" | "Effect" | "Action" | "Resource" | "Condition" => {}
            "Principal" | "NotPrincipal" => {
                error(format!(
                    "has {key}; a policy of AWS IoT is attached to its principal"
                ));
            }
            other => error(format!("has {other}, which a policy of AWS IoT does not know")),
        }
    }
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !matches!(effect, Some("Allow" | "Deny")) {
        error("has no Effect of Allow or Deny".to_owned());
    }
    if statement
        .get("Condition")
        .is_some_and(|condition| !condition.is_object())
    {
        error("has a Condition that is no object".to_owned());
    }
    let actions = texts(statement.get("Action"));
    if actions.is_none() {
        error("has no Action".to_owned());
    }
    match texts(statement.get("Resource")) {
        None => error("has no Resource".to_owned()),
        Some(resources) => {
            for resource in resources {
                if resource != "*" && !resource.starts_with("arn:") && !resource.starts_with('$') {
                    error(format!("has Resource {resource:?}, which is no ARN"));
                }
            }
        }
    }
    let actions = actions.unwrap_or_default();
    for action in &actions {
        let is_known = ACTIONS.iter().any(|known| matches(action, known));
        if !is_known && !action.starts_with("greengrass:") && !action.starts_with("iotjobsdata:") {
            findings.warnings.push(format!(
                "Statement[{i}] has Action {action:?}, which no policy of a device needs"
            ));
        }
    }
    effect == Some("Allow") && actions.iter().any(|action| matches(action, "iot:Connect"))
}

/// One text or a list of texts, of which there must be one.
pub(super) fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    let texts: Vec<&str> = match value? {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    (!texts.is_empty()).then_some(texts)
}

/// Whether a pattern with `*` and `?` matches a text, letters in either case.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    Pattern::new(&pattern.to_ascii_lowercase()).matches(&text.to_ascii_lowercase())
}

/// The ARNs of a policy, wherever they stand.
pub(super) fn resources(document: &str) -> Vec<String> {
    let Ok(Value::Object(policy)) = json::read(document) else {
        return Vec::new();
    };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    };
    let resources = statements
        .iter()
        .filter_map(|statement| texts(statement.get("Resource")));
    resources.flatten().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_patterns() {
        for (pattern, text, expected) in [
            ("*", "iot:Connect", true),
            ("iot:*", "iot:Connect", true),
            ("iot:con?ect", "iot:Connect", true),
            ("iot:*Shadow", "iot:GetThingShadow", true),
            ("iot:*Shadow", "iot:Publish", false),
            ("", "iot:Publish", false),
            ("iot:Publish", "iot:PublishX", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn names_what_is_no_policy() {
        for (document, message) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "Version is missing"),
            (r#"{"Version":"2008-10-17","Statement":[]}"#, "2012-10-17"),
            (r#"{"Version":"2012-10-17"}"#, "Statement is missing"),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"x"}}"#,
                "no ARN",
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"iot:Connect","Resource":"*"}}"#,
                "no Effect",
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"iot:Connect","Resource":"*"}}"#,
                "Principal",
            ),
        ] {
            let findings = check(document);
            assert!(
                findings.errors.iter().any(|error| error.contains(message)),
                "{document}: {findings:?}"
            );
        }
    }
}
