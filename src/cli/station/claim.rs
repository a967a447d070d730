//! `certforge station claim`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::manifest::DeviceId;
use certforge::profile::rfc3339;
use certforge::shell::quoted;
use certforge::station::is_in_memory;
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::{DEFAULT_LEASE_MINUTES, Outcome, StationArgs, warn};
use crate::cli::text::Report;
use crate::cli::{print, print_json};

#[derive(Debug, Args)]
pub struct Claim {
    /// Id of the device in hand, as on its label
    #[arg(long, value_name = "ID", required_unless_present = "next", value_parser = super::device_id)]
    device: Option<DeviceId>,
    /// Claim any device that nobody has claimed; the one that this station has not reported on comes first
    #[arg(long, conflicts_with = "device")]
    next: bool,
    /// Take the device over from a station whose lease has ended, or at which it failed
    #[arg(long, conflicts_with = "next")]
    take_over: bool,
    /// Folder for the files of the bundle, best in memory: /dev/shm/dev
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Minutes until others may take the device over
    #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_LEASE_MINUTES, value_parser = clap::value_parser!(u32).range(1..=525_600))]
    lease: u32,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Claim {
    pub fn run(&self) -> Outcome {
        let mut station = self.station.open(self.lease)?;
        if station.pending()? > 0 {
            warn(&station.send()?);
        }
        station.prepare(&self.out, self.device.as_ref())?;
        let mut claimed = match &self.device {
            Some(device_id) => station.claim(device_id, self.take_over)?,
            None => station.claim_next()?,
        };
        if !is_in_memory(&self.out) {
            eprintln!(
                "certforge: warning: {} is on a disk, which may keep the private key after it is wiped; use a folder in memory, such as /dev/shm",
                self.out.display()
            );
        }
        let unpacked = station.fetch(&mut claimed, &self.out)?;
        let (claim, entry) = (&claimed.claim, &claimed.device.entry);
        if self.json {
            print_json(&json!({
                "device_id": claim.device_id,
                "station": claim.hold.station,
                "attempt": claim.hold.attempt,
                "resumed": claimed.resumed,
                "claimed_at": rfc3339(claim.hold.claimed_at),
                "lease_until": rfc3339(claim.hold.lease_until),
                "certificate_id": HEXLOWER.encode(&entry.certificate_id),
                "certificate_serial": entry.certificate_serial.to_string(),
                "folder": unpacked.folder,
                "files": unpacked.files,
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let again = match (claimed.resumed, claim.hold.attempt) {
            (true, _) => ", as before".to_owned(),
            (false, 1) => String::new(),
            (false, attempt) => format!(", attempt {attempt}"),
        };
        let mut report = Report::default();
        report
            .line("device", format!("{}{again}", claim.device_id))
            .line(
                "claimed",
                format!(
                    "by {} until {}",
                    claim.hold.station,
                    rfc3339(claim.hold.lease_until)
                ),
            )
            .line(
                "bundle",
                format!("{} ({} files)", self.out.display(), unpacked.files.len()),
            )
            .line("certificate", HEXLOWER.encode(&entry.certificate_id))
            .line(
                "next",
                format!(
                    "certforge station done {0}, or failed {0} --reason TEXT",
                    quoted(claim.device_id.as_str())
                ),
            );
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }
}
