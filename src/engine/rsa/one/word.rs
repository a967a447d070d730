//! Words of one lane, and what trial division makes of them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of sums are what is asked for"
)]

use crate::engine::word::LOW52;
pub use crate::engine::word::one::*;

#[inline]
pub fn dots<const N: usize>(constants: &[u64; N], numbers: &[[Word; N]; 4]) -> [[Word; 2]; 4] {
    numbers.map(|number| {
        let products = constants
            .iter()
            .zip(number)
            .map(|(constant, limb)| u128::from(*constant) * u128::from(limb));
        let sum: u128 = products.sum();
        [sum as u64 & LOW52, (sum >> 52) as u64]
    })
}
