//! The agreement between ledger and store, established before anything is signed.
//!
//! The ledger says what was released; the store shows what is there. Where they differ, somebody
//! removed bundles, or another ledger released some, and making more would give a device two.

use std::collections::BTreeSet;

use super::{ForgeError, Shard};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, IndexEntry, SEAL_OBJECT, SHARED_OBJECT, ShardLedger, certificates_object,
    index_object, pack_object, shard_ledger_object, write_index,
};
use crate::certificate::SerialPrefix;
use crate::digest::sha256;
use crate::ledger::{Batch, Ledger, LedgerError};
use crate::store::{self, Aside, Attempt, ReadError, Replaced, Store, StoreError, released_chunks};

/// Chunks that are committed, and whether each is released.
pub(super) type Chunks = Vec<(u64, bool)>;

/// Puts `batch.json` in place, or finds the one that belongs there, and holds the indexes in the
/// store against the chunks that the ledger has. A shard enters its ledger before it has any object. The ledger is asked
/// before and after the store: other hosts may be releasing chunks meanwhile.
pub(super) fn establish(
    store: &Store,
    ask: &dyn Fn() -> Result<Chunks, LedgerError>,
    record: &BatchRecord,
    (shard, ledger): (Option<Shard>, &str),
) -> Result<Chunks, ForgeError> {
    let committed = ask()?;
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
    let is_sealed = store.exists(SEAL_OBJECT)?;
    let known: BTreeSet<u64> = ask()?.iter().map(|(chunk, _)| *chunk).collect();
    let is_own = |chunk: &&u64| shard.is_none_or(|shard| shard.has(**chunk));
    if let Some(&chunk) = indexed.difference(&known).find(is_own) {
        return Err(ForgeError::ForeignChunk { location, chunk });
    }
    if let Some(shard) = shard {
        enter_shard(store, shard, ledger)?;
    }
    let released: Vec<u64> = committed
        .iter()
        .filter_map(|(chunk, released)| released.then_some(*chunk))
        .collect();
    let chunks: Vec<u64> = (0..record.shape().chunks()).collect();
    let own = chunks.iter().filter(is_own);
    let unknown = own.filter(|chunk| !known.contains(chunk)).count() as u64;
    if unknown > 0 && is_sealed {
        return Err(ForgeError::SealedBefore { location, unknown });
    }
    match released.iter().filter(|chunk| !indexed.contains(chunk)).count() {
        0 => Ok(committed),
        missing => Err(gone(missing, released.len())),
    }
}

/// Enters the ledger as the one that accounts for a shard, or finds it entered.
fn enter_shard(store: &Store, shard: Shard, ledger: &str) -> Result<(), ForgeError> {
    let name = shard_ledger_object(shard.number());
    let own = ShardLedger {
        ledger: ledger.to_owned(),
    };
    if store.create(&name, &own.to_json())? {
        return Ok(());
    }
    match ShardLedger::read(&store.read(&name, None)?, shard.number()) {
        Ok(found) if found == own => Ok(()),
        _ => Err(ForgeError::ForeignShard {
            location: store.location(),
            shard,
            object: name,
        }),
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
            store.list("", &mut |listed| {
                is_empty &= [BATCH_OBJECT, SHARED_OBJECT].contains(&listed.name.as_str());
            })?;
            if !is_empty || store.has_leftovers()? {
                return Err(ForgeError::Leftovers { location });
            }
            // It has no keys, and is of what the batch was to be.
            store.remove(SHARED_OBJECT)?;
            // Who began it as something else once more meanwhile is seen.
            let (octets, version) = store.read_version(BATCH_OBJECT, None)?;
            let is_that = BatchRecord::read(&octets, &location).is_ok_and(|read| read.record == found);
            match is_that && store.replace(BATCH_OBJECT, &record.to_json(), &version, Replaced::Forgotten)? {
                true => Ok(()),
                false => Err(ForgeError::ForeignBatch { location }),
            }
        }
        Some(found) if found.shards != record.shards => Err(ForgeError::OtherShards {
            location,
            was: found.shards,
            now: record.shards,
        }),
        _ => Err(ForgeError::ForeignBatch { location }),
    }
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
    let committed = ledger.committed(batch)?.into_iter();
    let unreleased: Vec<u64> = committed
        .filter(|(_, released)| !released)
        .map(|(chunk, _)| chunk)
        .collect();
    release_chunks(store, ledger, batch, &unreleased, &|| true)?;
    Ok(())
}

/// Releases chunks that are committed, once their bundles are seen to be there, as long as they are this run's to release.
/// Gives those that it has released, each with the prefix of the attempt that had made it.
pub(super) fn release_chunks(
    store: &Store,
    ledger: &mut dyn Ledger,
    batch: &Batch,
    unreleased: &[u64],
    is_held: &dyn Fn() -> bool,
) -> Result<Vec<(u64, SerialPrefix)>, ForgeError> {
    let mut done = Vec::new();
    if unreleased.is_empty() {
        return Ok(done);
    }
    let attempts = ledger.attempts(batch)?;
    for &chunk in unreleased {
        let entries = ledger.entries(batch, chunk)?;
        let object = |entry: &IndexEntry| batch.layout.object(chunk, &entry.device_id);
        let mut names: Vec<String> = match batch.layout.is_packed() {
            true => vec![pack_object(chunk)],
            false => entries.iter().map(object).collect(),
        };
        let bundles = names.len();
        names.push(certificates_object(chunk));
        // The one that was committed is the one whose serials they are.
        let prefixes = attempts.get(&chunk).map_or(&[][..], Vec::as_slice);
        let own = entries.first().map(|entry| entry.certificate_serial.prefix());
        let committed = prefixes.iter().position(|prefix| Some(prefix.octets()) == own);
        let all: Vec<String> = prefixes.iter().map(SerialPrefix::attempt).collect();
        let aside = committed.map(|committed| Attempt {
            name: &all[committed],
            earlier: &all[..committed],
        });
        let objects: Vec<&str> = names.iter().map(String::as_str).collect();
        let aside = aside.map_or_else(Aside::default, |attempt| store.aside(&objects, attempt));
        if !holds(store, &names[..bundles], &aside, &entries)? {
            return Err(ForgeError::BundlesGone {
                batch: batch.name.clone(),
                location: store.location(),
                missing: 1,
                of: 1,
            });
        }
        let index = write_index(batch.layout, chunk, &entries);
        if !is_held() {
            return Ok(done);
        }
        let released = [(index_object(chunk), index, aside)];
        store.release(&released).into_iter().collect::<Result<(), _>>()?;
        ledger.mark_released(batch, &[chunk])?;
        done.extend(committed.map(|committed| (chunk, prefixes[committed])));
    }
    Ok(done)
}

/// Whether every bundle of a chunk is there as the ledger has it.
fn holds(store: &Store, names: &[String], aside: &Aside, entries: &[IndexEntry]) -> Result<bool, ForgeError> {
    let mut objects = Vec::with_capacity(names.len());
    for object in store.read_aside(names, aside) {
        match object {
            Ok(object) => objects.push(object),
            Err(StoreError::NotFound { .. } | StoreError::TooLarge { .. }) => return Ok(false),
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
