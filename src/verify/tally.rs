//! The tally: finds what must be unique and is not, over a whole batch, in 16 octets a value.

use rayon::prelude::*;

use crate::batch::{IndexEntry, IndexRow};
use crate::digest::{sha256_many, sha256_start};

/// 96 bits of a hash, and the row it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    hash: [u8; 12],
    row: u32,
}

/// Values of one kind, one a row.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<Mark>);

impl Tally {
    /// Adds the value of a row by its hash.
    fn push(&mut self, row: u64, hash: &[u8]) {
        let mut start = [0; 12];
        start.copy_from_slice(&hash[..12]);
        self.0.push(Mark {
            hash: start,
            row: u32::try_from(row).expect("a batch has fewer than 2^32 rows"),
        });
    }

    /// The same of rows that follow one another.
    fn extend(&mut self, first: u64, hashes: impl IntoIterator<Item = [u8; 32]>) {
        for (row, hash) in (first..).zip(hashes) {
            self.push(row, &hash);
        }
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn sort(&mut self) {
        self.0.par_sort_unstable();
    }

    /// Pairs of rows that have the same value. The tally must be sorted.
    pub(super) fn twins(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0
            .windows(2)
            .filter(|pair| pair[0].hash == pair[1].hash)
            .map(|pair| (u64::from(pair[0].row), u64::from(pair[1].row)))
    }

    /// Whether a value is there. The tally must be sorted.
    pub(super) fn contains(&self, value: &[u8]) -> bool {
        let hash: [u8; 12] = sha256_start(value);
        self.0.binary_search_by(|mark| mark.hash.cmp(&hash)).is_ok()
    }
}

/// What must be unique in a batch.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub devices: Tally,
    pub certificates: Tally,
    pub serials: Tally,
    pub keys: Tally,
}

impl Tallies {
    /// Adds the rows of a chunk, and the identifiers of their keys as far as they are known. `first`: the number of the
    /// first one in the batch.
    pub(super) fn add(&mut self, first: u64, rows: &[IndexRow], keys: &[Option<[u8; 20]>]) {
        let hashed = |value: for<'a> fn(&'a IndexEntry) -> &'a [u8]| {
            let values: Vec<&[u8]> = rows.iter().map(|row| value(&row.entry)).collect();
            let mut digests = vec![[0; 32]; values.len()];
            sha256_many(&values, &mut digests);
            digests
        };
        self.devices
            .extend(first, hashed(|entry| entry.device_id.as_str().as_bytes()));
        self.serials
            .extend(first, hashed(|entry| entry.certificate_serial.octets()));
        // These are the SHA-256 of something as they are.
        self.certificates
            .extend(first, rows.iter().map(|row| row.entry.certificate_id));
        for (number, key) in (first..).zip(keys) {
            if let Some(key) = key {
                self.keys.push(number, key);
            }
        }
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        self.devices.append(&mut other.devices);
        self.certificates.append(&mut other.certificates);
        self.serials.append(&mut other.serials);
        self.keys.append(&mut other.keys);
    }

    pub(super) fn sort(&mut self) {
        for tally in [
            &mut self.devices,
            &mut self.certificates,
            &mut self.serials,
            &mut self.keys,
        ] {
            tally.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn names_the_rows_that_agree() {
        let mut tally = Tally::default();
        for (row, value) in [b"a", b"b", b"c", b"b", b"d"].iter().enumerate() {
            tally.push(row as u64, &sha256(*value));
        }
        tally.sort();
        assert_eq!(tally.twins().collect::<Vec<_>>(), [(1, 3)]);
        assert!(tally.contains(b"d"));
        assert!(!tally.contains(b"e"));
    }
}
