//! `certforge status`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::batch::{Layout, WithdrawnRecord};
use certforge::ledger::{BatchStatus, Ledger};
use certforge::profile::rfc3339;
use certforge::store::read_withdrawn;
use certforge::store::{read_record, released_chunks};
use clap::Args;
use serde::Serialize;

use super::ledger::DEFAULT_FILE;
use super::text::{Report, count, devices};
use super::{Outcome, place, print, print_json};

#[derive(Debug, Args)]
pub struct Status {
    /// Name of a batch in the ledger, or its folder or s3:// URL, which needs no ledger [default: all of the ledger's]
    batch: Option<String>,
    /// Ledger to read; a run may be writing to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    ledger: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// How far a batch is, as its place shows it.
#[derive(Debug, Serialize)]
struct PlaceStatus {
    batch: String,
    location: String,
    layout: Layout,
    /// SHA-256 of the issuer's certificate.
    issuer_id: String,
    devices: u64,
    released: u64,
    withdrawn: Option<WithdrawnRecord>,
}

impl Status {
    pub fn run(&self) -> Outcome {
        if let Some(text) = self.batch.as_deref().filter(|text| place::is_place(text)) {
            return self.of_place(text);
        }
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

    fn of_place(&self, text: &str) -> Outcome {
        let store = self.reach.open(&place::parse(text, &self.reach, None)?)?;
        let record = read_record(&*store)?.record;
        let released = released_chunks(&*store)?;
        let released = released
            .into_iter()
            .map(|chunk| record.shape().rows_of(chunk))
            .sum();
        let status = PlaceStatus {
            batch: record.batch,
            location: store.location(),
            layout: record.layout,
            issuer_id: record.issuer_id,
            devices: record.rows,
            released,
            withdrawn: read_withdrawn(&*store)?,
        };
        if self.json {
            print_json(&status);
        } else {
            let progress = progress(status.devices, status.released, 0);
            let mut report = Report::default();
            report.line("batch", &status.batch);
            if let Some(record) = &status.withdrawn {
                report.line("withdrawn", record.to_string());
            }
            report
                .line("progress", progress)
                .line("bundles", format!("{} ({})", status.location, status.layout))
                .line("issuer", format!("certificate {}", status.issuer_id));
            print(&report.to_string());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How many devices of a batch are released, and how many are not.
fn progress(all: u64, released: u64, committed: u64) -> String {
    let left = all.saturating_sub(released + committed);
    match (left, committed) {
        (0, 0) => format!("complete: {} released", devices(all)),
        (left, 0) => format!(
            "{} of {} released, {} left",
            count(released),
            devices(all),
            count(left)
        ),
        (left, committed) => format!(
            "{} of {} released, {} stored and not yet released, {} left",
            count(released),
            devices(all),
            count(committed),
            count(left)
        ),
    }
}

fn text(status: &BatchStatus) -> String {
    let progress = progress(status.devices, status.released, status.committed);
    let mut report = Report::default();
    report.line("batch", &status.batch);
    if let Some(withdrawal) = &status.withdrawn {
        report
            .line(
                "withdrawn",
                format!("{}: {}", rfc3339(withdrawal.at), withdrawal.reason),
            )
            .line(
                "revoked",
                format!(
                    "{} of {} certificates",
                    count(withdrawal.revoked),
                    // A ledger of one shard knows of its own certificates only.
                    count(withdrawal.revoked.max(status.released + status.committed))
                ),
            );
    }
    report
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
