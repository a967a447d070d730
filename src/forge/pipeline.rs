//! The pipeline: workers pull chunks, make and store them; one committer records and releases them.
//!
//! ```text
//!   Source (manifest, under a lock) ─► workers: make (rayon), put ─► queue ─► committer: flush, commit, publish
//! ```
//!
//! There are a few more workers than threads that make, so that the processor is busy while a store takes its time. Workers pull, and the queue is bounded, so memory does not grow with rows, however slow the store
//! or the ledger is. A committer that finds several chunks waiting flushes and commits them together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::plan::Plan;
use super::workshop::Workshop;
use super::{Cancel, Event, ForgeError, Observe};
use crate::batch::pack_object;
use crate::batch::{certificates_object, index_object, write_index};
use crate::certificate::SerialPrefix;
use crate::ledger::{Batch, Committed, Ledger, LedgerError, Reservation, Share};
use crate::manifest::{Bookmark, ManifestError, Reread, Unproven};
use crate::seal::{Builder, ChunkDigest};
use crate::store::{Aside, Attempt, Object, Store, StoreError, Ticket};

/// Chunks that one transaction commits at most, and that wait for their turn at most.
const GROUP: usize = 32;

/// Chunks that are being stored while as many are made as the pool has threads.
const STORING: usize = 2;

/// So many chunks may fail one after the other, each for a reason that may pass, before no more are begun.
const FAILURES_IN_A_ROW: usize = 8;

/// A chunk that is to be made.
pub(super) struct Work {
    pub reservation: Reservation,
    /// The attempts at the chunk before this one, whose objects may be there.
    pub earlier: Vec<SerialPrefix>,
    pub block: Unproven,
    /// The term of its lease, where several hosts make the batch.
    pub term: Option<u64>,
}

/// Hands out chunks, as long as there are any.
pub(super) trait Supply: Send {
    fn next(&mut self) -> Result<Option<Work>, ForgeError>;
}

/// Hands out the chunks that remain, in order, and reads no others.
pub(super) struct Source<'a> {
    manifest: Reread,
    remaining: VecDeque<Remaining<'a>>,
    /// The attempts at each chunk before this run.
    earlier: BTreeMap<u64, Vec<SerialPrefix>>,
}

/// A chunk that is to be made, and where the check found it.
#[derive(Clone, Copy)]
struct Remaining<'a> {
    reservation: Reservation,
    bookmark: &'a Bookmark,
}

impl<'a> Source<'a> {
    /// `bookmarks` has one for each chunk of the batch.
    pub(super) fn new(
        plan: &Plan<'_>,
        reservations: Vec<Reservation>,
        earlier: BTreeMap<u64, Vec<SerialPrefix>>,
        bookmarks: &'a [Bookmark],
    ) -> Result<Self, ManifestError> {
        let remaining = reservations.into_iter().map(|reservation| Remaining {
            bookmark: bookmark(bookmarks, reservation.chunk),
            reservation,
        });
        Ok(Self {
            remaining: remaining.collect(),
            manifest: plan.manifest.reread()?,
            earlier,
        })
    }
}

/// Where the check found a chunk of the batch.
pub(super) fn bookmark(bookmarks: &[Bookmark], chunk: u64) -> &Bookmark {
    &bookmarks[usize::try_from(chunk).expect("bookmarks fit into memory")]
}

impl Supply for Source<'_> {
    fn next(&mut self) -> Result<Option<Work>, ForgeError> {
        let Some(Remaining {
            reservation,
            bookmark,
        }) = self.remaining.pop_front()
        else {
            return Ok(None);
        };
        Ok(Some(Work {
            earlier: self.earlier.remove(&reservation.chunk).unwrap_or_default(),
            block: self.manifest.block(bookmark)?,
            reservation,
            term: None,
        }))
    }
}

/// A chunk that the store holds, though perhaps not durably yet.
struct Stored {
    chunk: Committed,
    index: Vec<u8>,
    digest: ChunkDigest,
    ticket: Ticket,
    term: Option<u64>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Devices whose bundles were released.
    pub made: u64,
    /// What a seal says of the chunks that were made; they are all released when none has failed.
    pub seal: Builder,
    /// Devices of the chunks that failed.
    pub failed: u64,
    /// The first thing that went wrong.
    pub failure: Option<ForgeError>,
}

