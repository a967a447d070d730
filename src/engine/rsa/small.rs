//! The odd primes below 2^16, in groups whose products have 46 bits.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::OnceLock;

use super::super::word::LOW52;

/// Primes below are divided by.
pub const LIMIT: usize = 1 << 16;
/// Limbs of the longest numbers.
const LIMBS: usize = 40;
/// Primes of a group, at most.
const MOST: usize = 12;
/// A group's product, at most: as many of them as a number has limbs, and one more with what is carried, have 52 bits.
const MOST_PRODUCT: u64 = LOW52 / (LIMBS as u64 + 2);

/// Some primes that are divided by together.
pub struct Group {
    /// 2^(52 i) modulo the product.
    pub powers: [u64; LIMBS],
    pub product: u64,
    /// -1/product, modulo 2^52.
    pub inverse: u64,
    pub primes: [Prime; MOST],
    pub count: usize,
}

#[derive(Clone, Copy, Default)]
pub struct Prime {
    /// 1/prime, modulo 2^52.
    pub inverse: u64,
    /// Less than nothing by one more than the largest quotient that a multiple of 52 bits has.
    pub start: u64,
}

/// All groups, and how they are divided by: a range after the other, each by what the ones before have left.
pub struct Small {
    pub groups: Vec<Group>,
    pub stages: Vec<Range<usize>>,
}

/// A stage ends with the group that reaches this prime.
const STAGES: [u64; 6] = [60, 300, 2_000, 10_000, 20_000, LIMIT as u64];

impl Small {
    /// The table, made when it is first asked for.
    pub fn primes() -> &'static Self {
        static PRIMES: OnceLock<Small> = OnceLock::new();
        PRIMES.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut rest = VecDeque::from(odd_primes());
        let mut groups = Vec::new();
        let mut stages: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for end in STAGES {
            let count = rest.partition_point(|prime| *prime < end);
            let mut primes: Vec<u64> = rest.drain(..count).collect();
            while !primes.is_empty() {
                groups.push(Group::new(&take_group(&mut primes)));
            }
            stages.push(start..groups.len());
            start = groups.len();
        }
        Self { groups, stages }
    }
}

/// Takes from primes, in order, some whose product is small enough: always the largest that is. So large ones and small
/// ones come together, and there are few groups.
fn take_group(primes: &mut Vec<u64>) -> Vec<u64> {
    let (mut group, mut product) = (Vec::new(), 1);
    while group.len() < MOST {
        let fitting = primes.partition_point(|prime| product * prime <= MOST_PRODUCT);
        let Some(place) = fitting.checked_sub(1) else {
            break;
        };
        product *= primes[place];
        group.push(primes.remove(place));
    }
    group
}

impl Group {
    fn new(primes: &[u64]) -> Self {
        let product = primes.iter().product();
        let mut powers = [1; LIMBS];
        for i in 1..LIMBS {
            let power = (u128::from(powers[i - 1]) << 52) % u128::from(product);
            powers[i] = u64::try_from(power).expect("it is below the product");
        }
        let mut all = [Prime::default(); MOST];
        for (place, prime) in all.iter_mut().zip(primes) {
            *place = Prime {
                inverse: inverse52(*prime),
                start: !(LOW52 / prime),
            };
        }
        Self {
            powers,
            product,
            inverse: inverse52(product).wrapping_neg() & LOW52,
            primes: all,
            count: primes.len(),
        }
    }
}

/// 1/n modulo 2^52, of an odd number.
fn inverse52(odd: u64) -> u64 {
    inverse64(odd) & LOW52
}

/// 1/n modulo 2^64, of an odd number, in constant time.
pub const fn inverse64(odd: u64) -> u64 {
    // Newton: each round doubles the bits that are right, of which there are three.
    let mut inverse = odd;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// Eratosthenes.
fn odd_primes() -> Vec<u64> {
    let mut is_composite = vec![false; LIMIT];
    let mut primes = Vec::new();
    for i in (3..LIMIT).step_by(2) {
        if !is_composite[i] {
            primes.push(i as u64);
            for multiple in (i * i..LIMIT).step_by(2 * i) {
                is_composite[multiple] = true;
            }
        }
    }
    primes
}
