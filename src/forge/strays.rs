//! Strays: attempts of which a ledger that was rebuilt knows the batch, and not the chunk. Their objects lie where some
//! chunk's bundles are to be, so every chunk that remains may replace what they left.

use std::collections::BTreeMap;

use crate::batch::Shape;
use crate::certificate::SerialPrefix;

/// The attempts at each chunk, to which those are added whose chunk is not known, if the chunk remains.
pub(super) fn shared_out(
    mut attempts: BTreeMap<u64, Vec<SerialPrefix>>,
    remaining: &[u64],
    shape: Shape,
) -> BTreeMap<u64, Vec<SerialPrefix>> {
    let Some(strays) = attempts.remove(&shape.unknown_chunk()) else {
        return attempts;
    };
    for chunk in remaining {
        attempts.entry(*chunk).or_default().extend_from_slice(&strays);
    }
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_that_remains_may_replace_what_strays_left() {
        let prefix = |first: u8| SerialPrefix::from_octets([first; 8]).unwrap();
        let shape = Shape {
            rows: 9,
            chunk_rows: 4,
        };
        let of = |chunk, prefixes: &[u8]| (chunk, prefixes.iter().copied().map(prefix).collect());
        let known = BTreeMap::from([of(0, &[1]), of(1, &[2]), of(shape.unknown_chunk(), &[7, 8])]);
        let found = shared_out(known, &[1, 2], shape);
        assert_eq!(
            found,
            BTreeMap::from([of(0, &[1]), of(1, &[2, 7, 8]), of(2, &[7, 8])])
        );
        let none = BTreeMap::from([of(0, &[1])]);
        assert_eq!(shared_out(none.clone(), &[1, 2], shape), none);
    }
}
