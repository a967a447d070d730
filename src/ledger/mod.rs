//! The ledger: what was reserved, issued and stored under a CA. [`Ledger`] is the contract, [`SqliteLedger`] its
//! first home, in one file, `PostgresLedger` its second, for many hosts ([`Share`]); [`open`] finds the home by what the user names ([`LedgerName`]).
//!
//! Invariants. A chunk is reserved, with the prefix of its serials, before any of its certificates
//! is signed; it is committed after the store holds its bundles durably; its index is written from
//! what is committed. So what is released is in the ledger, and every certificate that may exist has
//! a prefix there. Private keys never come near it.
//!
//! What is read back is proven or refused ([`LedgerError::Corrupt`]): nothing is made up for what is missing.

mod anew;
mod batch;
mod ca_folder;
mod chunk;
mod copy;
mod error;
mod fact;
mod history;
mod issued;
mod mark;
mod name;
mod patience;
#[cfg(feature = "postgres")]
mod postgres;
mod share;
mod sqlite;
mod taken;
mod withdrawal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use time::OffsetDateTime;

pub use anew::Anew;
pub use batch::{Batch, BatchIdentity, BatchStatus};
pub use ca_folder::CaFolder;
pub use chunk::{Committed, Reservation};
pub use copy::{Copied, copy};
pub use error::LedgerError;
pub use fact::{Begun, Enter, Fact, KnownChunk, KnownDevice, Reserved, Revoked, Telling};
pub use history::{Act, Broken, Deed, Entry, Head, NotAsSigned, check as check_history, is_begun_anew};
pub use issued::{Issued, Selection};
pub use mark::{KeepMark, Mark, PassedOver, Unlike};
pub use name::{LedgerName, LedgerNameError, ServerUrl};
pub use patience::{LEASE, Patience, Tell};
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
pub use share::{DeviceIds, HostState, HostStatus, Lease, Progress, Share};
pub use sqlite::{Backup, Making, SqliteLedger, backup};
pub use taken::Taken;
pub use withdrawal::Withdrawal;

use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;
use crate::issuer::{CaCertificate, RevocationCode, RevokedCertificate};

/// Opens the ledger that the user names, for writing, and makes it when there is none. `new_id` is the id of a
/// new one. `patience` is for a server that goes away while it is in use.
///
/// # Errors
///
/// When it cannot be written to, is in use where only one may write, or is something else.
pub fn open_patiently(
    name: &LedgerName,
    new_id: [u8; 16],
    patience: Patience,
) -> Result<Box<dyn Ledger>, LedgerError> {
    let ledger: Box<dyn Ledger> = match name {
        LedgerName::File(path) => Box::new(SqliteLedger::open(path, new_id)?),
        #[cfg(feature = "postgres")]
        LedgerName::Server(url) => Box::new(PostgresLedger::open(url, new_id, patience)?),
        #[cfg(not(feature = "postgres"))]
        LedgerName::Server(_) => {
            drop(patience);
            return Err(not_built(name));
        }
    };
    tracing::debug!(ledger = %name, id = ledger.id(), "ledger opened");
    Ok(ledger)
}

/// The same, of a server that has to be there whenever it is asked.
///
/// # Errors
///
/// As [`open_patiently`].
pub fn open(name: impl Into<LedgerName>, new_id: [u8; 16]) -> Result<Box<dyn Ledger>, LedgerError> {
    open_patiently(&name.into(), new_id, Patience::default())
}

/// Opens the ledger that the user names, for reading, beside whoever writes to it.
///
/// # Errors
///
/// When there is none, or it is something else.
pub fn open_read_only(name: impl Into<LedgerName>) -> Result<Box<dyn Ledger>, LedgerError> {
    read_patiently(&name.into(), Patience::default())
}

