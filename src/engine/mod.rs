//! Engines: key pairs and signatures, many at a time.
//!
//! An engine takes a slice of work and fills a slice of results, so that one which does eight at a
//! time and one which does one at a time look alike. Device keys never sign anything here, so no
//! engine parses a key back after making it.
//!
//! To add an engine: one file with a type that implements [`Engine`], and a line in [`ENGINES`].

mod aws_lc;
mod document;
mod key;
mod locked;
mod multi_buffer;
mod ring;

use std::fmt;

pub use aws_lc::AwsLc;
pub use key::{DeviceKey, PrivateKey, PrivateKeyError, SignatureAlgorithm, SigningKey, verifies};
pub use multi_buffer::{MultiBuffer, Unavailable};
pub use ring::Ring;

use crate::profile::KeyType;

/// Every engine, by name.
pub const ENGINES: [&dyn Engine; 3] = [&MultiBuffer, &AwsLc, &Ring];

/// What an engine cannot do, or failed at.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("there is no engine {name}; there are auto, {}", ENGINES.map(Engine::name).join(", "))]
    Unknown { name: String },
    #[error("engine {engine} makes no {key_type} keys")]
    NoKeys { engine: &'static str, key_type: KeyType },
    #[error("engine {engine} does not sign with {key_type} keys")]
    NoSignatures { engine: &'static str, key_type: KeyType },
    #[error("engine {engine} is not available")]
    Unavailable {
        engine: &'static str,
        #[source]
        reason: Unavailable,
    },
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
}

impl EngineError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } | Self::NoKeys { .. } | Self::NoSignatures { .. } => {
                Some("--engine auto takes the fastest engine that can".to_owned())
            }
            Self::Unavailable { reason, .. } => Some(reason.hint()),
            Self::KeyRejected { .. } => Some(
                "--engine auto may take it; `openssl pkey -check -in KEY` tells whether it is sound"
                    .to_owned(),
            ),
            Self::Failed { .. } => None,
        }
    }
}

/// Makes device keys and signatures.
pub trait Engine: Send + Sync {
    /// The name by which users choose it.
    fn name(&self) -> &'static str;

    /// Whether the engine works on this machine, which may have to be tried out the first time.
    ///
    /// # Errors
    ///
    /// When it does not.
    fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn makes(&self, key_type: KeyType) -> bool;

    fn signs(&self, key_type: KeyType) -> bool;

    /// Fills every slot with a new key pair.
    ///
    /// # Errors
    ///
    /// When the engine does not make this type, or its source of randomness fails; none of the slots may then be
    /// used.
    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError>;

    /// A signer for an issuer's key, once proven to match the issuer's public key.
    ///
    /// # Errors
    ///
    /// When the engine does not sign with this type, or the key is not sound.
    fn signer(&self, key: &SigningKey) -> Result<Box<dyn Signer>, EngineError>;

    /// The library beneath, by name and version.
    fn library(&self) -> String;

    /// The library beneath, without what the engine adds to it: the limit that a measurement is held against.
    ///
    /// # Errors
    ///
    /// When the engine does not make and sign with this type.
    fn bare(&self, key_type: KeyType) -> Result<Bare, EngineError>;

    /// Fills a slice from the operating system's CSPRNG, or one seeded by it.
    ///
    /// # Errors
    ///
    /// When the source fails.
    fn random(&self, octets: &mut [u8]) -> Result<(), EngineError>;
}

/// Makes so many key pairs, or so many signatures, and throws them away.
pub type BareWork = Box<dyn Fn(usize) -> Result<(), EngineError> + Send + Sync>;

/// What a library does by itself: nothing is encoded, checked or kept, and where the library allows it no
/// randomness is drawn.
pub struct Bare {
    pub keys: BareWork,
    pub signatures: BareWork,
}

impl Bare {
    /// Of a library that makes one key and one signature at a time.
    fn one_by_one(
        engine: &'static str,
        key: impl Fn() -> bool + Send + Sync + 'static,
        sign: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let all = move |is_done: bool, operation| match is_done {
            true => Ok(()),
            false => Err(EngineError::Failed { engine, operation }),
        };
        Self {
            keys: Box::new(move |count| all((0..count).all(|_| key()), "make a key")),
            signatures: Box::new(move |count| all((0..count).all(|_| sign()), "sign")),
        }
    }
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bare(elided)")
    }
}

/// What [`Bare`] signs: as long as the TBSCertificate of a device with a P-256 key.
const BARE_MESSAGE: [u8; 350] = [7; 350];

/// Signs with one issuer's key.
pub trait Signer: Send + Sync {
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Replaces `signatures[i]` by the signature over `messages[i]`, as X.509 carries it: DER for
    /// ECDSA, PKCS#1 v1.5 for RSA. The slices have one length.
    ///
    /// # Errors
    ///
    /// When a signature cannot be made; none of the results may then be used.
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError>;
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({:?}, key elided)", self.algorithm())
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
            Some(engine) => Err(EngineError::NoSignatures {
                engine: engine.name(),
                key_type,
            }),
            None => Ok(fastest(|engine| engine.signs(key_type))),
        }
    }

    fn named(&self) -> Result<Option<&'static dyn Engine>, EngineError> {
        let Self::Named(name) = self else { return Ok(None) };
        ENGINES
            .into_iter()
            .find(|engine| engine.name() == name)
            .map(Some)
            .ok_or_else(|| EngineError::Unknown { name: name.clone() })
    }
}

/// The first of [`ENGINES`] that can, and works here. They stand there fastest first, as `certforge bench` finds them:
/// multi-buffer for both of its curves, where there is what it needs. aws-lc makes P-256 keys a fifth faster than ring
/// and P-384 keys some seven times, and signs faster for every curve; for RSA signatures the two are level, and aws-lc
/// zeroizes what ring does not.
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
