//! `certforge bench`.

mod progress;
mod table;

use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use certforge::batch::Layout;
use certforge::bench::{self, Comparison, Event, Measurements, Options, Part, Settings, SignerRates};
use certforge::engine::Choice;
use certforge::profile::KeyType;
use clap::Args;
use serde::Serialize;

use super::issuer::files_at;
use super::passphrase::PassphraseArgs;
use super::report::{Ended, Outcome, warn};
use super::text::Lines;
use super::{clock, interrupt};

/// Where the measurement writes, once it does.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

#[derive(Debug, Args)]
pub struct Bench {
    /// Take some ten seconds, for a rough answer
    #[arg(long)]
    quick: bool,
    /// auto, lanes, rsa, rsa-portable, aws-lc or ring; may be given again [default: all that work here]
    #[arg(long = "engine", value_name = "ENGINE")]
    engines: Vec<String>,
    /// Type of all keys; may be given again [default: P-256 for everything, P-384 for keys and signatures, RSA-2048 and RSA-3072 for keys]
    #[arg(long = "key-type", value_name = "TYPE")]
    key_types: Vec<KeyType>,
    /// Threads, beside one [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Seconds for each measure [default: 0.3; 0.05 with --quick]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
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
    /// Measure how fast this CA signs, and nothing else: by itself, and in runs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["engines", "key_types", "layout", "only", "compare"])]
    ca: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Hold the rates against those of a report that --json printed
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    all: Measurements,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table::measurements(&self.all))?;
        f.write_str(
            &self
                .comparison
                .as_ref()
                .map_or_else(String::new, table::comparison),
        )
    }
}

/// How fast a CA signs.
#[derive(Serialize)]
struct OfSigner(SignerRates);

impl fmt::Display for OfSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rates) = self;
        let per_second = |rate: f64| format!("{rate:.0}/s");
        let mut lines = Lines::default();
        lines
            .line("key", format!("{} ({})", rates.key, rates.key_type))
            .line("signatures", per_second(rates.signatures_per_second))
            .line("devices", per_second(rates.devices_per_second))
            .line("key in memory", per_second(rates.in_memory_per_second))
            .line(
                "one after the other",
                format!(
                    "{:.0}% of what signer and all else make one after the other",
                    rates.of_one_after_the_other
                ),
            )
            .line(
                "the slower",
                format!("{:.0}% of what the slower of the two makes", rates.of_the_slower),
            );
        lines.fmt(f)
    }
}

impl Bench {
    pub fn run(&self) -> Outcome {
        if let Some(folder) = &self.ca {
            return self.measure_signer(folder);
        }
        // First, so that a file that is none costs no minute.
        let before = self.compare.as_deref().map(Measurements::read).transpose()?;
        // Neither the first Ctrl-C nor the second leaves anything behind.
        let cancel = interrupt::cancel_or("", || {
            if let Some(folder) = FOLDER.get() {
                remove(folder);
                warn_if_left(folder);
            }
        });
        let steps = progress::Steps::default();
        let observe = |event| {
            if let Event::Begun { folder, .. } = &event {
                FOLDER.get_or_init(|| folder.clone());
            }
            steps.show(event);
        };
        let result = bench::run(&self.options(), &observe, cancel);
        drop(steps);
        if let Some(folder) = FOLDER.get() {
            warn_if_left(folder);
        }
        let all = result?;
        let comparison = before.map(|before| Comparison::new(&before, &all));
        let mut warnings: Vec<String> = comparison
            .iter()
            .flat_map(|comparison| &comparison.warnings)
            .map(|difference| format!("the reports differ in more than rates; {difference}"))
            .collect();
        if !all.optimised {
            warnings.push("this certforge was built without optimisation; its own rates are low".to_owned());
        }
        let ended = Ended::with(Measured { all, comparison });
        Ok(warnings.into_iter().fold(ended, Ended::warning))
    }

    fn measure_signer(&self, folder: &Path) -> Outcome {
        let issuer = self
            .passphrase
            .load(&files_at(folder), &Choice::Auto, clock::now()?)?;
        let cancel = interrupt::cancel("ending the run; Ctrl-C again stops at once");
        let Options { settings, to, .. } = self.options();
        let rates = bench::signer(&issuer, &settings, &to, cancel)?;
        Ok(Ended::with(OfSigner(rates)))
    }

    fn options(&self) -> Options {
        let mut settings = Settings::new(self.quick, self.discard);
        if !self.only.is_empty() {
            settings.parts.clone_from(&self.only);
        }
        settings.jobs = self.jobs.map_or(settings.jobs, usize::from);
        settings.seconds = self.seconds.unwrap_or(settings.seconds);
        settings.rows = self.rows.map_or(settings.rows, NonZeroU64::get);
        settings.rsa_rows = self.rows.map_or(settings.rsa_rows, NonZeroU64::get);
        if let Some(layout) = self.layout {
            settings.layouts = vec![layout];
        }
        Options {
            engines: self.engines.iter().map(|name| Choice::parse(name)).collect(),
            key_types: self.key_types.clone(),
            to: self.to.clone().unwrap_or_else(std::env::temp_dir),
            settings,
        }
    }
}

/// At least one.
fn rows(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse().map_err(|_| "give a whole number from 1")
}

/// More than nothing, and at most an hour.
fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok();
    let possible = seconds.filter(|seconds| (0.001..=3600.0).contains(seconds));
    possible.ok_or("give a number from 0.001 to 3600")
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
        let folder = folder.display();
        warn(format_args!(
            "{folder} cannot be removed; do it yourself, there are private keys in it"
        ));
    }
}
