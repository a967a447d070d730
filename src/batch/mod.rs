//! The format of a batch, as it lies in a store: what each object is called, what it holds, how it is written
//! and how it is read back.
//!
//! ```text
//!   batch.json                             what the batch is; written first
//!   shared.zip                             the files that all devices share, if the profile has such
//!   packs/ or bundles/                     the bundles
//!   certificates/<chunk>.pem               the certificates of a chunk
//!   index/<chunk>.csv                      a row for each device; releases the chunk's bundles
//!   lookup/<part>.csv, seal.json           finds a device's chunk; signs it all; written last
//!   claims/<chunk>/<device id>.json        which station has a device
//!   flashed/ failed/ scrapped/             how its time at a station ended
//!   withdrawn.json                         that nothing of it may come up
//!   generations/                           its bundles made anew around the same keys and certificates
//! ```
//!
//! Pure: octets in, octets out, and nothing of how they are stored. Others can write to a store, so a reader is told
//! what was asked for, refuses what differs, and returns a [`DeviceId`](crate::manifest::DeviceId) rather than a text
//! where a device is named: nothing that was read becomes a path by itself.

mod certificates;
pub mod claim;
mod encrypted;
mod generation;
mod index;
mod layout;
mod lookup;
mod outline;
mod record;
pub mod report;
mod shape;
mod shard_ledger;
mod shared;
mod withdrawal;

pub use certificates::ChunkCertificates;
pub use generation::{GENERATIONS, GenerationFolder, generation_seal};
pub(crate) use index::check_index;
pub(crate) use index::index_lines;
pub use index::{
    COLUMNS as INDEX_COLUMNS, Device, IndexEntry, IndexError, IndexFields, IndexRow, pack_octets,
    parse_index, read_index, write_index,
};
pub use layout::{
    BATCH_OBJECT, BUNDLE_FOLDERS, CLAIMS, FAILED, FLASHED, HISTORY_OBJECT, INDEXES, Layout, SCRAPPED,
    SEAL_OBJECT, SHARDS, SHARED_OBJECT, WITHDRAWN_OBJECT, certificates_object, chunk_of, claim_object,
    device_of, failed_object, flashed_object, index_object, lookup_object, most_octets, pack_object,
    scrapped_object, shard_ledger_object, shard_object,
};
pub(crate) use lookup::Mark;
pub use lookup::{Candidates, Lookups, Twins, part_of};
pub use outline::Outline;
pub use record::{BatchRecord, ReadRecord, RecordError};
pub use shape::{MAX_CHUNK_ROWS, Shape};
pub use shard_ledger::ShardLedger;
pub use withdrawal::WithdrawnRecord;
pub(crate) use withdrawal::since;

/// Octets that are not what their name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} is no {what}")]
pub struct NotRead {
    pub object: String,
    pub what: &'static str,
}

/// As a store has it: for people too.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("a record has only text keys");
    json.push(b'\n');
    json
}
