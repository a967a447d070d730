//! The devices that were flashed, or scrapped, with the facts of their certificates, which are the seal's.

use std::collections::BTreeMap;

use super::{Cache, Record, SealedBatch, StationError};
use crate::pem;
use crate::store::{IndexEntry, Store, certificates_object, device_of};

/// A device that was flashed or scrapped.
#[derive(Debug, Clone)]
pub struct Ended {
    pub entry: IndexEntry,
    /// What the station wrote of it.
    pub record: Record,
    /// Its certificate, PEM; `None` when it was not asked for.
    pub certificate: Option<String>,
}

impl SealedBatch {
    /// Visits every device that has a record in a folder: [`crate::store::FLASHED`] or
    /// [`crate::store::SCRAPPED`], in row order.
    ///
    /// # Errors
    ///
    /// When something cannot be read.
    pub fn ended(
        &self,
        store: &dyn Store,
        cache: &Cache,
        folder: &str,
        with_certificates: bool,
        visit: &mut dyn FnMut(Ended),
    ) -> Result<(), StationError> {
        let mut chunks: BTreeMap<u64, Vec<(String, String)>> = BTreeMap::new();
        store.list(folder, &mut |listed| {
            if let Some((chunk, device_id)) = device_of(&listed.name, folder) {
                let device_id = device_id.to_owned();
                chunks.entry(chunk).or_default().push((device_id, listed.name));
            }
        })?;
        for (chunk, devices) in chunks {
            let names: Vec<String> = devices.iter().map(|(_, name)| name.clone()).collect();
            let mut records = BTreeMap::new();
            for ((device_id, name), octets) in devices.into_iter().zip(store.read_all(&names)) {
                let record: Record =
                    serde_json::from_slice(&octets?).map_err(|_| StationError::NoClaim { object: name })?;
                records.insert(device_id, record);
            }
            let certificates = match with_certificates {
                true => certificates(&store.read(&certificates_object(chunk), None)?),
                false => Vec::new(),
            };
            let rows = self.index(store, cache, chunk)?;
            for (i, row) in rows.into_iter().enumerate() {
                if let Some(record) = records.remove(&row.entry.device_id) {
                    visit(Ended {
                        entry: row.entry,
                        record,
                        certificate: certificates.get(i).cloned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The certificates of a chunk, in row order.
fn certificates(text: &[u8]) -> Vec<String> {
    let blocks = pem::blocks(&String::from_utf8_lossy(text)).unwrap_or_default();
    blocks
        .iter()
        .map(|block| pem::encode(pem::CERTIFICATE, &block.der))
        .collect()
}
