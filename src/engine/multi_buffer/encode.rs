//! DER of private keys (RFC 5958 with RFC 5915) and of signatures (RFC 3279, 2.2.3).
//!
//! Keys are, to the octet, what ring and aws-lc write: the private key with its public key, without
//! parameters of its own.

use super::curve::{Curve, Number};
use crate::engine::DeviceKey;

/// What comes before the scalar: PrivateKeyInfo with id-ecPublicKey and the curve, ECPrivateKey of
/// version 1.
const P256_HEAD: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01,
    0x04, 0x20,
];
const P384_HEAD: [u8; 35] = [
    0x30, 0x81, 0xb6, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x81, 0x9e, 0x30, 0x81, 0x9b, 0x02, 0x01, 0x01, 0x04,
    0x30,
];

/// What comes between the scalar and the coordinates: publicKey, tag 1, an uncompressed point.
const P256_MIDDLE: [u8; 6] = [0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
const P384_MIDDLE: [u8; 6] = [0xa1, 0x64, 0x03, 0x62, 0x00, 0x04];

/// Fills a slot with a private key and its point.
pub fn key(curve: Curve, scalar: &Number, x: &Number, y: &Number, key: &mut DeviceKey) {
    let (head, middle) = match curve {
        Curve::P256 => (&P256_HEAD[..], &P256_MIDDLE),
        Curve::P384 => (&P384_HEAD[..], &P384_MIDDLE),
    };
    let n = curve.octets();
    let len = head.len() + middle.len() + 3 * n;
    key.write_ec(curve.key_type(), len, |document| {
        let (start, rest) = document.split_at_mut(head.len());
        start.copy_from_slice(head);
        let (private, rest) = rest.split_at_mut(n);
        scalar.write(private);
        let (between, point) = rest.split_at_mut(middle.len());
        between.copy_from_slice(middle);
        x.write(&mut point[..n]);
        y.write(&mut point[n..]);
    });
}

/// Replaces what is in `out` by Ecdsa-Sig-Value; r and s have the most significant octet first.
pub fn signature(r: &[u8], s: &[u8], out: &mut Vec<u8>) {
    let (r, s) = (Integer::of(r), Integer::of(s));
    let body = r.len() + s.len();
    out.clear();
    out.reserve(2 + body);
    out.extend_from_slice(&[0x30, short(body)]);
    r.append(out);
    s.append(out);
}

/// An INTEGER that is not negative, in as few octets as DER allows (X.690, 8.3.2).
struct Integer<'a> {
    magnitude: &'a [u8],
    /// Whether a zero must say that it is not negative.
    padded: bool,
}

impl<'a> Integer<'a> {
    fn of(octets: &'a [u8]) -> Self {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let magnitude = &octets[zeros..];
        Self {
            magnitude,
            padded: magnitude.first().is_none_or(|first| *first >= 0x80),
        }
    }

    fn content_len(&self) -> usize {
        usize::from(self.padded) + self.magnitude.len()
    }

    fn len(&self) -> usize {
        2 + self.content_len()
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x02, short(self.content_len())]);
        if self.padded {
            out.push(0);
        }
        out.extend_from_slice(self.magnitude);
    }
}

/// A length of one octet, which is enough for two integers of 49 octets.
fn short(len: usize) -> u8 {
    u8::try_from(len)
        .ok()
        .filter(|len| *len < 0x80)
        .expect("both curves have signatures of less than 128 octets")
}

#[cfg(test)]
mod tests {
    use pkcs8::der::asn1::UintRef;
    use pkcs8::der::{Decode, Reader, SliceReader};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{AwsLc, Engine, Ring};

    /// r and s, as the `der` crate reads them; it refuses what is not DER.
    fn parse(signature: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut reader = SliceReader::new(signature).ok()?;
        let numbers = reader.sequence(|reader| {
            let r = UintRef::decode(reader)?;
            let s = UintRef::decode(reader)?;
            Ok::<_, pkcs8::der::Error>((r.as_bytes().to_vec(), s.as_bytes().to_vec()))
        });
        let numbers = numbers.ok()?;
        reader.finish().ok()?;
        Some(numbers)
    }

    fn stripped(octets: &[u8]) -> Vec<u8> {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        // The number 0 keeps an octet.
        octets[zeros.min(octets.len() - 1)..].to_vec()
    }

    fn number(octets: usize) -> impl Strategy<Value = Vec<u8>> {
        (0..octets, prop::collection::vec(any::<u8>(), octets)).prop_map(|(zeros, mut number)| {
            number[..zeros].fill(0);
            number
        })
    }

    proptest! {
        #[test]
        fn signatures_are_der(
            (r, s) in prop_oneof![(number(32), number(32)), (number(48), number(48))]
        ) {
            let mut out = vec![7; 3];
            signature(&r, &s, &mut out);
            prop_assert_eq!(parse(&out), Some((stripped(&r), stripped(&s))), "{:02x?}", out);
        }
    }

    #[test]
    fn integers_are_minimal() {
        let mut out = Vec::new();
        signature(&[0, 0, 0x7f], &[0, 0x80, 0], &mut out);
        assert_eq!(out, [0x30, 8, 2, 1, 0x7f, 2, 3, 0, 0x80, 0]);
        signature(&[0xff; 48], &[0xff; 48], &mut out);
        assert_eq!((out.len(), out[1]), (104, 102));
    }

    #[test]
    fn keys_are_what_ring_and_aws_lc_write() {
        for curve in [Curve::P256, Curve::P384] {
            let head = match curve {
                Curve::P256 => P256_HEAD.len(),
                Curve::P384 => P384_HEAD.len(),
            };
            for engine in [&AwsLc as &dyn Engine, &Ring] {
                let mut theirs = [DeviceKey::default()];
                engine.make_keys(curve.key_type(), &mut theirs).unwrap();
                let scalar = Number::from_octets(&theirs[0].pkcs8()[head..head + curve.octets()]);
                let (x, y) = theirs[0].public_key()[1..].split_at(curve.octets());
                let mut ours = DeviceKey::default();
                key(
                    curve,
                    &scalar,
                    &Number::from_octets(x),
                    &Number::from_octets(y),
                    &mut ours,
                );
                assert!(
                    ours.pkcs8() == theirs[0].pkcs8(),
                    "{} writes otherwise",
                    engine.name()
                );
                assert_eq!(ours.public_key(), theirs[0].public_key());
            }
        }
    }
}
