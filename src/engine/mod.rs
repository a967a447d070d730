//! Engines: device keys, and signatures with keys in memory, many at a time; and the one source of randomness.
//!
//! An engine takes a slice of work and fills a slice of results, so that one which does eight at a
//! time and one which does one at a time look alike. Device keys never sign anything here, so no
//! engine parses a key back after making it.
//!
//! To add an engine: one file with a type that implements [`KeyMaker`] and [`Engine`], and a line in [`ENGINES`].

#[macro_use]
mod word;

mod aws_lc;
mod curve25519;
mod document;
mod judge;
mod key;
pub(crate) mod lanes;
mod random;
mod ring;
pub(crate) mod rsa;
mod safegcd;

pub use aws_lc::AwsLc;
pub(crate) use curve25519::{Peer, WORTHWHILE};
pub(crate) use document::scalar_and_point;
pub use judge::{Judge, scalars_match};
pub use key::{DeviceKey, PrivateKey, PrivateKeyError, SignatureAlgorithm, SigningKey, verifies};
pub use lanes::Lanes;
pub use random::Random;
pub use ring::Ring;
pub use rsa::Rsa;

use crate::profile::KeyType;

/// Every engine, by name.
pub const ENGINES: [&dyn Engine; 5] = [&Lanes, &Rsa::Lanes, &Rsa::Portable, &AwsLc, &Ring];

/// What an engine cannot do, or failed at.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("there is no engine {name}; there are auto, {}", ENGINES.map(KeyMaker::name).join(", "))]
    Unknown { name: String },
    #[error("engine {engine} makes no {key_type} keys")]
    NoKeys { engine: &'static str, key_type: KeyType },
    #[error("engine {engine} does not sign with {key_type} keys")]
    NoSignatures { engine: &'static str, key_type: KeyType },
    #[error("engine {engine} needs a processor with AVX-512 IFMA, which this one has not")]
    Processor { engine: &'static str },
    #[error(
        "there is no engine multi-buffer any more: lanes does its work several times as fast, and needs no library"
    )]
    MultiBuffer,
    #[error("engine {engine} refuses the {key_type} key: {reason}")]
    KeyRejected {
        engine: &'static str,
        key_type: KeyType,
        reason: String,
    },
    #[error("engine {engine} failed to {operation}")]
    Failed {
        engine: &'static str,
        operation: &'static str,
    },
    #[error("the operating system gives no random octets")]
    Random,
}

impl EngineError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. }
            | Self::NoKeys { .. }
            | Self::NoSignatures { .. }
            | Self::Processor { .. }
            | Self::MultiBuffer => Some("--engine auto takes the fastest engine that can".to_owned()),
            Self::KeyRejected { .. } => Some(
                "--engine auto may take it; `openssl pkey -check -in KEY` tells whether it is sound"
                    .to_owned(),
            ),
            Self::Failed { .. } | Self::Random => None,
        }
    }
}

/// Makes device keys.
pub trait KeyMaker: Send + Sync {
    /// The name by which users choose it.
    fn name(&self) -> &'static str;

    fn makes(&self, key_type: KeyType) -> bool;

    /// Fills every slot with a new key pair.
    ///
    /// # Errors
    ///
    /// When this type is not made, or the source of randomness fails; none of the slots may then be used.
    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError>;

    /// How many keys of a type it makes with no more work for each than for more: more of them are as well made by several
    /// threads.
    fn at_a_time(&self, _: KeyType) -> usize {
        1
    }
}

/// Makes device keys, and signatures with keys in memory.
pub trait Engine: KeyMaker {
    /// Whether the engine works on this machine, which may have to be tried out the first time.
    ///
    /// # Errors
    ///
    /// When it does not.
    fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn signs(&self, key_type: KeyType) -> bool;

    /// What signs with a key.
    ///
    /// # Errors
    ///
    /// When the engine does not sign with this type, or the key is not sound.
    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError>;
}

/// Signs with one key in memory.
pub trait KeySigner: Send + Sync {
    /// Replaces `signatures[i]` by the signature over `messages[i]`, as X.509 carries it: DER for
    /// ECDSA, PKCS#1 v1.5 for RSA. The slices have one length.
    ///
    /// # Errors
    ///
    /// When a signature cannot be made; none of the results may then be used.
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError>;
}

/// A library's signature, one at a time: its key is within; it fills an empty buffer.
struct OneByOne<S>(S);

impl<S: Fn(&[u8], &mut Vec<u8>) -> Result<(), EngineError> + Send + Sync> KeySigner for OneByOne<S> {
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        for (message, signature) in messages.iter().zip(signatures) {
            signature.clear();
            self.0(message, signature)?;
        }
        Ok(())
    }
}

