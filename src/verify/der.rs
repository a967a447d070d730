//! Just enough DER (X.690) to take a certificate apart where it lies, without a copy.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// An element: its tag, its content, and all of its octets.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

/// The first element, and what follows it. `None` when the octets are not DER, or longer than a certificate.
pub(super) fn split(octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (header, len) = match *octets {
        [_, len @ ..=0x7f, ..] => (2, usize::from(len)),
        [_, 0x81, len @ 0x80..=0xff, ..] => (3, usize::from(len)),
        [_, 0x82, high @ 1..=0xff, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let (whole, rest) = octets.split_at_checked(header + len)?;
    let element = Element {
        tag: whole[0],
        content: &whole[header..],
        whole,
    };
    Some((element, rest))
}

/// The same, of an element that has this tag.
pub(super) fn next(tag: u8, octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    split(octets).filter(|(element, _)| element.tag == tag)
}

/// The content of an element that has this tag, and that nothing follows.
pub(super) fn only(tag: u8, octets: &[u8]) -> Option<&[u8]> {
    let (element, rest) = next(tag, octets)?;
    rest.is_empty().then_some(element.content)
}

/// The octets of a BIT STRING that nothing follows, in which no bit is unused.
pub(super) fn only_bits(octets: &[u8]) -> Option<&[u8]> {
    only(BIT_STRING, octets)?.strip_prefix(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_has_the_shortest_length_and_nothing_else() {
        for (header, len) in [
            (&[4, 0][..], 0),
            (&[4, 0x7f], 0x7f),
            (&[4, 0x81, 0x80], 0x80),
            (&[4, 0x81, 0xff], 0xff),
            (&[4, 0x82, 1, 0], 0x100),
            (&[4, 0x82, 0xff, 0xff], 0xffff),
        ] {
            let mut octets = header.to_vec();
            octets.resize(header.len() + len, 7);
            octets.push(9);
            let (element, rest) = split(&octets).unwrap();
            assert_eq!((element.tag, element.content.len(), rest), (4, len, &[9][..]));
            assert_eq!(element.whole, &octets[..octets.len() - 1]);
            assert!(split(&octets[..octets.len() - 2]).is_none(), "it is cut short");
        }
        for octets in [
            &[4, 0x81, 1, 0][..],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x83, 0, 0, 0],
            &[4],
            &[],
        ] {
            assert!(split(octets).is_none(), "{octets:?}");
        }
    }
}