/// The same, of a server that may be waited for.
///
/// # Errors
///
/// As [`open_read_only`].
pub fn read_patiently(name: &LedgerName, patience: Patience) -> Result<Box<dyn Ledger>, LedgerError> {
    Ok(match name {
        LedgerName::File(path) => Box::new(SqliteLedger::open_read_only(path)?),
        #[cfg(feature = "postgres")]
        LedgerName::Server(url) => Box::new(PostgresLedger::open_read_only(url, patience)?),
        #[cfg(not(feature = "postgres"))]
        LedgerName::Server(_) => {
            drop(patience);
            return Err(not_built(name));
        }
    })
}

#[cfg(not(feature = "postgres"))]
fn not_built(name: &LedgerName) -> LedgerError {
    LedgerError::NotBuilt {
        location: name.to_string(),
    }
}

/// Waits until nobody writes to the ledger who keeps others from it.
///
/// # Errors
///
/// When nobody can tell.
pub fn wait(name: impl Into<LedgerName>) -> Result<(), LedgerError> {
    match name.into() {
        LedgerName::File(path) => SqliteLedger::wait(&path),
        LedgerName::Server(_) => Ok(()),
    }
}

/// A ledger, wherever it is kept.
///
/// What changes it is one transaction a call, durable when the call returns, and nothing at all when it fails or
/// the process dies before. What reads it sees whole calls only. Calls take as much at a time as the caller has,
/// so that a ledger behind a network costs one round trip for it. Every call fails when the database does.
///
/// A home that needs more than `&self` to read keeps its connection behind a lock of its own.
pub trait Ledger: fmt::Debug + Send {
    /// The ledger's own id: 32 hex digits, drawn when it was made.
    fn id(&self) -> &str;

    /// What the user named it by, without secrets.
    fn location(&self) -> &str;

    /// Whether nothing was ever begun.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn is_new(&self) -> Result<bool, LedgerError>;

    /// Begins a batch, or finds the one that was begun with the same identity.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BatchDiffers`] when the name stands for something else of which a chunk is
    /// committed.
    fn begin_batch(
        &mut self,
        identity: &BatchIdentity<'_>,
        now: OffsetDateTime,
    ) -> Result<Batch, LedgerError>;

    /// Adds an act to the history, behind those of other hosts that come at the same time. What a call of this trait changes that
    /// belongs there, it adds by itself, in its own transaction: CAs that are new, batches that are begun or withdrawn,
    /// certificates that are revoked.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn record(&mut self, act: Act, now: OffsetDateTime) -> Result<Head, LedgerError>;

    /// The history, from the first entry on, as it is found: [`check_history`] sees whether it is whole.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn history(&self) -> Result<Vec<Entry>, LedgerError>;

    /// The batch of that name.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn find_batch(&self, name: &str) -> Result<Option<Batch>, LedgerError>;

    /// The batch of that name, which must be there.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoBatch`] when it is not.
    fn batch(&self, name: &str) -> Result<Batch, LedgerError> {
        self.find_batch(name)?.ok_or_else(|| LedgerError::NoBatch {
            name: name.to_owned(),
        })
    }

