//! What a run writes into the ledger's history beside what the ledger writes by itself.

use time::OffsetDateTime;

use super::making::Making;
use super::{ForgeError, Job, Shard, heads};
use crate::issuer::Issuer;
use crate::ledger::{Act, Batch, Deed, Entry, HostState, HostStatus, Ledger, LedgerError};
use crate::store::Store;

/// That a batch, or a shard of it, goes on. One that is made already does not, nor does one that another host is making.
pub(super) fn resumed(ledger: &mut dyn Ledger, batch: &Batch, job: &Job<'_>) -> Result<(), LedgerError> {
    let has = |shard: Option<Shard>, chunk| shard.is_none_or(|shard| shard.has(chunk));
    let released = ledger.committed(batch)?.into_iter();
    let released = released
        .filter(|(chunk, released)| *released && has(job.shard, *chunk))
        .count() as u64;
    let own = (0..batch.shape().chunks())
        .filter(|chunk| has(job.shard, *chunk))
        .count() as u64;
    let is_at_work = |host: &HostStatus| host.state == HostState::AtWork;
    let is_being_made = || -> Result<bool, LedgerError> {
        let status = ledger.status(Some(&batch.name))?;
        Ok(status.iter().flat_map(|status| &status.hosts).any(is_at_work))
    };
    if released == own || is_being_made()? {
        return Ok(());
    }
    let what = format!("{released} of {own} chunks were released");
    ledger.record(Act::new(Deed::BatchResumed, &batch.name, what), job.now)?;
    Ok(())
}

/// That a batch is sealed, unless that is known; and signs for the history with it.
///
/// # Errors
///
/// When the ledger or the store cannot be read or written, or the history is not the one that was signed for before.
pub fn sealed(
    (store, ledger): (&Store, &mut dyn Ledger),
    (batch, devices): (&str, u64),
    issuer: &Issuer,
    now: OffsetDateTime,
) -> Result<(), ForgeError> {
    let is_known = |entry: &Entry| entry.act == Deed::BatchSealed && entry.subject == batch;
    if !ledger.history()?.iter().any(is_known) {
        ledger.record(Act::of_sealed(batch, devices, &store.location()), now)?;
    }
    heads::sign(store, ledger, batch, issuer, now)
}

/// The same of the batch that a run has made; and the ledger is remembered with it.
pub(super) fn sealed_by(making: &Making<'_>, ledger: &mut dyn Ledger) -> Result<(), ForgeError> {
    let (batch, job) = (making.batch, making.job);
    sealed(
        (making.store, &mut *ledger),
        (&batch.name, batch.rows),
        job.issuer,
        job.now,
    )?;
    making.care.keep_mark(ledger, making.passed_over)?;
    Ok(())
}