impl Outcome {
    /// Of a batch of so many rows, before anything is made.
    pub(super) fn new(rows: u64) -> Self {
        Self {
            made: 0,
            seal: Builder::new(rows),
            failed: 0,
            failure: None,
        }
    }

    /// Adds what was made after it.
    pub(super) fn add(&mut self, later: Self) {
        self.made += later.made;
        self.failed += later.failed;
        self.seal.add_all(later.seal);
        self.failure = self.failure.take().or(later.failure);
    }

    /// What a seal says of the chunks, which is taken once.
    pub(super) fn take_seal(&mut self) -> Builder {
        std::mem::replace(&mut self.seal, Builder::new(1))
    }
}

/// Where the chunks of a batch go.
#[derive(Clone, Copy)]
pub(super) struct Stock<'a> {
    pub store: &'a Store,
    pub batch: &'a Batch,
    /// How the batch is shared with other hosts, if it is.
    pub share: Option<&'a dyn Share>,
}

impl Stock<'_> {
    /// Whether something may still be sent for a chunk: not when its lease has run out.
    fn is_held(&self, term: Option<u64>) -> bool {
        match (self.share, term) {
            (Some(share), Some(term)) => share.is_held(term),
            _ => true,
        }
    }

    /// Whether a chunk failed for no other reason than that another host has it now.
    fn is_elsewhere(&self, reservation: Reservation, term: Option<u64>, error: &ForgeError) -> bool {
        let Some(share) = self.share else {
            return false;
        };
        match error {
            ForgeError::Ledger(LedgerError::Superseded { .. } | LedgerError::ChunkCommitted { .. }) => true,
            ForgeError::Store(StoreError::Conflict { .. }) => {
                !self.is_held(term) || share.has(reservation).is_ok_and(|has| !has)
            }
            _ => false,
        }
    }
}

struct Shared<'a> {
    stock: Stock<'a>,
    plan: &'a Plan<'a>,
    source: Mutex<&'a mut dyn Supply>,
    cancel: &'a Cancel,
    stop: AtomicBool,
    failures_in_a_row: AtomicUsize,
    outcome: Mutex<Outcome>,
}

impl Shared<'_> {
    /// Records a failure and stops the handing out of chunks.
    fn fail(&self, devices: u64, error: ForgeError) {
        tracing::info!(devices, %error, "the run ends");
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = self.outcome.lock().expect("no holder panics");
        outcome.failed += devices;
        outcome.failure.get_or_insert(error);
    }

    /// Records the failure of a chunk. The others go on when it may be its alone.
    fn fail_chunk(&self, devices: u64, error: ForgeError) {
        tracing::info!(devices, %error, "a chunk has failed");
        let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let is_passing = matches!(&error, ForgeError::Store(error) if error.is_passing());
        if !is_passing || in_a_row >= FAILURES_IN_A_ROW {
            return self.fail(devices, error);
        }
        let mut outcome = self.outcome.lock().expect("no holder panics");
        outcome.failed += devices;
        outcome.failure.get_or_insert(error);
    }

    fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled() || self.stop.load(Ordering::Relaxed)
    }
}

/// So many threads that work.
pub(super) fn pool(jobs: usize) -> Result<ThreadPool, ForgeError> {
    ThreadPoolBuilder::new()
        .num_threads(jobs)
        .thread_name(|i| format!("forge-{i}"))
        .build()
        .map_err(|source| ForgeError::Threads { source })
}

