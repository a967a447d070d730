//! The cycle of a station that works by itself: claim, fetch, run the script, report, wipe, and again.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::said::Said;
use super::script::{self, End};
use super::{Claimed, Reported, Sent, Station, StationError};
use crate::batch::claim::State;
use crate::manifest::DeviceId;

/// What a script gets of the station's own environment, and nothing else: no passphrase, no credentials.
const PASSED: [&str; 11] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE", "PWD",
];

/// The same, by how the name begins.
const PASSED_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Environment of the script.
const DEVICE_ID: &str = "CERTFORGE_DEVICE_ID";
const STATION: &str = "CERTFORGE_STATION";
const BUNDLE_DIR: &str = "CERTFORGE_BUNDLE_DIR";

/// Pauses while the store cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is waited for is looked at so often.
const STEP: Duration = Duration::from_millis(20);

/// How a station works by itself.
#[derive(Debug, Clone, Copy)]
pub struct Cycle<'a> {
    /// Flashes one device; success is exit code 0.
    pub script: &'a Path,
    pub arguments: &'a [String],
    /// Variables that the script gets besides those that every program needs.
    pub environment: &'a [String],
    /// Where bundles are unpacked, one at a time.
    pub folder: &'a Path,
    /// Whether the bundle of a flashed device is removed from the store.
    pub burn: bool,
    /// How long the script may take; then it is killed, and the device has failed. Nothing that it started outlives it.
    pub timeout: Option<Duration>,
    /// Whether what the script prints goes to standard error, because standard output is for a machine.
    pub output_to_stderr: bool,
    /// Devices after which to end.
    pub limit: Option<u64>,
    /// Failures one after the other after which to end: then it is the station that is broken.
    pub failures_in_a_row: u32,
}

