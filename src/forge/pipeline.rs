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
use crate::batch::{Layout, certificates_object, index_object, write_index};
use crate::certificate::SerialPrefix;
use crate::ledger::{Batch, Committed, Ledger, LedgerError, Reservation};
use crate::manifest::{Bookmark, ManifestError, Reread, Unproven};
use crate::seal::{Builder, ChunkDigest};
use crate::store::{Aside, Attempt, Object, Store, Ticket};

/// Chunks that one transaction commits at most, and that wait for their turn at most.
const GROUP: usize = 32;

/// Chunks that are being stored while as many are made as the pool has threads.
const STORING: usize = 2;

/// So many chunks may fail one after the other, each for a reason that may pass, before no more are begun.
const FAILURES_IN_A_ROW: usize = 8;

/// Hands out the chunks that remain, in order, and reads no others.
pub(super) struct Source<'a> {
    manifest: Reread,
    remaining: VecDeque<Remaining<'a>>,
    plan: &'a Plan<'a>,
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
        plan: &'a Plan<'a>,
        reservations: Vec<Reservation>,
        bookmarks: &'a [Bookmark],
    ) -> Result<Self, ManifestError> {
        let remaining = reservations.into_iter().map(|reservation| Remaining {
            bookmark: &bookmarks[usize::try_from(reservation.chunk).expect("bookmarks fit into memory")],
            reservation,
        });
        Ok(Self {
            remaining: remaining.collect(),
            manifest: plan.manifest.reread()?,
            plan,
        })
    }

    fn next(&mut self) -> Result<Option<(Reservation, Unproven)>, ManifestError> {
        let Some(remaining) = self.remaining.pop_front() else {
            return Ok(None);
        };
        let block = self.manifest.block(remaining.bookmark)?;
        Ok(Some((remaining.reservation, block)))
    }
}

/// A chunk that the store holds, though perhaps not durably yet.
struct Stored {
    chunk: Committed,
    index: Vec<u8>,
    ticket: Ticket,
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

/// Where the chunks of a batch go.
#[derive(Clone, Copy)]
pub(super) struct Stock<'a> {
    pub store: &'a Store,
    pub batch: &'a Batch,
    /// The attempts at each chunk before this run, whose objects may be there.
    pub earlier: &'a BTreeMap<u64, Vec<SerialPrefix>>,
}

struct Shared<'a> {
    stock: Stock<'a>,
    plan: &'a Plan<'a>,
    source: Mutex<Source<'a>>,
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
    source: Source<'_>,
    stock: Stock<'_>,
    ledger: &mut dyn Ledger,
    pool: &ThreadPool,
    observe: Observe<'_>,
    cancel: &Cancel,
) -> Outcome {
    let shared = Shared {
        stock,
        plan: source.plan,
        source: Mutex::new(source),
        cancel,
        stop: AtomicBool::new(false),
        failures_in_a_row: AtomicUsize::new(0),
        outcome: Mutex::new(Outcome {
            made: 0,
            seal: Builder::new(stock.batch.rows),
            failed: 0,
            failure: None,
        }),
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
        let (reservation, block) = match next {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(error) => return shared.fail(0, error.into()),
        };
        match make_and_store(shared, pool, &mut workshop, reservation, &block) {
            // The committer is gone only after a failure of its own, which it has recorded.
            Ok(stored) => {
                if sender.send(stored).is_err() {
                    return;
                }
            }
            Err(error) => {
                let devices = shared.stock.batch.shape().rows_of(reservation.chunk);
                return shared.fail(devices, error);
            }
        }
    }
}

