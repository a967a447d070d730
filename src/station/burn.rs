//! Burning: the bundle of a device that was flashed or scrapped is removed from the store, so that its
//! private key is in the device and nowhere else.
//!
//! In layout objects a bundle is an object, which is removed. In packs its octets become zeros and it is a
//! member no more; all others stay where the index says they are. A pack of which nothing is left is
//! removed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cache, Device, SealedBatch, StationError};
use crate::bundle::remove_members;
use crate::store::{FLASHED, IndexRow, Layout, Replaced, SCRAPPED, Store, StoreError, device_of};

/// Times that a pack is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Burned {
    /// Devices that were flashed or scrapped.
    pub retired: u64,
    /// Bundles removed this time.
    pub bundles: u64,
    /// Packs that were rewritten.
    pub packs_rewritten: u64,
    /// Packs that were removed.
    pub packs_removed: u64,
}

impl SealedBatch {
    /// Removes the bundle of one device, in layout objects.
    pub(super) fn burn_one(&self, store: &dyn Store, device: &Device) -> Result<(), StationError> {
        if self.layout() == Layout::Objects {
            store.remove(&self.layout().object(device.chunk, &device.row.entry.device_id))?;
        }
        Ok(())
    }

    /// Removes the bundles of all devices that were flashed or scrapped. `burned` gets each step.
    ///
    /// # Errors
    ///
    /// When one could not be removed; what was removed stays so.
    pub fn burn(
        &self,
        store: &dyn Store,
        cache: &Cache,
        burned: &mut dyn FnMut(&Burned),
    ) -> Result<Burned, StationError> {
        let mut retired: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for folder in [FLASHED, SCRAPPED] {
            store.list(folder, &mut |listed| {
                if let Some((chunk, device_id)) = device_of(&listed.name, folder) {
                    retired.entry(chunk).or_default().insert(device_id.to_owned());
                }
            })?;
        }
        let mut done = Burned {
            retired: retired.values().map(|devices| devices.len() as u64).sum(),
            ..Burned::default()
        };
        match self.layout() {
            Layout::Objects => {
                let mut there = BTreeSet::new();
                store.list("bundles/", &mut |listed| {
                    there.insert(listed.name);
                })?;
                for (chunk, devices) in &retired {
                    for device_id in devices {
                        let object = self.layout().object(*chunk, device_id);
                        if there.contains(&object) {
                            store.remove(&object)?;
                            done.bundles += 1;
                            burned(&done);
                        }
                    }
                }
            }
            Layout::Packs => {
                for (chunk, devices) in &retired {
                    let rows = self.index(store, cache, *chunk)?;
                    self.burn_pack(store, *chunk, &rows, devices, &mut done)?;
                    burned(&done);
                }
            }
        }
        Ok(done)
    }

    fn burn_pack(
        &self,
        store: &dyn Store,
        chunk: u64,
        rows: &[IndexRow],
        retired: &BTreeSet<String>,
        done: &mut Burned,
    ) -> Result<(), StationError> {
        let object = self.layout().object(chunk, "");
        let damaged = |reason| StationError::Pack {
            object: object.clone(),
            reason,
        };
        for _ in 0..ROUNDS {
            let (mut pack, version) = match store.read_version(&object) {
                Err(StoreError::NotFound { .. }) => return Ok(()),
                other => other?,
            };
            let is_retired = |name: &str| {
                name.strip_suffix(".zip")
                    .is_some_and(|device_id| retired.contains(device_id))
            };
            let removed = remove_members(&mut pack, is_retired)
                .ok_or_else(|| damaged("it is no pack of certforge's"))?;
            if removed == 0 {
                return Ok(());
            }
            // The index, which is sealed, has the last word on where the keys are.
            let is_gone = |row: &IndexRow| {
                let at = |offset: u64| usize::try_from(offset).ok();
                let range = at(row.entry.offset)
                    .zip(at(row.entry.offset.saturating_add(row.entry.length)))
                    .and_then(|(start, end)| pack.get(start..end));
                range.is_some_and(|range| range.iter().all(|octet| *octet == 0))
            };
            let mut own = rows.iter().filter(|row| retired.contains(&row.entry.device_id));
            if !own.all(is_gone) {
                return Err(damaged("its members are not where the index says"));
            }
            if rows.iter().all(|row| retired.contains(&row.entry.device_id)) {
                store.remove(&object)?;
                done.packs_removed += 1;
            } else if store.replace(&object, &pack, &version, Replaced::Shredded)? {
                done.packs_rewritten += 1;
            } else {
                continue;
            }
            done.bundles += removed;
            return Ok(());
        }
        Err(StationError::Contended { object })
    }
}
