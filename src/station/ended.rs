//! The devices that were flashed, or scrapped, as their claims say, with the facts of their certificates,
//! which follow from the seal.

use std::collections::BTreeSet;

use super::burn::read_claims;
use super::damaged::set_aside;
use super::{Cache, Damaged, SealedBatch, StationError};
use crate::batch::claim::{Claim, State};
use crate::batch::{ChunkCertificates, IndexEntry, certificates_object, index_object};
use crate::pem;
use crate::store::Store;

/// Claims that are read at a time.
const AT_A_TIME: usize = 256;

/// A device that was flashed or scrapped.
#[derive(Debug, Clone)]
pub struct Ended {
    pub entry: IndexEntry,
    pub claim: Claim,
    /// Its certificate, PEM; `None` when it was not asked for.
    pub certificate: Option<String>,
}

impl SealedBatch {
    /// Visits every device whose claim has ended so, in row order, and gives back what is damaged: a claim, an index
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
        for (chunk, claimed) in self.claimed(store, &mut damaged)? {
            let rows = self.index(store, cache, chunk);
            let Some(rows) = set_aside(&index_object(chunk), rows, &mut damaged)? else {
                continue;
            };
            let mut certificates = None;
            let rows: Vec<(usize, &IndexEntry)> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| claimed.contains(&row.device_id))
                .collect();
            for some in rows.chunks(AT_A_TIME) {
                let of_some: Vec<&IndexEntry> = some.iter().map(|(_, row)| *row).collect();
                let claims = read_claims(store, chunk, &of_some, &mut damaged)?;
                for ((i, row), claim) in some.iter().zip(claims) {
                    let Some(claim) = claim.filter(|claim| claim.hold.state == state) else {
                        continue;
                    };
                    let certificate = if with_certificates {
                        let object = certificates_object(chunk);
                        if certificates.is_none() {
                            let octets = store.read(&object, None).map_err(StationError::from);
                            let octets = set_aside(&object, octets, &mut damaged)?.unwrap_or_default();
                            certificates = Some(ChunkCertificates::read(&octets));
                        }
                        let found = certificates.as_ref().and_then(|found| found.of(*i, row));
                        let found = found.ok_or_else(|| StationError::Certificates {
                            object: object.clone(),
                            device_id: row.device_id.clone(),
                        });
                        let Some(found) = set_aside(&object, found, &mut damaged)? else {
                            continue;
                        };
                        Some(pem::encode(pem::CERTIFICATE, found))
                    } else {
                        None
                    };
                    visit(Ended {
                        entry: (*row).clone(),
                        claim,
                        certificate,
                    });
                }
            }
        }
        Ok(damaged)
    }
}
