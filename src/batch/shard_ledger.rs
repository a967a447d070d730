//! `shards/<shard>.ledger.json`: which ledger accounts for a shard. It is created before the first object of the shard, by
//! whoever is first, so that two ledgers never make one shard.

use serde::{Deserialize, Serialize};

use super::{NotRead, shard_ledger_object};

/// The ledger of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardLedger {
    /// Id of the ledger.
    pub ledger: String,
}

impl ShardLedger {
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    /// Reads whose a shard is.
    ///
    /// # Errors
    ///
    /// When the octets are not such as a forge writes.
    pub fn read(octets: &[u8], shard: u32) -> Result<Self, NotRead> {
        serde_json::from_slice(octets).map_err(|_| NotRead {
            object: shard_ledger_object(shard),
            what: "record of a shard's ledger",
        })
    }
}
