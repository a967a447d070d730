//! The seal: the signed statement that a batch is complete, with the digest of everything in it.
//!
//! A [`Seal`] exists only once its signature, by the issuer's key, was verified against a certificate from
//! elsewhere; from it follow the batch record, the indexes and the lookups, and from an index the bundles. Each shard
//! of a batch has a [`ShardSeal`] of its own, of which the batch's is built. Pure: no disk, clock or network.

mod generation;
mod head;
mod merkle;
mod shard;
mod signed;
mod statement;
mod trust;

use data_encoding::HEXLOWER;

pub use generation::{Generation, OfGeneration};
pub use head::{HistoryHead, ledger_of_head};
pub use shard::{OfShard, ShardSeal};
pub use statement::{Builder, ChunkDigest, Statement};
pub use trust::Trust;

use crate::batch::{
    self, BATCH_OBJECT, BatchRecord, Candidates, GenerationFolder, IndexEntry, IndexError, Layout, NotRead,
    ReadRecord, SEAL_OBJECT, SHARED_OBJECT, Shape, Twins, index_object, lookup_object, part_of,
};
use crate::digest::sha256;
use crate::issuer::{CaCertificate, Issuer};
use crate::manifest::DeviceId;
use crate::signer::SignerError;

/// Why a batch cannot be sealed, or is not what its seal says.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("{object} is no seal")]
    Malformed {
        object: String,
        source: serde_json::Error,
    },
    #[error("{object} has format {found}, this certforge reads formats up to {read}")]
    Format { object: String, found: u64, read: u32 },
    #[error("the batch was sealed by another issuer: certificate {found}, not {wanted}")]
    OtherIssuer { found: String, wanted: String },
    #[error("the signature of {object} is not that of issuer {issuer}")]
    Signature { object: String, issuer: String },
    #[error(
        "{SEAL_OBJECT} says nothing of {SHARED_OBJECT}, which this batch has: an older certforge sealed it"
    )]
    NothingShared,
    #[error("{object} is of shard {shard}/{shards} of batch {batch}, or of another record of it")]
    OtherShard {
        object: String,
        batch: String,
        shard: u32,
        shards: u32,
    },
    #[error("{object} is not what {by} released: it was changed since")]
    NotReleased { object: String, by: String },
    #[error("{object} is not what the seal says: it was changed after the batch was sealed")]
    Changed { object: String },
    #[error(transparent)]
    NotRead(#[from] NotRead),
    #[error("{object} has {found} rows, the batch has {wanted} there")]
    Rows { object: String, found: u64, wanted: u64 },
    #[error(transparent)]
    Twice(#[from] Twins),
    #[error("the seal cannot be signed")]
    Signer(#[from] SignerError),
}

impl SealError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::OtherIssuer { .. } => {
                    "name the CA certificate that this batch was made with, or ask whoever made the batch"
                }
                Self::Signature { .. }
                | Self::Changed { .. }
                | Self::NotReleased { .. }
                | Self::OtherShard { .. }
                | Self::Malformed { .. }
                | Self::NotRead(_) => {
                    "flash nothing of this batch until you know who changed it; `certforge verify` tells more"
                }
                Self::NothingShared => {
                    "remove that seal, and seal the batch with the certforge that made it; stations of before shared files would flash too little"
                }
                Self::Format { .. } => "use the certforge that made it, or a newer one",
                Self::Rows { .. } | Self::Twice(_) => "`certforge verify` tells more",
                Self::Signer(error) => return error.hint(),
            }
            .to_owned(),
        )
    }
}

/// Signs a statement: the content of `seal.json`.
///
/// # Errors
///
/// When the issuer's signer fails.
pub fn sign(statement: &Statement, issuer: &Issuer) -> Result<Vec<u8>, SealError> {
    signed::sign(statement, issuer)
}

/// A seal that its issuer has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal(Statement);

impl Seal {
    /// Reads a seal and verifies it against the certificate of the issuer that is trusted.
    ///
    /// # Errors
    ///
    /// When it is no seal, another issuer's, or changed.
    pub fn open(octets: &[u8], issuer: &CaCertificate) -> Result<Self, SealError> {
        Self::open_at(octets, SEAL_OBJECT, issuer)
    }

    fn open_at(octets: &[u8], object: &str, issuer: &CaCertificate) -> Result<Self, SealError> {
        Ok(Self(signed::open(octets, object, issuer)?))
    }

