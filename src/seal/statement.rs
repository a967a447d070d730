//! What a seal states, and how it is built from the indexes of a batch.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::signed::Signable;
use super::{OfGeneration, SealError, merkle, read_index};
use crate::batch::{
    BatchRecord, IndexEntry, IndexError, IndexRow, Layout, Lookups, Mark, Shape, check_index, index_lines,
};
use crate::issuer::CaCertificate;
use crate::profile::rfc3339;

/// What the issuer states of a complete batch. Digests are SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The format of the seal: 4 of a generation, 3 of a batch whose bundles are encrypted, 2 of one with shared files,
    /// otherwise 1, which older certforges read. First, so that nothing else that the issuer signs begins like it.
    pub certforge_seal: u32,
    pub batch: String,
    /// Where the batch was when it was sealed: its claims are made there and nowhere else.
    pub location: String,
    /// RFC 3339.
    pub sealed_at: String,
    pub devices: u64,
    pub chunk_rows: u64,
    pub layout: Layout,
    /// Of `batch.json`.
    pub batch_sha256: String,
    pub manifest_sha256: String,
    pub profile_sha256: String,
    /// Of the issuer's certificate: what AWS IoT calls caCertificateId.
    pub issuer_id: String,
    /// RFC 6962's hash of the list of the chunks' hashes, each RFC 6962's hash of the list of the rows of
    /// the chunk's index.
    pub merkle_root: String,
    /// Of the index of each chunk, in order.
    pub indexes: Vec<String>,
    /// Of each part of the lookup, in order.
    pub lookups: Vec<String>,
    /// Of `shared.zip`, in a batch that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_sha256: Option<String>,
    /// Of a generation: what was there before it. `None`: these are the batch's own bundles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<OfGeneration>,
}

/// The format of the seal of a generation: stations that know of none would look for its bundles in the wrong place.
const GENERATION_FORMAT: u32 = 4;

/// The format of what is signed of a batch: older certforges would know nothing of encryption, or of shared files.
pub(super) fn format(layout: Layout, has_shared: bool) -> u32 {
    match (layout.is_encrypted(), has_shared) {
        (true, _) => 3,
        (false, true) => 2,
        (false, false) => 1,
    }
}

impl Signable for Statement {
    const KIND: &'static str = "certforge_seal";
    const FORMAT: u32 = GENERATION_FORMAT;

    fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    fn signer(&self, issuer: &CaCertificate) -> Option<CaCertificate> {
        self.generation.as_ref()?.signer(issuer)
    }

    fn is_sound(&self) -> bool {
        let format = match &self.generation {
            None => format(self.layout, self.shared_sha256.is_some()),
            Some(_) => GENERATION_FORMAT,
        };
        self.shape().is_sound()
            && self.shape().chunks() == self.indexes.len() as u64
            && !self.lookups.is_empty()
            && self.certforge_seal == format
    }
}

impl Statement {
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.devices,
            chunk_rows: self.chunk_rows,
        }
    }

    /// The same of a generation.
    #[must_use]
    pub fn of_generation(self, generation: Option<OfGeneration>) -> Self {
        let certforge_seal = match generation {
            None => self.certforge_seal,
            Some(_) => GENERATION_FORMAT,
        };
        Self {
            certforge_seal,
            generation,
            ..self
        }
    }

    /// Whether two seals state the same of a batch, whenever and wherever they were made.
    #[must_use]
    pub fn states_the_same(&self, other: &Self) -> bool {
        let other = Self {
            sealed_at: self.sealed_at.clone(),
            location: self.location.clone(),
            ..other.clone()
        };
        *self == other
    }
}

/// What a seal says of one chunk.
#[derive(Debug, Clone)]
pub struct ChunkDigest {
    chunk: u64,
    index: [u8; 32],
    root: [u8; 32],
    marks: Vec<Mark>,
}

impl ChunkDigest {
    /// Digests the index of a chunk of a batch, as a forge writes it.
    ///
    /// # Errors
    ///
    /// When it is not one.
    pub fn of(chunk: u64, index: &[u8], record: &BatchRecord) -> Result<Self, SealError> {
        let entries = read_index(chunk, index, record.shape(), record.layout)?;
        Ok(Self::written(chunk, index, &entries))
    }

