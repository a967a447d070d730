//! The schema `certforge` in a database: made once, and brought up to date when an older ledger is opened.

use data_encoding::HEXLOWER;
use postgres::Client;

use super::Failure;
use super::read::text;
use crate::ledger::LedgerError;

/// Raised with every change of the schema.
const VERSION: i64 = 1;

/// PostgreSQL 13, as it counts them.
const OLDEST_SERVER: i32 = 130_000;

/// Any number that no other program would take for a lock: "certforg".
const LOCK: i64 = 0x6365_7274_666f_7267;

/// Finds the ledger, or makes one when there may be a new one. Returns its id.
pub(super) fn settle(
    client: &mut Client,
    location: &str,
    new_id: Option<[u8; 16]>,
) -> Result<String, Failure> {
    let location = || location.to_owned();
    let server: String = client.query_one("SHOW server_version_num", &[])?.get(0);
    let server: i32 = server.parse().unwrap_or(0);
    if server < OLDEST_SERVER {
        return Err(Failure::Refused(LedgerError::ServerTooOld {
            location: location(),
            found: server / 10_000,
        }));
    }
    let mut transaction = client.transaction()?;
    // One of those that come at the same time makes it, and the others find it.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    let (has_schema, has_meta): (bool, bool) = {
        let row = transaction.query_one(
            "SELECT to_regnamespace('certforge') IS NOT NULL, to_regclass('certforge.meta') IS NOT NULL",
            &[],
        )?;
        (row.get(0), row.get(1))
    };
    if !has_meta {
        let Some(new_id) = new_id else {
            return Err(Failure::Refused(LedgerError::Missing { location: location() }));
        };
        if has_schema && !is_empty(&mut transaction)? {
            return Err(Failure::Refused(LedgerError::Foreign { location: location() }));
        }
        if !has_schema {
            transaction.batch_execute("CREATE SCHEMA certforge")?;
        }
        transaction.batch_execute(include_str!("schema.sql"))?;
        let id = HEXLOWER.encode(&new_id);
        transaction.execute("INSERT INTO meta VALUES ($1, $2)", &[&id, &VERSION])?;
        transaction.commit()?;
        return Ok(id);
    }
    let rows = transaction.query("SELECT ledger_id, version FROM meta", &[])?;
    let foreign = || Failure::Refused(LedgerError::Foreign { location: location() });
    let [row] = rows.as_slice() else {
        return Err(foreign());
    };
    let id = text(row, 0)?;
    match row.try_get(1)? {
        VERSION if id.len() == 32 => Ok(id),
        VERSION => Err(foreign()),
        found => Err(Failure::Refused(LedgerError::Version {
            location: location(),
            found,
            known: VERSION,
        })),
    }
}

/// An administrator may make the schema and give it to the user who makes the tables.
fn is_empty(transaction: &mut postgres::Transaction<'_>) -> Result<bool, postgres::Error> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('certforge'))";
    Ok(transaction.query_one(sql, &[])?.get(0))
}
