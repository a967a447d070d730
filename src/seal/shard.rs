//! The seal of a shard: what one shard of a batch released, signed by the issuer when the last of its chunks was. The
//! seal of the batch is built of these and of nothing that merely lies in the store.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::SealError;
use super::signed::{self, Signable};
use super::statement::format;
use crate::batch::{Layout, index_object, shard_object};
use crate::digest::sha256;
use crate::issuer::{CaCertificate, Issuer};

/// What a shard states of its chunks. Digests are SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardSeal {
    certforge_shard: u32,
    batch: String,
    /// From 1.
    shard: u32,
    shards: u32,
    /// Id of the ledger that accounts for the shard.
    ledger: String,
    /// Where the batch was when the shard was made.
    location: String,
    /// Of `batch.json`.
    batch_sha256: String,
    issuer_id: String,
    /// Of the index of each of its chunks, in order: every `shards`-th chunk, the first is `shard - 1`.
    indexes: Vec<String>,
}

impl Signable for ShardSeal {
    const KIND: &'static str = "certforge_shard";
    const FORMAT: u32 = 3;

    fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    fn is_sound(&self) -> bool {
        (1..=self.shards).contains(&self.shard)
    }
}

/// Which shard of which batch a statement is of.
#[derive(Debug, Clone, Copy)]
pub struct OfShard<'a> {
    pub batch: &'a str,
    pub batch_sha256: [u8; 32],
    /// From 1.
    pub shard: u32,
    pub shards: u32,
    pub layout: Layout,
    /// Whether the batch has shared files.
    pub has_shared: bool,
}

impl OfShard<'_> {
    /// The object that holds the statement.
    #[must_use]
    pub fn object(&self) -> String {
        shard_object(self.shard)
    }
}

impl ShardSeal {
    /// What a shard states of the indexes of its chunks, whose digests are given in their order.
    #[must_use]
    pub fn new<'a>(
        of: &OfShard<'_>,
        (ledger, location): (&str, &str),
        issuer: &CaCertificate,
        indexes: impl Iterator<Item = &'a [u8; 32]>,
    ) -> Self {
        Self {
            certforge_shard: format(of.layout, of.has_shared),
            batch: of.batch.to_owned(),
            shard: of.shard,
            shards: of.shards,
            ledger: ledger.to_owned(),
            location: location.to_owned(),
            batch_sha256: HEXLOWER.encode(&of.batch_sha256),
            issuer_id: HEXLOWER.encode(&issuer.id()),
            indexes: indexes.map(|digest| HEXLOWER.encode(digest)).collect(),
        }
    }

    /// The content of its object.
    ///
    /// # Errors
    ///
    /// When the issuer's signer fails.
    pub fn sign(&self, issuer: &Issuer) -> Result<Vec<u8>, SealError> {
        signed::sign(self, issuer)
    }

    /// Reads what a shard stated, and verifies it against the certificate of the issuer that is trusted.
    ///
    /// # Errors
    ///
    /// When it is no such statement, another issuer's, changed, or of another shard or batch than is asked for.
    pub fn open(octets: &[u8], of: &OfShard<'_>, issuer: &CaCertificate) -> Result<Self, SealError> {
        let statement: Self = signed::open(octets, &of.object(), issuer)?;
        let is_asked_for = statement.certforge_shard == format(of.layout, of.has_shared)
            && statement.batch == of.batch
            && statement.batch_sha256 == HEXLOWER.encode(&of.batch_sha256)
            && (statement.shard, statement.shards) == (of.shard, of.shards);
        match is_asked_for {
            true => Ok(statement),
            false => Err(SealError::OtherShard {
                object: of.object(),
                batch: statement.batch,
                shard: statement.shard,
                shards: statement.shards,
            }),
        }
    }

    /// Where the batch was when the shard was made.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether two state the same of a shard, by whatever path the batch is reached.
    #[must_use]
    pub fn states_the_same(&self, other: &Self) -> bool {
        let other = Self {
            location: self.location.clone(),
            ..other.clone()
        };
        *self == other
    }

    /// How many chunks it states something of.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.indexes.len() as u64
    }

    /// Sees whether the index of one of its chunks is the one that it released.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn check_index(&self, chunk: u64, octets: &[u8]) -> Result<(), SealError> {
        let released = usize::try_from(chunk / u64::from(self.shards))
            .ok()
            .filter(|_| chunk % u64::from(self.shards) == u64::from(self.shard - 1))
            .and_then(|place| self.indexes.get(place));
        match released.is_some_and(|digest| *digest == HEXLOWER.encode(&sha256(octets))) {
            true => Ok(()),
            false => Err(SealError::NotReleased {
                object: index_object(chunk),
                by: self.to_string(),
            }),
        }
    }
}

impl std::fmt::Display for ShardSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shard {}/{}", self.shard, self.shards)
    }
}
