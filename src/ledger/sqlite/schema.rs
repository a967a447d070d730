//! The schema: made once, and brought up to date when an older ledger is opened.
//!
//! A table that came later has a file of its own, which makes it in new ledgers and in old ones alike. What a
//! column may hold is checked by the schema of new ledgers, and in any case by who reads it.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Raised with every change of the schema.
pub(super) const VERSION: i64 = 4;

/// The oldest version that can be brought up to date.
pub(super) const OLDEST_VERSION: i64 = 1;

/// Makes the schema of a new ledger.
pub(super) fn create(connection: &mut Connection, id: [u8; 16]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.execute("INSERT INTO meta VALUES (?1)", [HEXLOWER.encode(&id)])?;
    upgrade(&transaction, OLDEST_VERSION)?;
    transaction.commit()
}

/// Brings an older schema up to date, unless another process was faster.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Nobody else writes from here on, so what it says now it says until the end.
    let found = version(&transaction)?;
    upgrade(&transaction, found)?;
    transaction.commit()
}

/// The version of the schema that a file has, and how many tables and indexes. Both are 0 in a new file.
pub(super) fn found(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let count = "SELECT count(*) FROM sqlite_schema";
    Ok((
        version(connection)?,
        connection.query_row(count, [], |row| row.get(0))?,
    ))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn upgrade(transaction: &Transaction<'_>, from: i64) -> rusqlite::Result<()> {
    if from >= VERSION {
        return Ok(());
    }
    if from < 2 {
        transaction.execute_batch(include_str!("withdrawal.sql"))?;
    }
    if from < 3 {
        transaction.execute_batch(include_str!("revoked.sql"))?;
    }
    if from < 4 {
        transaction.execute_batch(include_str!("history.sql"))?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;

    use crate::ledger::{Act, Deed, Ledger, LedgerError, SqliteLedger, check_history};
    use rusqlite::Connection;
    use time::OffsetDateTime;

    /// As ledgers of version 1 were made.
    const VERSION_1: &str = "
        CREATE TABLE meta (ledger_id TEXT NOT NULL) STRICT;
        CREATE TABLE issuer (issuer INTEGER PRIMARY KEY, key_id BLOB NOT NULL UNIQUE, subject TEXT NOT NULL) STRICT;
        CREATE TABLE batch (
            batch INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, issuer INTEGER NOT NULL REFERENCES issuer,
            certificate BLOB NOT NULL, location TEXT NOT NULL, manifest TEXT NOT NULL, manifest_sha256 BLOB NOT NULL,
            profile TEXT NOT NULL, profile_sha256 BLOB NOT NULL, layout TEXT NOT NULL, rows INTEGER NOT NULL,
            chunk_rows INTEGER NOT NULL, reissue INTEGER NOT NULL, created_at TEXT NOT NULL
        ) STRICT;
        CREATE TABLE reservation (
            batch INTEGER NOT NULL REFERENCES batch, chunk INTEGER NOT NULL, attempt INTEGER NOT NULL,
            issuer INTEGER NOT NULL REFERENCES issuer, serial_prefix BLOB NOT NULL UNIQUE,
            reserved_at TEXT NOT NULL, PRIMARY KEY (batch, chunk, attempt)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE committed (
            batch INTEGER NOT NULL REFERENCES batch, chunk INTEGER NOT NULL, attempt INTEGER NOT NULL,
            released INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (batch, chunk)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE device (
            batch INTEGER NOT NULL REFERENCES batch, row INTEGER NOT NULL, issuer INTEGER NOT NULL,
            device_id TEXT NOT NULL, generation INTEGER NOT NULL, certificate_id BLOB NOT NULL,
            certificate_serial BLOB NOT NULL, not_after INTEGER NOT NULL, offset INTEGER NOT NULL,
            length INTEGER NOT NULL, sha256 BLOB NOT NULL, PRIMARY KEY (batch, row)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX device_identity ON device (issuer, device_id, generation);
        INSERT INTO meta VALUES ('01010101010101010101010101010101');
        INSERT INTO issuer VALUES (1, x'01', 'CN=factory');
        INSERT INTO batch VALUES (1, 'b', 1, x'02', '/out/b', 'devices.csv', zeroblob(32), 'aws-iot-p256',
            zeroblob(32), 'objects', 9, 4, 0, '2026-01-01T00:00:00Z');
        PRAGMA user_version = 1;";

    fn make_version_1(path: &Path) {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(VERSION_1).unwrap();
    }

    #[test]
    fn a_ledger_of_version_1_is_brought_up_to_date_by_writers_and_by_readers() {
        for is_reader in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("certforge.db");
            make_version_1(&path);
            let mut ledger = match is_reader {
                true => SqliteLedger::open_read_only(&path).unwrap(),
                false => SqliteLedger::open(&path, [7; 16]).unwrap(),
            };
            assert_eq!(ledger.id(), "01".repeat(16), "it is the same ledger");
            let batch = ledger.batch("b").unwrap();
            assert_eq!(ledger.withdrawal(&batch).unwrap(), None);
            let now = OffsetDateTime::UNIX_EPOCH;
            ledger.withdraw(&batch, "stolen", now).unwrap();
            drop(ledger);
            // What came after it is there when it is opened again.
            let ledger = SqliteLedger::open(&path, [7; 16]).unwrap();
            assert!(ledger.withdrawal(&batch).unwrap().is_some());
        }
    }

    #[test]
    fn a_ledger_of_version_2_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        make_version_1(&path);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("withdrawal.sql")).unwrap();
        connection
            .execute_batch("INSERT INTO withdrawal VALUES (1, '2026-01-02T00:00:00Z', 'stolen')")
            .unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        drop(connection);
        let ledger = SqliteLedger::open_read_only(&path).unwrap();
        let batch = ledger.batch("b").unwrap();
        assert_eq!(ledger.withdrawal(&batch).unwrap().unwrap().reason, "stolen");
        let mut none = true;
        ledger
            .select(crate::ledger::Selection::EndingBefore(i64::MAX), &mut |_| {
                none = false;
                true
            })
            .unwrap();
        assert!(none, "nothing is issued, and what became of it can be asked");
    }

    #[test]
    fn a_ledger_of_version_3_gets_a_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        make_version_1(&path);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("withdrawal.sql")).unwrap();
        connection.execute_batch(include_str!("revoked.sql")).unwrap();
        connection
            .execute_batch("INSERT INTO withdrawal VALUES (1, '2026-01-02T00:00:00Z', 'stolen')")
            .unwrap();
        connection.pragma_update(None, "user_version", 3).unwrap();
        drop(connection);
        let ledger = SqliteLedger::open_read_only(&path).unwrap();
        assert_eq!(ledger.history().unwrap(), []);
        let batch = ledger.batch("b").unwrap();
        assert_eq!(ledger.withdrawal(&batch).unwrap().unwrap().reason, "stolen");
        drop(ledger);
        let mut ledger = SqliteLedger::open(&path, [7; 16]).unwrap();
        let act = Act::new(Deed::BatchResumed, "b", "");
        let head = ledger.record(act, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(check_history(&ledger.history().unwrap()), Ok(Some(head)));
    }

    #[test]
    fn many_may_bring_it_up_to_date_at_once() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("certforge.db");
            make_version_1(&path);
            let start = Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        SqliteLedger::open_read_only(&path).unwrap();
                    });
                }
            });
        }
    }

    #[test]
    fn a_ledger_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        make_version_1(&path);
        let connection = Connection::open(&path).unwrap();
        let later = super::VERSION + 1;
        connection.pragma_update(None, "user_version", later).unwrap();
        let error = SqliteLedger::open_read_only(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Version { found, .. } if found == later));
    }
}
