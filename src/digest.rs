//! SHA-256, as octets, and what is found by it.

use std::collections::HashSet;

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

/// A hash by which texts that are the same are found, in 16 octets each.
#[must_use]
pub(crate) fn hash(text: &str) -> u128 {
    u128::from_le_bytes(sha256_start(text.as_bytes()))
}

/// The hashes that occur more than once.
#[must_use]
pub(crate) fn repeated(mut hashes: Vec<u128>) -> HashSet<u128> {
    hashes.par_sort_unstable();
    let pairs = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| pair[0]).collect()
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
}
