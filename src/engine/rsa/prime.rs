//! Is it a prime? A filter to base 2 for what has no small divisor, and rounds of Miller and Rabin for what it lets
//! through.
//!
//! No path and no address depends on the numbers.

use super::super::number::Number;
use super::modulus::{
    Element, Modulus, bits_at, choose_element, constant, difference, equal, gather, is_nothing, least, leave,
    modulus, mul, one, square, square_and_double, sum, without,
};
use super::power::{power, table};
use super::word::{self, Mask, add, left_each, or, splat, sub, xor};

/// Bits of p-1 at its end that are looked at one by one. Where it ends with more zeros, which one prime in 2^24 does, a round
/// that finds -1 only before them does not let it pass: of such primes that is one round in 2^24.
pub const TAIL: usize = 24;

features! {
/// Lanes whose numbers p have 2^-((p-1)/2) = 1 or -1 modulo p, as every prime has (Euler); they have so many bits, and
/// of them the highest and the lowest.
pub fn filter<const N: usize>(numbers: &[Number<N>], bits: usize) -> Mask {
    let p = modulus(gather(numbers));
    // With h = (p-1)/2, which is p without its lowest bit, -h-1 is h with all bits turned round. Its first five bits (or
    // four: the others are taken two at a time), with all that are before them, are an exponent s from -32 to -9, and
    // the form of 2^s is 2^s R: a bit of the last limb.
    let start = 5 - bits % 2;
    let times = (bits - 1 - start) / 2;
    let start = bits_at(&p.limbs, 2 * times + 1, (1 << start) - 1);
    let mut power = constant(0);
    power.0[N - 1] = left_each(splat(1), sub(splat(51), start));
    square_and_double(&mut power, times, |i| {
        let digit = xor(bits_at(&p.limbs, 2 * (times - 1 - i) + 1, 3), splat(3));
        // Once more at the end, by which -h-1 becomes -h.
        add(digit, splat(u64::from(i == times - 1)))
    }, &p);
    let power = leave(&power, &p);
    let (negative, _) = difference(&p.limbs, &power);
    let unit = constant(1);
    equal(&power, &unit) | equal(&negative, &unit)
}

/// One round of the probabilistic test of FIPS 186-5, B.3.1 (Miller and Rabin), in each lane with a base of its own;
/// lanes whose numbers pass. They have so many bits, and of them the highest and the lowest. Bases are made of
/// `random[0]`, of as many bits, and `random[1]`, of 52 N: twice as many bits as the number has, so that each base is as
/// probable as any other (FIPS 186-5, A.2.1 has 64 bits more). A base that is not between 2 and p-2 lets nothing pass.
///
/// The same is done whatever the numbers are, and however many times two divides p-1.
#[inline(never)]
pub fn round<const N: usize>(numbers: &[Number<N>], random: [&[Number<N>]; 2], bits: usize) -> Mask {
    let p = modulus(gather(numbers));
    let any_one = one(&p, bits);
    let mut base = sum(&gather(random[0]), &leave(&gather(random[1]), &p));
    mul(&mut base, &any_one, &p);
    let mut even = p.limbs;
    even.0[0] = word::sub(even.0[0], splat(1));

    let table = table(&base, &any_one, &p);
    let power = power(&table, &even, TAIL..bits, &p);
    square_on([&power, &base, &any_one], &even, &p)
}

/// Lanes that pass a round, of the power of the base to p-1 without the bits at its end, which follow.
#[inline(never)]
fn square_on<const N: usize>(
    [power, base, any_one]: [&Element<N>; 3],
    even: &Element<N>,
    p: &Modulus<N>,
) -> Mask {
    let units = units(p, any_one);
    let [is_one, is_negative] = find(&units, base, p);
    let not_a_base = is_one | is_negative | is_nothing(&least(base, &p.limbs));
    let mut power = *power;
    // Lanes where so many bits at the end are zeros: those where the power is one of the odd part, or a square of it.
    let mut passed = 0;
    for place in (1..=TAIL).rev() {
        if place < TAIL {
            let is_zero = word::is_zero(bits_at(even, place, 1));
            square(&mut power, 1, p);
            mul(&mut power, &choose_element(is_zero, any_one, base), p);
        }
        let [is_one, is_negative] = find(&units, &power, p);
        let is_odd_part = without(ends_with_zeros(even, place + 1));
        passed |= ends_with_zeros(even, place) & (is_negative | is_one & is_odd_part);
    }
    passed & without(not_a_base)
}

/// Lanes whose lowest bits are zeros, so many.
#[inline]
fn ends_with_zeros<const N: usize>(a: &Element<N>, bits: usize) -> Mask {
    let mut any = word::zero();
    for limb in 0..bits / 52 { any = or(any, a.0[limb]); }
    match bits % 52 {
        0 => {}
        rest => any = or(any, bits_at(a, bits / 52 * 52, (1 << rest) - 1)),
    }
    word::is_zero(any)
}

/// The forms of 1 and of -1, below the modulus.
#[inline]
fn units<const N: usize>(p: &Modulus<N>, any_one: &Element<N>) -> [Element<N>; 2] {
    let one = least(any_one, &p.limbs);
    [one, difference(&p.limbs, &one).0]
}

/// Lanes that have 1, and lanes that have -1.
#[inline]
fn find<const N: usize>(units: &[Element<N>; 2], a: &Element<N>, p: &Modulus<N>) -> [Mask; 2] {
    let a = least(a, &p.limbs);
    [equal(&a, &units[0]), equal(&a, &units[1])]
}
}
