//! The sample: which devices of a batch are rehearsed, and their bundles.

use data_encoding::HEXLOWER;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::batch::claim::{Claim, State};
use crate::batch::{BatchRecord, IndexEntry, Layout, SHARED_OBJECT, claim_object, pack_octets};
use crate::bundle::{Files, Opened, Recipe, open_shared};
use crate::causes::in_one_line;
use crate::digest::sha256;
use crate::store::{Store, StoreError};
use crate::vouched::{Vouched, VouchedError};

/// From so many devices of a pack on, the whole pack is read.
const WHOLE_PACK: usize = 16;

/// Bundles that are read at once.
const AT_ONCE: usize = 64;

/// How many devices, spread evenly over the batch, always the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    All,
    Some(u64),
}

impl Sample {
    /// How many of so many rows.
    #[must_use]
    pub fn size(self, rows: u64) -> u64 {
        match self {
            Self::All => rows,
            Self::Some(n) => n.min(rows),
        }
    }

    /// The row of the i-th device; the first and the last row are among them.
    fn row(self, i: u64, rows: u64) -> u64 {
        match self.size(rows) {
            0 | 1 => 0,
            size => {
                let row = u128::from(i) * u128::from(rows - 1) / u128::from(size - 1);
                u64::try_from(row).expect("it is below the number of rows")
            }
        }
    }
}

/// A device that was chosen, with its bundle.
pub(super) struct Chosen {
    pub entry: IndexEntry,
    /// Why it could not be read.
    pub bundle: Result<Zeroizing<Vec<u8>>, StoreError>,
}

/// The files that the devices of a batch share, or why they cannot be read.
pub type SharedFiles = Result<Files, String>;

/// Reads the files that the devices of a batch share; as a rule there are none.
pub(super) fn shared(store: &Store, record: &BatchRecord, recipe: &Recipe) -> SharedFiles {
    let Some(wanted) = &record.shared_sha256 else {
        return Ok(Files::new());
    };
    let octets = store
        .read(SHARED_OBJECT, None)
        .map_err(|error| in_one_line(&error))?;
    let digest = sha256(&octets);
    let opened = match HEXLOWER.encode(&digest) == *wanted {
        true => open_shared(&octets, &digest, recipe).map_err(|error| error.to_string()),
        false => Err("is not the one that the batch names; `certforge verify` says more".to_owned()),
    };
    let opened = opened.map_err(|fault| format!("{SHARED_OBJECT} {fault}"))?;
    Ok(opened.into_iter().map(Opened::into_named).collect())
}

/// Devices of a sample that are not rehearsed, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Their bundles were removed, since they were flashed or scrapped.
    pub burned: u64,
    /// A newer generation of the bundles has none of them: a station had them when it was made, or had had them.
    pub left_out: LeftOut,
}

/// Devices that a generation has left out, by what their claims say now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub claimed: u64,
    pub flashed: u64,
    pub failed: u64,
    pub scrapped: u64,
    /// Those of which no claim can be read.
    pub unknown: u64,
}

impl LeftOut {
    #[must_use]
    pub fn all(&self) -> u64 {
        self.claimed + self.flashed + self.failed + self.scrapped + self.unknown
    }

    fn add(&mut self, state: Option<State>) {
        *match state {
            Some(State::Claimed) => &mut self.claimed,
            Some(State::Flashed) => &mut self.flashed,
            Some(State::Failed) => &mut self.failed,
            Some(State::Scrapped) => &mut self.scrapped,
            None => &mut self.unknown,
        } += 1;
    }
}