/// Which engine to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// The fastest that can, by key type.
    #[default]
    Auto,
    Named(String),
}

impl Choice {
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "auto" => Self::Auto,
            name => Self::Named(name.to_owned()),
        }
    }

    /// The engine that makes keys of this type.
    ///
    /// # Errors
    ///
    /// When there is no such engine, it does not make them, or it does not work here.
    pub fn for_keys(&self, key_type: KeyType) -> Result<&'static dyn Engine, EngineError> {
        match self.named()? {
            Some(engine) if engine.makes(key_type) => engine.ready().map(|()| engine),
            Some(engine) => Err(EngineError::NoKeys {
                engine: engine.name(),
                key_type,
            }),
            None => Ok(fastest(|engine| engine.makes(key_type))),
        }
    }

    /// The engine that signs with keys of this type.
    ///
    /// # Errors
    ///
    /// When there is no such engine, it does not sign with them, or it does not work here.
    pub fn for_signatures(&self, key_type: KeyType) -> Result<&'static dyn Engine, EngineError> {
        match self.named()? {
            Some(engine) if engine.signs(key_type) => engine.ready().map(|()| engine),
            Some(engine) if KeyType::ALL.iter().any(|key_type| engine.signs(*key_type)) => {
                Err(EngineError::NoSignatures {
                    engine: engine.name(),
                    key_type,
                })
            }
            // An engine that makes keys and no signatures leaves these to the fastest.
            _ => Ok(fastest(|engine| engine.signs(key_type))),
        }
    }

    fn named(&self) -> Result<Option<&'static dyn Engine>, EngineError> {
        let Self::Named(name) = self else { return Ok(None) };
        ENGINES
            .into_iter()
            .find(|engine| engine.name() == name)
            .map(Some)
            .ok_or_else(|| match name.as_str() {
                "multi-buffer" => EngineError::MultiBuffer,
                _ => EngineError::Unknown { name: name.clone() },
            })
    }
}

/// The first of [`ENGINES`] that can, and works here. They stand there fastest first, as `certforge bench` finds them:
/// lanes for P-256 and rsa for RSA keys, where the processor has what they need, and rsa-portable where it has not, nearly
/// three times as fast as aws-lc. aws-lc makes P-256 keys a fifth faster than ring and P-384 keys some seven times, and signs
/// faster for every curve; for RSA signatures the two are level, and aws-lc zeroizes what ring does not.
fn fastest(can: impl Fn(&dyn Engine) -> bool) -> &'static dyn Engine {
    ENGINES
        .into_iter()
        .find(|engine| can(*engine) && engine.ready().is_ok())
        .expect("aws-lc makes and signs with every key type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_an_engine_for_every_key_type() {
        for key_type in KeyType::ALL {
            assert!(Choice::Auto.for_keys(key_type).unwrap().makes(key_type));
            assert!(Choice::Auto.for_signatures(key_type).unwrap().signs(key_type));
        }
    }

    #[test]
    fn a_named_engine_is_taken_or_refused_never_replaced() {
        let ring = Choice::parse("ring");
        assert_eq!(ring.for_keys(KeyType::P256).unwrap().name(), "ring");
        assert!(matches!(
            ring.for_keys(KeyType::Rsa2048),
            Err(EngineError::NoKeys {
                engine: "ring",
                key_type: KeyType::Rsa2048
            })
        ));
        let rsa = Choice::parse("rsa");
        assert!(rsa.for_keys(KeyType::P256).is_err());
        assert!(
            rsa.for_signatures(KeyType::P256).unwrap().signs(KeyType::P256),
            "it signs nothing itself"
        );
        assert!(matches!(
            Choice::parse("rang").for_keys(KeyType::P256),
            Err(EngineError::Unknown { .. })
        ));
    }

    #[test]
    fn keys_are_pkcs8_and_their_public_key_matches() {
        for engine in ENGINES.into_iter().filter(|engine| engine.ready().is_ok()) {
            for key_type in KeyType::ALL {
                if !engine.makes(key_type) {
                    let mut keys = [DeviceKey::default()];
                    assert!(engine.make_keys(key_type, &mut keys).is_err());
                    continue;
                }
                let mut keys = vec![DeviceKey::default(); if key_type.is_rsa() { 1 } else { 3 }];
                engine.make_keys(key_type, &mut keys).unwrap();
                for key in &keys {
                    let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
                    let signing = private.prove(key.public_key()).expect("the halves match");
                    assert_eq!(signing.key_type(), key_type);
                }
                let mut public: Vec<_> = keys.iter().map(|key| key.public_key().to_vec()).collect();
                public.dedup();
                assert_eq!(public.len(), keys.len(), "keys differ");
            }
        }
    }
}
