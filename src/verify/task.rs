//! A chunk to be verified, and what was found of it.

use super::Fault;
use super::generations::Left;
use super::tally::Tallies;
use crate::batch::{BatchRecord, IndexEntry};
use crate::bundle::encryption::Identities;
use crate::manifest::{Block, Manifest};
use crate::profile::Ends;
use crate::seal::{ChunkDigest, Seal};

/// What is to be read and held against it.
pub(super) struct Task<'a> {
    pub chunk: u64,
    /// The manifest and what it has here, when it is at hand; it may have nothing.
    pub manifest: Option<(&'a Manifest, Option<Block>)>,
    /// The ledger's entries, when there is a ledger.
    pub ledger: Option<Vec<IndexEntry>>,
    pub record: &'a BatchRecord,
    pub seal: Option<&'a Seal>,
    /// By which encrypted bundles are read, if somebody gave some.
    pub identities: Option<&'a Identities>,
    /// Whether every bundle is judged in full.
    pub strict: bool,
    /// Whether it is of a generation, whose bundles the ledger does not know.
    pub is_remade: bool,
}

#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Bundles without a fault.
    pub good: u64,
    /// Bundles that were judged in full.
    pub judged_in_full: u64,
    /// Good bundles whose content nobody has read.
    pub unread: u64,
    /// Good bundles with a file that nobody has opened, for want of its password.
    pub not_opened: u64,
    /// Bundles that were removed after their device was flashed or scrapped.
    pub burned: u64,
    /// Devices that are not in this generation, and have not been flashed or scrapped.
    pub left: Vec<Left>,
    pub faults: Vec<Fault>,
    pub tallies: Tallies,
    /// When its certificates end.
    pub ends: Option<Ends>,
    /// What the seal must say of it, when the index is as a forge writes it.
    pub digest: Option<ChunkDigest>,
}
