//! `certforge station run`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certforge::station::{Cycle, CycleEvent, CycleSummary, Stop};
use clap::Args;
use serde::Serialize;

use super::{
    DEFAULT_LEASE_MINUTES, StationArgs, warn_of_disk, warn_of_gone, warn_of_pending, warn_of_refused,
};
use crate::cli::identity::IdentityArgs;
use crate::cli::report::{self, Ended, Outcome, Printer};
use crate::cli::text::{count, devices};
use crate::cli::{Failure, exit, interrupt};

/// That the store does not answer is told so often.
const TELL_AGAIN: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub struct Run {
    /// Script that flashes one device; its exit code says whether it did. In its environment: CERTFORGE_DEVICE_ID,
    /// CERTFORGE_STATION, CERTFORGE_BUNDLE_DIR; of this command's own only PATH, HOME, USER, LOGNAME, SHELL, TERM, TZ,
    /// TMPDIR, PWD, LANG, LANGUAGE, LC_* and XDG_*, so that it sees no passphrase and no credentials
    #[arg(long, value_name = "FILE")]
    exec: PathBuf,
    /// Variable that the script gets too; may be given several times
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// Arguments of the script
    #[arg(last = true)]
    arguments: Vec<String>,
    /// Folder in which bundles are unpacked, one at a time [default: in /dev/shm]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Remove the bundle of each flashed device from the store, every version of it
    #[arg(long)]
    burn: bool,
    /// End after so many devices
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// End after so many failures one after the other: then the station is broken, not the devices
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: u32,
    /// Seconds that the script may take; then it is killed, and the device has failed. All that it started is killed
    /// when it ends, also a daemon, and it has no terminal to read from [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Minutes until others may take over a device that this station has in hand
    #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_LEASE_MINUTES, value_parser = clap::value_parser!(u32).range(1..=525_600))]
    lease: u32,
    /// Print a JSON document at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    station: StationArgs,
}

/// How the cycle went.
#[derive(Serialize)]
struct Ran {
    station: String,
    flashed: u64,
    failed: u64,
    pending_reports: usize,
    ended: Stop,
    #[serde(skip)]
    why: String,
}

impl Run {
    pub fn run(&self, printer: Printer) -> Outcome {
        self.check_script()?;
        self.check_environment()?;
        let mut station = self.station.open_with(self.identity.read()?, self.lease)?;
        if self.burn && station.batch().layout().is_packed() {
            return Err(Failure::usage(
                "--burn is for batches in layout objects, and this one is in packs",
                "leave it out; `certforge station burn` removes the bundles of flashed devices from packs",
            ));
        }
        // Two that have one name by mistake do not share a folder.
        let name = format!("certforge-{}-{}", station.name(), std::process::id());
        let default = || Path::new("/dev/shm").join(name);
        let folder = self.out.clone().unwrap_or_else(default);
        warn_of_disk(&folder, "private keys after they are");
        let cancel = interrupt::cancel("ending with the device in hand; Ctrl-C again ends at once");
        let cycle = Cycle {
            script: &self.exec,
            arguments: &self.arguments,
            environment: &self.env,
            folder: &folder,
            burn: self.burn,
            output_to_stderr: printer.wants_documents(),
            timeout: self.timeout.map(|seconds| Duration::from_secs(seconds.into())),
            limit: self.limit,
            failures_in_a_row: self.stop_after,
        };
        let mut waiting_since = None;
        let summary = station.run(
            cycle,
            &mut |event| show(&event, &mut waiting_since, printer),
            &|| cancel.is_cancelled(),
        )?;
        let ran = Ran {
            station: station.name().to_owned(),
            flashed: summary.flashed,
            failed: summary.failed,
            pending_reports: summary.pending,
            ended: summary.stop,
            why: self.why(summary.stop),
        };
        Ok(Ended::with(ran).code(exit_code(&summary)))
    }

    /// A script that cannot be run costs no claim.
    fn check_script(&self) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt;
        // A name without a slash is looked for on the PATH.
        if !self.exec.display().to_string().contains('/') {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let is_there = std::env::split_paths(&path).any(|folder| folder.join(&self.exec).is_file());
            return match is_there {
                true => Ok(()),
                false => Err(Failure::usage(
                    &format!("--exec {} is not on the PATH", self.exec.display()),
                    "name a file with its folder, such as ./flash.sh",
                )),
            };
        }
        let hint = "name an executable file, such as ./flash.sh";
        match self.exec.metadata() {
            Err(error) => Err(Failure::usage(
                &format!("--exec {}: {error}", self.exec.display()),
                hint,
            )),
            Ok(metadata) if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 => Err(
                Failure::usage(&format!("--exec {} is not executable", self.exec.display()), hint),
            ),
            Ok(_) => Ok(()),
        }
    }

    /// Nor does one that would lack what it needs.
    fn check_environment(&self) -> Result<(), Failure> {
        match self.env.iter().find(|name| std::env::var_os(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Failure::usage(
                &format!("--env {name}: there is no such variable"),
                "give the name of a variable of this command's environment, such as --env FLASH_PORT",
            )),
        }
    }

    fn why(&self, stop: Stop) -> String {
        match stop {
            Stop::NothingLeft => "nothing is left to claim".to_owned(),
            Stop::Limit => "that was the limit".to_owned(),
            Stop::Failures => format!(
                "STOPPED: {} failures one after the other; put the station right first",
                self.stop_after
            ),
            Stop::Interrupted => "interrupted; the same command goes on".to_owned(),
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flashed, failed) = (devices(self.flashed), count(self.failed));
        writeln!(f, "{flashed} flashed, {failed} failed; {}", self.why)
    }
}

/// `told`: when it was last told that the store does not answer.
fn show(event: &CycleEvent<'_>, told: &mut Option<Instant>, printer: Printer) {
    match event {
        CycleEvent::Begun(claimed) => {
            *told = None;
            if claimed.resumed {
                printer.say(format_args!(
                    "{}: begun again; the device in the fixture must be the same one",
                    claimed.claim.device_id
                ));
            }
        }
        CycleEvent::Flashed { device_id, took } => {
            printer.say(format_args!(
                "{device_id}: flashed in {:.1} s",
                took.as_secs_f64()
            ));
        }
        CycleEvent::Failed { device_id, reason } => {
            printer.say(format_args!("{device_id}: FAILED: {reason}"));
        }
        CycleEvent::Gone(folder) => warn_of_gone(folder),
        CycleEvent::Pending(sent) => warn_of_pending(sent),
        CycleEvent::Refused(error) => warn_of_refused(error),
        CycleEvent::Unrecorded(error) => Failure::of(*error).tell(),
        CycleEvent::Waiting(error) => {
            if told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
                *told = Some(Instant::now());
                report::warn(format_args!("{error}; trying again until it answers"));
            }
        }
    }
}

fn exit_code(summary: &CycleSummary) -> u8 {
    match summary {
        CycleSummary {
            stop: Stop::Interrupted,
            ..
        } => exit::INTERRUPTED,
        CycleSummary { pending: 1.., .. } => exit::STORE,
        CycleSummary { failed: 1.., .. } => exit::SOME_FAILED,
        _ => 0,
    }
}
