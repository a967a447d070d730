//! What a token takes and gives, and what X.509 has: digests in, signatures and public keys out.
//!
//! A token signs whatever octets it is handed, of any length, so what is handed to it is made here and nowhere else: a digest
//! of the one length that the algorithm has.

use aws_lc_rs::digest::{SHA384, digest};

use crate::digest::sha256;
use crate::engine::SignatureAlgorithm;
use crate::profile::KeyType;

/// The DER of a DigestInfo for SHA-256, up to the digest (RFC 8017, 9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// OIDs of curves, DER (SEC 2, A.2): CKA_EC_PARAMS of a key on a named curve.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// Digests a message as a token is given it: the bare digest for `CKM_ECDSA`, with its algorithm's name for
/// `CKM_RSA_PKCS`.
pub(super) fn to_sign(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => sha256(message).to_vec(),
        SignatureAlgorithm::EcdsaSha384 => digest(&SHA384, message).as_ref().to_vec(),
        SignatureAlgorithm::RsaSha256 => [&SHA256_INFO[..], &sha256(message)].concat(),
        SignatureAlgorithm::EcdsaSha512 => unreachable!("keys of this type are refused when they are found"),
    }
}

/// A token's signature as X.509 carries it; `None`: it has not the length that such a signature has.
pub(super) fn signature(key_type: KeyType, raw: &[u8]) -> Option<Vec<u8>> {
    let length = match key_type {
        KeyType::P256 => 64,
        KeyType::P384 => 96,
        KeyType::P521 => return None,
        KeyType::Rsa2048 => 256,
        KeyType::Rsa3072 => 384,
        KeyType::Rsa4096 => 512,
    };
    if raw.len() != length {
        return None;
    }
    if key_type.is_rsa() {
        return Some(raw.to_vec());
    }
    let (r, s) = raw.split_at(length / 2);
    Some(tagged(0x30, &[integer(r), integer(s)].concat()))
}

/// The curve that CKA_EC_PARAMS names.
pub(super) fn curve(parameters: &[u8]) -> Option<KeyType> {
    match parameters {
        _ if parameters == P256 => Some(KeyType::P256),
        _ if parameters == P384 => Some(KeyType::P384),
        _ => None,
    }
}

/// CKA_EC_PARAMS of a new key.
pub(super) fn parameters(key_type: KeyType) -> Option<Vec<u8>> {
    match key_type {
        KeyType::P256 => Some(P256.to_vec()),
        KeyType::P384 => Some(P384.to_vec()),
        _ => None,
    }
}

/// CKA_MODULUS_BITS of a new key.
pub(super) fn bits(key_type: KeyType) -> Option<u64> {
    match key_type {
        KeyType::Rsa2048 => Some(2048),
        KeyType::Rsa3072 => Some(3072),
        KeyType::Rsa4096 => Some(4096),
        KeyType::P256 | KeyType::P384 | KeyType::P521 => None,
    }
}

/// The point of CKA_EC_POINT, uncompressed: an OCTET STRING has it, though some tokens leave that out.
pub(super) fn point(key_type: KeyType, value: &[u8]) -> Option<Vec<u8>> {
    let length: usize = match key_type {
        KeyType::P256 => 65,
        KeyType::P384 => 97,
        _ => return None,
    };
    let header = [0x04, u8::try_from(length).expect("it is short")];
    let point = match value.len() == length {
        true => value,
        false => value.strip_prefix(&header)?,
    };
    (point.len() == length && point[0] == 4).then(|| point.to_vec())
}

/// The type of an RSA key with this modulus.
pub(super) fn rsa(modulus: &[u8]) -> Option<KeyType> {
    let modulus = without_zeros(modulus);
    match (modulus.len(), modulus.first()? & 0x80) {
        (256, 0x80) => Some(KeyType::Rsa2048),
        (384, 0x80) => Some(KeyType::Rsa3072),
        (512, 0x80) => Some(KeyType::Rsa4096),
        _ => None,
    }
}

/// An RSAPublicKey (RFC 8017, A.1.1).
pub(super) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    tagged(0x30, &[integer(modulus), integer(exponent)].concat())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|octet| *octet != 0);
    start.map_or(&[], |start| &number[start..])
}

/// A number that is not negative.
fn integer(number: &[u8]) -> Vec<u8> {
    let number = without_zeros(number);
    let mut value = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        value.push(0);
    }
    value.extend_from_slice(number);
    tagged(0x02, &value)
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = without_zeros(&length);
    let mut out = vec![tag];
    if value.len() >= 0x80 {
        out.push(0x80 | u8::try_from(length.len()).expect("a usize has few octets"));
    }
    // An empty value has one octet of length too.
    out.extend_from_slice(if length.is_empty() { &[0] } else { length });
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_written_as_der_with_the_shortest_numbers() {
        let mut raw = [0; 64];
        raw[31] = 0x80;
        raw[63] = 1;
        let der = signature(KeyType::P256, &raw).unwrap();
        assert_eq!(der, [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
        assert_eq!(
            signature(KeyType::P256, &[0; 64]).unwrap(),
            [0x30, 6, 2, 1, 0, 2, 1, 0]
        );
        let long = signature(KeyType::P384, &[0xff; 96]).unwrap();
        assert_eq!(long[..5], [0x30, 102, 2, 49, 0]);
    }

    #[test]
    fn what_has_another_length_is_no_signature() {
        for (key_type, length) in [
            (KeyType::P256, 64),
            (KeyType::P384, 96),
            (KeyType::Rsa2048, 256),
            (KeyType::Rsa3072, 384),
            (KeyType::Rsa4096, 512),
        ] {
            assert!(signature(key_type, &vec![1; length]).is_some());
            for wrong in [0, length - 1, length + 1] {
                assert_eq!(signature(key_type, &vec![1; wrong]), None);
            }
        }
    }

    #[test]
    fn a_token_is_given_a_digest_of_the_one_length() {
        for (algorithm, length) in [
            (SignatureAlgorithm::EcdsaSha256, 32),
            (SignatureAlgorithm::EcdsaSha384, 48),
            (SignatureAlgorithm::RsaSha256, 51),
        ] {
            for message in [&b""[..], &[7; 10_000]] {
                assert_eq!(to_sign(algorithm, message).len(), length);
            }
        }
    }

    #[test]
    fn a_point_is_read_with_its_wrapping_and_without() {
        let bare = [4; 65];
        let wrapped = [&[0x04, 65][..], &bare].concat();
        assert_eq!(point(KeyType::P256, &bare).unwrap(), bare);
        assert_eq!(point(KeyType::P256, &wrapped).unwrap(), bare);
        for wrong in [&bare[..64], &wrapped[..66], &[3; 65], &[][..]] {
            assert_eq!(point(KeyType::P256, wrong), None);
        }
    }

    #[test]
    fn an_rsa_key_is_taken_by_the_length_of_its_modulus() {
        assert_eq!(rsa(&[0x80; 256]), Some(KeyType::Rsa2048));
        assert_eq!(rsa(&[&[0][..], &[0x80; 512]].concat()), Some(KeyType::Rsa4096));
        assert_eq!(rsa(&[0x40; 256]), None);
        assert_eq!(rsa(&[0x80; 128]), None);
        assert_eq!(rsa(&[]), None);
        let key = rsa_public_key(&[0x80; 256], &[1, 0, 1]);
        assert_eq!(key[..9], [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]);
        assert_eq!(key[key.len() - 5..], [2, 3, 1, 0, 1]);
    }
}
