//! Certificates one by one: what the entries of chunks say, with what became of them, and tables `revoked` and `crl`.

use std::collections::{BTreeMap, BTreeSet};

use postgres::GenericClient;
use time::OffsetDateTime;

use super::Failure;
use super::chunk::entries_of;
use super::identity::key;
use super::read::{code, number, second, signed, text};
use super::statements::Asking;
use crate::batch::IndexEntry;
use crate::issuer::{CaCertificate, RevocationCode, RevokedCertificate};
use crate::ledger::{Issued, Selection};

/// A chunk that is committed.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    batch: i64,
    name: String,
    issuer: i64,
    number: u64,
    first_row: u64,
    withdrawn: Option<OffsetDateTime>,
}

const CHUNKS: &str = "SELECT c.batch, b.name, b.issuer, c.chunk, c.chunk * b.chunk_rows, w.withdrawn_at \
     FROM committed c JOIN batch b ON b.batch = c.batch LEFT JOIN withdrawal w ON w.batch = c.batch";

/// The chunks in which something may be that is selected, in the order in which they are read; for a device, its own.
pub(super) fn chunks(
    client: &mut Asking<'_, impl GenericClient>,
    selection: Selection<'_>,
) -> Result<Vec<(Option<String>, Chunk)>, Failure> {
    let order = "ORDER BY c.batch, c.chunk";
    let (of, rows) = match selection {
        Selection::Devices(ids) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let sql = format!(
                "SELECT c.*, i.device_id FROM ({CHUNKS}) c (batch, name, issuer, chunk, first, withdrawn) \
                 JOIN identity i ON i.batch = c.batch AND i.chunk = c.chunk \
                 WHERE i.issuer IN (SELECT issuer FROM issuer) AND i.device_id = ANY($1) ORDER BY i.device_id, c.batch, c.chunk"
            );
            (true, client.query(&sql, &[&ids])?)
        }
        Selection::Certificates(_) => (false, client.query(&format!("{CHUNKS} {order}"), &[])?),
        Selection::EndingBefore(time) => {
            let sql = format!("{CHUNKS} WHERE c.earliest < $1 {order}");
            (false, client.query(&sql, &[&time])?)
        }
    };
    let chunk = |row: &postgres::Row| {
        let device = of.then(|| text(row, 6)).transpose()?;
        let chunk = Chunk {
            batch: row.try_get(0)?,
            name: text(row, 1)?,
            issuer: row.try_get(2)?,
            number: number(row, 3)?,
            first_row: number(row, 4)?,
            withdrawn: row.try_get(5)?,
        };
        Ok((device, chunk))
    };
    rows.iter().map(chunk).collect()
}

/// The certificates of a chunk, in row order.
pub(super) fn of_chunk(
    client: &mut Asking<'_, impl GenericClient>,
    chunk: &Chunk,
) -> Result<Vec<Issued>, Failure> {
    let entries = entries_of(client, chunk.batch, chunk.number)?;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.device_id.as_str()).collect();
    let superseded: BTreeSet<String> = client
        .query(
            "SELECT i.device_id FROM identity i WHERE i.issuer = $1 AND i.device_id = ANY($2) AND i.batch = $3 AND i.chunk = $4 \
             AND EXISTS (SELECT 1 FROM identity l JOIN committed c ON c.batch = l.batch AND c.chunk = l.chunk \
               WHERE l.issuer = i.issuer AND l.device_id = i.device_id AND l.generation > i.generation)",
            &[&chunk.issuer, &ids, &chunk.batch, &signed(chunk.number)],
        )?
        .iter()
        .map(|row| text(row, 0))
        .collect::<Result<_, _>>()?;
    let end = chunk.first_row + entries.len() as u64;
    let mut revoked = BTreeMap::new();
    for row in &client.query(
        "SELECT row, revoked_at FROM revoked WHERE batch = $1 AND row >= $2 AND row < $3",
        &[&chunk.batch, &signed(chunk.first_row), &signed(end)],
    )? {
        revoked.insert(number(row, 0)?, row.try_get::<_, OffsetDateTime>(1)?);
    }
    let issued = (chunk.first_row..).zip(entries).map(|(row, entry)| Issued {
        superseded: superseded.contains(entry.device_id.as_str()),
        batch: chunk.name.clone(),
        row,
        withdrawn: chunk.withdrawn,
        revoked: revoked.get(&row).copied(),
        entry,
    });
    Ok(issued.collect())
}

/// Notes that certificates are revoked. One that was noted before keeps its time and its reason.
pub(super) fn revoke(
    client: &mut Asking<'_, impl GenericClient>,
    certificates: &[Issued],
    (code, reason): (RevocationCode, &str),
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let names: Vec<&str> = certificates.iter().map(|issued| issued.batch.as_str()).collect();
    let rows: Vec<i64> = certificates.iter().map(|issued| signed(issued.row)).collect();
    client.execute(
        "INSERT INTO revoked SELECT batch, r.row, $3, $4, $5 FROM unnest($1::text[], $2::bigint[]) AS r (name, row) \
         JOIN batch USING (name) ON CONFLICT (batch, row) DO NOTHING",
        &[&names, &rows, &second(now), &reason, &i64::from(code.number())],
    )?;
    Ok(())
}

