//! The devices that were flashed, or scrapped, as their claims say, with the facts of their certificates,
//! which follow from the seal.

use super::burn::read_claims;
use super::{Cache, SealedBatch, StationError};
use crate::batch::claim::{Claim, State};
use crate::batch::{ChunkCertificates, IndexEntry, certificates_object};
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
    /// Visits every device whose claim has ended so, in row order.
    ///
    /// # Errors
    ///
    /// When something cannot be read, or a certificate is not the one that was sealed.
    pub fn ended(
        &self,
        store: &Store,
        cache: &Cache,
        state: State,
        with_certificates: bool,
        visit: &mut dyn FnMut(Ended),
    ) -> Result<(), StationError> {
        for (chunk, claimed) in self.claimed(store)? {
            let rows = self.index(store, cache, chunk)?;
            let mut certificates = None;
            let rows: Vec<(usize, &IndexEntry)> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| claimed.contains(&row.device_id))
                .collect();
            for some in rows.chunks(AT_A_TIME) {
                let of_some: Vec<&IndexEntry> = some.iter().map(|(_, row)| *row).collect();
                for ((i, row), claim) in some.iter().zip(read_claims(store, chunk, &of_some)?) {
                    if claim.hold.state != state {
                        continue;
                    }
                    let certificate = if with_certificates {
                        let object = certificates_object(chunk);
                        if certificates.is_none() {
                            certificates = Some(ChunkCertificates::read(&store.read(&object, None)?));
                        }
                        let found = certificates.as_ref().and_then(|found| found.of(*i, row));
                        let found = found.ok_or_else(|| StationError::Certificates {
                            object,
                            device_id: row.device_id.clone(),
                        })?;
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
        Ok(())
    }
}
