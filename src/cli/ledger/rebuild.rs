//! `certforge ledger rebuild`.

use std::fmt;
use std::path::PathBuf;

use certforge::ledger::{self, Act, Anew, Deed, KeepMark, LedgerName, PassedOver};
use certforge::printable;
use certforge::rebuild::{self, Job, RebuildError, Report};
use clap::Args;
use serde::Serialize;

use crate::cli::issuer::{DEFAULT_FOLDER, Whose, trust};
use crate::cli::ledger_args::LedgerArgs;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count, devices};
use crate::cli::{Failure, clock, place};

#[derive(Debug, Args)]
pub struct Rebuild {
    /// Where the CA's batches are, as `run --to` names it; or one batch
    place: String,
    /// CA that made them: its folder, or its certificate in there [default: ./ca]
    #[arg(long, value_name = "DIR|FILE")]
    ca: Option<PathBuf>,
    /// CA that made them, in place of --ca: its certificate, its folder, or the SHA-256 of the certificate
    #[arg(
        long,
        env = "CERTFORGE_ISSUER",
        hide_env_values = true,
        value_name = "FILE|DIR|SHA-256"
    )]
    issuer: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Id that the ledger takes, when the batches name more than one [default: the one that most name which are not complete]
    #[arg(long = "as", value_name = "ID")]
    id: Option<String>,
    /// Batch that was begun with --reissue, when no device of it tells; may be given more than once
    #[arg(long = "reissue", value_name = "BATCH")]
    reissues: Vec<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// What was made, or why nothing was.
#[derive(Serialize)]
struct Told {
    ledger: String,
    #[serde(flatten)]
    report: Report,
    error: Option<Failure>,
}

impl Rebuild {
    pub fn run(&self) -> Outcome {
        let (trusted, folder) = match (&self.ca, &self.issuer) {
            (Some(ca), _) => (trust(&ca.display().to_string())?, Some(ca.clone())),
            (None, Some(issuer)) => (
                trust(issuer)?,
                Some(PathBuf::from(issuer)).filter(|path| path.exists()),
            ),
            (None, None) => (trust(DEFAULT_FOLDER)?, Some(PathBuf::from(DEFAULT_FOLDER))),
        };
        let found = self.ledger.find(Whose {
            folder: folder.as_deref(),
            shard: None,
        })?;
        let at = place::parse(&self.place, &self.reach, None)?;
        let places = self.reach.batches(&at)?;
        if places.is_empty() {
            return Err(RebuildError::NoBatches {
                place: at.to_string(),
            }
            .into());
        }
        let job = Job {
            places: &places,
            open: &|place| self.reach.open(place),
            issuer: &trusted,
            id: self.id.as_deref(),
            reissues: &self.reissues,
            now: clock::now()?,
        };
        let making = Anew::begin(&found.name)?;
        let (report, ledger) = rebuild::rebuild(&job, &mut |id| making.open(id))?;
        let failure = failure(&report);
        match failure {
            None => {
                let what = format!("{} batches", places.len());
                let act = Act::new(Deed::LedgerRebuilt, &at.to_string(), what);
                making.finish(ledger, act, job.now)?;
                // The one that it remembers had come further, with reservations of which nothing is left.
                if let Some(folder) = found.keeper() {
                    folder.keep(&*ledger::open_read_only(&found.name)?, &PassedOver::new())?;
                }
            }
            Some(_) => drop(ledger),
        }
        Ok(told(&found.name, report, failure))
    }
}

/// That something is wrong, so that there is no ledger.
fn failure(report: &Report) -> Option<Failure> {
    let faults = report.faults.len() as u64 + report.unlisted;
    (faults > 0).then(|| {
        Failure::ledger(
            &format!("no ledger was made: faults in the store: {}", count(faults)),
            "find out who changed what is named above, and put it back as it was; `certforge verify` tells more of a batch",
        )
    })
}

fn told(ledger: &LedgerName, report: Report, failure: Option<Failure>) -> Ended {
    let mut warnings: Vec<String> = Vec::new();
    for left in &report.left_out {
        warnings.push(format!(
            "left out: batch {} is of another CA: certificate {}",
            left.batch, left.issuer_id
        ));
    }
    for other in &report.elsewhere {
        warnings.push(format!(
            "batch {} names ledger {}, and goes on only under that id: rebuild it by itself, or give --as",
            other.batch, other.ledger
        ));
    }
    let hint = failure.is_none().then_some(
        "the same `certforge run` goes on with each batch that is not complete; keep what other copies of the ledger there are, and use them no more",
    );
    let mut ended = Ended::with(Told {
        ledger: ledger.to_string(),
        report,
        error: failure.clone(),
    })
    .failed(failure);
    for warning in warnings {
        ended = ended.warning(warning);
    }
    match hint {
        Some(hint) => ended.hint(hint),
        None => ended,
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.report.faults {
            writeln!(f, "{}", printable::line(&fault.to_string()))?;
        }
        if self.report.unlisted > 0 {
            writeln!(f, "faults more: {}", count(self.report.unlisted))?;
        }
        if self.error.is_some() {
            return Ok(());
        }
        let mut lines = Lines::default();
        lines.line("ledger", &self.ledger).line("id", &self.report.id);
        for batch in &self.report.batches {
            lines.line("batch", line(batch));
        }
        for unknown in &self.report.unknown {
            lines.line("not known", unknown);
        }
        lines.fmt(f)
    }
}

fn line(batch: &rebuild::Rebuilt) -> String {
    let released = format!(
        "{}: {} of {} released",
        batch.batch,
        count(batch.released),
        devices(batch.devices)
    );
    let adopted = (batch.adopted > 0).then(|| format!("attempts adopted: {}", count(batch.adopted)));
    let reissue = batch.reissue.then(|| "a reissue".to_owned());
    let withdrawn = batch.withdrawn.then(|| "withdrawn".to_owned());
    let parts = std::iter::once(released)
        .chain(adopted)
        .chain(reissue)
        .chain(withdrawn);
    parts.collect::<Vec<_>>().join(", ")
}
