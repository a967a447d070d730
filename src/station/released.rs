//! What was released for the device of a certificate: for whoever has it before him, as it was flashed.

use time::OffsetDateTime;

use super::{Cache, Device, SealedBatch, StationError};
use crate::bundle::Files;
use crate::bundle::encryption::Identities;
use crate::store::Store;

/// A device, and the files that it was to get.
pub struct ReleasedDevice {
    pub device: Device,
    pub files: Files,
    /// Names and formats of those that are flashed as they are.
    pub images: Vec<(String, &'static str)>,
}

impl SealedBatch {
    /// The device that has one of these certificates, by their SHA-256, the first before the others; `None`: the batch has no such device.
    ///
    /// # Errors
    ///
    /// When an index cannot be read, or is not the sealed one.
    pub fn certified(
        &self,
        store: &Store,
        cache: &Cache,
        ids: &[[u8; 32]],
    ) -> Result<Option<Device>, StationError> {
        let mut best: Option<(usize, Device)> = None;
        if ids.is_empty() {
            return Ok(None);
        }
        for chunk in 0..self.shape().chunks() {
            for row in self.index(store, cache, chunk)?.iter() {
                let place = ids.iter().position(|id| *id == row.certificate_id);
                let is_better = |place: usize| best.as_ref().is_none_or(|(other, _)| place < *other);
                if let Some(place) = place.filter(|place| is_better(*place)) {
                    let entry = row.clone();
                    best = Some((place, Device { chunk, entry }));
                }
            }
        }
        Ok(best.map(|(_, device)| device))
    }

    /// What was released for a device, of the generation that has its bundle; once everything about it is seen to be right.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not what the seal says, or was removed since the device was flashed.
    pub fn released(
        &self,
        (store, cache): (&Store, &Cache),
        device: Device,
        identities: Option<&Identities>,
        now: OffsetDateTime,
    ) -> Result<ReleasedDevice, StationError> {
        let images = self.images(store, cache, &device)?;
        let files = self.fetch((store, cache), &device, identities, now)?;
        Ok(ReleasedDevice {
            device,
            files,
            images,
        })
    }

    /// A device by its id.
    ///
    /// # Errors
    ///
    /// When the batch has none of that id.
    pub fn device(&self, store: &Store, cache: &Cache, text: &str) -> Result<Device, StationError> {
        self.find(store, cache, &self.device_id(text)?)
    }
}