/// What happens in a cycle.
#[derive(Debug)]
pub enum CycleEvent<'a> {
    Begun(&'a Claimed),
    Flashed {
        device_id: &'a str,
        took: Duration,
    },
    Failed {
        device_id: &'a str,
        reason: &'a str,
    },
    /// A folder into which a bundle was unpacked is not there any more to be wiped; another may be.
    Gone(&'a Path),
    /// Reports wait for the store.
    Pending(&'a Sent),
    /// An earlier report is given up.
    Refused(&'a StationError),
    /// There is no record of what a claim says.
    Unrecorded(&'a StationError),
    /// The store cannot be reached; it is tried again.
    Waiting(&'a StationError),
}

/// Why a cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    #[serde(rename = "nothing left")]
    NothingLeft,
    Limit,
    /// Too many failures one after the other.
    Failures,
    Interrupted,
}

/// How a cycle went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleSummary {
    pub flashed: u64,
    pub failed: u64,
    /// Reports that wait for the store.
    pub pending: usize,
    pub stop: Stop,
}

impl Station {
    /// Flashes device after device.
    ///
    /// # Errors
    ///
    /// When something is wrong that will not pass. A device in hand stays claimed, and comes first the
    /// next time.
    pub fn run(
        &mut self,
        cycle: Cycle<'_>,
        observe: &mut dyn FnMut(CycleEvent<'_>),
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<CycleSummary, StationError> {
        let mut summary = CycleSummary {
            flashed: 0,
            failed: 0,
            pending: 0,
            stop: Stop::Interrupted,
        };
        let mut in_a_row = 0;
        let mut pause = FIRST_PAUSE;
        while !is_cancelled() {
            if cycle
                .limit
                .is_some_and(|limit| summary.flashed + summary.failed >= limit)
            {
                summary.stop = Stop::Limit;
                break;
            }
            if in_a_row >= cycle.failures_in_a_row {
                summary.stop = Stop::Failures;
                break;
            }
            let claimed = match self.claim_and_fetch(cycle.folder, observe) {
                Ok(claimed) => claimed,
                Err(StationError::NothingLeft { .. }) => {
                    summary.stop = Stop::NothingLeft;
                    break;
                }
                Err(error) if error.is_passing() => {
                    observe(CycleEvent::Waiting(&error));
                    wait(pause, is_cancelled);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => return Err(error),
            };
            pause = FIRST_PAUSE;
            let device_id = &claimed.claim.device_id;
            observe(CycleEvent::Begun(&claimed));
            let begun = Instant::now();
            let (end, words, left) = match self.flash(cycle, device_id) {
                Ok(ended) => ended,
                Err(error) => {
                    self.tell_wiped(device_id, observe)?;
                    return Err(error);
                }
            };
            if was_interrupted(&end, is_cancelled) {
                // Whoever pressed Ctrl-C stopped the script too: the device is as it was.
                self.tell_wiped(device_id, observe)?;
                break;
            }
            let reason = reason(&end, words);
            let sent = match &reason {
                None => {
                    summary.flashed += 1;
                    in_a_row = 0;
                    self.report(Reported {
                        burn: cycle.burn,
                        ..Reported::new(device_id, State::Flashed)
                    })?
                }
                Some(reason) => {
                    summary.failed += 1;
                    in_a_row += 1;
                    self.report(Reported {
                        reason: Some(reason),
                        ..Reported::new(device_id, State::Failed)
                    })?
                }
            };
            match &reason {
                None => observe(CycleEvent::Flashed {
                    device_id: device_id.as_str(),
                    took: begun.elapsed(),
                }),
                Some(reason) => observe(CycleEvent::Failed {
                    device_id: device_id.as_str(),
                    reason,
                }),
            }
            tell(&sent, observe);
            // It could read the next bundle.
            if let Some(still_runs) = left {
                return Err(still_runs);
            }
        }
        summary.pending = self.pending()?;
        Ok(summary)
    }

    fn tell_wiped(
        &self,
        device_id: &DeviceId,
        observe: &mut dyn FnMut(CycleEvent<'_>),
    ) -> Result<(), StationError> {
        if let Some(gone) = self.wipe(device_id)? {
            observe(CycleEvent::Gone(&gone));
        }
        Ok(())
    }

    fn claim_and_fetch(
        &mut self,
        folder: &Path,
        observe: &mut dyn FnMut(CycleEvent<'_>),
    ) -> Result<Claimed, StationError> {
        if self.pending()? > 0 {
            let sent = self.send()?;
            tell(&sent, observe);
            // Nothing is claimed from a store that takes no reports.
            if let Some(error) = sent.why.into_iter().find(StationError::is_passing) {
                return Err(error);
            }
        }
        for gone in self.prepare(folder, None)? {
            observe(CycleEvent::Gone(&gone));
        }
        let mut claimed = self.claim_next()?;
        self.fetch(&mut claimed, folder)?;
        Ok(claimed)
    }

    /// Runs the script. Also tells what it said last, and what it left running and cannot be killed.
    fn flash(
        &self,
        cycle: Cycle<'_>,
        device_id: &DeviceId,
    ) -> Result<(End, Option<String>, Option<StationError>), StationError> {
        let folder = std::path::absolute(cycle.folder).unwrap_or_else(|_| cycle.folder.to_owned());
        let mut command = Command::new(cycle.script);
        let failed = |source| StationError::Script {
            path: cycle.script.to_owned(),
            source,
        };
        command
            .args(cycle.arguments)
            .env_clear()
            .envs(environment(cycle.environment))
            .env(DEVICE_ID, device_id.as_str())
            .env(STATION, &self.name)
            .env(BUNDLE_DIR, folder);
        let said = Said::listen(&mut command, cycle.output_to_stderr).map_err(failed)?;
        let (end, left) = script::run(&mut command, cycle.timeout).map_err(failed)?;
        // It holds the pipe open.
        drop(command);
        let still_runs = |source| StationError::StillRuns {
            path: cycle.script.to_owned(),
            source,
        };
        Ok((end, said.last_words(), left.map(still_runs)))
    }
}

/// What a script gets of the station's environment.
fn environment(more: &[String]) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| {
            PASSED.contains(&name)
                || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || more.iter().any(|more| more == name)
        })
    })
}

fn tell(sent: &Sent, observe: &mut dyn FnMut(CycleEvent<'_>)) {
    if let Some(gone) = &sent.gone {
        observe(CycleEvent::Gone(gone));
    }
    for error in &sent.refused {
        observe(CycleEvent::Refused(error));
    }
    for error in &sent.unrecorded {
        observe(CycleEvent::Unrecorded(error));
    }
    if sent.pending > 0 {
        observe(CycleEvent::Pending(sent));
    }
}

/// Why a script failed, with what it said of it; `None` when it did not.
fn reason(end: &End, words: Option<String>) -> Option<String> {
    let how = match end {
        End::Itself(status) if status.success() => return None,
        End::Itself(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        },
        End::TimedOut(timeout) => format!("timed out after {} s", timeout.as_secs()),
    };
    Some(match words {
        Some(words) => format!("{how}: {words}"),
        None => how,
    })
}

/// Whether a script ended by what ends the station too: SIGHUP, SIGINT or SIGTERM. The station may take
/// notice a moment after its script has ended.
fn was_interrupted(end: &End, is_cancelled: &dyn Fn() -> bool) -> bool {
    const NOTICE: Duration = Duration::from_millis(500);
    let End::Itself(status) = end else { return false };
    let is_signal = |signal| status.signal() == Some(signal) || status.code() == Some(128 + signal);
    if ![1, 2, 15].into_iter().any(is_signal) {
        return false;
    }
    wait(NOTICE, is_cancelled);
    is_cancelled()
}

/// Waits, in steps short enough for somebody who wants to end it.
fn wait(pause: Duration, is_cancelled: &dyn Fn() -> bool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !is_cancelled() {
        std::thread::sleep(STEP.min(until.saturating_duration_since(Instant::now())));
    }
}
