//! The certificates of a batch, read back from its store, each held against the index.

use std::collections::HashMap;

use crate::batch::{BatchRecord, ChunkCertificates, IndexEntry, certificates_object};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use crate::pem;
use crate::store::{ReadError, Store, StoreError, read_index, read_record};

/// A batch whose certificates cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IssuedError {
    #[error(transparent)]
    Batch(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("batch {location} is not complete: chunk {chunk} of {chunks} is not released")]
    Incomplete {
        location: String,
        chunk: u64,
        chunks: u64,
    },
    #[error("{object}: the certificate of device {device_id} is not the one that the index names")]
    Certificate { object: String, device_id: DeviceId },
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
    store: &'a Store,
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
    pub fn open(store: &'a Store) -> Result<Self, IssuedError> {
        let read = read_record(store)?;
        Ok(Self {
            store,
            record: read.record,
            issuer: read.issuer,
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
        match read_index(self.store, &self.record, chunk) {
            Err(ReadError::Store(StoreError::NotFound { .. })) => Err(IssuedError::Incomplete {
                location: self.store.location(),
                chunk,
                chunks: self.record.shape().chunks(),
            }),
            other => Ok(other?),
        }
    }

    /// The certificates of a chunk that can be read, by their ids.
    #[must_use]
    pub fn found(&self, chunk: u64) -> HashMap<[u8; 32], Vec<u8>> {
        let octets = self.store.read(&certificates_object(chunk), None);
        let found = octets.map_or_else(
            |_| ChunkCertificates::default(),
            |octets| ChunkCertificates::read(&octets),
        );
        found
            .found()
            .iter()
            .map(|der| (sha256(der), der.clone()))
            .collect()
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
        let certificates = ChunkCertificates::read(&octets);
        entries
            .into_iter()
            .enumerate()
            .map(|(row, entry)| match certificates.of(row, &entry) {
                Some(der) => Ok(IssuedCertificate {
                    der: der.to_vec(),
                    entry,
                }),
                None => Err(IssuedError::Certificate {
                    object: format!("{}/{object}", self.store.location()),
                    device_id: entry.device_id,
                }),
            })
            .collect()
    }
}
