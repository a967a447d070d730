//! The certificates of a batch, read back from its store, each held against the index.

use std::collections::HashMap;
use std::path::Path;

use crate::batch::{BATCH_OBJECT, BatchRecord, IndexEntry, certificates_object, index_object, parse_index};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::pem;
use crate::store::{Store, StoreError};
use crate::verify::{VerifyError, read_record};

/// A batch whose certificates cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IssuedError {
    #[error(transparent)]
    Batch(#[from] VerifyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("batch {location} is not complete: chunk {chunk} of {chunks} is not released")]
    Incomplete {
        location: String,
        chunk: u64,
        chunks: u64,
    },
    #[error("{object}: the certificate of device {device_id} is not the one that the index names")]
    Certificate { object: String, device_id: String },
}

impl IssuedError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Batch(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Incomplete { .. } => Some("finish it first: repeat the command that began it".to_owned()),
            Self::Certificate { .. } => {
                Some("`certforge verify` names everything that is wrong with the batch".to_owned())
            }
        }
    }
}

/// A batch in its store.
pub struct Issued<'a> {
    store: &'a dyn Store,
    record: BatchRecord,
    issuer: CaCertificate,
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

impl<'a> Issued<'a> {
    /// # Errors
    ///
    /// When there is no batch.
    pub fn open(store: &'a dyn Store) -> Result<Self, IssuedError> {
        let record = read_record(store)?;
        let blocks = pem::blocks(&record.issuer_certificate).unwrap_or_default();
        let der = blocks.first().map(|block| block.der.to_vec()).unwrap_or_default();
        let issuer =
            CaCertificate::from_der(&der, Path::new(BATCH_OBJECT)).map_err(|source| VerifyError::Issuer {
                location: store.location(),
                source,
            })?;
        Ok(Self {
            store,
            record,
            issuer,
        })
    }

    #[must_use]
    pub fn record(&self) -> &BatchRecord {
        &self.record
    }

    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    /// The entries of a chunk, in row order.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or the chunk is not released.
    pub fn entries(&self, chunk: u64) -> Result<Vec<IndexEntry>, IssuedError> {
        let name = index_object(chunk);
        let octets = match self.store.read(&name, None) {
            Err(StoreError::NotFound { .. }) => {
                return Err(IssuedError::Incomplete {
                    location: self.store.location(),
                    chunk,
                    chunks: self.record.chunks(),
                });
            }
            other => other?,
        };
        let rows = parse_index(&octets).map_err(|source| VerifyError::Index {
            object: format!("{}/{name}", self.store.location()),
            source,
        })?;
        Ok(rows.into_iter().map(|row| row.entry).collect())
    }

    /// The certificates of a chunk that can be read, by their ids.
    #[must_use]
    pub fn found(&self, chunk: u64) -> HashMap<[u8; 32], Vec<u8>> {
        let octets = self.store.read(&certificates_object(chunk), None);
        let text = octets.map(|octets| String::from_utf8_lossy(&octets).into_owned());
        let blocks = text.ok().and_then(|text| pem::blocks(&text).ok());
        let ders = blocks.into_iter().flatten().map(|block| block.der.to_vec());
        ders.map(|der| (sha256(&der), der)).collect()
    }

    /// The certificates of a chunk, in row order.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or one is not that of the index.
    pub fn certificates(&self, chunk: u64) -> Result<Vec<IssuedCertificate>, IssuedError> {
        let entries = self.entries(chunk)?;
        let object = certificates_object(chunk);
        let octets = self.store.read(&object, None)?;
        let mut blocks = pem::blocks(&String::from_utf8_lossy(&octets))
            .unwrap_or_default()
            .into_iter();
        entries
            .into_iter()
            .map(|entry| match blocks.next() {
                Some(block) if sha256(&block.der) == entry.certificate_id => Ok(IssuedCertificate {
                    der: block.der.to_vec(),
                    entry,
                }),
                _ => Err(IssuedError::Certificate {
                    object: format!("{}/{object}", self.store.location()),
                    device_id: entry.device_id,
                }),
            })
            .collect()
    }
}
