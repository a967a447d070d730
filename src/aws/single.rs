//! Revocation of single certificates: those of a device that was stolen, or that stations scrapped. The ledger notes it
//! first, for revocation lists to come, and what it does not know is revoked by nobody.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use time::OffsetDateTime;

use super::call::AwsError;
use super::cloud::Cloud;
use super::revoke::{Condemned, Revocation, Revoked};
use super::withdraw::WithdrawError;
use crate::issuer::{CaCertificate, RevocationCode};
use crate::ledger::{Batch, Issued, Ledger};
use crate::pem;
use crate::store::Store;
use crate::vouched;

/// Certificates after which somebody may cancel it.
const AT_A_TIME: usize = 200;

/// Opens the store of a batch, if it can be reached: only there are certificates that AWS IoT does not know yet.
pub type OpenStore<'a> = &'a dyn Fn(&Batch) -> Option<Store>;

/// What became of a certificate at AWS IoT.
#[derive(Debug)]
pub enum Outcome {
    /// It was known, and is revoked now.
    Revoked,
    /// It was not known, and is known as revoked now: a device that shows it is refused.
    Registered,
    Failed(AwsError),
    /// Somebody cancelled it before.
    NotTried,
}

/// Notes certificates in the ledger as revoked.
///
/// # Errors
///
/// When the ledger cannot be written.
pub fn note_revoked(
    ledger: &mut dyn Ledger,
    certificates: &[Issued],
    (code, reason): (RevocationCode, &str),
    now: OffsetDateTime,
) -> Result<(), WithdrawError> {
    Ok(ledger.revoke(certificates, code, reason, now)?)
}

/// Revokes certificates in an account, and says of each what became of it, in their order. `observe` is told of each.
///
/// # Errors
///
/// When the ledger cannot be read. What AWS refuses is in the outcomes.
pub fn revoke_certificates(
    ledger: &dyn Ledger,
    certificates: &[Issued],
    (cloud, rate): (&Cloud, u32),
    open: OpenStore<'_>,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    observe: &(dyn Fn() + Sync),
) -> Result<Vec<Outcome>, WithdrawError> {
    let mut outcomes: Vec<Outcome> = certificates.iter().map(|_| Outcome::NotTried).collect();
    let mut of_batches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, issued) in certificates.iter().enumerate() {
        of_batches.entry(&issued.batch).or_default().push(place);
    }
    for (name, places) in of_batches {
        let batch = ledger.batch(name)?;
        let issuer = CaCertificate::from_der(&batch.issuer_certificate, Path::new(ledger.location()))?;
        let revocation = Revocation {
            cloud,
            ca: &issuer,
            rate,
        };
        let mut shelf = Shelf {
            store: open(&batch),
            chunk_rows: batch.chunk_rows,
            chunk: None,
            found: HashMap::new(),
        };
        for some in places.chunks(AT_A_TIME) {
            let condemned = some.iter().map(|place| shelf.condemned(&certificates[*place]));
            let answers = revocation.revoke(condemned.collect(), is_cancelled, observe);
            for (place, answer) in some.iter().zip(answers) {
                outcomes[*place] = match answer {
                    Ok(Revoked::Updated) => Outcome::Revoked,
                    Ok(Revoked::Registered) => Outcome::Registered,
                    Err(error) => Outcome::Failed(error),
                };
            }
            let is_hopeless = some
                .iter()
                .any(|place| matches!(&outcomes[*place], Outcome::Failed(error) if error.is_general()));
            if is_hopeless || is_cancelled() {
                return Ok(outcomes);
            }
        }
    }
    Ok(outcomes)
}

/// The certificates of a batch, a chunk at a time.
struct Shelf {
    store: Option<Store>,
    chunk_rows: u64,
    chunk: Option<u64>,
    found: HashMap<[u8; 32], Vec<u8>>,
}

impl Shelf {
    fn condemned(&mut self, issued: &Issued) -> Condemned {
        let chunk = issued.row / self.chunk_rows;
        if self.chunk != Some(chunk) {
            let of_chunk = |store| vouched::found(store, chunk);
            self.found = self.store.as_ref().map(of_chunk).unwrap_or_default();
            self.chunk = Some(chunk);
        }
        let certificate_id = issued.entry.certificate_id;
        let der = self.found.get(&certificate_id);
        Condemned {
            certificate_id,
            certificate: der.map(|der| pem::encode(pem::CERTIFICATE, der)),
        }
    }
}
