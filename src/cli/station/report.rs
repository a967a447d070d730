//! `certforge station done`, `failed` and `scrap`.

use std::process::ExitCode;

use certforge::station::claim::State;
use certforge::store::Layout;
use clap::Args;
use serde_json::json;

use super::{DEFAULT_LEASE_MINUTES, Outcome, StationArgs, warn};
use crate::cli::{Failure, print, print_json};

#[derive(Debug, Args)]
pub struct Done {
    /// Id of the device
    device: String,
    /// Remove the bundle from the store, every version of it, so that the key is in the device alone
    #[arg(long)]
    burn: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

#[derive(Debug, Args)]
pub struct Failed {
    /// Id of the device
    device: String,
    /// What failed, such as "flash verify"
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

#[derive(Debug, Args)]
pub struct Scrap {
    /// Id of the device
    device: String,
    /// Why, such as "board broken"
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Remove the bundle from the store, every version of it
    #[arg(long)]
    burn: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Done {
    pub fn run(&self) -> Outcome {
        report(
            &self.station,
            &self.device,
            State::Flashed,
            None,
            self.burn,
            self.json,
        )
    }
}

impl Failed {
    pub fn run(&self) -> Outcome {
        let reason = self.reason.as_deref();
        report(
            &self.station,
            &self.device,
            State::Failed,
            reason,
            false,
            self.json,
        )
    }
}

impl Scrap {
    pub fn run(&self) -> Outcome {
        let reason = self.reason.as_deref();
        report(
            &self.station,
            &self.device,
            State::Scrapped,
            reason,
            self.burn,
            self.json,
        )
    }
}

/// In packs a bundle cannot be removed alone.
pub(super) fn check_burn(layout: Layout) -> Result<(), Failure> {
    match layout {
        Layout::Objects => Ok(()),
        Layout::Packs => Err(Failure::usage(
            "--burn is for batches in layout objects, and this one is in packs",
            "leave it out; `certforge station burn` removes the bundles of flashed devices from packs",
        )),
    }
}

fn report(
    station: &StationArgs,
    device_id: &str,
    state: State,
    reason: Option<&str>,
    burn: bool,
    json: bool,
) -> Outcome {
    let station = station.open(DEFAULT_LEASE_MINUTES)?;
    if burn {
        check_burn(station.batch().layout())?;
    }
    let sent = station.report(device_id, state, reason, burn)?;
    warn(&sent);
    if json {
        print_json(&json!({
            "device_id": device_id,
            "state": state,
            "station": station.name(),
            "pending_reports": sent.pending,
            "error": sent.why.first().map(|why| Failure::from_reference(why).to_json()),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let burned = if burn && sent.pending == 0 {
        ", and its bundle is removed"
    } else {
        ""
    };
    print(&format!("{device_id} {state}{burned}\n"));
    Ok(ExitCode::SUCCESS)
}
