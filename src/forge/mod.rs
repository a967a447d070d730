//! The forge: from a manifest to released bundles. [`run`] is the only place that knows all stages.

mod agreement;
mod begun;
mod care;
mod check;
mod chronicle;
mod credentials;
mod distinct;
pub(crate) mod encrypting;
mod error;
mod fits;
pub mod heads;
mod issuance;
mod issued;
mod lab;
mod making;
mod moved;
mod neighbours;
mod pipeline;
mod plan;
mod recipients;
mod sealing;
mod shard;
mod shared;
mod sharing;
mod signing;
mod strays;
mod wanted;
mod withdrawn;
mod workshop;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use time::OffsetDateTime;

pub use care::Care;
pub use check::{Accepted, Findings, check};
pub use chronicle::sealed as note_sealed;
pub use error::ForgeError;
pub use fits::fits;
pub use issued::{Asked, check_against, refuse_issued_by};
pub use lab::make_lab_ca;
pub use neighbours::{Allowed, Known, Neighbours};
pub(crate) use sealing::put_lookups;
pub use sealing::{Sealed, seal};
pub use shard::Shard;
pub use wanted::{Locate, Standing, Wanted};
pub use withdrawn::refuse_withdrawn;

use crate::batch::{BatchRecord, Layout, Shape};
use crate::engine::Choice;
use crate::issuer::Issuer;
use crate::ledger::{BatchIdentity, Ledger, LedgerError};
use crate::manifest::{Bookmark, Manifest, Oddity};
use crate::pem;
use crate::profile::{Binding, Ends, Profile};
use crate::store::{Store, StoreError};
pub(crate) use issuance::Issuance;
use making::{Made, Making};
pub(crate) use plan::Plan;
pub(crate) use workshop::Workshop;

/// What shall be made.
#[derive(Debug)]
pub struct Job<'a> {
    pub manifest: &'a Manifest,
    pub profile: &'a Profile,
    pub issuer: &'a Issuer,
    /// What makes the keys; what signs is the issuer's own.
    pub engines: Choice,
    pub layout: Layout,
    /// Name of the batch. `None`: the manifest's stem and the start of its digest.
    pub batch: Option<&'a str>,
    /// Rows of a chunk, 1 to [`crate::batch::MAX_CHUNK_ROWS`]. `None`: as suits the key type.
    pub chunk_rows: Option<usize>,
    /// The shard to make; `None`: the whole batch.
    pub shard: Option<Shard>,
    /// Whether devices that this issuer has issued before may get a second identity.
    pub reissue: bool,
    /// How long certificates hold at least; a batch of others is made, and told of.
    pub min_validity: time::Duration,
    /// Threads that work.
    pub jobs: usize,
    pub now: OffsetDateTime,
}

impl<'a> Job<'a> {
    /// The same, but for what makes it.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'a> {
        Wanted {
            manifest: self.manifest,
            profile: self.profile,
            issuer: self.issuer.certificate(),
            layout: self.layout,
            batch: self.batch,
            chunk_rows: self.chunk_rows,
            shard: self.shard,
            reissue: self.reissue,
        }
    }

    /// Rows of a chunk.
    fn chunk_rows(&self) -> usize {
        self.chunk_rows
            .unwrap_or_else(|| self.profile.key_type().chunk_rows())
    }

    fn delivered(&self) -> Layout {
        delivered(self.layout, self.profile)
    }
}

/// A layout, of bundles that are encrypted if the profile names recipients, and no ZIPs if it leaves the archive out.
#[must_use]
pub fn delivered(layout: Layout, profile: &Profile) -> Layout {
    let layout = match profile.recipe().is_file() {
        true => layout.of_files(),
        false => layout.of_zips(),
    };
    match profile.recipients().is_empty() {
        true => layout.plain(),
        false => layout.encrypted(),
    }
}

/// What happens while the forge runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work begins on what remains.
    Begun {
        batch: String,
        devices: u64,
        skipped: u64,
    },
    /// The batch was begun before the host of its endpoint was noted with the issuer, and goes on without it.
    KeptWithoutHost { noted: String },
    /// Something is odd about the manifest as a whole, and so many things more.
    Odd { first: Oddity, others: usize },
    /// The certificates will end before they have held as long as they should.
    ShortLived {
        until: OffsetDateTime,
        wanted: time::Duration,
    },
    /// So many more devices are released.
    Released { devices: u64 },
    /// This host has nothing to make, and waits for the chunks that others have in hand.
    Waiting { chunks: u64, hosts: Vec<String> },
}

/// Gets the events, from any thread.
pub type Observe<'a> = &'a (dyn Fn(Event) + Sync);

/// Opens the store of a batch, by the batch's name.
pub type OpenStore<'a> = &'a dyn Fn(&str) -> Result<Store, StoreError>;

/// Opens the ledger of a batch that was made as a whole.
pub type OpenLedger<'a> = &'a dyn Fn() -> Result<Box<dyn Ledger>, LedgerError>;

