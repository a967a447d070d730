//! Chunks, as a ledger knows them: reserved before anything is signed, committed when durable.

use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;

/// An attempt at a chunk: the right to sign its certificates with serials of this prefix, until a later
/// attempt takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    pub chunk: u64,
    /// From 1, and higher than that of any attempt before.
    pub attempt: u32,
    pub prefix: SerialPrefix,
}

/// A chunk whose bundles the store holds durably.
#[derive(Debug, Clone)]
pub struct Committed {
    pub reservation: Reservation,
    /// In row order.
    pub entries: Vec<IndexEntry>,
}
