//! `certforge station run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use certforge::batch::Layout;
use certforge::station::{Cycle, CycleEvent, CycleSummary, Stop, is_in_memory};
use clap::Args;
use serde_json::json;

use super::{DEFAULT_LEASE_MINUTES, Outcome, StationArgs, warn, warn_of_refused};
use crate::cli::text::{count, devices};
use crate::cli::{Failure, exit, print, print_json};

/// That the store does not answer is told so often.
const TELL_AGAIN: Duration = Duration::from_mins(1);

static IS_CANCELLED: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Args)]
pub struct Run {
    /// Script that flashes one device; its exit code says whether it did. In its environment: CERTFORGE_DEVICE_ID,
    /// CERTFORGE_STATION, CERTFORGE_BUNDLE_DIR
    #[arg(long, value_name = "FILE")]
    exec: PathBuf,
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
    /// Seconds that the script may take; then it and all that it started are killed, and the device has failed. It
    /// has no terminal to read from then [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Minutes until others may take over a device that this station has in hand
    #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_LEASE_MINUTES, value_parser = clap::value_parser!(u32).range(1..=525_600))]
    lease: u32,
    /// Print a JSON document at the end
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    station: StationArgs,
}

impl Run {
    pub fn run(&self) -> Outcome {
        self.check_script()?;
        let mut station = self.station.open(self.lease)?;
        if self.burn && station.batch().layout() == Layout::Packs {
            return Err(Failure::usage(
                "--burn is for batches in layout objects, and this one is in packs",
                "leave it out; `certforge station burn` removes the bundles of flashed devices from packs",
            ));
        }
        // Two that have one name by mistake do not share a folder.
        let name = format!("certforge-{}-{}", station.name(), std::process::id());
        let default = || Path::new("/dev/shm").join(name);
        let folder = self.out.clone().unwrap_or_else(default);
        if !is_in_memory(&folder) {
            eprintln!(
                "certforge: warning: {} is on a disk, which may keep private keys after they are wiped; use a folder in memory, such as /dev/shm",
                folder.display()
            );
        }
        handle_interrupts();
        let cycle = Cycle {
            script: &self.exec,
            arguments: &self.arguments,
            folder: &folder,
            burn: self.burn,
            output_to_stderr: self.json,
            timeout: self.timeout.map(|seconds| Duration::from_secs(seconds.into())),
            limit: self.limit,
            failures_in_a_row: self.stop_after,
        };
        let is_cancelled = || IS_CANCELLED.load(Ordering::Relaxed);
        let mut waiting_since = None;
        let summary = station.run(
            cycle,
            &mut |event| self.show(&event, &mut waiting_since),
            &is_cancelled,
        )?;
        if self.json {
            print_json(&json!({
                "station": station.name(),
                "flashed": summary.flashed,
                "failed": summary.failed,
                "pending_reports": summary.pending,
                "ended": word(summary.stop),
            }));
        } else {
            print(&self.text(&summary));
        }
        Ok(exit_code(&summary))
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

    /// `told`: when it was last told that the store does not answer.
    fn show(&self, event: &CycleEvent<'_>, told: &mut Option<Instant>) {
        let line = match event {
            CycleEvent::Begun(claimed) if claimed.resumed => {
                *told = None;
                let device_id = &claimed.claim.device_id;
                format!("{device_id}: begun again; the device in the fixture must be the same one")
            }
            CycleEvent::Begun(_) => {
                *told = None;
                return;
            }
            CycleEvent::Flashed { device_id, took } => {
                format!("{device_id}: flashed in {:.1} s", took.as_secs_f64())
            }
            CycleEvent::Failed { device_id, reason } => format!("{device_id}: FAILED: {reason}"),
            CycleEvent::Pending(sent) => return warn(sent),
            CycleEvent::Refused(error) => return warn_of_refused(error),
            CycleEvent::Waiting(error) => {
                if told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
                    *told = Some(Instant::now());
                    eprintln!("certforge: warning: {error}; trying again until it answers");
                }
                return;
            }
        };
        match self.json {
            true => eprintln!("{line}"),
            false => print(&format!("{line}\n")),
        }
    }

    fn text(&self, summary: &CycleSummary) -> String {
        let why = match summary.stop {
            Stop::NothingLeft => "nothing is left to claim".to_owned(),
            Stop::Limit => "that was the limit".to_owned(),
            Stop::Failures => format!(
                "STOPPED: {} failures one after the other; put the station right first",
                self.stop_after
            ),
            Stop::Interrupted => "interrupted; the same command goes on".to_owned(),
        };
        format!(
            "{} flashed, {} failed; {why}\n",
            devices(summary.flashed),
            count(summary.failed)
        )
    }
}

fn word(stop: Stop) -> &'static str {
    match stop {
        Stop::NothingLeft => "nothing left",
        Stop::Limit => "limit",
        Stop::Failures => "failures",
        Stop::Interrupted => "interrupted",
    }
}

fn exit_code(summary: &CycleSummary) -> ExitCode {
    match summary {
        CycleSummary {
            stop: Stop::Interrupted,
            ..
        } => exit::INTERRUPTED.into(),
        CycleSummary { pending: 1.., .. } => exit::STORE.into(),
        CycleSummary { failed: 1.., .. } => exit::SOME_FAILED.into(),
        _ => ExitCode::SUCCESS,
    }
}

/// The first Ctrl-C ends the cycle after the device in hand, the second ends the process.
fn handle_interrupts() {
    let handler = || {
        if IS_CANCELLED.swap(true, Ordering::Relaxed) {
            // The device stays claimed, and comes first the next time.
            std::process::exit(exit::INTERRUPTED.into());
        }
        eprintln!("certforge: ending with the device in hand; Ctrl-C again ends at once");
    };
    ctrlc::set_handler(handler).expect("no other handler is set");
}
