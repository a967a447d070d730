//! Stanzas: a recipient's share of a file key in a header, and what age and its plugins say to each other.

use super::{BASE64, STANZA};

/// Characters of a line of a stanza's body.
const COLUMNS: usize = 64;

/// Octets of it.
const OCTETS: usize = COLUMNS / 4 * 3;

/// Arguments, of which the first says what kind it is, and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    pub arguments: Vec<String>,
    pub body: Vec<u8>,
}

impl Stanza {
    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// Appends it as text.
    pub fn append(&self, out: &mut Vec<u8>) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        append(&arguments, &self.body, out);
    }
}

/// Appends a stanza as text: its body in full lines, and one that is shorter, perhaps empty.
pub fn append(arguments: &[&str], body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANZA);
    // An argument may be an identity: it is in nothing else than what it is written to.
    for (number, argument) in arguments.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"" } else { b" " });
        out.extend_from_slice(argument.as_bytes());
    }
    out.push(b'\n');
    for octets in body.chunks(OCTETS) {
        BASE64.encode_append(octets, out);
        out.push(b'\n');
    }
    if body.len().is_multiple_of(OCTETS) {
        out.push(b'\n');
    }
}

/// Characters of a body of so many octets, with the ends of its lines.
pub(super) fn body_len(octets: usize) -> usize {
    let characters = BASE64.encoded_length(octets);
    characters + characters / COLUMNS + 1
}

/// The arguments of a stanza, one at least: printable characters, with one blank between them.
#[must_use]
pub fn arguments_of(line: &[u8]) -> Option<Vec<&str>> {
    let is_sound = |argument: &&[u8]| !argument.is_empty() && argument.iter().all(u8::is_ascii_graphic);
    line.split(|octet| *octet == b' ')
        .map(|argument| {
            Some(argument)
                .filter(is_sound)
                .and_then(|own| std::str::from_utf8(own).ok())
        })
        .collect()
}

/// Adds a line to the text of a body. `Some(true)`: it was the last; `None`: it is too long.
pub fn add_line(line: &[u8], text: &mut Vec<u8>) -> Option<bool> {
    text.extend_from_slice(line);
    (line.len() <= COLUMNS).then_some(line.len() < COLUMNS)
}

/// Decodes base64 without padding, of which there is one form only.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode_to_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_in_a_line_that_is_not_full() {
        for (len, lines) in [(0, 1), (1, 1), (47, 1), (48, 2), (49, 2), (96, 3), (256, 6)] {
            let mut out = Vec::new();
            append(&["kind", "a"], &vec![7; len], &mut out);
            let text = String::from_utf8(out).unwrap();
            let mut found = text.lines();
            assert_eq!(found.next(), Some("-> kind a"));
            assert_eq!(text.len(), 10 + body_len(len), "{len}");
            let found: Vec<&str> = found.collect();
            assert_eq!(found.len(), lines, "{text:?}");
            let mut body = Vec::new();
            let ends: Vec<_> = found
                .iter()
                .map(|line| add_line(line.as_bytes(), &mut body))
                .collect();
            assert!(ends[..lines - 1].iter().all(|end| *end == Some(false)));
            assert_eq!(ends[lines - 1], Some(true));
            assert_eq!(decode(&body).unwrap(), vec![7; len]);
        }
    }
}
