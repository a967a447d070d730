//! Burning: the bundle of a device that was flashed or scrapped is removed from the store, so that its
//! private key is in the device and nowhere else.
//!
//! In layout objects a bundle is an object, which is removed. In packs its octets become zeros and it is a
//! member no more; all others stay where the index says they are. A pack of which nothing is left is
//! removed. What a device is, its claim says, and nothing else; where its bundle is, the sealed index.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroize;

use super::bundles::Rows;
use super::damaged::{set_aside, set_left_out_aside};
use super::reporting::write_record;
use super::{Cache, Damaged, Device, Record, SealedBatch, StationError};
use crate::batch::claim::Claim;
use crate::batch::report;
use crate::batch::{
    CLAIMS, FLASHED, IndexEntry, Layout, SCRAPPED, claim_object, device_of, index_object, pack_object,
    pack_octets,
};
use crate::bundle::remove_members;
use crate::digest::sha256;
use crate::manifest::DeviceId;
use crate::store::{Replaced, Store, StoreError};

/// Times that a pack is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// Claims that are read, and bundles that are removed, at a time.
const AT_A_TIME: usize = 256;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Burned {
    pub bundles: u64,
    /// Packs that were rewritten.
    pub packs_rewritten: u64,
    /// Packs that were removed.
    pub packs_removed: u64,
    /// What could not be read, by name: the bundles that depend on it are as they were.
    pub damaged: BTreeSet<Damaged>,
}

/// Devices by their chunk.
pub(super) type ByChunk = BTreeMap<u64, BTreeSet<DeviceId>>;

/// A device of a chunk with its claim.
type Claimed<'a> = (&'a IndexEntry, Claim);

impl SealedBatch {
    /// Removes the bundle of one device, in layout objects.
    pub(super) fn burn_one(&self, store: &Store, cache: &Cache, device: &Device) -> Result<(), StationError> {
        let device_id = &device.entry.device_id;
        // It may have been made anew since it was claimed.
        let fresh = match self.has_newer(store)? {
            true => Some(self.again(store, cache)?),
            false => None,
        };
        for (sight, layout) in fresh.as_ref().unwrap_or(self).generations(store, cache) {
            if !layout.is_packed() {
                sight.store.remove(&layout.object(device.chunk, device_id))?;
            }
        }
        Ok(())
    }

    /// Removes the bundles of all devices that were flashed or scrapped, and writes the record of those of
    /// which a station was stopped before it did. `burned` gets each step.
    ///
    /// # Errors
    ///
    /// When one could not be removed; what was removed stays so. What is damaged is no error: it is in the answer.
    pub fn burn(
        &self,
        store: &Store,
        cache: &Cache,
        burned: &mut dyn FnMut(&Burned),
    ) -> Result<Burned, StationError> {
        let mut done = Burned::default();
        let mut recorded = BTreeSet::new();
        for folder in [FLASHED, SCRAPPED] {
            let listed = store.list(folder, &mut |listed| {
                recorded.insert(listed.name);
            });
            set_left_out_aside(folder, listed, &mut done.damaged)?;
        }
        let claimed = self.devices_in(CLAIMS, store, &mut done.damaged)?;
        for (back, (sight, layout)) in self.generations(store, cache).enumerate() {
            let index = |chunk| self.index_of(back, store, cache, chunk);
            burn_generation(
                (&sight.store, layout),
                index,
                (&claimed, &recorded),
                &mut done,
                burned,
            )?;
        }
        Ok(done)
    }
    /// The devices that have a claim, or a record of one kind, by chunk.
    pub(super) fn devices_in(
        &self,
        folder: &str,
        store: &Store,
        damaged: &mut BTreeSet<Damaged>,
    ) -> Result<ByChunk, StationError> {
        let mut devices = ByChunk::new();
        let listed = store.list(folder, &mut |listed| {
            if let Some((chunk, device_id)) = device_of(&listed.name, folder)
                && chunk < self.shape().chunks()
            {
                devices.entry(chunk).or_default().insert(device_id);
            }
        });
        set_left_out_aside(folder, listed, damaged)?;
        Ok(devices)
    }
}

