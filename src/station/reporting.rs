//! Reports: how a device ended. Each is on disk before anything else is done, and stays there until the
//! store has taken it, however long the network is away.

use super::claim::{Claim, Hold, Refusal, State};
use super::claiming::{is_refusal, taken_over, why_refused};
use super::memory::Report;
use super::{Device, Record, Station, StationError, claim_id, record, unpack};
use crate::manifest::DeviceId;
use crate::store::{StoreError, claim_object};

/// Times that a claim is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// What became of a report.
#[derive(Debug)]
pub struct Sent {
    /// Reports that wait for the store, this one perhaps among them.
    pub pending: usize,
    /// Why they wait.
    pub why: Option<StationError>,
    /// Earlier reports that the store does not take, and that are given up.
    pub refused: Vec<StationError>,
}

impl Station {
    /// Reports how a device ended, and wipes what was unpacked of it. `burn`: its bundle is removed from
    /// the store too. A store that cannot be reached is no error: the report is sent later.
    ///
    /// # Errors
    ///
    /// When the device is not this station's to report on.
    pub fn report(
        &self,
        device_id: &str,
        state: State,
        reason: Option<&str>,
        burn: bool,
    ) -> Result<Sent, StationError> {
        let unknown = |_| StationError::UnknownDevice {
            device_id: device_id.to_owned(),
            batch: self.batch.name().to_owned(),
        };
        DeviceId::parse(device_id).map_err(unknown)?;
        let held = self.memory.held(device_id)?;
        let own = held.as_ref().map(|held| held.claim.hold.claim.clone());
        let report = Report {
            device_id: device_id.to_owned(),
            claim: match state {
                // Anybody may scrap what nobody has in hand: then it is a hold of its own.
                State::Scrapped if own.is_none() => Some(claim_id()?),
                _ => own,
            },
            state,
            at: self.now(),
            reason: reason.map(str::to_owned),
            burn,
        };
        self.memory.queue(&report)?;
        if let Some(unpacked) = held.and_then(|held| held.unpacked) {
            unpack::wipe(&unpacked)?;
        }
        let mut sent = Sent {
            pending: 0,
            why: None,
            refused: Vec::new(),
        };
        let mut own_refusal = None;
        self.send_each(|report, error| {
            if report.device_id == device_id {
                own_refusal = Some(error);
            } else {
                sent.refused.push(error);
            }
        })
        .unwrap_or_else(|error| sent.why = Some(error));
        sent.pending = self.pending()?;
        match own_refusal {
            Some(error) => Err(error),
            None => Ok(sent),
        }
    }

    /// Reports that wait for the store.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn pending(&self) -> Result<usize, StationError> {
        Ok(self.memory.reports()?.len())
    }

    /// Sends the reports that wait.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub fn send(&self) -> Result<Sent, StationError> {
        let mut refused = Vec::new();
        self.send_each(|_, error| refused.push(error))?;
        Ok(Sent {
            pending: self.pending()?,
            why: None,
            refused,
        })
    }

    /// Sends report after report, oldest first. One that is refused is given up; where the store does not
    /// answer, or something is wrong that somebody may put right, the rest waits.
    fn send_each(&self, mut refused: impl FnMut(&Report, StationError)) -> Result<(), StationError> {
        for report in self.memory.reports()? {
            match self.send_one(&report) {
                Ok(()) => {}
                Err(error) if is_final(&error) => {
                    self.forget(&report.device_id)?;
                    self.memory.sent(&report)?;
                    refused(&report, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send_one(&self, report: &Report) -> Result<(), StationError> {
        let device = self.batch.find(&*self.store, &self.cache, &report.device_id)?;
        let claim = self.end_claim(report, &device)?;
        if let Some(object) = record::object(&claim, &device) {
            self.write_record(&object, &Record::of(&claim, &device))?;
        }
        if report.burn {
            self.batch.burn_one(&*self.store, &device)?;
        }
        self.forget(&report.device_id)?;
        self.memory.sent(report)
    }

    /// Writes into the claim how it ended, unless it says so already.
    fn end_claim(&self, report: &Report, device: &Device) -> Result<Claim, StationError> {
        let object = claim_object(device.chunk, &report.device_id);
        for _ in 0..ROUNDS {
            let (octets, version) = match self.store.read_version(&object) {
                Err(StoreError::NotFound { .. }) if report.state == State::Scrapped => {
                    let claim = self.scrap(None, report)?;
                    if self.store.create(&object, &claim.to_json())? {
                        return Ok(claim);
                    }
                    continue;
                }
                Err(StoreError::NotFound { .. }) => {
                    return Err(StationError::NotClaimed {
                        device_id: report.device_id.clone(),
                    });
                }
                other => other?,
            };
            let found: Claim = serde_json::from_slice(&octets).map_err(|_| StationError::NoClaim {
                object: object.clone(),
            })?;
            let is_own = match &report.claim {
                Some(claim) => *claim == found.hold.claim,
                None => found.hold.station == self.name,
            };
            if is_own && found.hold.state == report.state {
                return Ok(found);
            }
            let ended = match is_own {
                true => found
                    .ended(report.state, report.at, report.reason.as_deref())
                    .ok_or_else(|| cannot_follow(&found, report.state))?,
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
        let mut earlier = Vec::new();
        if let Some(found) = found {
            let is_in_hand = found.hold.state == State::Claimed
                && !found.hold.is_stale(self.now())
                && found.hold.station != self.name;
            if is_in_hand || found.hold.state == State::Scrapped {
                return Err(match is_in_hand {
                    true => why_refused(found, &Refusal::Taken, &self.name),
                    false => cannot_follow(found, State::Scrapped),
                });
            }
            earlier.clone_from(&found.earlier);
            earlier.push(found.hold.clone());
        }
        let at = report.at.replace_nanosecond(0).unwrap_or(report.at);
        let claim = match &report.claim {
            Some(claim) => claim.clone(),
            None => claim_id()?,
        };
        Ok(Claim {
            device_id: report.device_id.clone(),
            hold: Hold {
                station: self.name.clone(),
                claim,
                state: State::Scrapped,
                attempt: found.map_or(1, |found| found.hold.attempt),
                claimed_at: at,
                lease_until: at,
                ended_at: Some(at),
                reason: report.reason.clone(),
            },
            earlier,
        })
    }

    /// Writes a record once. The same hold's record counts as written.
    fn write_record(&self, object: &str, record: &Record) -> Result<(), StationError> {
        if self.store.create(object, &record.to_json())? {
            return Ok(());
        }
        let found = self.store.read(object, None)?;
        match serde_json::from_slice::<Record>(&found) {
            Ok(found) if found.claim == record.claim => Ok(()),
            _ => Err(StoreError::Conflict {
                object: format!("{}/{object}", self.store.location()),
            }
            .into()),
        }
    }
}

/// Whether a report will never be taken.
fn is_final(error: &StationError) -> bool {
    matches!(
        error,
        StationError::NotClaimed { .. }
            | StationError::CannotFollow { .. }
            | StationError::UnknownDevice { .. }
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
    why_refused(found, &refusal, own_name)
}

fn cannot_follow(found: &Claim, wanted: State) -> StationError {
    StationError::CannotFollow {
        device_id: found.device_id.clone(),
        state: word(found.hold.state),
        wanted: word(wanted),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Claimed => "claimed",
        State::Flashed => "flashed",
        State::Failed => "failed",
        State::Scrapped => "scrapped",
    }
}
