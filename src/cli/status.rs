//! `certforge status`.

use std::fmt;
use std::path::Path;

use certforge::issuer::{self, CaFiles, ForBatch};
use certforge::ledger::BatchStatus;
use certforge::printable;
use certforge::profile::rfc3339;
use certforge::shell::quoted;
use certforge::verify;
use clap::Args;
use serde::Serialize;

use super::ledger::{Source, Which};
use super::place;
use super::report::{Ended, Outcome};
use super::text::{Lines, count, devices};

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    of: Which,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// How far each batch of a ledger is.
#[derive(Serialize)]
#[serde(transparent)]
struct OfLedger {
    batches: Vec<BatchStatus>,
    #[serde(skip)]
    ledger: String,
}

/// How far a batch is, as its place shows it.
#[derive(Serialize)]
struct OfPlace(verify::Progress);

impl Status {
    pub fn run(&self) -> Outcome {
        match self.of.open(&self.reach)? {
            Source::Place(store) => Ok(Ended::with(OfPlace(verify::progress(&store)?))),
            Source::Ledger(ledger, batch) => {
                let ended = Ended::with(OfLedger {
                    batches: ledger.status(batch)?,
                    ledger: ledger.location().to_owned(),
                });
                Ok(match unregistered(Path::new(ledger.location())) {
                    Some(warning) => ended.warning(warning),
                    None => ended,
                })
            }
        }
    }
}

/// What is still to be done with a CA for one batch, in whose folder its ledger is.
fn unregistered(ledger: &Path) -> Option<String> {
    let folder = ledger.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let for_batch = ForBatch::read(folder).ok()??;
    let (certificate, _) = issuer::read_public(&CaFiles::in_folder(folder)).ok()?;
    let known = issuer::read_registrations(folder, &certificate).ok()?;
    let endpoint = issuer::read_endpoint(&folder.join(issuer::ENDPOINT_FILE)).ok()?;
    let is_known = known.iter().any(|known| known.registered_at.is_some());
    let named = quoted(&folder.display().to_string());
    match (is_known || endpoint.is_some(), for_batch.retired_at) {
        (true, _) => None,
        (false, None) => Some(format!(
            "AWS IoT does not know this CA, which signs for one batch, as far as its folder says: certforge jitp register --ca {named}"
        )),
        (false, Some(_)) => Some(
            "AWS IoT does not know this CA, as far as its folder says, and it is retired: it can be registered in mode SNI_ONLY alone"
                .to_owned(),
        ),
    }
}

impl fmt::Display for OfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        let mut lines = Lines::default();
        lines.line("batch", &status.batch);
        if let Some(record) = &status.withdrawn {
            lines.line("withdrawn", record.to_string());
        }
        lines
            .line("progress", progress(status.devices, status.released, 0))
            .line("bundles", format!("{} ({})", status.location, status.layout))
            .line("issuer", format!("certificate {}", status.issuer_id));
        if let Some(ends) = status.valid_until {
            lines.line("valid until", ends.to_string());
        }
        lines.fmt(f)
    }
}

impl fmt::Display for OfLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.batches.is_empty() {
            return writeln!(f, "ledger {} has no batches", printable::line(&self.ledger));
        }
        for (i, status) in self.batches.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            write!(f, "{gap}{}", lines(status))?;
        }
        Ok(())
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

fn lines(status: &BatchStatus) -> Lines {
    let progress = progress(status.devices, status.released, status.committed);
    let mut lines = Lines::default();
    lines.line("batch", &status.batch);
    if let Some(withdrawal) = &status.withdrawn {
        lines
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
    lines
        .line("progress", progress)
        .line("bundles", format!("{} ({})", status.location, status.layout))
        .line("manifest", &status.manifest)
        .line("profile", &status.profile)
        .line("issuer", &status.issuer)
        .line("begun", &status.created_at);
    if let Some(ends) = status.valid_until {
        lines.line("valid until", ends.to_string());
    }
    for host in &status.hosts {
        let chunks = match &host.chunks_since {
            Some(since) => format!(", {} chunks in hand since {since}", count(host.chunks)),
            None => String::new(),
        };
        lines.line(
            "host",
            format!(
                "{} (process {}) {}: {} made, {}/s{chunks}, last heard of {}",
                host.host,
                host.process,
                host.state,
                count(host.made),
                count(host.devices_per_second),
                host.seen_at
            ),
        );
    }
    if status.reissue {
        lines.line(
            "reissue",
            "yes: its devices may have other identities in earlier batches",
        );
    }
    lines
}
