//! Batches that were moved: the ledger learns where they are now, once the store shows that it is the same batch.

use super::{ForgeError, agreement};
use crate::batch::BatchRecord;
use crate::ledger::{BatchIdentity, Ledger};
use crate::store::{Store, is_location};

/// Notes where a batch is now that was begun elsewhere and moved. Who says that it was moved says that it is no copy.
pub(super) fn note(
    store: &Store,
    ledger: &mut dyn Ledger,
    identity: &BatchIdentity<'_>,
    record: &BatchRecord,
) -> Result<(), ForgeError> {
    let Some(batch) = ledger.find_batch(identity.name)? else {
        return Ok(());
    };
    if is_location(&batch.location, identity.location) {
        return Ok(());
    }
    match agreement::read_record(store)? {
        Some(found) if found == *record => {
            tracing::info!(
                batch = identity.name,
                from = batch.location,
                to = identity.location,
                "moved"
            );
            Ok(ledger.move_batch(&batch, identity.location, identity.manifest)?)
        }
        Some(_) => Err(ForgeError::ForeignBatch {
            location: store.location(),
        }),
        // Then it is not here, whatever was said.
        None => Ok(()),
    }
}
