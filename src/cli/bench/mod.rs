//! `certforge bench`.

mod progress;
mod side_by_side;
mod table;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use certforge::batch::Layout;
use certforge::bench::{self, Comparison, Event, Options, Part, Report};
use certforge::engine::{Choice, MultiBuffer};
use certforge::forge::Cancel;
use certforge::profile::KeyType;
use clap::Args;
use serde::Serialize;

use super::{Outcome, exit, print, print_json};

/// Ends a measurement early when somebody asks for it.
static CANCEL: Cancel = Cancel::new();

/// Where the measurement writes, once it does.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

#[derive(Debug, Args)]
pub struct Bench {
    /// Take some ten seconds, for a rough answer
    #[arg(long)]
    quick: bool,
    /// auto, multi-buffer, aws-lc or ring; may be given again [default: all that work here]
    #[arg(long = "engine", value_name = "ENGINE")]
    engines: Vec<String>,
    /// crypto_mb, for engine multi-buffer [default: as CERTFORGE_CRYPTO_MB says, else in the Python environment or the usual folders]
    #[arg(long, value_name = "FILE|DIR")]
    crypto_mb: Option<PathBuf>,
    /// Type of all keys; may be given again [default: P-256 for everything, P-384 for keys and signatures, RSA-2048 and RSA-3072 for keys]
    #[arg(long = "key-type", value_name = "TYPE")]
    key_types: Vec<KeyType>,
    /// Threads, beside one [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Seconds for each measure [default: 0.3; 0.05 with --quick]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Rows of the manifest of a run [default: 20000; 8000 with --quick; 64 and 8 of RSA keys]
    #[arg(long, value_name = "N", value_parser = rows)]
    rows: Option<NonZeroU64>,
    /// objects or packs, for runs [default: both; packs with --quick or --discard]
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<Layout>,
    /// Folder for manifests, ledgers and bundles; nothing is left there [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Keep no bundles: for more rows than the disk has room for
    #[arg(long)]
    discard: bool,
    /// What to measure, of keys, signatures, certificates, bundles, sha256, ledger, run; with commas between [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
    /// Hold the rates against those of a report that --json printed
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        if let Some(path) = &self.crypto_mb {
            MultiBuffer::give_library(path.clone());
        }
        // First, so that a file that is none costs no minute.
        let before = self.compare.as_deref().map(Report::read).transpose()?;
        handle_interrupts();
        let result = {
            let progress = progress::Progress::default();
            let observe = |event| {
                if let Event::Begun { folder, .. } = &event {
                    FOLDER.get_or_init(|| folder.clone());
                }
                progress.show(event);
            };
            bench::run(&self.options(), &observe, &CANCEL)
        };
        if let Some(folder) = FOLDER.get() {
            warn_if_left(folder);
        }
        let report = result?;
        let comparison = before.map(|before| Comparison::new(&before, &report));
        if self.json {
            print_json(&Document {
                report: &report,
                comparison: comparison.as_ref(),
            });
        } else {
            print(&table::report(&report));
            if let Some(comparison) = &comparison {
                print(&side_by_side::comparison(comparison));
            }
        }
        for warning in comparison.iter().flat_map(|comparison| &comparison.warnings) {
            eprintln!("certforge: warning: the reports differ in more than rates; {warning}");
        }
        if !report.optimised {
            eprintln!(
                "certforge: warning: this certforge was built without optimisation; its own rates are low"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn options(&self) -> Options {
        let default = Options::default();
        Options {
            engines: self.engines.iter().map(|name| Choice::parse(name)).collect(),
            key_types: self.key_types.clone(),
            parts: match self.only.is_empty() {
                true => default.parts,
                false => self.only.clone(),
            },
            jobs: self.jobs.map_or(default.jobs, usize::from),
            quick: self.quick,
            time: self.seconds,
            rows: self.rows,
            layouts: self.layout.into_iter().collect(),
            to: self.to.clone().unwrap_or(default.to),
            discard: self.discard,
        }
    }
}

/// At least one.
fn rows(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse().map_err(|_| "give a whole number from 1")
}

/// More than nothing, and at most an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.001..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give a number from 0.001 to 3600".to_owned())
}

/// The first Ctrl-C ends the measurement once what is begun is made, the second ends the process; neither leaves
/// anything behind.
fn handle_interrupts() {
    let handler = || {
        if CANCEL.is_cancelled() {
            if let Some(folder) = FOLDER.get() {
                remove(folder);
                warn_if_left(folder);
            }
            std::process::exit(exit::INTERRUPTED.into());
        }
        CANCEL.cancel();
    };
    ctrlc::set_handler(handler).expect("no other handler is set");
}

/// Removes a folder in which others may still be writing: what they add meanwhile needs another attempt.
fn remove(folder: &Path) {
    const ATTEMPTS: usize = 100;
    for _ in 0..ATTEMPTS {
        let _ = std::fs::remove_dir_all(folder);
        if !folder.exists() {
            return;
        }
    }
}

fn warn_if_left(folder: &Path) {
    if folder.exists() {
        eprintln!(
            "certforge: warning: {} cannot be removed; do it yourself, there are private keys in it",
            folder.display()
        );
    }
}
