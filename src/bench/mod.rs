//! What `certforge bench` measures: each stage of the forge by itself, and the whole of it from manifest to sealed
//! bundles, on this machine.
//!
//! Invariants. What an engine makes is checked before it is timed; the bare library's work, which keeps nothing, only
//! has to succeed. A rate is held against what the bare library does in the same run, their rounds taking turns, so that
//! a noisy neighbour hits both. What is made here is in no ledger that lasts, and is gone when the run ends: with a
//! report, with an error, or because somebody wants no more. Only a process that is killed leaves its folder behind.

mod bare;
mod compare;
mod digests;
mod discard;
mod disk;
mod end_to_end;
pub mod engines;
mod error;
pub mod fixture;
mod ledger;
mod machine;
mod meter;
mod pin;
mod plan;
mod report;
mod scratch;
mod stages;
mod workbench;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Line, Warning};
pub use error::BenchError;
pub use machine::Machine;
pub use meter::Rate;
pub use report::{EngineReport, Measure, Place, Quantity, Report, Settings};
pub use scratch::Scratch;

use crate::batch::Layout;
use crate::engine::Choice;
use crate::forge::Cancel;
use crate::profile::KeyType;
use plan::{Plan, Step};

/// What shall be measured, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Engines, each of which must work here. Default: none named, which is all that work here.
    pub engines: Vec<Choice>,
    /// Types of device keys and of the CA's key. Default: none named, which is keys and signatures of P-256 and P-384,
    /// keys of RSA-2048 and RSA-3072, and everything else of P-256.
    pub key_types: Vec<KeyType>,
    /// What to measure. Default: all of it.
    pub parts: Vec<Part>,
    /// Threads of the second figure of each measure; the first is of one. Default: one a core.
    pub jobs: usize,
    /// Whether a rough answer will do. Default: no.
    pub quick: bool,
    /// Time for a measure. Default: 0.3 s, or 0.05 s when it shall be quick.
    pub time: Option<Duration>,
    /// Rows of the manifest of an end-to-end run. Default: 20,000, or 8,000 when it shall be quick; of RSA keys 64, or 8.
    pub rows: Option<NonZeroU64>,
    /// Layouts of the end-to-end runs. Default: none named, which is both, and packs alone when it shall be quick or
    /// bundles are discarded.
    pub layouts: Vec<Layout>,
    /// Folder for what is written: manifests, ledgers, bundles. Default: the system's for temporary files.
    pub to: PathBuf,
    /// Whether bundles go to a store that forgets them. The manifest and the ledger are written in any case.
    /// Default: no.
    pub discard: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engines: Vec::new(),
            key_types: Vec::new(),
            parts: Part::ALL.to_vec(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            quick: false,
            time: None,
            rows: None,
            layouts: Vec::new(),
            to: std::env::temp_dir(),
            discard: false,
        }
    }
}

impl Options {
    fn time(&self) -> Duration {
        let default = Duration::from_millis(if self.quick { 50 } else { 300 });
        self.time.unwrap_or(default)
    }

    fn rows(&self, key_type: KeyType) -> u64 {
        let default = match (key_type.is_rsa(), self.quick) {
            (false, false) => 20_000,
            (false, true) => 8_000,
            (true, false) => 64,
            (true, true) => 8,
        };
        self.rows.map_or(default, NonZeroU64::get)
    }

    fn layouts(&self) -> Vec<Layout> {
        match (self.layouts.is_empty(), self.quick || self.discard) {
            (false, _) => self.layouts.clone(),
            (true, false) => vec![Layout::Packs, Layout::Objects],
            // A store that forgets them makes no difference between the two; a file for each takes long.
            (true, true) => vec![Layout::Packs],
        }
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Numbers of threads, one first.
    fn threads(&self) -> Vec<usize> {
        match self.jobs {
            0 | 1 => vec![1],
            jobs => vec![1, jobs],
        }
    }
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Key pairs, as PKCS#8.
    Keys,
    /// Signatures over a TBSCertificate.
    Signatures,
    /// Key, and certificate: stamped, linted, signed.
    Certificates,
    /// The same, packaged: all that a run stores of a chunk.
    Bundles,
    /// Octets through SHA-256.
    Sha256,
    /// Rows committed to the ledger.
    Ledger,
    /// The whole: manifest to sealed bundles.
    Run,
}

impl Part {
    pub const ALL: [Self; 7] = [
        Self::Keys,
        Self::Signatures,
        Self::Certificates,
        Self::Bundles,
        Self::Sha256,
        Self::Ledger,
        Self::Run,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Signatures => "signatures",
            Self::Certificates => "certificates",
            Self::Bundles => "bundles",
            Self::Sha256 => "sha256",
            Self::Ledger => "ledger",
            Self::Run => "run",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|part| part.as_str() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::as_str).join(", ");
                format!("there is no such part; there are {names}")
            })
    }
}

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

/// What every step needs.
#[derive(Clone, Copy)]
struct Bench<'a> {
    options: &'a Options,
    scratch: &'a Scratch,
    observe: Observe<'a>,
    cancel: &'a Cancel,
}

impl Bench<'_> {
    /// Ends the run when somebody asked for it.
    fn go_on(&self) -> Result<(), BenchError> {
        match self.cancel.is_cancelled() {
            true => Err(BenchError::Interrupted),
            false => Ok(()),
        }
    }
}

/// Measures.
///
/// # Errors
///
/// When an engine that is named does not work here, nothing is left to measure, `options.to` cannot be written, or a
/// stage fails, whose error it then is.
pub fn run(options: &Options, observe: Observe<'_>, cancel: &Cancel) -> Result<Report, BenchError> {
    // 1. Decide what to measure; leave out engines that do not work here, unless somebody named them.
    let plan = Plan::new(options)?;

    // 2. Make a folder for all that is written. It goes when this function ends.
    let scratch = Scratch::new(&options.to)?;
    let mut report = Report::new(options, &plan, &scratch);
    let bench = Bench {
        options,
        scratch: &scratch,
        observe,
        cancel,
    };

    // 3. Measure, step by step.
    observe(Event::Begun {
        steps: plan.steps.len(),
        folder: scratch.path().to_owned(),
    });
    for step in &plan.steps {
        bench.go_on()?;
        observe(Event::Measuring {
            what: step.to_string(),
        });
        match step {
            Step::Stages(step) => report.add(stages::measure(bench, step)?),
            Step::Sha256 { threads } => report.add(digests::measure(bench, *threads)?),
            Step::Ledger => report.add(ledger::measure(bench)?),
            Step::Run(step) => {
                let measures = end_to_end::measure(bench, step)?;
                report.has_left_out_runs |= measures.is_empty();
                report.add(measures);
                report.peak_memory_octets = machine::peak_memory();
            }
        }
        observe(Event::Measured);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_json_names_them() {
        for part in Part::ALL {
            assert_eq!(part.as_str().parse(), Ok(part));
            assert_eq!(serde_json::to_value(part).unwrap(), part.as_str());
        }
        assert!("key".parse::<Part>().unwrap_err().ends_with("ledger, run"));
    }

    #[test]
    fn one_thread_is_measured_once() {
        let with = |jobs| Options {
            jobs,
            ..Options::default()
        };
        assert_eq!(with(1).threads(), [1]);
        assert_eq!(with(8).threads(), [1, 8]);
    }
}
