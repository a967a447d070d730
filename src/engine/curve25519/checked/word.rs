//! Words of one lane that are checked, and how entries of a table are picked.

use super::super::table::{ROWS, Row};
pub use crate::engine::word::checked::*;

pub fn pick(rows: &[Row; 5 * ROWS], index: Word) -> [Word; 5] {
    let index = usize::try_from(index).unwrap();
    std::array::from_fn(|limb| rows[ROWS * limb + index / 8].0[index % 8])
}