    /// Digests the index of a chunk of a batch, of which these rows were read.
    ///
    /// # Errors
    ///
    /// When it is not as a forge writes it.
    pub(crate) fn of_rows(
        chunk: u64,
        index: &[u8],
        rows: &[IndexRow],
        record: &BatchRecord,
    ) -> Result<Self, IndexError> {
        check_index(rows, index, chunk, record.shape(), record.layout)?;
        Ok(Self::digest(chunk, index, rows.iter().map(|row| &row.entry)))
    }

    /// Digests an index that was just written of these entries.
    #[must_use]
    pub fn written(chunk: u64, index: &[u8], entries: &[IndexEntry]) -> Self {
        Self::digest(chunk, index, entries.iter())
    }

    fn digest<'a>(chunk: u64, index: &[u8], entries: impl Iterator<Item = &'a IndexEntry>) -> Self {
        let (digest, root) = merkle::of_text(index, index_lines(index));
        Self {
            chunk,
            index: digest,
            root,
            marks: entries.map(|entry| Mark::new(&entry.device_id, chunk)).collect(),
        }
    }
}

/// Builds a statement, chunk by chunk in any order. Memory grows by 16 octets a row.
#[derive(Debug)]
pub struct Builder {
    /// The digest of a chunk's index, and the root over its rows.
    chunks: BTreeMap<u64, [[u8; 32]; 2]>,
    marks: Vec<Mark>,
}

impl Builder {
    /// Of a batch with so many rows.
    #[must_use]
    pub fn new(rows: u64) -> Self {
        Self {
            chunks: BTreeMap::new(),
            marks: Vec::with_capacity(usize::try_from(rows).unwrap_or(0)),
        }
    }

    /// Adds a chunk.
    ///
    /// # Panics
    ///
    /// When it was added before.
    pub fn add(&mut self, mut chunk: ChunkDigest) {
        let before = self.chunks.insert(chunk.chunk, [chunk.index, chunk.root]);
        assert!(before.is_none(), "chunk {} is added once", chunk.chunk);
        self.marks.append(&mut chunk.marks);
    }

    /// Adds the chunks that another has.
    ///
    /// # Panics
    ///
    /// When one was added before.
    pub fn add_all(&mut self, other: Self) {
        for (chunk, digests) in other.chunks {
            let before = self.chunks.insert(chunk, digests);
            assert!(before.is_none(), "chunk {chunk} is added once");
        }
        self.marks.extend(other.marks);
    }

    #[must_use]
    pub fn has(&self, chunk: u64) -> bool {
        self.chunks.contains_key(&chunk)
    }

    /// The digest of the index of each chunk that was added, in order.
    pub fn indexes(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.chunks.values().map(|[index, _]| index)
    }

    /// The statement about a batch whose record has this digest and that is at this place, and its lookup.
    ///
    /// # Errors
    ///
    /// When two chunks have the same device.
    ///
    /// # Panics
    ///
    /// When a chunk of the batch was not added.
    pub fn finish(
        self,
        record: &BatchRecord,
        batch_sha256: [u8; 32],
        location: &str,
        now: OffsetDateTime,
    ) -> Result<(Statement, Lookups), SealError> {
        assert!(
            self.chunks.keys().copied().eq(0..record.shape().chunks()),
            "every chunk is added"
        );
        assert_eq!(self.marks.len() as u64, record.rows, "every row is added");
        let lookups = Lookups::new(self.marks)?;
        let roots = self.chunks.values().map(|[_, root]| merkle::leaf(root)).collect();
        let statement = Statement {
            certforge_seal: format(record.layout, record.shared_sha256.is_some()),
            batch: record.batch.clone(),
            location: location.to_owned(),
            sealed_at: rfc3339(now),
            devices: record.rows,
            chunk_rows: record.chunk_rows,
            layout: record.layout,
            batch_sha256: HEXLOWER.encode(&batch_sha256),
            manifest_sha256: record.manifest_sha256.clone(),
            profile_sha256: record.profile_sha256.clone(),
            issuer_id: record.issuer_id.clone(),
            merkle_root: HEXLOWER.encode(&merkle::root(roots)),
            indexes: self
                .chunks
                .values()
                .map(|[index, _]| HEXLOWER.encode(index))
                .collect(),
            lookups: lookups
                .digests()
                .iter()
                .map(|digest| HEXLOWER.encode(digest))
                .collect(),
            shared_sha256: record.shared_sha256.clone(),
            generation: None,
        };
        Ok((statement, lookups))
    }
}
