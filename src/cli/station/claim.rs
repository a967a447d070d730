//! `certforge station claim`.

use std::fmt;
use std::path::PathBuf;

use certforge::manifest::DeviceId;
use certforge::profile::rfc3339;
use certforge::shell::quoted;
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{DEFAULT_LEASE_MINUTES, StationArgs, warn, warn_of_disk, warn_of_gone};
use crate::cli::identity::IdentityArgs;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::Lines;

#[derive(Debug, Args)]
pub struct Claim {
    /// Id of the device in hand, as on its label
    #[arg(long, value_name = "ID", required_unless_present = "next", value_parser = super::device_id)]
    device: Option<String>,
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
    json: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    station: StationArgs,
}

/// A device that is this station's, with its bundle unpacked.
#[derive(Serialize)]
struct InHand {
    device_id: DeviceId,
    station: String,
    attempt: u32,
    resumed: bool,
    claimed_at: String,
    lease_until: String,
    certificate_id: String,
    certificate_serial: String,
    folder: PathBuf,
    files: Vec<String>,
    #[serde(skip)]
    out: PathBuf,
}

impl Claim {
    pub fn run(&self) -> Outcome {
        let mut station = self.station.open_with(self.identity.read()?, self.lease)?;
        if station.pending()? > 0 {
            warn(&station.send()?);
        }
        let device_id = self
            .device
            .as_ref()
            .map(|device| station.device_id(device))
            .transpose()?;
        for gone in station.prepare(&self.out, device_id.as_ref())? {
            warn_of_gone(&gone);
        }
        let mut claimed = match &device_id {
            Some(device_id) => station.claim(device_id, self.take_over)?,
            None => station.claim_next()?,
        };
        warn_of_disk(&self.out, "the private key after it is");
        let unpacked = station.fetch(&mut claimed, &self.out)?;
        let (claim, entry) = (claimed.claim, &claimed.device.entry);
        Ok(Ended::with(InHand {
            device_id: claim.device_id,
            station: claim.hold.station,
            attempt: claim.hold.attempt,
            resumed: claimed.resumed,
            claimed_at: rfc3339(claim.hold.claimed_at),
            lease_until: rfc3339(claim.hold.lease_until),
            certificate_id: HEXLOWER.encode(&entry.certificate_id),
            certificate_serial: entry.certificate_serial.to_string(),
            folder: unpacked.folder,
            files: unpacked.files,
            out: self.out.clone(),
        }))
    }
}

impl fmt::Display for InHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = match (self.resumed, self.attempt) {
            (true, _) => ", as before".to_owned(),
            (false, 1) => String::new(),
            (false, attempt) => format!(", attempt {attempt}"),
        };
        let (out, files) = (self.out.display(), self.files.len());
        let id = quoted(self.device_id.as_str());
        let mut lines = Lines::default();
        lines
            .line("device", format!("{}{again}", self.device_id))
            .line(
                "claimed",
                format!("by {} until {}", self.station, self.lease_until),
            )
            .line("bundle", format!("{out} ({files} files)"))
            .line("certificate", &self.certificate_id)
            .line(
                "next",
                format!("certforge station done {id}, or failed {id} --reason TEXT"),
            );
        lines.fmt(f)
    }
}
