//! Rows of tables `withdrawal` and `revocation`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

use super::read::moment;
use crate::ledger::{Batch, Withdrawal};
use crate::profile::rfc3339;

/// What [`withdrawal`] reads, in its order.
pub(super) const COLUMNS: &str = "withdrawn_at, reason, \
     coalesce((SELECT max(revoked) FROM revocation WHERE revocation.batch = withdrawal.batch), 0)";

/// A withdrawal whose columns begin at `first`.
pub(super) fn withdrawal(row: &Row<'_>, first: usize) -> rusqlite::Result<Withdrawal> {
    Ok(Withdrawal {
        at: moment(row, first)?,
        reason: row.get(first + 1)?,
        revoked: row.get(first + 2)?,
    })
}

/// Returns whether it is withdrawn by that, and was not before.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    reason: &str,
    now: OffsetDateTime,
) -> rusqlite::Result<bool> {
    let inserted = transaction.execute(
        "INSERT INTO withdrawal (batch, withdrawn_at, reason) VALUES (?1, ?2, ?3) \
         ON CONFLICT (batch) DO NOTHING",
        params![batch.key, rfc3339(now), reason],
    )?;
    Ok(inserted > 0)
}

pub(super) fn find(connection: &Connection, batch: &Batch) -> rusqlite::Result<Option<Withdrawal>> {
    let sql = format!("SELECT {COLUMNS} FROM withdrawal WHERE batch = ?1");
    connection
        .query_row(&sql, [batch.key], |row| withdrawal(row, 0))
        .optional()
}

pub(super) fn revoked(connection: &Connection, batch: &Batch, place: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(revoked), 0) FROM revocation WHERE batch = ?1 AND place = ?2";
    connection.query_row(sql, params![batch.key, place], |row| row.get(0))
}

/// Returns whether the batch is withdrawn; otherwise nothing is written.
pub(super) fn set_revoked(
    connection: &Connection,
    batch: &Batch,
    place: &str,
    revoked: u64,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO revocation (batch, place, revoked) \
               SELECT batch, ?2, ?3 FROM withdrawal WHERE batch = ?1 \
               ON CONFLICT (batch, place) DO UPDATE SET revoked = max(revoked, excluded.revoked)";
    Ok(connection.execute(sql, params![batch.key, place, revoked])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Layout;
    use crate::issuer::{CaCertificate, CaRequest, create};
    use crate::ledger::{BatchIdentity, Ledger, SqliteLedger};
    use crate::profile::{Attribute, KeyType, NotAfter};
    use time::Duration;

    const NOON: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    fn issuer(name: &str) -> CaCertificate {
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, name.to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: None,
        };
        create(&request, None, NOON).unwrap().certificate().clone()
    }

    fn begin(ledger: &mut dyn Ledger, name: &str, issuer: &CaCertificate) -> Batch {
        let identity = BatchIdentity {
            name,
            location: "/out",
            issuer,
            manifest: "devices.csv",
            manifest_sha256: [1; 32],
            profile: "aws-iot-p256",
            profile_sha256: [2; 32],
            layout: Layout::Objects,
            rows: 9,
            chunk_rows: 4,
            reissue: false,
        };
        ledger.begin_batch(&identity, NOON).unwrap()
    }

    #[test]
    fn the_first_withdrawal_of_a_batch_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SqliteLedger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let issuer = issuer("factory");
        let batch = begin(&mut ledger, "b", &issuer);
        let other = begin(&mut ledger, "c", &issuer);
        assert_eq!(ledger.withdrawal(&batch).unwrap(), None);
        assert_eq!(ledger.status(Some("b")).unwrap()[0].withdrawn, None);

        let first = ledger.withdraw(&batch, "stolen", NOON).unwrap();
        let expected = Withdrawal {
            at: NOON,
            reason: "stolen".to_owned(),
            revoked: 0,
        };
        assert_eq!(first, expected);
        let again = ledger.withdraw(&batch, "lost", NOON + Duration::HOUR).unwrap();
        assert_eq!(again, expected);
        assert_eq!(ledger.withdrawal(&batch).unwrap(), Some(expected.clone()));
        assert_eq!(ledger.status(Some("b")).unwrap()[0].withdrawn, Some(expected));
        assert_eq!(ledger.withdrawal(&other).unwrap(), None);
        assert_eq!(ledger.status(Some("c")).unwrap()[0].withdrawn, None);
    }

    #[test]
    fn what_is_revoked_never_becomes_fewer() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SqliteLedger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let batch = begin(&mut ledger, "b", &issuer("factory"));
        assert!(
            ledger.set_revoked(&batch, "here", 1).is_err(),
            "nothing is withdrawn that could be revoked"
        );
        ledger.withdraw(&batch, "stolen", NOON).unwrap();
        for (revoked, expected) in [(5, 5), (3, 5), (9, 9)] {
            ledger.set_revoked(&batch, "here", revoked).unwrap();
            assert_eq!(ledger.withdrawal(&batch).unwrap().unwrap().revoked, expected);
        }
        ledger.withdraw(&batch, "stolen", NOON).unwrap();
        assert_eq!(ledger.withdrawal(&batch).unwrap().unwrap().revoked, 9);
    }

    #[test]
    fn a_batch_that_begins_again_under_its_name_stays_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SqliteLedger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let batch = begin(&mut ledger, "b", &issuer("factory"));
        ledger.withdraw(&batch, "stolen", NOON).unwrap();
        // Nothing of it is committed, so the name may stand for something else.
        let batch = begin(&mut ledger, "b", &issuer("another"));
        assert!(ledger.withdrawal(&batch).unwrap().is_some());
    }

    #[test]
    fn an_issuer_has_the_batches_of_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SqliteLedger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let (one, two) = (issuer("one"), issuer("two"));
        begin(&mut ledger, "b", &one);
        begin(&mut ledger, "x", &two);
        begin(&mut ledger, "a", &one);
        assert_eq!(ledger.batches_of(&one).unwrap(), ["b", "a"]);
        assert_eq!(ledger.batches_of(&two).unwrap(), ["x"]);
        assert!(ledger.batches_of(&issuer("three")).unwrap().is_empty());
    }
}
