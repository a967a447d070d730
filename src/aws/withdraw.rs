//! Withdrawal, as far as AWS takes part: every certificate of a batch is revoked, once in each account and Region,
//! from the first on, however often it is interrupted.
//!
//! What is revoked is what the ledger has: a store that was tampered with revokes nobody else. The ledger notes
//! how far it is, and nothing behind the mark is left out.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cloud::Cloud;
use super::revoke::{Condemned, Revocation, Revoked};
use crate::jitp::{Issued, IssuedError};
use crate::ledger::{Batch, Ledger, LedgerError};
use crate::manifest::DeviceId;
use crate::pem;

/// Certificates after which the ledger notes how far it is.
const AT_A_TIME: usize = 200;

/// A batch whose certificates are to be revoked.
#[derive(Clone, Copy)]
pub struct Withdrawing<'a> {
    pub cloud: &'a Cloud,
    pub batch: &'a Batch,
    pub issued: &'a Issued<'a>,
    /// Certificates a second, at most.
    pub rate: u32,
}

/// What became of the certificates, in this run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Known before, and revoked now.
    pub updated: u64,
    /// Not known before, and known as revoked now.
    pub registered: u64,
    pub failed: u64,
    /// Those of chunks that are not released.
    pub unreleased: u64,
    /// From the first on, in manifest order, over all runs.
    pub mark: u64,
    /// The first that failed, and why.
    pub first_failure: Option<String>,
}

/// A withdrawal that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Issued(#[from] IssuedError),
}

impl Withdrawing<'_> {
    /// Revokes what is not yet revoked here. `observe` is told of so many rows more.
    ///
    /// A certificate that fails keeps the mark where it is, so that the next run tries it again, and so does a
    /// chunk that is not released: another shard may be at it still.
    ///
    /// # Errors
    ///
    /// When ledger or store cannot be read. What AWS refuses is in the tally.
    pub fn revoke(
        &self,
        ledger: &mut Ledger,
        stop: &AtomicBool,
        observe: &(dyn Fn(u64) + Sync),
    ) -> Result<Tally, WithdrawError> {
        let place = self.cloud.caller().place();
        let record = self.issued.record();
        let revocation = Revocation {
            cloud: self.cloud,
            ca: self.issued.issuer(),
            rate: self.rate,
        };
        let mut row = ledger.revoked(self.batch, &place)?;
        let mut tally = Tally {
            mark: row,
            ..Tally::default()
        };
        for chunk in row / record.chunk_rows..record.shape().chunks() {
            let end = chunk * record.chunk_rows + record.shape().rows_of(chunk);
            let Some(certificates) = self.certificates(ledger, chunk)? else {
                // What was never released is in no station's hands, and no run begins with it any more.
                tally.unreleased += record.shape().rows_of(chunk);
                observe(end - row);
                row = end;
                continue;
            };
            let skipped = usize::try_from(row - chunk * record.chunk_rows).unwrap_or(usize::MAX);
            let mut rest = certificates.into_iter().skip(skipped).peekable();
            while rest.peek().is_some() {
                let some = rest.by_ref().take(AT_A_TIME);
                let (ids, some): (Vec<DeviceId>, Vec<Condemned>) = some.unzip();
                let outcomes = revocation.revoke(some, stop, &|| observe(1));
                // Fewer when somebody stopped it.
                row += outcomes.len() as u64;
                let mut is_hopeless = false;
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Revoked::Updated) => tally.updated += 1,
                        Ok(Revoked::Registered) => tally.registered += 1,
                        Err(error) => {
                            is_hopeless |= error.is_general();
                            tally.failed += 1;
                            tally
                                .first_failure
                                .get_or_insert_with(|| format!("device {id}: {error}"));
                        }
                    }
                }
                if tally.failed == 0 && tally.unreleased == 0 {
                    ledger.set_revoked(self.batch, &place, row)?;
                    tally.mark = row;
                }
                if is_hopeless || stop.load(Ordering::Relaxed) {
                    return Ok(tally);
                }
            }
        }
        Ok(tally)
    }

    /// The certificates of a chunk, each with its device, as the ledger has them; as the index has them when
    /// another shard's ledger accounts for the chunk. `None`: the chunk was never released.
    fn certificates(
        &self,
        ledger: &Ledger,
        chunk: u64,
    ) -> Result<Option<Vec<(DeviceId, Condemned)>>, WithdrawError> {
        let mut entries = ledger.entries(self.batch, chunk)?;
        if entries.is_empty() {
            entries = match self.issued.entries(chunk) {
                Err(IssuedError::Incomplete { .. }) => return Ok(None),
                other => other?,
            };
        }
        let mut found = self.issued.found(chunk);
        let condemned = entries.into_iter().map(|entry| {
            let der = found.remove(&entry.certificate_id);
            let condemned = Condemned {
                certificate_id: entry.certificate_id,
                certificate: der.map(|der| pem::encode(pem::CERTIFICATE, &der)),
            };
            (entry.device_id, condemned)
        });
        Ok(Some(condemned.collect()))
    }
}