/// Lets somebody else end a run early: chunks in flight are finished and committed.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a run ended. What was made stays made, whatever came after.
#[derive(Debug)]
pub struct Summary {
    pub batch: String,
    /// Rows of the manifest, or of the shard.
    pub devices: u64,
    /// Devices released by this run.
    pub made: u64,
    /// Devices released before it.
    pub skipped: u64,
    /// Devices of chunks that failed.
    pub failed: u64,
    /// Devices that other hosts released meanwhile.
    pub elsewhere: u64,
    /// When the certificates of the batch end, as far as they are made.
    pub valid_until: Option<Ends>,
    pub elapsed: Duration,
    /// What made keys and signatures.
    pub key_engine: &'static str,
    pub sign_engine: &'static str,
    /// The host that the bundles name.
    pub host: Option<String>,
    pub interrupted: bool,
    /// Whether the batch is complete and sealed.
    pub sealed: bool,
    /// What stopped the run, if something did.
    pub failure: Option<ForgeError>,
}

/// Makes the bundles of a manifest, or those that are not made yet. `open_store` gives the store of
/// a batch by its name; `care` says what else the ledger is held against.
///
/// # Errors
///
/// Whatever is found wrong before the first certificate is signed. What goes wrong afterwards is in
/// [`Summary::failure`], beside what was made.
pub fn run(
    job: &Job<'_>,
    (ledger, care): (&mut dyn Ledger, &Care<'_>),
    open_store: OpenStore<'_>,
    observe: Observe<'_>,
    cancel: &Cancel,
) -> Result<Summary, ForgeError> {
    let started = Instant::now();
    let chunk_rows = job.chunk_rows();
    check_shape(1, chunk_rows)?;

    // 1. Compile profile, issuer and engine.
    let mut plan = Plan::new(job)?;

    let pool = pipeline::pool(job.jobs)?;

    // 2. Check every row, and lint a certificate that is never signed.
    let (findings, issued) = pool.install(|| check_rows(job, &plan.binding, chunk_rows, ledger))?;
    tell_oddities(&findings, observe);
    let accepted = findings.accept(job.manifest)?;
    plan.lint_specimen(&accepted.specimen, &accepted.longest)?;
    tell_short_life(job, &plan, observe);
    check_shape(accepted.rows, chunk_rows)?;

    // 3. Refuse a batch that is withdrawn, and devices that have an identity already.
    let name = batch_name(job.batch, job.manifest, &accepted.sha256)?;
    tracing::info!(batch = name, rows = accepted.rows, "manifest checked");
    withdrawn::refuse_in_ledger(ledger, &name)?;
    job.wanted().refuse_issued(ledger, &name, &accepted, issued)?;
    let before = begun::before_note(&job.wanted(), ledger, &name, &accepted.sha256)?;
    let begun = before.map(|profile| Job {
        profile,
        engines: job.engines.clone(),
        ..*job
    });
    if let Some(begun) = &begun {
        let noted = job.profile.endpoint().host.clone().unwrap_or_default();
        observe(Event::KeptWithoutHost { noted });
        plan = Plan::new(begun)?;
        plan.lint_specimen(&accepted.specimen, &accepted.longest)?;
    }
    let job = begun.as_ref().unwrap_or(job);

    // 4. Hold ledger and store against each other. A store that refuses leaves no batch behind.
    let store = open_store(&name)?;
    store.refuse_exposed()?;
    withdrawn::refuse_withdrawn(&store, &name)?;
    let (location, path) = (store.location(), absolute(job.manifest.path()));
    let (wanted, path) = (job.wanted(), path.display().to_string());
    let identity = wanted.identity((&name, &location, &path), (accepted.rows, accepted.sha256));
    let (record, shared) = shared::recorded(batch_record(job, &identity, ledger.id()), job)?;
    let passed_over = care.look_around((ledger, &store), (job.issuer.certificate(), &name), open_store)?;
    recipients::refuse_others((ledger, &store), (&name, &accepted.sha256), &wanted)?;
    if care.moved {
        moved::note(&store, ledger, &identity, &record)?;
    }
    let ask = || match ledger.same_batch(&identity)? {
        Some(batch) => ledger.committed(&batch),
        None => Ok(Vec::new()),
    };
    let committed = agreement::establish(&store, &ask, &record, (job.shard, ledger.id()))?;
    shared::put(&store, shared.as_deref())?;

    // 5. Begin the batch in the ledger, or find it; join the hosts that make it, where the ledger is shared.
    let is_begun = ledger.same_batch(&identity)?.is_some();
    let batch = ledger.begin_batch(&identity, job.now)?;
    if is_begun {
        chronicle::resumed(ledger, &batch, (job.shard, job.now))?;
    }
    let making = Making {
        job,
        care,
        passed_over: &passed_over,
        plan: &plan,
        store: &store,
        batch: &batch,
        record: &record,
        bookmarks: &accepted.bookmarks,
        pool: &pool,
        observe,
        cancel,
    };

    // 6. to 8. Reserve, make, store, commit and release what remains; seal what is complete.
    let Made {
        devices,
        skipped,
        mut outcome,
        is_complete,
        sealed,
    } = making.make(ledger, &committed)?;
    if sealed {
        outcome.failure = outcome.failure.or(chronicle::sealed_by(&making, ledger).err());
    }
    tracing::info!(batch = name, made = outcome.made, sealed, "work ends");
    let valid_until = valid_until(ledger, &name, &mut outcome.failure);
    Ok(Summary {
        batch: name,
        devices,
        made: outcome.made,
        skipped,
        failed: outcome.failed,
        elsewhere: match is_complete {
            true => devices - skipped - outcome.made,
            false => 0,
        },
        valid_until,
        elapsed: started.elapsed(),
        key_engine: plan.key_maker.name(),
        sign_engine: job.issuer.engine(),
        host: job.profile.endpoint().host.clone(),
        interrupted: outcome.failure.is_none() && !is_complete,
        sealed,
        failure: outcome.failure,
    })
}

/// A path that means the same wherever the ledger is read from.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn tell_oddities(findings: &check::Findings, observe: Observe<'_>) {
    if let Some(first) = findings.oddities.first() {
        observe(Event::Odd {
            first: first.clone(),
            others: findings.oddities.len() - 1,
        });
    }
}