/// Makes, stores, commits and releases every chunk of the source. Chunks are made on all threads of the pool, while
/// others are being stored.
pub(super) fn run(
    (plan, source): (&Plan<'_>, &mut dyn Supply),
    stock: Stock<'_>,
    ledger: &mut dyn Ledger,
    pool: &ThreadPool,
    observe: Observe<'_>,
    cancel: &Cancel,
) -> Outcome {
    let shared = Shared {
        stock,
        plan,
        source: Mutex::new(source),
        cancel,
        stop: AtomicBool::new(false),
        failures_in_a_row: AtomicUsize::new(0),
        outcome: Mutex::new(Outcome::new(stock.batch.rows)),
    };
    let (sender, receiver) = sync_channel(GROUP);
    std::thread::scope(|scope| {
        let shared = &shared;
        let committer = scope.spawn(move || commit(shared, &receiver, ledger, observe));
        let workers = (0..pool.current_num_threads() + STORING).map(|_| {
            let sender = sender.clone();
            scope.spawn(move || work(shared, pool, &sender))
        });
        let workers: Vec<_> = workers.collect();
        // The last sender is gone with the last worker, which ends the committer.
        drop(sender);
        for thread in workers.into_iter().chain([committer]) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    shared.outcome.into_inner().expect("no holder panics")
}

/// Stops the other workers when one panics; the panic itself goes on to the caller.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn work(shared: &Shared<'_>, pool: &ThreadPool, sender: &SyncSender<Stored>) {
    let _guard = StopOnPanic(&shared.stop);
    let mut workshop = Workshop::new(shared.plan);
    while !shared.is_stopped() {
        let next = shared.source.lock().expect("no holder panics").next();
        let work = match next {
            Ok(Some(work)) => work,
            Ok(None) => return,
            Err(error) => return shared.fail(0, error),
        };
        match make_and_store(shared, pool, &mut workshop, &work) {
            // The committer is gone only after a failure of its own, which it has recorded.
            Ok(Some(stored)) => {
                if sender.send(stored).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) if shared.stock.is_elsewhere(work.reservation, work.term, &error) => {
                tracing::info!(chunk = work.reservation.chunk, %error, "another host has this chunk now");
            }
            Err(error) => {
                let devices = shared.stock.batch.shape().rows_of(work.reservation.chunk);
                return shared.fail(devices, error);
            }
        }
    }
}

/// `None`: the lease of the chunk ran out, and nothing was sent.
fn make_and_store(
    shared: &Shared<'_>,
    pool: &ThreadPool,
    workshop: &mut Workshop<'_>,
    work: &Work,
) -> Result<Option<Stored>, ForgeError> {
    let (plan, reservation) = (shared.plan, work.reservation);
    let chunk = reservation.chunk;
    // Only so many make at a time as the pool has threads; who stores leaves his to another.
    let (entries, index, digest) = pool.install(|| {
        let (rows, _) = plan.manifest.parse_again(&work.block)?;
        let entries = workshop.make(&rows, reservation.prefix)?;
        let index = write_index(plan.layout, chunk, &entries);
        let digest = ChunkDigest::written(chunk, &index, &entries);
        Ok::<_, ForgeError>((entries, index, digest))
    })?;
    let mut objects = Vec::with_capacity(entries.len() + 1);
    match plan.layout.is_packed() {
        true => objects.push(Object {
            name: pack_object(chunk),
            body: workshop.pack(),
            sha256: None,
        }),
        false => {
            objects.extend(
                entries
                    .iter()
                    .zip(workshop.bundles())
                    .map(|(entry, body)| Object {
                        name: plan.layout.object(chunk, &entry.device_id),
                        body,
                        sha256: Some(entry.sha256),
                    }),
            );
        }
    }
    objects.push(Object {
        name: certificates_object(chunk),
        body: workshop.certificates(),
        sha256: None,
    });
    if !shared.stock.is_held(work.term) {
        tracing::info!(chunk, "the lease ran out before the chunk was stored");
        return Ok(None);
    }
    // An index is there only of what was committed: the ledger has forgotten it, and what is there must stay.
    let is_shared = shared.stock.share.is_some() && !work.earlier.is_empty();
    if is_shared && shared.stock.store.exists(&index_object(chunk))? {
        let location = shared.stock.store.location();
        return Err(ForgeError::ForeignChunk { location, chunk });
    }
    let earlier: Vec<String> = work.earlier.iter().map(SerialPrefix::attempt).collect();
    let attempt = Attempt {
        name: &reservation.prefix.attempt(),
        earlier: &earlier,
    };
    let ticket = shared.stock.store.put(&objects, attempt)?;
    Ok(Some(Stored {
        index,
        digest,
        chunk: Committed { reservation, entries },
        ticket,
        term: work.term,
    }))
}

fn commit(shared: &Shared<'_>, receiver: &Receiver<Stored>, ledger: &mut dyn Ledger, observe: Observe<'_>) {
    let mut released = Vec::new();
    while let Ok(first) = receiver.recv() {
        let group: Vec<Stored> = std::iter::once(first)
            .chain(receiver.try_iter().take(GROUP - 1))
            .collect();
        let group = flush(shared, group);
        let devices: u64 = group.iter().map(|(chunk, _)| chunk.entries.len() as u64).sum();
        match commit_group(shared, ledger, group, &mut released) {
            Ok(devices) => {
                shared.outcome.lock().expect("no holder panics").made += devices;
                observe(Event::Released { devices });
            }
            Err(error) => shared.fail(devices, error.into()),
        }
        if shared.stop.load(Ordering::Relaxed) {
            // The receiver is dropped, which stops the workers; their chunks stay uncommitted.
            break;
        }
    }
    if let Err(error) = ledger.mark_released(shared.stock.batch, &released) {
        shared.fail(0, error.into());
    }
}

/// A chunk that the store holds for good.
struct Durable {
    index: Release,
    digest: ChunkDigest,
    term: Option<u64>,
}

/// An index, its content, and what is put in its place with it.
type Release = (String, Vec<u8>, Aside);

/// Makes a group of chunks durable. A chunk that may be lost fails, and its devices are made anew by the
/// next run; the others are returned, with their indexes.
fn flush(shared: &Shared<'_>, group: Vec<Stored>) -> Vec<(Committed, Durable)> {
    let mut tickets = Vec::with_capacity(group.len());
    let mut chunks = Vec::with_capacity(group.len());
    for Stored {
        chunk,
        index,
        digest,
        ticket,
        term,
    } in group
    {
        tickets.push(ticket);
        chunks.push((chunk, index, digest, term));
    }
    let results = shared.stock.store.flush(tickets);
    let mut durable = Vec::with_capacity(chunks.len());
    for ((chunk, index, digest, term), result) in chunks.into_iter().zip(results) {
        match result.map_err(ForgeError::from) {
            Ok(aside) => {
                shared.failures_in_a_row.store(0, Ordering::Relaxed);
                let index = (index_object(chunk.reservation.chunk), index, aside);
                durable.push((chunk, Durable { index, digest, term }));
            }
            Err(error) if shared.stock.is_elsewhere(chunk.reservation, term, &error) => {
                tracing::info!(chunk = chunk.reservation.chunk, %error, "another host has this chunk now");
            }
            Err(error) => shared.fail_chunk(chunk.entries.len() as u64, error),
        }
    }
    durable
}

/// Commits a group of durable chunks, and releases it, in that order. Returns how many devices are
/// released; a chunk whose index could not be put in place has failed, and the next run releases it.
fn commit_group(
    shared: &Shared<'_>,
    ledger: &mut dyn Ledger,
    group: Vec<(Committed, Durable)>,
    released: &mut Vec<u64>,
) -> Result<u64, LedgerError> {
    let (mut chunks, mut durable): (Vec<Committed>, Vec<Durable>) = group.into_iter().unzip();
    // Those that another host has by now are left to it.
    while !chunks.is_empty() {
        let superseded = match ledger.commit(shared.stock.batch, &chunks, released) {
            Ok(()) => break,
            Err(LedgerError::Superseded { chunk, .. } | LedgerError::ChunkCommitted { chunk, .. })
                if shared.stock.share.is_some() =>
            {
                chunk
            }
            Err(error) => return Err(error),
        };
        tracing::info!(chunk = superseded, "another host has this chunk now");
        let at = chunks
            .iter()
            .position(|chunk| chunk.reservation.chunk == superseded);
        let at = at.expect("a ledger refuses what it was given");
        chunks.remove(at);
        durable.remove(at);
    }
    if chunks.is_empty() {
        return Ok(0);
    }
    tracing::debug!(chunks = chunks.len(), "committed");
    released.clear();
    // What is committed and not released is released by whoever comes next, this run or another.
    let pairs = chunks.into_iter().zip(durable);
    let (chunks, durable): (Vec<_>, Vec<_>) = pairs
        .filter(|(_, durable)| shared.stock.is_held(durable.term))
        .unzip();
    let (indexes, digests): (Vec<Release>, Vec<ChunkDigest>) = durable
        .into_iter()
        .map(|durable| (durable.index, durable.digest))
        .unzip();
    let results = shared.stock.store.release(&indexes);
    let mut devices = 0;
    for ((chunk, digest), result) in chunks.iter().zip(digests).zip(results) {
        let of_chunk = chunk.entries.len() as u64;
        match result {
            Ok(()) => {
                devices += of_chunk;
                shared.outcome.lock().expect("no holder panics").seal.add(digest);
                released.push(chunk.reservation.chunk);
                tracing::debug!(chunk = chunk.reservation.chunk, devices = of_chunk, "released");
            }
            Err(error) => shared.fail_chunk(of_chunk, error.into()),
        }
    }
    Ok(devices)
}
