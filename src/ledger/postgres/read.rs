//! What a column may hold: more than its type says, since others may write to a database.

use postgres::Row;
use time::OffsetDateTime;

use super::Failure;
use crate::batch::Layout;
use crate::certificate::SerialPrefix;
use crate::issuer::RevocationCode;
use crate::ledger::LedgerError;
use crate::ledger::error::Malformed;

/// A value that no certforge writes.
pub(super) fn corrupt(what: &'static str, found: String) -> Failure {
    Failure::Refused(LedgerError::Corrupt {
        // The session puts the ledger's name here.
        location: String::new(),
        source: Malformed { what, found }.into(),
    })
}

pub(super) fn text(row: &Row, column: usize) -> Result<String, Failure> {
    Ok(row.try_get(column)?)
}

pub(super) fn layout(row: &Row, column: usize) -> Result<Layout, Failure> {
    let found = text(row, column)?;
    found.parse().map_err(|_| corrupt("layout", found))
}

/// A number of things.
pub(super) fn number(row: &Row, column: usize) -> Result<u64, Failure> {
    let found: i64 = row.try_get(column)?;
    u64::try_from(found).map_err(|_| corrupt("number", found.to_string()))
}

/// A number of things of which there is at least one.
pub(super) fn count(row: &Row, column: usize, what: &'static str) -> Result<u64, Failure> {
    match row.try_get::<_, i64>(column)? {
        found if found > 0 => Ok(found.unsigned_abs()),
        found => Err(corrupt(what, found.to_string())),
    }
}

pub(super) fn octets<const N: usize>(
    row: &Row,
    column: usize,
    what: &'static str,
) -> Result<[u8; N], Failure> {
    let found: &[u8] = row.try_get(column)?;
    found
        .try_into()
        .map_err(|_| corrupt(what, format!("{} octets", found.len())))
}

pub(super) fn prefix(row: &Row, column: usize) -> Result<SerialPrefix, Failure> {
    let found = octets(row, column, "prefix of serials")?;
    SerialPrefix::from_octets(found).ok_or_else(|| corrupt("prefix of serials", format!("{found:02x?}")))
}

pub(super) fn code(found: i64) -> Result<RevocationCode, Failure> {
    RevocationCode::of(found).ok_or_else(|| corrupt("reason of a revocation", found.to_string()))
}

/// A time, as the ledger keeps it: to the second.
pub(super) fn second(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

/// A number as the database has them. None of ours is as large as it could be.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
