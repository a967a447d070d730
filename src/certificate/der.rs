//! Just enough DER (X.690) to stamp certificates: lengths and tags appended to a buffer.

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;

/// Appends tag and length.
pub(super) fn header(tag: u8, len: usize, out: &mut Vec<u8>) {
    out.push(tag);
    match len {
        0..0x80 => out.push(low_octet(len)),
        0x80..0x100 => out.extend_from_slice(&[0x81, low_octet(len)]),
        0x100..0x1_0000 => out.extend_from_slice(&[0x82, low_octet(len >> 8), low_octet(len)]),
        _ => unreachable!("a certificate field is shorter than 65,536 octets"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low octet is what is asked for"
)]
fn low_octet(n: usize) -> u8 {
    n as u8
}

/// Octets of tag and length before so much content.
pub(super) fn header_len(len: usize) -> usize {
    match len {
        0..0x80 => 2,
        0x80..0x100 => 3,
        _ => 4,
    }
}

/// Octets of a whole element with so much content.
pub(super) fn element_len(len: usize) -> usize {
    header_len(len) + len
}

/// Appends a whole element.
pub(super) fn element(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    header(tag, content.len(), out);
    out.extend_from_slice(content);
}

/// Splits the first element off: its tag, its content, and what follows. `None` when the octets are
/// not DER.
pub(super) fn split(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&len, rest) = rest.split_first()?;
            (usize::from(len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let minimal = header_len(len) == 2 + usize::from(first.saturating_sub(0x80)) * usize::from(first >= 0x80);
    let (content, rest) = rest.split_at_checked(len)?;
    minimal.then_some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_it_wrote() {
        for len in [0, 1, 127, 128, 255, 256, 257, 5000, 65_535] {
            let content = vec![7; len];
            let mut out = Vec::new();
            element(OCTET_STRING, &content, &mut out);
            assert_eq!(out.len(), element_len(len));
            out.push(9);
            assert_eq!(split(&out), Some((OCTET_STRING, &content[..], &[9][..])));
        }
    }

    #[test]
    fn refuses_lengths_that_are_not_minimal_or_too_long() {
        for octets in [
            &[4, 0x81, 1, 0][..],
            &[4, 0x82, 0, 1, 0],
            &[4, 2, 0],
            &[4],
            &[4, 0x80, 0, 0],
        ] {
            assert_eq!(split(octets), None, "{octets:?}");
        }
    }
}
