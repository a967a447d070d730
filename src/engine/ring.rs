//! ring: EC keys on P-256 and P-384, signatures with those and with RSA.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::key::Secret;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, SigningKey};
use crate::profile::KeyType;

/// The engine on ring.
#[derive(Debug, Clone, Copy)]
pub struct Ring;

const NAME: &str = "ring";

fn ecdsa(key_type: KeyType) -> Option<&'static EcdsaSigningAlgorithm> {
    match key_type {
        KeyType::P256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::P384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        _ => None,
    }
}

impl KeyMaker for Ring {
    fn name(&self) -> &'static str {
        NAME
    }

    fn makes(&self, key_type: KeyType) -> bool {
        ecdsa(key_type).is_some()
    }

    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
        let algorithm = ecdsa(key_type).ok_or(EngineError::NoKeys {
            engine: NAME,
            key_type,
        })?;
        let random = SystemRandom::new();
        for key in keys {
            let document =
                EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed("make a key"))?;
            key.set_ec(key_type, document.as_ref());
        }
        Ok(())
    }
}

impl Engine for Ring {
    fn signs(&self, key_type: KeyType) -> bool {
        key_type.is_rsa() || ecdsa(key_type).is_some()
    }

    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError> {
        let key_type = key.key_type();
        let random = SystemRandom::new();
        let pair = match (key.secret(), ecdsa(key_type)) {
            (Secret::Ec { scalar, public_key }, Some(algorithm)) => {
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public_key, &random);
                Pair::Ecdsa(pair.map_err(|e| key.rejected(NAME, &e))?)
            }
            (Secret::Rsa { pkcs1 }, _) => {
                Pair::Rsa(RsaKeyPair::from_der(pkcs1).map_err(|e| key.rejected(NAME, &e))?)
            }
            _ => {
                return Err(EngineError::NoSignatures {
                    engine: NAME,
                    key_type,
                });
            }
        };
        Ok(Box::new(RingSigner { pair, random }))
    }
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

struct RingSigner {
    pair: Pair,
    random: SystemRandom,
}

impl KeySigner for RingSigner {
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        for (message, signature) in messages.iter().zip(signatures) {
            signature.clear();
            match &self.pair {
                Pair::Ecdsa(pair) => {
                    let made = pair.sign(&self.random, message).map_err(|_| failed("sign"))?;
                    signature.extend_from_slice(made.as_ref());
                }
                Pair::Rsa(pair) => {
                    signature.resize(pair.public().modulus_len(), 0);
                    pair.sign(&RSA_PKCS1_SHA256, &self.random, message, signature)
                        .map_err(|_| failed("sign"))?;
                }
            }
        }
        Ok(())
    }
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        operation,
    }
}
