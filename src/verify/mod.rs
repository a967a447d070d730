//! Verification: reads a whole batch back and proves one good bundle for each row of its manifest.
//!
//! A bundle that is judged in full is judged by others: opened by the zip crate, its certificate by x509-parser and
//! webpki, its key by aws-lc. So are some of each chunk, and all of them if that is asked for. The rest are held, octet
//! for octet, against one of the chunk that was found good in full (`specimen`), and what has to be computed is computed
//! many at a time (`group`). Whatever is not alike, or does not come out right, is judged in full, so the quick way
//! calls nothing wrong, and calls good what the other would.
//!
//! Of the forge nothing is used but the names of objects and how PEM is written, but for this: signatures and keys are
//! judged by the engine's [`Judge`](crate::engine::Judge) and digests by `digest`, so where these are our own code, the same
//! code stands behind what was made and what is judged. That is why some of each chunk are judged in full.
//!
//! Memory grows by 64 octets a row.

mod alike;
mod bundle;
mod bundles;
mod chunk;
mod completeness;
mod der;
mod filled;
mod found;
mod generations;
mod group;
mod inputs;
mod pattern;
mod progress;
mod reading;
mod retired;
mod seal;
mod shared;
mod sight;
mod specimen;
mod tally;
mod task;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use time::OffsetDateTime;

use crate::batch::{BATCH_OBJECT, BatchRecord, WithdrawnRecord};
use crate::bundle::encryption::{Identities, Recipient, short_ids};
use crate::ledger::{Ledger, LedgerError};
use crate::manifest::{DeviceId, ManifestError};
use crate::profile::{Ends, Passwords, ProfileError};
use crate::seal::{ChunkDigest, Trust};
use crate::store::{ReadError, Store, StoreError};
pub(crate) use bundle::Standard;
use generations::{Generations, Left};
use inputs::Inputs;
pub use progress::{Progress, progress};
use reading::Reading;
use tally::Tallies;
use task::Verified;

/// Something that is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The device, when it is one device's.
    pub device_id: Option<DeviceId>,
    /// The object, relative to the batch.
    pub object: Option<String>,
    pub what: String,
    /// Whether it is that a certificate is not valid now, which is no sign that anything was changed.
    #[serde(skip)]
    pub is_of_time: bool,
}

impl Fault {
    fn of(object: &str, what: String) -> Self {
        Self {
            device_id: None,
            object: Some(object.to_owned()),
            what,
            is_of_time: false,
        }
    }

    fn of_device(device_id: &DeviceId, object: &str, what: String) -> Self {
        Self {
            device_id: Some(device_id.clone()),
            object: Some(object.to_owned()),
            what,
            is_of_time: false,
        }
    }

    fn of_batch(what: String) -> Self {
        Self {
            device_id: None,
            object: None,
            what,
            is_of_time: false,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(device_id) = &self.device_id {
            write!(f, "device {device_id}, ")?;
        }
        match &self.object {
            Some(object) => write!(f, "{object}: {}", self.what),
            None => write!(f, "batch: {}", self.what),
        }
    }
}

/// Bundles of a generation before the newest that were not read.
#[derive(Debug, Clone, Serialize)]
pub struct UnreadEarlier {
    pub generation: u32,
    pub bundles: u64,
    /// Short ids of those for whom they are encrypted.
    pub recipients: Vec<String>,
}

/// What a batch was found to be.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the document")]
pub struct Report {
    pub batch: String,
    /// Rows of the manifest.
    pub devices: u64,
    /// Devices whose bundle has no fault.
    pub good: u64,
    /// Devices whose bundle was judged in full, by webpki and aws-lc, one by one.
    pub judged_in_full: u64,
    /// Devices without a fault whose bundle is encrypted and was not read: whether it holds the right key, an identity would
    /// tell.
    pub unread: u64,
    /// Devices without a fault, one of whose files opens with a password that was not at hand: of that file no more is known
    /// than that it is the one of the index.
    pub not_opened: u64,
    /// Short ids of those for whom the bundles are encrypted; of nobody: they are not.
    pub recipients: Vec<String>,
    /// When the certificates end that the indexes name; `None` while there is none.
    pub valid_until: Option<Ends>,
    /// Devices that were flashed or scrapped, and whose bundle was removed after that.
    pub burned: u64,
    /// The newest generation of its bundles: 0 of those that were made with it.
    pub generation: u32,
    /// Good devices whose bundle is in a generation before the newest: stations had claimed them when the next was made.
    pub in_earlier_generations: u64,
    /// Of the unread ones, those that are there: they are not for those for whom the newest is.
    pub unread_earlier: Vec<UnreadEarlier>,
    pub faults: Vec<Fault>,
    /// Whether the batch has a seal; what is wrong with it is among the faults.
    pub sealed: bool,
    /// That it must never come up, which is no fault.
    pub withdrawn: Option<WithdrawnRecord>,
    /// The manifest that the rows were held against; `None` when it was not at hand, or has changed.
    pub manifest: Option<PathBuf>,
    /// Whether the manifest that the ledger names is there and is not the one of the batch any more.
    pub manifest_changed: bool,
    /// Whether the rows were held against a ledger, of a batch in shards against that of one.
    pub ledger: bool,
    /// Whether that ledger has every chunk: of a batch in shards, those of all of them.
    pub ledger_is_whole: bool,
    pub shards: Option<u32>,
    /// SHA-256 of the certificate of the CA that made it, in hexadecimal.
    pub issuer_id: String,
    /// Whether a ledger has this CA for the batch, or somebody named it.
    pub issuer_known: bool,
}

impl Report {
    /// What can be done about the faults, if there are any.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let is_only_of_time = self.faults.iter().all(|fault| fault.is_of_time);
        match (self.is_good(), self.is_only_unfinished()) {
            (true, _) => None,
            (false, _) if is_only_of_time => Some(
                "nothing was changed: the time of these certificates is over or has not begun, or this machine's clock is wrong",
            ),
            (false, true) => Some("run the command that began it again; it goes on where it stopped"),
            (false, false) => Some(
                "put back what is missing or changed; private keys exist nowhere else. \
                 To give devices new identities: run with --reissue and a new --batch",
            ),
        }
    }

