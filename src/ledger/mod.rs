//! The ledger: an SQLite database of what was reserved, issued and stored.
//!
//! Invariants. A chunk is reserved, with the prefix of its serials, before any of its certificates
//! is signed; it is committed after the store holds its bundles durably; its index is written from
//! what is committed. So what is released is in the ledger, and every certificate that may exist has
//! a prefix there. One process writes at a time. Private keys never come near it.

mod batch;
mod chunk;
mod device;
mod schema;
mod withdrawal;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

pub use batch::{Batch, BatchIdentity, BatchStatus, SETTINGS};
pub use chunk::{Committed, Reservation};
pub use device::EarlierIssues;
pub use withdrawal::Withdrawal;

/// A ledger that failed, or that forbids what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("ledger {path} cannot be opened")]
    Open { path: PathBuf, source: io::Error },
    #[error("there is no ledger {path}")]
    Missing { path: PathBuf },
    #[error("ledger {path} is in use by another certforge")]
    Locked { path: PathBuf },
    #[error("ledger {path} is no certforge ledger")]
    Foreign { path: PathBuf },
    #[error(
        "ledger {path} has schema version {found}, this certforge reads {}",
        schema::VERSION
    )]
    Version { path: PathBuf, found: i64 },
    #[error("the ledger knows no batch {name}")]
    NoBatch { name: String },
    #[error("batch {name} was begun with another {what}: {was}, now {now}")]
    BatchDiffers {
        name: String,
        what: &'static str,
        was: String,
        now: String,
    },
    #[error("device {device_id} was issued in batch {batch}")]
    AlreadyIssued { device_id: String, batch: String },
    #[error("ledger {path}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

impl LedgerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "name it with --ledger FILE; `certforge run` makes one at ./certforge.db".to_owned(),
            Self::Locked { .. } => "wait until it has ended".to_owned(),
            Self::Foreign { .. } => "choose another file with --ledger".to_owned(),
            Self::Version { .. } => "use the certforge that made it".to_owned(),
            Self::NoBatch { .. } => "`certforge status` lists the batches".to_owned(),
            Self::BatchDiffers { .. } => {
                "a batch is one manifest, made with one profile by one issuer in one place: repeat the command that began it"
                    .to_owned()
            }
            Self::AlreadyIssued { .. } => {
                "leave out the rows that were issued; a second identity for every row must be asked for: --reissue, with a new --batch"
                    .to_owned()
            }
            Self::Open { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::IsADirectory
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                "name a file in a folder that exists and that you may write, with --ledger".to_owned()
            }
            Self::Open { .. } | Self::Sqlite { .. } => "run the same command again when the disk is in order; nothing is lost".to_owned(),
        })
    }
}

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    id: String,
    /// Held until the ledger is closed; `None` when it was opened for reading.
    _lock: Option<File>,
}