/// All that a list of the issuer is to name, in the order in which it was issued.
pub(super) fn revoked_of(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
    with_superseded: bool,
) -> Result<Vec<RevokedCertificate>, Failure> {
    let Some(issuer) = key(client, issuer)? else {
        return Ok(Vec::new());
    };
    // Chunks in which there may be one: of a batch that is withdrawn, with one that is revoked by itself, or with a device
    // that has a later one.
    let sql = format!(
        "SELECT q.* FROM ({CHUNKS}) q (batch, name, issuer, chunk, first, withdrawn) JOIN batch b ON b.batch = q.batch \
         WHERE q.issuer = $1 AND (q.withdrawn IS NOT NULL \
           OR EXISTS (SELECT 1 FROM revoked r WHERE r.batch = q.batch AND r.row >= q.first AND r.row < q.first + b.chunk_rows) \
           OR (q.batch, q.chunk) IN (SELECT i.batch, i.chunk FROM identity i JOIN identity l USING (issuer, device_id) \
               WHERE $2 AND i.issuer = $1 AND l.generation > i.generation)) \
         ORDER BY q.batch, q.chunk"
    );
    let mut revoked = Vec::new();
    let rows = client.query(&sql, &[&issuer, &with_superseded])?;
    for row in &rows {
        let (batch, chunk, first) = (row.try_get(0)?, number(row, 3)?, number(row, 4)?);
        let withdrawn: Option<OffsetDateTime> = row.try_get(5)?;
        let own = own_reasons(client, batch, first)?;
        let entries = entries_of(client, batch, chunk)?;
        let later = match with_superseded {
            true => later(client, issuer, (batch, chunk), &entries)?,
            false => BTreeMap::new(),
        };
        for (row, entry) in (first..).zip(entries) {
            // Why, and since when: by itself, with its batch, by a later one.
            let found = own
                .get(&row)
                .copied()
                .or(withdrawn.map(|at| (at, RevocationCode::PrivilegeWithdrawn)))
                .or_else(|| {
                    let at = later.get(entry.device_id.as_str())?;
                    Some((*at, RevocationCode::Superseded))
                });
            if let Some((at, code)) = found {
                revoked.push(RevokedCertificate {
                    serial: *entry.certificate_serial.octets(),
                    at,
                    code,
                });
            }
        }
    }
    Ok(revoked)
}

fn own_reasons(
    client: &mut Asking<'_, impl GenericClient>,
    batch: i64,
    first: u64,
) -> Result<BTreeMap<u64, (OffsetDateTime, RevocationCode)>, Failure> {
    let mut own = BTreeMap::new();
    for row in &client.query(
        "SELECT r.row, r.revoked_at, r.code FROM revoked r JOIN batch b USING (batch) \
         WHERE r.batch = $1 AND r.row >= $2 AND r.row < $2 + b.chunk_rows",
        &[&batch, &signed(first)],
    )? {
        own.insert(number(row, 0)?, (row.try_get(1)?, code(row.try_get(2)?)?));
    }
    Ok(own)
}

/// Since when the devices of a chunk have a later certificate.
fn later(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: i64,
    (batch, chunk): (i64, u64),
    entries: &[IndexEntry],
) -> Result<BTreeMap<String, OffsetDateTime>, Failure> {
    let ids: Vec<&str> = entries.iter().map(|entry| entry.device_id.as_str()).collect();
    let mut later = BTreeMap::new();
    for row in &client.query(
        "SELECT DISTINCT ON (i.device_id) i.device_id, b.created_at FROM identity i \
         JOIN identity l ON l.issuer = i.issuer AND l.device_id = i.device_id AND l.generation > i.generation \
         JOIN committed c ON c.batch = l.batch AND c.chunk = l.chunk JOIN batch b ON b.batch = l.batch \
         WHERE i.issuer = $1 AND i.device_id = ANY($4) AND i.batch = $2 AND i.chunk = $3 \
         ORDER BY i.device_id, l.generation",
        &[&issuer, &batch, &signed(chunk), &ids],
    )? {
        later.insert(text(row, 0)?, row.try_get(1)?);
    }
    Ok(later)
}

/// Takes the next number for a list, which is higher than all before, and than `above`. A number that was taken and not
/// used is no harm.
pub(super) fn next_crl(
    client: &mut Asking<'_, impl GenericClient>,
    issuer: &CaCertificate,
    above: u64,
    now: OffsetDateTime,
) -> Result<Option<u64>, Failure> {
    let Some(issuer) = key(client, issuer)? else {
        return Ok(None);
    };
    let row = client.query_one(
        "INSERT INTO crl VALUES ($1, $2 + 1, $3) ON CONFLICT (issuer) \
         DO UPDATE SET number = greatest(crl.number, $2) + 1, made_at = excluded.made_at RETURNING number",
        &[&issuer, &signed(above), &second(now)],
    )?;
    number(&row, 0).map(Some)
}
