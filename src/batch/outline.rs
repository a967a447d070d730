//! What of `batch.json` tells one batch from another, whichever version of certforge wrote the rest. It is no proof of
//! anything: who wants to know what a batch is reads the whole record.

use serde::Deserialize;

use crate::pem;

/// A batch, in outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    pub batch: String,
    /// SHA-256 in hexadecimal.
    pub manifest_sha256: String,
    /// The issuer's certificate, DER.
    pub issuer: Vec<u8>,
    /// Id of the ledger that accounts for it; empty: each shard has its own.
    pub ledger: String,
    /// In how many shards it is made.
    pub shards: Option<u32>,
}

#[derive(Deserialize)]
struct Written {
    batch: String,
    manifest_sha256: String,
    issuer_certificate: String,
    #[serde(default)]
    ledger: String,
    #[serde(default)]
    shards: Option<u32>,
}

impl Outline {
    /// Reads a record; `None`: it is none.
    #[must_use]
    pub fn read(octets: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(octets).ok()?;
        let blocks = pem::blocks(&written.issuer_certificate).ok()?;
        Some(Self {
            issuer: blocks.first()?.der.to_vec(),
            batch: written.batch,
            manifest_sha256: written.manifest_sha256,
            ledger: written.ledger,
            shards: written.shards,
        })
    }
}
