//! Devices whose bundle may be gone: those that a station has flashed, or that were scrapped, as their
//! claims say.

use std::collections::HashSet;

use serde::Deserialize;

use crate::batch::claim_object;
use crate::store::{Store, StoreError};

/// What a claim says became of its device.
#[derive(Deserialize)]
struct State {
    device_id: String,
    state: String,
}

/// Of these devices of a chunk those that were flashed or scrapped.
pub(super) fn retired(
    store: &dyn Store,
    chunk: u64,
    device_ids: &[&str],
) -> Result<HashSet<String>, StoreError> {
    let names: Vec<String> = device_ids.iter().map(|id| claim_object(chunk, id)).collect();
    let mut retired = HashSet::new();
    for (device_id, octets) in device_ids.iter().zip(store.read_all(&names)) {
        let octets = match octets {
            Err(StoreError::NotFound { .. }) => continue,
            other => other?,
        };
        let state: Option<State> = serde_json::from_slice(&octets).ok();
        if state.is_some_and(|state| {
            state.device_id == *device_id && ["flashed", "scrapped"].contains(&state.state.as_str())
        }) {
            retired.insert((*device_id).to_owned());
        }
    }
    Ok(retired)
}
