//! Rows of tables `reservation` and `committed`.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::read::prefix;
use super::{Failure, device};
use crate::certificate::SerialPrefix;
use crate::ledger::{Batch, Committed, LedgerError, Reservation};

pub(super) fn committed(connection: &Connection, batch: &Batch) -> rusqlite::Result<Vec<(u64, bool)>> {
    let mut statement =
        connection.prepare("SELECT chunk, released FROM committed WHERE batch = ?1 ORDER BY chunk")?;
    let rows = statement.query_map([batch.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

pub(super) fn attempts(
    connection: &Connection,
    batch: &Batch,
) -> rusqlite::Result<BTreeMap<u64, Vec<SerialPrefix>>> {
    let mut statement = connection
        .prepare("SELECT chunk, serial_prefix FROM reservation WHERE batch = ?1 ORDER BY chunk, attempt")?;
    let mut attempts: BTreeMap<u64, Vec<SerialPrefix>> = BTreeMap::new();
    let mut rows = statement.query([batch.key])?;
    while let Some(row) = rows.next()? {
        attempts.entry(row.get(0)?).or_default().push(prefix(row, 1)?);
    }
    Ok(attempts)
}

pub(super) fn prefixes(connection: &Connection) -> rusqlite::Result<Vec<SerialPrefix>> {
    let mut statement = connection.prepare("SELECT serial_prefix FROM reservation ORDER BY serial_prefix")?;
    let rows = statement.query_map([], |row| prefix(row, 0))?;
    rows.collect()
}

pub(super) fn reserve(
    transaction: &Transaction<'_>,
    batch: &Batch,
    chunks: &[(u64, SerialPrefix)],
    now: &str,
) -> Result<Vec<Reservation>, Failure> {
    let mut last = transaction.prepare_cached(
        "SELECT coalesce(max(attempt), 0) FROM reservation WHERE batch = ?1 AND chunk = ?2",
    )?;
    let mut insert = transaction.prepare_cached("INSERT INTO reservation VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut reservations = Vec::with_capacity(chunks.len());
    for &(chunk, prefix) in chunks {
        refuse_committed(transaction, batch, chunk)?;
        let last: u32 = last.query_row(params![batch.key, chunk], |row| row.get(0))?;
        let attempt = last + 1;
        insert.execute(params![
            batch.key,
            chunk,
            attempt,
            batch.issuer,
            prefix.octets(),
            now
        ])?;
        reservations.push(Reservation {
            chunk,
            attempt,
            prefix,
        });
    }
    Ok(reservations)
}

pub(super) fn mark_released(
    transaction: &Transaction<'_>,
    batch: &Batch,
    chunks: &[u64],
) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("UPDATE committed SET released = 1 WHERE batch = ?1 AND chunk = ?2")?;
    for chunk in chunks {
        statement.execute(params![batch.key, chunk])?;
    }
    Ok(())
}

pub(super) fn commit(transaction: &Transaction<'_>, batch: &Batch, chunk: &Committed) -> Result<(), Failure> {
    let Reservation {
        chunk: number,
        attempt,
        ..
    } = chunk.reservation;
    refuse_committed(transaction, batch, number)?;
    // A reservation that another one has replaced gives no right to commit.
    let is_newest = transaction
        .prepare_cached(
            "INSERT INTO committed (batch, chunk, attempt) SELECT ?1, ?2, ?3 WHERE ?3 = \
             (SELECT max(attempt) FROM reservation WHERE batch = ?1 AND chunk = ?2)",
        )?
        .execute(params![batch.key, number, attempt])?;
    if is_newest == 0 {
        return Err(Failure::Refused(LedgerError::Superseded {
            batch: batch.name.clone(),
            chunk: number,
        }));
    }
    device::insert(transaction, batch, number * batch.chunk_rows, &chunk.entries)
}

fn refuse_committed(transaction: &Transaction<'_>, batch: &Batch, chunk: u64) -> Result<(), Failure> {
    let found: Option<u32> = transaction
        .prepare_cached("SELECT attempt FROM committed WHERE batch = ?1 AND chunk = ?2")?
        .query_row(params![batch.key, chunk], |row| row.get(0))
        .optional()?;
    match found {
        None => Ok(()),
        Some(_) => Err(Failure::Refused(LedgerError::ChunkCommitted {
            batch: batch.name.clone(),
            chunk,
        })),
    }
}
