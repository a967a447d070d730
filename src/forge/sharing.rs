//! A batch that several hosts make: this one leases chunks that nobody has, a few ahead of what it makes, until there are
//! none; takes over what others have lost; and seals the batch unless another does.
//!
//! ```text
//!   feeder: lease, read ─► queue ─► pipeline          heart: renew the leases
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rayon::ThreadPool;

use super::pipeline::{self, Outcome, Stock, Supply, Work};
use super::plan::Plan;
use super::{Cancel, Event, ForgeError, Observe, agreement};
use crate::certificate::SerialPrefix;
use crate::engine::{EngineError, Random};
use crate::ledger::{Batch, Ledger, Share};
use crate::manifest::{Bookmark, DeviceId, ManifestError, Reread};
use crate::store::Store;

/// How often it looks what became of the others' chunks when it has none.
const LOOK: Duration = Duration::from_millis(500);

/// What a host needs to do its part.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub plan: &'a Plan<'a>,
    pub store: &'a Store,
    pub batch: &'a Batch,
    pub share: &'a dyn Share,
    pub bookmarks: &'a [Bookmark],
    pub pool: &'a ThreadPool,
    pub observe: Observe<'a>,
    pub cancel: &'a Cancel,
}

impl Part<'_> {
    /// Makes and releases chunks until all of the batch are released, by whomever. Returns what this host has made, and
    /// whether the batch is complete.
    pub(super) fn make(&self, ledger: &mut dyn Ledger) -> Result<(Outcome, bool), ForgeError> {
        let heart = Heart::default();
        std::thread::scope(|scope| {
            scope.spawn(|| heart.beat(self.share));
            // However this ends, the heart has to stop.
            let _stop = Stop(&heart);
            self.make_all(ledger)
        })
    }

    fn make_all(&self, ledger: &mut dyn Ledger) -> Result<(Outcome, bool), ForgeError> {
        let mut all = Outcome::new(self.batch.rows);
        let mut told = Vec::new();
        let leased = Leased::default();
        loop {
            let (unreleased, term) = self.share.take_unreleased()?;
            let released = agreement::release_chunks(self.store, ledger, self.batch, &unreleased, &|| {
                self.share.is_held(term)
            })?;
            all.made += self.own_of(&released, &leased);
            let mut feeder = Feeder::new(self, &leased)?;
            feeder.fill()?;
            if !feeder.is_empty() {
                all.add(self.pass(feeder, ledger));
            }
            let progress = self.share.progress()?;
            let is_complete = progress.unreleased == 0;
            if is_complete || all.failure.is_some() || self.cancel.is_cancelled() {
                return Ok((all, is_complete));
            }
            if progress.hosts != told && !progress.hosts.is_empty() {
                (self.observe)(Event::Waiting {
                    chunks: progress.unreleased,
                    hosts: progress.hosts.clone(),
                });
                told = progress.hosts;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Devices of chunks that were released later than they were committed, and that this run has made: it was cut off from the
    /// ledger or the store in between.
    fn own_of(&self, released: &[(u64, SerialPrefix)], leased: &Leased) -> u64 {
        let leased = leased.lock().expect("no holder panics");
        let own = released.iter().filter(|(_, prefix)| leased.contains(prefix));
        let devices = own.map(|(chunk, _)| self.batch.shape().rows_of(*chunk)).sum();
        if devices > 0 {
            (self.observe)(Event::Released { devices });
        }
        devices
    }

    /// Makes all that the feeder gets.
    fn pass(&self, feeder: Feeder<'_>, ledger: &mut dyn Ledger) -> Outcome {
        // As many as are made at a time wait for their turn.
        let (sender, receiver) = sync_channel(self.ahead());
        let mut fed = Fed { receiver };
        let failure = Mutex::new(None);
        let stock = Stock {
            store: self.store,
            batch: self.batch,
            share: Some(self.share),
        };
        let outcome = std::thread::scope(|scope| {
            let failure = &failure;
            // The sender goes with the feeder, which ends the pipeline.
            scope.spawn(move || {
                if let Err(error) = feeder.feed(&sender) {
                    *failure.lock().expect("no holder panics") = Some(error);
                }
            });
            let outcome = pipeline::run(
                (self.plan, &mut fed),
                stock,
                ledger,
                self.pool,
                self.observe,
                self.cancel,
            );
            // The feeder ends when nobody takes what it has.
            drop(fed);
            outcome
        });
        match failure.into_inner().expect("no holder panics") {
            Some(error) if outcome.failure.is_none() => Outcome {
                failure: Some(error),
                ..outcome
            },
            _ => outcome,
        }
    }

    /// Chunks that are leased at a time, and that wait for their turn.
    fn ahead(&self) -> usize {
        2 * self.pool.current_num_threads()
    }

    /// Seals the batch, or waits until another has. Returns whether it is sealed.
    pub(super) fn seal<T>(&self, seal: impl FnOnce() -> Result<T, ForgeError>) -> Result<bool, ForgeError> {
        let heart = Heart::default();
        std::thread::scope(|scope| {
            scope.spawn(|| heart.beat(self.share));
            let _stop = Stop(&heart);
            loop {
                if self.share.take_seal()? {
                    seal()?;
                    self.share.sealed()?;
                    return Ok(true);
                }
                if self.share.progress()?.sealed {
                    return Ok(true);
                }
                if self.cancel.is_cancelled() {
                    return Ok(false);
                }
                std::thread::sleep(LOOK);
            }
        })
    }
}

/// Renews the leases until it is told to stop.
#[derive(Default)]
struct Heart {
    stops: Mutex<bool>,
    told: Condvar,
}

impl Heart {
    fn beat(&self, share: &dyn Share) {
        loop {
            let stops = self.stops.lock().expect("no holder panics");
            let (stops, _) = self
                .told
                .wait_timeout_while(stops, share.renewal(), |stops| !*stops)
                .expect("no holder panics");
            if *stops {
                return;
            }
            drop(stops);
            // Whoever commits next is told the same.
            if let Err(error) = share.renew() {
                tracing::info!(%error, "the leases were not renewed");
            }
        }
    }
}

/// Stops the heart at the end.
struct Stop<'a>(&'a Heart);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        *self.0.stops.lock().expect("no holder panics") = true;
        self.0.told.notify_all();
    }
}

