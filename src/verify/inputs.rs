//! What a batch is held against: its own record, the manifest, the ledger.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use data_encoding::HEXLOWER;

use super::{Fault, Job, VerifyError};
use crate::batch::{BATCH_OBJECT, BatchRecord, IndexEntry, ReadRecord, WithdrawnRecord};
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, Ledger};
use crate::manifest::{Block, Blocks, Manifest, ManifestError};
use crate::profile::{Binding, Passwords, Profile, ProfileError, rfc3339};
use crate::seal::Trust;
use crate::store::{Store, is_location, read_record, read_withdrawn};

pub(super) struct Inputs {
    pub record: BatchRecord,
    pub issuer: CaCertificate,
    pub profile: Profile,
    /// The batch in the ledger, when there is a ledger.
    pub batch: Option<Batch>,
    /// The name of another batch that the ledger has at this place.
    pub expected_here: Option<String>,
    /// The chunks that the ledger knows, and whether each is released.
    pub committed: Vec<(u64, bool)>,
    /// The manifest, when it is at hand, and the digest that it had.
    pub manifest: Option<(Manifest, [u8; 32])>,
    pub manifest_changed: bool,
}

impl Inputs {
    pub(super) fn open(job: &Job<'_>) -> Result<Self, VerifyError> {
        let ReadRecord {
            record,
            profile,
            issuer,
        } = read_record(job.store)?;
        if let Some(wanted) = job.issuer.map(Trust::id).filter(|wanted| *wanted != issuer.id()) {
            return Err(VerifyError::OtherIssuer {
                batch: record.batch,
                found: HEXLOWER.encode(&issuer.id()),
                wanted: HEXLOWER.encode(&wanted),
            });
        }
        // Each shard has a ledger of its own.
        let is_other = |ledger: &&dyn Ledger| record.shards.is_none() && ledger.id() != record.ledger;
        if let Some(ledger) = job.ledger.filter(is_other) {
            return Err(VerifyError::OtherLedger {
                ledger: ledger.location().to_owned(),
                batch: record.batch,
            });
        }
        let batch = job.ledger.map(|ledger| ledger.batch(&record.batch)).transpose()?;
        let expected_here = job
            .ledger
            .map(|ledger| expected_at(ledger, job.store))
            .transpose()?
            .flatten();
        let expected_here = expected_here.filter(|name| *name != record.batch);
        let committed = match (job.ledger, &batch) {
            (Some(ledger), Some(batch)) => ledger.committed(batch)?,
            _ => Vec::new(),
        };
        let (manifest, manifest_changed) = match open_manifest(job, batch.as_ref(), &record, &profile)? {
            Found::Same(manifest, sha256) => (Some((manifest, sha256)), false),
            Found::Changed => (None, true),
            Found::Nothing => (None, false),
        };
        Ok(Self {
            record,
            issuer,
            profile,
            batch,
            expected_here,
            committed,
            manifest,
            manifest_changed,
        })
    }

    /// Goes on with what a generation of the batch is like.
    pub(super) fn see(&mut self, generation: ReadRecord) {
        self.record = generation.record;
        self.profile = generation.profile;
    }

    /// Takes the passwords of files.
    pub(super) fn unlock(&mut self, passwords: &Passwords) -> Result<(), ProfileError> {
        self.profile = self.profile.with_passwords(passwords)?;
        Ok(())
    }

    /// What `batch.json` says otherwise than the ledger, or than itself.
    pub(super) fn disagreements(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(other) = &self.expected_here {
            let what = format!(
                "is of batch {}, and the ledger has batch {other} here",
                self.record.batch
            );
            faults.push(Fault::of(BATCH_OBJECT, what));
        }
        if let Some(batch) = &self.batch {
            let others = batch.disagreements(&self.record, &self.issuer);
            let fault = |what| Fault::of(BATCH_OBJECT, format!("names another {what} than the ledger"));
            faults.extend(others.map(fault));
        }
        if let Err(unfit) = self.profile.endpoint().refuse_unfit() {
            faults.push(Fault::of(BATCH_OBJECT, format!("endpoint {unfit}")));
        }
        if HEXLOWER.encode(&self.profile.digest()) != self.record.profile_sha256 {
            let what = "the profile is not the one that its digest names".to_owned();
            faults.push(Fault::of(BATCH_OBJECT, what));
        }
        faults
    }

    /// Whether the store, or the ledger, says that the batch is withdrawn.
    pub(super) fn withdrawn(&self, job: &Job<'_>) -> Result<Option<WithdrawnRecord>, VerifyError> {
        if let Some(record) = read_withdrawn(job.store)? {
            return Ok(Some(record));
        }
        let (Some(ledger), Some(batch)) = (job.ledger, &self.batch) else {
            return Ok(None);
        };
        let withdrawal = ledger.withdrawal(batch)?;
        Ok(withdrawal.map(|withdrawal| WithdrawnRecord {
            batch: batch.name.clone(),
            withdrawn_at: rfc3339(withdrawal.at),
            reason: withdrawal.reason,
        }))
    }

