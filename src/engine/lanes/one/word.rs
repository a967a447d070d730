//! Words of one lane, and what the arithmetic of P-256 makes of them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of products are what is asked for"
)]

use super::super::table::Row;
use crate::engine::word::LOW52;
pub use crate::engine::word::one::*;

/// Bits of a window for secret scalars: few, because a table is read whole for each digit.
pub const SECRET_BITS: usize = 5;
/// Rows of a limb of a window.
const ROWS: usize = 1 << (SECRET_BITS - 4);
pub const ACCUMULATORS: usize = 4;
pub const CHAINS: usize = 1;

features! {
#[inline]
pub fn product(a: &[Word; 5], b: &[Word; 5]) -> [Word; 10] {
    let mut wide = [0u128; 9];
    for i in 0..5 { for j in 0..5 { wide[i + j] += u128::from(a[i]) * u128::from(b[j]); } }
    halves(&wide)
}

#[inline]
pub fn square(a: &[Word; 5]) -> [Word; 10] {
    let mut wide = [0u128; 9];
    for i in 0..5 { for j in i + 1..5 { wide[i + j] += u128::from(2 * a[i]) * u128::from(a[j]); } }
    for i in 0..5 { wide[2 * i] += u128::from(a[i]) * u128::from(a[i]); }
    halves(&wide)
}

/// Columns of whole products as columns of their halves.
#[inline]
fn halves(wide: &[u128; 9]) -> [Word; 10] {
    let mut t = [0; 10];
    for (i, wide) in wide.iter().enumerate() {
        t[i] += *wide as u64 & LOW52;
        t[i + 1] += (*wide >> 52) as u64;
    }
    t
}

#[inline] pub fn rotate<const BY: i32>(a: Word) -> Word { a }

#[inline]
pub fn pick(rows: &[Row], index: Word) -> [Word; 5] {
    let rows: &[Row; 5 * ROWS] = rows.try_into().expect("there are five limbs");
    let mut picked = [0; 5];
    for entry in 0..8 * ROWS {
        let mask = spread(is_zero(entry as u64 ^ index));
        for (limb, picked) in picked.iter_mut().enumerate() {
            *picked |= rows[ROWS * limb + entry / 8].0[entry % 8] & mask;
        }
    }
    picked
}

#[inline]
pub fn look_up(rows: &[Row], index: Word, last: bool) -> [Word; 4] {
    let (halves, _) = rows[index as usize].0.as_chunks::<4>();
    halves[usize::from(last)]
}
}
