//! `batch.json`: what a batch is, beside its bundles.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BATCH_OBJECT, Layout, Shape};
use crate::issuer::{CaCertificate, IssuerError};
use crate::pem;
use crate::profile::{Profile, ProfileConfig, ProfileError};

/// Written before the first bundle; it does not change once a chunk is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecord {
    pub batch: String,
    /// Digests are SHA-256 in hexadecimal.
    pub manifest_sha256: String,
    pub rows: u64,
    pub chunk_rows: u64,
    pub layout: Layout,
    /// The profile, as far as it differs from the defaults.
    pub profile: ProfileConfig,
    pub profile_sha256: String,
    /// SHA-256 of the issuer's certificate: what AWS IoT calls caCertificateId.
    pub issuer_id: String,
    /// PEM.
    pub issuer_certificate: String,
    /// Id of the ledger that accounts for the batch; empty when each shard has its own.
    pub ledger: String,
    /// In how many shards it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
}

/// Why octets are no record of a batch.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{object} cannot be read")]
    Json {
        /// As a person finds it: a path or a URL.
        object: String,
        source: serde_json::Error,
    },
    #[error("{object} has impossible numbers of rows")]
    Numbers { object: String },
    #[error("{object} has no valid profile")]
    Profile { object: String, source: ProfileError },
    #[error("{object} has no usable issuer certificate")]
    Issuer { object: String, source: IssuerError },
}

impl RecordError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("{BATCH_OBJECT} was changed or damaged; put it back as it was written")
    }
}

/// A record that was read back, with what its texts mean. That it is the record of *this* batch, only a seal,
/// a ledger or a manifest can tell.
#[derive(Debug, Clone)]
pub struct ReadRecord {
    pub record: BatchRecord,
    pub profile: Profile,
    pub issuer: CaCertificate,
}

impl BatchRecord {
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            chunk_rows: self.chunk_rows,
        }
    }

    /// Reads the record of the batch at a location.
    ///
    /// # Errors
    ///
    /// When the octets are not such as a forge writes.
    pub fn read(octets: &[u8], location: &str) -> Result<ReadRecord, RecordError> {
        let object = || format!("{location}/{BATCH_OBJECT}");
        let record: Self = serde_json::from_slice(octets).map_err(|source| RecordError::Json {
            object: object(),
            source,
        })?;
        if !record.shape().is_sound() {
            return Err(RecordError::Numbers { object: object() });
        }
        let profile = Profile::from_config(&record.profile).map_err(|source| RecordError::Profile {
            object: object(),
            source,
        })?;
        let blocks = pem::blocks(&record.issuer_certificate).unwrap_or_default();
        let der = blocks.first().map(|block| block.der.to_vec()).unwrap_or_default();
        let issuer =
            CaCertificate::from_der(&der, Path::new(BATCH_OBJECT)).map_err(|source| RecordError::Issuer {
                object: object(),
                source,
            })?;
        Ok(ReadRecord {
            record,
            profile,
            issuer,
        })
    }
}
