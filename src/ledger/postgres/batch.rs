//! Rows of table `batch`.

use postgres::{GenericClient, Row};
use time::OffsetDateTime;

use super::Failure;
use super::read::{count, layout, number, octets, second, signed, text};
use super::statements::Asking;
use super::withdrawal;
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::batch::{read, written};
use crate::ledger::{Batch, BatchIdentity, BatchStatus};
use crate::profile::{Ends, rfc3339};

const COLUMNS: &str = "batch, issuer, name, location, certificate, manifest, manifest_sha256, \
                       profile, profile_sha256, layout, rows, chunk_rows, reissue";

fn batch(row: &Row) -> Result<Batch, Failure> {
    let (profile, layout) = read(text(row, 7)?, layout(row, 9)?);
    Ok(Batch {
        key: row.try_get(0)?,
        issuer: row.try_get(1)?,
        name: text(row, 2)?,
        location: text(row, 3)?,
        issuer_certificate: row.try_get(4)?,
        manifest: text(row, 5)?,
        manifest_sha256: octets(row, 6, "digest of a manifest")?,
        profile,
        profile_sha256: octets(row, 8, "digest of a profile")?,
        layout,
        rows: count(row, 10, "number of rows")?,
        chunk_rows: count(row, 11, "number of rows of a chunk")?,
        reissue: row.try_get(12)?,
    })
}

pub(super) fn any(client: &mut Asking<'_, impl GenericClient>) -> Result<bool, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM batch)";
    Ok(client.query_one(sql, &[])?.try_get(0)?)
}

pub(super) fn find(
    client: &mut Asking<'_, impl GenericClient>,
    name: &str,
) -> Result<Option<Batch>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM batch WHERE name = $1");
    let row = client.query_opt(&sql, &[&name])?;
    row.as_ref().map(batch).transpose()
}

pub(super) fn of_manifest(
    client: &mut Asking<'_, impl GenericClient>,
    manifest_sha256: &[u8; 32],
    issuer: &CaCertificate,
    other_than: &str,
) -> Result<Option<String>, Failure> {
    let row = client.query_opt(
        "SELECT name FROM batch JOIN issuer USING (issuer) WHERE manifest_sha256 = $1 AND key_id = $2 \
         AND name <> $3 AND EXISTS (SELECT 1 FROM committed WHERE committed.batch = batch.batch) \
         ORDER BY batch DESC LIMIT 1",
        &[
            &&manifest_sha256[..],
            &&sha256(issuer.public_key())[..],
            &other_than,
        ],
    )?;
    row.map(|row| text(&row, 0)).transpose()
}

pub(super) fn of_issuer(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
) -> Result<Vec<String>, Failure> {
    let rows = client.query(
        "SELECT name FROM batch JOIN issuer USING (issuer) WHERE key_id = $1 ORDER BY batch",
        &[&&sha256(issuer.public_key())[..]],
    )?;
    rows.iter().map(|row| text(row, 0)).collect()
}

/// The issuer's own number, which it gets when it has none.
pub(super) fn issuer(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
) -> Result<i64, Failure> {
    let key_id = sha256(issuer.public_key());
    client.execute(
        "INSERT INTO issuer (key_id, subject) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        &[&&key_id[..], &issuer.subject_text()],
    )?;
    let row = client.query_one("SELECT issuer FROM issuer WHERE key_id = $1", &[&&key_id[..]])?;
    Ok(row.try_get(0)?)
}

