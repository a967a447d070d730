//! Verification: reads a whole batch back and proves one good bundle for each row of its manifest.
//!
//! Nothing of the forge is used but the names of objects: bundles are opened by the zip crate,
//! certificates judged by webpki, keys by aws-lc. Memory grows by 64 octets a row.

mod bundle;
mod chunk;
mod tally;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use time::OffsetDateTime;

use crate::issuer::{CaCertificate, IssuerError};
use crate::ledger::{Batch, Ledger, LedgerError};
use crate::manifest::{Blocks, Manifest, ManifestError};
use crate::pem;
use crate::profile::{Binding, Profile, ProfileError};
use crate::store::{
    BATCH_OBJECT, BatchRecord, Layout, Listed, Store, StoreError, chunk_of, index_object, parse_index,
};
use bundle::Standard;
use chunk::{Tallies, Task};
use tally::Tally;

/// Chunks that are read at a time.
const CHUNKS_AT_A_TIME: u64 = 16;

/// Something that is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The device, when it is one device's.
    pub device_id: Option<String>,
    /// The object, relative to the batch.
    pub object: Option<String>,
    pub what: String,
}

impl Fault {
    fn of(object: &str, what: String) -> Self {
        Self {
            device_id: None,
            object: Some(object.to_owned()),
            what,
        }
    }

    fn of_device(device_id: &str, object: &str, what: String) -> Self {
        Self {
            device_id: Some(device_id.to_owned()),
            object: Some(object.to_owned()),
            what,
        }
    }

    fn of_batch(what: String) -> Self {
        Self {
            device_id: None,
            object: None,
            what,
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

/// What a batch was found to be.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub batch: String,
    /// Rows of the manifest.
    pub devices: u64,
    /// Devices whose bundle has no fault.
    pub good: u64,
    pub faults: Vec<Fault>,
    /// The manifest that the rows were held against; `None` when it was not at hand.
    pub manifest: Option<PathBuf>,
    /// Whether the rows were held against a ledger.
    pub ledger: bool,
}

impl Report {
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.good == self.devices
    }
}

/// Why a batch could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{location} is no batch: it has no {BATCH_OBJECT}")]
    NoBatch { location: String },
    #[error("{location}/{BATCH_OBJECT} cannot be read")]
    Record {
        location: String,
        source: serde_json::Error,
    },
    #[error("{location}/{BATCH_OBJECT} has impossible numbers of rows")]
    Numbers { location: String },
    #[error("{location}/{BATCH_OBJECT} has no valid profile")]
    Profile { location: String, source: ProfileError },
    #[error("{location}/{BATCH_OBJECT} has no usable issuer certificate")]
    Issuer { location: String, source: IssuerError },
    #[error("manifest {path} is not the one that batch {batch} was made from")]
    OtherManifest { path: PathBuf, batch: String },
}

impl VerifyError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Ledger(error @ (LedgerError::Missing { .. } | LedgerError::NoBatch { .. })) => {
                Some(format!(
                    "{}; --no-ledger verifies without one",
                    error.hint().unwrap_or_default()
                ))
            }
            Self::Ledger(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
            Self::NoBatch { .. } => {
                Some("name the folder of a batch, such as ./out/line-7-3f2a9c01".to_owned())
            }
            Self::OtherManifest { .. } => Some("leave --manifest out, or give the file as it was".to_owned()),
            Self::Record { .. } | Self::Numbers { .. } | Self::Profile { .. } | Self::Issuer { .. } => Some(
                format!("{BATCH_OBJECT} was changed or damaged; put it back as it was written"),
            ),
        }
    }
}

/// What to verify, against what.
pub struct Job<'a> {
    pub store: &'a dyn Store,
    pub ledger: Option<&'a Ledger>,
    /// `None`: the one that the ledger names, if it is still there and unchanged.
    pub manifest: Option<&'a Path>,
    pub now: OffsetDateTime,
}

