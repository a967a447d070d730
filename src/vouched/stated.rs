//! What the issuer of a batch has signed of it: its seal, and as long as it has none, what its shards state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;

use super::VouchedError;
use crate::batch::{self, BATCH_OBJECT, BatchRecord, IndexEntry, ReadRecord, SEAL_OBJECT};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::seal::{OfShard, Seal, ShardSeal, Trust};
use crate::store::{ReadError, Store, StoreError};

/// A batch in a store, and what its issuer has signed of it. The issuer is known from elsewhere.
pub struct Stated<'a> {
    store: &'a Store,
    record: BatchRecord,
    /// Of `batch.json`.
    digest: [u8; 32],
    issuer: CaCertificate,
    seal: Option<Seal>,
    /// What the shards state, by their numbers, as far as anybody asked.
    shards: Mutex<HashMap<u32, ShardSeal>>,
}

impl<'a> Stated<'a> {
    /// Opens a batch that must be of the issuer that is trusted. It need not be sealed.
    ///
    /// # Errors
    ///
    /// When there is no batch, it is another issuer's, or its seal is not of it.
    pub fn open(store: &'a Store, trust: &Trust) -> Result<Self, VouchedError> {
        let location = store.location();
        let octets = match store.read(BATCH_OBJECT, None) {
            Err(StoreError::NotFound { .. }) => return Err(ReadError::NoBatch { location }.into()),
            other => other?,
        };
        let ReadRecord { record, issuer, .. } =
            BatchRecord::read(&octets, &location).map_err(ReadError::from)?;
        if issuer.id() != trust.id() {
            return Err(VouchedError::OtherIssuer {
                location,
                found: Box::new(issuer),
                wanted: trust.id(),
            });
        }
        let seal = match store.read(SEAL_OBJECT, None) {
            Err(StoreError::NotFound { .. }) => None,
            other => {
                let seal = Seal::open(&other?, &issuer)?.of(store.generation())?;
                seal.record(&octets)?;
                Some(seal)
            }
        };
        Ok(Self {
            store,
            record,
            digest: sha256(&octets),
            issuer,
            seal,
            shards: Mutex::default(),
        })
    }

    #[must_use]
    pub fn record(&self) -> &BatchRecord {
        &self.record
    }

    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// The entries of a released chunk, in row order, as its index has them, for which the issuer has signed.
    ///
    /// # Errors
    ///
    /// When it is not released, or nobody has signed for its index as it is.
    pub fn entries(&self, chunk: u64) -> Result<Vec<IndexEntry>, VouchedError> {
        let octets = self.index(chunk)?;
        match (&self.seal, self.record.shards) {
            (Some(seal), _) => return Ok(seal.index(chunk, &octets)?),
            (None, Some(shards)) => self.check_by_shard(chunk, shards, &octets)?,
            (None, None) => {
                return Err(VouchedError::NotSealed {
                    location: self.store.location(),
                });
            }
        }
        self.parse(chunk, &octets)
    }

    /// Whether the batch is sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// Whether the issuer has signed for an index as it is; not yet, while the batch is not sealed and the chunk's shard has
    /// not said what it made.
    ///
    /// # Errors
    ///
    /// When the issuer has signed for another.
    pub fn has_signed(&self, chunk: u64, octets: &[u8]) -> Result<bool, VouchedError> {
        match (&self.seal, self.record.shards) {
            (Some(seal), _) => Ok(seal.check_index(chunk, octets).map(|()| true)?),
            (None, Some(shards)) => match self.check_by_shard(chunk, shards, octets) {
                Err(VouchedError::Unstated { .. }) => Ok(false),
                other => other.map(|()| true),
            },
            (None, None) => Ok(false),
        }
    }

    /// The octets of the index of a released chunk, which nobody vouches for.
    pub(super) fn index(&self, chunk: u64) -> Result<Vec<u8>, VouchedError> {
        match self.store.read(&batch::index_object(chunk), None) {
            Ok(octets) => Ok(octets.to_vec()),
            Err(StoreError::NotFound { .. }) => Err(VouchedError::Incomplete {
                location: self.store.location(),
                chunk,
                chunks: self.record.shape().chunks(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn parse(&self, chunk: u64, octets: &[u8]) -> Result<Vec<IndexEntry>, VouchedError> {
        let (shape, layout) = (self.record.shape(), self.record.layout);
        batch::read_index(octets, chunk, shape, layout).map_err(|source| {
            VouchedError::Batch(ReadError::Index {
                object: format!("{}/{}", self.store.location(), batch::index_object(chunk)),
                source,
            })
        })
    }

    fn check_by_shard(&self, chunk: u64, shards: u32, octets: &[u8]) -> Result<(), VouchedError> {
        let shard = u32::try_from(chunk % u64::from(shards)).expect("it is below a u32") + 1;
        let mut known = self.shards.lock().expect("no holder panics");
        let stated = match known.entry(shard) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.read_shard(shard, shards)?),
        };
        Ok(stated.check_index(chunk, octets)?)
    }

    fn read_shard(&self, shard: u32, shards: u32) -> Result<ShardSeal, VouchedError> {
        let of = OfShard {
            batch: &self.record.batch,
            batch_sha256: self.digest,
            shard,
            shards,
            layout: self.record.layout,
            has_shared: self.record.shared_sha256.is_some(),
        };
        match self.store.read(&of.object(), None) {
            Ok(octets) => Ok(ShardSeal::open(&octets, &of, &self.issuer)?),
            Err(StoreError::NotFound { .. }) => Err(VouchedError::Unstated {
                location: self.store.location(),
                shard,
                shards,
            }),
            Err(error) => Err(error.into()),
        }
    }
}
