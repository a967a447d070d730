//! The cache: what was read of a batch and does not change. Public facts only. Whoever reads it holds it
//! against the seal, so it may be damaged or deleted at any time.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::{StationError, durable};
use crate::digest::sha256;

/// The cache of one batch.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache of the batch at a location, in a folder for all batches.
    #[must_use]
    pub fn new(folder: &Path, location: &str) -> Self {
        Self {
            folder: batch_folder(folder, location).join("cache"),
        }
    }

    /// Sees that nobody else can change what is in it.
    pub(super) fn check(&self) -> Result<(), StationError> {
        match self.folder.parent().filter(|batch| batch.exists()) {
            Some(batch) => durable::check_folder(batch),
            None => Ok(()),
        }
    }

    pub(super) fn recall(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    pub(super) fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.folder.join(name));
    }

    /// Keeps an object. A cache that cannot be written costs time and nothing else.
    pub(super) fn keep(&self, name: &str, octets: &[u8]) {
        let _ = durable::write(&self.folder.join(name), octets);
    }
}

/// What is remembered of the batch at a location, in a folder for all batches.
pub(super) fn batch_folder(folder: &Path, location: &str) -> PathBuf {
    let name = location
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let digest = HEXLOWER.encode(&sha256(location.as_bytes())[..4]);
    folder.join(format!("{name}-{digest}"))
}
