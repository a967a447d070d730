//! Whom to trust for a batch: an issuer that is known from elsewhere than the batch.

use crate::issuer::CaCertificate;

/// The issuer whose batches are trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    Certificate(Box<CaCertificate>),
    /// SHA-256 of its certificate, which the batch itself may then show.
    Id([u8; 32]),
}

impl Trust {
    /// SHA-256 of its certificate.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        match self {
            Self::Certificate(certificate) => certificate.id(),
            Self::Id(id) => *id,
        }
    }
}
