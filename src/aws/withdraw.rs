//! Withdrawal of a batch that must never come up: no station gives out a device of it any more, AWS IoT takes no new
//! device of its CA, and every certificate of it is revoked, once in each account and Region, from the first on,
//! however often it is interrupted.
//!
//! What is revoked is what the ledger has, and of chunks that another shard made what the issuer has signed for: a store
//! that was tampered with revokes nobody else, and keeps nobody from revoking. The ledger notes how far it is, and nothing
//! behind the mark is left out.

use std::collections::HashMap;
use std::path::Path;

use time::OffsetDateTime;

use super::call::AwsError;
use super::cloud::Cloud;
use super::revoke::{Condemned, Revocation, Revoked};
use crate::batch::WithdrawnRecord;
use crate::causes::in_one_line;
use crate::issuer::{CaCertificate, IssuerError};
use crate::ledger::{Batch, Ledger, LedgerError};
use crate::manifest::DeviceId;
use crate::pem;
use crate::profile::rfc3339;
use crate::seal::Trust;
use crate::store::{Store, StoreError, is_location, put_withdrawn};
use crate::vouched::{self, Stated, VouchedError};

/// Certificates after which the ledger notes how far it is.
const AT_A_TIME: usize = 200;

/// A batch that is to be withdrawn, as the ledger has it and as it lies in its store.
pub struct Withdrawing<'a> {
    ledger: &'a mut dyn Ledger,
    batch: &'a Batch,
    store: &'a Store,
    issuer: CaCertificate,
    /// What lies in the store; why it cannot be told, where the batch was named by its name in the ledger.
    stated: Result<Stated<'a>, VouchedError>,
}

/// How somebody named a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// By its name in the ledger, which says where it is: whatever lies there, this batch is meant.
    InLedger,
    /// By the place where it lies.
    Place {
        /// Somebody knows that it was moved, and is no copy.
        moved: bool,
    },
}

/// On what terms a batch is withdrawn.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Stations show it.
    pub reason: &'a str,
    /// Certificates a second, at most.
    pub rate: u32,
    /// Whether AWS IoT goes on to register devices of the CA by themselves, for other batches.
    pub keep_auto_registration: bool,
    pub now: OffsetDateTime,
}

/// What a withdrawal has before it in an account.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Certificates that are revoked there already, from the first on.
    pub revoked_before: u64,
    /// Batches whose new devices are refused as well while auto-registration is off.
    pub other_batches_of_the_ca: Vec<String>,
}

/// What became of the certificates, in this run.
#[derive(Debug, Default)]
pub struct RevocationSummary {
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
    /// Why stations may claim it still, or what is odd in its store.
    pub store_fault: Option<String>,
}

/// A withdrawal that cannot begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Batch(#[from] VouchedError),
    #[error("the ledger has no usable issuer certificate")]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("{location} is not batch {batch} of the ledger")]
    OtherBatch { location: String, batch: String },
    #[error("batch {batch} was made at {made_at}, and {location} may be a copy of it")]
    MayBeCopy {
        batch: String,
        made_at: String,
        location: String,
    },
    #[error("the CA is not registered in account {account}, {region}")]
    NotRegistered { account: String, region: String },
}

impl WithdrawError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Ledger(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Batch(error) => return error.hint(),
            Self::Issuer(error) => return error.hint(),
            Self::Aws(error) => return error.hint(),
            Self::OtherBatch { .. } => "name the ledger that the batch was made with, with --ledger",
            Self::MayBeCopy { .. } => {
                "name it by its name in the ledger; --moved says that it was moved, and is no copy"
            }
            Self::NotRegistered { .. } => {
                "name the Region with --region; when it is registered nowhere, --stations-only is all there is to do"
            }
        };
        Some(text.to_owned())
    }
}