/// Removes what a generation has of the devices that were flashed or scrapped.
fn burn_generation(
    (store, layout): (&Store, Layout),
    index: impl Fn(u64) -> Result<Rows, StationError>,
    (devices, recorded): (&ByChunk, &BTreeSet<String>),
    done: &mut Burned,
    burned: &mut dyn FnMut(&Burned),
) -> Result<(), StationError> {
    let mut there = BTreeSet::new();
    if !layout.is_packed() {
        let listed = store.list("bundles/", &mut |listed| {
            there.insert(listed.name);
        });
        set_left_out_aside("bundles/", listed, &mut done.damaged)?;
    }
    for (&chunk, claimed) in devices {
        let Some(rows) = set_aside(&index_object(chunk), index(chunk), &mut done.damaged)? else {
            continue;
        };
        let object = |row: &IndexEntry| layout.object(chunk, &row.device_id);
        if layout.is_packed() {
            let result = burn_pack((store, layout), chunk, &rows, claimed, recorded, done);
            set_aside(&pack_object(chunk), result, &mut done.damaged)?;
        } else {
            let rows = rows
                .iter()
                .filter(|row| claimed.contains(&row.device_id) && there.contains(&object(row)));
            let damaged = &mut done.damaged;
            let retired = retired(store, chunk, &rows.collect::<Vec<_>>(), damaged)?;
            heal(store, chunk, &retired, recorded, damaged)?;
            let names: Vec<String> = retired.iter().map(|(row, _)| object(row)).collect();
            for some in names.chunks(AT_A_TIME) {
                for (name, removed) in some.iter().zip(store.remove_all(some)) {
                    let removed = removed.map_err(StationError::from);
                    let removed = set_aside(name, removed, &mut done.damaged)?;
                    done.bundles += u64::from(removed.is_some());
                }
                burned(done);
            }
        }
        burned(done);
    }
    Ok(())
}

