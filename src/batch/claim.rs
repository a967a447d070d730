//! Claims: which station has a device, and what became of it. One object a device, so that every change
//! of hands is one atomic write, and nothing else has to agree with it.
//!
//! ```text
//!             ┌──────── again, or taken over ────────┐
//!             ▼                                      │
//!  (none) ─► claimed ─► failed ──────────────────────┘
//!             │ │          │
//!             │ └─► scrapped ◄─┘        scrapped is the end; flashed is, but for scrap
//!             └─► flashed ─► scrapped
//! ```
//!
//! Pure: what may follow what, and nothing of how it is stored.

use super::NotRead;
use crate::manifest::DeviceId;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, UtcOffset};

/// A claim has some 250 octets for each time that a station began to flash the device.
const MOST_OCTETS: usize = 1 << 20;

/// What a new hold leaves free of them, for how it ends: its reason may take six octets for each of its own.
const ROOM: usize = 6 * LONGEST_REASON + 1024;

/// Most octets of a reason.
const LONGEST_REASON: usize = 4096;

/// Most characters of a station's name.
const LONGEST_NAME: usize = 64;

/// Later ones could not be told in every place of the earth.
const LAST_MOMENT: OffsetDateTime = time::macros::datetime!(9998-12-31 23:59:59 UTC);

/// No station ever counts so far.
const MOST_ATTEMPTS: u32 = u32::MAX - 1;

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A station has it.
    Claimed,
    Flashed,
    /// Flashing failed; it may be tried again.
    Failed,
    /// No device will ever have this identity; its certificate is to be revoked.
    Scrapped,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Flashed => "flashed",
            Self::Failed => "failed",
            Self::Scrapped => "scrapped",
        }
    }

    /// Whether no device will be flashed any more, so that the bundle is not needed.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Flashed | Self::Scrapped)
    }

    /// Whether a report of this may be followed by one of that, about the same hold.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Scrapped, _) | (Self::Flashed, Self::Failed) | (_, Self::Claimed) => false,
            _ => self != next,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One station's hold on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub station: String,
    /// 32 hex digits that no other hold has: by them a station knows its own.
    pub claim: String,
    pub state: State,
    /// From 1: so many times a station began to flash the device.
    pub attempt: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub claimed_at: OffsetDateTime,
    /// While it is claimed: until then nobody else may have it.
    #[serde(with = "time::serde::rfc3339")]
    pub lease_until: OffsetDateTime,
    /// When it was flashed, failed or was scrapped.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// Why it failed or was scrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The claim of a device, with all that was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub device_id: DeviceId,
    #[serde(flatten)]
    pub hold: Hold,
    /// Holds before this one, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Hold>,
}

/// Who wants a device, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub station: &'a str,
    pub now: OffsetDateTime,
    pub lease: Duration,
    /// Whether another station's hold may be taken over when it is stale.
    pub take_over: bool,
}

/// Why a device is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another station has it, or one of the same name that is not this one.
    Taken,
    /// As before, but the lease is over.
    Stale,
    Flashed,
    Scrapped,
    /// It failed at another station.
    FailedElsewhere,
}

impl Hold {
    /// Whether it is such as a station writes.
    fn is_sound(&self) -> bool {
        let times = [Some(self.claimed_at), Some(self.lease_until), self.ended_at];
        is_station_name(&self.station)
            && is_hold(&self.claim)
            && is_attempt(self.attempt)
            && is_reason(self.reason.as_deref())
            // It is in hand until it has ended.
            && (self.state == State::Claimed) == self.ended_at.is_none()
            && times.into_iter().flatten().all(is_moment)
    }

    /// Whether the station has had it for longer than it said.
    #[must_use]
    pub fn is_stale(&self, now: OffsetDateTime) -> bool {
        self.state == State::Claimed && now > self.lease_until
    }
}

impl Claim {
    /// The first claim of a device.
    #[must_use]
    pub fn first(device_id: &DeviceId, claim: String, wish: Wish<'_>) -> Self {
        Self {
            device_id: device_id.clone(),
            hold: hold(claim, 1, wish),
            earlier: Vec::new(),
        }
    }

