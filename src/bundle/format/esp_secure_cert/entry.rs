//! Entries: a header of 12 octets, data, zeros up to 16 octets, and a CRC-32 of all that (`esp_secure_cert_tlv_header_t`).

use crc32fast::Hasher;

use super::unread::Unread;

const MAGIC: [u8; 4] = 0xBA5E_BA11_u32.to_le_bytes();
const HEADER: usize = 12;
const SUM: usize = 4;
/// What the data is filled up to, so that entries lie where flash encryption can write them.
const ALIGNED: usize = 16;

/// What an entry holds (`esp_secure_cert_tlv_type_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Ca = 0,
    Certificate = 1,
    PrivateKey = 2,
    DsData = 3,
    DsContext = 4,
    Integrity = 9,
}

impl Kind {
    fn of(octet: u8) -> Option<Self> {
        let all = [
            Self::Ca,
            Self::Certificate,
            Self::PrivateKey,
            Self::DsData,
            Self::DsContext,
            Self::Integrity,
        ];
        all.into_iter().find(|kind| *kind as u8 == octet)
    }
}

/// Octets of an entry with so much data.
pub(super) const fn len(data: usize) -> usize {
    HEADER + data.next_multiple_of(ALIGNED) + SUM
}

/// Appends an entry. `data` appends what it holds, which is less than 64 KiB.
pub(super) fn append(kind: Kind, out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    data(out);
    let len = out.len() - start - HEADER;
    let written = u16::try_from(len).expect("an entry that fits into the partition is shorter");
    out[start..start + HEADER].copy_from_slice(&header(kind, written));
    out.resize(start + HEADER + len.next_multiple_of(ALIGNED), 0);
    let sum = sum(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Octets of the entry with the SHA-256 of all before it.
pub(super) const INTEGRITY: usize = len(32);

/// Fills the place of that entry.
pub(super) fn fill_integrity(digest: &[u8; 32], out: &mut [u8]) {
    out[..HEADER].copy_from_slice(&header(Kind::Integrity, 32));
    out[HEADER..HEADER + 32].copy_from_slice(digest);
    let sum = sum(&out[..HEADER + 32]);
    out[HEADER + 32..].copy_from_slice(&sum.to_le_bytes());
}

/// Flags (a plain key), three octets in reserve, the kind, the subtype, the length of the data.
fn header(kind: Kind, len: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[8] = kind as u8;
    header[10..].copy_from_slice(&len.to_le_bytes());
    header
}

/// `zlib.crc32(octets, 0xffffffff)`, and what a device's ROM calls `esp_rom_crc32_le(UINT32_MAX, …)`.
fn sum(octets: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(u32::MAX);
    hasher.update(octets);
    hasher.finalize()
}

/// An entry that was read, and found whole.
pub(super) struct Entry<'a> {
    pub kind: Kind,
    pub data: &'a [u8],
    pub end: usize,
}

/// The entry that begins here. `None`: none does, so the entries end here.
pub(super) fn read(image: &[u8], start: usize) -> Result<Option<Entry<'_>>, Unread> {
    let rest = &image[start..];
    if !rest.starts_with(&MAGIC) {
        return Ok(None);
    }
    let cut = Unread::Cut { offset: start };
    let header = rest.get(..HEADER).ok_or(cut)?;
    let len = usize::from(u16::from_le_bytes([header[10], header[11]]));
    let filled = HEADER + len.next_multiple_of(ALIGNED);
    let sum_at_end = rest.get(filled..filled + SUM).ok_or(cut)?;
    if sum(&rest[..filled]).to_le_bytes() != sum_at_end {
        return Err(Unread::Sum { offset: start });
    }
    let strange = Unread::Strange {
        offset: start,
        kind: header[8],
    };
    let is_plain = header[4..8] == [0; 4] && header[9] == 0;
    let kind = Kind::of(header[8]).filter(|_| is_plain).ok_or(strange)?;
    let (data, filling) = rest[HEADER..filled].split_at(len);
    if filling.iter().any(|octet| *octet != 0) {
        return Err(strange);
    }
    Ok(Some(Entry {
        kind,
        data,
        end: start + filled + SUM,
    }))
}