/// Reads the bundles of a sample in row order. `give` says whether to go on. Returns which devices have none.
///
/// # Errors
///
/// When an index cannot be read.
pub(super) fn read(
    store: &Store,
    issued: &Vouched<'_>,
    sample: Sample,
    give: &mut dyn FnMut(Chosen) -> bool,
) -> Result<Skipped, VouchedError> {
    let mut skipped = Skipped::default();
    let record = issued.record();
    let (rows, chunk_rows) = (record.rows, record.chunk_rows);
    let size = sample.size(rows);
    let mut next = 0;
    for chunk in 0..record.shape().chunks() {
        let first = chunk * chunk_rows;
        let mut places = Vec::new();
        while next < size && sample.row(next, rows) < first + chunk_rows {
            places.push(sample.row(next, rows) - first);
            next += 1;
        }
        if places.is_empty() {
            continue;
        }
        let entries = issued.entries(chunk)?;
        let chosen: Vec<&IndexEntry> = places
            .into_iter()
            .filter_map(|place| entries.get(usize::try_from(place).ok()?))
            .collect();
        let (chosen, left): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|entry| entry.length > 0);
        for group in left.chunks(AT_ONCE) {
            let objects: Vec<String> = group
                .iter()
                .map(|entry| claim_object(chunk, &entry.device_id))
                .collect();
            for ((entry, object), claim) in group.iter().zip(&objects).zip(store.read_all(&objects)) {
                let state = claim.ok().and_then(|octets| state(&octets, object, entry));
                skipped.left_out.add(state);
            }
        }
        for group in chosen.chunks(AT_ONCE) {
            for (entry, bundle) in group.iter().zip(bundles(store, record.layout, chunk, group)) {
                if is_gone(&bundle) && is_retired(store, chunk, entry) {
                    skipped.burned += 1;
                    continue;
                }
                let entry = (*entry).clone();
                if !give(Chosen { entry, bundle }) {
                    return Ok(skipped);
                }
            }
        }
    }
    Ok(skipped)
}

/// Whether nothing is where a bundle was: no object, or nothing but zeros.
fn is_gone(bundle: &Result<Zeroizing<Vec<u8>>, StoreError>) -> bool {
    match bundle {
        Ok(octets) => octets.iter().all(|octet| *octet == 0),
        Err(error) => matches!(error, StoreError::NotFound { .. }),
    }
}

/// Whether a device was flashed or scrapped, as its claim says.
fn is_retired(store: &Store, chunk: u64, entry: &IndexEntry) -> bool {
    let object = claim_object(chunk, &entry.device_id);
    let Ok(octets) = store.read(&object, None) else {
        return false;
    };
    state(&octets, &object, entry).is_some_and(State::is_final)
}

/// What a claim says of a device; `None`: it does not read.
fn state(octets: &[u8], object: &str, entry: &IndexEntry) -> Option<State> {
    let claim = Claim::read(octets, object, &entry.device_id).ok()?;
    Some(claim.hold.state)
}

fn bundles(
    store: &Store,
    layout: Layout,
    chunk: u64,
    entries: &[&IndexEntry],
) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
    let object = |entry: &IndexEntry| layout.object(chunk, &entry.device_id);
    match layout.is_packed() {
        false => {
            let names: Vec<String> = entries.iter().map(|entry| object(entry)).collect();
            store.read_all(&names)
        }
        true if entries.len() >= WHOLE_PACK => {
            if let Ok(pack) = store.read(&object(entries[0]), Some(0..pack_octets(entries.iter().copied()))) {
                let cut = |entry: &&IndexEntry| {
                    let begin = usize::try_from(entry.offset).ok()?;
                    let end = begin.checked_add(usize::try_from(entry.length).ok()?)?;
                    Some(Zeroizing::new(pack.get(begin..end)?.to_vec()))
                };
                if let Some(bundles) = entries.iter().map(cut).collect::<Option<Vec<_>>>() {
                    return bundles.into_iter().map(Ok).collect();
                }
            }
            ranges(store, entries, object)
        }
        true => ranges(store, entries, object),
    }
}

fn ranges(
    store: &Store,
    entries: &[&IndexEntry],
    object: impl Fn(&IndexEntry) -> String,
) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
    let read = |entry: &&IndexEntry| {
        let range = entry.offset..entry.offset.saturating_add(entry.length);
        store.read(&object(entry), Some(range))
    };
    entries.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly_from_the_first_row_to_the_last() {
        for (sample, rows, expected) in [
            (Sample::Some(1), 10, vec![0]),
            (Sample::Some(2), 10, vec![0, 9]),
            (Sample::Some(4), 10, vec![0, 3, 6, 9]),
            (Sample::Some(20), 3, vec![0, 1, 2]),
            (Sample::All, 3, vec![0, 1, 2]),
            (Sample::All, 0, vec![]),
        ] {
            let found: Vec<u64> = (0..sample.size(rows)).map(|i| sample.row(i, rows)).collect();
            assert_eq!(found, expected, "{sample:?} of {rows}");
        }
    }
}