    /// The profile's templates, bound to the manifest's columns.
    pub(super) fn binding(&self) -> Result<Option<Binding>, ManifestError> {
        let bind =
            |(manifest, _): &(Manifest, _)| Binding::new(&self.profile, manifest.header(), manifest.path());
        self.manifest.as_ref().map(bind).transpose()
    }

    /// The ledger's entries of a chunk.
    pub(super) fn entries(
        &self,
        ledger: Option<&dyn Ledger>,
        chunk: u64,
    ) -> Result<Option<Vec<IndexEntry>>, VerifyError> {
        match (ledger, &self.batch) {
            (Some(ledger), Some(batch)) => {
                let entries = ledger.entries(batch, chunk)?;
                // It may be another shard's.
                Ok(Some(entries).filter(|entries| !entries.is_empty() || self.record.shards.is_none()))
            }
            _ => Ok(None),
        }
    }

    /// The manifest's rows, from the first chunk on.
    pub(super) fn rows(&self) -> Result<ManifestRows<'_>, VerifyError> {
        let chunk_rows = usize::try_from(self.record.chunk_rows).unwrap_or(usize::MAX);
        let open = |(manifest, sha256)| -> Result<_, ManifestError> {
            Ok(Reading {
                blocks: Manifest::blocks(manifest, chunk_rows)?,
                manifest,
                sha256,
            })
        };
        let manifest = self.manifest.as_ref();
        let manifest = manifest.map(|(manifest, sha256)| (manifest, sha256));
        Ok(ManifestRows {
            open: manifest.map(open).transpose()?,
        })
    }
}

/// The name of the batch that a ledger has at a place; a batch is named as its folder is.
fn expected_at(ledger: &dyn Ledger, store: &Store) -> Result<Option<String>, VerifyError> {
    let location = store.location();
    let name = location.rsplit('/').next().unwrap_or_default();
    let found = ledger
        .find_batch(name)?
        .filter(|batch| is_location(&batch.location, &location));
    Ok(found.map(|batch| batch.name))
}

/// What became of a batch's manifest.
enum Found {
    Same(Manifest, [u8; 32]),
    Changed,
    Nothing,
}

/// The manifest that was given, or the one that the ledger names, while its digest is the batch's.
fn open_manifest(
    job: &Job<'_>,
    batch: Option<&Batch>,
    record: &BatchRecord,
    profile: &Profile,
) -> Result<Found, VerifyError> {
    let path = match (job.manifest, batch) {
        (Some(path), _) => path.to_owned(),
        (None, Some(batch)) => PathBuf::from(&batch.manifest),
        (None, None) => return Ok(Found::Nothing),
    };
    let open = || -> Result<Option<(Manifest, [u8; 32])>, ManifestError> {
        let manifest = Manifest::open(&path, profile.id_column())?;
        let mut blocks = manifest.blocks(4096)?;
        while blocks.next_block()?.is_some() {}
        let sha256 = blocks.finish();
        let is_same = HEXLOWER.encode(&sha256) == record.manifest_sha256;
        Ok(is_same.then_some((manifest, sha256)))
    };
    match (open(), job.manifest) {
        (Ok(Some((manifest, sha256))), _) => Ok(Found::Same(manifest, sha256)),
        (Ok(None), Some(_)) => Err(VerifyError::OtherManifest {
            path,
            batch: record.batch.clone(),
        }),
        (Err(error), Some(_)) => Err(error.into()),
        (Err(ManifestError::Open { .. }), None) => Ok(Found::Nothing),
        (_, None) => Ok(Found::Changed),
    }
}

/// The manifest's rows, chunk by chunk.
pub(super) struct ManifestRows<'a> {
    open: Option<Reading<'a>>,
}

struct Reading<'a> {
    manifest: &'a Manifest,
    blocks: Blocks<BufReader<File>>,
    /// What the file was when it was looked at first.
    sha256: &'a [u8; 32],
}

impl<'a> ManifestRows<'a> {
    /// The rows of the next chunk, not parsed yet; `None` when there is no manifest. They count once [`ManifestRows::prove`] has seen all.
    pub(super) fn next_chunk(&mut self) -> Result<Option<(&'a Manifest, Option<Block>)>, VerifyError> {
        let Some(reading) = &mut self.open else {
            return Ok(None);
        };
        let block = reading.blocks.next_block()?;
        Ok(Some((reading.manifest, block)))
    }

    /// Reads to the end, and fails when this was not the manifest of the batch all along.
    pub(super) fn prove(self) -> Result<(), VerifyError> {
        let Some(mut reading) = self.open else {
            return Ok(());
        };
        while reading.blocks.next_block()?.is_some() {}
        Ok(reading.manifest.prove(reading.blocks, reading.sha256)?)
    }
}
