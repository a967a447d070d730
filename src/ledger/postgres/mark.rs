//! How far a ledger has come; and batches that were moved.

use postgres::GenericClient;

use super::Failure;
use super::read::number;
use super::statements::Asking;
use crate::ledger::Batch;

pub(super) fn reservations(client: &mut Asking<'_, impl GenericClient>) -> Result<u64, Failure> {
    number(&client.query_one("SELECT count(*) FROM reservation", &[])?, 0)
}

pub(super) fn move_batch(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
    location: &str,
    manifest: &str,
) -> Result<(), Failure> {
    client.execute(
        "UPDATE batch SET location = $2, manifest = $3 WHERE batch = $1",
        &[&batch.key, &location, &manifest],
    )?;
    Ok(())
}
