//! Completeness: every chunk released, nothing shared by two devices, nothing that no index accounts for.

use std::collections::BTreeSet;

use super::tally::{Tallies, Tally};
use super::{Fault, VerifyError};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, CLAIMS, FAILED, FLASHED, GENERATIONS, HISTORY_OBJECT, Layout, SCRAPPED,
    SEAL_OBJECT, SHARDS, SHARED_OBJECT, WITHDRAWN_OBJECT, certificates_object, chunk_of, device_of,
    failed_object, index_object, lookup_object, pack_object, parse_index, shard_ledger_object, shard_object,
};
use crate::manifest::DeviceId;
use crate::store::{Listed, Store, StoreError, released_chunks};

/// How the fault of a batch begins that is not finished.
pub(super) const INCOMPLETE: &str = "incomplete";

/// The chunks whose index is in place; what is missing or too many is a fault.
pub(super) fn released(
    store: &Store,
    record: &BatchRecord,
    committed: &[(u64, bool)],
    faults: &mut Vec<Fault>,
) -> Result<BTreeSet<u64>, VerifyError> {
    let indexed = released_chunks(store)?;
    for &chunk in indexed.range(record.shape().chunks()..) {
        faults.push(Fault::of(
            &index_object(chunk),
            "the batch has no such chunk".to_owned(),
        ));
    }
    let mut rows_left = 0;
    for chunk in (0..record.shape().chunks()).filter(|chunk| !indexed.contains(chunk)) {
        if committed.contains(&(chunk, true)) {
            let what =
                "the index is missing, and the ledger says that it was released: put it back".to_owned();
            faults.push(Fault::of(&index_object(chunk), what));
        } else {
            rows_left += record.shape().rows_of(chunk);
        }
    }
    if rows_left > 0 {
        faults.push(Fault::of_batch(format!(
            "{INCOMPLETE}: {rows_left} of {} devices are not released, or their index is gone; `certforge run` again goes on",
            record.rows
        )));
    }
    Ok(indexed)
}

/// Devices that share what must be unique.
pub(super) fn twins(
    store: &Store,
    record: &BatchRecord,
    tallies: &Tallies,
) -> Result<Vec<Fault>, VerifyError> {
    let kinds: [(&str, &Tally); 4] = [
        ("device id", &tallies.devices),
        ("certificate id", &tallies.certificates),
        ("certificate serial", &tallies.serials),
        ("private key", &tallies.keys),
    ];
    let name = |row: u64| -> Result<String, VerifyError> {
        let index = index_object(row / record.chunk_rows);
        let rows = parse_index(&store.read(&index, None)?).unwrap_or_default();
        let within = usize::try_from(row % record.chunk_rows).unwrap_or(usize::MAX);
        Ok(rows
            .get(within)
            .map(|row| row.entry.device_id.to_string())
            .unwrap_or_default())
    };
    let mut faults = Vec::new();
    for (kind, tally) in kinds {
        for (first, second) in tally.twins() {
            faults.push(Fault::of_batch(format!(
                "devices {} and {} share one {kind}",
                name(first)?,
                name(second)?
            )));
        }
    }
    Ok(faults)
}

/// Objects that no index accounts for. While chunks are missing, theirs may be there: they are left out.
pub(super) fn extras(
    store: &Store,
    record: &BatchRecord,
    released: &BTreeSet<u64>,
    devices: &Tally,
) -> Result<Vec<Fault>, VerifyError> {
    let is_complete = (0..record.shape().chunks()).all(|chunk| released.contains(&chunk));
    let is_of_chunk =
        |name: &str, object| numbered(name, object).is_some_and(|chunk| chunk < record.shape().chunks());
    let mut faults = Vec::new();
    let listed = store.list("", &mut |Listed { name, .. }| {
        let is_known = name == BATCH_OBJECT
            || name == SEAL_OBJECT
            || name == WITHDRAWN_OBJECT
            || name == HISTORY_OBJECT
            || (name == SHARED_OBJECT && record.shared_sha256.is_some())
            || numbered(&name, lookup_object).is_some()
            || shard_in(&name).is_some_and(|shard| (1..=record.shards.unwrap_or(0)).contains(&shard))
            || is_of_stations(&name)
            || chunk_of(&name).is_some()
            || is_of_chunk(&name, certificates_object)
            || match record.layout.is_packed() {
                true => is_of_chunk(&name, pack_object),
                false => is_bundle(&name, record.layout, |id| !is_complete || devices.contains(id)),
            };
        // What generations have is told apart.
        if !is_known && !name.starts_with(GENERATIONS) {
            faults.push(Fault::of(&name, "no index accounts for it".to_owned()));
        }
    });
    match listed {
        Err(error @ StoreError::Unlisted { .. }) => faults.push(Fault::of_batch(error.to_string())),
        other => other?,
    }
    faults.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(faults)
}

/// The shard whose ledger or seal has this name.
fn shard_in(name: &str) -> Option<u32> {
    let number = name.strip_prefix(SHARDS)?.split_once('.')?.0.parse().ok()?;
    let is_named = [shard_object(number), shard_ledger_object(number)]
        .iter()
        .any(|object| object == name);
    is_named.then_some(number)
}

/// The number in a name that is made of it, and of nothing else.
fn numbered(name: &str, object: fn(u64) -> String) -> Option<u64> {
    let digits = name.rsplit_once('/')?.1.split_once('.')?.0;
    let number = digits.parse().ok()?;
    (object(number) == name).then_some(number)
}

/// Whether a station writes something of this name.
fn is_of_stations(name: &str) -> bool {
    let is_failed = || {
        let (device, attempt) = name.rsplit_once('/')?;
        let (_, device_id) = device_of(&format!("{device}.json"), FAILED)?;
        let (chunk, attempt) = (device.split('/').nth(1)?, attempt.strip_suffix(".json")?);
        Some(failed_object(chunk.parse().ok()?, &device_id, attempt.parse().ok()?) == name)
    };
    [CLAIMS, FLASHED, SCRAPPED]
        .iter()
        .any(|folder| device_of(name, folder).is_some())
        || is_failed() == Some(true)
}

fn is_bundle(name: &str, layout: Layout, is_device: impl Fn(&[u8]) -> bool) -> bool {
    let file = name.rsplit_once('/').map_or(name, |(_, file)| file);
    let id = file
        .strip_suffix(layout.ending())
        .and_then(|id| DeviceId::parse(id).ok());
    id.is_some_and(|id| layout.object(0, &id) == name && is_device(id.as_str().as_bytes()))
}
