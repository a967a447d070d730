//! Rows of table `history`. Hosts add to it one after the other.

use postgres::Row;
use time::OffsetDateTime;

use super::Failure;
use super::read::{corrupt, count, octets, signed, text};
use super::statements::{Reading, Writing};
use crate::ledger::history::{Act, Entry, Head};

const COLUMNS: &str = "number, at, who, version, act, subject, what, hash";

/// Any number that no other program would take for a lock: "certhist".
const LOCK: i64 = 0x6365_7274_6869_7374;

/// Adds acts, in the transaction that does them; the last lock that it takes. `is_again`: they may have been added before.
pub(super) fn append(
    transaction: &mut Writing<'_, '_>,
    acts: Vec<Act>,
    now: OffsetDateTime,
    is_again: bool,
) -> Result<Option<Head>, Failure> {
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    let sql = format!("SELECT {COLUMNS} FROM history ORDER BY number DESC LIMIT 1");
    let last = transaction.query_opt(&sql, &[])?;
    let last = last.as_ref().map(entry).transpose()?;
    let mut head = last.as_ref().map(Entry::head);
    for act in acts {
        let entry = act.after(head, now);
        if let Some(last) = last
            .as_ref()
            .filter(|last| is_again && last.says_the_same(&entry))
        {
            return Ok(Some(last.head()));
        }
        let sql = format!("INSERT INTO history ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
        transaction.execute(
            &sql,
            &[
                &signed(entry.number),
                &entry.at,
                &entry.who,
                &entry.version,
                &entry.act.as_str(),
                &entry.subject,
                &entry.what,
                &&entry.hash[..],
            ],
        )?;
        head = Some(entry.head());
    }
    Ok(head)
}

pub(super) fn read(client: &mut Reading<'_>) -> Result<Vec<Entry>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM history ORDER BY number");
    client.query(&sql, &[])?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry, Failure> {
    let act = text(row, 4)?;
    Ok(Entry {
        number: count(row, 0, "number of an entry")?,
        at: text(row, 1)?,
        who: text(row, 2)?,
        version: text(row, 3)?,
        act: act.parse().map_err(|()| corrupt("act of the history", act))?,
        subject: text(row, 5)?,
        what: text(row, 6)?,
        hash: octets(row, 7, "hash of an entry")?,
    })
}
