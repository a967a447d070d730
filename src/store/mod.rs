//! Stores: where a batch's objects go.
//!
//! A [`Store`] holds one batch: named objects under one folder. To add a store: one file with a type
//! that implements the trait, and a way to choose it in `cli`.

mod bucket_policy;
mod dir;
mod place;
mod reading;
#[cfg(feature = "s3")]
mod s3;
mod withdrawal;

use std::io;
use std::ops::Range;

use zeroize::Zeroizing;

pub use bucket_policy::{Bucket, EXPIRY_TAG, Lifecycle, Policy, role_partition};
pub use dir::DirStore;
pub use place::{Place, PlaceError};
pub use reading::{ReadError, read_index, read_record, released_chunks};
#[cfg(feature = "s3")]
pub use s3::{ATTEMPT_TIMEOUT, Credentials, DEFAULT_UPLOADS, Encryption, S3Options, S3Store};
pub use withdrawal::{put_withdrawn, read_withdrawn};

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
    #[error("store: {object} is there already, with other content")]
    Conflict { object: String },
    #[error("store: there is no bucket {bucket}")]
    NoBucket { bucket: String },
    #[error("store: {message}")]
    Settings { message: String, hint: &'static str },
    #[error("store: cannot {operation} {object}: {status} {code}{}", colon(.message))]
    Refused {
        operation: &'static str,
        object: String,
        /// HTTP status.
        status: u16,
        /// The server's word for it, such as `AccessDenied`.
        code: String,
        message: String,
    },
    #[error(
        "store: cannot {operation} {object}: no success in {attempts} attempts at {server}, the last: {why}"
    )]
    Unanswered {
        operation: &'static str,
        object: String,
        server: String,
        attempts: u32,
        why: String,
    },
    #[error("store: {place} is in S3, for which this certforge was not built")]
    NotBuilt { place: String },
    #[error("store: {object} was stored with encryption {got}, not {wanted}")]
    Encryption {
        object: String,
        wanted: String,
        got: String,
    },
}

fn colon(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

impl StoreError {
    /// Whether the same may well succeed a little later, so that others need not fail with it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => {
                "name a batch, such as ./out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01".to_owned()
            }
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
            Self::Conflict { .. } => {
                "somebody else wrote it, or another copy of this ledger is in use; find out before you run again".to_owned()
            }
            Self::NoBucket { .. } => {
                "make the bucket first, or correct its name, --region or --endpoint-url".to_owned()
            }
            Self::Settings { hint, .. } => (*hint).to_owned(),
            Self::Refused { code, .. } => refused_hint(code).to_owned(),
            Self::Unanswered { .. } => {
                "check the server, --endpoint-url and the network, then run the same command again; `run` goes on where it stopped"
                    .to_owned()
            }
            Self::NotBuilt { .. } => "build it with the feature s3, which is on by default".to_owned(),
            Self::Encryption { .. } => {
                "this server does not encrypt as asked; leave --sse out, or use another".to_owned()
            }
        })
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn refused_hint(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AllAccessDisabled" => {
            "these credentials lack a right here: s3:PutObject, s3:GetObject, s3:ListBucket; with --tags also \
             s3:PutObjectTagging, with --sse aws:kms also kms:GenerateDataKey and kms:Decrypt"
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthorizationHeaderMalformed" => {
            "check the access key, its secret and the Region that the environment or AWS_PROFILE gives"
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            "the credentials have expired: log in again, then run the same command again; it goes on where it stopped"
        }
        "RequestTimeTooSkewed" => "set this machine's clock right",
        "PermanentRedirect" | "IllegalLocationConstraintException" => {
            "the bucket is in another Region: name it with --region"
        }
        "NotImplemented" => "this server lacks what was asked of it; leave the option out, or use another",
        _ => {
            "correct what the server complains of, then run the same command again; it goes on where it stopped"
        }
    }
}

/// An object as a listing finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// Another one whenever the object is replaced.
    pub stamp: String,
}

/// A version of an object: what [`Store::replace`] holds against what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// What becomes of a version that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is nobody's concern any more: nothing secret was in it.
    Forgotten,
    /// It held private keys: a file is overwritten, and in S3 no version is left but the new one.
    Shredded,
}

/// An object to be put.
#[derive(Clone)]
pub struct Object<'a> {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    pub body: &'a [u8],
    /// Of the body, when it is known already.
    pub sha256: Option<[u8; 32]>,
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

/// What becomes of an object that is there already under the same name, with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the call fails with [`StoreError::Conflict`]: nobody should have put it there.
    Refuse,
    /// It is replaced.
    Replace,
}

/// An attempt at a chunk. What earlier attempts left behind is replaced, and nothing else: what somebody
/// else put there stays, and the call fails with [`StoreError::Conflict`].
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// A name that no other attempt has, whoever made it.
    pub name: &'a str,
    pub earlier: &'a [String],
}

/// Holds the objects of one batch. Names are relative to the batch, with `/` between their parts.
pub trait Store: Send + Sync {
    /// Where the batch is, as a person finds it.
    fn location(&self) -> String;

    /// Takes the objects of a chunk. They may not be written yet when this returns, and not durable:
    /// [`Store::flush`] tells. It may wait until there is room for them.
    ///
    /// # Errors
    ///
    /// When one could not be written; what is then there under the names of the chunk is undefined.
    fn put(&self, objects: &[Object<'_>], attempt: Attempt<'_>) -> Result<Ticket, StoreError>;

    /// Puts an object in place that must not be there yet, atomically and durably. Returns whether it is
    /// there now; `false` when there is one with other content, which is left as it is.
    ///
    /// # Errors
    ///
    /// When it may or may not be in place.
    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError>;

    /// Makes durable what was put with these tickets, each of which is used once. Tells of each ticket,
    /// in their order, whether all its objects are durable.
    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>>;

    /// Puts objects in place atomically, each whole or not at all, and durable when it returns. Tells of
    /// each object, in their order, whether it is in place.
    fn publish(&self, objects: &[(String, Vec<u8>)], existing: Existing) -> Vec<Result<(), StoreError>>;

    /// The octets of an object, or of a range of it. They may hold private keys, so they are zeroized.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Whether there is an object.
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    fn exists(&self, name: &str) -> Result<bool, StoreError> {
        match self.read(name, Some(0..1)) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The octets of an object, and which version of it they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    fn read_version(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError>;

    /// Replaces an object, atomically and durably, if it still is this version. Returns whether the new
    /// content is there now; `false` when something else is, which is left as it is.
    ///
    /// # Errors
    ///
    /// When it may or may not be in place.
    fn replace(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> Result<bool, StoreError>;

    /// Removes an object for good, every version of it. That it is gone already is no error.
    ///
    /// # Errors
    ///
    /// When it, or a version of it, may still be there.
    fn remove(&self, name: &str) -> Result<(), StoreError>;

    /// Removes many objects for good: at once where that is faster.
    fn remove_all(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        names.iter().map(|name| self.remove(name)).collect()
    }

    /// Removes whatever is left of earlier versions of an object that held private keys, which one who
    /// replaced or removed it and was stopped may have left behind. What is there now stays.
    ///
    /// # Errors
    ///
    /// When something may still be left.
    fn purge(&self, name: &str) -> Result<(), StoreError>;

    /// The octets of many objects, in their order: at once where that is faster.
    fn read_all(&self, names: &[String]) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
        names.iter().map(|name| self.read(name, None)).collect()
    }

    /// Visits every object whose name begins with `prefix`, which is empty, ends in `/`, or is the whole
    /// name of an object.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;
}
