//! `certforge doctor`.

use std::fmt;
use std::path::PathBuf;

use certforge::doctor::{Check, Options, State, examine};
use certforge::printable;
use certforge::store::Place;
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::Failure;
use super::issuer::DEFAULT_FOLDER;
use super::ledger_args::LedgerArgs;
use super::report::{Ended, Outcome};
use super::{clock, exit, place};

#[derive(Debug, Args)]
pub struct Doctor {
    /// Folder of the CA
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    ca: PathBuf,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Where batches go: a folder or s3://bucket/prefix
    #[arg(long, value_name = "DIR|S3-URL", default_value = "out")]
    to: String,
    /// Ask nobody over the network
    #[arg(long)]
    offline: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Doctor {
    pub fn run(&self) -> Outcome {
        let place =
            Place::parse(&self.to).map_err(|error| Failure::usage(&error.to_string(), &error.hint()))?;
        let (folder, bucket) = match place {
            Place::S3 { bucket, .. } => (None, Some(bucket)),
            Place::Folder(folder) => (Some(folder), None),
        };
        let checks = examine(&Options {
            ca: self.ca.clone(),
            ledger: self.ledger.of_folder(&self.ca)?,
            folder,
            bucket,
            #[cfg(feature = "sdk")]
            reach: self.reach.to_sdk(),
            offline: self.offline,
            now: OffsetDateTime::now_utc(),
            built: clock::built(),
        });
        let of = |state| checks.iter().filter(|check| check.state == state).count();
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            ok: of(State::Ok),
            warnings: of(State::Warn),
            bad: of(State::Bad),
            checks,
        };
        let code = if report.bad > 0 { exit::SOME_FAILED } else { 0 };
        Ok(Ended::with(report).code(code))
    }
}

/// What was found.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    ok: usize,
    warnings: usize,
    bad: usize,
    checks: Vec<Check>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let state = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Bad => "bad",
            };
            let line = format!("{state:4}  {:11}  {}: {}", check.area, check.what, check.said);
            writeln!(f, "{}", printable::line(&line))?;
            if let Some(hint) = &check.hint {
                writeln!(f, "                   {}", printable::line(hint))?;
            }
        }
        writeln!(f, "{} ok, {} warnings, {} bad", self.ok, self.warnings, self.bad)
    }
}
