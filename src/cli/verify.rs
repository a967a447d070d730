//! `certforge verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use certforge::ledger::Ledger;
use certforge::store::read_record;
use certforge::verify::{self, Job, Report};
use clap::Args;
use indicatif::ProgressBar;
use time::OffsetDateTime;

use super::ledger::DEFAULT_FILE;
use super::text::{count, devices};
use super::{Failure, Outcome, exit, place, print, print_json, progress};

#[derive(Debug, Args)]
pub struct Verify {
    /// Batch, such as out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01
    batch: String,
    /// Ledger that accounts for the batch
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    ledger: PathBuf,
    /// Verify without a ledger, as on a machine that has only the bundles
    #[arg(long, conflicts_with = "ledger")]
    no_ledger: bool,
    /// Manifest that the batch was made from [default: the one that the ledger names, if it is still there]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Threads that work [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Verify {
    pub fn run(&self) -> Outcome {
        if let Some(jobs) = self.jobs {
            rayon::ThreadPoolBuilder::new()
                .num_threads(jobs.into())
                .build_global()
                .map_err(|error| Failure::usage(&error.to_string(), "use fewer --jobs"))?;
        }
        let store = self.reach.open(&place::parse(&self.batch, &self.reach, None)?)?;
        // The ledger that is looked for by default is that of a batch made as a whole.
        let is_default = self.ledger.as_path() == Path::new(DEFAULT_FILE);
        let is_in_shards =
            || read_record(&*store).is_ok_and(|read| is_default && read.record.shards.is_some());
        let ledger = match self.no_ledger || is_in_shards() {
            true => None,
            false => Some(Ledger::open_read_only(&self.ledger).map_err(verify::VerifyError::from)?),
        };
        let job = Job {
            store: &*store,
            ledger: ledger.as_ref(),
            manifest: self.manifest.as_deref(),
            now: OffsetDateTime::now_utc(),
        };
        let bar: OnceLock<ProgressBar> = OnceLock::new();
        let report = verify::verify(
            &job,
            &|record| {
                let _ = bar.set(progress::bar(record.rows, 0));
            },
            &|devices| {
                if let Some(bar) = bar.get() {
                    bar.inc(devices);
                }
            },
        );
        if let Some(bar) = bar.get() {
            bar.finish_and_clear();
        }
        let report = report?;
        if self.json {
            print_json(&report);
        } else {
            print(&text(&report));
        }
        if !report.is_good() && report.is_only_unfinished() {
            eprintln!("certforge: hint: run the command that began it again; it goes on where it stopped");
        } else if !report.is_good() {
            eprintln!(
                "certforge: hint: put back what is missing or changed; private keys exist nowhere else. \
                 To give devices new identities: run with --reissue and a new --batch"
            );
        }
        Ok(if report.is_good() {
            ExitCode::SUCCESS
        } else {
            exit::SOME_FAILED.into()
        })
    }
}

fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let against = match (&report.manifest, report.ledger) {
        (Some(manifest), true) => format!("manifest {} and the ledger", path(manifest)),
        (Some(manifest), false) => format!("manifest {}", path(manifest)),
        (None, true) if report.manifest_changed => "the ledger; the manifest has changed since".to_owned(),
        (None, true) => "the ledger; the manifest is not at hand, --manifest names it".to_owned(),
        (None, false) => "the index alone; --ledger and --manifest prove more".to_owned(),
    };
    let verdict = if report.is_good() {
        let burned = match report.burned {
            0 => String::new(),
            burned => format!(
                ", {} of them removed after they were flashed or scrapped",
                count(burned)
            ),
        };
        let seal = if report.sealed { ", sealed" } else { ", not sealed" };
        format!(
            "batch {}: {} verified{burned}{seal}",
            report.batch,
            devices(report.devices)
        )
    } else {
        let faults = report.faults.len() as u64;
        format!(
            "batch {}: {} {}; {} of {} are good",
            report.batch,
            count(faults),
            if faults == 1 { "fault" } else { "faults" },
            count(report.good),
            devices(report.devices)
        )
    };
    if let Some(record) = &report.withdrawn {
        lines.push(format!("batch {}: WITHDRAWN {record}", report.batch));
    }
    lines.push(format!("{verdict}, against {against}\n"));
    lines.join("\n")
}

/// A path as short as it can be said from here.
fn path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
