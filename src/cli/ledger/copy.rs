//! `certforge ledger copy`.

use std::fmt;

use certforge::engine::Random;
use certforge::ledger::{self, Act, Deed, Entry, Ledger, LedgerError, LedgerName, Making};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::ledger_args::open_existing;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count, devices, many};
use crate::cli::{Failure, clock};

/// Batches that are named one by one, at most.
const NAMED: usize = 10;

#[derive(Debug, Args)]
pub struct Copy {
    /// Ledgers to copy from, of which nobody makes use meanwhile, and at the end the one to copy to: one that is there, or
    /// a new one
    #[arg(value_name = "FROM... TO", required = true, num_args = 2..)]
    ledgers: Vec<LedgerName>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What was copied.
#[derive(Serialize)]
struct Report {
    to: String,
    ledger: String,
    from: Vec<Origin>,
}

/// What one ledger gave.
#[derive(Serialize)]
struct Origin {
    location: String,
    ledger: String,
    batches: u64,
    devices: u64,
    unfinished: Vec<String>,
}

impl Copy {
    pub fn run(&self) -> Outcome {
        let (to, from) = self.ledgers.split_last().expect("clap wants two at least");
        if from.contains(to) {
            return Err(Failure::usage(
                &format!("{to} is to be copied to itself"),
                "name the ledgers to copy from, and at the end another one to copy to",
            ));
        }
        // Open for writing, so that nothing is made under one of them while it is copied.
        let from = from.iter().map(open_existing);
        let from: Vec<Box<dyn Ledger>> = from.collect::<Result<_, _>>()?;
        let (copied, id) = copy(&from, to)?;
        let told = from.iter().zip(copied).map(|(ledger, copied)| Origin {
            location: ledger.location().to_owned(),
            ledger: ledger.id().to_owned(),
            batches: copied.batches,
            devices: copied.devices,
            unfinished: copied.unfinished,
        });
        let report = Report {
            to: to.to_string(),
            from: told.collect(),
            ledger: id,
        };
        let strayed = report.from.iter().filter(|from| from.ledger != report.ledger);
        let strayed: Vec<&Origin> = strayed.filter(|from| !from.unfinished.is_empty()).collect();
        let warnings: Vec<String> = strayed.into_iter().map(unfinished).collect();
        let hint = format!(
            "from now on make batches with {} alone: what is made with one of the others is not known to it",
            report.to
        );
        let ended = Ended::done(report).hint(hint);
        Ok(warnings.into_iter().fold(ended, Ended::warning))
    }
}

/// Copies, and tells what came of each ledger and which id the copy has. A new file is there when it is whole, or not at all.
fn copy(from: &[Box<dyn Ledger>], to: &LedgerName) -> Result<(Vec<ledger::Copied>, String), Failure> {
    match ledger::open_read_only(to) {
        Err(LedgerError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            let mut ledger = open_existing(to)?;
            let copied = copy_into(from, &mut *ledger)?;
            return Ok((copied, ledger.id().to_owned()));
        }
    }
    let LedgerName::File(file) = to else {
        let mut ledger = ledger::open(to, id(from)?)?;
        let copied = copy_into(from, &mut *ledger)?;
        return Ok((copied, ledger.id().to_owned()));
    };
    let making = Making::begin(file)?;
    let mut ledger = making.open(id(from)?)?;
    let copied = copy_into(from, &mut *ledger)?;
    let id = ledger.id().to_owned();
    making.finish(Some(ledger))?;
    Ok((copied, id))
}

/// The history of a copy says where it comes from, and how far that ledger's own had come.
fn copy_into(from: &[Box<dyn Ledger>], to: &mut dyn Ledger) -> Result<Vec<ledger::Copied>, Failure> {
    let copied = ledger::copy(from, to)?;
    let now = clock::now()?;
    for (ledger, copied) in from.iter().zip(&copied) {
        let head = ledger.history()?.last().map(Entry::head);
        let head = match head {
            Some(head) => format!(
                "entry {} of its history has {}",
                head.number,
                HEXLOWER.encode(&head.hash)
            ),
            None => "it has no history".to_owned(),
        };
        let what = format!("{} batches, {} devices; {head}", copied.batches, copied.devices);
        to.record(Act::new(Deed::LedgerCopied, ledger.id(), what), now)?;
    }
    Ok(copied)
}

/// The id of a new ledger: that of the one which it is a copy of.
fn id(from: &[Box<dyn Ledger>]) -> Result<[u8; 16], Failure> {
    let only = match from {
        [only] => HEXLOWER.decode(only.id().as_bytes()).ok(),
        _ => None,
    };
    match only.and_then(|id| id.try_into().ok()) {
        Some(id) => Ok(id),
        None => Ok(Random.octets()?),
    }
}

/// What is to be known of batches whose record in the store names another ledger.
fn unfinished(from: &Origin) -> String {
    let named = from.unfinished.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let more = match from.unfinished.len() - named.len() {
        0 => String::new(),
        more => format!(" and {} more", count(more as u64)),
    };
    format!(
        "not complete, and to go on only under ledger {}, whose id their record in the store has: {}{more}",
        from.location,
        named.join(", ")
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        for from in &self.from {
            let what = format!(
                "{}: {} in {}",
                from.location,
                devices(from.devices),
                many(from.batches, "batch")
            );
            lines.line("from", what);
        }
        lines.line("to", &self.to).line("ledger", &self.ledger);
        lines.fmt(f)
    }
}
