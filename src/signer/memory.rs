//! A key in memory, read from a file or just made, and an engine that signs with it.

use super::{Manner, Signer, SignerError};
use crate::engine::{Choice, EngineError, KeySigner, SignatureAlgorithm, SigningKey};

/// Signs with a key in memory.
pub struct Memory {
    place: String,
    engine: &'static str,
    algorithm: SignatureAlgorithm,
    key: Box<dyn KeySigner>,
}

impl Memory {
    /// Lets an engine of this choice sign with a key; `place` is where the key was read.
    ///
    /// # Errors
    ///
    /// When there is no such engine, or it does not sign with this key.
    pub fn new(key: &SigningKey, place: String, engines: &Choice) -> Result<Self, EngineError> {
        let engine = engines.for_signatures(key.key_type())?;
        Ok(Self {
            place,
            engine: engine.name(),
            algorithm: SignatureAlgorithm::for_key(key.key_type()),
            key: engine.signer(key)?,
        })
    }
}

impl Signer for Memory {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn engine(&self) -> &'static str {
        self.engine
    }

    fn manner(&self) -> Manner {
        Manner::Local
    }

    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
        Ok(self.key.sign(messages, signatures)?)
    }
}
