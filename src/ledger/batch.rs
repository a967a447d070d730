//! Batches: begun once, resumed as often as need be, never with another identity.

use std::path::Path;

use data_encoding::HEXLOWER;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use time::OffsetDateTime;

use super::{Ledger, LedgerError, Withdrawal, withdrawal};
use crate::batch::{Layout, Shape};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::profile::rfc3339;

/// What a batch that was begun with other settings of its profile differs in.
pub const SETTINGS: &str = "profile text or --endpoint";

/// What makes a batch that batch and no other.
#[derive(Debug, Clone)]
pub struct BatchIdentity<'a> {
    pub name: &'a str,
    /// Where the store is.
    pub location: &'a str,
    pub issuer: &'a CaCertificate,
    /// The manifest's path, as it was given.
    pub manifest: &'a str,
    pub manifest_sha256: [u8; 32],
    pub profile: &'a str,
    pub profile_sha256: [u8; 32],
    pub layout: Layout,
    pub rows: u64,
    pub chunk_rows: u64,
    /// Whether devices may have been issued before.
    pub reissue: bool,
}

/// A batch in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub(super) key: i64,
    pub(super) issuer: i64,
    pub name: String,
    pub location: String,
    pub issuer_certificate: Vec<u8>,
    pub manifest: String,
    pub manifest_sha256: [u8; 32],
    pub profile: String,
    pub profile_sha256: [u8; 32],
    pub layout: Layout,
    pub rows: u64,
    pub chunk_rows: u64,
    pub reissue: bool,
}

impl Batch {
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            chunk_rows: self.chunk_rows,
        }
    }
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatus {
    pub batch: String,
    pub location: String,
    pub manifest: String,
    pub profile: String,
    pub layout: Layout,
    pub issuer: String,
    pub reissue: bool,
    pub created_at: String,
    /// Rows of the manifest.
    pub devices: u64,
    /// Devices whose bundles are released.
    pub released: u64,
    /// Devices that are committed and not yet released.
    pub committed: u64,
    /// Attempts at chunks, the successful ones among them.
    pub attempts: u64,
    /// That it must never come up.
    pub withdrawn: Option<Withdrawal>,
}

const COLUMNS: &str = "batch.batch, batch.issuer, name, location, certificate, manifest, manifest_sha256, \
                       profile, profile_sha256, layout, rows, chunk_rows, reissue";

fn batch(row: &Row<'_>) -> rusqlite::Result<Batch> {
    let layout: String = row.get(9)?;
    Ok(Batch {
        key: row.get(0)?,
        issuer: row.get(1)?,
        name: row.get(2)?,
        location: row.get(3)?,
        issuer_certificate: row.get(4)?,
        manifest: row.get(5)?,
        manifest_sha256: row.get(6)?,
        profile: row.get(7)?,
        profile_sha256: row.get(8)?,
        layout: layout.parse().unwrap_or_default(),
        rows: row.get(10)?,
        chunk_rows: row.get(11)?,
        reissue: row.get(12)?,
    })
}

