//! Clauses: which statement of which policy somebody speaks of, and what a statement is for.

use std::fmt;

use serde::Serialize;

/// Which statement of which policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// The policy's name.
    pub policy: String,
    /// Its place among the policy's statements, from 0.
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sid {
            Some(sid) => write!(f, "statement {sid:?}")?,
            None => write!(f, "Statement[{}]", self.index)?,
        }
        write!(f, " of policy {:?}", self.policy)
    }
}

/// What a statement does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}
