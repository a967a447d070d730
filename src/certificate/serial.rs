//! Certificate serials: 16 octets, positive, never all of them predictable.
//!
//! The first 8 are a prefix that is drawn for a chunk and recorded in the ledger before anything is
//! signed; the last 8 are drawn for the device. So every certificate carries 64 bits of its own from
//! a CSPRNG (CA/Browser Forum, Baseline Requirements 7.1), and after a crash the ledger still
//! accounts for every certificate that may exist.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::engine::{EngineError, Random};

/// The first half of the serials of a chunk's certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialPrefix([u8; 8]);

impl SerialPrefix {
    /// Draws a prefix: its first bit is clear and its first octet is not zero, so that the DER
    /// INTEGER has 16 octets, always (RFC 5280, 4.1.2.2).
    ///
    /// # Errors
    ///
    /// When the source of randomness fails.
    pub fn draw(random: Random) -> Result<Self, EngineError> {
        loop {
            let mut octets = random.octets::<8>()?;
            octets[0] &= 0x7f;
            if let Some(prefix) = Self::from_octets(octets) {
                return Ok(prefix);
            }
        }
    }

    /// A prefix read back; `None` when it is not one that [`SerialPrefix::draw`] gives.
    #[must_use]
    pub fn from_octets(octets: [u8; 8]) -> Option<Self> {
        (0x01..0x80).contains(&octets[0]).then_some(Self(octets))
    }

    #[must_use]
    pub fn octets(self) -> [u8; 8] {
        self.0
    }

    /// The name of the attempt at a chunk that it was drawn for: no other attempt has it.
    #[must_use]
    pub fn attempt(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The serial with this prefix and the device's own octets.
    #[must_use]
    pub fn serial(self, own: [u8; 8]) -> CertificateSerial {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.0);
        octets[8..].copy_from_slice(&own);
        CertificateSerial(octets)
    }
}

/// The serialNumber of a device certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateSerial([u8; 16]);

impl CertificateSerial {
    #[must_use]
    pub fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The octets of its prefix.
    #[must_use]
    pub fn prefix(&self) -> [u8; 8] {
        std::array::from_fn(|i| self.0[i])
    }
}

impl From<[u8; 16]> for CertificateSerial {
    fn from(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for CertificateSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_make_positive_serials_of_full_length() {
        for _ in 0..2000 {
            let prefix = SerialPrefix::draw(Random).unwrap();
            assert!((0x01..0x80).contains(&prefix.octets()[0]));
            assert_eq!(SerialPrefix::from_octets(prefix.octets()), Some(prefix));
        }
        assert_eq!(SerialPrefix::from_octets([0, 1, 1, 1, 1, 1, 1, 1]), None);
        assert_eq!(SerialPrefix::from_octets([0x80, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}
