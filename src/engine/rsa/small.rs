//! The odd primes below 2^16, in groups whose products have 51 bits.

use std::ops::Range;
use std::sync::OnceLock;

use super::super::word::LOW52;

/// Primes below are divided by.
pub const LIMIT: usize = 1 << 16;
/// Limbs of the longest numbers.
const LIMBS: usize = 40;
/// Primes of a group, at most.
const MOST: usize = 12;

/// Some primes that are divided by together.
pub struct Group {
    /// 2^(52 i) modulo the product.
    pub powers: [u64; LIMBS],
    pub product: u64,
    /// 1/product, modulo 2^52.
    pub inverse: u64,
    pub primes: [Prime; MOST],
    pub count: usize,
}

#[derive(Clone, Copy, Default)]
pub struct Prime {
    /// 1/prime, modulo 2^52.
    pub inverse: u64,
    /// The largest quotient that a multiple of 52 bits has.
    pub most: u64,
}

/// All groups, and how they are divided by: a range after the other, each by what the ones before have left.
pub struct Small {
    pub groups: Vec<Group>,
    pub stages: Vec<Range<usize>>,
}

/// A stage ends with the group that reaches this prime.
const STAGES: [u64; 5] = [60, 300, 2_000, 10_000, LIMIT as u64];

impl Small {
    /// The table, made when it is first asked for.
    pub fn primes() -> &'static Self {
        static PRIMES: OnceLock<Small> = OnceLock::new();
        PRIMES.get_or_init(Self::new)
    }

    fn new() -> Self {
        let primes = odd_primes();
        let mut rest = &primes[..];
        let mut groups = Vec::new();
        let mut stages: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for end in STAGES {
            while rest.first().is_some_and(|prime| *prime < end) {
                let count = fitting(rest);
                groups.push(Group::new(&rest[..count]));
                rest = &rest[count..];
            }
            stages.push(start..groups.len());
            start = groups.len();
        }
        Self { groups, stages }
    }
}

/// How many of these primes make a product below 2^51.
fn fitting(primes: &[u64]) -> usize {
    let products = primes.iter().scan(1u64, |product, prime| {
        *product = product.checked_mul(*prime).filter(|product| *product < 1 << 51)?;
        Some(())
    });
    products.take(MOST).count()
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
                most: LOW52 / prime,
            };
        }
        Self {
            powers,
            product,
            inverse: inverse52(product),
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
