//! The certificates of a chunk, beside its bundles: PEM, in row order, and public.

use std::ops::Range;

use super::IndexEntry;
use crate::digest::sha256;
use crate::pem;

/// The certificates of a chunk as DER, as they were found.
#[derive(Debug, Clone, Default)]
pub struct ChunkCertificates(Vec<Vec<u8>>);

impl ChunkCertificates {
    /// What is found in octets; what is damaged holds none.
    #[must_use]
    pub fn read(octets: &[u8]) -> Self {
        match Self::read_written(octets) {
            Some((certificates, _)) => certificates,
            None => Self(pem::certificates(octets)),
        }
    }

    /// The same, and where each lies in the octets, if these are as a forge writes them.
    #[must_use]
    pub fn read_written(octets: &[u8]) -> Option<(Self, Vec<Range<usize>>)> {
        let found = pem::written_certificates(octets)?;
        let (places, certificates) = found.into_iter().unzip();
        Some((Self(certificates), places))
    }

    /// The certificate of a row, if it is the one that the index names.
    #[must_use]
    pub fn of(&self, row: usize, entry: &IndexEntry) -> Option<&[u8]> {
        let der = self.0.get(row)?;
        (sha256(der) == entry.certificate_id).then_some(der.as_slice())
    }

    /// As a forge writes them.
    #[must_use]
    pub fn to_pem(&self) -> Vec<u8> {
        let pem = |der: &Vec<u8>| pem::encode(pem::CERTIFICATE, der);
        self.0.iter().map(pem).collect::<String>().into_bytes()
    }

    /// All of them, whatever they are.
    #[must_use]
    pub fn found(&self) -> &[Vec<u8>] {
        &self.0
    }
}
