//! Rows of table `device`: what was issued.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Statement, Transaction, params};

use super::Failure;
use super::read::device_id;
use crate::batch::IndexEntry;
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, KnownDevice, LedgerError};

/// Rows of one statement: most of what a statement costs beside its rows is shared by them.
const ROWS: usize = 16;

/// Inserts the devices of a chunk, whose first one has this row.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    first: u64,
    entries: &[IndexEntry],
) -> Result<(), Failure> {
    // Who asks of each row whether it was issued before takes them one by one.
    let (sixteens, rest) = match batch.reissue {
        true => (&[][..], entries),
        false => entries.as_chunks::<ROWS>(),
    };
    let mut next = first;
    if !sixteens.is_empty() {
        let mut insert = transaction.prepare_cached(&statement(batch.reissue, ROWS))?;
        for entries in sixteens {
            // A statement that fails has inserted nothing: row by row they tell which it is.
            if insert_rows(&mut insert, batch, next, entries).is_err() {
                insert_each(transaction, batch, next, entries)?;
            }
            next += ROWS as u64;
        }
    }
    insert_each(transaction, batch, next, rest)
}

fn insert_each(
    transaction: &Transaction<'_>,
    batch: &Batch,
    first: u64,
    entries: &[IndexEntry],
) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(&statement(batch.reissue, 1))?;
    for (row, entry) in (first..).zip(entries) {
        let inserted = insert_rows(&mut insert, batch, row, std::slice::from_ref(entry));
        if let Err(error) = inserted {
            return Err(refused(transaction, (batch, &batch.name), entry, error));
        }
    }
    Ok(())
}

/// Inserts the devices of a chunk that another ledger knew; those of a reissue with their generations, where these are free.
pub(super) fn enter(
    transaction: &Transaction<'_>,
    batch: &Batch,
    first: u64,
    devices: &[KnownDevice],
) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO device (batch, row, issuer, device_id, generation, certificate_id, certificate_serial, \
         not_after, offset, length, sha256) VALUES (?1, ?3, ?2, ?4, CASE WHEN ?12 THEN coalesce( \
           (SELECT ?11 WHERE NOT EXISTS \
              (SELECT 1 FROM device WHERE issuer = ?2 AND device_id = ?4 AND generation = ?11)), \
           (SELECT max(generation) + 1 FROM device WHERE issuer = ?2 AND device_id = ?4), 0) ELSE 0 END, \
         ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for (row, device) in (first..).zip(devices) {
        insert.raw_bind_parameter(11, device.generation)?;
        insert.raw_bind_parameter(12, batch.reissue)?;
        let inserted = insert_rows(&mut insert, batch, row, std::slice::from_ref(&device.entry));
        if let Err(error) = inserted {
            // It may be in this very batch as well.
            return Err(refused(transaction, (batch, ""), &device.entry, error));
        }
    }
    Ok(())
}

/// Inserts as many rows as the statement has, the first of which is the manifest's row of this number.
fn insert_rows(
    insert: &mut Statement<'_>,
    batch: &Batch,
    first: u64,
    entries: &[IndexEntry],
) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(1, batch.key)?;
    insert.raw_bind_parameter(2, batch.issuer)?;
    for ((row, entry), at) in (first..).zip(entries).zip((3..).step_by(OF_ROW)) {
        insert.raw_bind_parameter(at, row)?;
        insert.raw_bind_parameter(at + 1, entry.device_id.as_str())?;
        insert.raw_bind_parameter(at + 2, entry.certificate_id)?;
        insert.raw_bind_parameter(at + 3, entry.certificate_serial.octets())?;
        insert.raw_bind_parameter(at + 4, entry.not_after)?;
        insert.raw_bind_parameter(at + 5, entry.offset)?;
        insert.raw_bind_parameter(at + 6, entry.length)?;
        insert.raw_bind_parameter(at + 7, entry.sha256)?;
    }
    insert.raw_execute()?;
    Ok(())
}

/// Parameters of each row; ?1 and ?2 are the batch and the issuer of all of them.
const OF_ROW: usize = 8;