/// Removes from a pack the bundles of what was flashed or scrapped.
fn burn_pack(
    (store, layout): (&Store, Layout),
    chunk: u64,
    rows: &[IndexEntry],
    claimed: &BTreeSet<DeviceId>,
    recorded: &BTreeSet<String>,
    done: &mut Burned,
) -> Result<(), StationError> {
    let object = pack_object(chunk);
    let damaged = |reason| StationError::Pack {
        object: object.clone(),
        reason,
    };
    // One who was stopped may have left what he replaced.
    store.purge(&object)?;
    for _ in 0..ROUNDS {
        let (mut pack, version) = match store.read_version(&object, Some(pack_octets(rows.iter()))) {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        let left = rows.iter().filter(|row| !is_zero(&pack, row));
        let left: Vec<&IndexEntry> = left.collect();
        if left.is_empty() {
            return remove_overwritten(store, chunk, rows, claimed, done);
        }
        let claimed = left.iter().filter(|row| claimed.contains(&row.device_id));
        let damaged_claims = &mut done.damaged;
        let retired = retired(
            store,
            chunk,
            &claimed.copied().collect::<Vec<_>>(),
            damaged_claims,
        )?;
        if retired.is_empty() {
            return Ok(());
        }
        heal(store, chunk, &retired, recorded, damaged_claims)?;
        if retired.len() == left.len() {
            store.remove(&object)?;
            done.packs_removed += 1;
            done.bundles += retired.len() as u64;
            return Ok(());
        }
        let names: BTreeSet<String> = retired
            .iter()
            .map(|(row, _)| layout.member(&row.device_id))
            .collect();
        // The index is sealed, the pack's own directory is not.
        for (row, _) in &retired {
            match range(&mut pack, row) {
                Some(octets) => octets.zeroize(),
                None => return Err(damaged("it ends before the index says")),
            }
        }
        remove_members(&mut pack, |name| names.contains(name))
            .ok_or_else(|| damaged("it is no pack of certforge's"))?;
        let stays = |row: &&&IndexEntry| !names.contains(&layout.member(&row.device_id));
        for row in left.iter().filter(stays) {
            let is_whole = range(&mut pack, row).is_some_and(|octets| sha256(octets) == row.sha256);
            if !is_whole {
                return Err(damaged("another bundle in it is not what the index says"));
            }
        }
        if store.replace(&object, &pack, &version, Replaced::Shredded)? {
            done.packs_rewritten += 1;
            done.bundles += retired.len() as u64;
            return Ok(());
        }
    }
    Err(StationError::Contended { object })
}

/// Removes a pack of nothing but zeros: who removed it overwrote it first, and was stopped. It goes only when all that was
/// in it was retired: else somebody else has overwritten it, and a bucket may have another version.
fn remove_overwritten(
    store: &Store,
    chunk: u64,
    rows: &[IndexEntry],
    claimed: &BTreeSet<DeviceId>,
    done: &mut Burned,
) -> Result<(), StationError> {
    let claimed = rows.iter().filter(|row| claimed.contains(&row.device_id));
    let retired = retired(store, chunk, &claimed.collect::<Vec<_>>(), &mut done.damaged)?;
    if retired.len() == rows.len() {
        store.remove(&pack_object(chunk))?;
        done.packs_removed += 1;
    }
    Ok(())
}

/// Of these devices those that were flashed or scrapped, as their claims say.
fn retired<'a>(
    store: &Store,
    chunk: u64,
    rows: &[&'a IndexEntry],
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Vec<Claimed<'a>>, StationError> {
    let mut retired = Vec::new();
    for some in rows.chunks(AT_A_TIME) {
        for (row, claim) in some.iter().zip(read_claims(store, chunk, some, damaged)?) {
            if let Some(claim) = claim
                && claim.hold.state.is_final()
            {
                retired.push((*row, claim));
            }
        }
    }
    Ok(retired)
}

/// The claims of these devices, each of which has one; `None` where it is damaged.
pub(super) fn read_claims(
    store: &Store,
    chunk: u64,
    rows: &[&IndexEntry],
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Vec<Option<Claim>>, StationError> {
    let name = |row: &&IndexEntry| claim_object(chunk, &row.device_id);
    let names: Vec<String> = rows.iter().map(name).collect();
    let read = store.read_all(&names).into_iter().zip(names);
    read.zip(rows)
        .map(|((octets, object), row)| {
            let read = octets.map_err(StationError::from);
            let claim = read.and_then(|octets| Ok(Claim::read(&octets, &object, &row.device_id)?));
            set_aside(&object, claim, damaged)
        })
        .collect()
}

/// Writes the records that are missing.
fn heal(
    store: &Store,
    chunk: u64,
    retired: &[Claimed<'_>],
    recorded: &BTreeSet<String>,
    damaged: &mut BTreeSet<Damaged>,
) -> Result<(), StationError> {
    for (row, claim) in retired {
        let device = Device {
            chunk,
            entry: (*row).clone(),
        };
        if let Some(object) = report::object(claim, &device)
            && !recorded.contains(&object)
        {
            let written = write_record(store, &object, &Record::of(claim, &device));
            set_aside(&object, written, damaged)?;
        }
    }
    Ok(())
}

/// Where the index says that a device's bundle is; `None` when the pack ends before.
fn range<'a>(pack: &'a mut [u8], row: &IndexEntry) -> Option<&'a mut [u8]> {
    let start = usize::try_from(row.offset).ok()?;
    let end = usize::try_from(row.offset.checked_add(row.length)?).ok()?;
    pack.get_mut(start..end)
}

fn is_zero(pack: &[u8], row: &IndexEntry) -> bool {
    let start = usize::try_from(row.offset).unwrap_or(usize::MAX);
    let end = usize::try_from(row.offset.saturating_add(row.length)).unwrap_or(usize::MAX);
    pack.get(start..end)
        .is_some_and(|octets| octets.iter().all(|octet| *octet == 0))
}
