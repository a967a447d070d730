//! `certforge station show`.

use std::fmt;
use std::path::PathBuf;

use certforge::batch::claim::{Claim, Hold, State};
use certforge::manifest::DeviceId;
use certforge::printable;
use certforge::profile::rfc3339;
use certforge::station::look_up;
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{BatchArgs, DEFAULT_LEASE_MINUTES, StationArgs};
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::Lines;

#[derive(Debug, Args)]
pub struct Show {
    /// Id of the device
    #[arg(value_parser = super::device_id)]
    device: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    /// Name of this station, for what it alone knows: a report that waits, where the bundle was unpacked
    #[arg(long, env = "CERTFORGE_STATION", hide_env_values = true, value_name = "NAME")]
    station: Option<String>,
    #[command(flatten)]
    batch: BatchArgs,
}

/// What is known of a device.
#[derive(Serialize)]
struct Known {
    device_id: DeviceId,
    chunk: u64,
    certificate_id: String,
    certificate_serial: String,
    claim: Option<Claim>,
    report_that_waits: Option<State>,
    unpacked: Option<PathBuf>,
}

impl Show {
    pub fn run(&self) -> Outcome {
        let (device_id, known) = if let Some(name) = &self.station {
            let mut station = StationArgs::open_as(name, &self.batch, DEFAULT_LEASE_MINUTES, None)?;
            let device_id = station.device_id(&self.device)?;
            let known = station.show(&device_id)?;
            (device_id, known)
        } else {
            let (store, mut batch, cache) = self.batch.open()?;
            let device_id = batch.device_id(&self.device)?;
            let known = look_up(&store, &mut batch, &cache, &device_id)?;
            (device_id, known)
        };
        let entry = &known.device.entry;
        Ok(Ended::with(Known {
            device_id,
            chunk: known.device.chunk,
            certificate_id: HEXLOWER.encode(&entry.certificate_id),
            certificate_serial: entry.certificate_serial.to_string(),
            claim: known.claim,
            report_that_waits: known.report.map(|report| report.state),
            unpacked: known.unpacked.map(|unpacked| unpacked.folder),
        }))
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("device", self.device_id.as_str())
            .line("certificate", &self.certificate_id)
            .line("serial", &self.certificate_serial);
        match &self.claim {
            None => {
                lines.line("claim", "nobody has claimed it");
            }
            Some(claim) => {
                for hold in claim.earlier.iter().chain([&claim.hold]) {
                    lines.line("claim", line(hold));
                }
            }
        }
        if let Some(state) = self.report_that_waits {
            lines.line("report", format!("{state}: NOT SENT YET"));
        }
        if let Some(folder) = &self.unpacked {
            lines.line("unpacked", folder.display().to_string());
        }
        lines.fmt(f)
    }
}

fn line(hold: &Hold) -> String {
    let reason = hold
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(": {}", printable::line(reason)));
    let until = match hold.ended_at {
        Some(at) => format!("{} at {}", hold.state, rfc3339(at)),
        None => format!("until {}", rfc3339(hold.lease_until)),
    };
    format!(
        "attempt {} by {} since {}, {until}{reason}",
        hold.attempt,
        printable::line(&hold.station),
        rfc3339(hold.claimed_at)
    )
}
