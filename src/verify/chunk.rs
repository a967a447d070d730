//! One chunk: its index, its certificates, its bundles, and the rows of manifest and ledger.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::alike;
use super::bundle::Standard;
use super::bundles::Bundles;
use super::found::{Certificates, Found};
use super::retired::retired;
use super::seal::CHANGED;
use super::sight::Sight;
use super::task::{Task, Verified};
use super::{Fault, VerifyError};
use crate::batch::{IndexEntry, IndexRow, index_object, parse_index};
use crate::manifest::{DeviceId, Row};
use crate::profile::Ends;
use crate::seal::ChunkDigest;
use crate::store::Store;

/// Verifies a released chunk. Faults are found, not failed at; an error is a store that cannot be read.
pub(super) fn verify(
    task: &Task<'_>,
    store: &Store,
    standard: &Standard<'_>,
) -> Result<Verified, VerifyError> {
    let mut verified = Verified::default();
    let index = index_object(task.chunk);
    // It is public.
    let octets = std::mem::take(&mut *store.read(&index, None)?);
    if let Some(seal) = task.seal
        && seal.check_index(task.chunk, &octets).is_err()
    {
        verified.faults.push(Fault::of(&index, CHANGED.to_owned()));
    }
    let rows = match parse_index(&octets) {
        Ok(rows) => rows,
        Err(error) => {
            verified
                .faults
                .push(Fault::of(&index, format!("is no index: {error}")));
            return Ok(verified);
        }
    };
    verified.digest = ChunkDigest::of_rows(task.chunk, &octets, &rows, task.record).ok();
    let lines = task.manifest.as_ref().map(|(manifest, block)| {
        let rows = block.as_ref().map(|block| manifest.parse(block).0);
        rows.unwrap_or_default()
    });
    let disputed = compare_rows(task, &rows, lines.as_deref(), &index, &mut verified.faults);
    let certificates = Certificates::read(task.chunk, rows.len(), store, &mut verified.faults)?;
    let bundles = Bundles::read(task, &rows, store, standard.most_octets())?;
    let sight = Sight::of(task, &rows, &bundles);
    let gone = bundles.gone(&rows);
    let mut retired = match gone.is_empty() {
        true => HashSet::new(),
        false => retired(store, task.chunk, &gone)?,
    };
    let left: HashSet<DeviceId> = rows
        .iter()
        .filter(|row| task.is_remade && row.entry.length == 0)
        .map(|row| row.entry.device_id.clone())
        .collect();
    let ended: HashSet<DeviceId> = left.intersection(&retired).cloned().collect();
    retired.extend(left.iter().cloned());
    bundles.compare_members(
        (task.chunk, task.record.layout),
        &rows,
        &retired,
        &mut verified.faults,
    );
    let found = Found {
        task,
        rows: &rows,
        lines: lines.as_deref(),
        certificates: &certificates,
        bundles: &bundles,
        sight: &sight,
        retired: &retired,
        left: &left,
        ended: &ended,
        disputed: &disputed,
    };
    judge_all(&found, standard, &mut verified);
    Ok(verified)
}

/// Judges every row, in order.
fn judge_all(found: &Found<'_>, standard: &Standard<'_>, verified: &mut Verified) {
    let mut keys = vec![None; found.rows.len()];
    // What was judged in full already.
    let mut in_full = match found.task.strict || found.sight.is_sealed() {
        true => HashMap::new(),
        false => alike::judge(found, standard, &mut keys),
    };
    for (i, row) in found.rows.iter().enumerate() {
        verified.ends = Ends::both(verified.ends, Ends::at(row.entry.not_after));
        if found.retired.contains(&row.entry.device_id) {
            keys[i] = found.account_for_retired(i, row, verified);
        } else if keys[i].is_some() {
            verified.good += u64::from(!found.disputed.contains(&i));
        } else {
            verified.judged_in_full += u64::from(found.plain(i).is_some());
            let findings = in_full.remove(&i);
            let findings = findings.unwrap_or_else(|| found.inspect(i, standard));
            keys[i] = found.judge(i, row, findings, verified);
        }
    }
    let first = found.task.chunk * found.task.record.chunk_rows;
    verified.tallies.add(first, found.rows, &keys);
}

/// Holds the index's rows against the batch, the manifest and the ledger. Returns those in dispute.
fn compare_rows(
    task: &Task<'_>,
    rows: &[IndexRow],
    lines: Option<&[Row]>,
    index: &str,
    faults: &mut Vec<Fault>,
) -> BTreeSet<usize> {
    let mut disputed = BTreeSet::new();
    let expected = task.record.shape().rows_of(task.chunk);
    if rows.len() as u64 != expected {
        let what = format!("rows in it: {}, in the manifest: {expected}", rows.len());
        faults.push(Fault::of(index, what));
    }
    for (i, row) in rows.iter().enumerate() {
        let device = &row.entry.device_id;
        let mut fault = |what: String| {
            disputed.insert(i);
            faults.push(Fault::of_device(device, index, what));
        };
        if !task.record.layout.is_object(&row.object, task.chunk, device) {
            fault("the index points to another object".to_owned());
        }
        if let Some(lines) = lines {
            match lines.get(i) {
                Some(line) if line.device_id == *device => {}
                Some(line) => fault(format!(
                    "the manifest has {} here, on line {}",
                    line.device_id, line.line
                )),
                None => fault("the manifest has no such row".to_owned()),
            }
        }
        if let Some(ledger) = &task.ledger {
            match ledger.get(i) {
                Some(entry) if *entry == row.entry => {}
                Some(entry) if task.is_remade && is_same_certificate(entry, &row.entry) => {}
                Some(entry) => fault(format!(
                    "the ledger has {} here, with other facts",
                    entry.device_id
                )),
                None => fault("the ledger has no such row".to_owned()),
            }
        }
    }
    disputed
}

/// Whether two entries are of one certificate, whatever its bundle is like.
fn is_same_certificate(one: &IndexEntry, other: &IndexEntry) -> bool {
    let facts = |entry: &IndexEntry| {
        (
            entry.device_id.clone(),
            entry.certificate_id,
            entry.certificate_serial,
            entry.not_after,
        )
    };
    facts(one) == facts(other)
}
