//! Rows of tables `reservation` and `committed`.

use std::collections::BTreeMap;

use postgres::GenericClient;
use time::OffsetDateTime;

use super::read::{corrupt, number, prefix, second, signed};
use super::statements::{Asking, Writing};
use super::{Failure, entries, identity};
use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;
use crate::ledger::{Batch, Committed, LedgerError, Reservation};

pub(super) fn committed(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
) -> Result<Vec<(u64, bool)>, Failure> {
    let sql = "SELECT chunk, released FROM committed WHERE batch = $1 ORDER BY chunk";
    let rows = client.query(sql, &[&batch.key])?;
    rows.iter()
        .map(|row| Ok((number(row, 0)?, row.try_get(1)?)))
        .collect()
}

pub(super) fn attempts(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
) -> Result<BTreeMap<u64, Vec<SerialPrefix>>, Failure> {
    let sql = "SELECT chunk, serial_prefix FROM reservation WHERE batch = $1 ORDER BY chunk, attempt";
    let mut attempts: BTreeMap<u64, Vec<SerialPrefix>> = BTreeMap::new();
    for row in &client.query(sql, &[&batch.key])? {
        attempts.entry(number(row, 0)?).or_default().push(prefix(row, 1)?);
    }
    Ok(attempts)
}

pub(super) fn prefixes(client: &mut Asking<'_, impl GenericClient>) -> Result<Vec<SerialPrefix>, Failure> {
    let rows = client.query(
        "SELECT serial_prefix FROM reservation ORDER BY serial_prefix",
        &[],
    )?;
    rows.iter().map(|row| prefix(row, 0)).collect()
}

/// Reserves chunks. `is_again`: this may have been done already, by a call whose answer was lost.
pub(super) fn reserve(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunks: &[(u64, SerialPrefix)],
    now: OffsetDateTime,
    is_again: bool,
) -> Result<Vec<Reservation>, Failure> {
    lock(transaction, batch)?;
    let mut reservations = Vec::with_capacity(chunks.len());
    for &(chunk, prefix) in chunks {
        if is_again && let Some(reservation) = reserved(transaction, batch, chunk, prefix)? {
            reservations.push(reservation);
            continue;
        }
        if attempt_committed(transaction, batch, chunk)?.is_some() {
            return Err(is_committed(batch, chunk));
        }
        reservations.push(reserve_one(transaction, batch, (chunk, prefix), now)?);
    }
    Ok(reservations)
}

/// Nobody else reserves or commits chunks of the batch until the transaction ends.
pub(super) fn lock(transaction: &mut Writing<'_, '_>, batch: &Batch) -> Result<(), Failure> {
    transaction.execute("SELECT 1 FROM batch WHERE batch = $1 FOR UPDATE", &[&batch.key])?;
    refuse_another(transaction, batch)
}

/// Nobody else reserves chunks of the batch until the transaction ends. Several may commit at the same time.
pub(super) fn lock_reservations(transaction: &mut Writing<'_, '_>, batch: &Batch) -> Result<(), Failure> {
    transaction.execute("SELECT 1 FROM batch WHERE batch = $1 FOR SHARE", &[&batch.key])?;
    refuse_another(transaction, batch)
}

/// A batch of which nothing was committed may have begun anew, as something else, while a host was asleep.
fn refuse_another(transaction: &mut Writing<'_, '_>, batch: &Batch) -> Result<(), Failure> {
    let found = super::batch::find(transaction, &batch.name)?;
    let is_same = found.is_some_and(|found| {
        let named = Batch {
            // What it was made from may have been moved.
            manifest: batch.manifest.clone(),
            ..found
        };
        named == *batch
    });
    match is_same {
        true => Ok(()),
        false => Err(Failure::Refused(LedgerError::BegunAnew {
            batch: batch.name.clone(),
        })),
    }
}

pub(super) fn reserve_one(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    (chunk, prefix): (u64, SerialPrefix),
    now: OffsetDateTime,
) -> Result<Reservation, Failure> {
    let row = transaction.query_one(
        "INSERT INTO reservation SELECT $1, $2, coalesce(max(attempt), 0) + 1, $3, $4, $5 FROM reservation \
         WHERE batch = $1 AND chunk = $2 RETURNING attempt",
        &[
            &batch.key,
            &signed(chunk),
            &batch.issuer,
            &&prefix.octets()[..],
            &second(now),
        ],
    )?;
    Ok(Reservation {
        chunk,
        attempt: attempt(number(&row, 0)?)?,
        prefix,
    })
}

pub(super) fn attempt(found: u64) -> Result<u32, Failure> {
    u32::try_from(found).map_err(|_| corrupt("number of an attempt", found.to_string()))
}

fn reserved(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: u64,
    prefix: SerialPrefix,
) -> Result<Option<Reservation>, Failure> {
    let row = transaction.query_opt(
        "SELECT attempt FROM reservation WHERE batch = $1 AND chunk = $2 AND serial_prefix = $3",
        &[&batch.key, &signed(chunk), &&prefix.octets()[..]],
    )?;
    let reservation = |row| {
        Ok(Reservation {
            chunk,
            attempt: attempt(number(&row, 0)?)?,
            prefix,
        })
    };
    row.map(reservation).transpose()
}

