//! The arithmetic's limit: what the processor would do if it did nothing but the multiplications of a key.

use super::super::table::windows;
use super::word::{self, SECRET_BITS, splat};

/// Multiplying instructions of a product and of a square modulo p, and what they come to for a key: an addition takes
/// five products and a square, and makes a key of eight.
const PRODUCT: u64 = 50 + 25;
const SQUARE: u64 = 30 + 25;
pub const IFMA_A_KEY: u64 = (windows(SECRET_BITS) as u64 - 1) * (5 * PRODUCT + SQUARE) / word::LANES as u64;

/// Of a signature: those, and seven products modulo n.
pub const IFMA_A_SIGNATURE: u64 = IFMA_A_KEY + 7 * (50 + 55) / word::LANES as u64;

/// Multiplying instructions of a round.
pub const IFMA_A_ROUND: u64 = SUMS as u64;
const SUMS: usize = 16;

features! {
/// So many rounds of multiplying instructions that wait for nothing.
#[inline(never)]
pub fn saturate(rounds: u64) {
    let factor = splat(std::hint::black_box(3));
    let mut sums = [factor; SUMS];
    for _ in 0..rounds {
        for sum in &mut sums { *sum = word::low(*sum, factor, factor); }
    }
    for sum in sums { std::hint::black_box(word::store(sum)); }
}
}