/// Verifies a batch. `begun` gets the number of devices, `verified` how many more were read.
///
/// # Errors
///
/// When there is no batch, or something cannot be read. Faults are no error: they are in the report.
pub fn verify(
    job: &Job<'_>,
    begun: &dyn Fn(&BatchRecord),
    verified: &(dyn Fn(u64) + Sync),
) -> Result<Report, VerifyError> {
    let location = job.store.location();
    let record = read_record(job.store, &location)?;
    let issuer = issuer(&record, &location)?;
    let profile = Profile::from_config(&record.profile).map_err(|source| VerifyError::Profile {
        location: location.clone(),
        source,
    })?;
    let batch = job.ledger.map(|ledger| ledger.batch(&record.batch)).transpose()?;
    let mut report = Report {
        batch: record.batch.clone(),
        devices: record.rows,
        good: 0,
        faults: Vec::new(),
        manifest: None,
        ledger: batch.is_some(),
    };
    if let (Some(ledger), Some(batch)) = (job.ledger, &batch) {
        report
            .faults
            .extend(compare_batch(ledger, batch, &record, &issuer));
    }
    if HEXLOWER.encode(&profile.digest()) != record.profile_sha256 {
        let what = "the profile is not the one that its digest names".to_owned();
        report.faults.push(Fault::of(BATCH_OBJECT, what));
    }
    let manifest = open_manifest(job, batch.as_ref(), &record, &profile)?;
    let binding = match &manifest {
        Some(manifest) => Some(Binding::new(&profile, manifest.header(), manifest.path())?),
        None => None,
    };
    report.manifest = manifest.as_ref().map(|manifest| manifest.path().to_owned());
    begun(&record);

    let ledger_released = match (job.ledger, &batch) {
        (Some(ledger), Some(batch)) => ledger.committed(batch)?,
        _ => Vec::new(),
    };
    let released = released(job.store, &record, &ledger_released, &mut report.faults)?;
    let issuer_der = CertificateDer::from(issuer.der());
    let Some(standard) = Standard::new(&profile, binding, &issuer, &issuer_der, job.now) else {
        report.faults.push(Fault::of(
            BATCH_OBJECT,
            "the issuer cannot be a trust anchor".to_owned(),
        ));
        return Ok(report);
    };
    let mut rows = ManifestRows::new(manifest, &record)?;
    let mut tallies = Tallies::default();
    let mut next = 0;
    while next < record.chunks() {
        let window = next..(next + CHUNKS_AT_A_TIME).min(record.chunks());
        next = window.end;
        let mut tasks = Vec::new();
        for chunk in window {
            let manifest = rows.next_chunk()?;
            if released.contains(&chunk) {
                let ledger = match (job.ledger, &batch) {
                    (Some(ledger), Some(batch)) => Some(ledger.entries(batch, chunk)?),
                    _ => None,
                };
                tasks.push(Task {
                    chunk,
                    manifest,
                    ledger,
                    record: &record,
                });
            }
        }
        let chunks: Vec<_> = tasks
            .par_iter()
            .map(|task| {
                let result = chunk::verify(task, job.store, &standard);
                verified(record.rows_of(task.chunk));
                result
            })
            .collect();
        for chunk in chunks {
            let mut chunk = chunk?;
            report.good += chunk.good;
            report.faults.append(&mut chunk.faults);
            tallies.append(&mut chunk.tallies);
        }
    }
    tallies.sort();
    report.faults.extend(twins(job.store, &record, &tallies)?);
    report
        .faults
        .extend(extras(job.store, &record, &released, &tallies.devices)?);
    Ok(report)
}

fn read_record(store: &dyn Store, location: &str) -> Result<BatchRecord, VerifyError> {
    let octets = store.read(BATCH_OBJECT, None).map_err(|error| match error {
        StoreError::NotFound { .. } => VerifyError::NoBatch {
            location: location.to_owned(),
        },
        error => error.into(),
    })?;
    let record: BatchRecord = serde_json::from_slice(&octets).map_err(|source| VerifyError::Record {
        location: location.to_owned(),
        source,
    })?;
    match record.is_sound() {
        true => Ok(record),
        false => Err(VerifyError::Numbers {
            location: location.to_owned(),
        }),
    }
}

