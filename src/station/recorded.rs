//! Records, as whoever claims heeds them: what was flashed or scrapped stays so, whatever becomes of its claim.

use super::{Device, Station, StationError};
use crate::batch::claim::State;
use crate::batch::{flashed_object, scrapped_object};
use crate::store::StoreError;

impl Station {
    /// Refuses a device of which a record says that it was flashed or scrapped, whatever its claim says: every station can
    /// write a claim over, and none a record. What it had of it is wiped, and forgotten.
    pub(super) fn refuse_recorded(&self, device: &Device) -> Result<(), StationError> {
        let device_id = &device.entry.device_id;
        let states = [State::Flashed, State::Scrapped];
        let objects = [flashed_object, scrapped_object].map(|object| object(device.chunk, device_id));
        for ((state, read), object) in states.into_iter().zip(self.store.read_all(&objects)).zip(objects) {
            match read {
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) if !error.is_in_the_way() => return Err(error.into()),
                _ => {}
            }
            self.wipe(device_id)?;
            self.memory.let_go(device_id)?;
            return Err(StationError::Recorded {
                device_id: device_id.clone(),
                state,
                object,
            });
        }
        Ok(())
    }
}