    /// The batch that was begun with this identity, if it was. One of that name that was begun as
    /// something else, and of which nothing is committed, may begin again: it does not count.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BatchDiffers`] when the name stands for something else of which a chunk is
    /// committed.
    fn same_batch(&self, identity: &BatchIdentity<'_>) -> Result<Option<Batch>, LedgerError> {
        let Some(batch) = self.find_batch(identity.name)? else {
            return Ok(None);
        };
        match identity.check(&batch) {
            Ok(()) => Ok(Some(batch)),
            Err(error) if !self.committed(&batch)?.is_empty() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The name of another batch that was made of this manifest by this issuer, and of which a chunk is
    /// committed.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn batch_of_manifest(
        &self,
        manifest_sha256: &[u8; 32],
        issuer: &CaCertificate,
        other_than: &str,
    ) -> Result<Option<String>, LedgerError>;

    /// Names of the batches that were begun with an issuer's key, oldest first.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn batches_of(&self, issuer: &CaCertificate) -> Result<Vec<String>, LedgerError>;

    /// How far each batch is, oldest first; or one of them.
    ///
    /// # Errors
    ///
    /// When there is no batch of that name, or the ledger cannot be read.
    fn status(&self, name: Option<&str>) -> Result<Vec<BatchStatus>, LedgerError>;

    /// Reservations that were ever made, of whichever issuer: how far it has come. They never become fewer.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn reservations(&self) -> Result<u64, LedgerError>;

    /// Notes where a batch is now, and its manifest: both were moved. Nothing else of it changes.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn move_batch(&mut self, batch: &Batch, location: &str, manifest: &str) -> Result<(), LedgerError>;

    /// Reserves chunks, each with its prefix. An earlier attempt at one of them gives no right any more. The
    /// prefixes are new ones: one that was ever used before is refused.
    ///
    /// # Errors
    ///
    /// [`LedgerError::ChunkCommitted`], when a prefix was used before, or when the ledger cannot be written.
    fn reserve(
        &mut self,
        batch: &Batch,
        chunks: &[(u64, SerialPrefix)],
        now: OffsetDateTime,
    ) -> Result<Vec<Reservation>, LedgerError>;

    /// Commits chunks, and records the release of earlier ones.
    ///
    /// # Errors
    ///
    /// [`LedgerError::AlreadyIssued`] when a device has been issued by this issuer before and the
    /// batch is no reissue; [`LedgerError::Superseded`] when a reservation is not the newest of its chunk;
    /// [`LedgerError::ChunkCommitted`].
    fn commit(&mut self, batch: &Batch, chunks: &[Committed], released: &[u64]) -> Result<(), LedgerError>;

    /// Records that the index of committed chunks is in place.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn mark_released(&mut self, batch: &Batch, chunks: &[u64]) -> Result<(), LedgerError>;

    /// Chunks that are committed, in order, and whether each is released.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn committed(&self, batch: &Batch) -> Result<Vec<(u64, bool)>, LedgerError>;

    /// Chunks that are not committed, in order.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn remaining(&self, batch: &Batch) -> Result<Vec<u64>, LedgerError> {
        let committed = self.committed(batch)?;
        let committed: BTreeSet<u64> = committed.into_iter().map(|(chunk, _)| chunk).collect();
        let all = 0..batch.shape().chunks();
        Ok(all.filter(|chunk| !committed.contains(chunk)).collect())
    }

    /// The prefixes of the attempts at each chunk so far, oldest first.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn attempts(&self, batch: &Batch) -> Result<BTreeMap<u64, Vec<SerialPrefix>>, LedgerError>;

    /// Every prefix that was ever reserved, in order.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn prefixes(&self) -> Result<Vec<SerialPrefix>, LedgerError>;

    /// The entries of a chunk, in row order; none when it is not committed.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn entries(&self, batch: &Batch, chunk: u64) -> Result<Vec<IndexEntry>, LedgerError>;

    /// Whether the issuer has issued one of the devices, in whichever batch.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn has_issued(&self, issuer: &CaCertificate, device_ids: &[&str]) -> Result<bool, LedgerError>;