fn issuer(record: &BatchRecord, location: &str) -> Result<CaCertificate, VerifyError> {
    let blocks = pem::blocks(&record.issuer_certificate).unwrap_or_default();
    let der = blocks.first().map(|block| block.der.to_vec()).unwrap_or_default();
    CaCertificate::from_der(&der, Path::new(BATCH_OBJECT)).map_err(|source| VerifyError::Issuer {
        location: location.to_owned(),
        source,
    })
}

/// Holds `batch.json` against the ledger.
fn compare_batch(ledger: &Ledger, batch: &Batch, record: &BatchRecord, issuer: &CaCertificate) -> Vec<Fault> {
    let facts = [
        ("ledger", record.ledger == ledger.id()),
        (
            "issuer",
            batch.issuer_certificate == issuer.der() && record.issuer_id == HEXLOWER.encode(&issuer.id()),
        ),
        (
            "manifest",
            record.manifest_sha256 == HEXLOWER.encode(&batch.manifest_sha256),
        ),
        (
            "profile",
            record.profile_sha256 == HEXLOWER.encode(&batch.profile_sha256),
        ),
        ("layout", record.layout == batch.layout),
        (
            "number of rows",
            (record.rows, record.chunk_rows) == (batch.rows, batch.chunk_rows),
        ),
    ];
    facts
        .into_iter()
        .filter(|(_, agrees)| !agrees)
        .map(|(what, _)| Fault::of(BATCH_OBJECT, format!("names another {what} than the ledger")))
        .collect()
}

/// The manifest that was given, or the one that the ledger names, while its digest is the batch's.
fn open_manifest(
    job: &Job<'_>,
    batch: Option<&Batch>,
    record: &BatchRecord,
    profile: &Profile,
) -> Result<Option<Manifest>, VerifyError> {
    let path = match (job.manifest, batch) {
        (Some(path), _) => path.to_owned(),
        (None, Some(batch)) => PathBuf::from(&batch.manifest),
        (None, None) => return Ok(None),
    };
    let open = || -> Result<Option<Manifest>, ManifestError> {
        let manifest = Manifest::open(&path, profile.id_column())?;
        let mut blocks = manifest.blocks(4096)?;
        while blocks.next_block()?.is_some() {}
        let is_same = HEXLOWER.encode(&blocks.finish()) == record.manifest_sha256;
        Ok(is_same.then_some(manifest))
    };
    match (open(), job.manifest) {
        (Ok(Some(manifest)), _) => Ok(Some(manifest)),
        (Ok(None), Some(_)) => Err(VerifyError::OtherManifest {
            path,
            batch: record.batch.clone(),
        }),
        (Err(error), Some(_)) => Err(error.into()),
        (_, None) => Ok(None),
    }
}

/// The manifest's rows, chunk by chunk.
struct ManifestRows {
    open: Option<(Manifest, Blocks<BufReader<File>>)>,
}

impl ManifestRows {
    fn new(manifest: Option<Manifest>, record: &BatchRecord) -> Result<Self, VerifyError> {
        let chunk_rows = usize::try_from(record.chunk_rows.clamp(1, 1 << 20)).unwrap_or(1);
        let open = match manifest {
            None => None,
            Some(manifest) => {
                let blocks = manifest.blocks(chunk_rows)?;
                Some((manifest, blocks))
            }
        };
        Ok(Self { open })
    }

    fn next_chunk(&mut self) -> Result<Option<Vec<crate::manifest::Row>>, VerifyError> {
        let Some((manifest, blocks)) = &mut self.open else {
            return Ok(None);
        };
        let block = blocks.next_block()?;
        Ok(Some(
            block.map(|block| manifest.parse(&block).0).unwrap_or_default(),
        ))
    }
}