    /// Whether nothing is wrong but that some devices are not made yet.
    fn is_only_unfinished(&self) -> bool {
        self.faults
            .iter()
            .all(|fault| fault.object.is_none() && fault.what.starts_with(completeness::INCOMPLETE))
    }

    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.good + self.burned == self.devices
    }
}

/// Why a batch could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("ledger {ledger} is not the one that batch {batch} was made with")]
    OtherLedger { ledger: String, batch: String },
    #[error("batch {batch} is of another CA: certificate {found}, not {wanted}")]
    OtherIssuer {
        batch: String,
        found: String,
        wanted: String,
    },
    #[error("batch {batch} is encrypted for {recipients}, and this identity is none of theirs")]
    SomebodyElse { batch: String, recipients: String },
    #[error("{fault}")]
    Generation { fault: String },
    #[error("manifest {path} is not the one that batch {batch} was made from")]
    OtherManifest { path: PathBuf, batch: String },
}

impl VerifyError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Ledger(error @ (LedgerError::Missing { .. } | LedgerError::NoBatch { .. })) => {
                Some(format!(
                    "{}; --no-ledger verifies without one",
                    error.hint().unwrap_or_default()
                ))
            }
            Self::Ledger(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
            Self::Profile(error) => error.hint(),
            Self::OtherLedger { .. } => Some(
                "name the one it was made with, with --ledger; --no-ledger verifies without one".to_owned(),
            ),
            Self::OtherIssuer { .. } => Some(
                "name the CA that this batch was made with, or find out who put a batch of another CA there"
                    .to_owned(),
            ),
            Self::SomebodyElse { .. } => Some(
                "give the identity of one of these; without any, everything is verified but what the bundles hold".to_owned(),
            ),
            Self::Generation { .. } => Some(
                "put it back as it was sealed; flash nothing of this batch until you know who changed it".to_owned(),
            ),
            Self::OtherManifest { .. } => Some("leave --manifest out, or give the file as it was".to_owned()),
        }
    }
}

/// What to verify, against what.
pub struct Job<'a> {
    pub store: &'a Store,
    /// Of a batch in shards it is the ledger of one of them, and accounts for its chunks.
    pub ledger: Option<&'a dyn Ledger>,
    /// The issuer that must have made it, if somebody names one.
    pub issuer: Option<&'a Trust>,
    /// `None`: the one that the ledger names, if it is still there and unchanged.
    pub manifest: Option<&'a Path>,
    pub now: OffsetDateTime,
    /// By which encrypted bundles are read; `None`: what they hold is not verified.
    pub identities: Option<&'a Identities>,
    /// By which files are opened whose password is in a file of the profile's.
    pub passwords: &'a Passwords,
    /// Whether every bundle is judged in full, by libraries that are not ours, one by one.
    pub strict: bool,
}