/// A lab CA is for trying things out, for as long as that takes.
fn tell_short_life(job: &Job<'_>, plan: &Plan<'_>, observe: Observe<'_>) {
    let until = plan.period.not_after;
    // A profile of as many days as are wanted is not short of them by the time that a run takes to begin.
    let is_short = until - job.now + time::Duration::DAY < job.min_validity;
    if is_short && !job.issuer.certificate().is_lab() {
        observe(Event::ShortLived {
            until,
            wanted: job.min_validity,
        });
    }
}

/// When the certificates of the batch end, by the ledger; that it cannot be read is a failure like others.
fn valid_until(ledger: &dyn Ledger, batch: &str, failure: &mut Option<ForgeError>) -> Option<Ends> {
    match ledger.status(Some(batch)) {
        Ok(status) => status.first()?.valid_until,
        Err(error) => {
            failure.get_or_insert(error.into());
            None
        }
    }
}

/// Refuses chunks that are too large, or too small for so many rows.
fn check_shape(rows: u64, chunk_rows: usize) -> Result<(), ForgeError> {
    let shape = Shape {
        rows,
        chunk_rows: chunk_rows as u64,
    };
    match shape.is_sound() {
        true => Ok(()),
        false => Err(ForgeError::ChunkRows { rows: chunk_rows }),
    }
}

/// Checks the manifest, and finds the chunks that have a device which this issuer has issued. In a reissue every
/// device may have been issued, so nobody asks.
fn check_rows(
    job: &Job<'_>,
    binding: &Binding,
    chunk_rows: usize,
    ledger: &mut dyn Ledger,
) -> Result<(Findings, Vec<Bookmark>), ForgeError> {
    if job.reissue {
        return Ok((check(job.manifest, binding, chunk_rows)?, Vec::new()));
    }
    let of = (&*ledger, job.issuer.certificate());
    check::check_and_ask(job.manifest, binding, chunk_rows, of)
}

/// The batch's name: given, or the manifest's stem and the first eight digits of its digest.
fn batch_name(
    given: Option<&str>,
    manifest: &Manifest,
    manifest_sha256: &[u8; 32],
) -> Result<String, ForgeError> {
    let name = given.map_or_else(
        || {
            let stem: String = manifest
                .stem()
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "._-".contains(c) {
                        c
                    } else {
                        '-'
                    }
                })
                .take(64)
                .collect();
            let digest = HEXLOWER.encode(&manifest_sha256[..4]);
            match stem.trim_start_matches(['.', '-']) {
                "" => format!("batch-{digest}"),
                stem => format!("{stem}-{digest}"),
            }
        },
        str::to_owned,
    );
    let is_name = (1..=100).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if is_name {
        Ok(name)
    } else {
        Err(ForgeError::BatchName { name })
    }
}

fn batch_record(job: &Job<'_>, identity: &BatchIdentity<'_>, ledger: &str) -> BatchRecord {
    BatchRecord {
        batch: identity.name.to_owned(),
        manifest_sha256: HEXLOWER.encode(&identity.manifest_sha256),
        rows: identity.rows,
        chunk_rows: identity.chunk_rows,
        layout: identity.layout,
        profile: job.profile.config().clone(),
        profile_sha256: HEXLOWER.encode(&identity.profile_sha256),
        issuer_id: HEXLOWER.encode(&identity.issuer.id()),
        issuer_certificate: pem::encode(pem::CERTIFICATE, identity.issuer.der()),
        ledger: match job.shard {
            Some(_) => String::new(),
            None => ledger.to_owned(),
        },
        shards: job.shard.map(Shard::of),
        shared_sha256: None,
    }
}