impl Ledger {
    /// The batch of that name.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn find_batch(&self, name: &str) -> Result<Option<Batch>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM batch JOIN issuer USING (issuer) WHERE name = ?1");
        self.connection
            .query_row(&sql, [name], batch)
            .optional()
            .map_err(|e| self.sqlite(e))
    }

    /// The batch of that name, which must be there.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoBatch`] when it is not.
    pub fn batch(&self, name: &str) -> Result<Batch, LedgerError> {
        self.find_batch(name)?.ok_or_else(|| LedgerError::NoBatch {
            name: name.to_owned(),
        })
    }

    /// The name of another batch that was made of this manifest by this issuer, and of which a chunk is
    /// committed.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn batch_of_manifest(
        &self,
        manifest_sha256: &[u8; 32],
        issuer: &CaCertificate,
        other_than: &str,
    ) -> Result<Option<String>, LedgerError> {
        self.connection
            .query_row(
                "SELECT name FROM batch JOIN issuer USING (issuer) WHERE manifest_sha256 = ?1 AND key_id = ?2 \
                 AND name <> ?3 AND EXISTS (SELECT 1 FROM committed WHERE committed.batch = batch.batch) \
                 ORDER BY batch DESC LIMIT 1",
                params![manifest_sha256, sha256(issuer.public_key()), other_than],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| self.sqlite(e))
    }

    /// Begins a batch, or finds the one that was begun with the same identity.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BatchDiffers`] when the name stands for something else of which a chunk is
    /// committed.
    pub fn begin_batch(
        &mut self,
        identity: &BatchIdentity<'_>,
        now: OffsetDateTime,
    ) -> Result<Batch, LedgerError> {
        if let Some(batch) = self.same_batch(identity)? {
            return Ok(batch);
        }
        self.insert_batch(identity, now).map_err(|e| self.sqlite(e))?;
        self.batch(identity.name)
    }

    /// The batch that was begun with this identity, if it was. One of that name that was begun as
    /// something else, and of which nothing is committed, may begin again: it does not count.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BatchDiffers`] when the name stands for something else of which a chunk is
    /// committed.
    pub fn same_batch(&self, identity: &BatchIdentity<'_>) -> Result<Option<Batch>, LedgerError> {
        let Some(batch) = self.find_batch(identity.name)? else {
            return Ok(None);
        };
        match identity.check(&batch) {
            Ok(()) => Ok(Some(batch)),
            Err(error) if !self.committed(&batch)?.is_empty() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn insert_batch(&mut self, identity: &BatchIdentity<'_>, now: OffsetDateTime) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let key_id = sha256(identity.issuer.public_key());
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
                identity.profile,
                identity.profile_sha256,
                identity.layout.as_str(),
                identity.rows,
                identity.chunk_rows,
                identity.reissue,
                rfc3339(now),
                identity.issuer.der(),
            ],
        )?;
        transaction.commit()
    }

    /// How far each batch is, oldest first; or one of them.
    ///
    /// # Errors
    ///
    /// When there is no batch of that name, or the ledger cannot be read.
    pub fn status(&self, name: Option<&str>) -> Result<Vec<BatchStatus>, LedgerError> {
        let batches = self.status_rows(name).map_err(|e| self.sqlite(e))?;
        match name {
            Some(name) if batches.is_empty() => Err(LedgerError::NoBatch {
                name: name.to_owned(),
            }),
            _ => Ok(batches),
        }
    }

    fn status_rows(&self, name: Option<&str>) -> rusqlite::Result<Vec<BatchStatus>> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT name, location, manifest, profile, layout, subject, reissue, created_at, rows, \
               (SELECT coalesce(sum(min(chunk_rows, rows - chunk * chunk_rows)), 0) FROM committed c \
                WHERE c.batch = batch.batch AND released), \
               (SELECT coalesce(sum(min(chunk_rows, rows - chunk * chunk_rows)), 0) FROM committed c \
                WHERE c.batch = batch.batch AND NOT released), \
               (SELECT count(*) FROM reservation r WHERE r.batch = batch.batch), \
               withdrawal.batch IS NOT NULL, {} \
             FROM batch JOIN issuer USING (issuer) LEFT JOIN withdrawal USING (batch) \
             WHERE name = ?1 OR ?1 IS NULL ORDER BY batch.batch",
            withdrawal::COLUMNS
        ))?;
        let rows = statement.query_map([name], |row| {
            let layout: String = row.get(4)?;
            let is_withdrawn: bool = row.get(12)?;
            Ok(BatchStatus {
                batch: row.get(0)?,
                location: row.get(1)?,
                manifest: row.get(2)?,
                profile: row.get(3)?,
                layout: layout.parse().unwrap_or_default(),
                issuer: row.get(5)?,
                reissue: row.get(6)?,
                created_at: row.get(7)?,
                devices: row.get(8)?,
                released: row.get(9)?,
                committed: row.get(10)?,
                attempts: row.get(11)?,
                withdrawn: is_withdrawn
                    .then(|| withdrawal::withdrawal(row, 13))
                    .transpose()?,
            })
        })?;
        rows.collect()
    }
}

fn reissue(is: bool) -> String {
    if is { "with --reissue" } else { "without --reissue" }.to_owned()
}

/// The subject of an issuer, which people know, and the start of its id, which tells two apart.
fn issuer(der: &[u8]) -> String {
    let id = digest(&sha256(der));
    match CaCertificate::from_der(der, Path::new("the ledger")) {
        Ok(certificate) => format!("{} ({id})", certificate.subject_text()),
        Err(_) => id,
    }
}

/// The start of a SHA-256, as batches are named by it.
fn digest(sha256: &[u8; 32]) -> String {
    HEXLOWER.encode(&sha256[..4])
}

impl BatchIdentity<'_> {
    fn check(&self, batch: &Batch) -> Result<(), LedgerError> {
        let facts = [
            (
                "manifest",
                batch.manifest_sha256 == self.manifest_sha256,
                digest(&batch.manifest_sha256),
                digest(&self.manifest_sha256),
            ),
            (
                "issuer",
                batch.issuer_certificate == self.issuer.der(),
                issuer(&batch.issuer_certificate),
                issuer(self.issuer.der()),
            ),
            (
                "profile",
                batch.profile == self.profile,
                batch.profile.clone(),
                self.profile.to_owned(),
            ),
            (
                SETTINGS,
                batch.profile_sha256 == self.profile_sha256,
                digest(&batch.profile_sha256),
                digest(&self.profile_sha256),
            ),
            (
                "layout",
                batch.layout == self.layout,
                batch.layout.to_string(),
                self.layout.to_string(),
            ),
            (
                "chunk size",
                batch.chunk_rows == self.chunk_rows,
                batch.chunk_rows.to_string(),
                self.chunk_rows.to_string(),
            ),
            (
                "place",
                batch.location == self.location,
                batch.location.clone(),
                self.location.to_owned(),
            ),
            (
                "reissue setting",
                batch.reissue == self.reissue,
                reissue(batch.reissue),
                reissue(self.reissue),
            ),
        ];
        match facts.into_iter().find(|(_, is_same, ..)| !is_same) {
            None => Ok(()),
            Some((what, _, was, now)) => Err(LedgerError::BatchDiffers {
                name: self.name.to_owned(),
                what,
                was,
                now,
            }),
        }
    }
}
