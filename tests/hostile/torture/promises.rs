//! What holds at every moment, whatever was killed and whatever failed; and what holds in the end.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use certforge::batch::claim::{Claim, Hold};
use certforge::batch::{
    CLAIMS, INDEXES, IndexEntry, Layout, Shape, chunk_of, device_of, index_object, read_index,
};
use certforge::bundle;
use certforge::digest::sha256;
use certforge::ledger;
use certforge::manifest::DeviceId;
use certforge::pem;
use certforge::profile::Profile;

use super::place::{BATCH, Place};

/// What is known of a batch, and must stay so.
pub struct Promises {
    layout: Layout,
    shape: Shape,
    /// What was seen to be released.
    released: BTreeMap<DeviceId, (u64, IndexEntry)>,
}

impl Promises {
    pub fn new(layout: Layout, shape: Shape) -> Self {
        Self {
            layout,
            shape,
            released: BTreeMap::new(),
        }
    }

    /// Holds what is released now against what was released before, against the ledgers, and against the bundles of
    /// one chunk in `sampled`. Returns how many devices are released.
    pub fn hold(&mut self, place: &Place, ledgers: &[PathBuf], sampled: u64) -> usize {
        let issued = issued(ledgers);
        let mut chunks = Vec::new();
        place
            .store
            .list(INDEXES, &mut |listed| chunks.extend(chunk_of(&listed.name)))
            .unwrap();
        let mut now = BTreeMap::new();
        for chunk in chunks {
            let index = place.store.read(&index_object(chunk), None).unwrap();
            let entries = read_index(&index, chunk, self.shape, self.layout).expect("an index is whole");
            for entry in entries {
                assert_eq!(
                    issued.get(&entry.device_id),
                    Some(&entry),
                    "{} is released, so it is in its ledger",
                    entry.device_id
                );
                if chunk % sampled == sampled - 1 {
                    self.bundle(place, chunk, &entry);
                }
                let device_id = entry.device_id.clone();
                let twice = now.insert(device_id.clone(), (chunk, entry));
                assert!(twice.is_none(), "{device_id} is released twice");
            }
        }
        for (device_id, released) in &self.released {
            assert_eq!(
                now.get(device_id),
                Some(released),
                "{device_id} was released so, and stays so"
            );
        }
        self.released = now;
        self.released.len()
    }

    fn bundle(&self, place: &Place, chunk: u64, entry: &IndexEntry) -> Vec<u8> {
        let object = self.layout.object(chunk, &entry.device_id);
        let octets = place
            .store
            .read(&object, Some(entry.offset..entry.offset + entry.length))
            .unwrap();
        assert_eq!(
            sha256(&octets),
            entry.sha256,
            "{} is released, so it is whole",
            entry.device_id
        );
        octets.to_vec()
    }

    /// That every row has its bundle, each with a key and a certificate of its own. `keys` has all that there ever were.
    pub fn hold_complete(&self, place: &Place, keys: &mut HashSet<[u8; 32]>) {
        let rows: BTreeSet<_> = manifest(place);
        assert!(
            self.released.keys().eq(rows.iter()),
            "no row is missing, and there is no other"
        );
        let profile = Profile::load("aws-iot-p256", None).unwrap();
        for (device_id, (chunk, entry)) in &self.released {
            let octets = self.bundle(place, *chunk, entry);
            let files =
                bundle::open(&octets, &entry.sha256, profile.recipe(), entry.device_id.as_str()).unwrap();
            let der = |name: &str| {
                let file = files.iter().find(|file| file.member.name() == name).unwrap();
                let text = std::str::from_utf8(&file.octets).unwrap();
                pem::blocks(text).unwrap().remove(0).der
            };
            assert_eq!(sha256(&der("certificate.pem.crt")), entry.certificate_id);
            assert!(
                keys.insert(sha256(&der("private.pem.key"))),
                "the key of {device_id} is another's as well"
            );
        }
    }

    /// That what stations unpacked was the device's that they asked for: whose there were, each time.
    pub fn hold_unpacked(&self, folder: &Path) -> Vec<DeviceId> {
        let mut unpacked = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let device_id = DeviceId::parse(name.split('.').next().unwrap()).unwrap();
            let file = if path.is_dir() {
                path.join("certificate.pem.crt")
            } else {
                path.clone()
            };
            // A kill came before the file was whole.
            let Some(der) = std::fs::read(file)
                .ok()
                .and_then(|octets| pem::certificates(&octets).pop())
            else {
                continue;
            };
            let (_, entry) = &self.released[&device_id];
            assert_eq!(
                sha256(&der),
                entry.certificate_id,
                "{device_id} got its own bundle"
            );
            unpacked.push(device_id);
        }
        unpacked
    }
}

/// Who had each device, and what became of it.
pub fn claims(place: &Place) -> BTreeMap<DeviceId, Hold> {
    let mut names = Vec::new();
    place
        .store
        .list(CLAIMS, &mut |listed| names.push(listed.name))
        .unwrap();
    let read = |name: &String| {
        let (_, device_id) = device_of(name, CLAIMS)?;
        let claim = Claim::read(&place.store.read(name, None).unwrap(), name, &device_id).unwrap();
        Some((device_id, claim.hold))
    };
    names.iter().filter_map(read).collect()
}

/// What all ledgers have committed of the batch: no device in two of them.
fn issued(ledgers: &[PathBuf]) -> BTreeMap<DeviceId, IndexEntry> {
    let mut issued = BTreeMap::new();
    for path in ledgers.iter().filter(|path| path.exists()) {
        // Killed before it had tables.
        let Ok(ledger) = ledger::open_read_only(path) else {
            continue;
        };
        let Some(batch) = ledger.find_batch(BATCH).unwrap() else {
            continue;
        };
        for (chunk, _) in ledger.committed(&batch).unwrap() {
            for entry in ledger.entries(&batch, chunk).unwrap() {
                let twice = issued.insert(entry.device_id.clone(), entry);
                assert!(
                    twice.is_none(),
                    "{:?} was issued twice",
                    twice.map(|twice| twice.device_id)
                );
            }
        }
    }
    issued
}

fn manifest(place: &Place) -> BTreeSet<DeviceId> {
    let text = std::fs::read_to_string(place.workplace.join("devices.csv")).unwrap();
    let ids = text.lines().skip(1).map(|line| line.split(',').next().unwrap());
    ids.map(|id| DeviceId::parse(id).unwrap()).collect()
}
