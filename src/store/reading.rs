//! What every reader of a batch asks its store first: what the batch is, and how much of it is released.

use std::collections::BTreeSet;

use super::{Store, StoreError};
use crate::batch::{
    self, BATCH_OBJECT, BatchRecord, INDEXES, IndexEntry, IndexError, ReadRecord, RecordError, chunk_of,
    index_object,
};

/// Why a place is not read as a batch.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{location} is no batch: it has no {BATCH_OBJECT}")]
    NoBatch { location: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{object} is no index")]
    Index { object: String, source: IndexError },
}

impl ReadError {
    /// Whether it is about one object of the batch, so that others need not fail with it.
    #[must_use]
    pub fn is_of_one_object(&self) -> bool {
        match self {
            Self::Store(error) => error.is_of_one_object(),
            Self::Index { .. } => true,
            Self::NoBatch { .. } | Self::Record(_) => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::NoBatch { .. } => Some(
                "name a batch, such as ./out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01"
                    .to_owned(),
            ),
            Self::Record(error) => Some(error.hint()),
            Self::Index { .. } => Some("it was changed or damaged; `certforge verify` tells more".to_owned()),
        }
    }
}

/// What the batch in a store says that it is.
///
/// # Errors
///
/// When there is no batch, or its record is not what a forge writes.
pub fn read_record(store: &Store) -> Result<ReadRecord, ReadError> {
    let location = store.location();
    match store.read(BATCH_OBJECT, None) {
        Ok(octets) => Ok(BatchRecord::read(&octets, &location)?),
        Err(StoreError::NotFound { .. }) => Err(ReadError::NoBatch { location }),
        Err(error) => Err(error.into()),
    }
}

/// The chunks whose index is in place, which are released.
///
/// # Errors
///
/// When the store cannot be listed.
pub fn released_chunks(store: &Store) -> Result<BTreeSet<u64>, StoreError> {
    let mut released = BTreeSet::new();
    store.list(INDEXES, &mut |listed| released.extend(chunk_of(&listed.name)))?;
    Ok(released)
}

/// The entries of a released chunk, in row order.
///
/// # Errors
///
/// [`StoreError::NotFound`] when the chunk is not released; or when its index is not such as a forge writes.
pub fn read_index(store: &Store, record: &BatchRecord, chunk: u64) -> Result<Vec<IndexEntry>, ReadError> {
    let name = index_object(chunk);
    let octets = store.read(&name, None)?;
    batch::read_index(&octets, chunk, record.shape(), record.layout).map_err(|source| ReadError::Index {
        object: format!("{}/{name}", store.location()),
        source,
    })
}
