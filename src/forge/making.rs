//! The making of a batch that is begun: by this run alone, or by several hosts that share a ledger.

use rayon::ThreadPool;

use super::agreement::{self, Chunks};
use super::pipeline::{self, Outcome, Source, Stock};
use super::plan::Plan;
use super::sharing::Part;
use super::{Cancel, Care, Event, ForgeError, Job, Observe, Shard, sealing, strays};
use crate::batch::BatchRecord;
use crate::certificate::SerialPrefix;
use crate::engine::{EngineError, Random};
use crate::ledger::{Batch, Ledger, LedgerError, PassedOver, Share};
use crate::manifest::Bookmark;
use crate::store::Store;

/// What is made, where it goes, and who is told.
pub(super) struct Making<'a> {
    pub job: &'a Job<'a>,
    pub care: &'a Care<'a>,
    pub passed_over: &'a PassedOver,
    pub plan: &'a Plan<'a>,
    pub store: &'a Store,
    pub batch: &'a Batch,
    pub record: &'a BatchRecord,
    /// One for each chunk of the batch.
    pub bookmarks: &'a [Bookmark],
    pub pool: &'a ThreadPool,
    pub observe: Observe<'a>,
    pub cancel: &'a Cancel,
}

/// What came of it.
pub(super) struct Made {
    /// Devices of the batch, or of the shard.
    pub devices: u64,
    /// Devices that were released before.
    pub skipped: u64,
    pub outcome: Outcome,
    /// Whether all of them are released now.
    pub is_complete: bool,
    /// Whether the whole batch is sealed.
    pub sealed: bool,
}

impl Making<'_> {
    /// Makes what remains: alone, or among others where the ledger is shared. `committed`: the chunks that were when this run
    /// began.
    pub(super) fn make(&self, ledger: &mut dyn Ledger, committed: &Chunks) -> Result<Made, ForgeError> {
        match ledger.share(self.batch)? {
            None => self.alone(ledger),
            Some(share) => self.among_others(ledger, &*share, committed),
        }
    }

    fn alone(&self, ledger: &mut dyn Ledger) -> Result<Made, ForgeError> {
        let (job, batch) = (self.job, self.batch);
        // 6. Release what was committed and not yet released. Reserve every chunk that remains, each with the prefix of its
        //    serials.
        agreement::release_committed(self.store, ledger, batch)?;
        let (remaining, devices) = remaining(ledger, batch, job.shard)?;
        let skipped = devices - self.rows_of(&remaining);
        let earlier = strays::shared_out(ledger.attempts(batch)?, &remaining, batch.shape());
        let reservations = ledger.reserve(batch, &draw_prefixes(&remaining)?, job.now)?;
        self.care.keep_mark(ledger, self.passed_over)?;
        self.tell_begun(devices, skipped);

        // 7. Make, store, commit and release, chunk by chunk, on all cores.
        let mut source = Source::new(self.plan, reservations, earlier, self.bookmarks)?;
        let stock = Stock {
            store: self.store,
            batch,
            share: None,
        };
        let outcome = pipeline::run(
            (self.plan, &mut source),
            stock,
            ledger,
            self.pool,
            self.observe,
            self.cancel,
        );

        // 8. Seal what is complete: the batch, or what this shard has of it.
        let is_complete = skipped + outcome.made == devices;
        Ok(self.seal_alone(ledger, (devices, skipped), outcome, is_complete))
    }

    fn seal_alone(
        &self,
        ledger: &mut dyn Ledger,
        (devices, skipped): (u64, u64),
        mut outcome: Outcome,
        is_complete: bool,
    ) -> Made {
        let mut sealed = false;
        if outcome.failure.is_none() && is_complete {
            let seal = outcome.take_seal();
            let (store, batch, record, job) = (self.store, self.batch, self.record, self.job);
            let result = self.pool.install(move || match job.shard {
                None => sealing::seal_made(store, ledger, batch, record, job, seal).map(|_| true),
                Some(shard) => {
                    sealing::seal_shard(store, ledger, batch, record, (job, shard), seal).map(|()| false)
                }
            });
            match result {
                Ok(is_whole) => sealed = is_whole,
                Err(error) => outcome.failure = Some(error),
            }
        }
        Made {
            devices,
            skipped,
            outcome,
            is_complete,
            sealed,
        }
    }

    /// The same steps, a few chunks at a time, until all of the batch are made by whomever.
    fn among_others(
        &self,
        ledger: &mut dyn Ledger,
        share: &dyn Share,
        committed: &Chunks,
    ) -> Result<Made, ForgeError> {
        let part = Part {
            plan: self.plan,
            store: self.store,
            batch: self.batch,
            share,
            bookmarks: self.bookmarks,
            pool: self.pool,
            observe: self.observe,
            cancel: self.cancel,
        };
        let released = committed.iter().filter(|(_, released)| *released);
        let released: Vec<u64> = released.map(|(chunk, _)| *chunk).collect();
        let (devices, skipped) = (self.batch.rows, self.rows_of(&released));
        // What is reserved from here on is ahead of the mark, which may be.
        self.care.keep_mark(ledger, self.passed_over)?;
        self.tell_begun(devices, skipped);
        let made = part.make(ledger).map(|(mut outcome, is_complete)| {
            let mut sealed = false;
            if outcome.failure.is_none() && is_complete {
                let (store, batch, record, job) = (self.store, self.batch, self.record, self.job);
                let (ledger, made) = (&mut *ledger, outcome.take_seal());
                let pool = self.pool;
                let result = part.seal(|| {
                    pool.install(move || sealing::seal_made(store, ledger, batch, record, job, made))
                });
                match result {
                    Ok(ended) => sealed = ended,
                    Err(error) => outcome.failure = Some(error),
                }
            }
            Made {
                devices,
                skipped,
                outcome,
                is_complete,
                sealed,
            }
        });
        if let Err(error) = self.care.keep_mark(ledger, self.passed_over) {
            tracing::info!(%error, "the mark stays where it was when this run began");
        }
        // What is in hand goes back, however it ended.
        if let Err(error) = share.leave() {
            tracing::info!(%error, "others wait until the leases have run out");
        }
        made
    }

    fn rows_of(&self, chunks: &[u64]) -> u64 {
        chunks
            .iter()
            .map(|chunk| self.batch.shape().rows_of(*chunk))
            .sum()
    }

    fn tell_begun(&self, devices: u64, skipped: u64) {
        let (batch, place) = (&self.batch.name, self.store.location());
        tracing::info!(batch, place, devices, skipped, "work begins");
        (self.observe)(Event::Begun {
            batch: batch.clone(),
            devices,
            skipped,
        });
    }
}

fn draw_prefixes(chunks: &[u64]) -> Result<Vec<(u64, SerialPrefix)>, EngineError> {
    let draw = |chunk: &u64| Ok((*chunk, SerialPrefix::draw(Random)?));
    chunks.iter().map(draw).collect()
}

/// The chunks that are still to be made, and how many devices there are in all; of one shard, or of the batch.
fn remaining(
    ledger: &dyn Ledger,
    batch: &Batch,
    shard: Option<Shard>,
) -> Result<(Vec<u64>, u64), LedgerError> {
    let is_own = |chunk: &u64| shard.is_none_or(|shard| shard.has(*chunk));
    let mut remaining = ledger.remaining(batch)?;
    remaining.retain(is_own);
    let own = (0..batch.shape().chunks()).filter(is_own);
    Ok((remaining, own.map(|chunk| batch.shape().rows_of(chunk)).sum()))
}
