//! The agreement between ledger and store, established before anything is signed.
//!
//! The ledger says what was released; the store shows what is there. Where they differ, somebody
//! removed bundles, or another ledger released some, and making more would give a device two.

use std::collections::BTreeSet;

use super::{ForgeError, Shard};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, IndexEntry, Layout, SEAL_OBJECT, index_object, pack_object, write_index,
};
use crate::digest::sha256;
use crate::ledger::{Batch, Ledger};
use crate::store::{self, Existing, ReadError, Store, StoreError, released_chunks};

/// Puts `batch.json` in place, or finds the one that belongs there, and holds the indexes in the
/// store against the chunks that the ledger has, each with whether it is released.
pub(super) fn establish(
    store: &Store,
    committed: &[(u64, bool)],
    record: &BatchRecord,
    shard: Option<Shard>,
) -> Result<(), ForgeError> {
    let location = store.location();
    let gone = |missing: usize, of: usize| ForgeError::BundlesGone {
        batch: record.batch.clone(),
        location: location.clone(),
        missing: missing as u64,
        of: of as u64,
    };
    if committed.is_empty() {
        begin(store, record)?;
    } else {
        match read_record(store)? {
            Some(found) if found == *record => {}
            Some(_) => return Err(ForgeError::ForeignBatch { location }),
            None => return Err(gone(committed.len(), committed.len())),
        }
    }
    let indexed = released_chunks(store)?;
    let known: BTreeSet<u64> = committed.iter().map(|(chunk, _)| *chunk).collect();
    let is_own = |chunk: &&u64| shard.is_none_or(|shard| shard.has(**chunk));
    if let Some(&chunk) = indexed.difference(&known).find(is_own) {
        return Err(ForgeError::ForeignChunk { location, chunk });
    }
    let released: Vec<u64> = committed
        .iter()
        .filter_map(|(chunk, released)| released.then_some(*chunk))
        .collect();
    let chunks: Vec<u64> = (0..record.shape().chunks()).collect();
    let own = chunks.iter().filter(is_own);
    let unknown = own.filter(|chunk| !known.contains(chunk)).count() as u64;
    if unknown > 0 && store.exists(SEAL_OBJECT)? {
        return Err(ForgeError::SealedBefore { location, unknown });
    }
    match released.iter().filter(|chunk| !indexed.contains(chunk)).count() {
        0 => Ok(()),
        missing => Err(gone(missing, released.len())),
    }
}

/// Puts the record of a batch in place of which nothing is committed.
fn begin(store: &Store, record: &BatchRecord) -> Result<(), ForgeError> {
    // Of two that begin at once, one creates it and the other finds it, so it is read in any case.
    store.create(BATCH_OBJECT, &record.to_json())?;
    let location = store.location();
    match read_record(store)? {
        Some(found) if found == *record => Ok(()),
        Some(found)
            if found.ledger == record.ledger && found.batch == record.batch && record.shards.is_none() =>
        {
            // It was begun as something else. Bundles of that, which hold keys, must not stay among these.
            let mut is_empty = true;
            store.list("", &mut |listed| is_empty &= listed.name == BATCH_OBJECT)?;
            if !is_empty {
                return Err(ForgeError::Leftovers { location });
            }
            let record = (BATCH_OBJECT.to_owned(), record.to_json());
            Ok(publish(store, record, Existing::Replace)?)
        }
        Some(found) if found.shards != record.shards => Err(ForgeError::OtherShards {
            location,
            was: found.shards,
            now: record.shards,
        }),
        _ => Err(ForgeError::ForeignBatch { location }),
    }
}

fn publish(store: &Store, object: (String, Vec<u8>), existing: Existing) -> Result<(), StoreError> {
    store.publish(&[object], existing).into_iter().collect()
}

/// The record in the store; one that does not read is another's.
pub(super) fn read_record(store: &Store) -> Result<Option<BatchRecord>, ForgeError> {
    match store::read_record(store) {
        Ok(read) => Ok(Some(read.record)),
        Err(ReadError::NoBatch { .. }) => Ok(None),
        Err(ReadError::Record(_) | ReadError::Index { .. }) => Err(ForgeError::ForeignBatch {
            location: store.location(),
        }),
        Err(ReadError::Store(error)) => Err(error.into()),
    }
}

/// The digest of the record in the store, which is seen to be still the batch's own.
pub(super) fn record_digest(store: &Store, record: &BatchRecord) -> Result<[u8; 32], ForgeError> {
    let octets = store.read(BATCH_OBJECT, None)?;
    let location = store.location();
    match BatchRecord::read(&octets, &location) {
        Ok(found) if found.record == *record => Ok(sha256(&octets)),
        _ => Err(ForgeError::ForeignBatch { location }),
    }
}

/// The first chunk whose index is not in place, and how many there are.
pub(super) fn missing_chunks(store: &Store, record: &BatchRecord) -> Result<Option<(u64, u64)>, StoreError> {
    let indexed = released_chunks(store)?;
    let mut missing = (0..record.shape().chunks()).filter(|chunk| !indexed.contains(chunk));
    let first = missing.next();
    Ok(first.map(|first| (first, 1 + missing.count() as u64)))
}

/// Releases what was committed and not yet released, once its bundles are seen to be there.
pub(super) fn release_committed(
    store: &Store,
    ledger: &mut dyn Ledger,
    batch: &Batch,
) -> Result<(), ForgeError> {
    for (chunk, released) in ledger.committed(batch)? {
        if released {
            continue;
        }
        let entries = ledger.entries(batch, chunk)?;
        if !holds(store, batch, chunk, &entries)? {
            return Err(ForgeError::BundlesGone {
                batch: batch.name.clone(),
                location: store.location(),
                missing: 1,
                of: 1,
            });
        }
        let index = write_index(batch.layout, chunk, &entries);
        publish(store, (index_object(chunk), index), Existing::Refuse)?;
        ledger.mark_released(batch, &[chunk])?;
    }
    Ok(())
}

/// Whether every bundle of a chunk is there as the ledger has it.
fn holds(store: &Store, batch: &Batch, chunk: u64, entries: &[IndexEntry]) -> Result<bool, ForgeError> {
    let names: Vec<String> = match batch.layout {
        Layout::Packs => vec![pack_object(chunk)],
        Layout::Objects => {
            let object = |entry: &IndexEntry| batch.layout.object(chunk, &entry.device_id);
            entries.iter().map(object).collect()
        }
    };
    let mut objects = Vec::with_capacity(names.len());
    for object in store.read_all(&names) {
        match object {
            Ok(object) => objects.push(object),
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries.iter().enumerate().all(|(i, entry)| {
        // A pack is the one object of all its entries.
        let object = objects.get(i).unwrap_or(&objects[0]);
        let at = |offset: u64| usize::try_from(offset).ok();
        let bundle = at(entry.offset)
            .zip(at(entry.offset.saturating_add(entry.length)))
            .and_then(|(start, end)| object.get(start..end));
        bundle.is_some_and(|bundle| sha256(bundle) == entry.sha256)
    }))
}
