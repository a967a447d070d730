//! `certforge ledger backup`.

use std::fmt;
use std::path::PathBuf;

use certforge::ledger::{self, LedgerName};
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count};

#[derive(Debug, Args)]
pub struct Backup {
    /// Ledger to copy; a run may be writing to it
    #[arg(value_name = "FILE")]
    from: LedgerName,
    /// File that is not there yet, or a folder, where the copy is named with the time
    to: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// A copy that was made, and checked.
#[derive(Serialize)]
struct Made {
    path: String,
    ledger: String,
    batches: u64,
    octets: u64,
}

impl Backup {
    pub fn run(&self) -> Outcome {
        let LedgerName::File(file) = &self.from else {
            return Err(Failure::usage(
                &format!("ledger {} is no file", self.from),
                "a database in PostgreSQL is copied with its own tools, such as pg_dump",
            ));
        };
        let made = ledger::backup(file, &self.to, OffsetDateTime::now_utc())?;
        Ok(Ended::done(Made {
            path: made.path.display().to_string(),
            ledger: made.id,
            batches: made.batches,
            octets: made.octets,
        }))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("copy", &self.path)
            .line("ledger", &self.ledger)
            .line("batches", count(self.batches))
            .line("octets", count(self.octets));
        lines.fmt(f)
    }
}
