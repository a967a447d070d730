//! The overview of a batch: what became of its devices, by station. It follows from the claims alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::damaged::set_left_out_aside;
use super::{Cache, Damaged, SealedBatch, StationError};
use crate::batch::claim::{Claim, State};
use crate::batch::{CLAIMS, WithdrawnRecord, device_of};
use crate::digest::sha256_start;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError, read_withdrawn};

/// Claims that are read at a time.
const CLAIMS_AT_A_TIME: usize = 256;

/// Failures, stale claims and damaged ones that are listed one by one.
const LISTED: usize = 100;

/// A rate is that of the last hour.
const RATE_OVER: Duration = Duration::HOUR;

/// A station that was not heard of for so long, while devices are left, is silent: longer than any device takes, and
/// shorter than a break.
pub const SILENT_AFTER: Duration = Duration::minutes(10);

/// A batch at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    pub batch: String,
    pub location: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// That nothing of it may come up.
    pub withdrawn: Option<WithdrawnRecord>,
    /// All of the batch: the sum of the seven that follow.
    pub devices: u64,
    /// Not claimed.
    pub left: u64,
    /// In hand at a station.
    pub claimed: u64,
    /// In hand for longer than the station said.
    pub stale: u64,
    pub flashed: u64,
    /// Failed, and may be tried again.
    pub failed: u64,
    pub scrapped: u64,
    /// Whose claim cannot be read, so that nobody can tell.
    pub damaged: u64,
    /// Flashed in the last hour, or since the first claim when that was later.
    pub devices_per_hour: f64,
    /// When all are flashed at this rate.
    #[serde(with = "time::serde::rfc3339::option")]
    pub complete_at: Option<OffsetDateTime>,
    /// By name.
    pub stations: Vec<StationOverview>,
    /// The first 100, the oldest first.
    pub stale_claims: Vec<StaleClaim>,
    /// The last 100, the newest first.
    pub failures: Vec<Failure>,
    /// The first 100, by name.
    pub damaged_claims: Vec<Damaged>,
}

/// One station of a batch.
#[derive(Debug, Clone, Serialize)]
pub struct StationOverview {
    pub station: String,
    pub claimed: u64,
    pub stale: u64,
    pub flashed: u64,
    pub failed: u64,
    pub scrapped: u64,
    pub devices_per_hour: f64,
    /// When it last claimed or reported.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// Whole minutes since then, once they are so many that it is silent while there is something to do.
    pub silent_minutes: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StaleClaim {
    pub device_id: DeviceId,
    pub station: String,
    #[serde(with = "time::serde::rfc3339")]
    pub claimed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub lease_until: OffsetDateTime,
}

/// A device that failed and was not flashed since, or was scrapped.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub device_id: DeviceId,
    pub station: String,
    pub state: State,
    pub attempt: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub reason: Option<String>,
}

/// What is known of a claim; little, since there may be millions.
#[derive(Debug)]
struct Known {
    /// Changes whenever the claim does.
    stamp: [u8; 8],
    station: Arc<str>,
    state: State,
    claimed_at: i64,
    /// When it ended, or its lease ends.
    at: i64,
    /// Of a device that is not flashed.
    details: Option<Box<(DeviceId, u32, Option<String>)>>,
}

/// Follows the claims of a batch, and reads only those that changed.
#[derive(Debug, Default)]
pub struct Watch {
    claims: HashMap<[u8; 12], Known>,
    stations: BTreeMap<String, Arc<str>>,
    /// Claims that cannot be read, by name; with the stamp of those that will not become readable by themselves.
    damaged: BTreeMap<String, (Option<[u8; 8]>, Damaged)>,
    /// Folders of claims that cannot be listed, in one: nobody can tell how many claims they hold.
    left_out: Option<Damaged>,
    /// Claims of devices that the batch does not have.
    strangers: HashSet<[u8; 12]>,
    withdrawn: Option<WithdrawnRecord>,
}