impl<'a> Withdrawing<'a> {
    /// Opens a batch of the ledger, to withdraw it. Where it was named by a place, sees that it lies there and is no copy.
    ///
    /// # Errors
    ///
    /// When it does not, or cannot be read.
    pub fn open(
        ledger: &'a mut dyn Ledger,
        batch: &'a Batch,
        store: &'a Store,
        named: Named,
    ) -> Result<Self, WithdrawError> {
        let issuer = CaCertificate::from_der(&batch.issuer_certificate, Path::new(ledger.location()))?;
        let opened = Stated::open(store, &Trust::Id(issuer.id()));
        let (name, location) = (&batch.name, store.location());
        let stated = opened.and_then(|stated| match stated.record().batch == *name {
            true => Ok(stated),
            false => Err(VouchedError::OtherBatch {
                location: location.clone(),
                found: stated.record().batch.clone(),
                asked: name.clone(),
                ledger: ledger.location().to_owned(),
            }),
        });
        let withdrawing = |stated| Self {
            ledger,
            batch,
            store,
            issuer,
            stated,
        };
        match (named, stated) {
            (Named::InLedger, stated) => Ok(withdrawing(stated)),
            (
                Named::Place { .. },
                Err(VouchedError::OtherBatch { .. } | VouchedError::OtherIssuer { .. }),
            ) => Err(WithdrawError::OtherBatch {
                location,
                batch: name.clone(),
            }),
            (Named::Place { .. }, Err(error)) => Err(error.into()),
            (Named::Place { moved }, Ok(_)) if !is_location(&batch.location, &location) && !moved => {
                Err(WithdrawError::MayBeCopy {
                    batch: name.clone(),
                    made_at: batch.location.clone(),
                    location,
                })
            }
            (Named::Place { .. }, Ok(stated)) => Ok(withdrawing(Ok(stated))),
        }
    }

