//! The devices that were flashed, or scrapped, as their claims say, with the facts of their certificates,
//! which follow from the seal.

use super::burn::read_claims;
use super::{Cache, SealedBatch, StationError};
use crate::batch::claim::{Claim, State};
use crate::batch::{IndexEntry, IndexRow, certificates_object};
use crate::digest::sha256;
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
        store: &dyn Store,
        cache: &Cache,
        state: State,
        with_certificates: bool,
        visit: &mut dyn FnMut(Ended),
    ) -> Result<(), StationError> {
        for (chunk, claimed) in self.claimed(store)? {
            let rows = self.index(store, cache, chunk)?;
            let mut certificates = None;
            let rows: Vec<(usize, &IndexRow)> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| claimed.contains(&row.entry.device_id))
                .collect();
            for some in rows.chunks(AT_A_TIME) {
                let of_some: Vec<&IndexRow> = some.iter().map(|(_, row)| *row).collect();
                for ((i, row), claim) in some.iter().zip(read_claims(store, chunk, &of_some)?) {
                    if claim.hold.state != state {
                        continue;
                    }
                    let certificate = if with_certificates {
                        if certificates.is_none() {
                            certificates = Some(store.read(&certificates_object(chunk), None)?);
                        }
                        let text = certificates.as_ref().map_or(&[][..], |text| text.as_slice());
                        Some(certificate(chunk, text, *i, &row.entry)?)
                    } else {
                        None
                    };
                    visit(Ended {
                        entry: row.entry.clone(),
                        claim,
                        certificate,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The certificate of a row, once it is seen to be the one that the index names.
fn certificate(chunk: u64, text: &[u8], i: usize, entry: &IndexEntry) -> Result<String, StationError> {
    let blocks = pem::blocks(&String::from_utf8_lossy(text)).unwrap_or_default();
    blocks
        .get(i)
        .filter(|block| sha256(&block.der) == entry.certificate_id)
        .map(|block| pem::encode(pem::CERTIFICATE, &block.der))
        .ok_or_else(|| StationError::Certificates {
            object: certificates_object(chunk),
            device_id: entry.device_id.clone(),
        })
}
