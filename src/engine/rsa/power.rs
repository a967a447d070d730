//! Powers whose base, exponent and modulus are secret, all of them other ones in each lane.
//!
//! The exponent is taken four bits at a time, and the power of the base that they name is picked out of a table that
//! is read whole.

use std::ops::Range;

use super::super::number::Number;
use super::modulus::{
    Element, Modulus, bits_at, choose_element, constant, difference, equal, gather, least, leave, modulus,
    mul, one, radix, scatter, square, sum,
};
use super::word::{self, Mask, Word, choose, splat};

/// Bits of a window.
const WINDOW: usize = 4;
const POWERS: usize = 1 << WINDOW;

/// The powers of a base, from that to 0 on.
pub type Table<const N: usize> = [Element<N>; POWERS];

features! {
#[inline]
pub fn table<const N: usize>(base: &Element<N>, one: &Element<N>, m: &Modulus<N>) -> Table<N> {
    let mut powers = [*one; POWERS];
    powers[1] = *base;
    for i in 2..POWERS {
        powers[i] = powers[i - 1];
        mul(&mut powers[i], base, m);
    }
    powers
}

/// In each lane the power that it names. Reads every power, whatever is named.
#[inline(never)]
fn pick<const N: usize>(table: &Table<N>, index: Word) -> Element<N> {
    let mut masks = [0; POWERS];
    for (i, mask) in masks.iter_mut().enumerate() { *mask = word::is_zero(word::xor(index, splat(i as u64))); }
    let mut picked = table[0];
    for i in 0..N {
        let mut limb = picked.0[i];
        for j in 1..POWERS { limb = choose(masks[j], table[j].0[i], limb); }
        picked.0[i] = limb;
    }
    picked
}

/// The base to the power of some bits of an exponent.
pub fn power<const N: usize>(table: &Table<N>, exponent: &Element<N>, bits: Range<usize>, m: &Modulus<N>) -> Element<N> {
    let windows = bits.len().div_ceil(WINDOW);
    let digit = |window: usize| bits_at(exponent, bits.start + WINDOW * window, POWERS as u64 - 1);
    let mut power = pick(table, digit(windows - 1));
    for window in (0..windows - 1).rev() {
        square(&mut power, WINDOW, m);
        mul(&mut power, &pick(table, digit(window)), m);
    }
    power
}

/// In each lane a base to an exponent modulo a modulus. All have so many bits, and of these the modulus has the highest
/// and the lowest.
#[inline(never)]
pub fn powers<const N: usize>(items: [&[Number<N>]; 3], bits: usize, results: &mut [Number<N>]) {
    let [bases, exponents, moduli] = items;
    let m = modulus(gather(moduli));
    let one = one(&m, bits);
    let mut base = gather(bases);
    mul(&mut base, &radix(&m, &one), &m);
    let table = table(&base, &one, &m);
    scatter(&leave(&power(&table, &gather(exponents), 0..bits, &m), &m), results);
}

/// (a - b) c modulo a modulus that none of them reaches, and that has so many bits.
#[inline(never)]
pub fn differences<const N: usize>(items: [&[Number<N>]; 4], bits: usize, results: &mut [Number<N>]) {
    let [a, b, c, moduli] = items;
    let m = modulus(gather(moduli));
    let one = one(&m, bits);
    let (below, is_negative) = difference(&gather(a), &gather(b));
    // Modulo R, as the difference is.
    let above = sum(&below, &m.limbs);
    let mut result = gather(c);
    mul(&mut result, &radix(&m, &one), &m);
    mul(&mut result, &choose_element(is_negative, &above, &below), &m);
    scatter(&least(&result, &m.limbs), results);
}

/// Lanes in which a base to the power of 65537 is a result, which is below the modulus. Nothing here is secret.
pub fn are_powers_of_e<const N: usize>(items: [&[Number<N>]; 3]) -> Mask {
    let [bases, results, moduli] = items;
    let m = modulus(gather(moduli));
    let (base, result) = (gather(bases), gather(results));
    // Neither is brought into Montgomery's form: both sides are divided by R as often.
    let (mut left, mut right) = (base, constant(1));
    for (side, last) in [(&mut left, &base), (&mut right, &result)] {
        square(side, 16, &m);
        mul(side, last, &m);
    }
    equal(&least(&left, &m.limbs), &least(&right, &m.limbs))
}
}
