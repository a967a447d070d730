//! What `certforge bench` measures: each stage of the forge by itself, and the whole of it from manifest to sealed
//! bundles, on this machine.
//!
//! Invariants. What an engine makes is checked before it is timed; the bare library's work, which keeps nothing, only
//! has to succeed. A rate is held against what the bare library does in the same run, their rounds taking turns, so that
//! a noisy neighbour hits both. What is made here is in no ledger that lasts, and is gone when the run ends: with
//! measurements, with an error, or because somebody wants no more. Only a process that is killed leaves its folder behind.

mod bare;
mod compare;
mod discard;
mod end_to_end;
mod error;
mod fixture;
mod ledger;
mod machine;
mod measurements;
mod meter;
mod options;
mod pin;
mod scratch;
mod signer;
mod stages;
mod step;
mod workbench;

use std::path::PathBuf;

pub use compare::{Comparison, Difference, Line};
pub use error::BenchError;
pub use fixture::Fixture;
pub use machine::Machine;
pub use measurements::{EngineHere, Folder, Measure, Measurements, Quantity};
pub use meter::{Lap, Rate, Task, Turn};
pub use options::{Options, Part, Settings};
pub use scratch::Scratch;
pub use signer::{SignerRates, signer};
pub use step::Step;

use crate::forge::Cancel;
use step::Work;

/// What happens while it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So many steps lie ahead. All that they write is in this folder, which goes with the run; a process that ends
    /// before has to remove it.
    Begun { steps: usize, folder: PathBuf },
    /// A step begins.
    Measuring { what: String },
    /// Of the run of this step, so many devices are made.
    Made { devices: u64, of: u64 },
    /// The step has ended.
    Measured,
}

/// Gets the events, from any thread.
pub type Observe<'a> = &'a (dyn Fn(Event) + Sync);

/// Times the tasks of a step. There are none where a run shall be held to one processor and cannot.
pub type Timer<'a> = &'a mut dyn FnMut(&Step, &[Task<'_>]) -> Result<(), BenchError>;

/// What every step needs.
#[derive(Clone, Copy)]
struct Bench<'a> {
    settings: &'a Settings,
    scratch: &'a Scratch,
    observe: Observe<'a>,
    cancel: &'a Cancel,
}

/// Measures.
///
/// # Errors
///
/// When an engine that is named does not work here, nothing is left to measure, `options.to` cannot be written, or a
/// stage fails, whose error it then is.
pub fn run(options: &Options, observe: Observe<'_>, cancel: &Cancel) -> Result<Measurements, BenchError> {
    let mut measurements = Measurements::new(options)?;
    each_step(options, observe, cancel, &mut |step, tasks| {
        let rates = meter::rates(tasks, step.threads, options.settings.time(), cancel)?;
        measurements.take(step, tasks, rates);
        Ok(())
    })?;
    Ok(measurements)
}

/// Prepares all that is measured, step by step, for whoever times it.
///
/// # Errors
///
/// As [`run`].
pub fn each_step(
    options: &Options,
    observe: Observe<'_>,
    cancel: &Cancel,
    timer: Timer<'_>,
) -> Result<(), BenchError> {
    // 1. Decide what to measure; leave out engines that do not work here, unless somebody named them.
    let steps = step::steps(options)?;

    // 2. Make a folder for all that is written. It goes when this function ends.
    let scratch = Scratch::new(&options.to)?;
    let bench = Bench {
        settings: &options.settings,
        scratch: &scratch,
        observe,
        cancel,
    };
    observe(Event::Begun {
        steps: steps.len(),
        folder: scratch.path().to_owned(),
    });

    // 3. Step by step.
    for step in &steps {
        if cancel.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
        observe(Event::Measuring {
            what: step.to_string(),
        });
        match &step.work {
            Work::Stages(made_by, quantities) => stages::each(bench, step, *made_by, quantities, timer)?,
            Work::Sha256 => timer(step, &[stages::sha256_task()])?,
            Work::Ledger => timer(step, &[ledger::task(bench)])?,
            Work::Run(made_by, layout) => end_to_end::each(bench, step, *made_by, *layout, timer)?,
        }
        observe(Event::Measured);
    }
    Ok(())
}