/// The certificate with which an issuer's last batch was begun; `None`: it has none.
pub(super) fn certificate_before(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
) -> Result<Option<Vec<u8>>, Failure> {
    let row = client.query_opt(
        "SELECT certificate FROM batch JOIN issuer USING (issuer) WHERE key_id = $1 ORDER BY batch DESC LIMIT 1",
        &[&&sha256(issuer.public_key())[..]],
    )?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Writes a batch, over one of the same name.
pub(super) fn write(
    client: &mut Asking<'_, impl GenericClient>,
    identity: &BatchIdentity<'_>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let issuer = issuer(client, identity.issuer)?;
    let (profile, layout) = written(identity.profile, identity.layout);
    client.execute(
        "INSERT INTO batch (name, issuer, location, manifest, manifest_sha256, profile, profile_sha256, \
         layout, rows, chunk_rows, reissue, created_at, certificate) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (name) DO UPDATE SET certificate = excluded.certificate, issuer = excluded.issuer, \
         location = excluded.location, manifest = excluded.manifest, manifest_sha256 = excluded.manifest_sha256, \
         profile = excluded.profile, profile_sha256 = excluded.profile_sha256, layout = excluded.layout, \
         rows = excluded.rows, chunk_rows = excluded.chunk_rows, reissue = excluded.reissue, next_chunk = 0",
        &[
            &identity.name,
            &issuer,
            &identity.location,
            &identity.manifest,
            &&identity.manifest_sha256[..],
            &profile,
            &&identity.profile_sha256[..],
            &layout,
            &signed(identity.rows),
            &signed(identity.chunk_rows),
            &identity.reissue,
            &second(now),
            &identity.issuer.der(),
        ],
    )?;
    Ok(())
}

/// Forgets which devices a batch was to have: it is something else now.
pub(super) fn forget_claims(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
) -> Result<(), Failure> {
    client.execute("DELETE FROM lease WHERE batch = $1", &[&batch.key])?;
    client.execute("DELETE FROM identity WHERE batch = $1", &[&batch.key])?;
    Ok(())
}

/// Whether a run has a chunk of the batch in hand, by the database's clock.
pub(super) fn is_at_work(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
) -> Result<bool, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM lease WHERE batch = $1 AND until > clock_timestamp())";
    Ok(client.query_one(sql, &[&batch.key])?.try_get(0)?)
}

pub(super) fn status(
    client: &mut Asking<'_, impl GenericClient>,
    name: Option<&str>,
) -> Result<Vec<BatchStatus>, Failure> {
    let rows = client.query(
        &format!(
            "SELECT name, location, manifest, profile, layout, subject, reissue, created_at, rows, \
               coalesce(released, 0)::bigint, coalesce(waiting, 0)::bigint, \
               (SELECT count(*) FROM reservation r WHERE r.batch = batch.batch), \
               earliest, latest, withdrawal.batch IS NOT NULL, {} \
             FROM batch JOIN issuer USING (issuer) LEFT JOIN withdrawal USING (batch) \
             LEFT JOIN LATERAL (SELECT sum(devices) FILTER (WHERE released) AS released, \
                 sum(devices) FILTER (WHERE NOT released) AS waiting, min(earliest) AS earliest, \
                 max(latest) AS latest FROM committed c WHERE c.batch = batch.batch) c ON TRUE \
             WHERE name = $1 OR $1 IS NULL ORDER BY batch.batch",
            withdrawal::COLUMNS
        ),
        &[&name],
    )?;
    rows.iter().map(one_status).collect()
}

fn one_status(row: &Row) -> Result<BatchStatus, Failure> {
    let is_withdrawn: bool = row.try_get(14)?;
    let (profile, layout) = read(text(row, 3)?, layout(row, 4)?);
    let (earliest, latest): (Option<i64>, Option<i64>) = (row.try_get(12)?, row.try_get(13)?);
    Ok(BatchStatus {
        batch: text(row, 0)?,
        location: text(row, 1)?,
        manifest: text(row, 2)?,
        profile,
        layout,
        issuer: text(row, 5)?,
        reissue: row.try_get(6)?,
        created_at: rfc3339(row.try_get(7)?),
        devices: number(row, 8)?,
        released: number(row, 9)?,
        committed: number(row, 10)?,
        attempts: number(row, 11)?,
        valid_until: Ends::both(earliest.and_then(Ends::at), latest.and_then(Ends::at)),
        withdrawn: is_withdrawn
            .then(|| withdrawal::withdrawal(row, 15))
            .transpose()?,
        hosts: Vec::new(),
    })
}
