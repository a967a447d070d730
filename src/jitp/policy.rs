//! Policies: whether a document is one that AWS IoT accepts, and its statements as they are written.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policies.html>. What the statements mean is `authorize`'s.

use serde_json::{Map, Value};

use super::finding::{Finding, Severity};
use super::json::{self, Path};

/// Most characters of a policy document, white space not counted.
const MAX_DOCUMENT: usize = 2048;

/// The only version that AWS IoT takes.
const VERSION: &str = "2012-10-17";

/// What AWS IoT answers to a document that is none.
const MALFORMED: &str = "AWS IoT answers MalformedPolicyException: \"Policy document is Malformed\"";

/// Something wrong with a policy document, wherever that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolicyFinding {
    /// An error: AWS IoT refuses the document, or it cannot do what it is for. A warning: it may not do what was meant.
    pub severity: Severity,
    pub message: String,
    pub hint: Option<String>,
}

impl PolicyFinding {
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            hint: None,
        }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same of a document that stands at a path.
    pub fn at(self, path: &Path) -> Finding {
        let finding = match self.severity {
            Severity::Error => Finding::error(path, self.message),
            Severity::Warning => Finding::warning(path, self.message),
        };
        match self.hint {
            Some(hint) => finding.with_hint(hint),
            None => finding,
        }
    }
}

/// A statement as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    /// Its place among the policy's statements, from 0.
    pub index: usize,
    pub sid: Option<String>,
    /// Allow, and not Deny.
    pub allows: bool,
    /// `Action`, or `NotAction`.
    pub actions: Listed,
    /// `Resource`, or `NotResource`.
    pub resources: Listed,
    pub condition: Map<String, Value>,
}

/// Texts of which one is meant, or none of which is.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    pub texts: Vec<String>,
    /// It is `NotAction` or `NotResource`.
    pub is_negated: bool,
}

impl Listed {
    /// Whether what is asked for is meant, told what a text of the list matches.
    pub fn means(&self, matches: impl FnMut(&String) -> bool) -> bool {
        self.texts.iter().any(matches) != self.is_negated
    }
}

/// Reads a policy document: its statements, and what is wrong with its form.
pub(super) fn read(document: &str) -> (Vec<Statement>, Vec<PolicyFinding>) {
    let mut findings = Vec::new();
    let size = document.chars().filter(|c| !c.is_whitespace()).count();
    if size > MAX_DOCUMENT {
        findings.push(PolicyFinding::error(format!(
            "the policy has {size} characters besides white space, AWS IoT allows {MAX_DOCUMENT}"
        )));
    }
    let statements = match json::read(document) {
        Ok(Value::Object(policy)) => read_policy(&policy, &mut findings),
        Ok(_) => {
            findings.push(PolicyFinding::error("the policy is no JSON object").with_hint(MALFORMED));
            Vec::new()
        }
        Err(error) => {
            let message = format!("the policy is no JSON: {error}");
            findings.push(PolicyFinding::error(message).with_hint(MALFORMED));
            Vec::new()
        }
    };
    (statements, findings)
}

fn read_policy(policy: &Map<String, Value>, findings: &mut Vec<PolicyFinding>) -> Vec<Statement> {
    for key in policy.keys() {
        if !["Version", "Id", "Statement"].contains(&key.as_str()) {
            findings.push(PolicyFinding::error(format!("a policy has no {key}")));
        }
    }
    match policy.get("Version") {
        Some(Value::String(version)) if version == VERSION => {}
        Some(version) => findings.push(PolicyFinding::error(format!(
            "Version is {version}, AWS IoT takes \"{VERSION}\" alone"
        ))),
        None => findings.push(PolicyFinding::error(format!(
            "Version is missing; it must be \"{VERSION}\""
        ))),
    }
    let statements: Vec<&Value> = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        other => {
            let what = if other.is_some() {
                "no list of objects"
            } else {
                "missing"
            };
            findings.push(PolicyFinding::error(format!("Statement is {what}")));
            return Vec::new();
        }
    };
    if statements.is_empty() {
        findings.push(PolicyFinding::error("Statement is empty"));
    }
    let mut read = Vec::with_capacity(statements.len());
    for (i, statement) in statements.into_iter().enumerate() {
        match statement {
            Value::Object(statement) => read.push(read_statement(i, statement, findings)),
            _ => findings.push(PolicyFinding::error(format!("Statement[{i}] is no object"))),
        }
    }
    read
}

fn read_statement(
    index: usize,
    statement: &Map<String, Value>,
    findings: &mut Vec<PolicyFinding>,
) -> Statement {
    let mut error = |text: String| findings.push(PolicyFinding::error(format!("Statement[{index}] {text}")));
    for key in statement.keys() {
        match key.as_str() {
            "Sid" | "Effect" | "Action" | "NotAction" | "Resource" | "NotResource" | "Condition" => {}
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
    let condition = statement.get("Condition");
    if condition.is_some_and(|condition| !condition.is_object()) {
        error("has a Condition that is no object".to_owned());
    }
    let mut listed = |name: &str| {
        let not = format!("Not{name}");
        match (texts(statement.get(name)), texts(statement.get(&not))) {
            _ if statement.contains_key(name) && statement.contains_key(&not) => {
                error(format!("has {name} and {not}; it takes one of them"));
                Listed::default()
            }
            (None, None) => {
                error(format!("has no {name}"));
                Listed::default()
            }
            (plain, negated) => Listed {
                is_negated: negated.is_some(),
                texts: plain.or(negated).unwrap_or_default(),
            },
        }
    };
    Statement {
        index,
        actions: listed("Action"),
        resources: listed("Resource"),
        sid: statement.get("Sid").and_then(Value::as_str).map(str::to_owned),
        allows: effect == Some("Allow"),
        condition: condition.and_then(Value::as_object).cloned().unwrap_or_default(),
    }
}

/// One text or a list of texts, of which there must be one.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let texts: Vec<String> = match value? {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    (!texts.is_empty()).then_some(texts)
}

/// The ARNs of a policy, wherever they stand.
pub(super) fn resources(document: &str) -> Vec<String> {
    let (statements, _) = read(document);
    let resources = statements.into_iter().map(|statement| statement.resources.texts);
    resources.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_no_policy() {
        for (document, message) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "Version is missing"),
            (r#"{"Version":"2008-10-17","Statement":[]}"#, "2012-10-17"),
            (r#"{"Version":"2012-10-17"}"#, "Statement is missing"),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"iot:Connect","Resource":"*"}}"#,
                "no Effect",
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"iot:Connect","Resource":"*"}}"#,
                "Principal",
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","NotAction":"iot:Publish","Resource":"*"}}"#,
                "has Action and NotAction",
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","NotResource":[]}}"#,
                "has no Resource",
            ),
        ] {
            let (_, findings) = read(document);
            let mut errors = findings.iter().filter(|finding| finding.is_error());
            assert!(
                errors.any(|error| error.message.contains(message)),
                "{document}: {findings:?}"
            );
        }
    }
}
