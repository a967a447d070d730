//! `certforge station send`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{DEFAULT_LEASE_MINUTES, StationArgs, warn};
use crate::cli::exit;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::count;

#[derive(Debug, Args)]
pub struct Send {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    station: StationArgs,
}

/// What became of the reports that waited.
#[derive(Serialize)]
struct Tally {
    sent: usize,
    pending_reports: usize,
    refused: usize,
}

impl Send {
    pub fn run(&self) -> Outcome {
        let station = self.station.open(DEFAULT_LEASE_MINUTES)?;
        let before = station.pending()?;
        let sent = station.send()?;
        warn(&sent);
        let (pending, refused) = (sent.pending, sent.refused.len());
        let code = match (pending, refused) {
            (1.., _) => exit::STORE,
            (0, 1..) => exit::STATION,
            (0, 0) => 0,
        };
        let tally = Tally {
            sent: before.saturating_sub(pending + refused),
            pending_reports: pending,
            refused,
        };
        Ok(Ended::with(tally).code(code))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reports sent: {}", count(self.sent as u64))
    }
}
