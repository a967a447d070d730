//! The lookup: finds the chunk of a device by its id, so that a station need not read every index.
//!
//! A part of it is a CSV, `device_id_hash,chunk`, sorted: the first 8 octets of the SHA-256 of the
//! device id, in hexadecimal. Which part knows a device follows from the same hash. Two devices may
//! share a hash, so the index has the last word.

use data_encoding::HEXLOWER;
use rayon::prelude::*;

use super::{NotRead, lookup_object};
use crate::digest::{sha256, sha256_start};
use crate::manifest::DeviceId;

const HEADER: &str = "device_id_hash,chunk";

/// Rows of a part, about: 100 KB, which is quickly fetched.
const PART_ROWS: u64 = 4096;

/// A device in the lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// More than the lookup has, so that equal hashes mean equal ids.
    hash: [u8; 12],
    chunk: u32,
}

impl Mark {
    pub(crate) fn new(device_id: &DeviceId, chunk: u64) -> Self {
        Self {
            hash: sha256_start(device_id.as_str().as_bytes()),
            chunk: u32::try_from(chunk).expect("a batch has fewer than 2^32 chunks"),
        }
    }

    /// What the lookup has of the hash.
    fn short(&self) -> [u8; 8] {
        *self.hash.first_chunk().expect("it is longer")
    }
}

/// The part, of so many, that knows a device.
#[must_use]
pub fn part_of(device_id: &DeviceId, parts: u64) -> u64 {
    part(sha256_start(device_id.as_str().as_bytes()), parts)
}

fn part(hash: [u8; 8], parts: u64) -> u64 {
    let hash = u128::from(u64::from_be_bytes(hash));
    u64::try_from((hash * u128::from(parts)) >> 64).expect("below `parts`")
}

/// The same device in two chunks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("chunks {} and {} have the same device", .chunks[0], .chunks[1])]
pub struct Twins {
    pub chunks: [u32; 2],
}

/// The lookup of a batch. Its parts are written when they are asked for, so that memory grows by no more than
/// 16 octets a row.
#[derive(Debug)]
pub struct Lookups {
    marks: Vec<Mark>,
    parts: u64,
}

impl Lookups {
    /// The lookup of these devices.
    ///
    /// # Errors
    ///
    /// When two of them are the same.
    pub(crate) fn new(mut marks: Vec<Mark>) -> Result<Self, Twins> {
        marks.par_sort_unstable();
        if let Some(twins) = marks.windows(2).find(|pair| pair[0].hash == pair[1].hash) {
            return Err(Twins {
                chunks: [twins[0].chunk, twins[1].chunk],
            });
        }
        let parts = (marks.len() as u64).div_ceil(PART_ROWS).max(1);
        Ok(Self { marks, parts })
    }

    /// How many parts there are, counted from 0.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// A part, as it is stored.
    #[must_use]
    pub fn part(&self, part: u64) -> String {
        let first_of = |part| {
            self.marks
                .partition_point(|mark| self::part(mark.short(), self.parts) < part)
        };
        let marks = &self.marks[first_of(part)..first_of(part + 1)];

        let mut text = String::with_capacity(HEADER.len() + 1 + marks.len() * 24);
        text.push_str(HEADER);
        text.push('\n');
        let (mut hash, mut chunk) = ([0; 16], itoa::Buffer::new());
        for mark in marks {
            text.push_str(HEXLOWER.encode_mut_str(&mark.short(), &mut hash));
            text.push(',');
            text.push_str(chunk.format(mark.chunk));
            text.push('\n');
        }
        text
    }

    /// The SHA-256 of each part.
    pub(crate) fn digests(&self) -> Vec<[u8; 32]> {
        let digest = |part| sha256(self.part(part).as_bytes());
        (0..self.parts).into_par_iter().map(digest).collect()
    }
}

/// The chunks in which a device may be: one, or none, but for a rare chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates(pub Vec<u64>);

impl Candidates {
    /// Looks a device up in the part that knows it.
    ///
    /// # Errors
    ///
    /// When the octets are no part of a lookup.
    pub fn find(octets: &[u8], part: u64, device_id: &DeviceId) -> Result<Self, NotRead> {
        let malformed = || NotRead {
            object: lookup_object(part),
            what: "lookup",
        };
        let text = std::str::from_utf8(octets).map_err(|_| malformed())?;
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(malformed());
        }
        let hash = HEXLOWER.encode(&sha256_start::<8>(device_id.as_str().as_bytes()));
        let mut chunks = Vec::new();
        for line in lines {
            let (found, chunk) = line.split_once(',').ok_or_else(malformed)?;
            if found == hash {
                chunks.push(chunk.parse().map_err(|_| malformed())?);
            }
        }
        Ok(Self(chunks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_device_in_the_part_that_knows_it() {
        let id = |i: u32| DeviceId::parse(&format!("SN{i:08}")).unwrap();
        let ids: Vec<DeviceId> = (0..10_000).map(id).collect();
        let marks = ids
            .iter()
            .enumerate()
            .map(|(i, id)| Mark::new(id, i as u64 / 100));
        let lookups = Lookups::new(marks.collect()).unwrap();
        assert_eq!(lookups.parts(), 3);
        let parts: Vec<_> = (0..3).map(|part| lookups.part(part)).collect();
        let rows: usize = parts.iter().map(|part| part.lines().count() - 1).sum();
        assert_eq!(rows, ids.len());
        for (i, id) in ids.iter().enumerate().step_by(37) {
            let part = part_of(id, 3);
            let text = &parts[usize::try_from(part).unwrap()];
            let found = Candidates::find(text.as_bytes(), part, id).unwrap();
            assert_eq!(found, Candidates(vec![i as u64 / 100]));
        }
        let part = part_of(&id(99_999_999), 3);
        let text = &parts[usize::try_from(part).unwrap()];
        let found = Candidates::find(text.as_bytes(), part, &id(99_999_999)).unwrap();
        assert_eq!(found, Candidates(Vec::new()));
    }

    #[test]
    fn refuses_a_device_that_is_there_twice() {
        let marks = [("SN1", 0), ("SN2", 0), ("SN1", 7)];
        let marks = marks.map(|(id, chunk)| Mark::new(&DeviceId::parse(id).unwrap(), chunk));
        assert!(matches!(
            Lookups::new(marks.to_vec()),
            Err(Twins { chunks: [0, 7] })
        ));
    }

    #[test]
    fn refuses_what_is_no_lookup() {
        let id = DeviceId::parse("SN1").unwrap();
        for text in ["", "x\n", "device_id_hash,chunk\nno comma\n"] {
            assert!(Candidates::find(text.as_bytes(), 0, &id).is_err(), "{text:?}");
        }
    }
}
