//! Rows of table `device`: what was issued.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};

use super::Failure;
use super::read::device_id;
use crate::batch::IndexEntry;
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, LedgerError};

/// Inserts the devices of a chunk, whose first one has this row.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    first: u64,
    entries: &[IndexEntry],
) -> Result<(), Failure> {
    // Only a reissue looks for earlier identities; otherwise the unique index refuses them.
    let generation = if batch.reissue {
        "(SELECT coalesce(max(generation), -1) + 1 FROM device WHERE issuer = ?3 AND device_id = ?4)"
    } else {
        "0"
    };
    let mut insert = transaction.prepare_cached(&format!(
        "INSERT INTO device (batch, row, issuer, device_id, generation, certificate_id, certificate_serial, \
         not_after, offset, length, sha256) VALUES (?1, ?2, ?3, ?4, {generation}, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?;
    for (row, entry) in (first..).zip(entries) {
        let inserted = insert.execute(params![
            batch.key,
            row,
            batch.issuer,
            entry.device_id.as_str(),
            entry.certificate_id,
            entry.certificate_serial.octets(),
            entry.not_after,
            entry.offset,
            entry.length,
            entry.sha256,
        ]);
        if let Err(error) = inserted {
            return Err(refused(transaction, batch, entry, error));
        }
    }
    Ok(())
}

/// Why a device could not be inserted.
fn refused(connection: &Connection, batch: &Batch, entry: &IndexEntry, error: rusqlite::Error) -> Failure {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && let Ok(Some(other)) = find(connection, batch.issuer, entry.device_id.as_str(), &batch.name)
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
