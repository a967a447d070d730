//! `certforge ledger history`.

use std::fmt;

use certforge::ledger::{self, Entry, LedgerError, check_history};
use certforge::printable;
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::ledger_args::LedgerArgs;
use crate::cli::report::{Ended, Outcome};

#[derive(Debug, Args)]
pub struct History {
    /// Fail when an entry is not what was written, or is gone
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The acts that a ledger remembers.
#[derive(Serialize)]
struct Told {
    ledger: String,
    ledger_id: String,
    entries: Vec<Entry>,
    /// Of the last entry; `None`: there is none, or one is not what was written.
    head: Option<String>,
    /// The first entry that is not what was written.
    broken_at: Option<u64>,
}

impl History {
    pub fn run(&self) -> Outcome {
        let ledger = ledger::open_read_only(self.ledger.usual()?)?;
        let entries = ledger.history()?;
        let checked = check_history(&entries);
        let told = Told {
            ledger: ledger.location().to_owned(),
            ledger_id: ledger.id().to_owned(),
            entries,
            head: checked.ok().flatten().map(|head| HEXLOWER.encode(&head.hash)),
            broken_at: checked.err().map(|broken| broken.number),
        };
        let ended = Ended::with(told);
        Ok(match checked {
            Ok(_) => ended,
            Err(source) => {
                let error = LedgerError::History {
                    location: ledger.location().to_owned(),
                    source,
                };
                match self.verify {
                    true => ended.failed(Some(Failure::from(error))),
                    false => ended.warning(certforge::causes::in_one_line(&error)),
                }
            }
        })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            let ledger = printable::line(&self.ledger);
            return writeln!(f, "ledger {ledger} has no history yet");
        }
        for entry in &self.entries {
            let Entry {
                number,
                at,
                who,
                act,
                subject,
                what,
                ..
            } = entry;
            let line = format!("{number:>4}  {at}  {who}  {act}  {subject}: {what}");
            writeln!(f, "{}", printable::line(&line))?;
        }
        match &self.head {
            Some(head) => writeln!(f, "head  {head}"),
            None => Ok(()),
        }
    }
}
