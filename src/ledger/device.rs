//! Devices: what was issued, read back.

use rusqlite::{OptionalExtension, Row, params};

use super::{Batch, Ledger, LedgerError};
use crate::batch::IndexEntry;
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use rusqlite::types::Type;

impl Ledger {
    /// The entries of a committed chunk, in row order.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn entries(&self, batch: &Batch, chunk: u64) -> Result<Vec<IndexEntry>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT device_id, certificate_id, certificate_serial, not_after, offset, length, sha256 \
                 FROM device WHERE batch = ?1 AND row >= ?2 AND row < ?3 ORDER BY row",
            )?;
            let first = chunk * batch.chunk_rows;
            let rows = statement.query_map(params![batch.key, first, first + batch.chunk_rows], entry)?;
            rows.collect()
        };
        read().map_err(|e| self.sqlite(e))
    }

    /// The batch in which this batch's issuer issued the device, other than this one.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn issued_in(&self, batch: &Batch, device_id: &str) -> Result<Option<String>, LedgerError> {
        self.issued(batch.issuer, batch.key, device_id)
    }

    /// Whether the issuer has issued devices in batches of other names.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn earlier_issues(
        &self,
        issuer: &CaCertificate,
        batch: &str,
    ) -> Result<EarlierIssues<'_>, LedgerError> {
        let read = || -> rusqlite::Result<_> {
            let keys: Option<(i64, i64)> = self
                .connection
                .query_row(
                    "SELECT issuer, coalesce((SELECT batch FROM batch WHERE name = ?2), -1) \
                     FROM issuer WHERE key_id = ?1",
                    params![sha256(issuer.public_key()), batch],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((issuer, batch)) = keys else {
                return Ok(None);
            };
            let any: bool = self.connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM batch b JOIN committed c USING (batch) WHERE b.issuer = ?1 AND b.batch <> ?2)",
                params![issuer, batch],
                |row| row.get(0),
            )?;
            Ok(any.then_some((issuer, batch)))
        };
        let keys = read().map_err(|e| self.sqlite(e))?;
        Ok(EarlierIssues { ledger: self, keys })
    }

    fn issued(&self, issuer: i64, batch: i64, device_id: &str) -> Result<Option<String>, LedgerError> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT name FROM device JOIN batch USING (batch) \
                     WHERE device.issuer = ?1 AND device_id = ?2 AND device.batch <> ?3 LIMIT 1",
                )?
                .query_row(params![issuer, device_id, batch], |row| row.get(0))
                .optional()
        };
        read().map_err(|e| self.sqlite(e))
    }
}

/// What an issuer issued in other batches.
#[derive(Debug)]
pub struct EarlierIssues<'a> {
    ledger: &'a Ledger,
    keys: Option<(i64, i64)>,
}

impl EarlierIssues<'_> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_none()
    }

    /// The batch in which the device was issued.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn of(&self, device_id: &str) -> Result<Option<String>, LedgerError> {
        match self.keys {
            None => Ok(None),
            Some((issuer, batch)) => self.ledger.issued(issuer, batch, device_id),
        }
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<IndexEntry> {
    let serial: [u8; 16] = row.get(2)?;
    let device_id: String = row.get(0)?;
    let damaged = |_| rusqlite::Error::InvalidColumnType(0, "device_id".to_owned(), Type::Text);
    Ok(IndexEntry {
        device_id: DeviceId::parse(&device_id).map_err(damaged)?,
        certificate_id: row.get(1)?,
        certificate_serial: serial.into(),
        not_after: row.get(3)?,
        offset: row.get(4)?,
        length: row.get(5)?,
        sha256: row.get(6)?,
    })
}
