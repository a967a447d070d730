//! `batch.json`: what a batch is, beside its bundles.

use serde::{Deserialize, Serialize};

use super::Layout;
use crate::profile::ProfileConfig;

/// Written before the first bundle; it does not change once a chunk is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecord {
    pub batch: String,
    /// Digests are SHA-256 in hexadecimal.
    pub manifest_sha256: String,
    pub rows: u64,
    pub chunk_rows: u64,
    pub layout: Layout,
    /// The profile, as far as it differs from the defaults.
    pub profile: ProfileConfig,
    pub profile_sha256: String,
    /// SHA-256 of the issuer's certificate: what AWS IoT calls caCertificateId.
    pub issuer_id: String,
    /// PEM.
    pub issuer_certificate: String,
    /// Id of the ledger that accounts for the batch; empty when each shard has its own.
    pub ledger: String,
    /// In how many shards it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
}

impl BatchRecord {
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a record has only text keys");
        json.push(b'\n');
        json
    }

    /// Whether the numbers are such as a forge writes.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        (1..=u64::from(u32::MAX)).contains(&self.rows) && (1..=1 << 20).contains(&self.chunk_rows)
    }

    /// Chunks of the batch.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.rows.div_ceil(self.chunk_rows.max(1))
    }

    /// Rows of a chunk.
    #[must_use]
    pub fn rows_of(&self, chunk: u64) -> u64 {
        let first = chunk.saturating_mul(self.chunk_rows);
        self.rows.saturating_sub(first).min(self.chunk_rows)
    }
}