/// The attempt that a chunk was committed by, if it was.
fn attempt_committed(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: u64,
) -> Result<Option<(u32, SerialPrefix)>, Failure> {
    let sql = "SELECT attempt, serial_prefix FROM committed JOIN reservation USING (batch, chunk, attempt) \
               WHERE batch = $1 AND chunk = $2";
    let row = transaction.query_opt(sql, &[&batch.key, &signed(chunk)])?;
    row.map(|row| Ok((attempt(number(&row, 0)?)?, prefix(&row, 1)?)))
        .transpose()
}

/// The last attempt at a chunk.
fn newest(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: u64,
) -> Result<Option<(u32, SerialPrefix)>, Failure> {
    let sql = "SELECT attempt, serial_prefix FROM reservation WHERE batch = $1 AND chunk = $2 ORDER BY attempt DESC LIMIT 1";
    let row = transaction.query_opt(sql, &[&batch.key, &signed(chunk)])?;
    row.map(|row| Ok((attempt(number(&row, 0)?)?, prefix(&row, 1)?)))
        .transpose()
}

fn is_committed(batch: &Batch, chunk: u64) -> Failure {
    Failure::Refused(LedgerError::ChunkCommitted {
        batch: batch.name.clone(),
        chunk,
    })
}

/// Commits a chunk. `is_again`: this may have been done already, by a call whose answer was lost. Returns whether it was
/// done now.
pub(super) fn commit(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: &Committed,
    is_again: bool,
) -> Result<bool, Failure> {
    let Reservation {
        chunk: number,
        attempt,
        prefix,
    } = chunk.reservation;
    // Who commits the same chunk has this row until it is done: what is asked below is asked after that.
    let lease = transaction.query_opt(
        "SELECT claimed FROM lease WHERE batch = $1 AND chunk = $2 AND attempt = $3 FOR UPDATE",
        &[&batch.key, &signed(number), &i64::from(attempt)],
    )?;
    match attempt_committed(transaction, batch, number)? {
        Some(committed) if is_again && committed == (attempt, prefix) => return Ok(false),
        Some(_) => return Err(is_committed(batch, number)),
        None => {}
    }
    // A reservation that another one has replaced, or that a server which failed over has lost, gives no right to commit.
    // Numbers of attempts come again after that; prefixes do not.
    if newest(transaction, batch, number)? != Some((attempt, prefix)) {
        return Err(Failure::Refused(LedgerError::Superseded {
            batch: batch.name.clone(),
            chunk: number,
        }));
    }
    let is_claimed = lease.map(|row| row.try_get(0)).transpose()? == Some(true);
    if !is_claimed {
        let ids = chunk
            .entries
            .iter()
            .map(|entry| entry.device_id.as_str())
            .collect();
        identity::claim(transaction, batch, &[(number, ids)])?;
    }
    let ends = || chunk.entries.iter().map(|entry| entry.not_after);
    transaction.execute(
        "INSERT INTO committed VALUES ($1, $2, $3, FALSE, $4, $5, $6, $7)",
        &[
            &batch.key,
            &signed(number),
            &i64::from(attempt),
            &signed(chunk.entries.len() as u64),
            &ends().min().unwrap_or(0),
            &ends().max().unwrap_or(0),
            &entries::write(&chunk.entries),
        ],
    )?;
    Ok(true)
}

pub(super) fn mark_released(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunks: &[u64],
) -> Result<(), Failure> {
    if chunks.is_empty() {
        return Ok(());
    }
    let mut chunks: Vec<i64> = chunks.iter().copied().map(signed).collect();
    chunks.sort_unstable();
    chunks.dedup();
    let known = transaction.execute(
        "UPDATE committed SET released = TRUE WHERE batch = $1 AND chunk = ANY($2)",
        &[&batch.key, &chunks],
    )?;
    // What is released was committed, unless the server has forgotten that.
    if known != chunks.len() as u64 {
        return Err(Failure::Refused(LedgerError::LostCommits {
            batch: batch.name.clone(),
            chunks: chunks.len() as u64 - known,
        }));
    }
    transaction.execute(
        "DELETE FROM lease WHERE batch = $1 AND chunk = ANY($2)",
        &[&batch.key, &chunks],
    )?;
    Ok(())
}

/// The entries of a chunk, in row order; none when it is not committed.
pub(super) fn entries_of(
    client: &mut Asking<'_, impl GenericClient>,
    batch: i64,
    chunk: u64,
) -> Result<Vec<IndexEntry>, Failure> {
    let sql = "SELECT entries, devices FROM committed WHERE batch = $1 AND chunk = $2";
    match client.query_opt(sql, &[&batch, &signed(chunk)])? {
        None => Ok(Vec::new()),
        Some(row) => {
            entries::read(row.try_get(0)?, number(&row, 1)?).map_err(|error| corrupt(error.what, error.found))
        }
    }
}
