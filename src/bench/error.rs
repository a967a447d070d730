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
        if self.lacks_room() {
            return Some(
                "take fewer --rows, another folder with --to, or --discard, which keeps no bundles"
                    .to_owned(),
            );
        }
        Some(match self {
            Self::Engine(EngineError::Unavailable { reason, .. }) => reason.hint(),
            Self::Engine(EngineError::Unknown { .. }) => {
                "without --engine all that work here are measured".to_owned()
            }
            Self::Engine(error) => return error.hint(),
            Self::Folder { .. } => "name a folder that exists and that you may write, with --to".to_owned(),
            // Not what these advise when a batch is made: nothing goes on where it stopped, it is all gone.
            Self::Forge(ForgeError::Store(_) | ForgeError::Ledger(_) | ForgeError::Manifest(_))
            | Self::Ledger(_)
            | Self::Issuer(_)
            | Self::Manifest(_)
            | Self::Write { .. } => {
                "what was measured is lost; measure again when the disk is in order, or in another folder with --to"
                    .to_owned()
            }
            Self::Forge(error) => return error.hint(),
            Self::Nothing => {
                "the engines that are named do nothing of it with the key types that are named; leave one of these out"
                    .to_owned()
            }
            Self::Threads { .. } => "take fewer --jobs".to_owned(),
            Self::ReadReport { .. } | Self::NotReport { .. } => {
                "`certforge bench --json > bench.json` writes one".to_owned()
            }
            Self::Format { .. } => "compare with the certforge that wrote it, or write another".to_owned(),
            Self::Profile(_) | Self::Unsound { .. } | Self::Interrupted => return None,
        })
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
        let (full, failed) = (rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_IOERR);
        let write = BenchError::Write {
            path: "octets".into(),
            source: io::ErrorKind::QuotaExceeded.into(),
        };
        let open = LedgerError::Open {
            location: "ledger.db".to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        };
        for (error, lacks_room) in [
            (write, true),
            (store(io::ErrorKind::StorageFull).into(), true),
            (store(io::ErrorKind::QuotaExceeded).into(), true),
            (store(io::ErrorKind::Other).into(), false),
            (ledger(full).into(), true),
            (ledger(failed).into(), false),
            (ForgeError::from(ledger(full)).into(), true),
            (ForgeError::from(ledger(failed)).into(), false),
            (open.into(), true),
            (
                BenchError::from(ForgeError::from(ManifestError::Changed {
                    path: "devices.csv".into(),
                    line: 2,
                })),
                false,
            ),
        ] {
            let hint = error.hint().unwrap();
            let begin = match lacks_room {
                true => "take fewer --rows",
                false => "what was measured is lost",
            };
            assert!(hint.starts_with(begin), "{error}: {hint}");
        }
    }
}
