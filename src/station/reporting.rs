//! Reports: how a device ended. Each is on disk before anything else is done, and stays there until the
//! store has taken it, however long the network is away.

use std::path::PathBuf;

use super::claiming::{is_refusal, taken_over, why_refused};
use super::memory::{Held, Report};
use super::{Device, Record, Station, StationError, claim_id};
use crate::batch::claim::{Claim, Hold, Refusal, State, shortened};
use crate::batch::claim_object;
use crate::batch::report;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

/// Times that a claim is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// How a device ended, as an operator or a script says it.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    pub device_id: &'a DeviceId,
    pub state: State,
    pub reason: Option<&'a str>,
    /// Whether its bundle is to be removed from the store too.
    pub burn: bool,
    /// Whether a device that was flashed may be scrapped.
    pub although_flashed: bool,
}

impl<'a> Reported<'a> {
    #[must_use]
    pub fn new(device_id: &'a DeviceId, state: State) -> Self {
        Self {
            device_id,
            state,
            reason: None,
            burn: false,
            although_flashed: false,
        }
    }
}

/// What became of the reports that waited.
#[derive(Debug, Default)]
pub struct Sent {
    /// The folder into which the bundle was unpacked, when it is not there any more to be wiped; another may be.
    pub gone: Option<PathBuf>,
    /// Reports that still wait.
    pub pending: usize,
    /// Why they wait, each reason once.
    pub why: Vec<StationError>,
    /// Earlier reports that the store will never take, and that are given up.
    pub refused: Vec<StationError>,
    /// Devices whose claim says how they ended, and whose record cannot be written.
    pub unrecorded: Vec<StationError>,
}

