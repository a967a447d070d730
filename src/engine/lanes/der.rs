//! Ecdsa-Sig-Value (RFC 3279, 2.2.3) of two numbers, written and read.

use super::number::{N, Number};

/// Replaces what is in `out` by a signature.
#[inline(never)]
pub fn write(r: &Number, s: &Number, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0x30, 0]);
    for number in [r, s] {
        let mut octets = [0; 33];
        number.write(octets[1..].as_mut_array().expect("it has 32 octets"));
        // In as few octets as say that it is not negative (X.690, 8.3.2).
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let start = zeros - usize::from(octets.get(zeros).is_none_or(|first| *first >= 0x80));
        out.extend_from_slice(&[0x02, short(33 - start)]);
        out.extend_from_slice(&octets[start..]);
    }
    out[1] = short(out.len() - 2);
}

/// A length of one octet, which is enough for two integers of 33 octets.
fn short(len: usize) -> u8 {
    u8::try_from(len).expect("a signature has less than 128 octets")
}

/// The numbers of a signature in strict DER, each between 1 and n - 1.
pub fn read(signature: &[u8]) -> Option<[Number; 2]> {
    let [0x30, len, body @ ..] = signature else {
        return None;
    };
    if usize::from(*len) != body.len() || body.len() >= 0x80 {
        return None;
    }
    let (r, rest) = integer(body)?;
    let (s, rest) = integer(rest)?;
    rest.is_empty().then_some([r, s])
}

/// A number between 1 and n - 1, and what follows it.
fn integer(der: &[u8]) -> Option<(Number, &[u8])> {
    let [0x02, len, rest @ ..] = der else { return None };
    let (content, rest) = rest.split_at_checked(usize::from(*len))?;
    let magnitude = match content {
        [0, magnitude @ ..] if magnitude.first().is_some_and(|first| *first >= 0x80) => magnitude,
        [1..0x80, ..] => content,
        _ => return None,
    };
    let mut octets = [0; 32];
    octets[32usize.checked_sub(magnitude.len())?..].copy_from_slice(magnitude);
    let number = Number::of_octets(&octets);
    (number.is_below(&N) && !number.is_zero()).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use pkcs8::der::asn1::UintRef;
    use pkcs8::der::{Decode, Reader, SliceReader};
    use proptest::prelude::*;

    use super::*;

    /// Reads with another parser.
    fn parse(signature: &[u8]) -> Option<[Vec<u8>; 2]> {
        let mut reader = SliceReader::new(signature).ok()?;
        let numbers = reader
            .sequence(|sequence| -> pkcs8::der::Result<_> {
                let [r, s] = [UintRef::decode(sequence)?, UintRef::decode(sequence)?];
                Ok([r.as_bytes().to_vec(), s.as_bytes().to_vec()])
            })
            .ok()?;
        reader.finish().ok()?;
        Some(numbers)
    }

    fn stripped(number: &Number) -> Vec<u8> {
        let mut octets = [0; 32];
        number.write(&mut octets);
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets[zeros.min(31)..].to_vec()
    }

    fn number() -> impl Strategy<Value = Number> {
        (any::<[u64; 4]>(), 0usize..32, any::<bool>()).prop_map(|(limbs, octets, is_edge)| {
            // Of every length; and with a first bit that is one, or zero.
            let mut number = Number(limbs);
            for octet in octets..32 {
                number.0[octet / 8] &= !(0xff << (8 * (octet % 8)));
            }
            if is_edge && octets > 0 {
                number.0[(octets - 1) / 8] |= 0x80 << (8 * ((octets - 1) % 8));
            }
            number
        })
    }

    proptest! {
        #[test]
        fn signatures_are_der_and_hold_their_numbers(r in number(), s in number()) {
            let mut out = vec![7; 3];
            write(&r, &s, &mut out);
            prop_assert_eq!(parse(&out), Some([stripped(&r), stripped(&s)]), "{:02x?}", out);
            let is_one = [r, s].iter().all(|number| number.is_below(&N) && !number.is_zero());
            prop_assert_eq!(read(&out), is_one.then_some([r, s]));
        }

        /// What this parser takes, the other takes and finds the same in it.
        #[test]
        fn what_is_changed_is_read_as_der_or_not_at_all(r in number(), s in number(), at in 0usize..72, octet: u8, cut in 0usize..4) {
            let mut out = Vec::new();
            write(&r, &s, &mut out);
            let at = at % out.len();
            out[at] = octet;
            out.truncate(out.len() - cut / 3);
            if let Some([r, s]) = read(&out) {
                prop_assert_eq!(parse(&out), Some([stripped(&r), stripped(&s)]), "{:02x?}", out);
            }
        }
    }

    #[test]
    fn what_is_not_the_shortest_form_is_nothing() {
        let sequence = |parts: &[&[u8]]| {
            let body = parts.concat();
            [&[0x30, short(body.len())], &body[..]].concat()
        };
        let one: &[u8] = &[2, 1, 1];
        assert_eq!(read(&sequence(&[one, one])), Some([Number::ONE; 2]));
        let long: &[u8] = &[2, 2, 0, 1];
        let negative: &[u8] = &[2, 1, 0x80];
        let none: &[u8] = &[2, 0];
        let zero: &[u8] = &[2, 1, 0];
        let long_length: &[u8] = &[2, 0x81, 1, 1];
        for bad in [long, negative, none, zero, long_length] {
            assert_eq!(read(&sequence(&[one, bad])), None, "{bad:02x?}");
            assert_eq!(read(&sequence(&[bad, one])), None, "{bad:02x?}");
        }
        assert_eq!(read(&sequence(&[one])), None);
        assert_eq!(read(&sequence(&[one, one, one])), None);
        assert_eq!(read(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1]), None);
        assert_eq!(read(&[&sequence(&[one, one])[..], &[0]].concat()), None);
        assert_eq!(read(&[]), None);
    }
}
