//! Certificates one by one: rows of table `device` with what became of them, and of tables `revoked` and `crl`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

use super::device::{entry, key};
use super::read::{code, moment};
use crate::issuer::{CaCertificate, RevocationCode, RevokedCertificate};
use crate::ledger::{Issued, Selection};
use crate::profile::rfc3339;

/// What [`issued`] reads, in its order; the columns of an entry first.
const ISSUED: &str = "SELECT d.device_id, d.certificate_id, d.certificate_serial, d.not_after, d.offset, d.length, d.sha256, \
     b.name, d.row, w.withdrawn_at, r.revoked_at, \
     EXISTS (SELECT 1 FROM device l WHERE l.issuer = d.issuer AND l.device_id = d.device_id AND l.generation > d.generation) \
     FROM device d JOIN batch b ON b.batch = d.batch LEFT JOIN withdrawal w ON w.batch = d.batch \
     LEFT JOIN revoked r ON r.batch = d.batch AND r.row = d.row";

fn issued(row: &Row<'_>) -> rusqlite::Result<Issued> {
    let maybe = |column| match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => moment(row, column).map(Some),
    };
    Ok(Issued {
        entry: entry(row)?,
        batch: row.get(7)?,
        row: row.get(8)?,
        withdrawn: maybe(9)?,
        revoked: maybe(10)?,
        superseded: row.get(11)?,
    })
}

/// Hands on what is selected, as long as `each` wants more.
pub(super) fn select(
    connection: &Connection,
    selection: Selection<'_>,
    each: &mut dyn FnMut(Issued) -> bool,
) -> rusqlite::Result<()> {
    match selection {
        Selection::Devices(ids) => {
            // The index begins with the issuer, of whom there are few.
            let mut statement = connection.prepare_cached(&format!(
                "{ISSUED} WHERE d.issuer IN (SELECT issuer FROM issuer) AND d.device_id = ?1 ORDER BY d.batch, d.row"
            ))?;
            for id in ids {
                let mut rows = statement.query([id])?;
                while let Some(row) = rows.next()? {
                    if !each(issued(row)?) {
                        return Ok(());
                    }
                }
            }
        }
        Selection::Certificates(ids) => {
            let mut statement = connection.prepare_cached(&format!("{ISSUED} ORDER BY d.batch, d.row"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let id: [u8; 32] = row.get(1)?;
                if ids.contains(&id) && !each(issued(row)?) {
                    return Ok(());
                }
            }
        }
        Selection::EndingBefore(time) => {
            let mut statement = connection.prepare_cached(&format!(
                "{ISSUED} WHERE d.not_after < ?1 ORDER BY d.batch, d.row"
            ))?;
            let mut rows = statement.query([time])?;
            while let Some(row) = rows.next()? {
                if !each(issued(row)?) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Notes that certificates are revoked. One that was noted before keeps its time and its reason.
pub(super) fn revoke(
    transaction: &Transaction<'_>,
    certificates: &[Issued],
    (code, reason): (RevocationCode, &str),
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO revoked (batch, row, revoked_at, reason, code) \
         SELECT batch, ?2, ?3, ?4, ?5 FROM batch WHERE name = ?1 ON CONFLICT (batch, row) DO NOTHING",
    )?;
    for certificate in certificates {
        insert.execute(params![
            certificate.batch,
            certificate.row,
            rfc3339(now),
            reason,
            code.number()
        ])?;
    }
    Ok(())
}

/// All that a list of the issuer is to name, in the order in which it was issued.
pub(super) fn revoked_of(
    connection: &Connection,
    issuer: &CaCertificate,
    with_superseded: bool,
) -> rusqlite::Result<Vec<RevokedCertificate>> {
    let Some(issuer) = key(connection, issuer)? else {
        return Ok(Vec::new());
    };
    // Why, and since when: by itself, with its batch, by a later one.
    let mut statement = connection.prepare_cached(
        "SELECT d.certificate_serial, coalesce(r.revoked_at, w.withdrawn_at, l.created_at), \
         CASE WHEN r.code IS NOT NULL THEN r.code WHEN w.withdrawn_at IS NOT NULL THEN ?3 ELSE ?4 END \
         FROM device d \
         LEFT JOIN withdrawal w ON w.batch = d.batch \
         LEFT JOIN revoked r ON r.batch = d.batch AND r.row = d.row \
         LEFT JOIN device n ON ?2 AND n.issuer = d.issuer AND n.device_id = d.device_id \
             AND n.generation = d.generation + 1 \
         LEFT JOIN batch l ON l.batch = n.batch \
         WHERE d.issuer = ?1 AND (r.revoked_at IS NOT NULL OR w.withdrawn_at IS NOT NULL OR l.created_at IS NOT NULL) \
         ORDER BY d.batch, d.row",
    )?;
    let rows = statement.query_map(
        params![
            issuer,
            with_superseded,
            RevocationCode::PrivilegeWithdrawn.number(),
            RevocationCode::Superseded.number()
        ],
        |row| {
            Ok(RevokedCertificate {
                serial: row.get(0)?,
                at: moment(row, 1)?,
                code: code(row, 2)?,
            })
        },
    )?;
    rows.collect()
}

/// Takes the next number for a list, which is higher than all before, and than `above`.
pub(super) fn next_crl(
    transaction: &Transaction<'_>,
    issuer: &CaCertificate,
    above: u64,
    now: OffsetDateTime,
) -> rusqlite::Result<Option<u64>> {
    let Some(issuer) = key(transaction, issuer)? else {
        return Ok(None);
    };
    let last: Option<u64> = transaction
        .query_row("SELECT number FROM crl WHERE issuer = ?1", [issuer], |row| {
            row.get(0)
        })
        .optional()?;
    let number = last.unwrap_or(0).max(above).saturating_add(1);
    transaction.execute(
        "INSERT INTO crl (issuer, number, made_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, made_at = excluded.made_at",
        params![issuer, number, rfc3339(now)],
    )?;
    Ok(Some(number))
}
