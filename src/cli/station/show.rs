//! `certforge station show`.

use std::process::ExitCode;

use certforge::batch::claim::Hold;
use certforge::manifest::DeviceId;
use clap::Args;
use serde_json::json;

use super::status::plain;
use super::{DEFAULT_LEASE_MINUTES, Outcome, StationArgs};
use crate::cli::text::Report;
use crate::cli::{print, print_json};
use certforge::profile::rfc3339;

#[derive(Debug, Args)]
pub struct Show {
    /// Id of the device
    #[arg(value_parser = super::device_id)]
    device: DeviceId,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Show {
    pub fn run(&self) -> Outcome {
        let mut station = self.station.open(DEFAULT_LEASE_MINUTES)?;
        let shown = station.show(&self.device)?;
        let entry = &shown.device.entry;
        let certificate_id = data_encoding::HEXLOWER.encode(&entry.certificate_id);
        let waiting = shown.report.as_ref().map(|report| report.state);
        let folder = shown.unpacked.as_ref().map(|unpacked| &unpacked.folder);
        if self.json {
            print_json(&json!({
                "device_id": self.device,
                "chunk": shown.device.chunk,
                "certificate_id": certificate_id,
                "certificate_serial": entry.certificate_serial.to_string(),
                "claim": shown.claim,
                "report_that_waits": waiting,
                "unpacked": folder,
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut report = Report::default();
        report
            .line("device", self.device.as_str())
            .line("certificate", certificate_id)
            .line("serial", entry.certificate_serial.to_string());
        match &shown.claim {
            None => {
                report.line("claim", "nobody has claimed it");
            }
            Some(claim) => {
                for hold in claim.earlier.iter().chain([&claim.hold]) {
                    report.line("claim", line(hold));
                }
            }
        }
        if let Some(state) = waiting {
            report.line("report", format!("{state}: NOT SENT YET"));
        }
        if let Some(folder) = folder {
            report.line("unpacked", folder.display().to_string());
        }
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }
}

fn line(hold: &Hold) -> String {
    let reason = hold
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(": {}", plain(reason)));
    let until = match hold.ended_at {
        Some(at) => format!("{} at {}", hold.state, rfc3339(at)),
        None => format!("until {}", rfc3339(hold.lease_until)),
    };
    format!(
        "attempt {} by {} since {}, {until}{reason}",
        hold.attempt,
        plain(&hold.station),
        rfc3339(hold.claimed_at)
    )
}
