//! Facts as rows: read out of a ledger, and entered into one.

use super::read::{code, corrupt, number, prefix, second, signed, text};
use super::statements::{Reading, Writing};
use super::{Failure, batch, chunk, entries, withdrawal};
use crate::batch::IndexEntry;
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, Begun, Fact, KnownChunk, KnownDevice, LedgerError, Reserved, Revoked};

/// Hands on one fact; what refuses it ends the reading.
type Each<'a> = &'a mut dyn FnMut(Fact) -> Result<(), Failure>;

/// Hands on all that is known of a batch.
pub(super) fn tell(client: &mut Reading<'_>, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    client.at_one_time(|snapshot| tell_in(snapshot, batch, each))
}

fn tell_in(snapshot: &mut Writing<'_, '_>, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    each(Fact::Batch(Box::new(begun(snapshot, batch)?)))?;
    let reserved =
        "SELECT chunk, serial_prefix, reserved_at FROM reservation WHERE batch = $1 ORDER BY chunk, attempt";
    for row in &snapshot.query(reserved, &[&batch.key])? {
        each(Fact::Reserved(Reserved {
            chunk: number(row, 0)?,
            prefix: prefix(row, 1)?,
            at: row.try_get(2)?,
        }))?;
    }
    let committed = "SELECT chunk, released, serial_prefix FROM committed JOIN reservation USING (batch, chunk, attempt) \
                     WHERE batch = $1 ORDER BY chunk";
    for row in &snapshot.query(committed, &[&batch.key])? {
        let chunk = number(row, 0)?;
        each(Fact::Chunk(KnownChunk {
            chunk,
            released: row.try_get(1)?,
            prefix: prefix(row, 2)?,
            devices: devices(snapshot, batch, chunk)?,
        }))?;
    }
    fates(snapshot, batch, each)
}

fn begun(snapshot: &mut Writing<'_, '_>, batch: &Batch) -> Result<Begun, Failure> {
    let row = snapshot.query_one("SELECT created_at FROM batch WHERE batch = $1", &[&batch.key])?;
    let crl = snapshot.query_opt(
        "SELECT number, made_at FROM crl WHERE issuer = $1",
        &[&batch.issuer],
    )?;
    let crl = crl.map(|row| Ok::<_, Failure>((number(&row, 0)?, row.try_get(1)?)));
    let der = &batch.issuer_certificate;
    let issuer = CaCertificate::from_der(der, std::path::Path::new("the ledger"));
    Ok(Begun {
        issuer: issuer.map_err(|_| corrupt("certificate of a CA", format!("{} octets", der.len())))?,
        name: batch.name.clone(),
        location: batch.location.clone(),
        manifest: batch.manifest.clone(),
        manifest_sha256: batch.manifest_sha256,
        profile: batch.profile.clone(),
        profile_sha256: batch.profile_sha256,
        layout: batch.layout,
        rows: batch.rows,
        chunk_rows: batch.chunk_rows,
        reissue: batch.reissue,
        created_at: row.try_get(0)?,
        crl: crl.transpose()?,
    })
}

/// The devices of a committed chunk, in row order.
fn devices(snapshot: &mut Writing<'_, '_>, batch: &Batch, chunk: u64) -> Result<Vec<KnownDevice>, Failure> {
    let entries = chunk::entries_of(snapshot, batch.key, chunk)?;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.device_id.as_str()).collect();
    let rows = snapshot.query(
        "SELECT device_id, generation FROM identity WHERE issuer = $1 AND device_id = ANY($2) AND batch = $3 AND chunk = $4",
        &[&batch.issuer, &ids, &batch.key, &signed(chunk)],
    )?;
    let mut generations = std::collections::BTreeMap::new();
    for row in &rows {
        let found: i32 = row.try_get(1)?;
        let generation = u32::try_from(found).map_err(|_| corrupt("generation", found.to_string()))?;
        generations.insert(text(row, 0)?, generation);
    }
    let known = entries.into_iter().map(|entry| KnownDevice {
        generation: generations.get(entry.device_id.as_str()).copied(),
        entry,
    });
    Ok(known.collect())
}

