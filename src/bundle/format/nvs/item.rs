//! Items: what an entry says of a value. Namespace, type, span, chunk, CRC-32, key, data.

use super::page::{ENTRY, sum};

pub(super) const U8: u8 = 0x01;
pub(super) const TEXT: u8 = 0x21;
pub(super) const CHUNK: u8 = 0x42;
pub(super) const INDEX: u8 = 0x48;

/// The chunk of what has none.
pub(super) const NO_CHUNK: u8 = 0xFF;
/// Characters of a key or namespace at most.
pub(super) const LONGEST_KEY: usize = 15;

/// An entry that is not data of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub namespace: u8,
    pub kind: u8,
    /// Entries from this one on that are the value's.
    pub span: u8,
    pub chunk: u8,
    pub key: &'a str,
    pub data: [u8; 8],
}

impl<'a> Item<'a> {
    pub fn write(&self, entry: &mut [u8]) {
        entry[..4].copy_from_slice(&[self.namespace, self.kind, self.span, self.chunk]);
        entry[8..24].fill(0);
        entry[8..8 + self.key.len()].copy_from_slice(self.key.as_bytes());
        entry[24..].copy_from_slice(&self.data);
        let sum = sum(&[&entry[..4], &entry[8..]]);
        entry[4..8].copy_from_slice(&sum);
    }

    /// `None`: it is damaged.
    pub fn read(entry: &'a [u8]) -> Option<Self> {
        debug_assert_eq!(entry.len(), ENTRY);
        (sum(&[&entry[..4], &entry[8..]]) == entry[4..8]).then_some(())?;
        let (key, zeros) = entry[8..24].split_at(entry[8..24].iter().position(|octet| *octet == 0)?);
        let is_filled = zeros.iter().all(|octet| *octet == 0);
        let key = std::str::from_utf8(key)
            .ok()
            .filter(|key| is_key(key) && is_filled)?;
        Some(Self {
            namespace: entry[0],
            kind: entry[1],
            span: entry[2],
            chunk: entry[3],
            key,
            data: entry[24..].try_into().ok()?,
        })
    }
}

/// Whether this can be a key, or the name of a namespace: 1 to 15 printable characters of ASCII.
pub(super) fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|octet| (b' '..=b'~').contains(&octet))
}

/// The data of an item whose value lies in the entries after it: its length, two octets free, and its CRC-32.
pub(super) fn described(octets: &[&[u8]]) -> [u8; 8] {
    let len: usize = octets.iter().map(|part| part.len()).sum();
    let [low, high, ..] = len.to_le_bytes();
    let [a, b, c, d] = sum(octets);
    [low, high, 0xFF, 0xFF, a, b, c, d]
}

/// The data of the index of a blob: its length, how many chunks it has, the first chunk's number.
pub(super) fn index(len: u32, chunks: u8) -> [u8; 8] {
    let [a, b, c, d] = len.to_le_bytes();
    [a, b, c, d, chunks, 0, 0xFF, 0xFF]
}
