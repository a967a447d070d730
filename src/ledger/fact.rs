//! Facts: what a ledger knows of a batch, piece by piece, as another ledger may take it over.
//!
//! They come in an order in which they can be entered: the batch, its reservations, its chunks, what became of it. No
//! fact is larger than a chunk, so that who copies a ledger needs no memory for its devices.

use time::OffsetDateTime;

use super::{BatchIdentity, LedgerError};
use crate::batch::{IndexEntry, Layout};
use crate::certificate::SerialPrefix;
use crate::issuer::{CaCertificate, RevocationCode};

/// Something that a ledger knows. All but the first kind is of the batch that was told of last.
#[derive(Debug, Clone)]
pub enum Fact {
    Batch(Box<Begun>),
    Reserved(Reserved),
    Chunk(KnownChunk),
    Withdrawn {
        at: OffsetDateTime,
        reason: String,
    },
    /// So many of its certificates, in manifest order from the first, are revoked in an account and Region.
    RevokedAt {
        place: String,
        certificates: u64,
    },
    Revoked(Revoked),
}

/// A batch that was begun.
#[derive(Debug, Clone)]
pub struct Begun {
    pub name: String,
    pub location: String,
    pub issuer: CaCertificate,
    pub manifest: String,
    pub manifest_sha256: [u8; 32],
    pub profile: String,
    pub profile_sha256: [u8; 32],
    pub layout: Layout,
    pub rows: u64,
    pub chunk_rows: u64,
    pub reissue: bool,
    pub created_at: OffsetDateTime,
    /// Number of its issuer's last revocation list, and when that was made.
    pub crl: Option<(u64, OffsetDateTime)>,
}

impl Begun {
    #[must_use]
    pub fn identity(&self) -> BatchIdentity<'_> {
        BatchIdentity {
            name: &self.name,
            location: &self.location,
            issuer: &self.issuer,
            manifest: &self.manifest,
            manifest_sha256: self.manifest_sha256,
            profile: &self.profile,
            profile_sha256: self.profile_sha256,
            layout: self.layout,
            rows: self.rows,
            chunk_rows: self.chunk_rows,
            reissue: self.reissue,
        }
    }
}

/// An attempt at a chunk. Those at one chunk come in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    pub chunk: u64,
    pub prefix: SerialPrefix,
    pub at: OffsetDateTime,
}

/// A chunk that is committed.
#[derive(Debug, Clone)]
pub struct KnownChunk {
    pub chunk: u64,
    /// Of the attempt that was committed, of which a [`Fact::Reserved`] came before.
    pub prefix: SerialPrefix,
    pub released: bool,
    /// In row order.
    pub devices: Vec<KnownDevice>,
}

/// A device of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    pub entry: IndexEntry,
    /// Which of the identities it is that the issuer has given the device, from 0. `None`: the one after all that are known.
    pub generation: Option<u32>,
}

/// A certificate that is revoked by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Row of its batch, from 0.
    pub row: u64,
    pub at: OffsetDateTime,
    pub reason: String,
    pub code: RevocationCode,
}

/// Gets one fact after the other, and may refuse one: then no more come.
pub type Enter<'a> = &'a mut dyn FnMut(Fact) -> Result<(), LedgerError>;

/// Tells one fact after the other.
pub type Telling<'a> = &'a mut dyn FnMut(Enter<'_>) -> Result<(), LedgerError>;