/// What became of a batch, and of its certificates.
fn fates(snapshot: &mut Writing<'_, '_>, batch: &Batch, each: Each<'_>) -> Result<(), Failure> {
    if let Some(row) = snapshot.query_opt(
        "SELECT withdrawn_at, reason FROM withdrawal WHERE batch = $1",
        &[&batch.key],
    )? {
        each(Fact::Withdrawn {
            at: row.try_get(0)?,
            reason: text(&row, 1)?,
        })?;
    }
    let places = "SELECT place, revoked FROM revocation WHERE batch = $1 ORDER BY place";
    for row in &snapshot.query(places, &[&batch.key])? {
        each(Fact::RevokedAt {
            place: text(row, 0)?,
            certificates: number(row, 1)?,
        })?;
    }
    let revoked = "SELECT row, revoked_at, reason, code FROM revoked WHERE batch = $1 ORDER BY row";
    for row in &snapshot.query(revoked, &[&batch.key])? {
        each(Fact::Revoked(Revoked {
            row: number(row, 0)?,
            at: row.try_get(1)?,
            reason: text(row, 2)?,
            code: code(row.try_get(3)?)?,
        }))?;
    }
    Ok(())
}

/// Enters facts, one after the other.
pub(super) struct Entering<'a, 'b, 't> {
    transaction: &'a mut Writing<'b, 't>,
    /// The one that was told of last.
    batch: Option<Batch>,
}

impl<'a, 'b, 't> Entering<'a, 'b, 't> {
    pub(super) fn new(transaction: &'a mut Writing<'b, 't>) -> Self {
        Self {
            transaction,
            batch: None,
        }
    }

    pub(super) fn enter(&mut self, fact: Fact) -> Result<(), Failure> {
        let transaction = &mut *self.transaction;
        if let Fact::Batch(begun) = fact {
            self.batch = Some(enter_batch(transaction, &begun)?);
            return Ok(());
        }
        let batch = self
            .batch
            .as_ref()
            .expect("a batch is told of before what is known of it");
        match fact {
            Fact::Batch(_) => Ok(()),
            Fact::Reserved(reserved) => enter_reservation(transaction, batch, reserved),
            Fact::Chunk(chunk) => enter_chunk(transaction, batch, &chunk),
            Fact::Withdrawn { at, reason } => withdrawal::insert(transaction, batch, &reason, at).map(drop),
            Fact::RevokedAt { place, certificates } => {
                withdrawal::set_revoked(transaction, batch, &place, certificates).map(drop)
            }
            Fact::Revoked(Revoked {
                row,
                at,
                reason,
                code,
            }) => {
                transaction.execute(
                    "INSERT INTO revoked VALUES ($1, $2, $3, $4, $5) ON CONFLICT (batch, row) DO NOTHING",
                    &[
                        &batch.key,
                        &signed(row),
                        &second(at),
                        &reason,
                        &i64::from(code.number()),
                    ],
                )?;
                Ok(())
            }
        }
    }
}

/// Enters a batch, or finds the one that was begun as this. It began when the earlier of both did.
fn enter_batch(transaction: &mut Writing<'_, '_>, begun: &Begun) -> Result<Batch, Failure> {
    let identity = begun.identity();
    if let Some(found) = batch::find(transaction, &begun.name)? {
        identity.check(&found).map_err(Failure::Refused)?;
        transaction.execute(
            "UPDATE batch SET created_at = least(created_at, $2) WHERE batch = $1",
            &[&found.key, &second(begun.created_at)],
        )?;
    } else {
        batch::write(transaction, &identity, begun.created_at)?;
    }
    let batch = batch::find(transaction, &begun.name)?;
    let batch = batch.ok_or_else(|| corrupt("batch", begun.name.clone()))?;
    if let Some((number, made_at)) = begun.crl {
        transaction.execute(
            "INSERT INTO crl VALUES ($1, $2, $3) ON CONFLICT (issuer) DO UPDATE \
             SET number = excluded.number, made_at = excluded.made_at WHERE excluded.number > crl.number",
            &[&batch.issuer, &signed(number), &second(made_at)],
        )?;
    }
    Ok(batch)
}

fn enter_reservation(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    Reserved { chunk, prefix, at }: Reserved,
) -> Result<(), Failure> {
    let row = transaction.query_opt(
        "SELECT batch, chunk FROM reservation WHERE serial_prefix = $1",
        &[&&prefix.octets()[..]],
    )?;
    let found = row.map(|row| Ok::<_, Failure>((row.try_get(0)?, number(&row, 1)?)));
    match found.transpose()? {
        Some(found) if found == (batch.key, chunk) => Ok(()),
        Some(_) => Err(Failure::Refused(LedgerError::PrefixTaken {
            batch: batch.name.clone(),
            chunk,
            prefix: prefix.attempt(),
        })),
        None => chunk::reserve_one(transaction, batch, (chunk, prefix), at).map(drop),
    }
}

