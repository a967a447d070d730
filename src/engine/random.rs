//! The one source of randomness: certificate serials, names of attempts, salts, and all else that is drawn outside of an
//! engine's own library.

use ring::rand::{SecureRandom, SystemRandom};

use super::EngineError;

/// The operating system's CSPRNG.
#[derive(Debug, Clone, Copy)]
pub struct Random;

impl Random {
    /// Fills a slice.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub fn fill(self, octets: &mut [u8]) -> Result<(), EngineError> {
        SystemRandom::new().fill(octets).map_err(|_| EngineError::Random)
    }

    /// So many octets.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub fn octets<const N: usize>(self) -> Result<[u8; N], EngineError> {
        let mut octets = [0; N];
        self.fill(&mut octets)?;
        Ok(octets)
    }
}
