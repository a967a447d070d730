//! What keeps a forge from making anything, or everything, and what the user can do about it.

use std::path::PathBuf;

use super::Shard;
use super::encrypting::EncryptingError;
use crate::batch::{MAX_CHUNK_ROWS, SHARED_OBJECT, since};
use crate::bundle::RecipeError;
use crate::certificate::LintError;
use crate::engine::EngineError;
use crate::issuer::IssuerError;
use crate::ledger::LedgerError;
use crate::manifest::{ManifestError, Problem};
use crate::plugin::PluginError;
use crate::profile::ValidityError;
use crate::seal::SealError;
use crate::signer::SignerError;
use crate::store::StoreError;

/// Why nothing was made, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("bundles were not encrypted")]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("shards need a CA that all of them have")]
    ShardWithoutCa,
    #[error("the profile's validity does not fit the issuer")]
    Validity(#[from] ValidityError),
    #[error("the profile's bundles cannot be made")]
    Recipe(#[from] RecipeError),
    #[error("a certificate was not signed")]
    Lint(#[from] LintError),
    #[error("manifest {path}, {first}{}", more(*.lines))]
    Issued {
        path: PathBuf,
        first: Problem,
        lines: usize,
    },
    #[error("manifest {path} is that of batch {batch}")]
    SameManifest { path: PathBuf, batch: String },
    #[error("{name:?} cannot name a batch")]
    BatchName { name: String },
    #[error("batch {batch} was made without --reissue")]
    ReissueNeedsName { batch: String },
    #[error("batch {batch} was begun with --reissue")]
    IsReissue { batch: String },
    #[error("chunks of {rows} rows are not possible")]
    ChunkRows { rows: usize },
    #[error(
        "{batch} has {chunks} released chunks of which ledger {ledger} knows nothing: it is another ledger, or an older copy"
    )]
    UnknownBatch {
        ledger: String,
        batch: String,
        chunks: u64,
        in_shards: bool,
    },
    #[error("{batch} was begun under ledger {ledger}, which knows nothing of it: it is an older copy")]
    ForgottenBatch { ledger: String, batch: String },
    #[error("{location} holds another batch, or one that another ledger accounts for")]
    ForeignBatch { location: String },
    #[error("batch {batch} was begun for {was}, not for {now}")]
    OtherRecipients {
        batch: String,
        was: String,
        now: String,
        arguments: String,
    },
    #[error("{location} is made {}, not {}", shards(*.was), shards(*.now))]
    OtherShards {
        location: String,
        was: Option<u32>,
        now: Option<u32>,
    },
    #[error("{location} has an index for chunk {chunk}, of which this ledger knows nothing")]
    ForeignChunk { location: String, chunk: u64 },
    #[error(
        "batch {batch}: bundles that the ledger accounts for are not in {location} ({missing} of {of} chunks)"
    )]
    BundlesGone {
        batch: String,
        location: String,
        missing: u64,
        of: u64,
    },
    #[error("{location} holds bundles of an earlier attempt, begun with other settings and never released")]
    Leftovers { location: String },
    #[error("batch {batch} is withdrawn{}: {reason}", since(.at))]
    Withdrawn {
        batch: String,
        /// As `2026-11-24T12:00:00Z`; empty when nobody can tell.
        at: String,
        reason: String,
    },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(
        "{location} is sealed, so it was complete, and this ledger does not know of {unknown} of its chunks"
    )]
    SealedBefore { location: String, unknown: u64 },
    #[error("{location} has a seal already, which says otherwise")]
    OtherSeal { location: String },
    #[error("{location} was not made by {issuer}")]
    OtherIssuer { location: String, issuer: String },
    #[error("batch {batch} is not complete: {missing} of {of} chunks are missing, the first is {first}")]
    Unfinished {
        batch: String,
        first: u64,
        missing: u64,
        of: u64,
    },
    #[error("shard {shard} of {location} is made with another ledger")]
    ForeignShard {
        location: String,
        shard: Shard,
        object: String,
    },
    #[error("{location} is not where this batch was made, which is {made}")]
    SealElsewhere { location: String, made: String },
    #[error("{location}/{SHARED_OBJECT} is missing, which has the files that all devices share")]
    SharedGone { location: String },
    #[error("{location}/{SHARED_OBJECT} is not what this batch's profile and issuer give")]
    SharedChanged { location: String },
    #[error("{location} has no seal of shard {shard}: nobody has signed for what it released")]
    UnsealedShard { location: String, shard: Shard },
    #[error("a signature of the issuer's key does not verify")]
    Signature,
    #[error("the worker threads cannot be started")]
    Threads { source: rayon::ThreadPoolBuildError },
}

fn shards(shards: Option<u32>) -> String {
    match shards {
        None => "as a whole".to_owned(),
        Some(n) => format!("in {n} shards"),
    }
}

