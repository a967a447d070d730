//! Records: that a device was flashed, failed or was scrapped; written once, after its claim says so.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::claim::{Claim, State};
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
            .filter(|record| record.device_id == *asked)
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
