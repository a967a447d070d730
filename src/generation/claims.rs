//! What became of the devices of a chunk, as their claims say.

use super::GenerationError;
use crate::batch::claim::{Claim, State};
use crate::batch::claim_object;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

/// Claims that are read at a time.
const AT_A_TIME: usize = 256;

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// No station has it: none ever had, or flashing failed, so that any may try.
    Free,
    /// A station has it; or its claim cannot be read, and nobody knows.
    Held,
    /// It was flashed or scrapped: nobody needs its bundle any more.
    Ended,
}

/// What became of these devices of a chunk, in their order.
pub(super) fn fates<'a>(
    batch: &Store,
    chunk: u64,
    devices: &[&'a DeviceId],
) -> Result<Vec<(&'a DeviceId, Fate)>, GenerationError> {
    let mut fates = Vec::with_capacity(devices.len());
    for some in devices.chunks(AT_A_TIME) {
        let names: Vec<String> = some.iter().map(|id| claim_object(chunk, id)).collect();
        for ((device_id, name), octets) in some.iter().zip(&names).zip(batch.read_all(&names)) {
            let fate = match octets {
                Ok(octets) => match Claim::read(&octets, name, device_id) {
                    Ok(claim) => of(claim.hold.state),
                    Err(_) => Fate::Held,
                },
                Err(StoreError::NotFound { .. }) => Fate::Free,
                Err(error) if error.is_of_one_object() => Fate::Held,
                Err(error) => return Err(error.into()),
            };
            fates.push((*device_id, fate));
        }
    }
    Ok(fates)
}

fn of(state: State) -> Fate {
    match state {
        State::Failed => Fate::Free,
        State::Claimed => Fate::Held,
        State::Flashed | State::Scrapped => Fate::Ended,
    }
}
