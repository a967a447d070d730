//! What lanes are asked to do.

use super::super::number::Number;
use super::super::small::Group;
use super::word::{LANES, Mask};
use super::{division, power, prime};

pub use super::division::TILE;

/// Work for all lanes: as many numbers as there are [`LANES`], unless it says otherwise; they have so many bits.
pub enum Job<'a, const N: usize> {
    /// Whether a small prime divides them: [`TILE`] of them.
    Divide {
        groups: &'a [Group],
        numbers: &'a [Number<N>],
        divided: &'a mut [bool],
    },
    /// See [`prime::filter`].
    Filter {
        numbers: &'a [Number<N>],
        bits: usize,
        passed: &'a mut [bool],
    },
    /// See [`prime::round`].
    Round {
        numbers: &'a [Number<N>],
        random: [&'a [Number<N>]; 2],
        bits: usize,
        passed: &'a mut [bool],
    },
    /// See [`power::powers`].
    Power {
        items: [&'a [Number<N>]; 3],
        bits: usize,
        results: &'a mut [Number<N>],
    },
    /// See [`power::differences`].
    Difference {
        items: [&'a [Number<N>]; 4],
        bits: usize,
        results: &'a mut [Number<N>],
    },
}

features! {
pub fn run_job<const N: usize>(job: Job<'_, N>) {
    const { assert!(N.is_multiple_of(10)) };
    let (passed, mask) = match job {
        Job::Divide { groups, numbers, divided } => return division::divide(groups, numbers, divided),
        Job::Power { items, bits, results } => return power::powers(items, bits, results),
        Job::Difference { items, bits, results } => return power::differences(items, bits, results),
        Job::Filter { numbers, bits, passed } => (passed, prime::filter(numbers, bits)),
        Job::Round { numbers, random, bits, passed } => (passed, prime::round(numbers, random, bits)),
    };
    tell(mask, passed);
}

/// See [`power::are_powers_of_e`]: numbers of M limbs, as a modulus has.
pub fn verify_all<const M: usize>(items: [&[Number<M>]; 3], passed: &mut [bool]) {
    tell(power::are_powers_of_e(items), passed);
}

fn tell(mask: Mask, passed: &mut [bool]) {
    for lane in 0..LANES { passed[lane] = mask >> lane & 1 == 1; }
}
}
