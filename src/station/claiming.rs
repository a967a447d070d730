//! Claiming: a device becomes this station's own, or somebody else's is left alone.
//!
//! What a claim says is written to memory before it is sent, so an answer that is lost, or a process that
//! dies, leaves behind a claim that is found again as one's own.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use time::Duration;

use super::memory::{Held, Unpacked, Way};
use super::unpack::Wiped;
use super::walk::Walk;
use super::{Device, Station, StationError, claim_id, unpack};
use crate::batch::claim::{Claim, Refusal, State};
use crate::batch::claim_object;
use crate::manifest::DeviceId;
use crate::store::{StoreError, Version};

/// Times that a claim is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// A device that is the station's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub device: Device,
    pub claim: Claim,
    /// Whether it was the station's own before.
    pub resumed: bool,
}

impl Station {
    /// Claims a device by its id. `take_over`: also from a station whose lease has ended, or at which
    /// flashing failed.
    ///
    /// # Errors
    ///
    /// When the batch is withdrawn, another station has it, or it was flashed or scrapped.
    pub fn claim(&mut self, device_id: &DeviceId, take_over: bool) -> Result<Claimed, StationError> {
        self.refuse_withdrawn()?;
        self.look_for_newer()?;
        let device = self.find(device_id)?;
        let from = (&self.store, &self.cache);
        self.batch
            .check_identities(from, Some(&device), self.identities.as_ref())?;
        if self.memory.has_report(device_id) {
            // What was reported of it comes first, or it would be flashed as if nothing had been.
            let sent = self.send()?;
            if self.memory.has_report(device_id) {
                let away = sent.why.into_iter().find(StationError::is_passing);
                return Err(away.unwrap_or_else(|| StationError::Unsent {
                    device_id: device_id.clone(),
                }));
            }
        }
        let was_held = self.memory.held(device_id)?.is_some();
        let claimed = self.acquire(device, Way::Named, take_over);
        if claimed.as_ref().is_err_and(StationError::is_of_one_object) && !was_held {
            // It never had it.
            self.memory.let_go(device_id)?;
        }
        claimed
    }

    /// Claims a device that nobody has claimed yet; first the one that this station has from before.
    ///
    /// # Errors
    ///
    /// [`StationError::NothingLeft`] when there is none, [`StationError::Withdrawn`] when none may be had.
    pub fn claim_next(&mut self) -> Result<Claimed, StationError> {
        self.refuse_withdrawn()?;
        self.look_for_newer()?;
        for held in self.next_held()? {
            let device_id = held.claim.device_id;
            let claimed = match self.find(&device_id) {
                Ok(device) => {
                    let from = (&self.store, &self.cache);
                    // It may be in a generation that others cannot read any more, or the other way round.
                    self.batch
                        .check_identities(from, Some(&device), self.identities.as_ref())?;
                    self.acquire(device, Way::Next, false)
                }
                Err(error) => Err(error),
            };
            match claimed {
                // The batch was made anew, without it.
                Err(StationError::UnknownDevice { .. }) => {
                    self.wipe(&device_id)?;
                    self.memory.let_go(&device_id)?;
                }
                // One that it has in hand and that cannot be read is told, even so: a device may have it already.
                Err(error) if is_refusal(&error) => {}
                other => return other,
            }
        }
        let from = (&self.store, &self.cache);
        self.batch
            .check_identities(from, None, self.identities.as_ref())?;
        let claimed = match self.claim_on_the_way()? {
            None if self.look_again() => self.claim_on_the_way()?,
            other => other,
        };
        claimed.ok_or_else(|| StationError::NothingLeft {
            batch: self.batch.name().to_owned(),
        })
    }

