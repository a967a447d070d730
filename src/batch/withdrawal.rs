//! `withdrawn.json`: that a batch must never come up, beside its bundles.
//!
//! It fails closed: whatever is there under that name, the batch is withdrawn.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::WITHDRAWN_OBJECT;
use crate::profile::rfc3339;

/// Written once; it does not change, and is not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawnRecord {
    pub batch: String,
    /// As `2026-11-24T12:00:00Z`; empty when what was read does not tell.
    pub withdrawn_at: String,
    pub reason: String,
}

impl WithdrawnRecord {
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    /// What octets say, or that they cannot be read. Somebody else wrote them: nothing in them reaches a
    /// terminal as anything but text.
    pub fn read(octets: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(octets) {
            Ok(record) => Self {
                batch: plain(&record.batch),
                withdrawn_at: OffsetDateTime::parse(&record.withdrawn_at, &Rfc3339)
                    .map_or(String::new(), rfc3339),
                reason: plain(&record.reason),
            },
            Err(error) => Self::unreadable(&error.to_string()),
        }
    }

    pub(crate) fn unreadable(why: &str) -> Self {
        Self {
            batch: String::new(),
            withdrawn_at: String::new(),
            reason: format!("{WITHDRAWN_OBJECT} is there and cannot be read: {}", plain(why)),
        }
    }
}

/// `2026-11-24T12:00:00Z: the reason`.
impl fmt::Display for WithdrawnRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.withdrawn_at.is_empty() {
            write!(f, "{}: ", self.withdrawn_at)?;
        }
        f.write_str(&self.reason)
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Since when, within a sentence; nothing when nobody can tell.
pub(crate) fn since(at: &str) -> String {
    match at {
        "" => String::new(),
        at => format!(" since {at}"),
    }
}