/// Verifies a batch. `begun` gets the batch, `verified` how many more devices were read.
///
/// # Errors
///
/// When there is no batch, or something cannot be read. Faults are no error: they are in the report.
pub fn verify(
    job: &Job<'_>,
    begun: &dyn Fn(&BatchRecord),
    verified: &(dyn Fn(u64) + Sync),
) -> Result<Report, VerifyError> {
    // 1. Read what the batch says it is, and what manifest and ledger say.
    let mut inputs = Inputs::open(job)?;
    let mut faults = inputs.disagreements();
    let generations = Generations::read(job, &inputs, &mut faults)?;
    generations.check_history(job.ledger, &inputs.record.batch, &mut faults)?;
    if let Some(read) = generations.record(job.store)? {
        let refused = |fault: &dyn ToString| VerifyError::Generation {
            fault: fault.to_string(),
        };
        inputs.see(read.map_err(|fault| refused(&fault))?);
    }
    inputs.unlock(job.passwords)?;
    let store = &generations.sight(job.store);
    let record = &inputs.record;
    let recipients = inputs.profile.recipients();
    if job
        .identities
        .is_some_and(|own| record.layout.is_encrypted() && !own.are_among(recipients))
    {
        return Err(VerifyError::SomebodyElse {
            batch: record.batch.clone(),
            recipients: short_ids(recipients),
        });
    }
    let mut report = Report {
        batch: record.batch.clone(),
        devices: record.rows,
        good: 0,
        judged_in_full: 0,
        unread: 0,
        not_opened: 0,
        recipients: recipients.iter().map(Recipient::short_id).collect(),
        valid_until: None,
        burned: 0,
        generation: generations.newest(),
        in_earlier_generations: 0,
        unread_earlier: Vec::new(),
        faults,
        sealed: false,
        withdrawn: inputs.withdrawn(job)?,
        manifest: inputs
            .manifest
            .as_ref()
            .map(|(manifest, _)| manifest.path().to_owned()),
        manifest_changed: inputs.manifest_changed,
        ledger: inputs.batch.is_some(),
        ledger_is_whole: inputs.batch.is_some() && inputs.committed.len() as u64 == record.shape().chunks(),
        shards: record.shards,
        issuer_id: HEXLOWER.encode(&inputs.issuer.id()),
        issuer_known: inputs.batch.is_some() || job.issuer.is_some(),
    };
    begun(record);

    // 2. Find what was released.
    let released = completeness::released(store, record, &inputs.committed, &mut report.faults)?;
    let seal = seal::read(store, &inputs.issuer, &mut report)?;
    shared::check(store, &inputs, seal.is_some(), &mut report.faults)?;

    // 3. Read every released chunk.
    let issuer_der = CertificateDer::from(inputs.issuer.der());
    let Some(standard) = Standard::new(
        &inputs.profile,
        inputs.binding()?,
        &inputs.issuer,
        &issuer_der,
        job.now,
    ) else {
        let what = "the issuer cannot be a trust anchor".to_owned();
        report.faults.push(Fault::of(BATCH_OBJECT, what));
        return Ok(report);
    };
    let mut sum = Sum::default();
    let reading = Reading {
        job,
        store,
        is_remade: generations.newest() > 0,
        inputs: &inputs,
        released: &released,
        seal: seal.as_ref(),
        standard: &standard,
        verified,
    };
    reading.chunks(|chunk| sum.add(chunk, &mut report))?;
    let Sum {
        mut tallies,
        digests,
        left,
    } = sum;

    if let Some(seal) = &seal {
        seal::check_lookups(store, seal, &mut report.faults)?;
        seal::check_statement(seal, record, digests, &mut report.faults);
    } else {
        seal::check_unsealed_lookups(store, record, digests, &mut report.faults)?;
    }

    // 4. Find what two devices share, and what no index accounts for.
    tallies.sort();
    report
        .faults
        .extend(completeness::twins(store, record, &tallies)?);
    report
        .faults
        .extend(completeness::extras(store, record, &released, &tallies.devices)?);
    // 5. Find what is left of generations before, and judge what has to be.
    generations.judge_left(job, &inputs, &left, &mut report)?;
    generations.extras(job.store, &left, &mut report.faults)?;
    Ok(report)
}

/// What is known of all chunks together.
#[derive(Default)]
struct Sum {
    tallies: Tallies,
    digests: Vec<ChunkDigest>,
    left: Vec<Left>,
}

impl Sum {
    fn add(&mut self, mut chunk: Verified, report: &mut Report) {
        report.good += chunk.good;
        report.judged_in_full += chunk.judged_in_full;
        report.unread += chunk.unread;
        report.not_opened += chunk.not_opened;
        report.valid_until = Ends::both(report.valid_until, chunk.ends);
        report.burned += chunk.burned;
        report.faults.append(&mut chunk.faults);
        self.tallies.append(&mut chunk.tallies);
        self.digests.extend(chunk.digest);
        self.left.append(&mut chunk.left);
    }
}