fn more(lines: usize) -> String {
    match lines {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}

impl From<EncryptingError> for ForgeError {
    fn from(error: EncryptingError) -> Self {
        match error {
            EncryptingError::Engine(error) => error.into(),
            EncryptingError::Plugin(error) => error.into(),
        }
    }
}

impl ForgeError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Plugin(error) => error.hint(),
            Self::Signer(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
            Self::Issuer(error) => error.hint(),
            Self::ShardWithoutCa => {
                Some("make one with `certforge ca new`, and name it with --ca".to_owned())
            }
            Self::Validity(ValidityError::Past { .. }) => {
                Some("set the profile's [validity] to a moment that is still to come".to_owned())
            }
            Self::Validity(ValidityError::OutlivesIssuer { .. }) => Some(
                "set the profile's [validity] to until = \"issuer\", or use an issuer that is valid for longer".to_owned(),
            ),
            Self::Recipe(RecipeError::Format { .. }) => {
                Some("give the file a larger partition, or shorter values".to_owned())
            }
            Self::Recipe(_) => Some("load the profile from its file, beside the files that it names".to_owned()),
            Self::Lint(_) => Some("please report this: certforge stamped a certificate wrongly and refused to sign it".to_owned()),
            Self::Issued { .. } => Some(
                "leave out the rows that were issued; a second identity for every row must be asked for: --reissue, with a new --batch"
                    .to_owned(),
            ),
            Self::SameManifest { batch, .. } => Some(format!(
                "--batch {batch} goes on with it; a second identity for every row must be asked for: --reissue, with a new --batch"
            )),
            Self::BatchName { .. } => Some("use 1 to 100 of A-Z a-z 0-9 . _ - and neither . nor - first".to_owned()),
            Self::ReissueNeedsName { .. } => {
                Some("name the new batch, whose devices get a second identity, with --batch".to_owned())
            }
            Self::IsReissue { .. } => Some("add --reissue to go on with it".to_owned()),
            Self::ChunkRows { .. } => Some(format!("choose 1 to {MAX_CHUNK_ROWS} with --chunk-rows")),
            Self::UnknownBatch { in_shards: true, .. } => Some(
                "`certforge ledger copy` enters what the ledgers of its shards know, and `certforge ledger rebuild` what is released; --new-ledger goes on without, and its devices can get a second identity"
                    .to_owned(),
            ),
            Self::UnknownBatch { .. } => Some(
                "put back the ledger that it was made with, or name it with --ledger; `certforge ledger rebuild` makes it anew from what is released; --new-ledger goes on without, and its devices can get a second identity"
                    .to_owned(),
            ),
            Self::ForgottenBatch { .. } => Some(
                "put back the latest ledger, or name it with --ledger; when it is lost: nothing of this batch is released, so remove its folder, which holds private keys that no one needs, or go on without with --new-ledger"
                    .to_owned(),
            ),
            Self::ForeignBatch { .. } | Self::ForeignChunk { .. } => {
                Some("find the ledger that it was made with and name it with --ledger".to_owned())
            }
            Self::BundlesGone { .. } => Some(
                "put the folder back; private keys exist nowhere else. To give the devices new identities: --reissue with a new --batch"
                    .to_owned(),
            ),
            Self::Leftovers { .. } => {
                Some("delete that folder, which holds private keys that no one needs, and run again".to_owned())
            }
            Self::Withdrawn { .. } => Some(
                "nothing of it may come up, and a withdrawal is not taken back; to give the devices new identities: --reissue with a new --batch"
                    .to_owned(),
            ),
            Self::Seal(error) => error.hint(),
            Self::SealedBefore { .. } => Some(
                "this is an older copy of the ledger: find the latest one and name it with --ledger".to_owned(),
            ),
            Self::OtherRecipients { arguments, .. } => Some(format!(
                "to go on with it, run the same command {arguments}; once it is complete, `certforge bundle rewrap` encrypts it for others; devices that are not issued yet may go into a new --batch"
            )),
            Self::OtherShards { .. } => Some("say so with --shard, or begin another --batch".to_owned()),
            Self::OtherSeal { .. } => Some(
                "it was changed after it was sealed: `certforge verify` tells where; flash nothing of it".to_owned(),
            ),
            Self::OtherIssuer { .. } => {
                Some("name the CA that made this batch with --ca; `certforge status` shows its id".to_owned())
            }
            Self::Unfinished { .. } => {
                Some("run the command that began it again, for every shard; then seal it".to_owned())
            }
            Self::ForeignShard { object, .. } => Some(format!(
                "name that ledger with --ledger; when it is lost for good and no chunk of the shard is released, remove {object}"
            )),
            Self::SealElsewhere { .. } => Some(
                "a copy that is sealed would give each device out once more: name the place where it was made; --moved says that it was moved, or is reached by another path, and is no copy"
                    .to_owned(),
            ),
            Self::UnsealedShard { shard, .. } => Some(format!(
                "run the command that made it once more, with --shard {shard} and its ledger: it makes nothing twice, and leaves the seal"
            )),
            Self::SharedGone { .. } => Some("the command that made the batch puts it back: run it once more".to_owned()),
            Self::SharedChanged { .. } => Some(
                "it was changed: find out who did that, and remove it; the command that made the batch puts it back".to_owned(),
            ),
            Self::Signature => Some("the engine or the key is not sound; nothing of the chunk was stored".to_owned()),
            Self::Threads { .. } => Some("use fewer --jobs".to_owned()),
        }
    }
}
