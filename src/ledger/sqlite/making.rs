//! A ledger's file that is made beside its place, for its owner alone, and gets its name when all of it is there and on
//! disk: who stops before leaves what was there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SqliteLedger;
use super::file::{cannot_open, location};
use crate::ledger::{Ledger, LedgerError};

/// Names that are tried for the unfinished file.
const NAMES: u32 = 100;

/// What SQLite and its lock have beside a ledger's file.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", "-lock"];

/// A ledger's file that is not finished yet.
#[derive(Debug)]
pub struct Making {
    place: PathBuf,
    scratch: PathBuf,
    /// The ledger in whose place it comes, in which nothing was begun; nobody else writes to it meanwhile.
    empty: Option<SqliteLedger>,
}

impl Making {
    /// Begins a file where nothing is.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Occupied`], or when it cannot be made there.
    pub fn begin(place: &Path) -> Result<Self, LedgerError> {
        match place.symlink_metadata() {
            Ok(_) => Err(taken(place)),
            Err(_) => Self::beside(place, None),
        }
    }

    /// Begins a file where nothing is, or a ledger in which nothing was begun.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Begun`] when something was; or when it cannot be made there.
    pub fn begin_anew(place: &Path) -> Result<Self, LedgerError> {
        if place.symlink_metadata().is_err() {
            return Self::beside(place, None);
        }
        // As a reader first, so that what is no ledger yet does not become one.
        SqliteLedger::open_read_only(place)?;
        let ledger = SqliteLedger::open(place, [0; 16])?;
        match ledger.is_new()? {
            true => Self::beside(place, Some(ledger)),
            false => Err(LedgerError::Begun {
                location: location(place),
            }),
        }
    }

    fn beside(place: &Path, empty: Option<SqliteLedger>) -> Result<Self, LedgerError> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let mut number = 0;
        loop {
            let scratch = place.with_file_name(format!(".{name}.{}.{number}", std::process::id()));
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&scratch) {
                Ok(_) => {
                    return Ok(Self {
                        place: place.to_owned(),
                        scratch,
                        empty,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < NAMES => number += 1,
                Err(error) => return Err(cannot_open(place)(error)),
            }
        }
    }

    /// The unfinished file, which is empty.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Opens it as a new ledger with an id, which is known by the name that it will have.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(&self, id: [u8; 16]) -> Result<Box<dyn Ledger>, LedgerError> {
        let mut ledger = SqliteLedger::open(&self.scratch, id)?;
        ledger.location = location(&self.place);
        Ok(Box::new(ledger))
    }

    /// Gives the file its name, once the ledger that was opened from it is closed.
    ///
    /// # Errors
    ///
    /// When something has taken its place, or it cannot be made durable.
    pub fn finish(mut self, ledger: Option<Box<dyn Ledger>>) -> Result<(), LedgerError> {
        drop(ledger);
        let replaces = self.empty.is_some();
        // With its lock, but without its connection: nobody writes to it, and its log is gone.
        let lock = self.empty.take().map(SqliteLedger::close);
        let log = |file: &Path| fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0);
        // Somebody has one of them open. SQLite would play the log of the old file into the new one.
        if log(&self.scratch) || log(&self.place) {
            return Err(LedgerError::Locked {
                location: location(&self.place),
                by: None,
            });
        }
        let take_place = || {
            File::open(&self.scratch)?.sync_all()?;
            if !replaces {
                // It claims the name, which nobody else can then; a rename alone would take it from who was faster.
                let mut options = OpenOptions::new();
                options
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&self.place)?;
            }
            fs::rename(&self.scratch, &self.place)?;
            let folder = self
                .place
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        let taken_place = take_place();
        drop(lock);
        taken_place.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.place),
            _ => cannot_open(&self.place)(error),
        })
    }
}

/// Nothing of it is left but what has its name.
impl Drop for Making {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.scratch);
        for suffix in BESIDE {
            let _ = fs::remove_file(beside(&self.scratch, suffix));
        }
    }
}

fn taken(place: &Path) -> LedgerError {
    LedgerError::Occupied {
        location: location(place),
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_whole_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new.db");
        let making = Making::begin(&place).unwrap();
        let ledger = making.open([3; 16]).unwrap();
        assert_eq!(ledger.location(), place.display().to_string());
        assert!(!place.exists());
        making.finish(Some(ledger)).unwrap();
        assert_eq!(names(folder.path()), ["new.db"]);
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            SqliteLedger::open_read_only(&place).unwrap().id(),
            "03".repeat(16)
        );
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let making = Making::begin(&folder.path().join("new.db")).unwrap();
        let ledger = making.open([3; 16]).unwrap();
        drop(making);
        drop(ledger);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn nothing_is_written_over_and_an_empty_ledger_is_replaced_only_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("some.db");
        fs::write(&place, "a letter").unwrap();
        assert!(matches!(Making::begin(&place), Err(LedgerError::Occupied { .. })));
        assert!(matches!(
            Making::begin_anew(&place),
            Err(LedgerError::Foreign { .. })
        ));
        assert_eq!(fs::read(&place).unwrap(), b"a letter");
        fs::remove_file(&place).unwrap();
        // Who is faster keeps the name.
        let making = Making::begin(&place).unwrap();
        drop(SqliteLedger::open(&place, [1; 16]).unwrap());
        assert!(matches!(making.finish(None), Err(LedgerError::Occupied { .. })));
        let making = Making::begin_anew(&place).unwrap();
        let locked = SqliteLedger::open(&place, [1; 16]);
        assert!(
            matches!(locked, Err(LedgerError::Locked { .. })),
            "it is being replaced"
        );
        let ledger = making.open([2; 16]).unwrap();
        making.finish(Some(ledger)).unwrap();
        assert_eq!(SqliteLedger::open(&place, [1; 16]).unwrap().id(), "02".repeat(16));
    }
}
