//! Numbers modulo the group's order n, one in each lane, in the limbs that [`super::field`] has.

use super::super::inversion::Inverter;
use super::super::number::{LOW52, N, Number};
use super::field::{self, Element, carry, constant, first, is_nothing, less};
use super::word::{self, Mask, add, high, low, right, splat};

/// n.
pub const N52: [u64; 5] = N.limbs52();
/// 1 in Montgomery's form, and what takes a number into it.
const ONE: [u64; 5] = Number::power_of_two(260, &N).limbs52();
pub const SQUARE: [u64; 5] = Number::power_of_two(520, &N).limbs52();
const CUBE: [u64; 5] = Number::power_of_two(780, &N).limbs52();
/// -1/n, modulo 2^52.
const NEGATIVE_INVERSE: u64 = N.inverse_of_lowest().wrapping_neg() & LOW52;

features! {
/// a b / R, below a b / R + n.
#[inline]
pub fn mul(a: &Element, b: &Element) -> Element {
    let mut t = word::product(&a.0, &b.0);
    let n = constant(&N52);
    for i in 0..5 {
        let q = low(word::zero(), t[i], splat(NEGATIVE_INVERSE));
        for j in 0..5 {
            t[i + j] = low(t[i + j], q, n.0[j]);
            t[i + j + 1] = high(t[i + j + 1], q, n.0[j]);
        }
        t[i + 1] = add(t[i + 1], right::<52>(t[i]));
    }
    carry([t[5], t[6], t[7], t[8], t[9]])
}

/// Below n, of a form below 2^259.
#[inline]
pub fn leave(a: &Element) -> Element {
    less(&mul(a, &constant(&[1, 0, 0, 0, 0])), &N52)
}

/// The form of 1/a in every lane; as [`field::invert`].
#[inline(never)]
fn invert(a: &Element, blind: &Number) -> Element {
    const INVERTER: Inverter = Inverter::new(&N);
    let blind = constant(&blind.limbs52());
    let (others, product) = if word::LANES == 8 {
        let a4 = field::rotate::<4>(a);
        let two = mul(a, &a4);
        let two2 = field::rotate::<2>(&two);
        let four = mul(&two, &two2);
        let four1 = field::rotate::<1>(&four);
        (mul(&mul(&a4, &two2), &four1), mul(&four, &four1))
    } else {
        (constant(&ONE), *a)
    };
    let blinded = mul(&product, &blind);
    let inverse = INVERTER.invert(&first(&less(&less(&blinded, &N52), &N52)));
    let inverse = mul(&constant(&inverse.limbs52()), &constant(&CUBE));
    mul(&mul(&inverse, &blind), &others)
}

/// Replaces plain numbers by R times their inverses, with one inversion for all. False, and nothing that means
/// anything, where one is 0 modulo n. `before` has the length of `numbers`.
#[inline(never)]
pub fn invert_all(numbers: &mut [Element], before: &mut [Element], blind: &Number) -> bool {
    let chains = if numbers.len().is_multiple_of(word::CHAINS) { word::CHAINS } else { 1 };
    let mut product = [constant(&ONE); word::CHAINS];
    for (numbers, before) in numbers.chunks_exact(chains).zip(before.chunks_exact_mut(chains)) {
        for j in 0..chains {
            before[j] = product[j];
            product[j] = mul(&product[j], &numbers[j]);
        }
    }
    // All chains together, and what came before each.
    let mut all = product[0];
    let mut before_chain = [all; word::CHAINS];
    for j in 1..chains {
        before_chain[j] = all;
        all = mul(&all, &product[j]);
    }
    let nothing: Mask = is_nothing(&leave(&all));
    // The numbers stand for a/R: one factor makes R/a of every inverse.
    let mut inverse = mul(&invert(&all, blind), &constant(&[1, 0, 0, 0, 0]));
    let mut after = product;
    for j in (1..chains).rev() {
        after[j] = mul(&inverse, &before_chain[j]);
        inverse = mul(&inverse, &product[j]);
    }
    after[0] = inverse;
    for (numbers, before) in numbers.chunks_exact_mut(chains).zip(before.chunks_exact(chains)).rev() {
        for j in 0..chains {
            let own = mul(&after[j], &before[j]);
            after[j] = mul(&after[j], &numbers[j]);
            numbers[j] = own;
        }
    }
    nothing == 0
}
}
