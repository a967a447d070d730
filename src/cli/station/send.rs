//! `certforge station send`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{DEFAULT_LEASE_MINUTES, Outcome, StationArgs, warn};
use crate::cli::text::count;
use crate::cli::{exit, print, print_json};

#[derive(Debug, Args)]
pub struct Send {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Send {
    pub fn run(&self) -> Outcome {
        let station = self.station.open(DEFAULT_LEASE_MINUTES)?;
        let before = station.pending()?;
        let sent = station.send()?;
        warn(&sent);
        let taken = before.saturating_sub(sent.pending + sent.refused.len());
        if self.json {
            let (pending, refused) = (sent.pending, sent.refused.len());
            print_json(&json!({ "sent": taken, "pending_reports": pending, "refused": refused }));
        } else {
            print(&format!("reports sent: {}\n", count(taken as u64)));
        }
        Ok(match (sent.pending, sent.refused.is_empty()) {
            (1.., _) => exit::STORE.into(),
            (0, false) => exit::STATION.into(),
            (0, true) => ExitCode::SUCCESS,
        })
    }
}
