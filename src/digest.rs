//! SHA-256, as octets.

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
