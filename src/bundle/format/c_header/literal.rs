//! What stands in a C header: string literals and arrays of octets, written and read back.

use zeroize::Zeroizing;

/// What an octet becomes at most.
pub(super) const MOST_ESCAPED: usize = 4;

/// Appends octets as a string literal.
pub(super) fn append(octets: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in octets {
        match octet {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *octet]),
            // Two of them might begin a trigraph.
            b'?' => out.extend_from_slice(b"\\?"),
            b' '..=b'~' => out.push(*octet),
            // Three digits, so that one that follows is not one of them.
            octet => {
                let digit = |shift: u32| b'0' + (octet >> shift & 7);
                out.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
            }
        }
    }
    out.push(b'"');
}

/// What a macro is that is one string literal or several, as [`append`] writes them, each on a line of its own.
pub(super) fn defined(name: &str, header: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = behind(&format!("#define {name} "), header)?;
    // It never moves: what is read is no longer than what is written.
    let mut out = Zeroizing::new(Vec::with_capacity(rest.len()));
    loop {
        rest = rest.strip_prefix(b"\\\n").unwrap_or(rest).strip_prefix(b"\"")?;
        rest = string(rest, &mut out)?;
        match rest.strip_prefix(b" ") {
            Some(after) => rest = after,
            None => break,
        }
    }
    rest.starts_with(b"\n").then_some(out)
}

/// Takes a string literal to its end, and returns what follows it.
fn string<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (octet, after) = rest.split_first()?;
        rest = after;
        match octet {
            b'"' => return Some(rest),
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                out.push(match escaped {
                    b'n' => b'\n',
                    b'"' | b'\\' | b'?' => *escaped,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_first_chunk::<2>()?;
                        rest = after;
                        let are_octal = digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
                        are_octal.then_some(())?;
                        (escaped - b'0') << 6 | (digits[0] - b'0') << 3 | (digits[1] - b'0')
                    }
                    _ => return None,
                });
            }
            b' '..=b'~' => out.push(*octet),
            _ => return None,
        }
    }
}

/// The octets of an array.
pub(super) fn array(name: &str, header: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let rest = behind(&format!("static const unsigned char {name}[] = {{"), header)?;
    let end = rest.iter().position(|octet| *octet == b'}')?;
    let mut out = Zeroizing::new(Vec::with_capacity(end / 5 + 1));
    let mut rest = rest[..end].trim_ascii_start();
    while !rest.is_empty() {
        let (octet, after) = rest.split_first_chunk::<5>()?;
        let [b'0', b'x', high, low, b','] = *octet else {
            return None;
        };
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        out.push(digit(high)? << 4 | digit(low)?);
        rest = after.trim_ascii_start();
    }
    Some(out)
}

/// What follows the line that begins so, of which there is one.
fn behind<'a>(start: &str, header: &'a [u8]) -> Option<&'a [u8]> {
    let mut found = None;
    let mut rest = header;
    loop {
        if let Some(after) = rest.strip_prefix(start.as_bytes()) {
            found.is_none().then_some(())?;
            found = Some(after);
        }
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return found;
        };
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut header = b"#define other \"x\"\n#define name ".to_vec();
            append(&octets, &mut header);
            prop_assert!(header.is_ascii());
            prop_assert!(header.len() <= 31 + MOST_ESCAPED * octets.len() + 2);
            header.push(b'\n');
            prop_assert_eq!(&**defined("name", &header).unwrap(), &octets);
            prop_assert!(defined("nam", &header).is_none());
        }

        #[test]
        fn nothing_panics_on_what_is_no_header(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let header = [&b"#define name \"\\"[..], &octets].concat();
            let _ = defined("name", &header);
            let header = [&b"static const unsigned char name[] = {"[..], &octets].concat();
            let _ = array("name", &header);
        }
    }
}