    /// Claims a device of the chunks that are left; `None` when none is.
    fn claim_on_the_way(&mut self) -> Result<Option<Claimed>, StationError> {
        let (mut aside, mut why) = (BTreeSet::new(), None);
        self.walk.avoid_none();
        while let Some(chunk) = self.walk.chunk().filter(|chunk| !aside.contains(chunk)) {
            let rows = match self.batch.index(&self.store, &self.cache, chunk) {
                Err(error) if self.is_outdated(&error)? => {
                    aside.clear();
                    continue;
                }
                Err(error) if error.is_of_one_object() => {
                    self.walk.put_off();
                    aside.insert(chunk);
                    why.get_or_insert(error);
                    continue;
                }
                other => other?,
            };
            let row = match self.walk.draw(&self.store, chunk, &rows) {
                // Its claims cannot be told, or only in part.
                Err(error) if is_of_claims(&error) => {
                    self.walk.put_off();
                    aside.insert(chunk);
                    why.get_or_insert(error);
                    continue;
                }
                other => other?.cloned(),
            };
            let Some(row) = row else {
                if self.walk.avoids_any(&rows) {
                    // What is in the place of a claim may be removed again.
                    aside.insert(chunk);
                } else {
                    let at = self.now().unix_timestamp();
                    self.memory.mark_full(self.batch.digest(), chunk, at);
                }
                continue;
            };
            let device_id = row.device_id.clone();
            match self.acquire(Device { chunk, entry: row }, Way::Next, false) {
                Ok(claimed) => {
                    self.walk.claimed(&device_id);
                    return Ok(Some(claimed));
                }
                Err(error) if is_refusal(&error) || matches!(error, StationError::Contended { .. }) => {
                    self.walk.collided(&device_id);
                }
                Err(error) if is_of_claims(&error) => {
                    let held = self.memory.held(&device_id)?;
                    // One of which it has something is not forgotten.
                    if held.is_none_or(|held| !held.delivered && held.unpacked.is_none()) {
                        self.memory.let_go(&device_id)?;
                    }
                    match &error {
                        // It is somebody else's device, as far as can be told.
                        StationError::NotRead(_) => {
                            self.walk.collided(&device_id);
                            continue;
                        }
                        // So it is with all others of the folder.
                        error if is_denied(error) => {
                            self.walk.put_off();
                            aside.insert(chunk);
                        }
                        _ => self.walk.avoid(&device_id),
                    }
                    why.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        why.map_or(Ok(None), Err)
    }

    /// Goes once more to the chunks that were full a while ago: a damaged claim may have been removed since. Tells whether there
    /// is any.
    fn look_again(&mut self) -> bool {
        // What is full hardly ever changes, and each look is a listing.
        let since = (self.now() - Duration::minutes(10)).unix_timestamp();
        let full = self.memory.full_chunks(self.batch.digest(), since);
        self.walk = Walk::new(&self.name, self.batch.shape().chunks(), &full);
        self.walk.chunk().is_some()
    }

    /// The devices that the station has as its next ones, and has not reported on: hardly ever more than one.
    fn next_held(&self) -> Result<Vec<Held>, StationError> {
        let mut all = self.memory.all_held()?;
        all.retain(|held| held.way == Way::Next && !self.memory.has_report(&held.claim.device_id));
        Ok(all)
    }

    /// Sees that the bundle of a device may be unpacked into a folder, before the device is claimed. What
    /// this station unpacked of the same device before, wherever that was, is wiped; returned is where something else
    /// is in its place. `device_id`: `None` for the next one.
    ///
    /// # Errors
    ///
    /// When something else is there, or others may enter it.
    pub fn prepare(&self, folder: &Path, device_id: Option<&DeviceId>) -> Result<Vec<PathBuf>, StationError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let all_held = match device_id {
            Some(device_id) => self.memory.held(device_id)?.into_iter().collect(),
            None => self.next_held()?,
        };
        let all: Vec<_> = all_held.into_iter().map(|held| self.wipe_held(held)).collect();
        let gone = all.into_iter().collect::<Result<Vec<_>, _>>()?;
        unpack::check(&folder)?;
        // One that was in memory is not there after a restart, as it should be.
        let gone = gone.into_iter().flatten();
        Ok(gone.filter(|folder| folder.exists()).collect())
    }

    /// Fetches the bundle of a device that is the station's own, and unpacks it once it is seen to be
    /// right in every respect.
    ///
    /// # Errors
    ///
    /// When it is not what was sealed, or cannot be written; the device stays claimed.
    pub fn fetch(&mut self, claimed: &mut Claimed, folder: &Path) -> Result<Unpacked, StationError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let now = self.now();
        let fetch = |station: &Self, device: &Device| {
            let from = (&station.store, &station.cache);
            station
                .batch
                .fetch(from, device, station.identities.as_ref(), now)
        };
        let files = match fetch(self, &claimed.device) {
            Err(error) if self.is_outdated(&error)? => {
                claimed.device = self.find(&claimed.claim.device_id)?;
                fetch(self, &claimed.device)?
            }
            other => other?,
        };
        // The folder is seen to be the station's own, then remembered, then filled: whatever stops it, what
        // is in it can be wiped, and nothing else is.
        let made = unpack::make(&folder)?;
        let unpacked = Unpacked {
            folder,
            files: files.iter().map(|(name, _)| name.clone()).collect(),
            made: Some(made.inode),
        };
        if let Some(held) = self.memory.held(&claimed.claim.device_id)? {
            self.memory.hold(&Held {
                unpacked: Some(unpacked.clone()),
                delivered: true,
                ..held
            })?;
        }
        if let Err(error) = unpack::fill(&made, &files) {
            unpack::wipe(&unpacked.folder, unpacked.made)?;
            self.wipe(&claimed.claim.device_id)?;
            return Err(error);
        }
        Ok(unpacked)
    }

    fn acquire(&self, device: Device, way: Way, take_over: bool) -> Result<Claimed, StationError> {
        let device_id = &device.entry.device_id;
        let object = claim_object(device.chunk, device_id);
        let remembered = self.memory.held(device_id)?;
        let is_remembered = remembered.is_some();
        let resumed = remembered
            .as_ref()
            .is_some_and(|held| held.claim.hold.state == State::Claimed);
        let mut held = match remembered {
            Some(held) => held,
            None => Held {
                chunk: device.chunk,
                way,
                claim: Claim::first(device_id, claim_id()?, self.wish(take_over)),
                unpacked: None,
                follows: None,
                delivered: false,
            },
        };
        if !is_remembered || held.way != way {
            // One that is claimed by its id is not given to any other device any more.
            held.way = way;
            self.memory.hold(&held)?;
        }
        // The same content counts as created: that is how a lost answer is found to have been a yes.
        let is_in_hand = held.claim.hold.state == State::Claimed;
        let is_created = is_in_hand && self.store.create(&object, &held.claim.to_json())?;
        if is_created && !self.is_worn(&held.claim) {
            if is_remembered {
                self.refuse_recorded(&device)?;
            }
            return Ok(Claimed {
                device,
                claim: held.claim,
                resumed,
            });
        }
        for _ in 0..ROUNDS {
            let (octets, version) = self.store.read_version(&object, None)?;
            let found = Claim::read(&octets, &object, device_id)?;
            let is_own = found.hold.claim == held.claim.hold.claim;
            let is_followed = held.follows.as_ref() == Some(&found.hold.claim);
            let next = match is_own && found.hold.state == State::Claimed {
                true if !self.is_worn(&found) => {
                    self.refuse_recorded(&device)?;
                    return Ok(Claimed {
                        device,
                        claim: found,
                        resumed,
                    });
                }
                true => found.renewed(self.wish(take_over)),
                false => match found.again(claim_id()?, self.wish(take_over), is_own || is_followed) {
                    Ok(next) => next,
                    Err(refusal) => return Err(self.refused(&held, &found, &refusal, is_own)?),
                },
            };
            self.refuse_recorded(&device)?;
            held = Held {
                chunk: device.chunk,
                way,
                claim: next,
                unpacked: held.unpacked,
                follows: (is_own || is_followed).then(|| found.hold.claim.clone()),
                delivered: held.delivered,
            };
            self.memory.hold(&held)?;
            if self.replace(&object, &held.claim, &version)? {
                return Ok(Claimed {
                    device,
                    claim: held.claim,
                    resumed: is_own && found.hold.state == State::Claimed,
                });
            }
        }
        Err(StationError::Contended { object })
    }

    pub(super) fn replace(
        &self,
        object: &str,
        claim: &Claim,
        version: &Version,
    ) -> Result<bool, StationError> {
        let replaced = crate::store::Replaced::Forgotten;
        Ok(self.store.replace(object, &claim.to_json(), version, replaced)?)
    }

    /// Wipes what was unpacked of a device. Returns the folder into which it was when that is not there any more.
    pub(super) fn wipe(&self, device_id: &DeviceId) -> Result<Option<PathBuf>, StationError> {
        match self.memory.held(device_id)? {
            Some(held) => self.wipe_held(held),
            None => Ok(None),
        }
    }

    fn wipe_held(&self, held: Held) -> Result<Option<PathBuf>, StationError> {
        let Some(unpacked) = &held.unpacked else {
            return Ok(None);
        };
        let wiped = unpack::wipe(&unpacked.folder, unpacked.made)?;
        let gone = (wiped == Wiped::Gone).then(|| unpacked.folder.clone());
        self.memory.hold(&Held {
            unpacked: None,
            ..held
        })?;
        Ok(gone)
    }

    /// Whether half of a lease is over: a device that is begun anew gets a whole one.
    fn is_worn(&self, claim: &Claim) -> bool {
        self.now().saturating_add(self.lease / 2) > claim.hold.lease_until
    }

    /// A device is not to be had: it is forgotten, and what was unpacked of it wiped.
    fn refused(
        &self,
        held: &Held,
        found: &Claim,
        refusal: &Refusal,
        is_own: bool,
    ) -> Result<StationError, StationError> {
        self.wipe(&held.claim.device_id)?;
        self.memory.let_go(&held.claim.device_id)?;
        // It had the device in hand, and somebody took it over.
        if held.delivered && held.claim.hold.state == State::Claimed && !is_own {
            return Ok(taken_over(found));
        }
        Ok(why_refused(found, refusal, &self.name))
    }
}

pub(super) fn taken_over(found: &Claim) -> StationError {
    StationError::TakenOver {
        device_id: found.device_id.clone(),
        station: found.hold.station.clone(),
        since: found.hold.claimed_at,
    }
}

/// Why a claim is not to be had, as an error.
pub(super) fn why_refused(found: &Claim, refusal: &Refusal, own_name: &str) -> StationError {
    let hold = &found.hold;
    let (device_id, station) = (found.device_id.clone(), hold.station.clone());
    let (since, lease_until) = (hold.claimed_at, hold.lease_until);
    let at = hold.ended_at.unwrap_or(since);
    match refusal {
        Refusal::Taken => StationError::Taken {
            is_same_name: station == own_name,
            device_id,
            station,
            since,
            lease_until,
        },
        Refusal::Stale => StationError::Stale {
            device_id,
            station,
            since,
            lease_until,
        },
        Refusal::Flashed => StationError::Flashed {
            device_id,
            station,
            at,
        },
        Refusal::Scrapped => StationError::Scrapped {
            device_id,
            station,
            at,
        },
        Refusal::FailedElsewhere => StationError::FailedElsewhere {
            device_id,
            station,
            at,
            reason: hold.reason.clone(),
        },
    }
}

/// Whether somebody else has the device, rather than that something went wrong.
pub(super) fn is_refusal(error: &StationError) -> bool {
    matches!(
        error,
        StationError::Taken { .. }
            | StationError::Stale { .. }
            | StationError::Flashed { .. }
            | StationError::Scrapped { .. }
            | StationError::FailedElsewhere { .. }
            | StationError::TakenOver { .. }
            | StationError::Recorded { .. }
    )
}

/// Whether it is for what is in the place of a claim, or of the folder of some, that it is not to be had. A server that
/// refuses one refuses all.
fn is_of_claims(error: &StationError) -> bool {
    match error {
        StationError::NotRead(_) => true,
        StationError::Store(error @ (StoreError::Io { .. } | StoreError::Unlisted { .. })) => {
            error.is_of_one_object()
        }
        _ => false,
    }
}

fn is_denied(error: &StationError) -> bool {
    match error {
        StationError::Store(StoreError::Io { source, .. }) => matches!(
            source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}
