//! aws-lc: every key type, and the fastest of the portable engines.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256,
};

use super::document::Document;
use super::key::Secret;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, OneByOne, SigningKey};
use crate::profile::KeyType;

/// The engine on aws-lc-rs.
#[derive(Debug, Clone, Copy)]
pub struct AwsLc;

const NAME: &str = "aws-lc";

enum Family {
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Rsa(KeySize),
}

fn family(key_type: KeyType) -> Family {
    match key_type {
        KeyType::P256 => Family::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::P384 => Family::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyType::P521 => Family::Ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
        KeyType::Rsa2048 => Family::Rsa(KeySize::Rsa2048),
        KeyType::Rsa3072 => Family::Rsa(KeySize::Rsa3072),
        KeyType::Rsa4096 => Family::Rsa(KeySize::Rsa4096),
    }
}

impl KeyMaker for AwsLc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn makes(&self, _: KeyType) -> bool {
        true
    }

    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
        let random = SystemRandom::new();
        for key in keys {
            match family(key_type) {
                Family::Ecdsa(algorithm) => make_ec_key(key_type, algorithm, &random, key)?,
                Family::Rsa(size) => {
                    let pair = RsaKeyPair::generate(size).map_err(|_| failed("make a key"))?;
                    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed("encode a key"))?;
                    key.set(pkcs8.as_ref(), pair.public_key().as_ref());
                }
            }
        }
        Ok(())
    }
}

impl Engine for AwsLc {
    fn signs(&self, _: KeyType) -> bool {
        true
    }

    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError> {
        let key_type = key.key_type();
        let random = SystemRandom::new();
        match (key.secret(), family(key_type)) {
            (Secret::Ec { scalar, public_key }, Family::Ecdsa(algorithm)) => {
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public_key)
                    .map_err(|e| key.rejected(NAME, &e))?;
                Ok(Box::new(OneByOne(
                    move |message: &[u8], signature: &mut Vec<u8>| {
                        let made = pair.sign(&random, message).map_err(|_| failed("sign"))?;
                        signature.extend_from_slice(made.as_ref());
                        Ok(())
                    },
                )))
            }
            (Secret::Rsa { pkcs1 }, Family::Rsa(_)) => {
                let pair = RsaKeyPair::from_der(pkcs1).map_err(|e| key.rejected(NAME, &e))?;
                Ok(Box::new(OneByOne(
                    move |message: &[u8], signature: &mut Vec<u8>| {
                        signature.resize(pair.public_modulus_len(), 0);
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

/// Makes a key. aws-lc writes a document slowly, so where it is ours to write it is not asked to.
fn make_ec_key(
    key_type: KeyType,
    algorithm: &'static EcdsaSigningAlgorithm,
    random: &SystemRandom,
    key: &mut DeviceKey,
) -> Result<(), EngineError> {
    let Some(document) = Document::of(key_type) else {
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| failed("make a key"))?;
        key.set_ec(key_type, document.as_ref());
        return Ok(());
    };
    let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| failed("make a key"))?;
    // Zeroized when it is dropped.
    let private: EcPrivateKeyBin<'_> = pair
        .private_key()
        .as_be_bytes()
        .map_err(|_| failed("encode a key"))?;
    let public = pair.public_key().as_ref();
    key.write_ec(document, |place, coordinates| {
        place.copy_from_slice(private.as_ref());
        coordinates.copy_from_slice(&public[1..]);
    });
    Ok(())
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        operation,
    }
}
