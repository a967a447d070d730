//! The one place where randomness comes from: certificate serials, names of attempts, salts, and all else that is drawn
//! outside of an engine's own library.

use aws_lc_rs::rand::SecureRandom as _;
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

    /// Fills a large slice, several times as fast: by aws-lc's generator, CTR_DRBG with AES-256 (SP 800-90A). The operating
    /// system and the processor seed it, each thread has its own, and it begins anew in a process that forks.
    ///
    /// # Errors
    ///
    /// When it gives none.
    pub fn fill_much(self, octets: &mut [u8]) -> Result<(), EngineError> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        random.fill(octets).map_err(|_| EngineError::Random)
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
