//! Rows of table `identity`: whose each device id is. Its primary key is what makes ids unique, whoever comes at the same
//! instant.

use std::collections::BTreeMap;

use postgres::GenericClient;
use postgres::error::SqlState;

use super::Failure;
use super::read::{corrupt, number, signed, text};
use super::statements::{Asking, Writing};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, LedgerError, Taken};
use crate::profile::rfc3339;

/// So many ids are named when a claim is refused.
const NAMED: usize = 10;

/// Makes the ids of chunks theirs, or says whose they are. Ids of chunks that nobody has in hand any more, and that were
/// never committed, change hands: whoever had them cannot commit without a claim of his own.
pub(super) fn claim(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunks: &[(u64, Vec<&str>)],
) -> Result<(), Failure> {
    // Most claims meet nobody. Those of a reissue do, and have to find the next generation.
    if !batch.reissue {
        match transaction.within(|savepoint| insert(savepoint, batch, chunks)) {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Those who have to look take turns, so that nobody waits for another who waits for him.
    transaction.execute(
        "SELECT pg_advisory_xact_lock(hashtext('certforge'), $1::bigint::int)",
        &[&batch.issuer],
    )?;
    for (chunk, ids) in chunks {
        claim_one_by_one(transaction, batch, *chunk, ids)?;
    }
    Ok(())
}

/// Enters ids that nobody has, in one statement. Not by COPY: a host that is stopped in the midst of one holds its locks until it
/// goes on, and in all else the server ends its session.
fn insert(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunks: &[(u64, Vec<&str>)],
) -> Result<(), postgres::Error> {
    let (mut ids, mut numbers): (Vec<&str>, Vec<i64>) = Default::default();
    for (chunk, of_chunk) in chunks {
        ids.extend(of_chunk);
        numbers.resize(ids.len(), signed(*chunk));
    }
    transaction.execute(
        "INSERT INTO identity SELECT $1, id, 0, $2, chunk FROM unnest($3::text[], $4::bigint[]) AS f (id, chunk)",
        &[&batch.issuer, &batch.key, &ids, &numbers],
    )?;
    Ok(())
}

/// Whose an id is.
struct Owner {
    batch: i64,
    chunk: u64,
    is_committed: bool,
    is_at_work: bool,
}

fn claim_one_by_one(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    chunk: u64,
    ids: &[&str],
) -> Result<(), Failure> {
    let (owners, last) = owners(transaction, batch, ids)?;
    let mut refused = Vec::new();
    let (mut fresh, mut stolen): (Vec<(&str, i32)>, Vec<&str>) = (Vec::new(), Vec::new());
    for id in ids {
        let of = owners.get(*id).map_or(&[][..], Vec::as_slice);
        if of
            .iter()
            .any(|owner| owner.batch == batch.key && owner.chunk == chunk)
        {
            continue;
        }
        let next = last.get(*id).map_or(0, |last| last + 1);
        if batch.reissue || of.is_empty() {
            fresh.push((id, next));
        } else if let Some(owner) = of.iter().find(|owner| owner.is_committed || owner.is_at_work) {
            refused.push((*id, owner.batch, owner.is_committed));
        } else {
            stolen.push(id);
        }
    }
    if let Some((first, owner, is_committed)) = refused.first().copied() {
        return Err(Failure::Refused(refusal(
            transaction,
            owner,
            first,
            is_committed,
            &refused,
        )?));
    }
    if !stolen.is_empty() {
        give_up_claims(transaction, batch.issuer, &stolen)?;
        // From here on their chunks cannot be committed. One that was until now keeps its ids.
        let (now, _) = self::owners(transaction, batch, &stolen)?;
        let mut kept = Vec::new();
        for id in &stolen {
            let of = now.get(*id).map_or(&[][..], Vec::as_slice);
            kept.extend(
                of.iter()
                    .find(|owner| owner.is_committed)
                    .map(|owner| (*id, owner.batch, true)),
            );
        }
        if let Some((first, owner, _)) = kept.first().copied() {
            return Err(Failure::Refused(refusal(transaction, owner, first, true, &kept)?));
        }
        // With all the generations that were begun and not committed.
        transaction.execute(
            "DELETE FROM identity WHERE issuer = $1 AND device_id = ANY($2)",
            &[&batch.issuer, &stolen],
        )?;
        fresh.extend(stolen.iter().map(|id| (*id, 0)));
    }
    let (ids, generations): (Vec<&str>, Vec<i32>) = fresh.into_iter().unzip();
    transaction.execute(
        "INSERT INTO identity SELECT $1, id, generation, $4, $5 FROM unnest($2::text[], $3::int[]) AS f (id, generation) ORDER BY id",
        &[&batch.issuer, &ids, &generations, &batch.key, &signed(chunk)],
    )?;
    Ok(())
}

type Owners = BTreeMap<String, Vec<Owner>>;

/// Who has the ids, and the last generation of each.
fn owners(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    ids: &[&str],
) -> Result<(Owners, BTreeMap<String, i32>), Failure> {
    let rows = transaction.query(
        "SELECT i.device_id, i.batch, i.chunk, i.generation, c.chunk IS NOT NULL, \
           coalesce(l.claimed AND l.until > clock_timestamp(), FALSE) \
         FROM identity i LEFT JOIN committed c ON c.batch = i.batch AND c.chunk = i.chunk \
         LEFT JOIN lease l ON l.batch = i.batch AND l.chunk = i.chunk \
         WHERE i.issuer = $1 AND i.device_id = ANY($2)",
        &[&batch.issuer, &ids],
    )?;
    let (mut owners, mut last): (Owners, BTreeMap<String, i32>) = Default::default();
    for row in &rows {
        let id = text(row, 0)?;
        let generation: i32 = row.try_get(3)?;
        let highest = last.entry(id.clone()).or_insert(generation);
        *highest = generation.max(*highest);
        owners.entry(id).or_default().push(Owner {
            batch: row.try_get(1)?,
            chunk: number(row, 2)?,
            is_committed: row.try_get(4)?,
            is_at_work: row.try_get(5)?,
        });
    }
    Ok((owners, last))
}

/// Takes the claim from the chunks that have some of the ids: they have to claim anew before they are committed.
fn give_up_claims(transaction: &mut Writing<'_, '_>, issuer: i64, ids: &[&str]) -> Result<(), Failure> {
    transaction.execute(
        "UPDATE lease SET claimed = FALSE, until = '-infinity' FROM identity i \
         WHERE i.issuer = $1 AND i.device_id = ANY($2) AND lease.batch = i.batch AND lease.chunk = i.chunk",
        &[&issuer, &ids],
    )?;
    Ok(())
}

fn refusal(
    transaction: &mut Writing<'_, '_>,
    owner: i64,
    first: &str,
    is_committed: bool,
    refused: &[(&str, i64, bool)],
) -> Result<LedgerError, Failure> {
    let row = transaction.query_opt(
        "SELECT name, location, coalesce(r.host, ''), coalesce(r.begun_at, created_at) FROM batch \
         LEFT JOIN LATERAL (SELECT host, begun_at FROM run WHERE run.batch = batch.batch ORDER BY run LIMIT 1) r ON TRUE \
         WHERE batch.batch = $1",
        &[&owner],
    )?;
    let row = row.ok_or_else(|| corrupt("batch of a device", owner.to_string()))?;
    let batch = text(&row, 0)?;
    let others = refused.iter().skip(1).filter(|(_, of, _)| *of == owner);
    let ids: Vec<String> = others.map(|(id, ..)| (*id).to_owned()).collect();
    if is_committed && ids.is_empty() {
        return Ok(LedgerError::AlreadyIssued {
            device_id: first.to_owned(),
            batch,
        });
    }
    let host = text(&row, 2)?;
    Ok(LedgerError::Taken(Box::new(Taken {
        devices: 1 + ids.len() as u64,
        device_ids: std::iter::once(first.to_owned())
            .chain(ids.into_iter().take(NAMED - 1))
            .collect(),
        batch,
        location: text(&row, 1)?,
        is_issued: is_committed,
        host: (!host.is_empty()).then_some(host),
        since: rfc3339(row.try_get(3)?),
    })))
}

pub(super) fn has_any(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
    device_ids: &[&str],
) -> Result<bool, Failure> {
    let Some(issuer) = key(client, issuer)? else {
        return Ok(false);
    };
    let row = client.query_one(
        "SELECT EXISTS (SELECT 1 FROM identity i JOIN committed c ON c.batch = i.batch AND c.chunk = i.chunk \
         WHERE i.issuer = $1 AND i.device_id = ANY($2))",
        &[&issuer, &device_ids],
    )?;
    Ok(row.try_get(0)?)
}

/// For each device, a batch of another name in which the issuer issued it.
pub(super) fn issued_in(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
    device_ids: &[&str],
    other_than: &str,
) -> Result<Vec<Option<String>>, Failure> {
    let Some(issuer) = key(client, issuer)? else {
        return Ok(vec![None; device_ids.len()]);
    };
    let rows = client.query(
        "SELECT DISTINCT ON (i.device_id) i.device_id, b.name \
         FROM identity i JOIN committed c ON c.batch = i.batch AND c.chunk = i.chunk JOIN batch b ON b.batch = i.batch \
         WHERE i.issuer = $1 AND i.device_id = ANY($2) AND b.name <> $3 ORDER BY i.device_id, i.generation",
        &[&issuer, &device_ids, &other_than],
    )?;
    let mut found = BTreeMap::new();
    for row in &rows {
        found.insert(text(row, 0)?, text(row, 1)?);
    }
    Ok(device_ids.iter().map(|id| found.get(*id).cloned()).collect())
}

pub(super) fn key(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
) -> Result<Option<i64>, Failure> {
    let row = client.query_opt(
        "SELECT issuer FROM issuer WHERE key_id = $1",
        &[&&sha256(issuer.public_key())[..]],
    )?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}
