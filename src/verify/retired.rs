//! Devices whose bundle may be gone: those that a station has flashed, or that were scrapped, as their
//! claims say.

use std::collections::HashSet;

use crate::batch::claim::Claim;
use crate::batch::claim_object;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

/// Of these devices of a chunk those that were flashed or scrapped.
pub(super) fn retired(
    store: &Store,
    chunk: u64,
    device_ids: &[&DeviceId],
) -> Result<HashSet<DeviceId>, StoreError> {
    let names: Vec<String> = device_ids.iter().map(|id| claim_object(chunk, id)).collect();
    let mut retired = HashSet::new();
    for ((device_id, name), octets) in device_ids.iter().zip(&names).zip(store.read_all(&names)) {
        let octets = match octets {
            Err(StoreError::NotFound { .. }) => continue,
            // It tells nothing, so the device's bundle must be there.
            Err(error @ StoreError::Io { .. }) if error.is_of_one_object() => continue,
            other => other?,
        };
        let claim = Claim::read(&octets, name, device_id);
        if claim.is_ok_and(|claim| claim.hold.state.is_final()) {
            retired.insert((*device_id).clone());
        }
    }
    Ok(retired)
}
