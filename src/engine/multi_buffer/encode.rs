//! Keys and signatures (RFC 3279, 2.2.3) of numbers.

use super::curve::{Curve, Number};
use crate::engine::DeviceKey;
use crate::engine::document::Document;

/// Fills a slot with a private key and its point.
pub fn key(curve: Curve, scalar: &Number, x: &Number, y: &Number, key: &mut DeviceKey) {
    let document = Document::of(curve.key_type()).expect("both curves have one");
    key.write_ec(document, |private, point| {
        scalar.write(private);
        let (x_room, y_room) = point.split_at_mut(curve.octets());
        x.write(x_room);
        y.write(y_room);
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
}
