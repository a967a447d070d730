//! The head of a ledger's history, signed by the issuer when a batch is sealed. It lies beside the seal, so that entries which are
//! taken out of the ledger, also at its end, are missed. The seal itself says nothing of it: stations read that, and older ones
//! would refuse a statement that they do not know.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::SealError;
use super::signed::{self, Signable};
use crate::issuer::{CaCertificate, Issuer};
use crate::profile::rfc3339;

/// How far a history had come when a batch was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryHead {
    certforge_history: u32,
    /// Id of the ledger.
    pub ledger: String,
    /// Of the last entry.
    pub number: u64,
    /// Of that entry and all before it: SHA-256 in hexadecimal.
    pub hash: String,
    /// The batch that was sealed.
    pub batch: String,
    /// RFC 3339.
    pub signed_at: String,
    /// Of the issuer's certificate: what AWS IoT calls caCertificateId.
    pub issuer_id: String,
}

impl Signable for HistoryHead {
    const KIND: &'static str = "certforge_history";
    const FORMAT: u32 = 1;

    fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    fn is_sound(&self) -> bool {
        self.number > 0
    }
}

impl HistoryHead {
    /// Of a ledger whose last entry has this number and this hash.
    #[must_use]
    pub fn new(
        ledger: &str,
        (number, hash): (u64, &[u8; 32]),
        batch: &str,
        issuer: &CaCertificate,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            certforge_history: Self::FORMAT,
            ledger: ledger.to_owned(),
            number,
            hash: HEXLOWER.encode(hash),
            batch: batch.to_owned(),
            signed_at: rfc3339(now),
            issuer_id: HEXLOWER.encode(&issuer.id()),
        }
    }

    /// The content of its object.
    ///
    /// # Errors
    ///
    /// When the issuer's signer fails.
    pub fn sign(&self, issuer: &Issuer) -> Result<Vec<u8>, SealError> {
        signed::sign(self, issuer)
    }

    /// Reads that of a batch, and verifies it against the certificate of the issuer that is trusted. `object`: as a person finds it.
    ///
    /// # Errors
    ///
    /// When it is none, another issuer's, or changed.
    pub fn open(octets: &[u8], object: &str, issuer: &CaCertificate) -> Result<Self, SealError> {
        signed::open(octets, object, issuer)
    }
}

/// The ledger of whose history a head says it is; nobody vouches for that.
#[must_use]
pub fn ledger_of_head(octets: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(octets).ok()?;
    Some(document.get("seal")?.get("ledger")?.as_str()?.to_owned())
}
