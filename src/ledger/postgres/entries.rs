//! What a chunk's index says, as one value of a column: fewer rows for the database, in the order of the manifest.
//!
//! ```text
//!   1 octet: form (1) ; for each device: length of its id (1), id, certificate id (32), serial (16), notAfter (8),
//!   offset (8), length (8), SHA-256 (32); numbers are big-endian
//! ```

use crate::batch::IndexEntry;
use crate::ledger::error::Malformed;
use crate::manifest::DeviceId;

const FORM: u8 = 1;

/// The octets of entries.
pub(super) fn write(entries: &[IndexEntry]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(1 + entries.len() * 128);
    octets.push(FORM);
    for entry in entries {
        let id = entry.device_id.as_str().as_bytes();
        octets.push(u8::try_from(id.len()).expect("a device id has 128 characters at most"));
        octets.extend_from_slice(id);
        octets.extend_from_slice(&entry.certificate_id);
        octets.extend_from_slice(entry.certificate_serial.octets());
        octets.extend_from_slice(&entry.not_after.to_be_bytes());
        octets.extend_from_slice(&entry.offset.to_be_bytes());
        octets.extend_from_slice(&entry.length.to_be_bytes());
        octets.extend_from_slice(&entry.sha256);
    }
    octets
}

/// The entries of octets, so many.
///
/// # Errors
///
/// When they are not such as [`write()`] makes.
pub(super) fn read(octets: &[u8], devices: u64) -> Result<Vec<IndexEntry>, Malformed> {
    let malformed = |found: String| Malformed {
        what: "list of a chunk's devices",
        found,
    };
    let mut reader = Reader(octets);
    let mut entries = Vec::new();
    let mut all = || {
        (reader.take::<1>()? == [FORM]).then_some(())?;
        while !reader.0.is_empty() {
            entries.push(entry(&mut reader)?);
        }
        Some(())
    };
    match all() {
        Some(()) if entries.len() as u64 == devices => Ok(entries),
        Some(()) => Err(malformed(format!("{} of {devices} devices", entries.len()))),
        None => Err(malformed(format!("{} octets", octets.len()))),
    }
}

fn entry(reader: &mut Reader<'_>) -> Option<IndexEntry> {
    let [length] = reader.take()?;
    let id = reader.some(length.into())?;
    Some(IndexEntry {
        device_id: DeviceId::parse(std::str::from_utf8(id).ok()?).ok()?,
        certificate_id: reader.take()?,
        certificate_serial: reader.take::<16>()?.into(),
        not_after: i64::from_be_bytes(reader.take()?),
        offset: u64::from_be_bytes(reader.take()?),
        length: u64::from_be_bytes(reader.take()?),
        sha256: reader.take()?,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn some(&mut self, count: usize) -> Option<&'a [u8]> {
        let (some, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(some)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (some, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entry() -> impl Strategy<Value = IndexEntry> {
        let id = "[A-Za-z0-9:_-]{1,128}".prop_map(|id| id.parse().unwrap());
        (
            id,
            any::<[u8; 32]>(),
            any::<[u8; 16]>(),
            any::<i64>(),
            any::<(u64, u64)>(),
            any::<[u8; 32]>(),
        )
            .prop_map(
                |(device_id, certificate_id, serial, not_after, (offset, length), sha256)| IndexEntry {
                    device_id,
                    certificate_id,
                    certificate_serial: serial.into(),
                    not_after,
                    offset,
                    length,
                    sha256,
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else(entries in prop::collection::vec(any_entry(), 0..5), cut in any::<prop::sample::Index>()) {
            let octets = write(&entries);
            let devices = entries.len() as u64;
            prop_assert_eq!(&read(&octets, devices).unwrap(), &entries);
            prop_assert!(read(&octets, devices + 1).is_err());
            prop_assert!(read(&octets[..cut.index(octets.len())], devices).is_err());
            let mut longer = octets;
            longer.push(1);
            prop_assert!(read(&longer, devices).is_err());
        }
    }
}
