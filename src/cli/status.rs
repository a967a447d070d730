//! `certforge status`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::ledger::{BatchStatus, Ledger};
use clap::Args;

use super::run::DEFAULT_LEDGER;
use super::text::{Report, count, devices};
use super::{Outcome, print, print_json};

#[derive(Debug, Args)]
pub struct Status {
    /// Name of a batch [default: all of them]
    batch: Option<String>,
    /// Ledger to read; a run may be writing to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LEDGER)]
    ledger: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

impl Status {
    pub fn run(&self) -> Outcome {
        let ledger = Ledger::open_read_only(&self.ledger)?;
        let batches = ledger.status(self.batch.as_deref())?;
        if self.json {
            print_json(&batches);
        } else if batches.is_empty() {
            print(&format!("ledger {} has no batches\n", self.ledger.display()));
        } else {
            let texts: Vec<String> = batches.iter().map(text).collect();
            print(&texts.join("\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(status: &BatchStatus) -> String {
    let left = status.devices - status.released - status.committed;
    let progress = match (left, status.committed) {
        (0, 0) => format!("complete: {} released", devices(status.devices)),
        (left, 0) => format!(
            "{} of {} released, {} left",
            count(status.released),
            devices(status.devices),
            count(left)
        ),
        (left, committed) => format!(
            "{} of {} released, {} stored and not yet released, {} left",
            count(status.released),
            devices(status.devices),
            count(committed),
            count(left)
        ),
    };
    let mut report = Report::default();
    report
        .line("batch", &status.batch)
        .line("progress", progress)
        .line("bundles", format!("{} ({})", status.location, status.layout))
        .line("manifest", &status.manifest)
        .line("profile", &status.profile)
        .line("issuer", &status.issuer)
        .line("begun", &status.created_at);
    if status.reissue {
        report.line(
            "reissue",
            "yes: its devices may have other identities in earlier batches",
        );
    }
    report.to_string()
}
