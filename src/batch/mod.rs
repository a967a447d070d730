//! The format of a batch, as it lies in a store: what each object is called, what it holds, how it is written
//! and how it is read back.
//!
//! ```text
//!   batch.json                             what the batch is; written first
//!   packs/ or bundles/                     the bundles
//!   certificates/<chunk>.pem               the certificates of a chunk
//!   index/<chunk>.csv                      a row for each device; releases the chunk's bundles
//!   lookup/<part>.csv, seal.json           finds a device's chunk; signs it all; written last
//!   claims/<chunk>/<device id>.json        which station has a device
//!   flashed/ failed/ scrapped/             how its time at a station ended
//!   withdrawn.json                         that nothing of it may come up
//! ```
//!
//! Pure: octets in, octets out, and nothing of how they are stored.

pub mod claim;
mod index;
mod layout;
mod lookup;
mod record;
pub mod report;
mod withdrawal;

pub use index::{
    COLUMNS as INDEX_COLUMNS, Device, IndexEntry, IndexError, IndexFields, IndexRow, parse_index, write_index,
};
pub use layout::{
    BATCH_OBJECT, CLAIMS, FAILED, FLASHED, Layout, SCRAPPED, SEAL_OBJECT, WITHDRAWN_OBJECT,
    certificates_object, chunk_of, claim_object, device_of, failed_object, flashed_object, index_object,
    lookup_object, scrapped_object,
};
pub(crate) use lookup::Mark;
pub use lookup::{Candidates, Lookups, Twins, part_of};
pub use record::BatchRecord;
pub use withdrawal::WithdrawnRecord;
pub(crate) use withdrawal::since;

/// Octets that are not what their name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} is no {what}")]
pub struct NotRead {
    pub object: String,
    pub what: &'static str,
}
