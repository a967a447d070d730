//! Records: that a device was flashed, failed or was scrapped; written once, after its claim says so.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::claim::{Claim, State, is_attempt, is_hold, is_moment, is_reason, is_station_name};
use super::{Device, NotRead};
use super::{failed_object, flashed_object, scrapped_object};
use crate::manifest::DeviceId;

/// What is recorded of how a device ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub device_id: DeviceId,
    /// SHA-256 of the certificate's DER, in hexadecimal.
    pub certificate_id: String,
    /// In hexadecimal.
    pub certificate_serial: String,
    pub station: String,
    pub claim: String,
    pub attempt: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub claimed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Record {
    /// The record of a claim that has ended. It follows from the claim, so whoever writes it writes the same.
    #[must_use]
    pub fn of(claim: &Claim, device: &Device) -> Self {
        let (hold, entry) = (&claim.hold, &device.entry);
        Self {
            device_id: claim.device_id.clone(),
            certificate_id: data_encoding::HEXLOWER.encode(&entry.certificate_id),
            certificate_serial: entry.certificate_serial.to_string(),
            station: hold.station.clone(),
            claim: hold.claim.clone(),
            attempt: hold.attempt,
            claimed_at: hold.claimed_at,
            at: hold.ended_at.unwrap_or(hold.claimed_at),
            reason: hold.reason.clone(),
        }
    }

    /// Whether it is such as a station writes.
    fn is_sound(&self) -> bool {
        is_station_name(&self.station)
            && is_hold(&self.claim)
            && is_attempt(self.attempt)
            && is_reason(self.reason.as_deref())
            && is_moment(self.claimed_at)
            && is_moment(self.at)
    }

    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    /// Reads the record of a device.
    ///
    /// # Errors
    ///
    /// When the octets are none, or another device's.
    pub fn read(octets: &[u8], object: &str, asked: &DeviceId) -> Result<Self, NotRead> {
        let record: Option<Self> = serde_json::from_slice(octets).ok();
        record
            .filter(|record| record.device_id == *asked && record.is_sound())
            .ok_or_else(|| NotRead {
                object: object.to_owned(),
                what: "record",
            })
    }
}

/// The object of a claim's record; `None` while the device is in hand.
#[must_use]
pub fn object(claim: &Claim, device: &Device) -> Option<String> {
    let device_id = &claim.device_id;
    match claim.hold.state {
        State::Claimed => None,
        State::Flashed => Some(flashed_object(device.chunk, device_id)),
        State::Failed => Some(failed_object(device.chunk, device_id, claim.hold.attempt)),
        State::Scrapped => Some(scrapped_object(device.chunk, device_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody else may have written.
    type Change = fn(&mut Record);

    #[test]
    fn a_record_of_what_no_station_writes_is_none() {
        let good = Record {
            device_id: DeviceId::parse("SN1").unwrap(),
            certificate_id: "00".repeat(32),
            certificate_serial: "01".to_owned(),
            station: "st1".to_owned(),
            claim: "0".repeat(32),
            attempt: 1,
            claimed_at: time::macros::datetime!(2026-11-24 12:00 UTC),
            at: time::macros::datetime!(2026-11-24 12:01 UTC),
            reason: None,
        };
        let read = |record: &Record| Record::read(&record.to_json(), "", &good.device_id);
        assert_eq!(read(&good), Ok(good.clone()));
        let changes: [Change; 6] = [
            |record| record.station = "s".repeat(65_536),
            |record| record.claim = String::new(),
            |record| record.attempt = u32::MAX,
            |record| record.reason = Some("r".repeat(4097)),
            |record| record.claimed_at = time::macros::datetime!(0000-01-01 00:00 +23:59),
            |record| record.at = time::macros::datetime!(9999-12-31 23:59:59 -23:59),
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(read(&bad).is_err(), "{i}");
        }
    }
}
