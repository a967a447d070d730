//! Findings: what is wrong with a template, and where.

use std::fmt;

use serde::Serialize;

use super::json::Path;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Devices would not come up, or AWS would refuse the template.
    Error,
    /// Devices may come up and not as was meant.
    Warning,
}

/// Something wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// Where it stands, as JSONPath writes it (RFC 9535).
    pub path: String,
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    pub(super) fn error(path: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, path, message.into())
    }

    pub(super) fn warning(path: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, path, message.into())
    }

    fn new(severity: Severity, path: &Path, message: String) -> Self {
        Self {
            severity,
            path: path.to_string(),
            message,
            hint: None,
        }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same of a document that stands at a path of another one.
    pub(super) fn within(self, path: &Path) -> Self {
        let rest = self.path.strip_prefix('$').unwrap_or(&self.path);
        Self {
            path: format!("{path}{rest}"),
            ..self
        }
    }

    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_error() { "error" } else { "warning" };
        write!(f, "{word}: {}: {}", self.path, self.message)
    }
}