fn make_and_store(
    shared: &Shared<'_>,
    pool: &ThreadPool,
    workshop: &mut Workshop<'_>,
    reservation: Reservation,
    block: &Unproven,
) -> Result<Stored, ForgeError> {
    let plan = shared.plan;
    let chunk = reservation.chunk;
    // Only so many make at a time as the pool has threads; who stores leaves his to another.
    let (entries, index, digest) = pool.install(|| {
        let (rows, _) = plan.manifest.parse_again(block)?;
        let entries = workshop.make(&rows, reservation.prefix)?;
        let index = write_index(plan.layout, chunk, &entries);
        let digest = ChunkDigest::written(chunk, &index, &entries);
        Ok::<_, ForgeError>((entries, index, digest))
    })?;
    let mut objects = Vec::with_capacity(entries.len() + 1);
    match plan.layout {
        Layout::Packs => objects.push(Object {
            name: pack_object(chunk),
            body: workshop.pack(),
            sha256: None,
        }),
        Layout::Objects => {
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
    let earlier = shared.stock.earlier.get(&chunk);
    let earlier: Vec<String> = earlier.into_iter().flatten().map(SerialPrefix::attempt).collect();
    let attempt = Attempt {
        name: &reservation.prefix.attempt(),
        earlier: &earlier,
    };
    let ticket = shared.stock.store.put(&objects, attempt)?;
    let mut outcome = shared.outcome.lock().expect("no holder panics");
    outcome.seal.add(digest);
    Ok(Stored {
        index,
        chunk: Committed { reservation, entries },
        ticket,
    })
}

fn commit(shared: &Shared<'_>, receiver: &Receiver<Stored>, ledger: &mut dyn Ledger, observe: Observe<'_>) {
    let mut released = Vec::new();
    while let Ok(first) = receiver.recv() {
        let group: Vec<Stored> = std::iter::once(first)
            .chain(receiver.try_iter().take(GROUP - 1))
            .collect();
        let group = flush(shared, group);
        let devices: u64 = group.iter().map(|(chunk, ..)| chunk.entries.len() as u64).sum();
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

/// A chunk that the store holds for good, with the content of its index.
type Durable = (Committed, Vec<u8>, Aside);

/// Makes a group of chunks durable. A chunk that may be lost fails, and its devices are made anew by the
/// next run; the others are returned, with their indexes.
fn flush(shared: &Shared<'_>, group: Vec<Stored>) -> Vec<Durable> {
    let mut tickets = Vec::with_capacity(group.len());
    let mut chunks = Vec::with_capacity(group.len());
    for Stored { chunk, index, ticket } in group {
        tickets.push(ticket);
        chunks.push((chunk, index));
    }
    let results = shared.stock.store.flush(tickets);
    let mut durable = Vec::with_capacity(chunks.len());
    for ((chunk, index), result) in chunks.into_iter().zip(results) {
        match result {
            Ok(aside) => {
                shared.failures_in_a_row.store(0, Ordering::Relaxed);
                durable.push((chunk, index, aside));
            }
            Err(error) => shared.fail_chunk(chunk.entries.len() as u64, error.into()),
        }
    }
    durable
}

/// Commits a group of durable chunks, and releases it, in that order. Returns how many devices are
/// released; a chunk whose index could not be put in place has failed, and the next run releases it.
fn commit_group(
    shared: &Shared<'_>,
    ledger: &mut dyn Ledger,
    group: Vec<Durable>,
    released: &mut Vec<u64>,
) -> Result<u64, LedgerError> {
    if group.is_empty() {
        return Ok(0);
    }
    let (mut chunks, mut indexes) = (Vec::new(), Vec::new());
    for (chunk, index, aside) in group {
        indexes.push((index_object(chunk.reservation.chunk), index, aside));
        chunks.push(chunk);
    }
    ledger.commit(shared.stock.batch, &chunks, released)?;
    tracing::debug!(chunks = chunks.len(), "committed");
    released.clear();
    let results = shared.stock.store.release(&indexes);
    let mut devices = 0;
    for (chunk, result) in chunks.iter().zip(results) {
        let of_chunk = chunk.entries.len() as u64;
        match result {
            Ok(()) => {
                devices += of_chunk;
                released.push(chunk.reservation.chunk);
                tracing::debug!(chunk = chunk.reservation.chunk, devices = of_chunk, "released");
            }
            Err(error) => shared.fail_chunk(of_chunk, error.into()),
        }
    }
    Ok(devices)
}
