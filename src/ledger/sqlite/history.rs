//! Rows of table `history`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

use super::Failure;
use super::read::{count, deed};
use crate::ledger::history::{Act, Entry, Head};

/// Adds an act, in the transaction that does it.
pub(super) fn append(transaction: &Transaction<'_>, act: Act, now: OffsetDateTime) -> rusqlite::Result<Head> {
    let entry = act.after(head(transaction)?, now);
    transaction.execute(
        "INSERT INTO history (number, at, who, version, act, subject, what, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            entry.number,
            entry.at,
            entry.who,
            entry.version,
            entry.act.as_str(),
            entry.subject,
            entry.what,
            entry.hash
        ],
    )?;
    Ok(entry.head())
}

/// The same of several.
pub(super) fn append_all(
    transaction: &Transaction<'_>,
    acts: Vec<Act>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    for act in acts {
        append(transaction, act, now)?;
    }
    Ok(())
}

fn head(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT number, hash FROM history ORDER BY number DESC LIMIT 1";
    let head = |row: &Row<'_>| {
        Ok(Head {
            number: count(row, 0, "number of an entry")?,
            hash: row.get(1)?,
        })
    };
    connection.query_row(sql, [], head).optional()
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let sql = "SELECT number, at, who, version, act, subject, what, hash FROM history ORDER BY number";
    let mut statement = connection.prepare(sql)?;
    let entries = statement.query_map([], |row| {
        Ok(Entry {
            number: count(row, 0, "number of an entry")?,
            at: row.get(1)?,
            who: row.get(2)?,
            version: row.get(3)?,
            act: deed(row, 4)?,
            subject: row.get(5)?,
            what: row.get(6)?,
            hash: row.get(7)?,
        })
    })?;
    entries.collect()
}