/// The chunks whose index is in place; what is missing or too many is a fault.
fn released(
    store: &dyn Store,
    record: &BatchRecord,
    committed: &[(u64, bool)],
    faults: &mut Vec<Fault>,
) -> Result<BTreeSet<u64>, VerifyError> {
    let mut indexed = BTreeSet::new();
    store.list("index/", &mut |listed| indexed.extend(chunk_of(&listed.name)))?;
    for &chunk in indexed.range(record.chunks()..) {
        faults.push(Fault::of(
            &index_object(chunk),
            "the batch has no such chunk".to_owned(),
        ));
    }
    let mut rows_left = 0;
    for chunk in (0..record.chunks()).filter(|chunk| !indexed.contains(chunk)) {
        if committed.contains(&(chunk, true)) {
            let what =
                "the index is missing, and the ledger says that it was released: put it back".to_owned();
            faults.push(Fault::of(&index_object(chunk), what));
        } else {
            rows_left += record.rows_of(chunk);
        }
    }
    if rows_left > 0 {
        faults.push(Fault::of_batch(format!(
            "incomplete: {rows_left} of {} devices are not released; `certforge run` again goes on",
            record.rows
        )));
    }
    Ok(indexed)
}

impl Tallies {
    fn append(&mut self, other: &mut Self) {
        self.devices.append(&mut other.devices);
        self.certificates.append(&mut other.certificates);
        self.serials.append(&mut other.serials);
        self.keys.append(&mut other.keys);
    }

    fn sort(&mut self) {
        for tally in [
            &mut self.devices,
            &mut self.certificates,
            &mut self.serials,
            &mut self.keys,
        ] {
            tally.sort();
        }
    }
}

/// Devices that share what must be unique.
fn twins(store: &dyn Store, record: &BatchRecord, tallies: &Tallies) -> Result<Vec<Fault>, VerifyError> {
    let kinds: [(&str, &Tally); 4] = [
        ("device id", &tallies.devices),
        ("certificate id", &tallies.certificates),
        ("certificate serial", &tallies.serials),
        ("private key", &tallies.keys),
    ];
    let name = |row: u64| -> Result<String, VerifyError> {
        let index = index_object(row / record.chunk_rows);
        let rows = parse_index(&store.read(&index, None)?).unwrap_or_default();
        let within = usize::try_from(row % record.chunk_rows).unwrap_or(usize::MAX);
        Ok(rows
            .get(within)
            .map(|row| row.entry.device_id.clone())
            .unwrap_or_default())
    };
    let mut faults = Vec::new();
    for (kind, tally) in kinds {
        for (first, second) in tally.twins() {
            faults.push(Fault::of_batch(format!(
                "devices {} and {} share one {kind}",
                name(first)?,
                name(second)?
            )));
        }
    }
    Ok(faults)
}

/// Objects that no index accounts for. While chunks are missing, theirs may be there: they are left out.
fn extras(
    store: &dyn Store,
    record: &BatchRecord,
    released: &BTreeSet<u64>,
    devices: &Tally,
) -> Result<Vec<Fault>, VerifyError> {
    let is_complete = (0..record.chunks()).all(|chunk| released.contains(&chunk));
    let mut faults = Vec::new();
    store.list("", &mut |Listed { name, .. }| {
        let is_known = name == BATCH_OBJECT
            || chunk_of(&name).is_some()
            || chunk_in(&name, "certificates/", ".pem").is_some_and(|chunk| chunk < record.chunks())
            || match record.layout {
                Layout::Packs => {
                    chunk_in(&name, "packs/", ".zip").is_some_and(|chunk| chunk < record.chunks())
                }
                Layout::Objects => is_bundle(&name, record.layout, |id| !is_complete || devices.contains(id)),
            };
        if !is_known {
            faults.push(Fault::of(&name, "no index accounts for it".to_owned()));
        }
    })?;
    faults.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(faults)
}

fn chunk_in(name: &str, folder: &str, extension: &str) -> Option<u64> {
    name.strip_prefix(folder)?.strip_suffix(extension)?.parse().ok()
}

fn is_bundle(name: &str, layout: Layout, is_device: impl Fn(&[u8]) -> bool) -> bool {
    let id = name
        .rsplit_once('/')
        .and_then(|(_, file)| file.strip_suffix(".zip"));
    id.is_some_and(|id| layout.object(0, id) == name && is_device(id.as_bytes()))
}
