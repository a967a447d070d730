//! What keeps a ledger from being rebuilt at all.

use crate::engine::EngineError;
use crate::ledger::LedgerError;
use crate::store::{ReadError, StoreError};

/// There is nothing to rebuild from, or it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("there is no batch at {place}")]
    NoBatches { place: String },
    #[error("none of the batches is of the CA with certificate {issuer}")]
    OtherIssuer { issuer: String },
    #[error("no batch of this CA names ledger {id}; they name {named}")]
    NotNamed { id: String, named: String },
    #[error("there is no batch {name} of this CA that could be a reissue")]
    NoSuchReissue { name: String },
}

impl RebuildError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Store(error) => return error.hint(),
                Self::Read(error) => return error.hint(),
                Self::Ledger(error) => return error.hint(),
                Self::Engine(error) => return error.hint(),
                Self::NoBatches { .. } => {
                    "name the place that `run --to` was given, or one batch in it, such as ./out or s3://factory-eu/batches"
                }
                Self::OtherIssuer { .. } => {
                    "name the CA that made them with --ca, or its certificate with --issuer"
                }
                Self::NotNamed { .. } => "leave --as out, or give one of those ids",
                Self::NoSuchReissue { .. } => "give --reissue the name of a batch, as its folder is called",
            }
            .to_owned(),
        )
    }
}
