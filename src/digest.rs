//! SHA-256, as octets, and what is found by it.

use std::collections::{BTreeSet, HashSet};

use rayon::prelude::*;
use ring::digest::{SHA256, digest};

/// The SHA-256 of octets.
#[must_use]
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    into_octets(digest(&SHA256, octets))
}

/// A finished SHA-256.
#[must_use]
pub(crate) fn into_octets(digest: ring::digest::Digest) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest.as_ref());
    octets
}

/// The first octets of a SHA-256: an identifier that is shorter and still unique.
#[must_use]
pub(crate) fn sha256_start<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut start = [0; N];
    start.copy_from_slice(&sha256(octets)[..N]);
    start
}

/// Texts that were seen, and in which block each was, in 16 octets a text: 12 of its hash, and 4 of the block's
/// number. Two texts may agree in the hash by chance, so who asks compares those that are said to be repeated.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<u128>);

/// What [`Seen`] has more than once.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    hashes: HashSet<u128>,
    /// The blocks that have one of them.
    pub blocks: BTreeSet<u32>,
}

impl Seen {
    /// `block` is a number below 2^32.
    pub(crate) fn add(&mut self, block: u64, text: &str) {
        let block = u128::from(block) & u128::from(u32::MAX);
        self.0.push(hash(text) << 32 | block);
    }

    pub(crate) fn extend(&mut self, seen: Self) {
        self.0.extend(seen.0);
    }

    #[must_use]
    pub(crate) fn repeated(mut self) -> Repeated {
        self.0.par_sort_unstable();
        let mut repeated = Repeated::default();
        let pairs = self.0.windows(2).filter(|pair| pair[0] >> 32 == pair[1] >> 32);
        for &one in pairs.flatten() {
            repeated.hashes.insert(one >> 32);
            repeated.blocks.extend(u32::try_from(one & u128::from(u32::MAX)));
        }
        repeated
    }
}

impl Repeated {
    #[must_use]
    pub(crate) fn has(&self, text: &str) -> bool {
        self.hashes.contains(&hash(text))
    }
}

/// 12 octets of the SHA-256 of a text.
fn hash(text: &str) -> u128 {
    u128::from_le_bytes(sha256_start(text.as_bytes())) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn is_the_function_of_fips_180() {
        // FIPS 180-4 examples, "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HEXLOWER.encode(&sha256(b"abc")), expected);
        assert_eq!(HEXLOWER.encode(&sha256_start::<4>(b"abc")), expected[..8]);
    }

    #[test]
    fn what_is_repeated_is_found_with_its_blocks() {
        let mut seen = Seen::default();
        for (block, texts) in [(0, ["a", "b"]), (1, ["c", "d"]), (2, ["b", "e"]), (3, ["f", "f"])] {
            let mut more = Seen::default();
            texts.iter().for_each(|text| more.add(block, text));
            seen.extend(more);
        }
        let repeated = seen.repeated();
        assert_eq!(repeated.blocks, BTreeSet::from([0, 2, 3]));
        let found = ["a", "b", "c", "d", "e", "f"].map(|text| repeated.has(text));
        assert_eq!(found, [false, true, false, false, false, true]);
    }
}
