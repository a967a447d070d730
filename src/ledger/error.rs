//! What keeps a ledger from doing what it was asked, and what the user can do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::exposure::Exposure;

/// A ledger that failed, or that forbids what was asked. A ledger's `location` is what the user named it by.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("ledger {location} cannot be opened")]
    Open { location: String, source: io::Error },
    #[error("there is no ledger {location}")]
    Missing { location: String },
    #[error("ledger {location}: {} {exposure}", place.display())]
    Exposed {
        location: String,
        /// The ledger's file, one beside it, or its folder.
        place: PathBuf,
        exposure: Exposure,
    },
    #[error("ledger {location} is in use by another certforge")]
    Locked { location: String },
    #[error("ledger {location} is no certforge ledger")]
    Foreign { location: String },
    #[error("ledger {location} has schema version {found}, this certforge reads {known}")]
    Version {
        location: String,
        found: i64,
        known: i64,
    },
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
    #[error("chunk {chunk} of batch {batch} is committed")]
    ChunkCommitted { batch: String, chunk: u64 },
    /// A later attempt at the chunk has taken its place.
    #[error("chunk {chunk} of batch {batch} was reserved anew")]
    Superseded { batch: String, chunk: u64 },
    #[error("batch {batch} is not withdrawn")]
    NotWithdrawn { batch: String },
    /// Something else wrote to it.
    #[error("ledger {location} holds what no certforge writes")]
    Corrupt {
        location: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("ledger {location}")]
    Database {
        location: String,
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A value that was read from a ledger and that no certforge writes there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}")]
pub(super) struct Malformed {
    pub what: &'static str,
    pub found: String,
}

impl LedgerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "name it with --ledger FILE; `certforge run` makes one at ./certforge.db".to_owned(),
            Self::Exposed { place, exposure, .. } => exposure.hint(place),
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
            Self::ChunkCommitted { .. } | Self::Superseded { .. } => {
                "another run makes the same batch; run the same command again when that has ended".to_owned()
            }
            Self::NotWithdrawn { .. } => "withdraw it first".to_owned(),
            Self::Corrupt { .. } => {
                "something else wrote to it, or its disk fails; put back the latest copy that is sound. With an older one, or a new one, devices get a second identity"
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
            Self::Open { .. } | Self::Database { .. } => {
                "run the same command again when the disk is in order; nothing is lost".to_owned()
            }
        })
    }
}
