//! Rows of table `batch`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

use super::read::{count, layout};
use super::withdrawal;
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::batch::{read, written};
use crate::ledger::{Batch, BatchIdentity, BatchStatus};
use crate::profile::{Ends, rfc3339};

const COLUMNS: &str = "batch.batch, batch.issuer, name, location, certificate, manifest, manifest_sha256, \
                       profile, profile_sha256, layout, rows, chunk_rows, reissue";

fn batch(row: &Row<'_>) -> rusqlite::Result<Batch> {
    let (profile, layout) = read(row.get(7)?, layout(row, 9)?);
    Ok(Batch {
        key: row.get(0)?,
        issuer: row.get(1)?,
        name: row.get(2)?,
        location: row.get(3)?,
        issuer_certificate: row.get(4)?,
        manifest: row.get(5)?,
        manifest_sha256: row.get(6)?,
        profile,
        profile_sha256: row.get(8)?,
        layout,
        rows: count(row, 10, "number of rows")?,
        chunk_rows: count(row, 11, "number of rows of a chunk")?,
        reissue: row.get(12)?,
    })
}

pub(super) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM batch)", [], |row| row.get(0))
}

pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Batch>> {
    let sql = format!("SELECT {COLUMNS} FROM batch JOIN issuer USING (issuer) WHERE name = ?1");
    connection.query_row(&sql, [name], batch).optional()
}

pub(super) fn of_manifest(
    connection: &Connection,
    manifest_sha256: &[u8; 32],
    issuer: &CaCertificate,
    other_than: &str,
) -> rusqlite::Result<Option<String>> {
    connection
        .query_row(
            "SELECT name FROM batch JOIN issuer USING (issuer) WHERE manifest_sha256 = ?1 AND key_id = ?2 \
             AND name <> ?3 AND EXISTS (SELECT 1 FROM committed WHERE committed.batch = batch.batch) \
             ORDER BY batch DESC LIMIT 1",
            params![manifest_sha256, sha256(issuer.public_key()), other_than],
            |row| row.get(0),
        )
        .optional()
}

pub(super) fn of_issuer(connection: &Connection, issuer: &CaCertificate) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare("SELECT name FROM batch JOIN issuer USING (issuer) WHERE key_id = ?1 ORDER BY batch")?;
    let rows = statement.query_map([sha256(issuer.public_key())], |row| row.get(0))?;
    rows.collect()
}

/// The certificate with which an issuer's last batch was begun; `None`: it has none.
pub(super) fn certificate_before(
    connection: &Connection,
    issuer: &CaCertificate,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT certificate FROM batch JOIN issuer USING (issuer) WHERE key_id = ?1 ORDER BY batch DESC LIMIT 1";
    connection
        .query_row(sql, [sha256(issuer.public_key())], |row| row.get(0))
        .optional()
}

/// Writes a batch, over one of the same name.
pub(super) fn write(
    transaction: &Transaction<'_>,
    identity: &BatchIdentity<'_>,
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let key_id = sha256(identity.issuer.public_key());
    let (profile, layout) = written(identity.profile, identity.layout);
    transaction.execute(
        "INSERT INTO issuer (key_id, subject) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![key_id, identity.issuer.subject_text()],
    )?;
    transaction.execute(
        "INSERT INTO batch (name, issuer, location, manifest, manifest_sha256, profile, profile_sha256, \
         layout, rows, chunk_rows, reissue, created_at, certificate) \
         VALUES (?1, (SELECT issuer FROM issuer WHERE key_id = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
         ON CONFLICT (name) DO UPDATE SET certificate = excluded.certificate, issuer = excluded.issuer, location = excluded.location, \
         manifest = excluded.manifest, manifest_sha256 = excluded.manifest_sha256, profile = excluded.profile, \
         profile_sha256 = excluded.profile_sha256, layout = excluded.layout, rows = excluded.rows, \
         chunk_rows = excluded.chunk_rows, reissue = excluded.reissue",
        params![
            identity.name,
            key_id,
            identity.location,
            identity.manifest,
            identity.manifest_sha256,
            profile,
            identity.profile_sha256,
            layout,
            identity.rows,
            identity.chunk_rows,
            identity.reissue,
            rfc3339(now),
            identity.issuer.der(),
        ],
    )?;
    Ok(())
}

pub(super) fn status(connection: &Connection, name: Option<&str>) -> rusqlite::Result<Vec<BatchStatus>> {
    // The certificates of a chunk end together: the first of each is enough.
    let ends = "FROM committed c JOIN device d ON d.batch = c.batch AND d.row = c.chunk * chunk_rows \
                WHERE c.batch = batch.batch";
    let mut statement = connection.prepare(&format!(
        "SELECT name, location, manifest, profile, layout, subject, reissue, created_at, rows, \
           (SELECT coalesce(sum(min(chunk_rows, rows - chunk * chunk_rows)), 0) FROM committed c \
            WHERE c.batch = batch.batch AND released), \
           (SELECT coalesce(sum(min(chunk_rows, rows - chunk * chunk_rows)), 0) FROM committed c \
            WHERE c.batch = batch.batch AND NOT released), \
           (SELECT count(*) FROM reservation r WHERE r.batch = batch.batch), \
           (SELECT min(not_after) {ends}), (SELECT max(not_after) {ends}), \
           withdrawal.batch IS NOT NULL, {} \
         FROM batch JOIN issuer USING (issuer) LEFT JOIN withdrawal USING (batch) \
         WHERE name = ?1 OR ?1 IS NULL ORDER BY batch.batch",
        withdrawal::COLUMNS
    ))?;
    let rows = statement.query_map([name], |row| {
        let is_withdrawn: bool = row.get(14)?;
        let (profile, layout) = read(row.get(3)?, layout(row, 4)?);
        let (earliest, latest): (Option<i64>, Option<i64>) = (row.get(12)?, row.get(13)?);
        Ok(BatchStatus {
            batch: row.get(0)?,
            location: row.get(1)?,
            manifest: row.get(2)?,
            profile,
            layout,
            issuer: row.get(5)?,
            reissue: row.get(6)?,
            created_at: row.get(7)?,
            devices: row.get(8)?,
            released: row.get(9)?,
            committed: row.get(10)?,
            attempts: row.get(11)?,
            valid_until: Ends::both(earliest.and_then(Ends::at), latest.and_then(Ends::at)),
            withdrawn: is_withdrawn
                .then(|| withdrawal::withdrawal(row, 15))
                .transpose()?,
            hosts: Vec::new(),
        })
    })?;
    rows.collect()
}
