//! Stores: where a batch's objects go.
//!
//! A [`Store`] holds one batch: named objects under one folder. To add a store: one file with a type
//! that implements the trait, and a way to choose it in `cli`.

mod batch;
mod dir;
mod index;
mod layout;

use std::io;
use std::ops::Range;

use zeroize::Zeroizing;

pub use batch::BatchRecord;
pub use dir::DirStore;
pub use index::{COLUMNS as INDEX_COLUMNS, IndexEntry, IndexError, IndexRow, parse_index, write_index};
pub use layout::{BATCH_OBJECT, Layout, certificates_object, chunk_of, index_object};

/// A store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store: cannot {operation} {object}")]
    Io {
        operation: &'static str,
        /// As a person finds it: a path or a URL.
        object: String,
        source: io::Error,
    },
    #[error("store: there is no {object}")]
    NotFound { object: String },
    #[error("store: {folder} belongs to another user or is open to others (mode {mode:04o})")]
    OpenToOthers { folder: String, mode: u32 },
}

impl StoreError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "name the folder of a batch, such as ./out/line-7-3f2a9c01".to_owned(),
            Self::OpenToOthers { folder, .. } => {
                format!("bundles hold private keys: chmod 700 {folder}, or choose another --to")
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, then run the same command again; it goes on where it stopped"
                }
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::ReadOnlyFilesystem => "choose a folder that you may write with --to",
                _ => "run the same command again; it goes on where it stopped",
            }
            .to_owned(),
        })
    }
}

/// An object as a listing finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    /// Octets.
    pub size: u64,
}

/// An object to be put.
#[derive(Clone)]
pub struct Object<'a> {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    pub body: &'a [u8],
}

impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({}, {} octets elided)", self.name, self.body.len())
    }
}

/// Stands for the objects of one [`Store::put`] until they are flushed. What the number means is the
/// store's own affair.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Holds the objects of one batch. Names are relative to the batch, with `/` between their parts.
pub trait Store: Send + Sync {
    /// Where the batch is, as a person finds it.
    fn location(&self) -> String;

    /// Takes the objects of a chunk, each over one that is there. They may not be written yet when this
    /// returns, and not durable: [`Store::flush`] tells. It may wait until there is room for them.
    ///
    /// # Errors
    ///
    /// When one could not be written; what is then there under the names of the chunk is undefined.
    fn put(&self, objects: &[Object<'_>]) -> Result<Ticket, StoreError>;

    /// Puts an object in place that must not be there yet, atomically and durably. Returns whether it
    /// did; `false` when there is one already, which is left as it is.
    ///
    /// # Errors
    ///
    /// When it may or may not be in place.
    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError>;

    /// Makes durable what was put with these tickets, each of which is used once. Tells of each ticket,
    /// in their order, whether all its objects are durable.
    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>>;

    /// Puts objects in place atomically, each whole or not at all, and durable when it returns.
    ///
    /// # Errors
    ///
    /// When any may not be in place.
    fn publish(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StoreError>;

    /// The octets of an object, or of a range of it. They may hold private keys, so they are zeroized.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Visits every object whose name begins with `prefix`, which is empty or ends in `/`.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;
}
