//! Batches in a store for which somebody vouches: the ledger that they were made with, or the issuer that has sealed
//! them. The door for all that is done with certificates of a batch: what lies in a store alone is believed by nobody.

mod stated;

use std::collections::HashMap;
use std::sync::Mutex;

use data_encoding::HEXLOWER;

use crate::batch::{BatchRecord, ChunkCertificates, IndexEntry, certificates_object, index_object};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::ledger::{Batch, Ledger, LedgerError};
use crate::manifest::DeviceId;
use crate::pem;
use crate::seal::{SealError, Trust};
use crate::store::{ReadError, Store, StoreError};
pub use stated::Stated;

/// A batch that cannot be read, or for which nobody vouches as it is.
#[derive(Debug, thiserror::Error)]
pub enum VouchedError {
    #[error(transparent)]
    Batch(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("batch {location} is of another CA: certificate {}, not {}", HEXLOWER.encode(&.found.id()), HEXLOWER.encode(.wanted))]
    OtherIssuer {
        location: String,
        found: Box<CaCertificate>,
        wanted: [u8; 32],
    },
    #[error("batch {location} is not sealed, so that nothing vouches for it")]
    NotSealed { location: String },
    #[error("batch {location}: shard {shard}/{shards} has not said yet what it made")]
    Unstated {
        location: String,
        shard: u32,
        shards: u32,
    },
    #[error("{location} is batch {found}, and not {asked} of ledger {ledger}")]
    OtherBatch {
        location: String,
        found: String,
        asked: String,
        ledger: String,
    },
    #[error("{location} is batch {found}, and not {asked}")]
    OtherName {
        location: String,
        found: String,
        asked: String,
    },
    #[error("{location}/batch.json names another {what} than ledger {ledger} for batch {batch}")]
    OtherThanLedger {
        location: String,
        what: &'static str,
        ledger: String,
        batch: String,
    },
    #[error("{object} is not what ledger {ledger} has: it was changed")]
    Changed { object: String, ledger: String },
    #[error("batch {location} is not complete: chunk {chunk} of {chunks} is not released")]
    Incomplete {
        location: String,
        chunk: u64,
        chunks: u64,
    },
    #[error("{object}: the certificate of device {device_id} is not the one that the index names")]
    Certificate { object: String, device_id: DeviceId },
}

impl VouchedError {
    /// Whether it is about one object of the batch, so that others need not fail with it.
    #[must_use]
    pub fn is_of_one_object(&self) -> bool {
        match self {
            Self::Batch(error) => error.is_of_one_object(),
            Self::Store(error) => error.is_of_one_object(),
            Self::Seal(SealError::Changed { .. } | SealError::NotReleased { .. })
            | Self::Changed { .. }
            | Self::Unstated { .. }
            | Self::Certificate { .. } => true,
            _ => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Batch(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Ledger(error) => return error.hint(),
            Self::Seal(error) => return error.hint(),
            Self::OtherIssuer { .. } => {
                "name the CA that this batch was made with, or find out who put a batch of another CA there"
            }
            Self::NotSealed { .. } => {
                "name the ledger that it was made with, with --ledger; or finish it first: repeat the command that began it"
            }
            Self::Unstated { .. } | Self::Incomplete { .. } => {
                "finish it first: repeat the command that began it"
            }
            Self::OtherBatch { .. } => {
                "name the ledger that the batch was made with, with --ledger, or find out who put another batch there"
            }
            Self::OtherName { .. } => {
                "a batch is named as its folder is: give the folder its name back, or find out who put another batch there"
            }
            Self::OtherThanLedger { .. } | Self::Changed { .. } | Self::Certificate { .. } => {
                "`certforge verify` names everything that is wrong with the batch"
            }
        };
        Some(text.to_owned())
    }
}

/// Who vouches for a batch.
#[derive(Debug, Clone, Copy)]
pub enum Voucher<'a> {
    /// The ledger that it was made with, and the batch as that has it. Chunks of other shards are the issuer's to vouch for.
    Ledger(&'a Mutex<Box<dyn Ledger>>, &'a Batch),
    /// The issuer, who must have signed for every chunk of the batch of that name.
    Issuer(&'a Trust, &'a str),
}

