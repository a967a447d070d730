//! The bundles of a sealed batch as one of its generations has them, as far as its seal vouches for them.

use std::sync::{Arc, Mutex, OnceLock};

use super::StationError;
use super::cache::Cache;
use crate::batch::{
    BATCH_OBJECT, BatchRecord, Device, GenerationFolder, IndexEntry, SHARED_OBJECT, index_object,
    lookup_object,
};
use crate::bundle::{Files, Opened, judge_shared, open_shared};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use crate::profile::Profile;
use crate::seal::{Generation, Seal, SealError};
use crate::store::{Store, StoreError};

/// The bundles of a batch as one generation has them.
#[derive(Debug)]
pub(super) struct Bundles {
    pub(super) generation: Generation,
    pub(super) record: BatchRecord,
    pub(super) profile: Profile,
    /// The index that was read last: a station stays with a chunk for long.
    last: Mutex<Option<(u64, Rows)>>,
    /// The files that all devices share, once they were read.
    shared: OnceLock<Files>,
}

/// The rows of an index.
pub(super) type Rows = Arc<Vec<IndexEntry>>;

/// The store as a generation has it, and what of it is remembered.
pub(super) struct Sight<'a> {
    pub(super) store: Store,
    cache: &'a Cache,
    folder: Option<&'a GenerationFolder>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(store: &Store, cache: &'a Cache, folder: Option<&'a GenerationFolder>) -> Self {
        let store = store.seen_as(folder);
        Self { store, cache, folder }
    }

    /// Reads an object from the cache, or from the store when the cache does not have it as it must be. Tells whether it
    /// was the cache.
    pub(super) fn recall<T>(
        &self,
        name: &str,
        parse: impl Fn(&[u8]) -> Result<T, SealError>,
    ) -> Result<(T, bool), StationError> {
        let kept = self
            .folder
            .map_or_else(|| name.to_owned(), |folder| folder.object(name));
        if let Some(octets) = self.cache.recall(&kept)
            && let Ok(parsed) = parse(&octets)
        {
            return Ok((parsed, true));
        }
        let octets = self.store.read(name, None)?;
        let parsed = parse(&octets)?;
        self.cache.keep(&kept, &octets);
        Ok((parsed, false))
    }
}

impl Bundles {
    pub(super) fn open(
        (store, cache): (&Store, &Cache),
        generation: Generation,
    ) -> Result<Self, StationError> {
        let sight = Sight::new(store, cache, generation.folder.as_ref());
        let (read, _) = sight.recall(BATCH_OBJECT, |octets| generation.seal.record(octets))?;
        Ok(Self {
            generation,
            record: read.record,
            profile: read.profile,
            last: Mutex::default(),
            shared: OnceLock::new(),
        })
    }

    pub(super) fn seal(&self) -> &Seal {
        &self.generation.seal
    }

    pub(super) fn sight<'a>(&'a self, store: &Store, cache: &'a Cache) -> Sight<'a> {
        Sight::new(store, cache, self.generation.folder.as_ref())
    }

    /// The devices of a chunk, in row order.
    pub(super) fn index(&self, store: &Store, cache: &Cache, chunk: u64) -> Result<Rows, StationError> {
        if let Some(rows) = self.last(|last| last == chunk) {
            return Ok(rows.1);
        }
        let name = index_object(chunk);
        let sight = self.sight(store, cache);
        let (rows, _) = sight.recall(&name, |octets| self.seal().index(chunk, octets))?;
        let rows = Rows::new(rows);
        *self.last.lock().expect("no holder panics") = Some((chunk, rows.clone()));
        Ok(rows)
    }

    /// The index that was read last, if it is of the right chunk.
    fn last(&self, is_right: impl Fn(u64) -> bool) -> Option<(u64, Rows)> {
        let last = self.last.lock().expect("no holder panics");
        last.clone().filter(|(chunk, _)| is_right(*chunk))
    }

    /// A device by its id.
    pub(super) fn find(
        &self,
        store: &Store,
        cache: &Cache,
        device_id: &DeviceId,
    ) -> Result<Option<Device>, StationError> {
        let find = |chunk, rows: &Rows| {
            let entry = rows.iter().find(|entry| entry.device_id == *device_id)?;
            let entry = entry.clone();
            Some(Device { chunk, entry })
        };
        let last = self.last(|_| true);
        if let Some(device) = last.and_then(|(chunk, rows)| find(chunk, &rows)) {
            return Ok(Some(device));
        }
        let part = self.seal().part_of(device_id);
        let sight = self.sight(store, cache);
        let (candidates, _) = sight.recall(&lookup_object(part), |octets| {
            self.seal().candidates(part, octets, device_id)
        })?;
        for chunk in candidates.0 {
            if let Some(device) = find(chunk, &self.index(store, cache, chunk)?) {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }
}

impl Bundles {
    /// The files that all devices share, which are read once. `device_id`: who is to get them.
    pub(super) fn shared(
        &self,
        sight: &Sight<'_>,
        issuer: &CaCertificate,
        device_id: &DeviceId,
    ) -> Result<&Files, StationError> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        let recipe = self.profile.recipe();
        if recipe.shared().is_empty() {
            return Ok(self.shared.get_or_init(Files::new));
        }
        let refused = |faults: String| StationError::Bundle {
            device_id: device_id.clone(),
            object: SHARED_OBJECT.to_owned(),
            faults,
            is_of_time: false,
        };
        let read = sight.recall(SHARED_OBJECT, |octets| {
            self.seal().check_shared(octets)?;
            Ok(octets.to_vec())
        });
        let (octets, _) = match read {
            Err(StationError::Store(StoreError::NotFound { .. })) => {
                return Err(refused("it is missing".to_owned()));
            }
            other => other?,
        };
        let faults = judge_shared(&octets, recipe, &self.profile.shared(issuer.der()));
        if !faults.is_empty() {
            return Err(refused(faults.join("; ")));
        }
        let opened = open_shared(&octets, &sha256(&octets), recipe);
        let opened = opened.map_err(|error| refused(error.to_string()))?;
        Ok(self
            .shared
            .get_or_init(|| opened.into_iter().map(Opened::into_named).collect()))
    }
}
