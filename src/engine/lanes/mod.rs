//! lanes: P-256 in eight lanes of AVX-512 IFMA, in plain Rust.
//!
//! Keys and signatures are made a group at a time: points by combs of the base point in affine coordinates, whose
//! denominators are inverted together ([`comb`](eight)), and all lanes by one inversion ([`inversion`]). One source of
//! the arithmetic (`field`, `order`, `comb`, `signature`) is compiled for words of eight lanes ([`eight`]), for words
//! of one, which any processor has ([`one`]), and in the tests for words that show that no limb ever overflows
//! (`checked`).
//!
//! What is made is proven before anybody gets it: every public key by the curve's equation, and the keys of a group by
//! their sum, which must be that of aws-lc for the sum of the private keys as they stand in their documents; every
//! signature by the verifier ([`verifier`]), and one of a thousand by aws-lc.
//!
//! No branch and no address depends on a secret, but for numbers that are thrown away. What is inverted is blinded.
//! Private keys and nonces come straight from the operating system, a group at a time; they and all that was worked
//! with are zeroized.

#![expect(
    clippy::duplicate_mod,
    reason = "the same arithmetic is compiled for each kind of words"
)]
#![expect(
    clippy::many_single_char_names,
    clippy::needless_range_loop,
    reason = "formulas have the names that papers give them, and limbs their places"
)]

#[cfg(test)]
mod checked;
mod der;
#[cfg(target_arch = "x86_64")]
mod eight;
/// Other processors have no eight lanes, and nobody asks for them.
#[cfg(not(target_arch = "x86_64"))]
mod eight {
    pub use super::one::*;
    pub fn is_here() -> bool {
        false
    }
}
#[cfg(test)]
mod fault;
mod inversion;
mod keys;
pub(super) mod number;
mod one;
mod signer;
mod table;
#[cfg(test)]
mod tests;
mod verifier;

use std::sync::OnceLock;

use zeroize::Zeroize;

pub(crate) use self::eight::{IFMA_A_KEY, IFMA_A_SIGNATURE};
pub(super) use self::keys::public_keys;
use self::number::{N, Number};
use self::table::SecretComb;
pub(super) use self::verifier::{Verifier, WORTHWHILE};
use super::key::Secret;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, Random, SigningKey};
use crate::profile::KeyType;
use crate::wiped::Wiped;

/// The engine in lanes.
#[derive(Debug, Clone, Copy)]
pub struct Lanes;

const NAME: &str = "lanes";

/// Numbers of a group at most.
const GROUP: usize = eight::BATCH;

/// Times that a group is drawn before it is given up. Chance alone refuses less than one in 2^200.
const TRIES: usize = 3;

impl KeyMaker for Lanes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn makes(&self, key_type: KeyType) -> bool {
        key_type == KeyType::P256
    }

    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
        if !self.makes(key_type) {
            return Err(EngineError::NoKeys {
                engine: NAME,
                key_type,
            });
        }
        self.ready()?;
        let made = keys.chunks_mut(GROUP).try_for_each(keys::make);
        if made.is_err() {
            keys.iter_mut().for_each(Zeroize::zeroize);
        }
        made
    }
}

impl Engine for Lanes {
    fn ready(&self) -> Result<(), EngineError> {
        match eight::is_here() {
            true => Ok(()),
            false => Err(EngineError::Processor { engine: NAME }),
        }
    }

    fn signs(&self, key_type: KeyType) -> bool {
        key_type == KeyType::P256
    }

    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError> {
        let key_type = key.key_type();
        match key.secret() {
            Secret::Ec { scalar, public_key } if self.signs(key_type) => {
                self.ready()?;
                Ok(Box::new(signer::LanesSigner::new(scalar, public_key)))
            }
            _ => Err(EngineError::NoSignatures {
                engine: NAME,
                key_type,
            }),
        }
    }
}

/// The comb that secret scalars are multiplied by, made when it is first asked for.
fn comb() -> &'static SecretComb {
    static COMB: OnceLock<SecretComb> = OnceLock::new();
    COMB.get_or_init(|| SecretComb::new(eight::SECRET_BITS))
}

/// Draws numbers between 1 and n - 1 (FIPS 186-5, A.2.2: those out of range are thrown away and drawn anew).
fn draw(numbers: &mut [Number]) -> Result<(), EngineError> {
    let mut octets = Wiped::<[u8; 32], GROUP>::new();
    for numbers in numbers.chunks_mut(GROUP) {
        let octets = &mut octets[..numbers.len()];
        Random.fill(octets.as_flattened_mut())?;
        for (number, octets) in numbers.iter_mut().zip(octets) {
            *number = Number::of_octets(octets);
            while number.is_zero() || !number.is_below(&N) {
                Random.fill(octets)?;
                *number = Number::of_octets(octets);
            }
        }
    }
    Ok(())
}

/// Numbers that fill words: so many, rounded up.
fn whole(count: usize) -> usize {
    count.next_multiple_of(eight::GROUP)
}

/// Does nothing but so many times the multiplications of a key or a signature, [`IFMA_A_KEY`] or [`IFMA_A_SIGNATURE`]:
/// the limit that measurements are held against.
///
/// # Errors
///
/// When the processor is another.
pub(crate) fn multiplications(count: usize, ifma: u64) -> Result<(), EngineError> {
    Lanes.ready()?;
    eight::run(eight::Job::Saturate(count as u64 * ifma / eight::IFMA_A_ROUND));
    Ok(())
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        operation,
    }
}
