//! The bare library beneath an engine: its version, and what it does by itself, which is the limit that a measurement
//! is held against.

use std::fmt;

use crate::engine::lanes::{IFMA_A_KEY, IFMA_A_SIGNATURE, multiplications};
use crate::engine::rsa::ifma_of_rsa;
use crate::engine::{AwsLc, Engine, EngineError, KeyMaker, Lanes, Ring, Rsa};
use crate::profile::KeyType;
use aws_lc_rs::{rsa, signature as aws_lc};
use ring::signature as ring;

/// Makes so many key pairs, or so many signatures, and throws them away.
pub type BareWork = Box<dyn Fn(usize) -> Result<(), EngineError> + Send + Sync>;

/// What a library does by itself: nothing is encoded, checked or kept, and where the library allows it no
/// randomness is drawn.
pub struct Bare {
    pub keys: BareWork,
    pub signatures: BareWork,
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bare(elided)")
    }
}

/// What is signed: as long as the TBSCertificate of a device with a P-256 key.
const MESSAGE: [u8; 350] = [7; 350];

/// The library beneath an engine, by name and version.
pub(super) fn library(engine: &dyn Engine) -> String {
    match engine.name() {
        name if name == Lanes.name() => "P-256 in eight lanes of AVX-512 IFMA".to_owned(),
        name if name == Rsa::Lanes.name() => "RSA keys in eight lanes of AVX-512 IFMA".to_owned(),
        name if name == Rsa::Portable.name() => format!(
            "RSA keys by the multiplication of aws-lc-sys {}",
            locked("aws-lc-sys")
        ),
        name if name == Ring.name() => format!("ring {}", locked("ring")),
        name if name == AwsLc.name() => format!(
            "aws-lc-rs {}, aws-lc-sys {}",
            locked("aws-lc-rs"),
            locked("aws-lc-sys")
        ),
        name => name.to_owned(),
    }
}

impl Bare {
    /// The library beneath an engine, with keys of one type; `None` of an engine that stands on none.
    ///
    /// # Errors
    ///
    /// When the engine does not make and sign with this type.
    pub(super) fn beneath(engine: &dyn Engine, key_type: KeyType) -> Result<Option<Self>, EngineError> {
        let refused = EngineError::NoKeys {
            engine: engine.name(),
            key_type,
        };
        let bare = match engine.name() {
            name if name == Lanes.name() && key_type == KeyType::P256 => Ok(of_lanes()),
            name if name == Lanes.name() => return Err(refused),
            name if name == Rsa::Lanes.name() => Ok(of_rsa(ifma_of_rsa(key_type).ok_or(refused)?)),
            name if name == Ring.name() => of_ring(name, ring_curve(key_type).ok_or(refused)?),
            name if name == AwsLc.name() => match key_type {
                KeyType::P256 => aws_lc_curve(name, &aws_lc::ECDSA_P256_SHA256_ASN1_SIGNING),
                KeyType::P384 => aws_lc_curve(name, &aws_lc::ECDSA_P384_SHA384_ASN1_SIGNING),
                KeyType::P521 => aws_lc_curve(name, &aws_lc::ECDSA_P521_SHA512_ASN1_SIGNING),
                KeyType::Rsa2048 => aws_lc_rsa(name, rsa::KeySize::Rsa2048),
                KeyType::Rsa3072 => aws_lc_rsa(name, rsa::KeySize::Rsa3072),
                KeyType::Rsa4096 => aws_lc_rsa(name, rsa::KeySize::Rsa4096),
            },
            name if name == Rsa::Portable.name() && !key_type.is_rsa() => return Err(refused),
            _ => return Ok(None),
        };
        bare.map(Some)
    }

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

fn ring_curve(key_type: KeyType) -> Option<&'static ring::EcdsaSigningAlgorithm> {
    match key_type {
        KeyType::P256 => Some(&ring::ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::P384 => Some(&ring::ECDSA_P384_SHA384_ASN1_SIGNING),
        _ => None,
    }
}

fn of_ring(
    engine: &'static str,
    algorithm: &'static ring::EcdsaSigningAlgorithm,
) -> Result<Bare, EngineError> {
    use ::ring::rand::SystemRandom;
    let random = SystemRandom::new();
    let pair = ring::EcdsaKeyPair::generate_pkcs8(algorithm, &random)
        .ok()
        .and_then(|document| ring::EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).ok())
        .ok_or_else(|| no_key(engine))?;
    Ok(Bare::one_by_one(
        engine,
        // It has no way to a key that is not encoded.
        move || ring::EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).is_ok(),
        move || pair.sign(&SystemRandom::new(), &MESSAGE).is_ok(),
    ))
}

fn aws_lc_curve(
    engine: &'static str,
    algorithm: &'static aws_lc::EcdsaSigningAlgorithm,
) -> Result<Bare, EngineError> {
    use aws_lc_rs::rand::SystemRandom;
    let pair = aws_lc::EcdsaKeyPair::generate(algorithm).map_err(|_| no_key(engine))?;
    Ok(Bare::one_by_one(
        engine,
        move || aws_lc::EcdsaKeyPair::generate(algorithm).is_ok(),
        move || pair.sign(&SystemRandom::new(), &MESSAGE).is_ok(),
    ))
}

fn aws_lc_rsa(engine: &'static str, size: rsa::KeySize) -> Result<Bare, EngineError> {
    use aws_lc_rs::rand::SystemRandom;
    let pair = rsa::KeyPair::generate(size).map_err(|_| no_key(engine))?;
    Ok(Bare::one_by_one(
        engine,
        move || rsa::KeyPair::generate(size).is_ok(),
        move || {
            let mut signature = [0; 512];
            let signature = &mut signature[..pair.public_modulus_len()];
            pair.sign(
                &aws_lc::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                &MESSAGE,
                signature,
            )
            .is_ok()
        },
    ))
}

/// No library is beneath: the limit is what the multiplications take that keys and signatures need.
fn of_lanes() -> Bare {
    Bare {
        keys: Box::new(|count| multiplications(count, IFMA_A_KEY)),
        signatures: Box::new(|count| multiplications(count, IFMA_A_SIGNATURE)),
    }
}

/// Nor beneath this: the limit is what the squares take that its primes need on average.
fn of_rsa(ifma: u64) -> Bare {
    Bare {
        keys: Box::new(move |count| multiplications(count, ifma)),
        signatures: Box::new(|_| unreachable!("it signs nothing")),
    }
}

fn no_key(engine: &'static str) -> EngineError {
    EngineError::Failed {
        engine,
        operation: "make a key",
    }
}

/// The version of a crate in `Cargo.lock`, or nothing when it is not there.
fn locked(crate_name: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{crate_name}\"\nversion = \"");
    LOCK.split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_crates_by_their_whole_name() {
        for name in ["ring", "aws-lc-rs", "aws-lc-sys"] {
            assert!(locked(name).starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
        assert_eq!(locked("rin"), "");
    }
}
