//! DER values (X.690): taken from the beginning of octets, and appended. Lengths of up to three octets are enough for files of a
//! bundle.

pub(in crate::bundle) const INTEGER: u8 = 0x02;
pub(in crate::bundle) const OCTET_STRING: u8 = 0x04;
pub(in crate::bundle) const SEQUENCE: u8 = 0x30;

/// A value of this tag at the beginning, and what follows it.
pub(in crate::bundle) fn take(tag: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = octets.split_first()?;
    let (len, rest) = rest.split_first()?;
    let (len, rest) = match *len {
        0..=0x7f => (usize::from(*len), rest),
        0x81..=0x83 => {
            let (len, rest) = rest.split_at_checked(usize::from(*len - 0x80))?;
            let octets = len.iter();
            (octets.fold(0, |len, octet| len << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    (*found == tag).then_some(())?;
    rest.split_at_checked(len)
}

/// What a value of this tag has in it, behind which nothing follows.
pub(in crate::bundle) fn only(tag: u8, octets: &[u8]) -> Option<&[u8]> {
    let (value, rest) = take(tag, octets)?;
    rest.is_empty().then_some(value)
}

/// Appends a value of this tag; its parts have less than 16 MiB together.
pub(in crate::bundle) fn put(tag: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let [.., higher, high, low] = len.to_be_bytes();
    match len {
        0..0x80 => out.extend_from_slice(&[tag, low]),
        0x80..0x100 => out.extend_from_slice(&[tag, 0x81, low]),
        0x100..0x1_0000 => out.extend_from_slice(&[tag, 0x82, high, low]),
        _ => out.extend_from_slice(&[tag, 0x83, higher, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A value of this tag by itself, for what is public.
pub(in crate::bundle) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put(tag, parts, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x12_3456] {
            let content = vec![7; len];
            let octets = value(OCTET_STRING, &[&content[..len / 2], &content[len / 2..]]);
            assert_eq!(only(OCTET_STRING, &octets), Some(&content[..]), "{len}");
            assert_eq!(only(SEQUENCE, &octets), None);
            assert_eq!(only(OCTET_STRING, &octets[..octets.len() - 1]), None);
            assert_eq!(only(OCTET_STRING, &[&octets[..], b"x"].concat()), None);
        }
    }
}