    /// Sees that it is the seal of this generation of the batch, or of the batch itself: that of another was put in its place.
    ///
    /// # Errors
    ///
    /// When it is another's.
    pub fn of(self, folder: Option<&GenerationFolder>) -> Result<Self, SealError> {
        let own = self.0.generation.as_ref().map(OfGeneration::folder);
        match own == folder.cloned().map(Some) {
            true => Ok(self),
            false => Err(SealError::Changed {
                object: folder.map_or_else(|| SEAL_OBJECT.to_owned(), |folder| folder.object(SEAL_OBJECT)),
            }),
        }
    }

    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.0
    }

    /// SHA-256 of the batch record.
    #[must_use]
    pub fn batch_digest(&self) -> [u8; 32] {
        let digest = HEXLOWER.decode(self.0.batch_sha256.as_bytes());
        digest
            .ok()
            .and_then(|digest| digest.try_into().ok())
            .unwrap_or_default()
    }

    /// The batch record, once it is seen to be the one that was sealed, and to say the same.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn record(&self, octets: &[u8]) -> Result<ReadRecord, SealError> {
        check(octets, &self.0.batch_sha256, || BATCH_OBJECT.to_owned())?;
        let is_same =
            |read: &ReadRecord| (read.record.shape(), read.record.layout) == (self.0.shape(), self.0.layout);
        let read = BatchRecord::read(octets, "").ok().filter(is_same);
        let read = read.ok_or_else(|| NotRead {
            object: BATCH_OBJECT.to_owned(),
            what: "batch record",
        })?;
        match read.record.shared_sha256 == self.0.shared_sha256 {
            true => Ok(read),
            false => Err(SealError::NothingShared),
        }
    }

    /// The entries of a chunk, once its index is seen to be the one that was sealed.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn index(&self, chunk: u64, octets: &[u8]) -> Result<Vec<IndexEntry>, SealError> {
        self.check_index(chunk, octets)?;
        read_index(chunk, octets, self.0.shape(), self.0.layout)
    }

    /// The chunks in which a device may be, once the part of the lookup is seen to be the one that was sealed.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn candidates(
        &self,
        part: u64,
        octets: &[u8],
        device_id: &DeviceId,
    ) -> Result<Candidates, SealError> {
        self.check_lookup(part, octets)?;
        Ok(Candidates::find(octets, part, device_id)?)
    }

    /// Sees whether the ZIP of the shared files is the one that was sealed.
    ///
    /// # Errors
    ///
    /// When it is another, or the batch has none.
    pub fn check_shared(&self, octets: &[u8]) -> Result<(), SealError> {
        let wanted = self.0.shared_sha256.as_deref().unwrap_or_default();
        check(octets, wanted, || SHARED_OBJECT.to_owned())
    }

    /// Sees whether an index is the one that was sealed.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn check_index(&self, chunk: u64, octets: &[u8]) -> Result<(), SealError> {
        check(octets, at(&self.0.indexes, chunk), || index_object(chunk))
    }

    /// Sees whether a part of the lookup is the one that was sealed.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn check_lookup(&self, part: u64, octets: &[u8]) -> Result<(), SealError> {
        check(octets, at(&self.0.lookups, part), || lookup_object(part))
    }

    /// The part of the lookup that knows a device.
    #[must_use]
    pub fn part_of(&self, device_id: &DeviceId) -> u64 {
        part_of(device_id, self.0.lookups.len() as u64)
    }
}

/// The entries of a chunk, if its index is as a forge writes it.
fn read_index(chunk: u64, octets: &[u8], shape: Shape, layout: Layout) -> Result<Vec<IndexEntry>, SealError> {
    batch::read_index(octets, chunk, shape, layout).map_err(|error| {
        let object = index_object(chunk);
        match error {
            IndexError::Rows { found, wanted } => SealError::Rows {
                object,
                found,
                wanted,
            },
            _ => SealError::NotRead(NotRead {
                object,
                what: "index",
            }),
        }
    })
}

fn at(digests: &[String], i: u64) -> &str {
    let digest = usize::try_from(i).ok().and_then(|i| digests.get(i));
    digest.map_or("", String::as_str)
}

fn check(octets: &[u8], wanted: &str, object: impl FnOnce() -> String) -> Result<(), SealError> {
    match HEXLOWER.encode(&sha256(octets)) == wanted {
        true => Ok(()),
        false => Err(SealError::Changed { object: object() }),
    }
}