impl Ledger {
    /// Opens a ledger for writing, and makes it when there is none. `new_id` is the id of a new one.
    ///
    /// # Errors
    ///
    /// When another process writes to it, or the file is something else.
    pub fn open(path: &Path, new_id: [u8; 16]) -> Result<Self, LedgerError> {
        if path.is_dir() {
            return Err(LedgerError::Open {
                path: path.to_owned(),
                source: io::ErrorKind::IsADirectory.into(),
            });
        }
        let lock = lock(path)?;
        // SQLite would make the file with the umask's mode.
        create(path).map_err(|source| LedgerError::Open {
            path: path.to_owned(),
            source,
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite(path))?;
        let ledger = Self::prepare(connection, path, Some(lock), Some(new_id))?;
        Ok(ledger)
    }

    /// Opens a ledger for reading, beside a process that writes to it.
    ///
    /// # Errors
    ///
    /// When there is none, or the file is something else.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing {
                path: path.to_owned(),
            });
        }
        // A reader of a WAL database writes to its shared-memory file, so it opens read-write.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite(path))?;
        Self::prepare(connection, path, None, None)
    }

    fn prepare(
        mut connection: Connection,
        path: &Path,
        lock: Option<File>,
        new_id: Option<[u8; 16]>,
    ) -> Result<Self, LedgerError> {
        let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => LedgerError::Foreign {
                path: path.to_owned(),
            },
            _ => sqlite(path)(error),
        };
        connection
            .busy_timeout(std::time::Duration::from_secs(10))
            .map_err(sqlite(path))?;
        let version = schema::version(&connection).map_err(foreign)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(foreign)?;
        match (version, tables, new_id) {
            (schema::VERSION, ..) => {}
            (schema::OLDEST_VERSION..schema::VERSION, ..) => {
                schema::migrate(&mut connection).map_err(sqlite(path))?;
            }
            (0, 0, Some(id)) => schema::create(&mut connection, id).map_err(sqlite(path))?,
            (0, ..) => {
                return Err(LedgerError::Foreign {
                    path: path.to_owned(),
                });
            }
            (found, ..) => {
                return Err(LedgerError::Version {
                    path: path.to_owned(),
                    found,
                });
            }
        }
        if lock.is_some() {
            connection
                .pragma_update(None, "journal_mode", "WAL")
                .map_err(sqlite(path))?;
            connection
                .pragma_update(None, "synchronous", "FULL")
                .map_err(sqlite(path))?;
            connection
                .pragma_update(None, "cache_size", -65_536)
                .map_err(sqlite(path))?;
        }
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(sqlite(path))?;
        let id = connection
            .query_row("SELECT ledger_id FROM meta", [], |row| row.get(0))
            .optional()
            .map_err(sqlite(path))?
            .ok_or_else(|| LedgerError::Foreign {
                path: path.to_owned(),
            })?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            id,
            _lock: lock,
        })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was ever begun.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn is_new(&self) -> Result<bool, LedgerError> {
        self.connection
            .query_row("SELECT NOT EXISTS (SELECT 1 FROM batch)", [], |row| row.get(0))
            .map_err(|e| self.sqlite(e))
    }

    /// The ledger's own id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn sqlite(&self, source: rusqlite::Error) -> LedgerError {
        sqlite(&self.path)(source)
    }
}

fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> LedgerError + use<> {
    let path = path.to_owned();
    move |source| LedgerError::Sqlite { path, source }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Takes the lock file beside the ledger. SQLite's own locks are released between transactions.
fn lock(path: &Path) -> Result<File, LedgerError> {
    // One file, one lock, however its path is spelt.
    let mut name = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .into_os_string();
    name.push("-lock");
    let file = create(Path::new(&name)).map_err(|source| LedgerError::Open {
        path: path.to_owned(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(LedgerError::Open {
            path: path.to_owned(),
            source,
        }),
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
            Ledger::open_read_only(&path),
            Err(LedgerError::Missing { .. })
        ));
        let ledger = Ledger::open(&path, [7; 16]).unwrap();
        assert_eq!(ledger.id(), "07".repeat(16));
        assert!(matches!(
            Ledger::open(&path, [8; 16]),
            Err(LedgerError::Locked { .. })
        ));
        assert_eq!(Ledger::open_read_only(&path).unwrap().id(), ledger.id());
        drop(ledger);
        assert_eq!(Ledger::open(&path, [8; 16]).unwrap().id(), "07".repeat(16));
    }

    #[test]
    fn refuses_a_file_that_is_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        std::fs::write(&path, "a,b,c\n".repeat(1000)).unwrap();
        assert!(matches!(
            Ledger::open(&path, [7; 16]),
            Err(LedgerError::Foreign { .. })
        ));
        std::fs::remove_file(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(
            Ledger::open(&path, [7; 16]),
            Err(LedgerError::Foreign { .. })
        ));
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            Ledger::open(&path, [7; 16]),
            Err(LedgerError::Version { found: 99, .. })
        ));
    }
}
