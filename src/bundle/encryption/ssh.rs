//! SSH keys as recipients, as age has them (age-encryption.org, `agessh`): `ssh-ed25519` and `ssh-rsa`.
//!
//! A key of Ed25519 is read as the point of Curve25519 that it stands for, and so costs what an X25519 recipient costs: what
//! is agreed on is multiplied with a number that anybody makes of the key, and that is done once, to the point.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64_simd::STANDARD;
use num_bigint::BigUint;

use super::{BASE64, FILE_KEY, POINT, kdf};
use crate::bundle::format::asn1;
use crate::digest::sha256;

/// What such keys are called, in files of public keys and in stanzas.
pub(super) const ED25519: &str = "ssh-ed25519";
pub(super) const RSA: &str = "ssh-rsa";

/// What keys are derived for, and what a share by RSA is labelled with.
pub(super) const ED25519_INFO: &[u8] = b"age-encryption.org/v1/ssh-ed25519";
const RSA_LABEL: &[u8] = b"age-encryption.org/v1/ssh-rsa";

/// Bits of RSA keys: fewer are weak, and more are read by some tools only.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Octets of a key's digest that a stanza names it by.
const TAG: usize = 4;

/// Characters of a fingerprint that are enough to tell it from others.
const SHORT: usize = 12;

const DAMAGED: &str = "its SSH key is damaged, or a part of it is missing";

const ALGORITHM_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID: u8 = 0x06;
const NULL: u8 = 0x05;
const BIT_STRING: u8 = 0x03;

/// An SSH key: RFC 4253 section 6.6, RFC 8709 section 4.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SshKey {
    blob: Vec<u8>,
}

/// Why a text is no such key.
#[derive(Debug)]
pub(super) enum SshKeyError {
    /// It is one of another kind.
    Kind(String),
    Malformed(&'static str),
}

/// What a file key is shared by with such a key.
pub(super) enum Sharing {
    /// By agreement with this point; `salt` is the key itself, on Curve25519.
    Point {
        peer: [u8; POINT],
        salt: [u8; POINT],
    },
    Rsa(OaepPublicEncryptingKey),
}

impl SshKey {
    /// Reads a line of a file of public keys: the kind, the key in base64, and whose it is, which is passed over.
    pub(super) fn parse(text: &str) -> Result<Self, SshKeyError> {
        let mut words = text.split_ascii_whitespace();
        let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if ![ED25519, RSA].contains(&kind) {
            return Err(SshKeyError::Kind(kind.to_owned()));
        }
        let damaged = SshKeyError::Malformed(DAMAGED);
        let blob = STANDARD
            .decode_to_vec(key)
            .ok()
            .filter(|blob| taken(blob).is_some_and(|(name, _)| name == kind.as_bytes()));
        let key = Self {
            blob: blob.ok_or(damaged)?,
        };
        key.sharing().map(|_| key).map_err(SshKeyError::Malformed)
    }

    pub(super) fn kind(&self) -> &'static str {
        match taken(&self.blob) {
            Some((name, _)) if name == RSA.as_bytes() => RSA,
            _ => ED25519,
        }
    }

    /// How a stanza names it.
    pub(super) fn tag(&self) -> String {
        BASE64.encode_to_string(&sha256(&self.blob)[..TAG])
    }

    /// How `ssh-keygen -l` begins to name it.
    pub(super) fn short_id(&self) -> String {
        let fingerprint = BASE64.encode_to_string(sha256(&self.blob));
        format!("SHA256:{}", &fingerprint[..SHORT])
    }

    pub(super) fn to_text(&self) -> String {
        format!("{} {}", self.kind(), STANDARD.encode_to_string(&self.blob))
    }

    /// What a file key is shared by, or why that cannot be.
    pub(super) fn sharing(&self) -> Result<Sharing, &'static str> {
        let (_, rest) = taken(&self.blob).ok_or(DAMAGED)?;
        if self.kind() == RSA {
            let (e, rest) = taken(rest).ok_or(DAMAGED)?;
            let (n, rest) = taken(rest).ok_or(DAMAGED)?;
            return match rest.is_empty() && is_positive(e) && is_positive(n) {
                true => rsa(n, e).map(Sharing::Rsa),
                false => Err(DAMAGED),
            };
        }
        let (key, rest) = taken(rest).ok_or(DAMAGED)?;
        let key = key.try_into().ok().filter(|_| rest.is_empty()).ok_or(DAMAGED)?;
        let salt = on_curve25519(key).ok_or("its SSH key is no point of Ed25519")?;
        let peer = tweaked(&self.blob, &salt).ok_or("everybody could read what is encrypted to it")?;
        Ok(Sharing::Point { peer, salt })
    }
}

/// Shares a file key; in octets of the modulus.
pub(super) fn encrypt(key: &OaepPublicEncryptingKey, file_key: &[u8; FILE_KEY]) -> Vec<u8> {
    let mut out = vec![0; key.ciphertext_size()];
    let encrypted = key.encrypt(&OAEP_SHA256_MGF1SHA256, file_key, &mut out, Some(RSA_LABEL));
    encrypted.expect("a file key is shorter than what is encrypted at most");
    out
}

