//! One batch: what is released of it is proven and entered, and then what attempts left.

use std::collections::BTreeSet;

use rayon::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attempts::{Adopted, adopt};
use super::certificate::Standard;
use super::chunk::{Proven, Reading};
use super::faults::Faults;
use super::survey::Found;
use super::{Job, RebuildError, Rebuilt, released, told};
use crate::batch::{BATCH_OBJECT, SEAL_OBJECT, index_object, parse_index};
use crate::causes::in_one_line;
use crate::ledger::{Begun, Fact, KnownChunk, KnownDevice, Ledger, LedgerError, Reserved};
use crate::seal::Trust;
use crate::store::{Store, StoreError, read_withdrawn};
use crate::vouched::{Stated, VouchedError};

/// Chunks that are in memory at a time.
const AT_A_TIME: usize = 16;

/// What nothing in a store tells of a batch's manifest but its digest.
const UNKNOWN: &str = "not known";

/// Enters a batch into the ledger, unless something is wrong. Tells what became of it, and what cannot be known.
pub(super) fn enter(
    job: &Job<'_>,
    store: &Store,
    batch: &Found,
    ledger: &mut dyn Ledger,
    faults: &mut Faults,
) -> Result<(Rebuilt, Vec<String>), RebuildError> {
    let name = &batch.record.batch;
    let mut rebuilt = Rebuilt {
        batch: name.clone(),
        location: store.location(),
        devices: batch.record.rows,
        released: 0,
        adopted: 0,
        begun: told(batch.begun),
        reissue: false,
        withdrawn: false,
    };
    let stated = match Stated::open(store, &Trust::Id(batch.issuer.id())) {
        Ok(stated) => stated,
        Err(VouchedError::Store(error)) => return Err(error.into()),
        Err(VouchedError::Batch(error)) => return Err(error.into()),
        Err(error) => {
            faults.of(name, SEAL_OBJECT, in_one_line(&error));
            return Ok((rebuilt, Vec::new()));
        }
    };
    let open = released::check(store, batch, stated.is_sealed(), faults)?;
    rebuilt.reissue = job.reissues.contains(name) || is_reissue(store, batch, ledger)?;
    let begun = batch.begun.unwrap_or(job.now);
    let as_begun = Fact::Batch(Box::new(begun_as(batch, store, rebuilt.reissue, begun)));
    restore(ledger, vec![as_begun.clone()], (name, BATCH_OBJECT), faults)?;

    let standard = Standard::new(&batch.profile, &batch.issuer);
    let reading = Reading {
        store,
        stated: &stated,
        record: &batch.record,
        standard: &standard,
    };
    let chunks: Vec<u64> = batch
        .released
        .range(..batch.record.shape().chunks())
        .copied()
        .collect();
    for some in chunks.chunks(AT_A_TIME) {
        let judged: Vec<_> = some.par_iter().map(|chunk| reading.judge(*chunk)).collect();
        for judged in judged {
            match judged? {
                Ok(proven) => {
                    rebuilt.released += proven.entries.len() as u64;
                    let object = index_object(proven.chunk);
                    let facts = std::iter::once(as_begun.clone()).chain(facts(proven, begun));
                    restore(ledger, facts.collect(), (name, &object), faults)?;
                }
                Err(wrong) => wrong.into_iter().for_each(|fault| faults.add(fault)),
            }
        }
    }
    let mut last = vec![as_begun];
    if let Some(record) = read_withdrawn(store)? {
        rebuilt.withdrawn = true;
        last.push(Fact::Withdrawn {
            at: OffsetDateTime::parse(&record.withdrawn_at, &Rfc3339).unwrap_or(job.now),
            reason: record.reason,
        });
    }
    // With a fault there is no ledger to adopt them.
    if !faults.is_empty() {
        return Ok((rebuilt, Vec::new()));
    }
    let adopted = adopt(&reading, &open, ledger)?;
    let attempts = adopted.attempts.iter();
    last.extend(attempts.flat_map(|(chunk, prefixes)| {
        prefixes.iter().map(|prefix| {
            Fact::Reserved(Reserved {
                chunk: *chunk,
                prefix: *prefix,
                at: job.now,
            })
        })
    }));
    let all: usize = adopted.attempts.values().map(Vec::len).sum();
    rebuilt.adopted = all as u64 - adopted.drawn;
    restore(ledger, last, (name, BATCH_OBJECT), faults)?;
    Ok((rebuilt, unknown(name, &open, &adopted)))
}

