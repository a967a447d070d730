//! What keeps a measurement from ending, and what the user can do about it.

use std::error::Error;
use std::path::PathBuf;
use std::{io, iter};

use crate::engine::EngineError;
use crate::forge::ForgeError;
use crate::issuer::IssuerError;
use crate::ledger::LedgerError;
use crate::manifest::ManifestError;
use crate::profile::{KeyType, ProfileError};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("no folder can be made in {folder}")]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("there is nothing to measure")]
    Nothing,
    #[error("engine {engine} made {key_type} {what} that another library does not accept")]
    Unsound {
        engine: &'static str,
        key_type: KeyType,
        what: &'static str,
    },
    #[error("threads cannot be started")]
    Threads { source: rayon::ThreadPoolBuildError },
    #[error("report {path} cannot be read")]
    ReadReport { path: PathBuf, source: io::Error },
    #[error("{path} is no report of certforge bench")]
    NotReport {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("report {path} has format {found:?}, this certforge reads {known:?}")]
    Format {
        path: PathBuf,
        found: String,
        known: &'static str,
    },
    #[error("interrupted")]
    Interrupted,
}

impl BenchError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            _ if self.lacks_room() => {
                "take fewer --rows, another folder with --to, or --discard, which keeps no bundles"
            }
            Self::Engine(EngineError::Unknown { .. } | EngineError::MultiBuffer) => {
                "without --engine all that work here are measured"
            }
            Self::Engine(error) => return error.hint(),
            Self::Folder { .. } => "name a folder that exists and that you may write, with --to",
            // Not what these advise when a batch is made: nothing goes on where it stopped, it is all gone.
            Self::Forge(ForgeError::Store(_) | ForgeError::Ledger(_) | ForgeError::Manifest(_))
            | Self::Ledger(_)
            | Self::Issuer(_)
            | Self::Manifest(_)
            | Self::Write { .. } => {
                "what was measured is lost; measure again when the disk is in order, or in another folder with --to"
            }
            Self::Forge(error) => return error.hint(),
            Self::Nothing => {
                "the engines that are named do nothing of it with the key types that are named; leave one of these out"
            }
            Self::Threads { .. } => "take fewer --jobs",
            Self::ReadReport { .. } | Self::NotReport { .. } => {
                "`certforge bench --json > bench.json` writes one"
            }
            Self::Format { .. } => "compare with the certforge that wrote it, or write another",
            Self::Profile(_) | Self::Unsound { .. } | Self::Interrupted => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether there was no room for what had to be written, whoever wrote it.
    fn lacks_room(&self) -> bool {
        iter::successors(self.source(), |&cause| cause.source()).any(|cause| {
            let of_system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            let of_ledger = cause.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
            matches!(
                of_system,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            ) || of_ledger == Some(rusqlite::ErrorCode::DiskFull)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn store(kind: io::ErrorKind) -> ForgeError {
        ForgeError::Store(StoreError::Io {
            operation: "write",
            object: "a".to_owned(),
            source: kind.into(),
        })
    }

    fn ledger(code: i32) -> LedgerError {
        LedgerError::Database {
            location: "ledger.db".to_owned(),
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into(),
        }
    }

    #[test]
    fn no_hint_promises_that_anything_is_kept() {
        use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR};
        let write = BenchError::Write {
            path: "octets".into(),
            source: io::ErrorKind::QuotaExceeded.into(),
        };
        let open = LedgerError::Open {
            location: "ledger.db".to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let changed = ForgeError::from(ManifestError::Changed {
            path: "devices.csv".into(),
            line: 2,
        });
        let no_room: [BenchError; 6] = [
            write,
            store(io::ErrorKind::StorageFull).into(),
            store(io::ErrorKind::QuotaExceeded).into(),
            ledger(SQLITE_FULL).into(),
            ForgeError::from(ledger(SQLITE_FULL)).into(),
            open.into(),
        ];
        let other: [BenchError; 4] = [
            store(io::ErrorKind::Other).into(),
            ledger(SQLITE_IOERR).into(),
            ForgeError::from(ledger(SQLITE_IOERR)).into(),
            changed.into(),
        ];
        let begins = |error: &BenchError, begin| {
            let hint = error.hint().unwrap();
            assert!(hint.starts_with(begin), "{error}: {hint}");
        };
        for error in &no_room {
            begins(error, "take fewer --rows");
        }
        for error in &other {
            begins(error, "what was measured is lost");
        }
    }
}