/// A string at the beginning (RFC 4251, section 5), and what follows it.
pub(super) fn taken(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// Whether an integer is above zero, and written in the one way that SSH and DER have in common.
fn is_positive(integer: &[u8]) -> bool {
    match integer {
        [] | [0] | [0x80..=0xff, ..] => false,
        [0, next, ..] => *next >= 0x80,
        _ => true,
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<OaepPublicEncryptingKey, &'static str> {
    let bits = usize::try_from(BigUint::from_bytes_be(n).bits()).unwrap_or(usize::MAX);
    if !RSA_BITS.contains(&bits) {
        return Err("its RSA key has fewer than 2048 bits, or more than 4096");
    }
    let (n, e) = (asn1::value(asn1::INTEGER, &[n]), asn1::value(asn1::INTEGER, &[e]));
    let key = asn1::value(asn1::SEQUENCE, &[&n, &e]);
    let algorithm = [asn1::value(OID, &[ALGORITHM_OID]), asn1::value(NULL, &[])].concat();
    let info = asn1::value(
        asn1::SEQUENCE,
        &[
            &asn1::value(asn1::SEQUENCE, &[&algorithm]),
            &asn1::value(BIT_STRING, &[&[0], &key]),
        ],
    );
    PublicEncryptingKey::from_der(&info)
        .map_err(|_| Unspecified)
        .and_then(OaepPublicEncryptingKey::new)
        .map_err(|_| "its RSA key is refused: it is no modulus and exponent")
}

/// The u of a point of Ed25519 (RFC 7748, section 4.1), once it is seen that there is such a point (RFC 8032, section 5.1.3).
fn on_curve25519(key: [u8; POINT]) -> Option<[u8; POINT]> {
    let mut y = key;
    y[POINT - 1] &= 0x7f;
    let y = BigUint::from_bytes_le(&y);
    let one = BigUint::from(1_u8);
    let p = (&one << 255_u32) - 19_u8;
    if y >= p {
        return None;
    }
    let power = |base: &BigUint, exponent: BigUint| base.modpow(&exponent, &p);
    let inverse = |value: &BigUint| power(value, &p - 2_u8);
    // d = -121665 / 121666.
    let d = (&p - 121_665_u32) * inverse(&BigUint::from(121_666_u32)) % &p;
    let square = &y * &y % &p;
    let x_square = (&square + &p - &one) * inverse(&((d * &square + &one) % &p)) % &p;
    let symbol = power(&x_square, (&p - 1_u8) >> 1_u8);
    if symbol > one {
        return None;
    }
    let u = (&one + &y) * inverse(&((&one + &p - &y) % &p)) % &p;
    let mut out = [0; POINT];
    let octets = u.to_bytes_le();
    out[..octets.len()].copy_from_slice(&octets);
    Some(out)
}

/// The point times the number that is made of the key; `None` when that is nothing.
fn tweaked(blob: &[u8], point: &[u8; POINT]) -> Option<[u8; POINT]> {
    let tweak = kdf::derive(&[], blob, ED25519_INFO);
    let tweak = PrivateKey::from_private_key(&X25519, &*tweak).expect("it has 32 octets");
    let point = UnparsedPublicKey::new(&X25519, point);
    let product = agree(&tweak, point, Unspecified, |octets| {
        let mut product = [0; POINT];
        product.copy_from_slice(octets);
        Ok(product)
    });
    product.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn a_key_is_read_and_written_again() {
        let key = SshKey::parse(&format!("{KEY} somebody@somewhere")).unwrap();
        assert_eq!(key.to_text(), KEY);
        assert_eq!((key.kind(), key.tag().len()), (ED25519, 6));
        assert!(key.short_id().starts_with(&format!("SHA256:{}", &key.tag()[..5])));
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        let text = |key: [u8; POINT]| {
            let name = ED25519.as_bytes();
            let blob = [&[0, 0, 0, 11], name, &[0, 0, 0, 32], &key].concat();
            format!("{ED25519} {}", STANDARD.encode_to_string(blob))
        };
        let mut nothing = [0; POINT];
        // RFC 8032: y = 2 has no x; y = 1 and y = -1 are of low order; p + 2 is not what is written.
        for (first, others, last, what) in [
            (2, 0, 0, "no point"),
            (1, 0, 0, "everybody could read"),
            (0xec, 0xff, 0x7f, "everybody could read"),
            (0xef, 0xff, 0x7f, "no point"),
        ] {
            nothing.fill(others);
            (nothing[0], nothing[POINT - 1]) = (first, last);
            let error = format!("{:?}", SshKey::parse(&text(nothing)).unwrap_err());
            assert!(error.contains(what), "{first} {others}: {error}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        for (text, what) in [
            (&KEY[..60], "damaged"),
            ("ssh-ed25519", "damaged"),
            (
                "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
                "damaged",
            ),
            ("ecdsa-sha2-nistp256 AAAA", "Kind(\"ecdsa-sha2-nistp256\")"),
        ] {
            let error = format!("{:?}", SshKey::parse(text).unwrap_err());
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
