//! Removal of what a generation has replaced. What holds keys goes for good; indexes and seals stay, for they are public.
//!
//! Nothing goes but what the newest sealed generation has in another place: a device that a station had claimed when it was
//! made keeps its bundle until it is flashed or scrapped. What was flashed or scrapped needs none, and loses it here, burned or
//! not: those for whom it was may be the ones that shall read nothing any more.

use std::collections::BTreeSet;

use zeroize::Zeroize;

use super::claims::{Fate, fates};
use super::{ByChunk, GenerationError, Newest};
use crate::batch::{
    GENERATIONS, GenerationFolder, IndexEntry, Layout, index_object, pack_object, pack_octets,
};
use crate::bundle::remove_members;
use crate::manifest::DeviceId;
use crate::seal::Generation;
use crate::store::{Replaced, Store, StoreError};

/// Times that a pack is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// Objects that are removed at a time.
const AT_A_TIME: usize = 256;

/// How many devices the newest generation has not.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Stations have them, and their bundle is in a generation before.
    pub held: u64,
    /// They were in the hands of stations when they were left out, and have failed since: their bundle is there too.
    pub failed: u64,
    /// They were flashed or scrapped, and no generation has a bundle of them.
    pub ended: u64,
}

/// Removes what the newest generation replaces, in all generations before it, what these have of devices that were flashed or
/// scrapped, and what attempts that were stopped have left.
pub(super) fn all_before(newest: &Newest) -> Result<LeftOut, GenerationError> {
    let sight = newest.sight();
    let mut out = LeftOut::default();
    for chunk in 0..newest.record().shape().chunks() {
        let rows = newest.rows(&sight, chunk)?;
        let left = rows.iter().filter(|row| row.length == 0);
        let left: Vec<&DeviceId> = left.map(|row| &row.device_id).collect();
        let mut stay = BTreeSet::new();
        for (device_id, fate) in fates(newest.batch(), chunk, &left)? {
            match fate {
                Fate::Held => out.held += 1,
                Fate::Free => out.failed += 1,
                Fate::Ended => out.ended += 1,
            }
            if fate != Fate::Ended {
                stay.insert(device_id.clone());
            }
        }
        for (generation, store) in newest.before() {
            let index = store.read(&index_object(chunk), None)?;
            let rows = generation.seal.index(chunk, &index)?;
            let layout = generation.seal.statement().layout;
            match layout.is_packed() {
                true => of_pack(&store, (chunk, layout), &rows, &stay)?,
                false => of_objects(&store, (chunk, layout), &rows, &stay)?,
            }
        }
    }
    strays(newest)?;
    Ok(out)
}

/// Removes from the newest generation what it has of devices that were flashed or scrapped while it was made: their stations know
/// of the one before, and have removed what that had.
pub(super) fn ended(newest: &Newest, claimed: &ByChunk) -> Result<(), GenerationError> {
    let store = newest.sight();
    for (&chunk, devices) in claimed {
        let rows = newest.rows(&store, chunk)?;
        let there = |row: &&IndexEntry| row.length > 0 && devices.contains(&row.device_id);
        let there: Vec<&DeviceId> = rows.iter().filter(there).map(|row| &row.device_id).collect();
        let open = not_over(newest.batch(), chunk, &there)?;
        if open.len() == there.len() {
            continue;
        }
        let all = rows.iter().map(|row| &row.device_id);
        let stay: BTreeSet<DeviceId> = all
            .filter(|id| !there.contains(id) || open.contains(*id))
            .cloned()
            .collect();
        let layout = newest.record().layout;
        match layout.is_packed() {
            true => of_pack(&store, (chunk, layout), &rows, &stay)?,
            false => of_objects(&store, (chunk, layout), &rows, &stay)?,
        }
    }
    Ok(())
}

/// Removes all that an attempt has made.
pub(super) fn attempt(batch: &Store, folder: &GenerationFolder) -> Result<(), StoreError> {
    let mut names = Vec::new();
    batch.list(&folder.to_string(), &mut |listed| names.push(listed.name))?;
    remove(batch, &names)
}

/// Of these devices of a chunk those that were neither flashed nor scrapped, as far as is known.
fn not_over(batch: &Store, chunk: u64, devices: &[&DeviceId]) -> Result<BTreeSet<DeviceId>, GenerationError> {
    let fates = fates(batch, chunk, devices)?.into_iter();
    let open = fates.filter(|(_, fate)| *fate != Fate::Ended);
    Ok(open.map(|(device_id, _)| device_id.clone()).collect())
}

fn of_objects(
    store: &Store,
    (chunk, layout): (u64, Layout),
    rows: &[IndexEntry],
    stay: &BTreeSet<DeviceId>,
) -> Result<(), GenerationError> {
    let goes = rows
        .iter()
        .filter(|row| row.length > 0 && !stay.contains(&row.device_id));
    let names: Vec<String> = goes.map(|row| layout.object(chunk, &row.device_id)).collect();
    Ok(remove(store, &names)?)
}

fn remove(store: &Store, names: &[String]) -> Result<(), StoreError> {
    names
        .chunks(AT_A_TIME)
        .flat_map(|some| store.remove_all(some))
        .collect()
}

fn of_pack(
    store: &Store,
    (chunk, layout): (u64, Layout),
    rows: &[IndexEntry],
    stay: &BTreeSet<DeviceId>,
) -> Result<(), GenerationError> {
    let object = pack_object(chunk);
    let stays = |row: &&IndexEntry| row.length > 0 && stay.contains(&row.device_id);
    if !rows.iter().any(|row| stays(&row)) {
        return Ok(store.remove(&object)?);
    }
    let goes: BTreeSet<String> = rows
        .iter()
        .filter(|row| !stays(row))
        .map(|row| layout.member(&row.device_id))
        .collect();
    for _ in 0..ROUNDS {
        let (mut pack, version) = match store.read_version(&object, Some(pack_octets(rows.iter()))) {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        let before = pack.clone();
        for row in rows.iter().filter(|row| !stays(row)) {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            let range = at(row.offset)..at(row.offset.saturating_add(row.length));
            if let Some(octets) = pack.get_mut(range) {
                octets.zeroize();
            }
        }
        // Of one that is no pack any more, what is to go is gone, and the rest is as it was.
        let _ = remove_members(&mut pack, |name| goes.contains(name));
        if *pack == *before || store.replace(&object, &pack, &version, Replaced::Shredded)? {
            // One who was stopped may have left what he replaced.
            return Ok(store.purge(&object)?);
        }
    }
    Err(StoreError::Conflict { object }.into())
}

/// Removes what attempts at sealed generations have left which were not the ones that were sealed.
fn strays(newest: &Newest) -> Result<(), GenerationError> {
    let mut names = Vec::new();
    let sealed = newest.generation();
    newest
        .batch()
        .list(GENERATIONS, &mut |listed| names.push(listed.name))?;
    let before = newest.before().map(|(generation, _)| generation);
    let all: Vec<&Generation> = before.chain([sealed]).collect();
    names.retain(|name| {
        let number = name.strip_prefix(GENERATIONS).and_then(|own| own.split_once('/'));
        let number = number.and_then(|(number, _)| number.parse::<u32>().ok());
        let folders = || all.iter().filter_map(|generation| generation.folder.as_ref());
        // Those of a generation to come are at work.
        number.is_some_and(|number| number <= sealed.number())
            && folders().all(|folder| folder.name_of(name).is_none())
    });
    Ok(remove(newest.batch(), &names)?)
}
