//! The ledger in one SQLite file, through WAL and synchronous=FULL. One process writes at a time, beside any
//! number that read.

mod backup;
mod batch;
mod chunk;
mod device;
mod facts;
mod file;
mod history;
mod issued;
mod making;
mod mark;
mod read;
mod schema;
mod withdrawal;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use self::backup::{Backup, backup};
pub use self::making::Making;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction};
use time::OffsetDateTime;

use self::facts::Entering;
use self::file::{Lock, cannot_open, create, location, lock};
use super::error::Malformed;
use super::{
    Act, Batch, BatchIdentity, BatchStatus, Committed, Enter, Entry, Head, Issued, Ledger, LedgerError,
    Reservation, Selection, Telling, Withdrawal,
};
use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;
use crate::issuer::{CaCertificate, RevocationCode, RevokedCertificate};
use crate::profile::rfc3339;

/// An open ledger in an SQLite file.
#[derive(Debug)]
pub struct SqliteLedger {
    connection: Connection,
    location: String,
    id: String,
    /// Held until the ledger is closed; `None` when it was opened for reading.
    lock: Option<Lock>,
}

/// Why a transaction was not made.
enum Failure {
    /// The contract forbids it.
    Refused(LedgerError),
    Sqlite(rusqlite::Error),
}

impl Failure {
    fn into_error(self, location: &str) -> LedgerError {
        match self {
            Self::Refused(error) => error,
            Self::Sqlite(error) => failed(location, error),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl SqliteLedger {
    /// Opens a ledger for writing, and makes it when there is none. `new_id` is the id of a new one.
    ///
    /// # Errors
    ///
    /// When another process writes to it, somebody else may, or the file is something else.
    pub fn open(path: &Path, new_id: [u8; 16]) -> Result<Self, LedgerError> {
        if path.is_dir() {
            return Err(cannot_open(path)(io::ErrorKind::IsADirectory.into()));
        }
        let lock = lock(path)?;
        // SQLite would make the file with the umask's mode.
        create(path).map_err(cannot_open(path))?;
        Self::connect(path, Some(lock), Some(new_id))
    }

    /// Opens a ledger for reading, beside a process that writes to it.
    ///
    /// # Errors
    ///
    /// When there is none, others may write to it, or the file is something else.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        match path.is_file() {
            true => Self::connect(path, None, None),
            false => Err(LedgerError::Missing {
                location: location(path),
            }),
        }
    }

    /// Waits until no other process has the ledger open for writing.
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub fn wait(path: &Path) -> Result<(), LedgerError> {
        file::wait(path)
    }

    fn connect(path: &Path, lock: Option<Lock>, new_id: Option<[u8; 16]>) -> Result<Self, LedgerError> {
        let location = location(path);
        file::refuse_exposed(path)?;
        let failed = |error| failed(&location, error);
        let foreign = || LedgerError::Foreign {
            location: location.clone(),
        };
        let mut connection = file::connect(path).map_err(failed)?;
        let (version, tables) =
            schema::found(&connection).map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => foreign(),
                _ => failed(error),
            })?;
        match (version, tables, new_id) {
            (schema::VERSION, ..) => {}
            (schema::OLDEST_VERSION..schema::VERSION, ..) => {
                schema::migrate(&mut connection).map_err(failed)?;
            }
            (0, 0, Some(id)) => schema::create(&mut connection, id).map_err(failed)?,
            (0, ..) => return Err(foreign()),
            (found, ..) => {
                return Err(LedgerError::Version {
                    location,
                    found,
                    known: schema::VERSION,
                });
            }
        }
        file::settle(&connection, lock.is_some()).map_err(failed)?;
        let id = connection
            .query_row("SELECT ledger_id FROM meta", [], |row| row.get(0))
            .optional()
            .map_err(failed)?
            .ok_or_else(foreign)?;
        Ok(Self {
            connection,
            location,
            id,
            lock,
        })
    }

    /// Closes it, but for its lock.
    fn close(self) -> Option<Lock> {
        self.lock
    }

    fn read<T>(&self, result: rusqlite::Result<T>) -> Result<T, LedgerError> {
        result.map_err(|error| failed(&self.location, error))
    }

    /// Writes in one transaction, or not at all.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        let run = || {
            let transaction = self.connection.transaction()?;
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        };
        run().map_err(|failure: Failure| failure.into_error(&self.location))
    }
}

