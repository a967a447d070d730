//! rsa: RSA keys of 2,048, 3,072 and 4,096 bits, in eight lanes of AVX-512 IFMA, in plain Rust; and rsa-portable, which
//! makes the same keys on any processor, by aws-lc's multiplication.
//!
//! Primes are found as FIPS 186-5, A.1.3 has it: random candidates that stand alone ([`search`]), each divided by small
//! primes ([`small`]), filtered to base 2, and proven by rounds with random bases. A queue holds what waits for each of
//! these, so that all lanes are full, and feeds many keys. Each key is put together ([`assembly`]) and proven before
//! anybody gets it: what it signs by way of its primes is what its public half says of it.
//!
//! One source of the arithmetic (`modulus`, `prime`, `power`, `division`) is compiled for words of eight lanes ([`eight`]), for
//! words of one, which any processor has ([`one`]), and in the tests for words that show that no limb ever overflows (`checked`).
//! On one lane powers take so long that no more keys would come of it than aws-lc makes, so there they are aws-lc's
//! ([`library`], [`montgomery`]).
//!
//! No branch and no address depends on a prime that is kept. What is seen of a candidate that is thrown away says nothing
//! of it. Candidates of many keys come from a generator that the standard approves of ([`Random::fill_much`]), and nothing that was drawn
//! or found is kept from one call to the next: what was worked with is zeroized.

#![expect(
    clippy::duplicate_mod,
    reason = "the same arithmetic is compiled for each kind of words"
)]
#![expect(
    clippy::many_single_char_names,
    clippy::needless_range_loop,
    reason = "formulas have the names that papers give them, and limbs their places"
)]

mod assembly;
#[cfg(test)]
mod checked;
mod document;
#[cfg(target_arch = "x86_64")]
mod eight;
/// Other processors have no eight lanes.
#[cfg(not(target_arch = "x86_64"))]
mod eight {
    pub use super::one::*;
    pub fn is_here() -> bool {
        false
    }
}
#[cfg(test)]
mod fault;
mod gcd;
mod library;
mod montgomery;
mod natural;
mod number;
mod one;
mod search;
mod small;
mod stream;
#[cfg(test)]
mod tests;
mod words;

use zeroize::Zeroize;

use self::assembly::{Key, complete, of_primes};
use self::search::Search;
use self::stream::{Fill, Stream};
use self::words::Words;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, Random, SigningKey};
use crate::profile::KeyType;
use crate::wiped::Wiped;

/// The engines for RSA keys.
#[derive(Debug, Clone, Copy)]
pub enum Rsa {
    /// In eight lanes, on processors that have them.
    Lanes,
    /// On any processor.
    Portable,
}

/// Keys that fill all lanes: what their search has begun when there are enough is little beside what it has found.
const AT_A_TIME: usize = 16;

/// Times that primes are drawn for keys that they do not make, before these are given up.
const TRIES: usize = 3;

impl KeyMaker for Rsa {
    fn name(&self) -> &'static str {
        match self {
            Self::Lanes => "rsa",
            Self::Portable => "rsa-portable",
        }
    }

    fn makes(&self, key_type: KeyType) -> bool {
        key_type.is_rsa()
    }

    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
        self.ready()?;
        let words = self.words();
        // The faster generator seeds itself once, which takes as long as some keys do.
        let are_few = keys.len() < AT_A_TIME;
        let mut fill = |octets: &mut [u8]| match are_few {
            true => Random.fill(octets),
            false => Random.fill_much(octets),
        };
        let made = match key_type {
            KeyType::Rsa2048 => make::<20, 40>(keys, 1024, words, &mut fill),
            KeyType::Rsa3072 => make::<30, 60>(keys, 1536, words, &mut fill),
            KeyType::Rsa4096 => make::<40, 80>(keys, 2048, words, &mut fill),
            _ => Err(EngineError::NoKeys {
                engine: self.name(),
                key_type,
            }),
        };
        clean_the_stack();
        made.map_err(|error| {
            keys.iter_mut().for_each(Zeroize::zeroize);
            match error {
                EngineError::Failed { operation, .. } => EngineError::Failed {
                    engine: self.name(),
                    operation,
                },
                error => error,
            }
        })
    }

    fn at_a_time(&self, _: KeyType) -> usize {
        match self {
            Self::Lanes => AT_A_TIME,
            Self::Portable => 1,
        }
    }
}

impl Engine for Rsa {
    fn ready(&self) -> Result<(), EngineError> {
        match self {
            Self::Lanes if !eight::is_here() => Err(EngineError::Processor { engine: self.name() }),
            _ => Ok(()),
        }
    }

    fn signs(&self, _: KeyType) -> bool {
        false
    }

    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError> {
        Err(EngineError::NoSignatures {
            engine: self.name(),
            key_type: key.key_type(),
        })
    }
}

impl Rsa {
    fn words(self) -> Words {
        match self {
            Self::Lanes => Words::Eight,
            Self::Portable => Words::Library,
        }
    }
}

/// Multiplying instructions that a key of a type takes on average, if there were nothing but the squares of its primes'
/// tests: the limit that measurements are held against.
pub(crate) fn ifma_of_rsa(key_type: KeyType) -> Option<u64> {
    let (bits, limbs) = match key_type {
        KeyType::Rsa2048 => (1024, 20),
        KeyType::Rsa3072 => (1536, 30),
        KeyType::Rsa4096 => (2048, 40),
        _ => return None,
    };
    // Of odd numbers below 2^bits, 2 in ln 2^bits are primes; 2 e^-γ in ln 2^16 have no divisor below 2^16. So many filters
    // find two primes, then there are the rounds, and three powers that complete the key and prove it.
    let powers = bits * 7_018 / 100_000 + 2 * search::ROUNDS as u64 + 3;
    let square = limbs * (limbs + 1) + 2 * limbs * limbs + 1;
    Some(powers * bits * square / eight::LANES as u64)
}

/// Makes keys of two primes of so many bits each, which have N limbs, and products M.
fn make<const N: usize, const M: usize>(
    mut keys: &mut [DeviceKey],
    bits: usize,
    words_: Words,
    fill: &mut Fill<'_>,
) -> Result<(), EngineError> {
    let mut search = Search::<N>::new(words_, bits, Stream::new(fill));
    for _ in 0..TRIES {
        let primes = search.primes(2 * keys.len())?;
        let (pairs, _) = primes.as_chunks::<2>();
        let joined = pairs.iter().map(|pair| of_primes(pair, bits));
        let mut made: Vec<Key> = joined.flatten().collect();
        if !complete::<N, M>(&mut made, words_, search.random())? {
            return Err(failed("make keys whose halves match"));
        }
        for (place, key) in keys.iter_mut().zip(&made) {
            place.set(&key.private_key(), &key.public_key());
        }
        keys = &mut keys[made.len()..];
        if keys.is_empty() {
            return Ok(());
        }
    }
    Err(failed("find primes that make a key"))
}

/// Overwrites what the work has left below on the stack.
#[inline(never)]
fn clean_the_stack() {
    drop(Wiped::<[u64; 8], { 128 * 1024 / 64 }>::new());
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: Rsa::Lanes.name(),
        operation,
    }
}
