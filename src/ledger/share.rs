//! Work that is shared: several hosts make one batch, and each leases chunks that nobody has.
//!
//! A lease runs on the ledger's clock, from its taking to the release of its chunk, and is renewed as long as its host is
//! alive. When it has run out another host may take the chunk, with an attempt of its own: the first one can then commit
//! no more, and what it sends is told by its attempt. So that it sends nothing at all, it watches a clock of its own
//! ([`Share::is_held`]), which goes on while its machine sleeps.

use std::fmt;

use serde::Serialize;

use super::{LedgerError, Reservation};
use crate::certificate::SerialPrefix;
use crate::manifest::DeviceId;

/// A chunk in the hands of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub reservation: Reservation,
    /// The attempts at the chunk before this one, whose objects may be there.
    pub earlier: Vec<SerialPrefix>,
    /// The term in which it was taken: leases of a term that has ended hold no more.
    pub term: u64,
}

/// Gives the ids of a chunk's devices, in row order; with `None` that chunk is not taken, nor any after it.
pub type DeviceIds<'a> = &'a mut dyn FnMut(u64) -> Option<Vec<DeviceId>>;

/// How far a batch is that several hosts make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that are not released.
    pub unreleased: u64,
    /// The hosts that have chunks in hand whose lease holds, but for this run.
    pub hosts: Vec<String>,
    /// Whether the batch is sealed.
    pub sealed: bool,
}

/// A host's run of a batch that is not sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    pub host: String,
    pub process: u64,
    /// Of certforge.
    pub version: String,
    /// By the ledger's clock, as all times here.
    pub begun_at: String,
    /// When it was last heard of.
    pub seen_at: String,
    pub state: HostState,
    /// Chunks that it has in hand, and since when the first of them.
    pub chunks: u64,
    pub chunks_since: Option<String>,
    /// Devices that it has committed.
    pub made: u64,
    pub devices_per_second: u64,
}

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    AtWork,
    /// Its leases have run out: others take its chunks.
    Lost,
    Ended,
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtWork => "at work",
            Self::Lost => "lost",
            Self::Ended => "ended",
        })
    }
}

/// One run's part in a batch. Calls may come from any thread, and wait for the ledger as it does itself.
pub trait Share: fmt::Debug + Send + Sync {
    /// Takes chunks that nobody has, one for each prefix at most, and makes the ids of their devices theirs.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Taken`] and [`LedgerError::AlreadyIssued`] when an id is another batch's; when the ledger cannot be
    /// written.
    fn lease(&self, prefixes: &[SerialPrefix], device_ids: DeviceIds<'_>) -> Result<Vec<Lease>, LedgerError>;

    /// Takes chunks that were committed by runs that are gone and that nobody has released; with the term in which.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn take_unreleased(&self) -> Result<(Vec<u64>, u64), LedgerError>;

    /// Renews all leases of this run. When they have run out by this machine's own clock they are given up instead, and
    /// another term begins.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn renew(&self) -> Result<(), LedgerError>;

    /// Whether the leases of a term hold, by this machine's own clock, which is asked and nothing else.
    fn is_held(&self, term: u64) -> bool;

    /// Whether an attempt at a chunk is still this run's, and the newest.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn has(&self, reservation: Reservation) -> Result<bool, LedgerError>;

    /// How often they are to be renewed.
    fn renewal(&self) -> std::time::Duration;

    /// How far the batch is.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn progress(&self) -> Result<Progress, LedgerError>;

    /// Takes it upon this run to seal the batch, unless another does or has.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn take_seal(&self) -> Result<bool, LedgerError>;

    /// Notes that the batch is sealed.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn sealed(&self) -> Result<(), LedgerError>;

    /// Gives back all that this run has in hand.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written: then others wait until the leases have run out.
    fn leave(&self) -> Result<(), LedgerError>;
}