    /// How many certificates the batch has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.batch.rows
    }

    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    /// What is odd in the store, as far as anybody has looked.
    #[must_use]
    pub fn store_fault(&self) -> Option<String> {
        self.stated.as_ref().err().map(|error| in_one_line(error))
    }

    /// What is before it in an account; changes nothing.
    ///
    /// # Errors
    ///
    /// When the CA is not registered there, or AWS or the ledger cannot be read.
    pub fn outlook(&self, cloud: &Cloud) -> Result<Outlook, WithdrawError> {
        let (caller, issuer) = (cloud.caller(), &self.issuer);
        if cloud.ca(&issuer.id())?.is_none() {
            return Err(WithdrawError::NotRegistered {
                account: caller.account.clone(),
                region: caller.region.clone(),
            });
        }
        let mut others = self.ledger.batches_of(issuer)?;
        others.retain(|other| *other != self.batch.name);
        Ok(Outlook {
            revoked_before: self.ledger.revoked(self.batch, &caller.place())?,
            other_batches_of_the_ca: others,
        })
    }

    /// Lets no station give out a device of it any more: first in the ledger, then for stations, which see the store
    /// alone. A batch that was withdrawn before keeps its time and reason.
    ///
    /// # Errors
    ///
    /// When ledger or store cannot be written.
    pub fn stop_stations(&mut self, reason: &str, now: OffsetDateTime) -> Result<(), WithdrawError> {
        let withdrawal = self.ledger.withdraw(self.batch, reason, now)?;
        let record = WithdrawnRecord {
            batch: self.batch.name.clone(),
            withdrawn_at: rfc3339(withdrawal.at),
            reason: withdrawal.reason,
        };
        Ok(put_withdrawn(self.store, &record)?)
    }

    /// Withdraws it in an account. `observe` is told of so many rows more.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read or written, or AWS does not stop to register devices of the CA. What it refuses of
    /// certificates, and what is wrong with the store, is in the summary.
    pub fn carry_out(
        &mut self,
        cloud: &Cloud,
        terms: Terms<'_>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        observe: &(dyn Fn(u64) + Sync),
    ) -> Result<RevocationSummary, WithdrawError> {
        // 1. No station gives out a device of it any more. A store that is away, or odd, keeps nobody from revoking.
        let stopped = self.stop_stations(terms.reason, terms.now);
        let store_fault = match stopped {
            Err(WithdrawError::Store(error)) => Some(in_one_line(&error)),
            other => other.map(|()| self.store_fault())?,
        };
        // 2. AWS IoT takes no new device of the CA.
        if !terms.keep_auto_registration {
            cloud.stop_registration(&self.issuer.id())?;
        }
        // 3. Those that it has, and those that may come, are revoked.
        let summary = self.revoke(cloud, terms.rate, is_cancelled, observe)?;
        Ok(RevocationSummary {
            store_fault,
            ..summary
        })
    }

    /// Revokes what is not yet revoked there.
    ///
    /// A certificate that fails keeps the mark where it is, so that the next run tries it again, and so does a
    /// chunk that is not released: another shard may be at it still.
    fn revoke(
        &mut self,
        cloud: &Cloud,
        rate: u32,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        observe: &(dyn Fn(u64) + Sync),
    ) -> Result<RevocationSummary, WithdrawError> {
        let place = cloud.caller().place();
        let shape = self.batch.shape();
        let revocation = Revocation {
            cloud,
            ca: &self.issuer,
            rate,
        };
        let mut row = self.ledger.revoked(self.batch, &place)?;
        let mut summary = RevocationSummary {
            mark: row,
            ..RevocationSummary::default()
        };
        for chunk in row / shape.chunk_rows..shape.chunks() {
            let end = chunk * shape.chunk_rows + shape.rows_of(chunk);
            let certificates = match self.certificates(chunk) {
                // Nobody vouches for it as it is: that keeps nobody from revoking the others.
                Err(WithdrawError::Batch(error)) => {
                    summary.failed += end - row;
                    summary
                        .first_failure
                        .get_or_insert_with(|| format!("chunk {chunk}: {}", in_one_line(&error)));
                    observe(end - row);
                    row = end;
                    continue;
                }
                other => other?,
            };
            let Some(certificates) = certificates else {
                // What was never released is in no station's hands, and no run begins with it any more.
                summary.unreleased += shape.rows_of(chunk);
                observe(end - row);
                row = end;
                continue;
            };
            let skipped = usize::try_from(row - chunk * shape.chunk_rows).unwrap_or(usize::MAX);
            let mut rest = certificates.into_iter().skip(skipped).peekable();
            while rest.peek().is_some() {
                let some = rest.by_ref().take(AT_A_TIME);
                let (ids, some): (Vec<DeviceId>, Vec<Condemned>) = some.unzip();
                let outcomes = revocation.revoke(some, is_cancelled, &|| observe(1));
                // Fewer when somebody cancelled it.
                row += outcomes.len() as u64;
                let mut is_hopeless = false;
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Revoked::Updated) => summary.updated += 1,
                        Ok(Revoked::Registered) => summary.registered += 1,
                        Err(error) => {
                            is_hopeless |= error.is_general();
                            summary.failed += 1;
                            summary
                                .first_failure
                                .get_or_insert_with(|| format!("device {id}: {error}"));
                        }
                    }
                }
                if summary.failed == 0 && summary.unreleased == 0 {
                    self.ledger.set_revoked(self.batch, &place, row)?;
                    summary.mark = row;
                }
                if is_hopeless || is_cancelled() {
                    return Ok(summary);
                }
            }
        }
        Ok(summary)
    }

    /// The certificates of a chunk, each with its device, as the ledger has them; as the issuer has signed for them when
    /// another shard's ledger accounts for the chunk. `None`: the chunk was never released.
    fn certificates(&self, chunk: u64) -> Result<Option<Vec<(DeviceId, Condemned)>>, WithdrawError> {
        let mut entries = self.ledger.entries(self.batch, chunk)?;
        if entries.is_empty() {
            let Ok(stated) = &self.stated else {
                return Ok(None);
            };
            entries = match stated.entries(chunk) {
                Err(VouchedError::Incomplete { .. }) => return Ok(None),
                other => other?,
            };
        }
        // Each answer of a store that is away would be waited for.
        let is_away = matches!(&self.stated, Err(VouchedError::Store(error)) if error.is_passing());
        let mut found = match is_away {
            true => HashMap::new(),
            false => vouched::found(self.store, chunk),
        };
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
