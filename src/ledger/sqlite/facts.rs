//! Facts as rows: read out of a ledger, and entered into one.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::read::{code, moment, prefix};
use super::{Failure, batch, device, read};
use crate::certificate::SerialPrefix;
use crate::issuer::CaCertificate;
use crate::ledger::error::Malformed;
use crate::ledger::{Batch, Begun, Fact, KnownChunk, KnownDevice, LedgerError, Reserved, Revoked};
use crate::profile::rfc3339;

/// Hands on one fact; what refuses it ends the reading.
type Each<'a> = &'a mut dyn FnMut(Fact) -> Result<(), Failure>;

/// Hands on all that is known of a batch.
pub(super) fn tell(connection: &Connection, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    // One view of it, whatever is written meanwhile.
    let snapshot = connection.unchecked_transaction()?;
    each(Fact::Batch(Box::new(begun(&snapshot, batch)?)))?;
    reservations(&snapshot, batch, each)?;
    chunks(&snapshot, batch, each)?;
    fates(&snapshot, batch, each)
}

fn begun(snapshot: &Connection, batch: &Batch) -> Result<Begun, Failure> {
    let created_at = snapshot.query_row(
        "SELECT created_at FROM batch WHERE batch = ?1",
        [batch.key],
        |row| moment(row, 0),
    )?;
    let crl = snapshot
        .query_row(
            "SELECT number, made_at FROM crl WHERE issuer = ?1",
            [batch.issuer],
            |row| Ok((row.get(0)?, moment(row, 1)?)),
        )
        .optional()?;
    let Batch {
        name,
        location,
        issuer_certificate,
        manifest,
        manifest_sha256,
        profile,
        profile_sha256,
        layout,
        rows,
        chunk_rows,
        reissue,
        ..
    } = batch.clone();
    Ok(Begun {
        issuer: issuer(&issuer_certificate)?,
        name,
        location,
        manifest,
        manifest_sha256,
        profile,
        profile_sha256,
        layout,
        rows,
        chunk_rows,
        reissue,
        created_at,
        crl,
    })
}

fn issuer(der: &[u8]) -> Result<CaCertificate, Failure> {
    CaCertificate::from_der(der, std::path::Path::new("the ledger")).map_err(|_| {
        Failure::Sqlite(read::malformed(
            0,
            "certificate of a CA",
            format!("{} octets", der.len()),
        ))
    })
}

fn reservations(snapshot: &Connection, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    let mut statement = snapshot.prepare(
        "SELECT chunk, serial_prefix, reserved_at FROM reservation WHERE batch = ?1 ORDER BY chunk, attempt",
    )?;
    let mut rows = statement.query([batch.key])?;
    while let Some(row) = rows.next()? {
        each(Fact::Reserved(Reserved {
            chunk: row.get(0)?,
            prefix: prefix(row, 1)?,
            at: moment(row, 2)?,
        }))?;
    }
    Ok(())
}

fn chunks(snapshot: &Connection, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    let mut statement = snapshot.prepare(
        "SELECT chunk, released, serial_prefix FROM committed JOIN reservation USING (batch, chunk, attempt) \
         WHERE batch = ?1 ORDER BY chunk",
    )?;
    let mut rows = statement.query([batch.key])?;
    while let Some(row) = rows.next()? {
        let chunk = row.get(0)?;
        each(Fact::Chunk(KnownChunk {
            chunk,
            released: row.get(1)?,
            prefix: prefix(row, 2)?,
            devices: devices(snapshot, batch, chunk)?,
        }))?;
    }
    Ok(())
}

