//! What a run writes into the ledger's history beside what the ledger writes by itself.

use super::{Job, Shard};
use crate::ledger::{Act, Batch, Deed, Entry, Ledger, LedgerError};

/// That a batch, or a shard of it, goes on. One that is made already does not.
pub(super) fn resumed(ledger: &mut dyn Ledger, batch: &Batch, job: &Job<'_>) -> Result<(), LedgerError> {
    let has = |shard: Option<Shard>, chunk| shard.is_none_or(|shard| shard.has(chunk));
    let released = ledger.committed(batch)?.into_iter();
    let released = released
        .filter(|(chunk, released)| *released && has(job.shard, *chunk))
        .count() as u64;
    let own = (0..batch.shape().chunks())
        .filter(|chunk| has(job.shard, *chunk))
        .count() as u64;
    if released == own {
        return Ok(());
    }
    let what = format!("{released} of {own} chunks were released");
    ledger.record(Act::new(Deed::BatchResumed, &batch.name, what), job.now)?;
    Ok(())
}

/// That a batch is sealed, unless that is known.
pub(super) fn sealed(ledger: &mut dyn Ledger, batch: &Batch, job: &Job<'_>) -> Result<(), LedgerError> {
    let is_known = |entry: &Entry| entry.act == Deed::BatchSealed && entry.subject == batch.name;
    if ledger.history()?.iter().any(is_known) {
        return Ok(());
    }
    ledger.record(Act::of_sealed(batch), job.now)?;
    Ok(())
}