/// The attempts that this run has leased.
type Leased = Mutex<BTreeSet<SerialPrefix>>;

/// Leases chunks and reads their rows.
struct Feeder<'a> {
    manifest: Reread,
    part: &'a Part<'a>,
    leased: &'a Leased,
    ready: VecDeque<Work>,
}

impl<'a> Feeder<'a> {
    fn new(part: &'a Part<'a>, leased: &'a Leased) -> Result<Self, ManifestError> {
        Ok(Self {
            manifest: part.plan.manifest.reread()?,
            part,
            leased,
            ready: VecDeque::new(),
        })
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Takes a few chunks, or none if there is none that nobody has.
    fn fill(&mut self) -> Result<(), ForgeError> {
        let part = self.part;
        let prefixes: Result<Vec<SerialPrefix>, EngineError> =
            (0..part.ahead()).map(|_| SerialPrefix::draw(Random)).collect();
        let (mut blocks, mut failure) = (VecDeque::new(), None);
        let manifest = &mut self.manifest;
        let mut device_ids = |chunk: u64| -> Option<Vec<DeviceId>> {
            let mut read = || {
                let block = manifest.block(pipeline::bookmark(part.bookmarks, chunk))?;
                let (rows, _) = part.plan.manifest.parse_again(&block)?;
                let ids = rows.iter().map(|row| row.device_id.clone()).collect();
                Ok::<_, ManifestError>((block, ids))
            };
            match read() {
                Ok((block, ids)) => {
                    blocks.push_back((chunk, block));
                    Some(ids)
                }
                Err(error) => {
                    failure = Some(error);
                    None
                }
            }
        };
        let leases = part.share.lease(&prefixes?, &mut device_ids)?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        let own = leases.iter().map(|lease| lease.reservation.prefix);
        self.leased.lock().expect("no holder panics").extend(own);
        for lease in leases {
            // A transaction that was done again has read its chunks again.
            let chunk = lease.reservation.chunk;
            let at = blocks.iter().position(|(of, _)| *of == chunk);
            let block = match at.and_then(|at| blocks.remove(at)) {
                Some((_, block)) => block,
                None => self.manifest.block(pipeline::bookmark(part.bookmarks, chunk))?,
            };
            self.ready.push_back(Work {
                reservation: lease.reservation,
                earlier: lease.earlier,
                block,
                term: Some(lease.term),
            });
        }
        Ok(())
    }

    /// Hands on what it takes, until there is nothing to take, or nobody to hand it to.
    fn feed(mut self, sender: &SyncSender<Work>) -> Result<(), ForgeError> {
        loop {
            while let Some(work) = self.ready.pop_front() {
                if sender.send(work).is_err() {
                    return Ok(());
                }
            }
            if self.part.cancel.is_cancelled() {
                return Ok(());
            }
            self.fill()?;
            if self.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What the feeder has handed on.
struct Fed {
    receiver: Receiver<Work>,
}

impl Supply for Fed {
    fn next(&mut self) -> Result<Option<Work>, ForgeError> {
        Ok(self.receiver.recv().ok())
    }
}