/// The statement that inserts so many rows.
fn statement(reissue: bool, rows: usize) -> String {
    let row = |at: usize| {
        let [row, id, certificate_id, serial, not_after, offset, length, sha256] =
            std::array::from_fn(|i| at + i);
        // Only a reissue looks for earlier identities; otherwise the unique index refuses them.
        let generation = match reissue {
            true => format!(
                "(SELECT coalesce(max(generation), -1) + 1 FROM device WHERE issuer = ?2 AND device_id = ?{id})"
            ),
            false => "0".to_owned(),
        };
        format!(
            "(?1, ?{row}, ?2, ?{id}, {generation}, ?{certificate_id}, ?{serial}, ?{not_after}, ?{offset}, ?{length}, ?{sha256})"
        )
    };
    let rows: Vec<String> = (3..).step_by(OF_ROW).take(rows).map(row).collect();
    format!(
        "INSERT INTO device (batch, row, issuer, device_id, generation, certificate_id, certificate_serial, \
         not_after, offset, length, sha256) VALUES {}",
        rows.join(", ")
    )
}

/// Why a device could not be inserted: perhaps it is in a batch of another name than this.
fn refused(
    connection: &Connection,
    (batch, other_than): (&Batch, &str),
    entry: &IndexEntry,
    error: rusqlite::Error,
) -> Failure {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && let Ok(Some(other)) = find(connection, batch.issuer, entry.device_id.as_str(), other_than)
    {
        return Failure::Refused(LedgerError::AlreadyIssued {
            device_id: entry.device_id.to_string(),
            batch: other,
        });
    }
    error.into()
}

pub(super) fn entries(
    connection: &Connection,
    batch: &Batch,
    chunk: u64,
) -> rusqlite::Result<Vec<IndexEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT device_id, certificate_id, certificate_serial, not_after, offset, length, sha256 \
         FROM device WHERE batch = ?1 AND row >= ?2 AND row < ?3 ORDER BY row",
    )?;
    let first = chunk.saturating_mul(batch.chunk_rows);
    let rows = statement.query_map(
        params![batch.key, first, first.saturating_add(batch.chunk_rows)],
        entry,
    )?;
    rows.collect()
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<IndexEntry> {
    let serial: [u8; 16] = row.get(2)?;
    Ok(IndexEntry {
        device_id: device_id(row, 0)?,
        certificate_id: row.get(1)?,
        certificate_serial: serial.into(),
        not_after: row.get(3)?,
        offset: row.get(4)?,
        length: row.get(5)?,
        sha256: row.get(6)?,
    })
}

pub(super) fn has_any(
    connection: &Connection,
    issuer: &CaCertificate,
    device_ids: &[&str],
) -> rusqlite::Result<bool> {
    let (Some(first), Some(last)) = (device_ids.iter().min(), device_ids.iter().max()) else {
        return Ok(false);
    };
    let Some(issuer) = key(connection, issuer)? else {
        return Ok(false);
    };
    // Ids that run on are asked for in one question. Text is compared as octets here and there.
    let is_in_range: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM device WHERE issuer = ?1 AND device_id BETWEEN ?2 AND ?3)",
        )?
        .query_row(params![issuer, first, last], |row| row.get(0))?;
    if !is_in_range {
        return Ok(false);
    }
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM device WHERE issuer = ?1 AND device_id = ?2")?;
    for id in device_ids {
        if statement.exists(params![issuer, id])? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn issued_in(
    connection: &Connection,
    issuer: &CaCertificate,
    device_ids: &[&str],
    other_than: &str,
) -> rusqlite::Result<Vec<Option<String>>> {
    match key(connection, issuer)? {
        None => Ok(vec![None; device_ids.len()]),
        Some(issuer) => device_ids
            .iter()
            .map(|id| find(connection, issuer, id, other_than))
            .collect(),
    }
}

/// A batch of another name in which the issuer issued the device.
fn find(
    connection: &Connection,
    issuer: i64,
    device_id: &str,
    other_than: &str,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT name FROM device JOIN batch USING (batch) \
             WHERE device.issuer = ?1 AND device_id = ?2 AND name <> ?3 LIMIT 1",
        )?
        .query_row(params![issuer, device_id, other_than], |row| row.get(0))
        .optional()
}

pub(super) fn key(connection: &Connection, issuer: &CaCertificate) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT issuer FROM issuer WHERE key_id = ?1")?
        .query_row([sha256(issuer.public_key())], |row| row.get(0))
        .optional()
}