fn begun_as(batch: &Found, store: &Store, reissue: bool, created_at: OffsetDateTime) -> Begun {
    let record = &batch.record;
    Begun {
        name: record.batch.clone(),
        location: store.location(),
        issuer: batch.issuer.clone(),
        manifest: UNKNOWN.to_owned(),
        manifest_sha256: batch.manifest_sha256,
        profile: batch.profile.name().to_owned(),
        profile_sha256: batch.profile_sha256,
        layout: record.layout,
        rows: record.rows,
        chunk_rows: record.chunk_rows,
        reissue,
        created_at,
        crl: None,
    }
}

/// Whether a batch was made with `--reissue`, which its record does not say: a batch before it has one of its devices, or as
/// long as none is released, its very manifest.
fn is_reissue(store: &Store, batch: &Found, ledger: &dyn Ledger) -> Result<bool, RebuildError> {
    if batch.released.is_empty() {
        let other = ledger.batch_of_manifest(&batch.manifest_sha256, &batch.issuer, &batch.record.batch)?;
        return Ok(other.is_some());
    }
    if ledger.is_new()? {
        return Ok(false);
    }
    for chunk in &batch.released {
        let octets = match store.read(&index_object(*chunk), None) {
            Ok(octets) => octets,
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) if error.is_of_one_object() => continue,
            Err(error) => return Err(error.into()),
        };
        // What is no index is said where it is read.
        let rows = parse_index(&octets).unwrap_or_default();
        let ids: Vec<&str> = rows.iter().map(|row| row.entry.device_id.as_str()).collect();
        if ledger.has_issued(&batch.issuer, &ids)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn facts(proven: Proven, at: OffsetDateTime) -> [Fact; 2] {
    let Proven {
        chunk,
        prefix,
        entries,
    } = proven;
    let device = |entry| KnownDevice {
        entry,
        generation: None,
    };
    [
        Fact::Reserved(Reserved { chunk, prefix, at }),
        Fact::Chunk(KnownChunk {
            chunk,
            prefix,
            released: true,
            devices: entries.into_iter().map(device).collect(),
        }),
    ]
}

/// Enters facts, unless something was wrong before. That they contradict what is known is a fault like others.
fn restore(
    ledger: &mut dyn Ledger,
    facts: Vec<Fact>,
    (batch, object): (&str, &str),
    faults: &mut Faults,
) -> Result<(), RebuildError> {
    if !faults.is_empty() {
        return Ok(());
    }
    let mut facts = facts.into_iter();
    match ledger.restore(&mut |enter| facts.try_for_each(&mut *enter)) {
        Err(
            error @ (LedgerError::AlreadyIssued { .. }
            | LedgerError::PrefixTaken { .. }
            | LedgerError::ChunkDiffers { .. }
            | LedgerError::BatchDiffers { .. }),
        ) => {
            faults.of(batch, object, in_one_line(&error));
            Ok(())
        }
        other => Ok(other?),
    }
}

/// What cannot be known of a batch, in words.
fn unknown(batch: &str, open: &BTreeSet<u64>, adopted: &Adopted) -> Vec<String> {
    let mut unknown = Vec::new();
    if !open.is_empty() {
        let drawn = match adopted.drawn {
            0 => String::new(),
            drawn => format!("; for {drawn} of these chunks a new prefix stands for their first attempt"),
        };
        unknown.push(format!(
            "batch {batch}: which serials were reserved for the {} chunks that are not released, but by attempts that left something{drawn}",
            open.len()
        ));
    }
    let foreign = adopted.foreign.iter();
    unknown.extend(foreign.map(|object| {
        format!("batch {batch}: who put {object} there, where a bundle is to be; the batch goes on when it is gone")
    }));
    unknown
}