    /// The claim that follows this one when a station begins once more, or takes the device over.
    /// `is_own`: the station remembers this very hold as its own. That it has the same name is not enough
    /// to begin once more: two machines may have one name by mistake.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn again(&self, claim: String, wish: Wish<'_>, is_own: bool) -> Result<Self, Refusal> {
        let is_same_station = self.hold.station == wish.station;
        match self.hold.state {
            State::Flashed => return Err(Refusal::Flashed),
            State::Scrapped => return Err(Refusal::Scrapped),
            State::Failed if is_own || wish.take_over => {}
            State::Failed => return Err(Refusal::FailedElsewhere),
            State::Claimed if wish.take_over && (is_same_station || self.hold.is_stale(wish.now)) => {}
            State::Claimed if self.hold.is_stale(wish.now) => return Err(Refusal::Stale),
            State::Claimed => return Err(Refusal::Taken),
        }
        let attempt = self.hold.attempt.saturating_add(1).min(MOST_ATTEMPTS);
        Ok(self.followed(hold(claim, attempt, wish)))
    }

    /// The claim with another hold after this one.
    #[must_use]
    pub fn followed(&self, hold: Hold) -> Self {
        let mut earlier = self.earlier.clone();
        earlier.push(self.hold.clone());
        let followed = Self {
            device_id: self.device_id.clone(),
            hold,
            earlier,
        };
        followed.fitted()
    }

    /// The claim without so many of its oldest holds that it can be read, and be ended: what is left counts on.
    fn fitted(mut self) -> Self {
        let over = self.to_json().len().saturating_sub(MOST_OCTETS - ROOM);
        let mut freed = 0;
        let oldest = self.earlier.iter().take_while(|hold| {
            let is_to_go = freed < over;
            freed += super::to_json(hold).len();
            is_to_go
        });
        self.earlier.drain(..oldest.count());
        self
    }

    /// The same hold with a new lease.
    #[must_use]
    pub fn renewed(&self, wish: Wish<'_>) -> Self {
        let mut renewed = self.clone();
        renewed.hold.lease_until = lease_until(wish);
        renewed
    }

    /// The claim once its holder has reported how it ended. `None`: it cannot end so any more.
    #[must_use]
    pub fn ended(&self, state: State, at: OffsetDateTime, reason: Option<&str>) -> Option<Self> {
        self.hold.state.may_become(state).then(|| {
            let mut ended = self.clone();
            ended.hold.state = state;
            ended.hold.ended_at = Some(whole_seconds(at));
            ended.hold.reason = reason.map(shortened);
            ended.fitted()
        })
    }

    /// Whether every hold is such as a station writes, and whoever writes the claim again can read it.
    pub(crate) fn is_sound(&self) -> bool {
        self.earlier.iter().chain([&self.hold]).all(Hold::is_sound)
    }

    /// As the store has it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    /// Reads the claim of a device. Any station can write it, so it is not believed that it is of this device.
    ///
    /// # Errors
    ///
    /// When the octets are no claim, or another device's.
    pub fn read(octets: &[u8], object: &str, asked: &DeviceId) -> Result<Self, NotRead> {
        let claim: Option<Self> = (octets.len() <= MOST_OCTETS)
            .then(|| serde_json::from_slice(octets).ok())
            .flatten();
        // The blanks that a station writes are no more than the rest.
        let fits = |claim: &Self| octets.len() <= MOST_OCTETS / 2 || claim.to_json().len() <= MOST_OCTETS;
        claim
            .filter(|claim| claim.device_id == *asked && claim.is_sound() && fits(claim))
            .ok_or_else(|| NotRead {
                object: object.to_owned(),
                what: "claim",
            })
    }
}

fn hold(claim: String, attempt: u32, wish: Wish<'_>) -> Hold {
    let now = whole_seconds(wish.now);
    Hold {
        station: wish.station.to_owned(),
        claim,
        state: State::Claimed,
        attempt,
        claimed_at: now,
        lease_until: lease_until(wish),
        ended_at: None,
        reason: None,
    }
}

fn lease_until(wish: Wish<'_>) -> OffsetDateTime {
    whole_seconds(wish.now)
        .saturating_add(wish.lease)
        .min(LAST_MOMENT)
}

