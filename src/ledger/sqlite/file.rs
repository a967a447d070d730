//! The file of a ledger, and how SQLite is to use it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::exposure;
use crate::ledger::LedgerError;

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // A reader of a WAL database writes to its shared-memory file, so it opens read-write as well.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// How a writer, or a reader, uses the file.
pub(super) fn settle(connection: &Connection, writes: bool) -> rusqlite::Result<()> {
    if writes {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
    }
    connection.pragma_update(None, "foreign_keys", true)
}

/// Refuses a ledger that others may write to, or could put one of theirs in the place of. SQLite's own files beside it
/// count as the ledger does.
pub(super) fn refuse_exposed(path: &Path) -> Result<(), LedgerError> {
    let exposed = |place: &Path, exposure| LedgerError::Exposed {
        location: location(path),
        place: place.to_owned(),
        exposure,
    };
    let whole = path.canonicalize().map_err(cannot_open(path))?;
    for suffix in ["", "-wal", "-shm", "-journal", "-lock"] {
        let mut name = whole.clone().into_os_string();
        name.push(suffix);
        let file = Path::new(&name);
        match file.symlink_metadata() {
            Ok(metadata) => {
                if let Some(exposure) = exposure::of_file(&metadata) {
                    return Err(exposed(file, exposure));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_open(path)(error)),
        }
    }
    let as_named = std::path::absolute(path).map_err(cannot_open(path))?;
    for folder in [as_named.parent(), whole.parent()].into_iter().flatten() {
        let metadata = folder.metadata().map_err(cannot_open(path))?;
        if let Some(exposure) = exposure::of_folder(&metadata) {
            return Err(exposed(folder, exposure));
        }
    }
    match exposure::of_way_to(path).map_err(cannot_open(path))? {
        Some((place, exposure)) => Err(exposed(&place, exposure)),
        None => Ok(()),
    }
}

pub(super) fn location(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn cannot_open(path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let location = location(path);
    move |source| LedgerError::Open { location, source }
}

pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// The lock file beside a ledger, which is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

/// It is given back by name, not only closed: a process that is being started at this moment has a copy of the file.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the lock file beside the ledger. SQLite's own locks are released between transactions.
pub(super) fn lock(path: &Path) -> Result<Lock, LedgerError> {
    let mut file = lock_file(path)?;
    match file.try_lock() {
        Ok(()) => {
            // Who waits is told for whom. That it cannot be written keeps nobody from anything.
            let _ = file
                .set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(Lock(file))
        }
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked {
            location: location(path),
            by: holder(&mut file),
        }),
        Err(TryLockError::Error(source)) => Err(cannot_open(path)(source)),
    }
}

/// Waits until nobody holds the lock.
pub(super) fn wait(path: &Path) -> Result<(), LedgerError> {
    let file = lock_file(path)?;
    file.lock().map_err(cannot_open(path))?;
    drop(Lock(file));
    Ok(())
}

/// One file, one lock, however its path is spelt.
fn lock_file(path: &Path) -> Result<File, LedgerError> {
    let mut name = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .into_os_string();
    name.push("-lock");
    create(Path::new(&name)).map_err(cannot_open(path))
}

/// The process that has written its number.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
