//! Numbers modulo an odd number, both of them one in each lane: N limbs of 52 bits, in Montgomery's form with
//! R = 2^(52 N), reduced as late as can be.
//!
//! A modulus is at least 16 bits shorter than R. What a product takes is below 16 times the modulus, what it gives below
//! three times, by T/R + 2 m; bounds in the comments are of values. That no limb leaves its word is what the same code
//! shows on checked words, in the tests.

use super::super::number::Number;
use super::columns::{self, Columns};
use super::word::{
    self, ALL, Mask, Word, add, and, choose, high, left_by, left_each, low, or, right, right_by, right_each,
    right_signed, splat, sub, xor,
};
use crate::engine::word::LOW52;

/// One number in each lane.
#[derive(Clone, Copy)]
pub struct Element<const N: usize>(pub [Word; N]);

/// A modulus in each lane.
#[derive(Clone, Copy)]
pub struct Modulus<const N: usize> {
    pub limbs: Element<N>,
    /// -1/modulus, modulo 2^52.
    inverse: Word,
    /// (inverse modulus + 1) / 2^52.
    upper: Element<N>,
}

features! {
#[inline]
pub fn constant<const N: usize>(number: u64) -> Element<N> {
    let mut limbs = [word::zero(); N];
    limbs[0] = splat(number);
    Element(limbs)
}

/// Numbers into lanes: as many as there are lanes.
#[inline]
pub fn gather<const N: usize>(numbers: &[Number<N>]) -> Element<N> {
    let mut limbs = [word::zero(); N];
    for i in 0..N {
        let mut lanes = [0; word::LANES];
        for lane in 0..word::LANES { lanes[lane] = numbers[lane][i]; }
        limbs[i] = word::load(&lanes);
    }
    Element(limbs)
}

/// Numbers out of lanes.
#[inline]
pub fn scatter<const N: usize>(element: &Element<N>, numbers: &mut [Number<N>]) {
    for i in 0..N {
        let lanes = word::store(element.0[i]);
        for lane in 0..word::LANES { numbers[lane][i] = lanes[lane]; }
    }
}

/// Odd numbers as moduli.
#[inline]
pub fn modulus<const N: usize>(limbs: Element<N>) -> Modulus<N> {
    let (m, zero, low_limb) = (limbs.0[0], word::zero(), splat(LOW52));
    // Newton: each round doubles the bits that are right, of which there are three.
    let mut inverse = m;
    for _ in 0..5 {
        let rest = and(sub(splat(2), low(zero, m, inverse)), low_limb);
        inverse = low(zero, inverse, rest);
    }
    let inverse = and(sub(zero, inverse), low_limb);
    let mut upper = constant(0);
    // Below 2^52 there are ones, and with one more nothing but a carry.
    let mut carried = splat(1);
    for i in 0..N {
        let mut limb = add(high(zero, inverse, limbs.0[i]), carried);
        if i + 1 < N { limb = low(limb, inverse, limbs.0[i + 1]); }
        carried = right::<52>(limb);
        upper.0[i] = and(limb, low_limb);
    }
    Modulus { limbs, inverse, upper }
}

/// Columns divided by R and doubled, in limbs that a product takes.
#[inline]
fn reduce<const N: usize>(columns: &mut Columns<N>, m: &Modulus<N>, doublings: Word, a: &mut Element<N>) {
    columns::reduce(columns, [&m.limbs.0, &m.upper.0], m.inverse, doublings, &mut a.0);
}

/// Without what is above 52 bits in a limb, which is carried already.
#[inline]
fn cut<const N: usize>(a: &mut Element<N>) {
    for limb in &mut a.0 { *limb = and(*limb, splat(LOW52)); }
}

/// a becomes a b / R.
#[inline(never)]
pub fn mul<const N: usize>(a: &mut Element<N>, b: &Element<N>, m: &Modulus<N>) {
    let mut columns = [[word::zero(); N]; 2];
    columns::multiply(&mut columns, &a.0, &b.0);
    reduce(&mut columns, m, word::zero(), a);
    cut(a);
}

/// a becomes a² / R, so many times.
#[inline(never)]
pub fn square<const N: usize>(a: &mut Element<N>, times: usize, m: &Modulus<N>) {
    let mut columns = [[word::zero(); N]; 2];
    for _ in 0..times {
        columns::square(&mut columns, &a.0);
        reduce(&mut columns, m, word::zero(), a);
    }
    cut(a);
}

/// For so many digits: a is squared (and divided by R) twice, and then doubled as often as the digit says, in each lane,
/// which is at most four times.
#[inline(never)]
pub fn square_and_double<const N: usize>(
    a: &mut Element<N>,
    times: usize,
    digit: impl Fn(usize) -> Word,
    m: &Modulus<N>,
) {
    let mut columns = [[word::zero(); N]; 2];
    for i in 0..times {
        columns::square(&mut columns, &a.0);
        reduce(&mut columns, m, word::zero(), a);
        columns::square(&mut columns, &a.0);
        reduce(&mut columns, m, digit(i), a);
    }
    cut(a);
}

/// a / R, below the modulus, of what is below R.
#[inline(never)]
pub fn leave<const N: usize>(a: &Element<N>, m: &Modulus<N>) -> Element<N> {
    let mut columns = [a.0, [word::zero(); N]];
    let mut left = *a;
    reduce(&mut columns, m, word::zero(), &mut left);
    cut(&mut left);
    least(&left, &m.limbs)
}

/// a + b, in limbs that are within their 52 bits. The value is below R.
#[inline]
pub fn sum<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let low_limb = splat(LOW52);
    let mut carried = word::zero();
    let mut t = [word::zero(); N];
    for i in 0..N {
        let limb = add(add(a.0[i], b.0[i]), carried);
        carried = right::<52>(limb);
        t[i] = and(limb, low_limb);
    }
    Element(t)
}

