//! Words of one lane, and what trial division makes of them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of sums are what is asked for"
)]

use crate::engine::word::LOW52;
pub use crate::engine::word::one::*;

// Without iterators, here and in `columns`: what the standard library does not mark for it is not inlined from another unit of
// compilation, which made a call of every number.
#[inline]
pub fn dots<const N: usize>(constants: &[u64; N], numbers: &[[Word; N]; 4]) -> [[Word; 2]; 4] {
    let mut dots = [[0; 2]; 4];
    for j in 0..4 {
        let mut sum = 0u128;
        for i in 0..N {
            sum += u128::from(constants[i]) * u128::from(numbers[j][i]);
        }
        dots[j] = [sum as u64 & LOW52, (sum >> 52) as u64];
    }
    dots
}
