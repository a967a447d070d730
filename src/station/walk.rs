//! The walk: which device a station asks for next, when any will do.
//!
//! Each station goes through the chunks in an order of its own, so that of many stations hardly two are
//! in the same chunk, and within a chunk it draws at random. What is known to be claimed is left out;
//! what turns out to be claimed shows that the chunk is shared, and then it is listed before each claim.

use std::collections::{BTreeSet, HashSet};

use super::StationError;
use crate::batch::{CLAIMS, IndexEntry, device_of};
use crate::digest::sha256_start;
use crate::engine::Random;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

/// Where a station is on its way through a batch.
#[derive(Debug)]
pub(super) struct Walk {
    /// Chunks of which something may be left, the next one last.
    chunks: Vec<u64>,
    here: Option<Here>,
    /// Devices in the place of whose claim something else is.
    avoided: HashSet<DeviceId>,
}

/// What is known of the chunk in which the station is.
#[derive(Debug)]
struct Here {
    chunk: u64,
    /// Ids of devices that are claimed.
    taken: HashSet<DeviceId>,
    /// Whether other stations claim here too.
    is_shared: bool,
}

impl Walk {
    pub(super) fn new(station: &str, chunks: u64, full: &BTreeSet<u64>) -> Self {
        let mut order: Vec<([u8; 8], u64)> = (0..chunks)
            .filter(|chunk| !full.contains(chunk))
            .map(|chunk| (sha256_start(format!("{station}/{chunk}").as_bytes()), chunk))
            .collect();
        order.sort_unstable();
        Self {
            chunks: order.into_iter().map(|(_, chunk)| chunk).collect(),
            here: None,
            avoided: HashSet::new(),
        }
    }

    /// The chunk to claim from; `None` when nothing is left.
    pub(super) fn chunk(&self) -> Option<u64> {
        self.chunks.last().copied()
    }

    /// Puts the chunk behind all others: nothing can be claimed from it for now.
    pub(super) fn put_off(&mut self) {
        self.chunks.rotate_right(1);
        self.here = None;
    }

    /// A device of the chunk that nobody is known to have; `None` when all are taken, and then the chunk
    /// is left for good, or put off when some are avoided.
    pub(super) fn draw<'a>(
        &mut self,
        store: &Store,
        chunk: u64,
        rows: &'a [IndexEntry],
    ) -> Result<Option<&'a IndexEntry>, StationError> {
        if self
            .here
            .as_ref()
            .is_none_or(|here| here.chunk != chunk || here.is_shared)
        {
            let is_shared = self.here.as_ref().is_some_and(|here| here.chunk == chunk);
            self.here = Some(Here {
                chunk,
                taken: taken(store, chunk)?,
                is_shared,
            });
        }
        let known = self.here.as_ref().map(|here| &here.taken);
        let free: Vec<&IndexEntry> = rows
            .iter()
            .filter(|row| known.is_none_or(|taken| !taken.contains(&row.device_id)))
            .filter(|row| !self.avoided.contains(&row.device_id))
            .collect();
        if free.is_empty() {
            match self.avoids_any(rows) {
                true => self.put_off(),
                false => drop(self.chunks.pop()),
            }
            self.here = None;
            return Ok(None);
        }
        Ok(Some(free[below(free.len())?]))
    }

    /// A device of this chunk is the station's own now.
    pub(super) fn claimed(&mut self, device_id: &DeviceId) {
        if let Some(here) = &mut self.here {
            here.taken.insert(device_id.clone());
        }
    }

    /// A device turned out to be another's.
    pub(super) fn collided(&mut self, device_id: &DeviceId) {
        if let Some(here) = &mut self.here {
            here.taken.insert(device_id.clone());
            here.is_shared = true;
        }
    }

    /// Something that is no claim is in the place of one, and a listing need not show it.
    pub(super) fn avoid(&mut self, device_id: &DeviceId) {
        self.collided(device_id);
        self.avoided.insert(device_id.clone());
    }

    /// From now on none is avoided.
    pub(super) fn avoid_none(&mut self) {
        self.avoided.clear();
    }

    /// Whether there is such a one among these.
    pub(super) fn avoids_any(&self, rows: &[IndexEntry]) -> bool {
        !self.avoided.is_empty() && rows.iter().any(|row| self.avoided.contains(&row.device_id))
    }
}

/// The devices of a chunk that somebody has claimed.
fn taken(store: &Store, chunk: u64) -> Result<HashSet<DeviceId>, StationError> {
    let mut taken = HashSet::new();
    let listed = store.list(&format!("{CLAIMS}{chunk:06}/"), &mut |listed| {
        if let Some((_, device_id)) = device_of(&listed.name, CLAIMS) {
            taken.insert(device_id.clone());
        }
    });
    match listed {
        // A folder among the claims is none.
        Err(StoreError::Unlisted { .. }) => Ok(taken),
        other => Ok(other.map(|()| taken)?),
    }
}

/// A random number below a bound.
fn below(bound: usize) -> Result<usize, StationError> {
    let mut octets = [0; 8];
    Random.fill(&mut octets)?;
    // The bias is one in 2^50 for chunks as large as can be.
    let drawn = u64::from_le_bytes(octets) % bound as u64;
    Ok(usize::try_from(drawn).expect("below a usize"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_spread_over_the_chunks() {
        let first: HashSet<u64> = (0..100)
            .filter_map(|i| Walk::new(&format!("line7-st{i}"), 1000, &BTreeSet::new()).chunk())
            .collect();
        assert!(first.len() > 85, "{} chunks for 100 stations", first.len());
        let walk = Walk::new("st1", 3, &BTreeSet::from([0, 2]));
        assert_eq!(walk.chunks, [1]);
    }
}