impl Station {
    /// Reports how a device ended, and wipes what was unpacked of it. A store that cannot be reached is no
    /// error: the report is sent later.
    ///
    /// # Errors
    ///
    /// When the device is not this station's to report on, or cannot be wiped.
    pub fn report(&self, reported: Reported<'_>) -> Result<Sent, StationError> {
        let device_id = reported.device_id;
        let report = match self.queue(reported) {
            Ok(report) => report,
            // What cannot be remembered is still to be wiped.
            Err(error @ StationError::Memory { .. }) => {
                let _ = self.wipe(device_id);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        if report.claim.is_none() {
            // The station remembers no such device: what it says of it is not for later.
            let unrecorded = self.send_one(&report)?;
            let mut sent = self.send()?;
            sent.unrecorded.extend(unrecorded);
            return Ok(sent);
        }
        let wiped = self.wipe(device_id);
        let mut own_refusal = None;
        let sent = self.send_each(&mut |report, error| match report.device_id == *device_id {
            true => {
                own_refusal = Some(error);
                None
            }
            false => Some(error),
        });
        let gone = wiped?;
        let mut sent = sent?;
        sent.gone = gone;
        sent.pending = self.pending()?;
        match own_refusal {
            Some(error) => Err(error),
            None => Ok(sent),
        }
    }

    /// Writes a report to disk, unless it is of a device that the station does not remember.
    fn queue(&self, reported: Reported<'_>) -> Result<Report, StationError> {
        let Reported { device_id, state, .. } = reported;
        let report = match self.memory.report(device_id)? {
            // It was said before, and waits.
            Some(waiting) if waiting.state == state => Report {
                burn: waiting.burn || reported.burn,
                ..waiting
            },
            Some(waiting) if !waiting.state.may_become(state) => {
                return Err(cannot_follow(device_id, waiting.state, state));
            }
            Some(Report {
                state: State::Flashed,
                at,
                ..
            }) if !reported.although_flashed => {
                return Err(StationError::Flashed {
                    device_id: device_id.clone(),
                    station: self.name.clone(),
                    at,
                });
            }
            waiting => self.new_report(reported, waiting)?,
        };
        if report.claim.is_some() {
            self.memory.queue(&report)?;
        }
        Ok(report)
    }

    fn new_report(&self, reported: Reported<'_>, waiting: Option<Report>) -> Result<Report, StationError> {
        let Reported { device_id, state, .. } = reported;
        let held = self.memory.held(device_id)?.map(|held| held.claim.hold.claim);
        let own = waiting.and_then(|report| report.claim).or(held);
        Ok(Report {
            device_id: device_id.clone(),
            claim: match state {
                // Anybody may scrap what nobody has in hand: then it is a hold of its own.
                State::Scrapped if own.is_none() => Some(claim_id()?),
                _ => own,
            },
            state,
            at: self.now(),
            reason: reported.reason.map(str::to_owned),
            burn: reported.burn,
            although_flashed: reported.although_flashed,
        })
    }

    /// Reports that wait for the store.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn pending(&self) -> Result<usize, StationError> {
        let (reports, damaged) = self.memory.reports()?;
        Ok(reports.len() + damaged.len())
    }

    /// Whether a report of a device waits for the store.
    #[must_use]
    pub fn is_pending(&self, device_id: &DeviceId) -> bool {
        self.memory.has_report(device_id)
    }

    /// Sends the reports that wait.
    ///
    /// # Errors
    ///
    /// When what the station remembers cannot be read.
    pub fn send(&self) -> Result<Sent, StationError> {
        let mut sent = self.send_each(&mut |_, error| Some(error))?;
        sent.pending = self.pending()?;
        Ok(sent)
    }

    /// Sends report after report, oldest first. One that will never be taken is given up, and told to
    /// `refused`, which gives it back if it is to be told to others; any other waits, and does not keep
    /// the next ones from being sent, unless the store cannot be reached at all.
    fn send_each(
        &self,
        refused: &mut dyn FnMut(&Report, StationError) -> Option<StationError>,
    ) -> Result<Sent, StationError> {
        let (reports, why) = self.memory.reports()?;
        let mut sent = Sent {
            why,
            ..Sent::default()
        };
        for report in reports {
            match self.send_one(&report) {
                Ok(unrecorded) => sent.unrecorded.extend(unrecorded),
                Err(error) if is_final(&error) => {
                    self.wipe(&report.device_id)?;
                    self.memory.let_go(&report.device_id)?;
                    self.memory.sent(&report)?;
                    sent.refused.extend(refused(&report, error));
                }
                Err(error) => {
                    let is_passing = error.is_passing();
                    sent.why.push(error);
                    if is_passing {
                        break;
                    }
                }
            }
        }
        Ok(sent)
    }

    /// Sends a report. What is in the place of its record for good keeps it from nothing, and is given back.
    fn send_one(&self, report: &Report) -> Result<Option<StationError>, StationError> {
        let device_id = &report.device_id;
        let device = self.batch.find(&self.store, &self.cache, device_id)?;
        let claim = self.end_claim(report, &device)?;
        let recorded = self.record(&claim, &device);
        // The bundle goes by what the claim says, whether or not it is recorded.
        if report.burn && claim.hold.state.is_final() {
            self.batch.burn_one(&self.store, &self.cache, &device)?;
        }
        let unrecorded = match recorded {
            Err(error @ StationError::Unrecorded { .. }) => Some(error),
            other => other.map(|()| None)?,
        };
        // A crash may have come between the report and the wiping.
        self.wipe(device_id)?;
        match (claim.hold.state, self.memory.held(device_id)?) {
            // It is remembered as one's own to try again.
            (State::Failed, Some(held)) => self.memory.hold(&Held { claim, ..held })?,
            _ => self.memory.let_go(device_id)?,
        }
        self.memory.sent(report)?;
        Ok(unrecorded)
    }

    /// Writes the record of a claim that has ended.
    fn record(&self, claim: &Claim, device: &Device) -> Result<(), StationError> {
        let Some(object) = report::object(claim, device) else {
            return Ok(());
        };
        match write_record(&self.store, &object, &Record::of(claim, device)) {
            Err(StationError::Store(error)) if error.is_in_the_way() => Err(StationError::Unrecorded {
                device_id: claim.device_id.clone(),
                state: claim.hold.state,
                object,
            }),
            other => other,
        }
    }

    /// Writes into the claim how it ended, unless it says so already.
    fn end_claim(&self, report: &Report, device: &Device) -> Result<Claim, StationError> {
        let object = claim_object(device.chunk, &report.device_id);
        let is_held = self.memory.held(&report.device_id)?.is_some();
        // Of a device that nobody ever had, the claim says at once that it is scrapped. The same content
        // counts as created.
        if report.state == State::Scrapped && !is_held {
            let claim = self.scrap(None, report)?;
            if self.store.create(&object, &claim.to_json())? {
                return Ok(claim);
            }
        }
        for _ in 0..ROUNDS {
            let (octets, version) = match self.store.read_version(&object, None) {
                Err(StoreError::NotFound { object }) => return Err(no_claim(report, object)),
                other => other?,
            };
            let found = Claim::read(&octets, &object, &report.device_id)?;
            let is_own = report.claim.as_ref() == Some(&found.hold.claim);
            // It was said before; whoever does not remember may still be told so.
            let is_said = found.hold.state == report.state
                && (is_own || report.claim.is_none() && found.hold.station == self.name);
            if is_said {
                return Ok(found);
            }
            if found.hold.state == State::Flashed
                && report.state == State::Scrapped
                && !report.although_flashed
            {
                return Err(why_refused(&found, &Refusal::Flashed, &self.name));
            }
            let ended = match is_own {
                true => found
                    .ended(report.state, report.at, report.reason.as_deref())
                    .ok_or_else(|| cannot_follow(&found.device_id, found.hold.state, report.state))?,
                false if report.state == State::Scrapped => self.scrap(Some(&found), report)?,
                false => return Err(not_ours(&found, report, &self.name)),
            };
            if self.replace(&object, &ended, &version)? {
                return Ok(ended);
            }
        }
        Err(StationError::Contended { object })
    }

    /// The claim of a device that is scrapped by one who did not have it.
    fn scrap(&self, found: Option<&Claim>, report: &Report) -> Result<Claim, StationError> {
        if let Some(found) = found {
            let is_in_hand = found.hold.state == State::Claimed && !found.hold.is_stale(self.now());
            if is_in_hand {
                return Err(why_refused(found, &Refusal::Taken, &self.name));
            }
            if !found.hold.state.may_become(State::Scrapped) {
                return Err(cannot_follow(&found.device_id, found.hold.state, State::Scrapped));
            }
        }
        let at = report.at.replace_nanosecond(0).unwrap_or(report.at);
        let claim = match &report.claim {
            Some(claim) => claim.clone(),
            None => claim_id()?,
        };
        let hold = Hold {
            station: self.name.clone(),
            claim,
            state: State::Scrapped,
            attempt: found.map_or(1, |found| found.hold.attempt),
            claimed_at: at,
            lease_until: at,
            ended_at: Some(at),
            reason: report.reason.as_deref().map(shortened),
        };
        Ok(match found {
            Some(found) => found.followed(hold),
            None => Claim {
                device_id: report.device_id.clone(),
                hold,
                earlier: Vec::new(),
            },
        })
    }
}

/// Writes a record once. The same hold's record counts as written.
pub(super) fn write_record(store: &Store, object: &str, record: &Record) -> Result<(), StationError> {
    if store.create(object, &record.to_json())? {
        return Ok(());
    }
    let found = store.read(object, None)?;
    match Record::read(&found, object, &record.device_id) {
        Ok(found) if found.claim == record.claim => Ok(()),
        _ => Err(StoreError::Conflict {
            object: format!("{}/{object}", store.location()),
        }
        .into()),
    }
}

/// That a device has no claim. Of a hold that the station remembers it is no answer: the store is not what it was.
fn no_claim(report: &Report, object: String) -> StationError {
    let device_id = report.device_id.clone();
    match report.claim {
        Some(_) => StationError::ClaimGone { device_id, object },
        None => StationError::NotClaimed { device_id },
    }
}

/// Whether a report will never be taken.
fn is_final(error: &StationError) -> bool {
    matches!(
        error,
        StationError::CannotFollow { .. } | StationError::UnknownDevice { .. }
    ) || is_refusal(error)
}

/// Why a station may not report on a device that another one has, or had last.
fn not_ours(found: &Claim, report: &Report, own_name: &str) -> StationError {
    if report.claim.is_some() {
        return taken_over(found);
    }
    let refusal = match found.hold.state {
        State::Claimed => Refusal::Taken,
        State::Flashed => Refusal::Flashed,
        State::Failed => Refusal::FailedElsewhere,
        State::Scrapped => Refusal::Scrapped,
    };
    if found.hold.station == own_name && found.hold.state != State::Claimed {
        return cannot_follow(&found.device_id, found.hold.state, report.state);
    }
    why_refused(found, &refusal, own_name)
}

fn cannot_follow(device_id: &DeviceId, state: State, wanted: State) -> StationError {
    StationError::CannotFollow {
        device_id: device_id.clone(),
        state,
        wanted,
    }
}
