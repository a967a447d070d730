//! `certforge station done`, `failed` and `scrap`.

use std::fmt;

use certforge::batch::claim::State;
use certforge::manifest::DeviceId;
use certforge::station::{Reported, StationError};
use clap::Args;
use serde::Serialize;

use super::{StationArgs, Worker, warn};
use crate::cli::report::{Ended, Outcome};
use crate::cli::{Failure, exit};

#[derive(Debug, Args)]
pub struct Done {
    /// Id of the device
    #[arg(value_parser = super::device_id)]
    device: String,
    /// Remove the bundle from the store, every version of it, so that the key is in the device alone
    #[arg(long)]
    burn: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    station: StationArgs,
}

#[derive(Debug, Args)]
pub struct Failed {
    /// Id of the device
    #[arg(value_parser = super::device_id)]
    device: String,
    /// What failed, such as "flash verify"
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    station: StationArgs,
}

#[derive(Debug, Args)]
pub struct Scrap {
    /// Id of the device
    #[arg(value_parser = super::device_id)]
    device: String,
    /// Why, such as "board broken"
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Also when it was flashed: no device with this identity may connect any more
    #[arg(long)]
    although_flashed: bool,
    /// Remove the bundle from the store, every version of it
    #[arg(long)]
    burn: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Done {
    pub fn run(&self) -> Outcome {
        let (station, device_id) = self.station.open_for(&self.device)?;
        send(
            &station,
            Reported {
                burn: self.burn,
                ..Reported::new(&device_id, State::Flashed)
            },
        )
    }
}

impl Failed {
    pub fn run(&self) -> Outcome {
        let (station, device_id) = self.station.open_for(&self.device)?;
        send(
            &station,
            Reported {
                reason: self.reason.as_deref(),
                ..Reported::new(&device_id, State::Failed)
            },
        )
    }
}

impl Scrap {
    pub fn run(&self) -> Outcome {
        let (station, device_id) = self.station.open_for(&self.device)?;
        send(
            &station,
            Reported {
                device_id: &device_id,
                state: State::Scrapped,
                reason: Some(&self.reason),
                burn: self.burn,
                although_flashed: self.although_flashed,
            },
        )
    }
}

/// What a device was reported as.
#[derive(Serialize)]
struct Taken {
    device_id: DeviceId,
    state: State,
    station: String,
    pending_reports: usize,
    /// Why reports wait.
    error: Option<Failure>,
    #[serde(skip)]
    burned: bool,
}

fn send(station: &Worker, report: Reported<'_>) -> Outcome {
    let burn = report.burn;
    let is_alone = !station.batch().layout().is_packed();
    // That a bundle cannot be removed alone is no reason not to take the report.
    let sent = station.report(Reported {
        burn: burn && is_alone,
        ..report
    })?;
    warn(&sent);
    if burn && !is_alone {
        crate::cli::report::warn(
            "this batch is in packs, of which no bundle is removed alone; `certforge station burn` removes those of all flashed devices",
        );
    }
    let is_pending = station.is_pending(report.device_id);
    let burned = burn && is_alone && !is_pending;
    // What waits for the network is not lost.
    let is_away = is_pending && sent.why.iter().any(StationError::is_passing);
    let taken = Taken {
        device_id: report.device_id.clone(),
        state: report.state,
        station: station.name().to_owned(),
        pending_reports: sent.pending,
        error: sent.why.first().map(Failure::of),
        burned,
    };
    Ok(Ended::with(taken).code(match burn && !burned && !is_away {
        true => exit::STORE,
        false => 0,
    }))
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let burned = if self.burned {
            ", and its bundle is removed"
        } else {
            ""
        };
        writeln!(f, "{} {}{burned}", self.device_id, self.state)
    }
}