/// a - b, modulo R, and lanes where that is negative.
#[inline]
pub fn difference<const N: usize>(a: &Element<N>, b: &Element<N>) -> (Element<N>, Mask) {
    let low_limb = splat(LOW52);
    let mut owed = word::zero();
    let mut t = [word::zero(); N];
    for i in 0..N {
        let limb = add(sub(a.0[i], b.0[i]), owed);
        owed = right_signed::<52>(limb);
        t[i] = and(limb, low_limb);
    }
    (Element(t), word::is_negative(owed))
}

/// Below the modulus, of what is below three times that.
#[inline]
pub fn least<const N: usize>(a: &Element<N>, modulus: &Element<N>) -> Element<N> {
    less(&less(a, modulus), modulus)
}

/// Less the modulus where it is not below it.
#[inline]
fn less<const N: usize>(a: &Element<N>, modulus: &Element<N>) -> Element<N> {
    let (less, is_negative) = difference(a, modulus);
    choose_element(is_negative, a, &less)
}

#[inline]
pub fn choose_element<const N: usize>(mask: Mask, a: &Element<N>, b: &Element<N>) -> Element<N> {
    let mut chosen = *b;
    for i in 0..N { chosen.0[i] = choose(mask, a.0[i], b.0[i]); }
    chosen
}

/// Lanes in which both have the same limbs.
#[inline]
pub fn equal<const N: usize>(a: &Element<N>, b: &Element<N>) -> Mask {
    let mut other = word::zero();
    for i in 0..N { other = or(other, xor(a.0[i], b.0[i])); }
    word::is_zero(other)
}

#[inline]
pub fn is_nothing<const N: usize>(a: &Element<N>) -> Mask {
    equal(a, &constant(0))
}

/// a 2^bits, in each lane by bits of its own, less than 52. The value is below R.
#[inline]
pub fn shift<const N: usize>(a: &Element<N>, bits: Word) -> Element<N> {
    let low_limb = splat(LOW52);
    let back = sub(splat(52), bits);
    let mut t = [word::zero(); N];
    t[0] = and(left_each(a.0[0], bits), low_limb);
    for i in 1..N {
        t[i] = or(and(left_each(a.0[i], bits), low_limb), right_each(a.0[i - 1], back));
    }
    Element(t)
}

/// Bits of a number from a place on, as many as a mask has.
#[inline]
pub fn bits_at<const N: usize>(a: &Element<N>, place: usize, mask: u64) -> Word {
    let (limb, bit) = (place / 52, place as u64 % 52);
    let above = a.0.get(limb + 1).copied().unwrap_or(word::zero());
    and(or(right_by(a.0[limb], bit), left_by(above, 52 - bit)), splat(mask))
}

/// The form of 1, below three times the modulus, which has so many bits and of them the highest.
#[inline(never)]
pub fn one<const N: usize>(m: &Modulus<N>, bits: usize) -> Element<N> {
    // R less a multiple of the modulus that is at least half of R: below half of R. Its squares are forms of 1 too, and
    // each is smaller, by twice as many bits as the one before, until that is nothing beside the modulus.
    let above = 52 * N - bits;
    let shifted = shift(&m.limbs, splat(above as u64 % 52));
    let mut multiple = constant(0);
    multiple.0[above / 52..].copy_from_slice(&shifted.0[..N - above / 52]);
    let (mut one, _) = difference(&constant(0), &multiple);
    square(&mut one, above.ilog2() as usize + 2, m);
    one
}

/// The form of the number itself, by which a product enters Montgomery's form.
#[inline(never)]
pub fn radix<const N: usize>(m: &Modulus<N>, one: &Element<N>) -> Element<N> {
    let exponent = 52 * N;
    let mut power = *one;
    for bit in (0..=exponent.ilog2()).rev() {
        square(&mut power, 1, m);
        if exponent >> bit & 1 == 1 { power = shift(&power, splat(1)); }
    }
    power
}

#[inline]
pub fn without(mask: Mask) -> Mask {
    mask ^ ALL
}
}
