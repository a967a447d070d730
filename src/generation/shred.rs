//! Removal of what a generation has replaced. What holds keys goes for good; indexes and seals stay, for they are public.
//!
//! Nothing goes but what the newest sealed generation has in another place: a device that a station had claimed when it was
//! made keeps its bundle until it is flashed or scrapped.

use std::collections::BTreeSet;

use zeroize::Zeroize;

use super::{ByChunk, GenerationError, Newest};
use crate::batch::claim::Claim;
use crate::batch::{
    GENERATIONS, GenerationFolder, IndexEntry, Layout, claim_object, index_object, pack_object, pack_octets,
};
use crate::bundle::remove_members;
use crate::manifest::DeviceId;
use crate::seal::Generation;
use crate::store::{Replaced, Store, StoreError};

/// Times that a pack is looked at again because it changed meanwhile.
const ROUNDS: u32 = 8;

/// Objects that are removed at a time.
const AT_A_TIME: usize = 256;

/// Removes what the newest generation replaces, in all generations before it, and what attempts that were stopped have left.
pub(super) fn all_before(newest: &Newest) -> Result<(), GenerationError> {
    let sight = newest.sight();
    for chunk in 0..newest.record().shape().chunks() {
        let rows = newest.rows(&sight, chunk)?;
        let stay = kept(newest.batch(), chunk, &rows)?;
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
    strays(newest)
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

/// The devices of a chunk that are not in the newest generation, and may still be flashed.
fn kept(batch: &Store, chunk: u64, rows: &[IndexEntry]) -> Result<BTreeSet<DeviceId>, GenerationError> {
    let left: Vec<&DeviceId> = rows
        .iter()
        .filter(|row| row.length == 0)
        .map(|row| &row.device_id)
        .collect();
    not_over(batch, chunk, &left)
}

/// Of these devices of a chunk those that were neither flashed nor scrapped, as far as their claims can be read.
fn not_over(batch: &Store, chunk: u64, devices: &[&DeviceId]) -> Result<BTreeSet<DeviceId>, GenerationError> {
    let mut kept = BTreeSet::new();
    for some in devices.chunks(AT_A_TIME) {
        let names: Vec<String> = some.iter().map(|id| claim_object(chunk, id)).collect();
        for ((device_id, name), octets) in some.iter().zip(&names).zip(batch.read_all(&names)) {
            // What a claim that cannot be read says, nobody knows: its device keeps what it has.
            let is_over = match octets {
                Ok(octets) => {
                    Claim::read(&octets, name, device_id).is_ok_and(|claim| claim.hold.state.is_final())
                }
                Err(StoreError::NotFound { .. }) => false,
                Err(error) if error.is_of_one_object() => false,
                Err(error) => return Err(error.into()),
            };
            if !is_over {
                kept.insert((*device_id).clone());
            }
        }
    }
    Ok(kept)
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