/// The devices of a committed chunk, in row order.
fn devices(connection: &Connection, batch: &Batch, chunk: u64) -> rusqlite::Result<Vec<KnownDevice>> {
    let mut statement = connection.prepare_cached(
        "SELECT device_id, certificate_id, certificate_serial, not_after, offset, length, sha256, generation \
         FROM device WHERE batch = ?1 AND row >= ?2 AND row < ?3 ORDER BY row",
    )?;
    let first = chunk.saturating_mul(batch.chunk_rows);
    let end = first.saturating_add(batch.chunk_rows);
    let known = |row: &Row<'_>| {
        Ok(KnownDevice {
            entry: device::entry(row)?,
            generation: Some(row.get(7)?),
        })
    };
    statement
        .query_map(params![batch.key, first, end], known)?
        .collect()
}

/// What became of a batch, and of its certificates.
fn fates(snapshot: &Connection, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    let withdrawn = snapshot
        .query_row(
            "SELECT withdrawn_at, reason FROM withdrawal WHERE batch = ?1",
            [batch.key],
            |row| Ok((moment(row, 0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((at, reason)) = withdrawn {
        each(Fact::Withdrawn { at, reason })?;
    }
    let mut statement =
        snapshot.prepare("SELECT place, revoked FROM revocation WHERE batch = ?1 ORDER BY place")?;
    let mut rows = statement.query([batch.key])?;
    while let Some(row) = rows.next()? {
        each(Fact::RevokedAt {
            place: row.get(0)?,
            certificates: row.get(1)?,
        })?;
    }
    let mut statement = snapshot
        .prepare("SELECT row, revoked_at, reason, code FROM revoked WHERE batch = ?1 ORDER BY row")?;
    let mut rows = statement.query([batch.key])?;
    while let Some(row) = rows.next()? {
        each(Fact::Revoked(Revoked {
            row: row.get(0)?,
            at: moment(row, 1)?,
            reason: row.get(2)?,
            code: code(row, 3)?,
        }))?;
    }
    Ok(())
}

/// Enters facts, one after the other.
pub(super) struct Entering<'a> {
    transaction: &'a Transaction<'a>,
    /// The one that was told of last.
    batch: Option<Batch>,
}

impl<'a> Entering<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>) -> Self {
        Self {
            transaction,
            batch: None,
        }
    }

    pub(super) fn enter(&mut self, fact: Fact) -> Result<(), Failure> {
        if let Fact::Batch(begun) = fact {
            self.batch = Some(enter_batch(self.transaction, &begun)?);
            return Ok(());
        }
        let transaction = self.transaction;
        let batch = self
            .batch
            .as_ref()
            .expect("a batch is told of before what is known of it");
        match fact {
            Fact::Batch(_) => {}
            Fact::Reserved(reserved) => enter_reservation(transaction, batch, reserved)?,
            Fact::Chunk(chunk) => enter_chunk(transaction, batch, &chunk)?,
            Fact::Withdrawn { at, reason } => {
                super::withdrawal::insert(transaction, batch, &reason, at)?;
            }
            Fact::RevokedAt { place, certificates } => {
                super::withdrawal::set_revoked(transaction, batch, &place, certificates)?;
            }
            Fact::Revoked(Revoked {
                row,
                at,
                reason,
                code,
            }) => {
                transaction
                    .prepare_cached(
                        "INSERT INTO revoked (batch, row, revoked_at, reason, code) VALUES (?1, ?2, ?3, ?4, ?5) \
                         ON CONFLICT (batch, row) DO NOTHING",
                    )?
                    .execute(params![batch.key, row, rfc3339(at), reason, code.number()])?;
            }
        }
        Ok(())
    }
}

/// Enters a batch, or finds the one that was begun as this. It began when the earlier of both did.
fn enter_batch(transaction: &Transaction<'_>, begun: &Begun) -> Result<Batch, Failure> {
    let identity = begun.identity();
    match batch::find(transaction, &begun.name)? {
        Some(found) => {
            identity.check(&found).map_err(Failure::Refused)?;
            transaction.execute(
                "UPDATE batch SET created_at = min(created_at, ?2) WHERE batch = ?1",
                params![found.key, rfc3339(begun.created_at)],
            )?;
        }
        None => batch::write(transaction, &identity, begun.created_at)?,
    }
    let batch = batch::find(transaction, &begun.name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    if let Some((number, made_at)) = begun.crl {
        transaction.execute(
            "INSERT INTO crl (issuer, number, made_at) VALUES (?1, ?2, ?3) ON CONFLICT (issuer) DO UPDATE \
             SET number = excluded.number, made_at = excluded.made_at WHERE excluded.number > number",
            params![batch.issuer, number, rfc3339(made_at)],
        )?;
    }
    Ok(batch)
}

fn enter_reservation(
    transaction: &Transaction<'_>,
    batch: &Batch,
    reserved: Reserved,
) -> Result<(), Failure> {
    let Reserved { chunk, prefix, at } = reserved;
    let found: Option<(i64, u64)> = transaction
        .prepare_cached("SELECT batch, chunk FROM reservation WHERE serial_prefix = ?1")?
        .query_row([prefix.octets()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some(found) if found == (batch.key, chunk) => Ok(()),
        Some(_) => Err(Failure::Refused(LedgerError::PrefixTaken {
            batch: batch.name.clone(),
            chunk,
            prefix: prefix.attempt(),
        })),
        None => {
            transaction
                .prepare_cached(
                    "INSERT INTO reservation (batch, chunk, attempt, issuer, serial_prefix, reserved_at) \
                     SELECT ?1, ?2, coalesce(max(attempt), 0) + 1, ?3, ?4, ?5 FROM reservation \
                     WHERE batch = ?1 AND chunk = ?2",
                )?
                .execute(params![
                    batch.key,
                    chunk,
                    batch.issuer,
                    prefix.octets(),
                    rfc3339(at)
                ])?;
            Ok(())
        }
    }
}

/// Enters a chunk, or finds it as it was entered before.
fn enter_chunk(transaction: &Transaction<'_>, batch: &Batch, chunk: &KnownChunk) -> Result<(), Failure> {
    let number = chunk.chunk;
    let found = transaction
        .prepare_cached(
            "SELECT serial_prefix FROM committed JOIN reservation USING (batch, chunk, attempt) \
             WHERE batch = ?1 AND chunk = ?2",
        )?
        .query_row(params![batch.key, number], |row| prefix(row, 0))
        .optional()?;
    match found {
        None => insert_chunk(transaction, batch, chunk)?,
        Some(found) if is_same(transaction, batch, (chunk, found))? => {}
        Some(_) => {
            return Err(Failure::Refused(LedgerError::ChunkDiffers {
                batch: batch.name.clone(),
                chunk: number,
            }));
        }
    }
    if chunk.released {
        super::chunk::mark_released(transaction, batch, &[number])?;
    }
    Ok(())
}

fn is_same(
    transaction: &Transaction<'_>,
    batch: &Batch,
    (chunk, found): (&KnownChunk, SerialPrefix),
) -> rusqlite::Result<bool> {
    let known = device::entries(transaction, batch, chunk.chunk)?;
    Ok(found == chunk.prefix && known.iter().eq(chunk.devices.iter().map(|device| &device.entry)))
}

fn insert_chunk(transaction: &Transaction<'_>, batch: &Batch, chunk: &KnownChunk) -> Result<(), Failure> {
    let number = chunk.chunk;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO committed (batch, chunk, attempt) SELECT batch, chunk, attempt FROM reservation \
             WHERE batch = ?1 AND chunk = ?2 AND serial_prefix = ?3",
        )?
        .execute(params![batch.key, number, chunk.prefix.octets()])?;
    if inserted == 0 {
        let what = "chunk that was reserved before it was committed";
        let found = format!("{} {number}", batch.name);
        return Err(Failure::Sqlite(rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Integer,
            Box::new(Malformed { what, found }),
        )));
    }
    device::enter(transaction, batch, number * batch.chunk_rows, &chunk.devices)
}
