//! Trial division: products of some small primes at a time, 4 numbers in each lane.
//!
//! A number that a prime divides is thrown away, and which prime it was may be seen. Of one that is kept nobody
//! learns more than that.

use super::super::number::Number;
use super::super::small::Group;
use super::modulus::gather;
use super::word::{self, add, high, low, or, right, splat};
use crate::engine::word::LOW52;

/// Numbers of a lane.
const NUMBERS: usize = 4;
/// Numbers that are divided together.
pub const TILE: usize = NUMBERS * word::LANES;

features! {
/// `divided[i]` becomes whether some prime of the groups divides `numbers[i]`. There are [`TILE`] of both.
pub fn divide<const N: usize>(groups: &[Group], numbers: &[Number<N>], divided: &mut [bool]) {
    let mut lanes = [[word::zero(); N]; NUMBERS];
    for i in 0..NUMBERS { lanes[i] = gather(&numbers[word::LANES * i..]).0; }
    let mut found = [word::zero(); NUMBERS];
    for group in groups {
        let powers = group.powers.first_chunk().expect("there are as many as a number has limbs");
        let (product, inverse) = (splat(group.product), splat(group.inverse));
        let sums = word::dots(powers, &lanes);
        for i in 0..NUMBERS {
            let [lows, highs] = sums[i];
            // A division by 2^52 (Montgomery). What is left is divided by the same primes, and has 52 bits. With the
            // multiple there are zeros below 2^52, which carry unless there were zeros before.
            let quotient = low(word::zero(), lows, inverse);
            let carried = right::<52>(add(lows, splat(LOW52)));
            let rest = add(high(highs, quotient, product), carried);
            for j in 0..group.count {
                let prime = &group.primes[j];
                // A multiple of a prime divided by it modulo 2^52 is its quotient, and no other number gives one so
                // small: less than nothing, where all others are above.
                found[i] = or(found[i], low(splat(prime.start), rest, splat(prime.inverse)));
            }
        }
    }
    for (divided, found) in divided.chunks_mut(word::LANES).zip(found) {
        let found = word::is_negative(found);
        for (lane, divided) in divided.iter_mut().enumerate() { *divided = found >> lane & 1 == 1; }
    }
}
}
