//! The agreement between ledger and store, established before anything is signed.
//!
//! The ledger says what was released; the store shows what is there. Where they differ, somebody
//! removed bundles, or another ledger released some, and making more would give a device two.

use std::collections::BTreeSet;

use super::ForgeError;
use crate::ledger::{Batch, Ledger};
use crate::store::{BATCH_OBJECT, BatchRecord, Store, StoreError, chunk_of, index_object, write_index};

/// Puts `batch.json` in place, or finds the one that belongs there, and holds the indexes in the
/// store against the ledger.
pub(super) fn establish(
    store: &dyn Store,
    ledger: &Ledger,
    batch: &Batch,
    record: &BatchRecord,
) -> Result<(), ForgeError> {
    let committed = ledger.committed(batch)?;
    match read_record(store)? {
        None if committed.is_empty() => {}
        None => {
            return Err(ForgeError::BundlesGone {
                batch: batch.name.clone(),
                location: store.location(),
                missing: committed.len() as u64,
                released: committed.len() as u64,
            });
        }
        Some(Ok(found)) if found == *record => {}
        // A batch of ours that nothing was committed of may begin again, otherwise.
        Some(Ok(found)) if found.ledger == record.ledger && committed.is_empty() => {}
        Some(_) => {
            return Err(ForgeError::ForeignBatch {
                location: store.location(),
            });
        }
    }
    let mut indexed = BTreeSet::new();
    store.list("index/", &mut |listed| indexed.extend(chunk_of(&listed.name)))?;
    let known: BTreeSet<u64> = committed.iter().map(|(chunk, _)| *chunk).collect();
    if let Some(&chunk) = indexed.difference(&known).next() {
        return Err(ForgeError::ForeignChunk {
            location: store.location(),
            chunk,
        });
    }
    let released: BTreeSet<u64> = committed
        .iter()
        .filter(|(_, released)| *released)
        .map(|(chunk, _)| *chunk)
        .collect();
    let missing = released.difference(&indexed).count();
    if missing > 0 {
        return Err(ForgeError::BundlesGone {
            batch: batch.name.clone(),
            location: store.location(),
            missing: missing as u64,
            released: released.len() as u64,
        });
    }
    if committed.is_empty() {
        store.publish(&[(BATCH_OBJECT.to_owned(), record.to_json())])?;
    }
    Ok(())
}

/// The record in the store: none, one that reads, or something else.
fn read_record(store: &dyn Store) -> Result<Option<Result<BatchRecord, serde_json::Error>>, ForgeError> {
    match store.read(BATCH_OBJECT, None) {
        Ok(octets) => Ok(Some(serde_json::from_slice(&octets))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Releases what was committed and not yet released. Returns how many devices that were.
pub(super) fn release_committed(
    store: &dyn Store,
    ledger: &mut Ledger,
    batch: &Batch,
) -> Result<u64, ForgeError> {
    let mut devices = 0;
    for (chunk, released) in ledger.committed(batch)? {
        if released {
            continue;
        }
        let entries = ledger.entries(batch, chunk)?;
        let index = write_index(batch.layout, chunk, &entries);
        store.publish(&[(index_object(chunk), index)])?;
        ledger.mark_released(batch, &[chunk])?;
        devices += entries.len() as u64;
    }
    Ok(devices)
}
