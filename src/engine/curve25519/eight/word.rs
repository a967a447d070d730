//! Words of eight lanes, and how entries of a table are picked.

use std::arch::x86_64::{_mm512_permutex2var_epi64, _mm512_test_epi64_mask};

use super::super::table::{ROWS, Row};
pub use crate::engine::word::eight::*;

features! {
/// A limb that a product takes whole, which the tests hold it to.
#[inline] pub fn limb(a: Word) -> Word { a }

/// In each lane the entry of an index of its own, in five limbs. Reads every row, whatever the indexes are.
#[inline]
pub fn pick(rows: &[Row; 5 * ROWS], index: Word) -> [Word; 5] {
    let (limbs, _) = rows.as_chunks::<ROWS>();
    let [a, b, c, d, e]: &[[Row; ROWS]; 5] = limbs.try_into().expect("there are five limbs");
    [pick_limb(a, index), pick_limb(b, index), pick_limb(c, index), pick_limb(d, index), pick_limb(e, index)]
}

#[inline]
fn pick_limb(rows: &[Row; ROWS], index: Word) -> Word {
    let [a, b, c, d] = rows;
    let low = _mm512_permutex2var_epi64(load(&a.0), index, load(&b.0));
    let high = _mm512_permutex2var_epi64(load(&c.0), index, load(&d.0));
    choose(_mm512_test_epi64_mask(index, splat(16)), high, low)
}
}
