//! Withdrawals: a batch that is withdrawn must never come up, and stays withdrawn.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Batch, Ledger, LedgerError};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::profile::rfc3339;

/// That a batch was withdrawn, and how far its certificates are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawal {
    #[serde(rename = "withdrawn_at", with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub reason: String,
    /// So many of its certificates, in manifest order from the first, are known to be revoked at AWS, in the
    /// account and Region where most are.
    pub revoked: u64,
}

/// What [`withdrawal`] reads, in its order.
pub(super) const COLUMNS: &str = "withdrawn_at, reason, \
     coalesce((SELECT max(revoked) FROM revocation WHERE revocation.batch = withdrawal.batch), 0)";

/// A withdrawal whose columns begin at `first`.
pub(super) fn withdrawal(row: &Row<'_>, first: usize) -> rusqlite::Result<Withdrawal> {
    let at: String = row.get(first)?;
    let at = OffsetDateTime::parse(&at, &Rfc3339)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(first, Type::Text, error.into()))?;
    Ok(Withdrawal {
        at,
        reason: row.get(first + 1)?,
        revoked: row.get(first + 2)?,
    })
}

impl Ledger {
    /// Withdraws a batch; durable when it returns. One that was withdrawn before keeps its time and its
    /// reason.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    pub fn withdraw(
        &mut self,
        batch: &Batch,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<Withdrawal, LedgerError> {
        let write = || {
            self.connection.execute(
                "INSERT INTO withdrawal (batch, withdrawn_at, reason) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (batch) DO NOTHING",
                params![batch.key, rfc3339(now), reason],
            )?;
            let sql = format!("SELECT {COLUMNS} FROM withdrawal WHERE batch = ?1");
            self.connection
                .query_row(&sql, [batch.key], |row| withdrawal(row, 0))
        };
        write().map_err(|e| self.sqlite(e))
    }

    /// Whether a batch is withdrawn, and why.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn withdrawal(&self, batch: &Batch) -> Result<Option<Withdrawal>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM withdrawal WHERE batch = ?1");
        self.connection
            .query_row(&sql, [batch.key], |row| withdrawal(row, 0))
            .optional()
            .map_err(|e| self.sqlite(e))
    }

    /// How many certificates of a batch are revoked in an account and Region.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn revoked(&self, batch: &Batch, place: &str) -> Result<u64, LedgerError> {
        let sql = "SELECT revoked FROM revocation WHERE batch = ?1 AND place = ?2";
        let found = self
            .connection
            .query_row(sql, params![batch.key, place], |row| row.get(0));
        let found = found.optional().map_err(|e| self.sqlite(e))?;
        Ok(found.unwrap_or(0))
    }

    /// Records how many certificates of a withdrawn batch, in manifest order from the first, are revoked in an
    /// account and Region. It never becomes fewer. Durable when it returns.
    ///
    /// # Errors
    ///
    /// When the batch is not withdrawn, or the ledger cannot be written.
    pub fn set_revoked(&mut self, batch: &Batch, place: &str, revoked: u64) -> Result<(), LedgerError> {
        let sql = "INSERT INTO revocation (batch, place, revoked) \
                   SELECT batch, ?2, ?3 FROM withdrawal WHERE batch = ?1 \
                   ON CONFLICT (batch, place) DO UPDATE SET revoked = max(revoked, excluded.revoked)";
        let written = self.connection.execute(sql, params![batch.key, place, revoked]);
        match written {
            Ok(0) => Err(self.sqlite(rusqlite::Error::StatementChangedRows(0))),
            Ok(_) => Ok(()),
            Err(error) => Err(self.sqlite(error)),
        }
    }

    /// Names of the batches that were begun with an issuer's key, oldest first.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn batches_of(&self, issuer: &CaCertificate) -> Result<Vec<String>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self.connection.prepare(
                "SELECT name FROM batch JOIN issuer USING (issuer) WHERE key_id = ?1 ORDER BY batch",
            )?;
            let rows = statement.query_map([sha256(issuer.public_key())], |row| row.get(0))?;
            rows.collect()
        };
        read().map_err(|e| self.sqlite(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Layout;
    use crate::issuer::{CaRequest, create};
    use crate::ledger::BatchIdentity;
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

    fn begin(ledger: &mut Ledger, name: &str, issuer: &CaCertificate) -> Batch {
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
        let mut ledger = Ledger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
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
        let mut ledger = Ledger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
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
        let mut ledger = Ledger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let batch = begin(&mut ledger, "b", &issuer("factory"));
        ledger.withdraw(&batch, "stolen", NOON).unwrap();
        // Nothing of it is committed, so the name may stand for something else.
        let batch = begin(&mut ledger, "b", &issuer("another"));
        assert!(ledger.withdrawal(&batch).unwrap().is_some());
    }

    #[test]
    fn an_issuer_has_the_batches_of_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&folder.path().join("certforge.db"), [7; 16]).unwrap();
        let (one, two) = (issuer("one"), issuer("two"));
        begin(&mut ledger, "b", &one);
        begin(&mut ledger, "x", &two);
        begin(&mut ledger, "a", &one);
        assert_eq!(ledger.batches_of(&one).unwrap(), ["b", "a"]);
        assert_eq!(ledger.batches_of(&two).unwrap(), ["x"]);
        assert!(ledger.batches_of(&issuer("three")).unwrap().is_empty());
    }
}
