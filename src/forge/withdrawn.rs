//! Withdrawals: of a batch that must never come up, nothing more is made and nothing is sealed.

use super::ForgeError;
use crate::ledger::Ledger;
use crate::profile::rfc3339;
use crate::store::{Store, read_withdrawn};

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
pub fn refuse_withdrawn(store: &Store, name: &str) -> Result<(), ForgeError> {
    match read_withdrawn(store)? {
        None => Ok(()),
        Some(record) => Err(ForgeError::Withdrawn {
            batch: name.to_owned(),
            at: record.withdrawn_at,
            reason: record.reason,
        }),
    }
}