/// Whether a station may be called so.
#[must_use]
pub fn is_station_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether a moment is one at which a station can have worked, and can be told in UTC.
#[must_use]
pub fn is_moment(moment: OffsetDateTime) -> bool {
    let moment = moment.checked_to_offset(UtcOffset::UTC);
    moment.is_some_and(|moment| (1970..=9998).contains(&moment.year()))
}

/// Whether a hold is called as stations call theirs.
pub(crate) fn is_hold(claim: &str) -> bool {
    let is_hex = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
    claim.len() == 32 && claim.bytes().all(is_hex)
}

pub(super) fn is_attempt(attempt: u32) -> bool {
    (1..=MOST_ATTEMPTS).contains(&attempt)
}

pub(super) fn is_reason(reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| reason.len() <= LONGEST_REASON)
}

/// As much of a reason as a claim may have.
#[must_use]
pub fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned()
}

/// Records have no use for fractions of a second.
fn whole_seconds(moment: OffsetDateTime) -> OffsetDateTime {
    moment.replace_nanosecond(0).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody else may have written.
    type Change = fn(&mut Hold);

    const NOON: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    fn wish(station: &str, minutes: i64, take_over: bool) -> Wish<'_> {
        Wish {
            station,
            now: NOON + Duration::minutes(minutes),
            lease: Duration::minutes(30),
            take_over,
        }
    }

    fn first() -> Claim {
        Claim::first(
            &DeviceId::parse("SN1").unwrap(),
            "a".to_owned(),
            wish("st1", 0, false),
        )
    }

    #[test]
    fn a_claim_is_refused_or_taken_over_by_these_rules() {
        let claimed = first();
        let end = |state| claimed.ended(state, NOON, None).unwrap();
        let cases = [
            // While the lease lasts, nobody else; but a station that lost its memory may say so.
            (claimed.clone(), "st2", 5, false, Err(Refusal::Taken)),
            (claimed.clone(), "st2", 5, true, Err(Refusal::Taken)),
            (claimed.clone(), "st1", 5, false, Err(Refusal::Taken)),
            (claimed.clone(), "st1", 5, true, Ok(2)),
            // Once it is stale, by name.
            (claimed.clone(), "st2", 31, false, Err(Refusal::Stale)),
            (claimed.clone(), "st2", 31, true, Ok(2)),
            // What failed elsewhere is tried again by name; that a station is called the same is not enough.
            (end(State::Failed), "st1", 5, false, Err(Refusal::FailedElsewhere)),
            (
                end(State::Failed),
                "st2",
                99,
                false,
                Err(Refusal::FailedElsewhere),
            ),
            (end(State::Failed), "st2", 5, true, Ok(2)),
            (end(State::Flashed), "st1", 99, true, Err(Refusal::Flashed)),
            (end(State::Scrapped), "st1", 99, true, Err(Refusal::Scrapped)),
        ];
        for (claim, station, minutes, take_over, expected) in cases {
            let again = claim.again("b".to_owned(), wish(station, minutes, take_over), false);
            let attempt = again.as_ref().map(|again| again.hold.attempt);
            assert_eq!(
                attempt.map_err(Clone::clone),
                expected,
                "{claim:?} {station} {minutes} {take_over}"
            );
            if let Ok(again) = again {
                assert_eq!(again.earlier, [claim.hold], "the record keeps both");
            }
        }
    }

    #[test]
    fn a_station_tries_again_what_failed_in_its_own_hands() {
        let failed = first().ended(State::Failed, NOON, None).unwrap();
        let again = failed.again("b".to_owned(), wish("st1", 1, false), true);
        assert_eq!(again.unwrap().hold.attempt, 2);
    }

    #[test]
    fn an_end_is_an_end() {
        use State::{Claimed, Failed, Flashed, Scrapped};
        let claimed = first();
        let ended = |states: &[State]| {
            states.iter().try_fold(claimed.clone(), |claim, state| {
                claim.ended(*state, NOON, Some("why"))
            })
        };
        for good in [
            &[Flashed][..],
            &[Failed],
            &[Scrapped],
            &[Failed, Flashed],
            &[Failed, Scrapped],
            &[Flashed, Scrapped],
        ] {
            assert!(ended(good).is_some(), "{good:?}");
        }
        for bad in [
            &[Claimed][..],
            &[Flashed, Failed],
            &[Flashed, Flashed],
            &[Scrapped, Flashed],
            &[Scrapped, Scrapped],
        ] {
            assert!(ended(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        let claim = first().ended(State::Failed, NOON, Some("flash verify")).unwrap();
        let claim = claim.again("b".to_owned(), wish("st1", 1, false), true).unwrap();
        let read: Claim = serde_json::from_slice(&claim.to_json()).unwrap();
        assert_eq!(read, claim);
    }

    fn read(claim: &Claim) -> Result<Claim, NotRead> {
        Claim::read(&claim.to_json(), "", &DeviceId::parse("SN1").unwrap())
    }

    /// What others wrote, and nobody could tell.
    #[test]
    fn a_claim_of_what_no_station_writes_is_none() {
        let mut good = first();
        good.hold.claim = "0".repeat(32);
        assert!(read(&good).is_ok());
        let as_text = String::from_utf8(good.to_json()).unwrap();
        let time = "2026-11-24T12:00:00Z";
        assert!(as_text.contains(time));
        for moment in [
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
        ] {
            let bad = as_text.replace(time, moment);
            assert!(
                Claim::read(bad.as_bytes(), "", &good.device_id).is_err(),
                "{moment}"
            );
        }
        let changes: [Change; 9] = [
            |hold| hold.ended_at = Some(NOON),
            |hold| hold.state = State::Flashed,
            |hold| hold.station = "s".repeat(65_536),
            |hold| hold.station = String::new(),
            |hold| hold.station = "st\n1".to_owned(),
            |hold| hold.reason = Some("r".repeat(4097)),
            |hold| hold.attempt = u32::MAX,
            |hold| hold.attempt = 0,
            |hold| hold.claim = "x".to_owned(),
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad.hold);
            assert!(read(&bad).is_err(), "{i}");
            let mut again = good.again("1".repeat(32), wish("st1", 1, true), false).unwrap();
            change(&mut again.earlier[0]);
            assert!(read(&again).is_err(), "{i}, earlier");
        }
    }

    #[test]
    fn what_is_written_can_be_read_however_much_there_was() {
        let mut claim = first();
        claim.hold.claim = "0".repeat(32);
        claim.hold.attempt = u32::MAX - 2;
        let filler = claim.hold.clone();
        // Others filled it: as much as can be read.
        let mut octets = |holds| {
            claim.earlier.resize(holds, filler.clone());
            claim.to_json().len()
        };
        let (one, two) = (octets(1), octets(2));
        let most = 1 + (MOST_OCTETS - one) / (two - one);
        octets(most + 1);
        assert!(read(&claim).is_err());
        claim.earlier.pop();
        assert!(read(&claim).is_ok());
        let why = "\u{1}".repeat(10_000);
        let ended = claim.ended(State::Failed, NOON, Some(&why)).unwrap();
        assert_eq!(read(&ended), Ok(ended.clone()));
        let mut again = claim;
        for _ in 0..3 {
            again = again.again("1".repeat(32), wish("st1", 1, true), true).unwrap();
            assert_eq!(read(&again), Ok(again.clone()));
            assert_eq!(
                again.earlier.last().map(|hold| hold.state),
                Some(again.hold.state)
            );
            again
                .ended(State::Flashed, NOON, Some(&why))
                .map(|ended| read(&ended).unwrap())
                .unwrap();
        }
        assert_eq!(again.hold.attempt, u32::MAX - 1);
    }

    #[test]
    fn a_lease_ends_at_the_end_of_time() {
        let wish = Wish {
            lease: Duration::MAX,
            ..wish("st1", 0, false)
        };
        let claim = Claim::first(&DeviceId::parse("SN1").unwrap(), "0".repeat(32), wish);
        let renewed = claim.renewed(wish);
        assert!(read(&claim).is_ok() && read(&renewed).is_ok());
        assert!(!renewed.hold.is_stale(NOON));
    }
}