impl Ledger for SqliteLedger {
    fn id(&self) -> &str {
        &self.id
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn is_new(&self) -> Result<bool, LedgerError> {
        self.read(batch::any(&self.connection)).map(|any| !any)
    }

    fn begin_batch(
        &mut self,
        identity: &BatchIdentity<'_>,
        now: OffsetDateTime,
    ) -> Result<Batch, LedgerError> {
        // Nobody else writes, so what is found here holds until the end.
        if let Some(batch) = self.same_batch(identity)? {
            return Ok(batch);
        }
        self.write(|transaction| {
            let acts = Act::of_begun(
                identity,
                batch::certificate_before(transaction, identity.issuer)?.as_deref(),
            );
            batch::write(transaction, identity, now)?;
            history::append_all(transaction, acts, now)
        })?;
        self.batch(identity.name)
    }

    fn record(&mut self, act: Act, now: OffsetDateTime) -> Result<Head, LedgerError> {
        self.write(|transaction| Ok(history::append(transaction, act, now)?))
    }

    fn history(&self) -> Result<Vec<Entry>, LedgerError> {
        self.read(history::read(&self.connection))
    }

    fn find_batch(&self, name: &str) -> Result<Option<Batch>, LedgerError> {
        self.read(batch::find(&self.connection, name))
    }

    fn reservations(&self) -> Result<u64, LedgerError> {
        self.read(mark::reservations(&self.connection))
    }

    fn move_batch(&mut self, batch: &Batch, location: &str, manifest: &str) -> Result<(), LedgerError> {
        self.write(|transaction| Ok(mark::move_batch(transaction, batch, location, manifest)?))
    }

    fn batch_of_manifest(
        &self,
        manifest_sha256: &[u8; 32],
        issuer: &CaCertificate,
        other_than: &str,
    ) -> Result<Option<String>, LedgerError> {
        self.read(batch::of_manifest(
            &self.connection,
            manifest_sha256,
            issuer,
            other_than,
        ))
    }

    fn batches_of(&self, issuer: &CaCertificate) -> Result<Vec<String>, LedgerError> {
        self.read(batch::of_issuer(&self.connection, issuer))
    }

    fn status(&self, name: Option<&str>) -> Result<Vec<BatchStatus>, LedgerError> {
        let batches = self.read(batch::status(&self.connection, name))?;
        match name {
            Some(name) if batches.is_empty() => Err(LedgerError::NoBatch {
                name: name.to_owned(),
            }),
            _ => Ok(batches),
        }
    }

    fn reserve(
        &mut self,
        batch: &Batch,
        chunks: &[(u64, SerialPrefix)],
        now: OffsetDateTime,
    ) -> Result<Vec<Reservation>, LedgerError> {
        self.write(|transaction| chunk::reserve(transaction, batch, chunks, &rfc3339(now)))
    }

    fn commit(&mut self, batch: &Batch, chunks: &[Committed], released: &[u64]) -> Result<(), LedgerError> {
        self.write(|transaction| {
            chunk::mark_released(transaction, batch, released)?;
            chunks
                .iter()
                .try_for_each(|chunk| chunk::commit(transaction, batch, chunk))
        })
    }

    fn mark_released(&mut self, batch: &Batch, chunks: &[u64]) -> Result<(), LedgerError> {
        self.write(|transaction| Ok(chunk::mark_released(transaction, batch, chunks)?))
    }

    fn committed(&self, batch: &Batch) -> Result<Vec<(u64, bool)>, LedgerError> {
        self.read(chunk::committed(&self.connection, batch))
    }

    fn attempts(&self, batch: &Batch) -> Result<BTreeMap<u64, Vec<SerialPrefix>>, LedgerError> {
        self.read(chunk::attempts(&self.connection, batch))
    }

    fn prefixes(&self) -> Result<Vec<SerialPrefix>, LedgerError> {
        self.read(chunk::prefixes(&self.connection))
    }

    fn entries(&self, batch: &Batch, chunk: u64) -> Result<Vec<IndexEntry>, LedgerError> {
        self.read(device::entries(&self.connection, batch, chunk))
    }

    fn has_issued(&self, issuer: &CaCertificate, device_ids: &[&str]) -> Result<bool, LedgerError> {
        self.read(device::has_any(&self.connection, issuer, device_ids))
    }

    fn issued_in(
        &self,
        issuer: &CaCertificate,
        device_ids: &[&str],
        other_than: &str,
    ) -> Result<Vec<Option<String>>, LedgerError> {
        self.read(device::issued_in(
            &self.connection,
            issuer,
            device_ids,
            other_than,
        ))
    }

    fn withdraw(
        &mut self,
        batch: &Batch,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<Withdrawal, LedgerError> {
        self.write(|transaction| {
            if withdrawal::insert(transaction, batch, reason, now)? {
                history::append(transaction, Act::of_withdrawn(batch, reason), now)?;
            }
            let found = withdrawal::find(transaction, batch)?;
            Ok(found.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
        })
    }

    fn withdrawal(&self, batch: &Batch) -> Result<Option<Withdrawal>, LedgerError> {
        self.read(withdrawal::find(&self.connection, batch))
    }

    fn revoked(&self, batch: &Batch, place: &str) -> Result<u64, LedgerError> {
        self.read(withdrawal::revoked(&self.connection, batch, place))
    }

    fn select(
        &self,
        selection: Selection<'_>,
        each: &mut dyn FnMut(Issued) -> bool,
    ) -> Result<(), LedgerError> {
        self.read(issued::select(&self.connection, selection, each))
    }

    fn revoke(
        &mut self,
        certificates: &[Issued],
        code: RevocationCode,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        self.write(|transaction| {
            issued::revoke(transaction, certificates, (code, reason), now)?;
            history::append_all(transaction, Act::of_revoked(certificates, reason), now)
        })
    }

    fn revoked_of(
        &self,
        issuer: &CaCertificate,
        with_superseded: bool,
    ) -> Result<Vec<RevokedCertificate>, LedgerError> {
        self.read(issued::revoked_of(&self.connection, issuer, with_superseded))
    }

    fn next_crl(
        &mut self,
        issuer: &CaCertificate,
        above: u64,
        now: OffsetDateTime,
    ) -> Result<Option<u64>, LedgerError> {
        self.write(|transaction| Ok(issued::next_crl(transaction, issuer, above, now)?))
    }

    fn set_revoked(&mut self, batch: &Batch, place: &str, revoked: u64) -> Result<(), LedgerError> {
        match self.read(withdrawal::set_revoked(&self.connection, batch, place, revoked))? {
            true => Ok(()),
            false => Err(LedgerError::NotWithdrawn {
                batch: batch.name.clone(),
            }),
        }
    }

    fn facts(&self, batch: &Batch, enter: Enter<'_>) -> Result<(), LedgerError> {
        facts::tell(&self.connection, batch, &mut |fact| {
            enter(fact).map_err(Failure::Refused)
        })
        .map_err(|failure| failure.into_error(&self.location))
    }

    fn restore(&mut self, tell: Telling<'_>) -> Result<(), LedgerError> {
        let location = self.location.clone();
        self.write(|transaction| {
            let mut entering = Entering::new(transaction);
            tell(&mut |fact| {
                let entered = entering.enter(fact);
                entered.map_err(|failure| failure.into_error(&location))
            })
            .map_err(Failure::Refused)
        })
    }
}

/// What SQLite says, as an error of the ledger.
fn failed(location: &str, error: rusqlite::Error) -> LedgerError {
    let location = location.to_owned();
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) if source.is::<Malformed>() => {
            LedgerError::Corrupt { location, source }
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => LedgerError::Corrupt {
            location,
            source: error.into(),
        },
        _ => LedgerError::Database {
            location,
            source: error.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_writes_and_others_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        assert!(matches!(
            SqliteLedger::open_read_only(&path),
            Err(LedgerError::Missing { .. })
        ));
        let ledger = SqliteLedger::open(&path, [7; 16]).unwrap();
        assert_eq!(ledger.id(), "07".repeat(16));
        assert!(matches!(
            SqliteLedger::open(&path, [8; 16]),
            Err(LedgerError::Locked { .. })
        ));
        assert_eq!(SqliteLedger::open_read_only(&path).unwrap().id(), ledger.id());
        drop(ledger);
        assert_eq!(SqliteLedger::open(&path, [8; 16]).unwrap().id(), "07".repeat(16));
    }

    #[test]
    fn refuses_a_file_that_is_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        std::fs::write(&path, "a,b,c\n".repeat(1000)).unwrap();
        assert!(matches!(
            SqliteLedger::open(&path, [7; 16]),
            Err(LedgerError::Foreign { .. })
        ));
        std::fs::remove_file(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(
            SqliteLedger::open(&path, [7; 16]),
            Err(LedgerError::Foreign { .. })
        ));
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            SqliteLedger::open(&path, [7; 16]),
            Err(LedgerError::Version { found: 99, .. })
        ));
    }

