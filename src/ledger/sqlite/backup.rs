//! Backups: a consistent copy of a ledger's file while a run is under way.
//!
//! By `VACUUM INTO`, not by SQLite's backup interface: that one copies page by page and begins again whenever another
//! process commits in between, which under a run is several times a second. A `VACUUM INTO` reads as one transaction, beside
//! whoever writes, and what it writes has no pages to spare.

use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::macros::format_description;

use super::file::cannot_open;
use super::{Making, SqliteLedger, failed};
use crate::ledger::{Ledger, LedgerError};

/// A copy of a ledger that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub path: PathBuf,
    /// Id of the ledger.
    pub id: String,
    pub batches: u64,
    /// Octets of the file.
    pub octets: u64,
}

/// Copies a ledger's file to a new one, or under a name with the time into a folder.
///
/// # Errors
///
/// [`LedgerError::Occupied`] when something is there; [`LedgerError::Unsound`] when the copy is not what the ledger is; or when
/// either cannot be read or written.
pub fn backup(from: &Path, to: &Path, now: OffsetDateTime) -> Result<Backup, LedgerError> {
    let path = match to.is_dir() {
        true => to.join(dated(from, now)),
        false => to.to_owned(),
    };
    let ledger = SqliteLedger::open_read_only(from)?;
    let making = Making::begin(&path)?;
    // A name with a scheme is a name all the same.
    let scratch = std::path::absolute(making.scratch()).map_err(cannot_open(&path))?;
    let name = scratch.to_str().ok_or_else(|| {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path is not UTF-8");
        cannot_open(&path)(error)
    })?;
    let copied = ledger.connection.execute("VACUUM INTO ?1", [name]);
    copied.map_err(|error| failed(&ledger.location, error))?;
    let batches = check(&ledger, making.scratch())?;
    let octets = std::fs::metadata(making.scratch())
        .map_err(cannot_open(&path))?
        .len();
    making.finish(None)?;
    Ok(Backup {
        path,
        id: ledger.id,
        batches,
        octets,
    })
}

/// Sees that a copy is whole, and opens as the ledger that it is of. Tells how many batches it has.
fn check(ledger: &SqliteLedger, copy: &Path) -> Result<u64, LedgerError> {
    let unsound = |what: String| LedgerError::Unsound {
        location: ledger.location.clone(),
        what,
    };
    let opened = SqliteLedger::open_read_only(copy)?;
    let check = "PRAGMA integrity_check(1)";
    let found: String = opened.read(opened.connection.query_row(check, [], |row| row.get(0)))?;
    if found != "ok" {
        return Err(unsound(found));
    }
    if opened.id() != ledger.id() {
        return Err(unsound(format!("its id is {}", opened.id())));
    }
    Ok(opened.status(None)?.len() as u64)
}

/// Such as `certforge-20261129T215700Z.db`.
fn dated(from: &Path, now: OffsetDateTime) -> String {
    let name = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = name(from.file_stem()).unwrap_or_default();
    let extension = name(from.extension()).map_or(String::new(), |extension| format!(".{extension}"));
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = now
        .to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default();
    format!("{stem}-{time}{extension}")
}