    /// For each device, a batch of another name in which the issuer issued it.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn issued_in(
        &self,
        issuer: &CaCertificate,
        device_ids: &[&str],
        other_than: &str,
    ) -> Result<Vec<Option<String>>, LedgerError>;

    /// Withdraws a batch. One that was withdrawn before keeps its time and its reason.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn withdraw(
        &mut self,
        batch: &Batch,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<Withdrawal, LedgerError>;

    /// Whether a batch is withdrawn, and why.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn withdrawal(&self, batch: &Batch) -> Result<Option<Withdrawal>, LedgerError>;

    /// How many certificates of a batch are revoked in an account and Region.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn revoked(&self, batch: &Batch, place: &str) -> Result<u64, LedgerError>;

    /// Hands on certificates one by one, in the order in which they were issued, as long as `each` wants more. Those of
    /// devices come device by device.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn select(
        &self,
        selection: Selection<'_>,
        each: &mut dyn FnMut(Issued) -> bool,
    ) -> Result<(), LedgerError>;

    /// Notes that certificates are revoked, for lists to come. One that was before keeps its time and its reason.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn revoke(
        &mut self,
        certificates: &[Issued],
        code: RevocationCode,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<(), LedgerError>;

    /// All certificates that a revocation list of the issuer is to name: those that are revoked, those of batches that
    /// are withdrawn, and on demand those for which the device has a later one.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    fn revoked_of(
        &self,
        issuer: &CaCertificate,
        with_superseded: bool,
    ) -> Result<Vec<RevokedCertificate>, LedgerError>;

    /// Takes the number of the issuer's next revocation list: higher than that of every list before, and than `above`.
    /// `None`: the ledger does not know the issuer.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn next_crl(
        &mut self,
        issuer: &CaCertificate,
        above: u64,
        now: OffsetDateTime,
    ) -> Result<Option<u64>, LedgerError>;

    /// Records how many certificates of a withdrawn batch, in manifest order from the first, are revoked in an
    /// account and Region. It never becomes fewer.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotWithdrawn`], or when the ledger cannot be written.
    fn set_revoked(&mut self, batch: &Batch, place: &str, revoked: u64) -> Result<(), LedgerError>;

    /// Joins those who make a batch together; `None`: this ledger is one process's alone.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    fn share(&self, _batch: &Batch) -> Result<Option<Box<dyn Share>>, LedgerError> {
        Ok(None)
    }

    /// Hands on all that the ledger knows of a batch, fact by fact, in an order in which [`Ledger::restore`] takes it: the
    /// batch; its reservations by chunk, those of one chunk as they were made; its committed chunks by number, a chunk at a
    /// time; its withdrawal and how far it is revoked; its revoked certificates by row. All as of one moment, and not
    /// more of it in memory than a chunk.
    ///
    /// # Errors
    ///
    /// What `enter` says, which ends it; or when the ledger cannot be read.
    fn facts(&self, batch: &Batch, enter: Enter<'_>) -> Result<(), LedgerError>;

    /// Enters what another ledger knew, or what is known from elsewhere. `tell` gets what enters a fact, and tells one
    /// after the other, in the order of [`Ledger::facts`], of as many batches as it likes. All of it is one transaction,
    /// which ends well when `tell` does; after an error nothing is entered. `tell` is
    /// called once: a server that goes away meanwhile is an error.
    ///
    /// What is known already is no error, so that parts of one batch are put together, and that a fact may come twice:
    ///
    /// - A batch of a name that is there must be the same ([`LedgerError::BatchDiffers`] otherwise, whether or not anything
    ///   of it is committed), and what follows is of that one. Its beginning is the earlier of both; its manifest's path
    ///   stays. Its issuer's number of revocation lists becomes the one that comes with it, if that is higher.
    /// - A reservation whose prefix is there must be of the same chunk of the same batch
    ///   ([`LedgerError::PrefixTaken`]). A new one is the last attempt at its chunk.
    /// - A chunk is committed by the attempt of its prefix, which need not be the newest. One that is committed must have the
    ///   same prefix and the same entries ([`LedgerError::ChunkDiffers`]); it is released when either is.
    /// - A device of a batch that is no reissue has generation 0, whatever is told, and one that has it from another
    ///   row of whichever batch is refused ([`LedgerError::AlreadyIssued`]). In a reissue it gets the generation that is
    ///   told, and when that is taken, or none is told, the one after its last.
    /// - Withdrawals and revocations that are there keep their time and their reason; how many are revoked in a place never
    ///   becomes fewer.
    ///
    /// # Errors
    ///
    /// What `tell` says; when a fact contradicts what is known; or when the ledger cannot be written.
    fn restore(&mut self, tell: Telling<'_>) -> Result<(), LedgerError>;
}
