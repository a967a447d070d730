//! The schema: made once, and looked for in a file that is there.

use std::time::Duration;

use rusqlite::Connection;

/// Written into the database, so that nothing else is taken for one (`application_id`): "cfra".
const APPLICATION: i32 = 0x6366_7261;

/// Raised with every change of the schema, and of what a template or policy that is kept must be.
pub(super) const VERSION: i64 = 2;

/// Another process may be writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a file turned out to be.
pub(super) enum Recognized {
    State,
    Stranger,
    Version(i64),
}

pub(super) fn set_up(connection: &mut Connection) -> rusqlite::Result<Recognized> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    } else if application != APPLICATION {
        return Ok(Recognized::Stranger);
    } else if version != VERSION {
        return Ok(Recognized::Version(version));
    }
    transaction.commit()?;
    // A power cut may take the last moments of a rehearsal; it is made again.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(Recognized::State)
}
