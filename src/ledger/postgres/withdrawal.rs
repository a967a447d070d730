//! Rows of tables `withdrawal` and `revocation`.

use postgres::{GenericClient, Row};
use time::OffsetDateTime;

use super::Failure;
use super::read::{number, second, signed, text};
use super::statements::Asking;
use crate::ledger::{Batch, Withdrawal};

/// What [`withdrawal`] reads, in its order.
pub(super) const COLUMNS: &str = "withdrawn_at, reason, \
     coalesce((SELECT max(revoked) FROM revocation WHERE revocation.batch = withdrawal.batch), 0)";

/// A withdrawal whose columns begin at `first`.
pub(super) fn withdrawal(row: &Row, first: usize) -> Result<Withdrawal, Failure> {
    Ok(Withdrawal {
        at: row.try_get(first)?,
        reason: text(row, first + 1)?,
        revoked: number(row, first + 2)?,
    })
}

/// Returns whether it is withdrawn by that, and was not before.
pub(super) fn insert(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
    reason: &str,
    now: OffsetDateTime,
) -> Result<bool, Failure> {
    let inserted = client.execute(
        "INSERT INTO withdrawal VALUES ($1, $2, $3) ON CONFLICT (batch) DO NOTHING",
        &[&batch.key, &second(now), &reason],
    )?;
    Ok(inserted > 0)
}

pub(super) fn find(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
) -> Result<Option<Withdrawal>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM withdrawal WHERE batch = $1");
    let row = client.query_opt(&sql, &[&batch.key])?;
    row.map(|row| withdrawal(&row, 0)).transpose()
}

pub(super) fn revoked(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
    place: &str,
) -> Result<u64, Failure> {
    let sql = "SELECT coalesce(max(revoked), 0) FROM revocation WHERE batch = $1 AND place = $2";
    number(&client.query_one(sql, &[&batch.key, &place])?, 0)
}

/// Returns whether the batch is withdrawn; otherwise nothing is written.
pub(super) fn set_revoked(
    client: &mut Asking<'_, impl GenericClient>,
    batch: &Batch,
    place: &str,
    revoked: u64,
) -> Result<bool, Failure> {
    let sql = "INSERT INTO revocation SELECT batch, $2, $3 FROM withdrawal WHERE batch = $1 \
               ON CONFLICT (batch, place) DO UPDATE SET revoked = greatest(revocation.revoked, excluded.revoked)";
    Ok(client.execute(sql, &[&batch.key, &place, &signed(revoked)])? > 0)
}
