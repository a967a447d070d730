//! Devices whose bundle may be gone: those that a station has flashed, or that were scrapped.

use std::collections::HashSet;

use crate::digest::sha256_start;
use crate::store::{FLASHED, SCRAPPED, Store, StoreError, device_of};

/// The devices of a batch that were flashed or scrapped, in 12 octets each.
#[derive(Debug, Default)]
pub(super) struct Retired(HashSet<[u8; 12]>);

impl Retired {
    pub(super) fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut retired = HashSet::new();
        for folder in [FLASHED, SCRAPPED] {
            store.list(folder, &mut |listed| {
                if let Some((_, device_id)) = device_of(&listed.name, folder) {
                    retired.insert(sha256_start(device_id.as_bytes()));
                }
            })?;
        }
        Ok(Self(retired))
    }

    pub(super) fn contains(&self, device_id: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&sha256_start(device_id.as_bytes()))
    }
}