/// A batch in its store for which somebody vouches.
pub struct Vouched<'a> {
    stated: Stated<'a>,
    ledger: Option<(&'a Mutex<Box<dyn Ledger>>, &'a Batch)>,
}

/// A device's certificate.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    pub entry: IndexEntry,
    pub der: Vec<u8>,
}

impl IssuedCertificate {
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }
}

impl<'a> Vouched<'a> {
    /// # Errors
    ///
    /// When there is no batch, or it is not the one that is vouched for.
    pub fn open(store: &'a Store, voucher: Voucher<'a>) -> Result<Self, VouchedError> {
        let (ledger, batch) = match voucher {
            Voucher::Issuer(trust, name) => {
                let stated = Stated::open(store, trust)?;
                if stated.record().batch != name {
                    return Err(VouchedError::OtherName {
                        location: store.location(),
                        found: stated.record().batch.clone(),
                        asked: name.to_owned(),
                    });
                }
                return Ok(Self { stated, ledger: None });
            }
            Voucher::Ledger(ledger, batch) => (ledger, batch),
        };
        let stated = Stated::open(store, &Trust::Id(sha256(&batch.issuer_certificate)))?;
        let (location, record) = (store.location(), stated.record());
        if record.batch != batch.name {
            return Err(VouchedError::OtherBatch {
                location,
                found: record.batch.clone(),
                asked: batch.name.clone(),
                ledger: named(ledger),
            });
        }
        if let Some(what) = batch.disagreements(record, stated.issuer()).next() {
            return Err(VouchedError::OtherThanLedger {
                location,
                what,
                ledger: named(ledger),
                batch: batch.name.clone(),
            });
        }
        Ok(Self {
            stated,
            ledger: Some((ledger, batch)),
        })
    }

    #[must_use]
    pub fn record(&self) -> &BatchRecord {
        self.stated.record()
    }

    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        self.stated.issuer()
    }

    /// The entries of a released chunk, in row order.
    ///
    /// # Errors
    ///
    /// When they cannot be read, the chunk is not released, or nobody vouches for its index as it is.
    pub fn entries(&self, chunk: u64) -> Result<Vec<IndexEntry>, VouchedError> {
        let Some((ledger, batch)) = self.ledger else {
            return self.stated.entries(chunk);
        };
        let known = ledger.lock().expect("no holder panics").entries(batch, chunk)?;
        if known.is_empty() {
            return self.stated.entries(chunk);
        }
        let found = self.stated.parse(chunk, &self.stated.index(chunk)?)?;
        match found == known {
            true => Ok(known),
            false => Err(VouchedError::Changed {
                object: self.object(&index_object(chunk)),
                ledger: named(ledger),
            }),
        }
    }

    /// The certificates of a chunk, in row order.
    ///
    /// # Errors
    ///
    /// As [`Vouched::entries`]; when they cannot be read, or one is not that of its entry.
    pub fn certificates(&self, chunk: u64) -> Result<Vec<IssuedCertificate>, VouchedError> {
        let entries = self.entries(chunk)?;
        let object = certificates_object(chunk);
        let octets = self.stated.store().read(&object, None)?;
        let certificates = ChunkCertificates::read(&octets);
        entries
            .into_iter()
            .enumerate()
            .map(|(row, entry)| match certificates.of(row, &entry) {
                Some(der) => Ok(IssuedCertificate {
                    der: der.to_vec(),
                    entry,
                }),
                None => Err(VouchedError::Certificate {
                    object: self.object(&object),
                    device_id: entry.device_id,
                }),
            })
            .collect()
    }

    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.stated.store().location())
    }
}

fn named(ledger: &Mutex<Box<dyn Ledger>>) -> String {
    ledger.lock().expect("no holder panics").location().to_owned()
}

/// The certificates of a chunk that can be read, by their ids: what has an id is the one that is meant by it.
#[must_use]
pub fn found(store: &Store, chunk: u64) -> HashMap<[u8; 32], Vec<u8>> {
    let octets = store.read(&certificates_object(chunk), None);
    let found = octets.map_or_else(
        |_| ChunkCertificates::default(),
        |octets| ChunkCertificates::read(&octets),
    );
    let with_id = |der: &Vec<u8>| (sha256(der), der.clone());
    found.found().iter().map(with_id).collect()
}