impl Watch {
    /// Reads what changed since the last time.
    ///
    /// # Errors
    ///
    /// When the store cannot be read; what was known stays known. A claim that cannot be read is none.
    pub fn refresh(&mut self, store: &Store, batch: &SealedBatch, cache: &Cache) -> Result<(), StationError> {
        if self.withdrawn.is_none() {
            self.withdrawn = read_withdrawn(store)?;
        }
        let mut changed = Vec::new();
        let mut damaged = BTreeMap::new();
        let listed = store.list(CLAIMS, &mut |listed| {
            let stamp: [u8; 8] = sha256_start(listed.stamp.as_bytes());
            let Some((chunk, device_id)) = device_of(&listed.name, CLAIMS) else {
                return;
            };
            if chunk >= batch.shape().chunks() {
                return;
            }
            let known = self.claims.get(&sha256_start(listed.name.as_bytes()));
            match self.damaged.get(&listed.name) {
                Some(known) if known.0 == Some(stamp) => {
                    damaged.insert(listed.name, known.clone());
                }
                _ if known.is_none_or(|known| known.stamp != stamp) => {
                    changed.push((chunk, listed.name, stamp, device_id));
                }
                _ => {}
            }
        });
        let mut left_out = BTreeSet::new();
        set_left_out_aside(CLAIMS, listed, &mut left_out)?;
        let changed = self.of_the_batch(changed, store, batch, cache)?;
        let mut refused = None;
        for some in changed.chunks(CLAIMS_AT_A_TIME) {
            let names: Vec<String> = some.iter().map(|(name, ..)| name.clone()).collect();
            for ((name, stamp, device_id), read) in some.iter().zip(store.read_all(&names)) {
                let key = sha256_start(name.as_bytes());
                let claim = match read {
                    Err(StoreError::NotFound { .. }) => continue,
                    Err(error) => Err(error.into()),
                    Ok(octets) => Claim::read(&octets, name, device_id).map_err(StationError::from),
                };
                match claim {
                    Ok(claim) => {
                        let known = self.known(claim, *stamp);
                        self.claims.insert(key, known);
                    }
                    Err(error) if error.is_of_one_object() => {
                        let is_final = matches!(error, StationError::NotRead(_));
                        damaged.insert(
                            name.clone(),
                            (is_final.then_some(*stamp), Damaged::by(name, &error)),
                        );
                        self.claims.remove(&key);
                        // A link, a pipe or a folder in its place is nobody's fault but its own.
                        let is_its_own = matches!(
                            &error,
                            StationError::Store(StoreError::Io { source, .. })
                                if source.kind() != io::ErrorKind::PermissionDenied
                        );
                        refused = (!is_final && !is_its_own).then_some(error).or(refused);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.damaged = damaged;
        self.left_out = left_out.pop_first();
        // Nothing at all was read: that is the store's fault, or the reader's.
        if let (true, Some(error)) = (self.claims.is_empty(), refused) {
            return Err(error);
        }
        Ok(())
    }

    /// Of these claims those of devices that the batch has: anybody may put others beside them, and they are none. In a
    /// chunk whose index is damaged, all count.
    fn of_the_batch(
        &mut self,
        mut changed: Vec<(u64, String, [u8; 8], DeviceId)>,
        store: &Store,
        batch: &SealedBatch,
        cache: &Cache,
    ) -> Result<Vec<(String, [u8; 8], DeviceId)>, StationError> {
        changed.retain(|(_, name, ..)| !self.strangers.contains(&sha256_start(name.as_bytes())));
        changed.sort_by_key(|(chunk, ..)| *chunk);
        let mut kept = Vec::with_capacity(changed.len());
        for of_chunk in changed.chunk_by(|a, b| a.0 == b.0) {
            let rows = match batch.index(store, cache, of_chunk[0].0) {
                Err(error) if error.is_of_one_object() => None,
                other => Some(other?),
            };
            let ids = rows.as_ref().map(|rows| rows.iter().map(|row| &row.device_id));
            let ids: Option<HashSet<&DeviceId>> = ids.map(Iterator::collect);
            for (_, name, stamp, device_id) in of_chunk {
                if ids.as_ref().is_none_or(|ids| ids.contains(device_id)) {
                    kept.push((name.clone(), *stamp, device_id.clone()));
                } else {
                    self.strangers.insert(sha256_start(name.as_bytes()));
                }
            }
        }
        Ok(kept)
    }

    fn known(&mut self, claim: Claim, stamp: [u8; 8]) -> Known {
        let Claim { device_id, hold, .. } = claim;
        let station = self.stations.entry(hold.station);
        let name = station.key().as_str().into();
        let station = station.or_insert(name).clone();
        Known {
            stamp,
            station,
            state: hold.state,
            claimed_at: hold.claimed_at.unix_timestamp(),
            at: hold.ended_at.unwrap_or(hold.lease_until).unix_timestamp(),
            details: (hold.state != State::Flashed).then(|| Box::new((device_id, hold.attempt, hold.reason))),
        }
    }

    /// The overview at a moment. A station that was not heard of for `silent_after` is silent.
    #[must_use]
    pub fn overview(
        &self,
        batch: &SealedBatch,
        location: String,
        now: OffsetDateTime,
        silent_after: Duration,
    ) -> Overview {
        let now_seconds = now.unix_timestamp();
        let mut all = Tally::default();
        let mut stations: BTreeMap<&str, Tally> = BTreeMap::new();
        let (mut stale_claims, mut failures) = (Vec::new(), Vec::new());
        for known in self.claims.values() {
            all.add(known, now_seconds);
            stations
                .entry(&known.station)
                .or_default()
                .add(known, now_seconds);
            let Some(details) = &known.details else { continue };
            let (device_id, attempt, reason) = &**details;
            match known.state {
                State::Claimed if known.is_stale(now_seconds) => stale_claims.push(StaleClaim {
                    device_id: device_id.clone(),
                    station: known.station.to_string(),
                    claimed_at: moment(known.claimed_at),
                    lease_until: moment(known.at),
                }),
                State::Failed | State::Scrapped => failures.push(Failure {
                    device_id: device_id.clone(),
                    station: known.station.to_string(),
                    state: known.state,
                    attempt: *attempt,
                    at: moment(known.at),
                    reason: reason.clone(),
                }),
                State::Claimed | State::Flashed => {}
            }
        }
        stale_claims.sort_by(|a, b| (a.lease_until, &a.device_id).cmp(&(b.lease_until, &b.device_id)));
        stale_claims.truncate(LISTED);
        failures.sort_by(|a, b| (b.at, &b.device_id).cmp(&(a.at, &a.device_id)));
        failures.truncate(LISTED);
        let devices = batch.devices();
        let rate = all.rate(now_seconds);
        let open = devices.saturating_sub(all.flashed + all.scrapped);
        let left = devices.saturating_sub((self.claims.len() + self.damaged.len()) as u64);
        Overview {
            batch: batch.name().to_owned(),
            location,
            at: moment(now_seconds),
            withdrawn: self.withdrawn.clone(),
            devices,
            left,
            claimed: all.claimed,
            stale: all.stale,
            flashed: all.flashed,
            failed: all.failed,
            scrapped: all.scrapped,
            damaged: self.damaged.len() as u64,
            devices_per_hour: rate,
            complete_at: complete_at(open, rate, now),
            stations: stations
                .into_iter()
                .map(|(name, tally)| tally.station(name, now_seconds, left > 0, silent_after))
                .collect(),
            stale_claims,
            failures,
            damaged_claims: self
                .left_out
                .iter()
                .chain(self.damaged.values().map(|(_, damaged)| damaged))
                .take(LISTED)
                .cloned()
                .collect(),
        }
    }
}

impl Known {
    fn is_stale(&self, now: i64) -> bool {
        self.state == State::Claimed && now > self.at
    }
}

#[derive(Debug, Default)]
struct Tally {
    claimed: u64,
    stale: u64,
    flashed: u64,
    failed: u64,
    scrapped: u64,
    flashed_lately: u64,
    first_at: Option<i64>,
    last_at: i64,
}

impl Tally {
    fn add(&mut self, known: &Known, now: i64) {
        match known.state {
            State::Claimed if known.is_stale(now) => self.stale += 1,
            State::Claimed => self.claimed += 1,
            State::Flashed => self.flashed += 1,
            State::Failed => self.failed += 1,
            State::Scrapped => self.scrapped += 1,
        }
        let was_lately = now.saturating_sub(known.at) <= RATE_OVER.whole_seconds();
        self.flashed_lately += u64::from(known.state == State::Flashed && was_lately);
        self.first_at = Some(
            self.first_at
                .map_or(known.claimed_at, |at| at.min(known.claimed_at)),
        );
        let did_last = if known.state == State::Claimed {
            known.claimed_at
        } else {
            known.at
        };
        self.last_at = self.last_at.max(did_last);
    }

    /// Devices an hour.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn rate(&self, now: i64) -> f64 {
        let over = self
            .first_at
            .map_or(0, |at| now.saturating_sub(at))
            .clamp(1, RATE_OVER.whole_seconds());
        let rate = self.flashed_lately as f64 * 3600.0 / over as f64;
        (rate * 10.0).round() / 10.0
    }

    /// `has_work`: whether devices are left that nobody has claimed.
    fn station(&self, name: &str, now: i64, has_work: bool, silent_after: Duration) -> StationOverview {
        let silent_for = Duration::seconds(now.saturating_sub(self.last_at));
        let is_wanted = has_work || self.claimed + self.stale > 0;
        let is_silent = is_wanted && silent_for >= silent_after;
        StationOverview {
            station: name.to_owned(),
            claimed: self.claimed,
            stale: self.stale,
            flashed: self.flashed,
            failed: self.failed,
            scrapped: self.scrapped,
            devices_per_hour: self.rate(now),
            last_at: moment(self.last_at),
            silent_minutes: is_silent.then(|| silent_for.whole_minutes().unsigned_abs()),
        }
    }
}

/// A moment that can be told: of the years up to 9998.
fn moment(seconds: i64) -> OffsetDateTime {
    const LAST: OffsetDateTime = time::macros::datetime!(9998-12-31 23:59:59 UTC);
    let seconds = seconds.clamp(0, LAST.unix_timestamp());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// When what is open is done at a rate of devices an hour; `None` when nothing is open, or nobody can tell.
#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn complete_at(open: u64, rate: f64, now: OffsetDateTime) -> Option<OffsetDateTime> {
    const TEN_YEARS: f64 = 10.0 * 365.0 * 24.0 * 3600.0;
    let seconds = open as f64 / rate * 3600.0;
    let is_known = open > 0 && seconds.is_finite() && seconds < TEN_YEARS;
    let at = is_known.then(|| now.checked_add(Duration::seconds_f64(seconds)))??;
    at.replace_nanosecond(0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(state: State, claimed_at: i64, at: i64) -> Known {
        Known {
            stamp: [0; 8],
            station: "st1".into(),
            state,
            claimed_at,
            at,
            details: None,
        }
    }

    #[test]
    fn a_rate_is_that_of_the_last_hour_or_of_the_time_since_the_first_claim() {
        let mut tally = Tally::default();
        // Ten minutes of work: six devices.
        (0..6).for_each(|i| tally.add(&known(State::Flashed, i * 100, i * 100 + 90), 600));
        assert!((tally.rate(600) - 36.0).abs() < 0.01);
        let mut tally = Tally::default();
        // Hours of work: what came before the last hour does not count.
        (0..100).for_each(|i| tally.add(&known(State::Flashed, i * 100, i * 100), 10_000));
        assert!((tally.rate(10_000) - 36.0).abs() < 0.01);
        assert!(Tally::default().rate(5).abs() < 0.01);
    }

    #[test]
    fn a_station_is_silent_when_there_is_something_to_do_and_it_does_nothing() {
        let mut idle = Tally::default();
        idle.add(&known(State::Flashed, 0, 60), 60);
        let mut busy = Tally::default();
        busy.add(&known(State::Claimed, 60, 9_000), 60);
        let silent =
            |tally: &Tally, now, has_work| tally.station("st1", now, has_work, SILENT_AFTER).silent_minutes;
        assert_eq!(silent(&idle, 60 + 599, true), None);
        assert_eq!(silent(&idle, 60 + 659, true), Some(10));
        assert_eq!(silent(&idle, 60 + 659, false), None);
        assert_eq!(silent(&busy, 60 + 660, false), Some(11));
        // A clock that is behind.
        assert_eq!(silent(&busy, 0, true), None);
    }

    #[test]
    fn the_end_is_known_when_something_moves() {
        let now = moment(0);
        assert_eq!(complete_at(60, 60.0, now), Some(moment(3600)));
        let end = moment(i64::MAX);
        assert_eq!((end.year(), moment(i64::MIN)), (9998, moment(0)));
        assert_eq!(complete_at(60, 0.0, now), None);
        assert_eq!(complete_at(0, 60.0, now), None);
    }

    #[test]
    fn a_claim_is_stale_when_its_lease_is_over() {
        assert!(known(State::Claimed, 0, 10).is_stale(11));
        assert!(!known(State::Claimed, 0, 10).is_stale(10));
        assert!(!known(State::Flashed, 0, 10).is_stale(11));
    }
}
