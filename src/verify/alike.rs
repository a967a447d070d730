//! The quick way through a chunk: some bundles judged in full, all others held against one of these.
//!
//! In full are judged the first one that is good, which becomes the specimen, every one before it, and one more at a
//! place that moves from chunk to chunk; and then each that is not alike, or that a group does not find good.

use std::collections::HashMap;

use super::bundle::{Findings, Standard};
use super::found::Found;
use super::group::Group;
use super::specimen::{Scratch, Specimen};

/// Good bundles that are tried as specimens, at most: when a batch is of a kind that has none, no more is tried.
const ATTEMPTS: usize = 3;

/// Judges what it can of a chunk. `keys` has a place for each row: those of bundles that are good get the identifier of
/// the public key. Returns what was found of those that were judged in full.
pub(super) fn judge(
    found: &Found<'_>,
    standard: &Standard<'_>,
    keys: &mut [Option<[u8; 20]>],
) -> HashMap<usize, Findings> {
    let mut in_full = HashMap::new();
    let Some((specimen, next)) = specimen(found, standard, &mut in_full) else {
        return in_full;
    };
    let sample = next + sample(found.task.chunk, found.rows.len() - next);
    let (mut scratch, mut group) = (Scratch::default(), Group::default());
    for (i, row) in found.rows.iter().enumerate().skip(next) {
        if i == sample {
            in_full.insert(i, found.inspect(i, standard));
            continue;
        }
        if let (Some(plain), Some(listed)) = (found.plain(i), found.certificates.listed(i)) {
            let octets = found.bundle(i).unwrap_or_default();
            let memory = (&mut scratch, &mut group);
            specimen.compare((i, octets, plain), listed, &row.entry, found.line(i), memory);
        }
        if group.is_full() {
            group.judge(&standard.judge, keys);
        }
    }
    group.judge(&standard.judge, keys);
    in_full
}

/// The first good bundle that can be a specimen, and the row behind it.
fn specimen<'a>(
    found: &Found<'_>,
    standard: &'a Standard<'a>,
    in_full: &mut HashMap<usize, Findings>,
) -> Option<(Specimen<'a>, usize)> {
    let mut attempts = 0;
    for (i, row) in found.rows.iter().enumerate() {
        let (Some(octets), Some(listed)) = (found.plain(i), found.certificates.listed(i)) else {
            continue;
        };
        let findings = found.inspect(i, standard);
        let is_good = findings.is_good() && findings.certificate == listed.der;
        let specimen = is_good.then(|| Specimen::of(standard, octets, listed.der, &row.entry));
        in_full.insert(i, findings);
        match specimen {
            Some(Some(specimen)) => return Some((specimen, i + 1)),
            Some(None) => attempts += 1,
            None => {}
        }
        if attempts == ATTEMPTS {
            return None;
        }
    }
    None
}

/// The row of a chunk that is judged in full wherever the specimen is.
fn sample(chunk: u64, rows: usize) -> usize {
    // By the golden ratio, so that the places of chunks that follow one another are spread evenly.
    let place = chunk.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let rows = u64::try_from(rows).unwrap_or(u64::MAX).max(1);
    usize::try_from((place * rows.min(1 << 32)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_move_over_all_places() {
        let mut seen = std::collections::BTreeSet::new();
        for chunk in 0..64 {
            let place = sample(chunk, 16);
            assert!(place < 16);
            seen.insert(place);
        }
        assert_eq!(seen.len(), 16);
        assert_eq!(sample(7, 1), 0);
        assert_eq!(sample(7, 0), 0);
    }
}
