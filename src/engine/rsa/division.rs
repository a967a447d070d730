//! Trial division: products of some small primes at a time, 4 numbers in each lane.
//!
//! A number that a prime divides is thrown away, and which prime it was may be seen. Of one that is kept nobody
//! learns more than that.

use super::super::number::Number;
use super::super::small::Group;
use super::modulus::gather;
use super::word::{self, Mask, add, high, low, right, splat, sub};

/// Numbers of a lane.
const NUMBERS: usize = 4;
/// Numbers that are divided together.
pub const TILE: usize = NUMBERS * word::LANES;

features! {
/// `divided[i]` becomes whether some prime of the groups divides `numbers[i]`. There are [`TILE`] of both.
pub fn divide<const N: usize>(groups: &[Group], numbers: &[Number<N>], divided: &mut [bool]) {
    let mut lanes = [[word::zero(); N]; NUMBERS];
    let mut found: [Mask; NUMBERS] = [0; NUMBERS];
    for i in 0..NUMBERS { lanes[i] = gather(&numbers[word::LANES * i..]).0; }
    for group in groups {
        let powers = group.powers.first_chunk().expect("there are as many as a number has limbs");
        let (product, inverse) = (splat(group.product), splat(group.inverse));
        let sums = word::dots(powers, &lanes);
        for i in 0..NUMBERS {
            let [lows, highs] = sums[i];
            // Twice a division by 2^52 (Montgomery): what is left is below twice the product, and divided by the same
            // primes.
            let quotient = low(word::zero(), lows, inverse);
            let carried = add(highs, right::<52>(lows));
            let rest = sub(add(carried, product), high(word::zero(), quotient, product));
            let quotient = low(word::zero(), rest, inverse);
            let rest = sub(add(right::<52>(rest), product), high(word::zero(), quotient, product));
            for j in 0..group.count {
                let prime = &group.primes[j];
                // A multiple of a prime divided by it modulo 2^52 is its quotient, and no other number gives one so small.
                let quotient = low(word::zero(), rest, splat(prime.inverse));
                found[i] |= word::is_at_most(quotient, splat(prime.most));
            }
        }
    }
    for (divided, found) in divided.chunks_mut(word::LANES).zip(found) {
        for (lane, divided) in divided.iter_mut().enumerate() { *divided = found >> lane & 1 == 1; }
    }
}
}
