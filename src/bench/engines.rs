//! Engines at work: keys and signatures, each proven before any is timed.

use std::error::Error;
use std::fmt::Write;

use super::{BenchError, Machine, bare};
use crate::engine::{
    AwsLc, DeviceKey, ENGINES, Engine, EngineError, KeyMaker as _, KeySigner, PrivateKey, SigningKey,
};
use crate::profile::KeyType;

/// Keys or signatures of one turn: a whole number of groups for every engine, as the forge has it; RSA keys take too
/// long for more than one.
#[must_use]
pub fn at_a_time(key_type: KeyType) -> usize {
    match key_type {
        KeyType::P256 => 128,
        KeyType::P384 | KeyType::P521 => 64,
        _ => 1,
    }
}

/// An engine that does not work here, and why.
pub type LeftOut = (&'static dyn Engine, EngineError);

/// The engines that work here, and the others with the reason.
#[must_use]
pub fn ready() -> (Vec<&'static dyn Engine>, Vec<LeftOut>) {
    let (mut ready, mut left_out) = (Vec::new(), Vec::new());
    for engine in ENGINES {
        match engine.ready() {
            Ok(()) => ready.push(engine),
            Err(error) => left_out.push((engine, error)),
        }
    }
    (ready, left_out)
}

/// What a bench prints first: the machine, the engines' libraries, and the engines that do not work here.
#[must_use]
pub fn introduction() -> String {
    let (ready, left_out) = ready();
    let mut text = format!("machine: {}\n", Machine::this());
    for engine in ready {
        let _ = writeln!(text, "engine {}: {}", engine.name(), bare::library(engine));
    }
    for (_, error) in left_out {
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "left out: {error}: {reason}");
    }
    text
}

/// Makes keys of one type, again and again, in the same slots.
pub struct KeyMaker {
    engine: &'static dyn Engine,
    key_type: KeyType,
    keys: Vec<DeviceKey>,
}

impl KeyMaker {
    /// Makes the first, and proves it.
    ///
    /// # Errors
    ///
    /// When the engine does not make this type, or its keys are not sound.
    pub fn new(engine: &'static dyn Engine, key_type: KeyType) -> Result<Self, BenchError> {
        let mut maker = Self {
            engine,
            key_type,
            keys: vec![DeviceKey::default(); at_a_time(key_type)],
        };
        maker.make()?;
        let is_sound = maker.keys.iter().all(|key| prove(key).is_some());
        let unsound = BenchError::Unsound {
            engine: engine.name(),
            key_type,
            what: "keys",
        };
        is_sound.then_some(maker).ok_or(unsound)
    }

    /// Makes [`at_a_time`] keys, and returns how many these are.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    pub fn make(&mut self) -> Result<u64, EngineError> {
        self.engine.make_keys(self.key_type, &mut self.keys)?;
        Ok(self.keys.len() as u64)
    }
}

/// Signs with one key, again and again, into the same slots.
pub struct SignatureMaker {
    signer: Box<dyn KeySigner>,
    signatures: Vec<Vec<u8>>,
}

/// As long as the TBSCertificate of a device with a P-256 key.
const MESSAGE: [u8; 350] = [7; 350];

impl SignatureMaker {
    /// Makes the first, and verifies them.
    ///
    /// # Errors
    ///
    /// When the engine does not sign with this key, or its signatures are not sound.
    pub fn new(engine: &'static dyn Engine, key: &SigningKey) -> Result<Self, BenchError> {
        let mut maker = Self {
            signer: engine.signer(key)?,
            signatures: vec![Vec::new(); at_a_time(key.key_type())],
        };
        maker.make()?;
        let verifies = |signature: &Vec<u8>| key.verifies(&MESSAGE, signature);
        let unsound = BenchError::Unsound {
            engine: engine.name(),
            key_type: key.key_type(),
            what: "signatures",
        };
        let is_sound = maker.signatures.iter().all(verifies);
        is_sound.then_some(maker).ok_or(unsound)
    }

    /// Makes [`at_a_time`] signatures, and returns how many these are.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    pub fn make(&mut self) -> Result<u64, EngineError> {
        let messages = vec![&MESSAGE[..]; self.signatures.len()];
        self.signer.sign(&messages, &mut self.signatures)?;
        Ok(messages.len() as u64)
    }
}

/// A new key to sign with, of any type.
///
/// # Errors
///
/// When aws-lc fails, which makes it.
pub fn signing_key(key_type: KeyType) -> Result<SigningKey, BenchError> {
    let mut keys = [DeviceKey::default()];
    AwsLc.make_keys(key_type, &mut keys)?;
    prove(&keys[0]).ok_or(BenchError::Unsound {
        engine: AwsLc.name(),
        key_type,
        what: "keys",
    })
}

fn prove(key: &DeviceKey) -> Option<SigningKey> {
    PrivateKey::from_pkcs8(key.pkcs8()).ok()?.prove(key.public_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_work_here_make_what_they_say() {
        for engine in ready().0 {
            for key_type in [KeyType::P256, KeyType::P384] {
                let key = signing_key(key_type).unwrap();
                let all = at_a_time(key_type) as u64;
                assert_eq!(KeyMaker::new(engine, key_type).unwrap().make().unwrap(), all);
                assert_eq!(SignatureMaker::new(engine, &key).unwrap().make().unwrap(), all);
            }
        }
    }

    #[test]
    fn every_engine_works_or_is_named() {
        let (ready, left_out) = ready();
        assert_eq!(ready.len() + left_out.len(), ENGINES.len());
        assert!(ready.iter().any(|engine| engine.name() == "aws-lc"));
    }
}
