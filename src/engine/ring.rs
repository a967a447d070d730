//! ring: EC keys on P-256 and P-384, signatures with those and with RSA.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::key::Secret;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, OneByOne, SigningKey};
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
        match (key.secret(), ecdsa(key_type)) {
            (Secret::Ec { scalar, public_key }, Some(algorithm)) => {
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public_key, &random)
                        .map_err(|e| key.rejected(NAME, &e))?;
                Ok(Box::new(OneByOne(
                    move |message: &[u8], signature: &mut Vec<u8>| {
                        let made = pair.sign(&random, message).map_err(|_| failed("sign"))?;
                        signature.extend_from_slice(made.as_ref());
                        Ok(())
                    },
                )))
            }
            (Secret::Rsa { pkcs1 }, _) => {
                let pair = RsaKeyPair::from_der(pkcs1).map_err(|e| key.rejected(NAME, &e))?;
                Ok(Box::new(OneByOne(
                    move |message: &[u8], signature: &mut Vec<u8>| {
                        signature.resize(pair.public().modulus_len(), 0);
                        pair.sign(&RSA_PKCS1_SHA256, &random, message, signature)
                            .map_err(|_| failed("sign"))
                    },
                )))
            }
            _ => Err(EngineError::NoSignatures {
                engine: NAME,
                key_type,
            }),
        }
    }
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        operation,
    }
}
