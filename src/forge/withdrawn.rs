//! Withdrawals: of a batch that must never come up, nothing more is made and nothing is sealed.

use time::OffsetDateTime;

use super::ForgeError;
use crate::batch::WithdrawnRecord;
use crate::ledger::{Batch, Ledger};
use crate::profile::rfc3339;
use crate::store::{Store, put_withdrawn, read_withdrawn};

/// Refuses a batch that the ledger says is withdrawn.
pub(super) fn refuse_in_ledger(ledger: &dyn Ledger, name: &str) -> Result<(), ForgeError> {
    let Some(batch) = ledger.find_batch(name)? else {
        return Ok(());
    };
    match ledger.withdrawal(&batch)? {
        None => Ok(()),
        Some(withdrawal) => Err(ForgeError::Withdrawn {
            batch: batch.name,
            at: rfc3339(withdrawal.at),
            reason: withdrawal.reason,
        }),
    }
}

/// Refuses a batch that the store says is withdrawn.
///
/// # Errors
///
/// [`ForgeError::Withdrawn`], or when the store cannot be read.
pub fn refuse_withdrawn(store: &dyn Store, name: &str) -> Result<(), ForgeError> {
    match read_withdrawn(store)? {
        None => Ok(()),
        Some(record) => Err(ForgeError::Withdrawn {
            batch: name.to_owned(),
            at: record.withdrawn_at,
            reason: record.reason,
        }),
    }
}

/// Withdraws a batch: first in the ledger, then for stations, which see the store alone. One that was withdrawn
/// before keeps its time and reason.
///
/// # Errors
///
/// When ledger or store cannot be written.
pub fn withdraw(
    store: &dyn Store,
    ledger: &mut dyn Ledger,
    batch: &Batch,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), ForgeError> {
    let withdrawal = ledger.withdraw(batch, reason, now)?;
    let record = WithdrawnRecord {
        batch: batch.name.clone(),
        withdrawn_at: rfc3339(withdrawal.at),
        reason: withdrawal.reason,
    };
    Ok(put_withdrawn(store, &record)?)
}
