//! Chunks: reserved before anything is signed, committed when durable, released when indexed.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Transaction, params};
use time::OffsetDateTime;

use super::{Batch, Ledger, LedgerError};
use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;
use crate::profile::rfc3339;

/// An attempt at a chunk: the right to sign its certificates with serials of this prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    pub chunk: u64,
    pub attempt: u32,
    pub prefix: SerialPrefix,
}

/// A chunk whose bundles the store holds durably.
#[derive(Debug, Clone)]
pub struct Committed {
    pub reservation: Reservation,
    /// In row order.
    pub entries: Vec<IndexEntry>,
}

impl Ledger {
    /// Chunks that are committed, and whether each is released.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn committed(&self, batch: &Batch) -> Result<Vec<(u64, bool)>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self
                .connection
                .prepare("SELECT chunk, released FROM committed WHERE batch = ?1 ORDER BY chunk")?;
            let rows = statement.query_map([batch.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        read().map_err(|e| self.sqlite(e))
    }

    /// Chunks that are not committed, in order.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn remaining(&self, batch: &Batch) -> Result<Vec<u64>, LedgerError> {
        let committed: BTreeSet<u64> = self
            .committed(batch)?
            .into_iter()
            .map(|(chunk, _)| chunk)
            .collect();
        Ok((0..batch.shape().chunks())
            .filter(|chunk| !committed.contains(chunk))
            .collect())
    }

    /// The prefixes of the attempts at each chunk so far.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn attempts(&self, batch: &Batch) -> Result<BTreeMap<u64, Vec<SerialPrefix>>, LedgerError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self
                .connection
                .prepare("SELECT chunk, serial_prefix FROM reservation WHERE batch = ?1")?;
            let rows = statement.query_map([batch.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut attempts: BTreeMap<u64, Vec<SerialPrefix>> = BTreeMap::new();
            for row in rows {
                let (chunk, octets) = row?;
                attempts
                    .entry(chunk)
                    .or_default()
                    .extend(SerialPrefix::from_octets(octets));
            }
            Ok(attempts)
        };
        read().map_err(|e| self.sqlite(e))
    }

    /// Reserves chunks, each with its prefix; durable when it returns. The prefixes are new ones: one
    /// that was ever used before is refused by the schema.
    ///
    /// # Errors
    ///
    /// When a chunk is committed, or the ledger cannot be written.
    pub fn reserve(
        &mut self,
        batch: &Batch,
        chunks: &[(u64, SerialPrefix)],
        now: OffsetDateTime,
    ) -> Result<Vec<Reservation>, LedgerError> {
        let path = self.path.clone();
        let mut write = || {
            let transaction = self.connection.transaction()?;
            let reservations = reserve(&transaction, batch, chunks, &rfc3339(now))?;
            transaction.commit()?;
            Ok(reservations)
        };
        write().map_err(super::sqlite(&path))
    }

    /// Commits chunks, and records the release of earlier ones, in one transaction; durable when it
    /// returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::AlreadyIssued`] when a device has been issued by this issuer before and the
    /// batch is no reissue; then nothing of the chunks is committed.
    pub fn commit(
        &mut self,
        batch: &Batch,
        chunks: &[Committed],
        released: &[u64],
    ) -> Result<(), LedgerError> {
        let mut write = || {
            let transaction = self.connection.transaction()?;
            mark_released(&transaction, batch, released)?;
            for chunk in chunks {
                commit(&transaction, batch, chunk)?;
            }
            transaction.commit()
        };
        match write() {
            Ok(()) => Ok(()),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(self.conflict(batch, chunks, error))
            }
            Err(error) => Err(self.sqlite(error)),
        }
    }

    /// Records that the index of chunks is in place.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    pub fn mark_released(&mut self, batch: &Batch, chunks: &[u64]) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let mut write = || {
            let transaction = self.connection.transaction()?;
            mark_released(&transaction, batch, chunks)?;
            transaction.commit()
        };
        write().map_err(super::sqlite(&path))
    }

    /// Every prefix that was ever reserved, in order.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn prefixes(&self) -> Result<Vec<[u8; 8]>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self
                .connection
                .prepare("SELECT serial_prefix FROM reservation ORDER BY serial_prefix")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        };
        read().map_err(|e| self.sqlite(e))
    }

    fn conflict(&self, batch: &Batch, chunks: &[Committed], error: rusqlite::Error) -> LedgerError {
        let entries = chunks.iter().flat_map(|chunk| &chunk.entries);
        for entry in entries {
            if let Ok(Some(other)) = self.issued_in(batch, entry.device_id.as_str()) {
                return LedgerError::AlreadyIssued {
                    device_id: entry.device_id.to_string(),
                    batch: other,
                };
            }
        }
        self.sqlite(error)
    }
}

fn reserve(
    transaction: &Transaction<'_>,
    batch: &Batch,
    chunks: &[(u64, SerialPrefix)],
    now: &str,
) -> rusqlite::Result<Vec<Reservation>> {
    let mut last = transaction.prepare_cached(
        "SELECT coalesce(max(attempt), 0) FROM reservation WHERE batch = ?1 AND chunk = ?2",
    )?;
    let mut insert = transaction.prepare_cached("INSERT INTO reservation VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    chunks
        .iter()
        .map(|&(chunk, prefix)| {
            let attempt: u32 = last.query_row(params![batch.key, chunk], |row| row.get(0))?;
            let attempt = attempt + 1;
            insert.execute(params![
                batch.key,
                chunk,
                attempt,
                batch.issuer,
                prefix.octets(),
                now
            ])?;
            Ok(Reservation {
                chunk,
                attempt,
                prefix,
            })
        })
        .collect()
}

fn mark_released(transaction: &Transaction<'_>, batch: &Batch, chunks: &[u64]) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("UPDATE committed SET released = 1 WHERE batch = ?1 AND chunk = ?2")?;
    for chunk in chunks {
        statement.execute(params![batch.key, chunk])?;
    }
    Ok(())
}

fn commit(transaction: &Transaction<'_>, batch: &Batch, chunk: &Committed) -> rusqlite::Result<()> {
    let Reservation {
        chunk: number,
        attempt,
        ..
    } = chunk.reservation;
    // A reservation that another one has replaced gives no right to commit.
    let is_newest = transaction
        .prepare_cached(
            "INSERT INTO committed (batch, chunk, attempt) SELECT ?1, ?2, ?3 WHERE ?3 = \
             (SELECT max(attempt) FROM reservation WHERE batch = ?1 AND chunk = ?2)",
        )?
        .execute(params![batch.key, number, attempt])?;
    if is_newest == 0 {
        return Err(rusqlite::Error::StatementChangedRows(0));
    }
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
    for (row, entry) in (number * batch.chunk_rows..).zip(&chunk.entries) {
        insert.execute(params![
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
        ])?;
    }
    Ok(())
}
