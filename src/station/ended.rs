//! Devices whose end is known: those to revoke, and those to account for. A claim tells the end of its device, and so does
//! a record, which no station can write over: what one of them calls scrapped or flashed, was. Which certificate a device has,
//! and that it is this one, follow from the seal.

use std::collections::BTreeSet;

use super::burn::{ByChunk, read_claims};
use super::damaged::set_aside;
use super::{Cache, Damaged, Device, Record, SealedBatch, StationError};
use crate::batch::claim::{Claim, State};
use crate::batch::{
    CLAIMS, ChunkCertificates, FLASHED, IndexEntry, SCRAPPED, certificates_object, flashed_object,
    index_object, scrapped_object,
};
use crate::manifest::DeviceId;
use crate::pem;
use crate::store::Store;

/// Claims that are read at a time.
const AT_A_TIME: usize = 256;

/// A device that was flashed or scrapped.
#[derive(Debug, Clone)]
pub struct Ended {
    pub entry: IndexEntry,
    /// How: as it is recorded, or would be.
    pub record: Record,
    /// Its certificate, PEM; `None` when it was not asked for.
    pub certificate: Option<String>,
}

/// Devices of which something is told, each by its chunk.
struct Told {
    claims: ByChunk,
    flashed: ByChunk,
    scrapped: ByChunk,
}

impl Told {
    fn chunks(&self) -> BTreeSet<u64> {
        let all = [&self.claims, &self.flashed, &self.scrapped];
        all.into_iter().flat_map(ByChunk::keys).copied().collect()
    }

    /// The end of a device that has this claim.
    fn end(&self, chunk: u64, device_id: &DeviceId, claim: Option<&Claim>) -> Option<State> {
        let claimed = claim.map(|claim| claim.hold.state);
        let ends = [(State::Scrapped, &self.scrapped), (State::Flashed, &self.flashed)];
        let end = ends
            .into_iter()
            .find(|(end, recorded)| claimed == Some(*end) || is_in(recorded, chunk, device_id));
        end.map(|(end, _)| end)
    }
}

fn is_in(devices: &ByChunk, chunk: u64, device_id: &DeviceId) -> bool {
    devices
        .get(&chunk)
        .is_some_and(|devices| devices.contains(device_id))
}

impl SealedBatch {
    /// Visits every device that has ended so, in row order, and gives back what is damaged: a claim, a record, an index
    /// or a certificate, whose device is not visited.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn ended(
        &self,
        store: &Store,
        cache: &Cache,
        state: State,
        with_certificates: bool,
        visit: &mut dyn FnMut(Ended),
    ) -> Result<BTreeSet<Damaged>, StationError> {
        let mut damaged = BTreeSet::new();
        let told = Told {
            claims: self.devices_in(CLAIMS, store, &mut damaged)?,
            flashed: self.devices_in(FLASHED, store, &mut damaged)?,
            scrapped: self.devices_in(SCRAPPED, store, &mut damaged)?,
        };
        for chunk in told.chunks() {
            let rows = self.index(store, cache, chunk);
            let Some(rows) = set_aside(&index_object(chunk), rows, &mut damaged)? else {
                continue;
            };
            let mut certificates = None;
            for (row, record) in records(store, &told, state, chunk, &rows, &mut damaged)? {
                let entry = &rows[row];
                let certificate = match with_certificates {
                    true => match certificate(store, chunk, (row, entry), &mut certificates, &mut damaged)? {
                        None => continue,
                        found => found,
                    },
                    false => None,
                };
                visit(Ended {
                    entry: entry.clone(),
                    record,
                    certificate,
                });
            }
        }
        Ok(damaged)
    }
}

/// The devices of a chunk that have ended so, by their rows.
fn records(
    store: &Store,
    told: &Told,
    state: State,
    chunk: u64,
    rows: &[IndexEntry],
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Vec<(usize, Record)>, StationError> {
    let mut claims: Vec<Option<Claim>> = vec![None; rows.len()];
    let claimed = (0..rows.len()).filter(|row| is_in(&told.claims, chunk, &rows[*row].device_id));
    for some in claimed.collect::<Vec<_>>().chunks(AT_A_TIME) {
        let of_some: Vec<&IndexEntry> = some.iter().map(|row| &rows[*row]).collect();
        for (row, claim) in some.iter().zip(read_claims(store, chunk, &of_some, damaged)?) {
            claims[*row] = claim;
        }
    }
    let mut records = Vec::new();
    for (row, (entry, claim)) in rows.iter().zip(claims).enumerate() {
        let device_id = &entry.device_id;
        if told.end(chunk, device_id, claim.as_ref()) != Some(state) {
            continue;
        }
        let record = match claim.filter(|claim| claim.hold.state == state) {
            Some(claim) => {
                let entry = entry.clone();
                Some(Record::of(&claim, &Device { chunk, entry }))
            }
            None => read_record(store, state, chunk, device_id, damaged)?,
        };
        records.extend(record.map(|record| (row, record)));
    }
    Ok(records)
}

/// The record that a device was flashed, or scrapped.
fn read_record(
    store: &Store,
    state: State,
    chunk: u64,
    device_id: &DeviceId,
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Option<Record>, StationError> {
    let object = match state {
        State::Flashed => flashed_object(chunk, device_id),
        _ => scrapped_object(chunk, device_id),
    };
    let octets = store.read(&object, None).map_err(StationError::from);
    let record = octets.and_then(|octets| Ok(Record::read(&octets, &object, device_id)?));
    set_aside(&object, record, damaged)
}

/// The certificate of a row, PEM, if the chunk has it. `certificates`: those of the chunk, once they are read.
fn certificate(
    store: &Store,
    chunk: u64,
    (row, entry): (usize, &IndexEntry),
    certificates: &mut Option<ChunkCertificates>,
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Option<String>, StationError> {
    let object = certificates_object(chunk);
    if certificates.is_none() {
        let octets = store.read(&object, None).map_err(StationError::from);
        let octets = set_aside(&object, octets, damaged)?.unwrap_or_default();
        *certificates = Some(ChunkCertificates::read(&octets));
    }
    let found = certificates.as_ref().and_then(|found| found.of(row, entry));
    let found = found.ok_or_else(|| StationError::Certificates {
        object: object.clone(),
        device_id: entry.device_id.clone(),
    });
    Ok(set_aside(&object, found, damaged)?.map(|found| pem::encode(pem::CERTIFICATE, found)))
}
