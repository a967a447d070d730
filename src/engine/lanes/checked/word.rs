//! Words of one lane that are checked, and what the arithmetic of P-256 makes of them.

use super::super::table::Row;
use crate::engine::word::checked::limb;
pub use crate::engine::word::checked::*;

pub const SECRET_BITS: usize = 8;
const ROWS: usize = 1 << (SECRET_BITS - 4);
pub const ACCUMULATORS: usize = 8;
pub const CHAINS: usize = 4;

pub fn product(a: &[Word; 5], b: &[Word; 5]) -> [Word; 10] {
    let mut t = [0; 10];
    for i in 0..5 {
        for j in 0..5 {
            t[i + j] = low(t[i + j], limb(a[i]), limb(b[j]));
            t[i + j + 1] = high(t[i + j + 1], a[i], b[j]);
        }
    }
    t
}

pub fn square(a: &[Word; 5]) -> [Word; 10] {
    product(a, a)
}

pub fn rotate<const BY: i32>(a: Word) -> Word {
    a
}

pub fn pick(rows: &[Row], index: Word) -> [Word; 5] {
    let index = usize::try_from(index).unwrap();
    std::array::from_fn(|limb| rows[ROWS * limb + index / 8].0[index % 8])
}

pub fn look_up(rows: &[Row], index: Word, last: bool) -> [Word; 4] {
    let row = &rows[usize::try_from(index).unwrap()].0;
    std::array::from_fn(|i| row[4 * usize::from(last) + i])
}
