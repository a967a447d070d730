//! How far a ledger has come; and batches that were moved.

use rusqlite::{Connection, Transaction, params};

use crate::ledger::Batch;

pub(super) fn reservations(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM reservation", [], |row| row.get(0))
}

pub(super) fn move_batch(
    transaction: &Transaction<'_>,
    batch: &Batch,
    location: &str,
    manifest: &str,
) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE batch SET location = ?2, manifest = ?3 WHERE batch = ?1",
        params![batch.key, location, manifest],
    )?;
    Ok(())
}
