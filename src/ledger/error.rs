//! What keeps a ledger from doing what it was asked, and what the user can do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::Taken;
use super::mark::Unlike;
use crate::exposure::Exposure;

/// What a batch that was begun with other settings of its profile differs in.
pub(super) const SETTINGS: &str = "profile text, file of the profile, --endpoint or --recipient";

/// A ledger that failed, or that forbids what was asked. A ledger's `location` is what the user named it by.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("ledger {location} cannot be opened")]
    Open { location: String, source: io::Error },
    /// Of a server's address, its variables and files.
    #[error("ledger {location}: {what}")]
    Address { location: String, what: String },
    #[error("ledger {location} cannot be reached")]
    Unreachable {
        location: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("ledger {location}: the server did not prove who it is, or takes no TLS")]
    Untrusted {
        location: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("ledger {location}: the server refuses: {what}")]
    Denied { location: String, what: String },
    #[error("ledger {location}: the server is PostgreSQL {found}")]
    ServerTooOld { location: String, found: i32 },
    /// A server that was there before.
    #[error("ledger {location} went away, and did not come back within {seconds} s")]
    Away {
        location: String,
        seconds: u64,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("ledger {location} is in a database, and this certforge was built without that")]
    NotBuilt { location: String },
    #[error("there is no ledger {location}")]
    Missing { location: String },
    #[error("ledger {location}: {} {exposure}", place.display())]
    Exposed {
        location: String,
        /// The ledger's file, one beside it, or its folder.
        place: PathBuf,
        exposure: Exposure,
    },
    /// What its CA remembers is another, or more.
    #[error("ledger {location} {what}")]
    Unlike { location: String, what: Box<Unlike> },
    #[error("{path}: {reason}")]
    Note { path: PathBuf, reason: String },
    #[error("{path} cannot be read or written")]
    Keep { path: PathBuf, source: io::Error },
    #[error("ledger {location} is in use by another certforge")]
    Locked {
        location: String,
        /// The number of its process, on this machine or another.
        by: Option<u32>,
    },
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
    #[error("{0}")]
    Taken(Box<Taken>),
    #[error("chunk {chunk} of batch {batch} is committed")]
    ChunkCommitted { batch: String, chunk: u64 },
    /// A server that failed over to one that was behind.
    #[error(
        "the ledger has lost {chunks} chunks of batch {batch} that it had committed and that are released"
    )]
    LostCommits { batch: String, chunks: u64 },
    /// While a host was asleep.
    #[error("batch {batch} was begun anew as something else")]
    BegunAnew { batch: String },
    /// A later attempt at the chunk has taken its place.
    #[error("chunk {chunk} of batch {batch} was reserved anew")]
    Superseded { batch: String, chunk: u64 },
    #[error("ledger {location}")]
    History {
        location: String,
        source: super::history::Broken,
    },
    #[error("ledger {location}: {why}")]
    NotAsSigned {
        location: String,
        why: Box<super::history::NotAsSigned>,
    },
    #[error("batch {batch} is not withdrawn")]
    NotWithdrawn { batch: String },
    /// Two ledgers contradict each other.
    #[error("chunk {chunk} of batch {batch} has other certificates in one ledger than in another")]
    ChunkDiffers { batch: String, chunk: u64 },
    #[error(
        "prefix {prefix} of serials was drawn for chunk {chunk} of batch {batch}, and for another chunk as well"
    )]
    PrefixTaken {
        batch: String,
        chunk: u64,
        prefix: String,
    },
    #[error("{location} is there already")]
    Occupied { location: String },
    #[error("ledger {location} has batches already")]
    Begun { location: String },
    #[error("ledger {location} is new, but has id {found}, not {wanted}")]
    OtherId {
        location: String,
        found: String,
        wanted: String,
    },
    #[error("the copy of ledger {location} is not sound: {what}")]
    Unsound { location: String, what: String },
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
            Self::Missing { .. } => "name it with --ledger; `certforge run` makes one in the folder of its CA".to_owned(),
            Self::Address { .. } => "an address is such as postgres://forge@db.factory/certforge?sslmode=verify-full&sslrootcert=/etc/certforge/db-ca.pem".to_owned(),
            Self::Unreachable { .. } => {
                "nothing was made; look at host and port, at the server and at what lies between; `psql` with the same address tells more"
                    .to_owned()
            }
            Self::Untrusted { .. } => {
                "give the root that its certificate is under with sslrootcert=FILE in the address; sslmode=disable speaks to it in the clear, where the network is trusted"
                    .to_owned()
            }
            Self::Denied { .. } => {
                "give the password in a file that PGPASSFILE names; the user needs a database in which to make the schema certforge: CREATE DATABASE certforge OWNER forge"
                    .to_owned()
            }
            Self::ServerTooOld { .. } => "certforge needs PostgreSQL 13 or newer".to_owned(),
            Self::Away { .. } => {
                "run the same command again when it is back; nothing is lost. --ledger-wait says how long to wait".to_owned()
            }
            Self::NotBuilt { .. } => "build it with the feature postgres, or name a file with --ledger".to_owned(),
            Self::Exposed { place, exposure, .. } => exposure.hint(place),
            Self::Locked { .. } => "wait until it has ended".to_owned(),
            Self::Unlike { .. } => {
                "put back the right one, or name it with --ledger; or move this one out of the way, and `certforge ledger rebuild` makes it anew from what is released; with --new-ledger this one is used, and devices that it does not know can get a second identity"
                    .to_owned()
            }
            Self::Note { .. } => {
                "it says where the ledger of the CA is, or how far it had come; put it back as it was, or name a ledger with --ledger".to_owned()
            }
            Self::Keep { .. } => "check the folder of the CA, and who may use it".to_owned(),
            Self::Foreign { .. } => "choose another file with --ledger".to_owned(),
            Self::Version { .. } => "use the certforge that made it".to_owned(),
            Self::NoBatch { .. } => "`certforge status` lists the batches".to_owned(),
            Self::BatchDiffers { what: "place", .. } => {
                "a batch is made in one place: repeat the command that began it; --moved says that it was moved, or is reached by another path, and is no copy"
                    .to_owned()
            }
            Self::BatchDiffers { what: SETTINGS, .. } => {
                "a batch is made with one profile: repeat the command that began it; once it is complete, `certforge bundle repack` puts another endpoint or other files around the same keys, and `certforge bundle rewrap` encrypts them for others; another batch of the same devices is a second identity for each: --reissue, with a new --batch"
                    .to_owned()
            }
            Self::BatchDiffers { .. } => {
                "a batch is one manifest, made with one profile by one issuer in one place: repeat the command that began it"
                    .to_owned()
            }
            Self::Taken(_) | Self::AlreadyIssued { .. } => {
                "leave out the rows that were issued; a second identity for every row must be asked for: --reissue, with a new --batch"
                    .to_owned()
            }
            Self::ChunkCommitted { .. } | Self::Superseded { .. } | Self::BegunAnew { .. } => {
                "another run makes the same batch; run the same command again when that has ended".to_owned()
            }
            Self::History { .. } | Self::NotAsSigned { .. } => {
                "somebody changed the ledger by other means than certforge; a copy from before tells what was there".to_owned()
            }
            Self::LostCommits { .. } => {
                "the server took over from another one and is behind it: stop all runs, make the ledger anew with `certforge ledger rebuild`, and let its standbys be synchronous"
                    .to_owned()
            }
            Self::NotWithdrawn { .. } => "withdraw it first".to_owned(),
            Self::ChunkDiffers { .. } | Self::PrefixTaken { .. } => {
                "both ledgers went on by themselves after one was copied, or one was changed: find out which is right before you use either"
                    .to_owned()
            }
            Self::Occupied { .. } => "nothing is written over: name a file that is not there, or a folder".to_owned(),
            Self::Begun { .. } => {
                "name a file that is not there; `certforge ledger copy` puts several ledgers together".to_owned()
            }
            Self::OtherId { .. } => "drop its tables, which are empty, and run the same command again".to_owned(),
            Self::Unsound { .. } => {
                "look whether the disk fails; nothing was left behind, and the ledger is as it was".to_owned()
            }
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
