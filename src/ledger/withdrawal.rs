//! Withdrawals: a batch that is withdrawn must never come up, and stays withdrawn.

use serde::Serialize;
use time::OffsetDateTime;

/// That a batch was withdrawn, and how far its certificates are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawal {
    #[serde(rename = "withdrawn_at", with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub reason: String,
    /// So many of its certificates, in manifest order from the first, are known to be revoked at AWS, in the
    /// account and Region where most are.
    pub revoked: u64,
}
