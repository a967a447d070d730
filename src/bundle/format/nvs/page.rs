//! Pages: a header of 32 octets, two bits for each entry, 126 entries.

use crc32fast::Hasher;

use super::PAGE;

/// Octets of an entry, of the header, and of the bits.
pub(super) const ENTRY: usize = 32;
pub(super) const ENTRIES: usize = 126;

const ACTIVE: u32 = 0xFFFF_FFFE;
const FULL: u32 = 0xFFFF_FFFC;
/// Format version 2, which counts down from 0xFF.
const VERSION: u8 = 0xFE;

/// `zlib.crc32(octets, 0xffffffff)`.
pub(super) fn sum(parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = Hasher::new_with_initial(u32::MAX);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_le_bytes()
}

/// Where a page stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Full,
}

/// Writes the header and bits of a page whose first entries, so many, are written.
pub(super) fn begin(page: &mut [u8], number: u32, state: State, written: usize) {
    let state = match state {
        State::Active => ACTIVE,
        State::Full => FULL,
    };
    page[..4].copy_from_slice(&state.to_le_bytes());
    page[4..8].copy_from_slice(&number.to_le_bytes());
    page[8] = VERSION;
    let sum = sum(&[&page[4..28]]);
    page[28..32].copy_from_slice(&sum);
    // An entry that is written: 0b10, which is 0b11 with its lower bit cleared.
    let (whole, rest) = (written / 4, written % 4);
    page[ENTRY..ENTRY + whole].fill(0b1010_1010);
    if rest > 0 {
        page[ENTRY + whole] = [0, 0b1111_1110, 0b1111_1010, 0b1110_1010][rest];
    }
}

/// A page that was read.
pub(super) struct Page<'a> {
    pub number: u32,
    /// Octets of the whole page.
    octets: &'a [u8],
}

/// Why a page is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Header,
    Version,
    State,
}

/// What has become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Empty,
    Written,
    Erased,
}

impl<'a> Page<'a> {
    /// `None`: it is as flash is when nothing was written.
    pub fn read(octets: &'a [u8]) -> Result<Option<Self>, Fault> {
        debug_assert_eq!(octets.len(), PAGE);
        if octets.iter().all(|octet| *octet == 0xFF) {
            return Ok(None);
        }
        let word =
            |at: usize| u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        if !matches!(word(0), ACTIVE | FULL) {
            return Err(Fault::State);
        }
        if sum(&[&octets[4..28]]) != octets[28..32] {
            return Err(Fault::Header);
        }
        // The bits of two entries more than there are.
        if octets[2 * ENTRY - 1] >> 4 != 0b1111 {
            return Err(Fault::Header);
        }
        if octets[8] != VERSION {
            return Err(Fault::Version);
        }
        Ok(Some(Self {
            number: word(4),
            octets,
        }))
    }

    pub fn life(&self, entry: usize) -> Option<Life> {
        match self.octets[ENTRY + entry / 4] >> (entry % 4 * 2) & 0b11 {
            0b11 => Some(Life::Empty),
            0b10 => Some(Life::Written),
            0b00 => Some(Life::Erased),
            _ => None,
        }
    }

    pub fn entry(&self, entry: usize) -> &'a [u8] {
        &self.octets[(entry + 2) * ENTRY..][..ENTRY]
    }
}