    #[test]
    fn refuses_what_others_may_write_to_or_own() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        SqliteLedger::open(&path, [7; 16]).unwrap();
        let set_mode = |place: &Path, mode| {
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let exposed = |place: &Path| {
            for opened in [
                SqliteLedger::open(&path, [7; 16]),
                SqliteLedger::open_read_only(&path),
            ] {
                let error = opened.expect_err("others may write to it");
                assert!(
                    matches!(&error, LedgerError::Exposed { place: found, .. } if found == place),
                    "{}: {error}",
                    place.display()
                );
            }
        };
        let (wal, shm) = (
            folder.path().join("certforge.db-wal"),
            folder.path().join("certforge.db-shm"),
        );
        for beside in [&wal, &shm] {
            std::fs::write(beside, "").unwrap();
        }
        for file in [&path, &wal, &shm] {
            for mode in [0o666, 0o620] {
                set_mode(file, mode);
                exposed(file);
            }
            set_mode(file, 0o600);
            if chown(file, Some(1000), None).is_ok() {
                exposed(file);
                chown(file, Some(rustix::process::geteuid().as_raw()), None).unwrap();
            }
        }
        set_mode(folder.path(), 0o777);
        exposed(folder.path());
        set_mode(folder.path(), 0o1777);
        assert!(SqliteLedger::open(&path, [7; 16]).is_ok());
    }
}
