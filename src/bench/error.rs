//! What keeps a measurement from ending, and what the user can do about it.

use std::io;
use std::path::PathBuf;

use crate::engine::EngineError;
use crate::forge::ForgeError;
use crate::issuer::IssuerError;
use crate::ledger::LedgerError;
use crate::manifest::ManifestError;
use crate::profile::{KeyType, ProfileError};
use crate::store::StoreError;

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
        Some(match self {
            Self::Engine(EngineError::Unavailable { reason, .. }) => reason.hint(),
            Self::Engine(EngineError::Unknown { .. }) => {
                "without --engine all that work here are measured".to_owned()
            }
            Self::Engine(error) => return error.hint(),
            // Nothing goes on where it stopped: it is all gone.
            Self::Write { source, .. } | Self::Forge(ForgeError::Store(StoreError::Io { source, .. }))
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                "take fewer --rows, another folder with --to, or --discard, which keeps no bundles".to_owned()
            }
            Self::Forge(error) => return error.hint(),
            Self::Ledger(_) | Self::Issuer(_) | Self::Manifest(_) | Self::Write { .. } | Self::Folder { .. } => {
                "name a folder that exists and that you may write, with --to".to_owned()
            }
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
}
