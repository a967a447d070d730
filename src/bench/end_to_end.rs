//! End to end: `forge::run` of a generated manifest, from the check of its rows to the seal.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rayon::ThreadPoolBuilder;

use super::discard::DiscardStore;
use super::disk::write_plainly;
use super::fixture::Fixture;
use super::ledger::round_of;
use super::meter::{ROUNDS, Rate};
use super::pin::on_one_processor;
use super::plan::RunStep;
use super::{Bench, BenchError, Event, Measure, Quantity};
use crate::engine::Choice;
use crate::forge::{self, ForgeError};
use crate::ledger;
use crate::store::{DirStore, Store, StoreError};

/// Runs are as long as they are: after this many times the time of a measure there is no further round.
const TIMES: u32 = 4;

/// A run that has ended.
struct Made {
    elapsed: Duration,
    /// Octets of the batch.
    octets: u64,
}

/// Measures runs, and beside each the same octets written plainly, if the bundles are kept. Nothing where a run cannot
/// be held to one processor and should be.
pub(super) fn measure(bench: Bench<'_>, step: &RunStep) -> Result<Vec<Measure>, BenchError> {
    let scratch = bench.scratch.folder()?;
    let rows = bench.options.rows(step.key_type);
    let engines = Choice::Named(step.engine.name().to_owned());
    let fixture = Fixture::new(scratch.path(), step.key_type, rows, engines)?;
    let (mut runs, mut plain, mut octets) = (Vec::new(), Vec::new(), 0);
    let mut spent = Duration::ZERO;
    while runs.len() < ROUNDS && spent < TIMES * bench.options.time() {
        bench.go_on()?;
        let place = scratch.folder()?;
        let Some(made) = run_on(bench, step, &fixture, place.path()) else {
            return Ok(Vec::new());
        };
        let made = made?;
        spent += made.elapsed;
        octets = made.octets;
        runs.push(round_of(rows, made.elapsed));
        drop(place);
        if !bench.options.discard {
            let place = scratch.folder()?;
            let path = place.path().join("octets");
            let elapsed =
                write_plainly(&path, octets).map_err(|source| BenchError::Write { path, source })?;
            plain.push(round_of(octets, elapsed));
        }
    }
    let measure = |quantity, rounds: &[_]| Measure {
        engine: Some(step.engine.name().to_owned()),
        key_type: Some(step.key_type),
        layout: Some(step.layout),
        octets: Some(octets),
        ..Measure::new(quantity, step.threads, Rate::of(rounds))
    };
    let mut measures = vec![measure(Quantity::Devices, &runs)];
    if !plain.is_empty() {
        measures.push(measure(Quantity::PlainOctets, &plain));
    }
    Ok(measures)
}

/// One run, on as many processors as it has threads; one thread that works has others beside it that commit, and all
/// of these share its processor.
fn run_on(
    bench: Bench<'_>,
    step: &RunStep,
    fixture: &Fixture,
    place: &Path,
) -> Option<Result<Made, BenchError>> {
    let run = || {
        // The lookup is written on the pool that a run is called in, which must have no other threads either.
        let pool = ThreadPoolBuilder::new()
            .num_threads(step.threads)
            .build()
            .map_err(|source| BenchError::Threads { source })?;
        pool.install(|| run(bench, step, fixture, place))
    };
    match step.threads {
        1 => on_one_processor(run),
        _ => Some(run()),
    }
}

fn run(bench: Bench<'_>, step: &RunStep, fixture: &Fixture, place: &Path) -> Result<Made, BenchError> {
    let job = fixture.job(step.layout, step.threads);
    let discard = DiscardStore::default();
    let batch = place.join("batch");
    let open = |_: &str| -> Result<Box<dyn Store>, StoreError> {
        Ok(match bench.options.discard {
            true => Box::new(discard.clone()),
            false => Box::new(DirStore::new(batch.clone())),
        })
    };
    let (done, of) = (AtomicU64::new(0), bench.options.rows(step.key_type));
    let observe = |event| {
        if let forge::Event::Released { devices } = event {
            let devices = done.fetch_add(devices, Ordering::Relaxed) + devices;
            (bench.observe)(Event::Made { devices, of });
        }
    };
    let mut ledger = ledger::open(&place.join("ledger.db"), [0; 16])?;
    let summary = forge::run(&job, &mut *ledger, &open, &observe, bench.cancel)?;
    if let Some(failure) = summary.failure {
        return Err(failure.into());
    }
    bench.go_on()?;
    assert!(
        summary.sealed && summary.made == of,
        "a run that nothing stopped is whole"
    );
    let octets = match bench.options.discard {
        true => discard.octets(),
        false => octets_in(&batch)?,
    };
    Ok(Made {
        elapsed: summary.elapsed,
        octets,
    })
}

/// Octets of all objects of a batch.
fn octets_in(batch: &Path) -> Result<u64, BenchError> {
    let mut octets = 0;
    DirStore::new(batch.to_owned())
        .list("", &mut |listed| octets += listed.size)
        .map_err(ForgeError::from)?;
    Ok(octets)
}
