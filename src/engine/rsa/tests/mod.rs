//! What the engine is held to, beside what its arithmetic is: other people's arithmetic, and what is known of numbers.

mod faults;
mod limbs;
mod parts;
mod primes;
mod rules;
mod wycheproof;

use num_bigint::BigUint;

use super::Rsa;
use super::number::{Number, limbs};
use super::search::Search;
use super::small::Group;
use super::stream::{Fill, Stream};
use super::words::Words;
use crate::engine::{Engine, EngineError, Random};

/// All words that work here.
pub fn all_words() -> impl Iterator<Item = Words> {
    [Words::Eight, Words::Library, Words::One]
        .into_iter()
        .filter(|words| match words {
            Words::Eight if !super::eight::is_here() => {
                eprintln!("LEFT OUT: this processor has no AVX-512 IFMA");
                false
            }
            _ => true,
        })
}

/// The engines that work here.
pub fn engines() -> impl Iterator<Item = Rsa> {
    [Rsa::Lanes, Rsa::Portable]
        .into_iter()
        .filter(|engine| match engine.ready() {
            Ok(()) => true,
            Err(error) => {
                eprintln!("LEFT OUT: {error}");
                false
            }
        })
}

pub fn of_hex<const N: usize>(hex: &str) -> Number<N> {
    number(&BigUint::parse_bytes(hex.as_bytes(), 16).expect("it is hexadecimal"))
}

pub fn number<const N: usize>(number: &BigUint) -> Number<N> {
    limbs(&number.to_u64_digits())
}

pub fn big(limbs: &[u64]) -> BigUint {
    limbs
        .iter()
        .rev()
        .fold(BigUint::ZERO, |sum, limb| (sum << 52) + limb)
}

pub fn system(octets: &mut [u8]) -> Result<(), EngineError> {
    Random.fill(octets)
}

/// Octets that follow from a seed.
pub fn seeded(seed: u64) -> impl FnMut(&mut [u8]) -> Result<(), EngineError> {
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    move |octets| {
        random.fill(octets);
        Ok(())
    }
}

/// A search by words of a kind.
pub fn search<'a, const N: usize>(words: Words, bits: usize, fill: &'a mut Fill<'a>) -> Search<'a, N> {
    Search::new(words, bits, Stream::new(fill))
}

/// What is left of numbers when those are thrown away that some prime of the groups divides.
pub fn divided_by<const N: usize>(words: Words, groups: &[Group], numbers: &[Number<N>]) -> Vec<Number<N>> {
    let mut left = Vec::new();
    for tile in numbers.chunks(words.tile()) {
        let mut whole = tile.to_vec();
        whole.resize(words.tile(), tile[0]);
        let mut divided = vec![false; whole.len()];
        words.divide(groups, &whole, &mut divided);
        let kept = tile.iter().zip(divided).filter(|(_, divided)| !divided);
        left.extend(kept.map(|(number, _)| *number));
    }
    left
}

/// What the filter says of numbers, each of which is in every lane once.
pub fn filtered<const N: usize>(words: Words, bits: usize, numbers: &[Number<N>]) -> Vec<bool> {
    let lanes = words.lanes();
    let mut all = vec![true; numbers.len()];
    let turns = if lanes > 1 {
        numbers.len().max(lanes)
    } else {
        numbers.len()
    };
    let mut seen: Vec<Option<bool>> = vec![None; numbers.len()];
    for turn in 0..turns {
        let places: Vec<usize> = (0..lanes).map(|lane| (turn + lane) % numbers.len()).collect();
        let items: Vec<Number<N>> = places.iter().map(|place| numbers[*place]).collect();
        let mut passed = vec![false; lanes];
        words.filter(&items, bits, &mut passed);
        for (place, passed) in places.iter().zip(passed) {
            assert!(
                seen[*place].is_none_or(|seen| seen == passed),
                "lanes agree on {place}"
            );
            seen[*place] = Some(passed);
            all[*place] = passed;
        }
    }
    all
}