/// Enters a chunk, or finds it as it was entered before.
fn enter_chunk(transaction: &mut Writing<'_, '_>, batch: &Batch, chunk: &KnownChunk) -> Result<(), Failure> {
    let number = chunk.chunk;
    let found = transaction.query_opt(
        "SELECT serial_prefix FROM committed JOIN reservation USING (batch, chunk, attempt) WHERE batch = $1 AND chunk = $2",
        &[&batch.key, &signed(number)],
    )?;
    match found {
        None => insert_chunk(transaction, batch, chunk)?,
        Some(row) => {
            let known = chunk::entries_of(transaction, batch.key, number)?;
            let is_same = known.iter().eq(chunk.devices.iter().map(|device| &device.entry));
            if prefix(&row, 0)? != chunk.prefix || !is_same {
                return Err(Failure::Refused(LedgerError::ChunkDiffers {
                    batch: batch.name.clone(),
                    chunk: number,
                }));
            }
        }
    }
    match chunk.released {
        true => chunk::mark_released(transaction, batch, &[number]),
        false => Ok(()),
    }
}

fn insert_chunk(transaction: &mut Writing<'_, '_>, batch: &Batch, chunk: &KnownChunk) -> Result<(), Failure> {
    let number = chunk.chunk;
    match batch.reissue {
        true => enter_generations(transaction, batch, chunk)?,
        false => enter_identities(transaction, batch, chunk)?,
    }
    let all: Vec<IndexEntry> = chunk.devices.iter().map(|device| device.entry.clone()).collect();
    let ends = || all.iter().map(|entry| entry.not_after);
    let inserted = transaction.execute(
        "INSERT INTO committed SELECT batch, chunk, attempt, FALSE, $4, $5, $6, $7 FROM reservation \
         WHERE batch = $1 AND chunk = $2 AND serial_prefix = $3",
        &[
            &batch.key,
            &signed(number),
            &&chunk.prefix.octets()[..],
            &signed(all.len() as u64),
            &ends().min().unwrap_or(0),
            &ends().max().unwrap_or(0),
            &entries::write(&all),
        ],
    )?;
    match inserted {
        0 => Err(corrupt(
            "chunk that was reserved before it was committed",
            format!("{} {number}", batch.name),
        )),
        _ => Ok(()),
    }
}

/// The first identities of devices, which are nobody else's.
fn enter_identities(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: &KnownChunk,
) -> Result<(), Failure> {
    let ids: Vec<&str> = chunk
        .devices
        .iter()
        .map(|device| device.entry.device_id.as_str())
        .collect();
    transaction.execute(
        "INSERT INTO identity SELECT $1, id, 0, $3, $4 FROM unnest($2::text[]) AS f (id) ORDER BY id ON CONFLICT DO NOTHING",
        &[&batch.issuer, &ids, &batch.key, &signed(chunk.chunk)],
    )?;
    let other = transaction.query_opt(
        "SELECT i.device_id, b.name FROM identity i JOIN batch b USING (batch) WHERE i.issuer = $1 \
         AND i.device_id = ANY($2) AND i.generation = 0 AND (i.batch, i.chunk) <> ($3, $4) ORDER BY i.device_id LIMIT 1",
        &[&batch.issuer, &ids, &batch.key, &signed(chunk.chunk)],
    )?;
    match other {
        None => Ok(()),
        Some(row) => Err(Failure::Refused(LedgerError::AlreadyIssued {
            device_id: text(&row, 0)?,
            batch: text(&row, 1)?,
        })),
    }
}

/// Identities of a reissue: that which is told, or the one after the last.
fn enter_generations(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: &KnownChunk,
) -> Result<(), Failure> {
    for device in &chunk.devices {
        let id = device.entry.device_id.as_str();
        let own = transaction.query_opt(
            "SELECT 1 FROM identity WHERE issuer = $1 AND device_id = $2 AND batch = $3 AND chunk = $4",
            &[&batch.issuer, &id, &batch.key, &signed(chunk.chunk)],
        )?;
        if own.is_some() {
            continue;
        }
        let told = device.generation.and_then(|told| i32::try_from(told).ok());
        let entered = transaction.execute(
            "INSERT INTO identity SELECT $1, $2, $5, $3, $4 WHERE $5::int IS NOT NULL ON CONFLICT DO NOTHING",
            &[&batch.issuer, &id, &batch.key, &signed(chunk.chunk), &told],
        )?;
        if entered == 0 {
            transaction.execute(
                "INSERT INTO identity SELECT $1, $2, coalesce(max(generation), -1) + 1, $3, $4 FROM identity \
                 WHERE issuer = $1 AND device_id = $2",
                &[&batch.issuer, &id, &batch.key, &signed(chunk.chunk)],
            )?;
        }
    }
    Ok(())
}
