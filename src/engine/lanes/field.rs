//! Numbers modulo p, one in each lane: five limbs of 52 bits, in Montgomery's form with R = 2^260, reduced as late as
//! can be.
//!
//! A limb of what a product takes is below 2^52. Bounds in the comments are of values; that no limb ever leaves its
//! word is what the same code shows on checked words, in the tests.

use super::super::number::{LOW52, Number, P};
use super::word::{self, Mask, Word, add, and, choose, high, left, low, or, right, right_signed, splat, sub};

/// One number in each lane.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub struct Element(pub [Word; 5]);

/// p, and so many times p.
const P52: [u64; 5] = P.limbs52();
/// 1, in Montgomery's form.
pub const ONE: [u64; 5] = Number::power_of_two(260, &P).limbs52();
/// What takes 2^-260 into the inverse's form: 2^780.
pub const CUBE: [u64; 5] = Number::power_of_two(780, &P).limbs52();

pub const fn times_p(times: u64) -> [u64; 5] {
    P.times52(times)
}

features! {
#[inline]
pub fn constant(limbs: &[u64; 5]) -> Element {
    Element([splat(limbs[0]), splat(limbs[1]), splat(limbs[2]), splat(limbs[3]), splat(limbs[4])])
}

/// a b / R, below a b / R + p.
#[inline]
pub fn mul(a: &Element, b: &Element) -> Element {
    reduce(word::product(&a.0, &b.0))
}

/// a² / R, below a² / R + p.
#[inline]
pub fn square(a: &Element) -> Element {
    reduce(word::square(&a.0))
}

/// Divides by R (Montgomery). p is -1 modulo 2^52, so that a quotient's digit is the lowest limb itself.
#[inline]
fn reduce(mut t: [Word; 10]) -> Element {
    let (low_limb, c44, c36, c48) = (splat(LOW52), splat(P52[1] + 1), splat(P52[3]), splat(P52[4]));
    for i in 0..5 {
        let q = t[i];
        // q p = -q + q 2^96 + q 2^192 + q (2^48 - 2^16) 2^208: the first takes away the limb, all but what is above it.
        t[i + 2] = high(t[i + 2], q, c44);
        t[i + 3] = low(t[i + 3], q, c36);
        t[i + 4] = high(t[i + 4], q, c36);
        t[i + 4] = low(t[i + 4], q, c48);
        t[i + 5] = high(t[i + 5], q, c48);
        let above = add(t[i + 1], right::<52>(q));
        t[i + 1] = add(above, and(left::<44>(q), low_limb));
    }
    for i in 5..9 {
        t[i + 1] = add(t[i + 1], right::<52>(t[i]));
        t[i] = and(t[i], low_limb);
    }
    Element([t[5], t[6], t[7], t[8], t[9]])
}

/// Limbs within their 52 bits, from limbs with a sign. The value is neither negative nor above 2^260.
#[inline]
pub fn carry(mut t: [Word; 5]) -> Element {
    let low_limb = splat(LOW52);
    for i in 0..4 {
        t[i + 1] = add(t[i + 1], right_signed::<52>(t[i]));
        t[i] = and(t[i], low_limb);
    }
    Element(t)
}

/// a - b + k, in limbs with a sign.
#[inline]
pub fn difference(a: &[Word; 5], b: &Element, k: &[u64; 5]) -> [Word; 5] {
    let mut t = *a;
    for i in 0..5 { t[i] = add(sub(t[i], b.0[i]), splat(k[i])); }
    t
}

/// The value modulo p, below 2^256 + 2^228, from limbs with a sign whose value is between 2^213 and 2^260.
#[inline]
pub fn fold(mut t: [Word; 5]) -> Element {
    // 2^256 = 2^224 - 2^192 - 2^96 + 1. What the lower limbs still owe the highest is less than 16.
    let above = sub(t[4], splat(16));
    word::claim_not_negative(above);
    let h = right::<48>(above);
    t[4] = add(sub(t[4], left::<48>(h)), left::<16>(h));
    t[3] = sub(t[3], left::<36>(h));
    t[1] = sub(t[1], left::<44>(h));
    t[0] = add(t[0], h);
    carry(t)
}

/// Lets a fault happen that a test has asked for.
#[cfg(test)]
pub fn strike(stage: super::super::fault::Stage, limbs: &mut [Word]) {
    if let Some((lane, limb, bit)) = super::super::fault::strikes(stage) {
        let mut lanes = word::store(limbs[limb]);
        if let Some(struck) = lanes.get_mut(lane) {
            *struck ^= bit;
        }
        limbs[limb] = word::load(&lanes);
    }
}

/// Less the modulus where it is not below it. The value is below twice the modulus.
#[inline]
pub fn less(a: &Element, modulus: &[u64; 5]) -> Element {
    let mut t = a.0;
    for i in 0..5 { t[i] = sub(t[i], splat(modulus[i])); }
    let mut less = carry(t);
    let negative = word::is_negative(less.0[4]);
    for i in 0..5 { less.0[i] = choose(negative, a.0[i], less.0[i]); }
    less
}

/// The number itself, below p, of a form below 2^259.
#[inline]
pub fn leave(a: &Element) -> Element {
    less(&mul(a, &constant(&[1, 0, 0, 0, 0])), &P52)
}

/// The negative where the mask has a bit, in limbs with a sign.
#[inline]
pub fn negate(a: &Element, mask: Mask) -> [Word; 5] {
    let mut t = a.0;
    for limb in &mut t { *limb = choose(mask, sub(word::zero(), *limb), *limb); }
    t
}

/// Lanes whose limbs are all zeros.
#[inline]
pub fn is_nothing(a: &Element) -> Mask {
    word::is_zero(or(or(or(a.0[0], a.0[1]), or(a.0[2], a.0[3])), a.0[4]))
}

/// Five limbs of 52 bits, of four of 64.
#[inline]
pub fn split(a: &[Word; 4]) -> Element {
    let low_limb = splat(LOW52);
    Element([
        and(a[0], low_limb),
        and(or(right::<52>(a[0]), left::<12>(a[1])), low_limb),
        and(or(right::<40>(a[1]), left::<24>(a[2])), low_limb),
        and(or(right::<28>(a[2]), left::<36>(a[3])), low_limb),
        right::<16>(a[3]),
    ])
}

/// Four limbs of 64 bits, of five of 52 whose value is below 2^256.
#[inline]
pub fn join(a: &Element) -> [Word; 4] {
    let a = &a.0;
    [
        or(a[0], left::<52>(a[1])),
        or(right::<12>(a[1]), left::<40>(a[2])),
        or(right::<24>(a[2]), left::<28>(a[3])),
        or(right::<36>(a[3]), left::<16>(a[4])),
    ]
}

/// Numbers into lanes: as many as there are lanes.
#[inline]
pub fn gather(numbers: &[Number]) -> [Word; 4] {
    let mut words = [word::zero(); 4];
    for (i, word) in words.iter_mut().enumerate() {
        let mut lanes = [0; word::LANES];
        for (lane, number) in lanes.iter_mut().zip(numbers) { *lane = number.0[i]; }
        *word = word::load(&lanes);
    }
    words
}

/// Numbers out of lanes.
#[inline]
pub fn scatter(words: &[Word; 4], numbers: &mut [Number]) {
    for (i, word) in words.iter().enumerate() {
        let lanes = word::store(*word);
        for (number, lane) in numbers.iter_mut().zip(lanes) { number.0[i] = lane; }
    }
}

/// The number of the first lane, of limbs whose value is below 2^256.
#[inline]
pub fn first(a: &Element) -> Number {
    let words = join(a);
    Number([word::store(words[0])[0], word::store(words[1])[0], word::store(words[2])[0], word::store(words[3])[0]])
}

#[inline]
pub fn rotate<const BY: i32>(a: &Element) -> Element {
    let mut rotated = *a;
    for limb in &mut rotated.0 { *limb = word::rotate::<BY>(*limb); }
    rotated
}

/// The form of 1/a in every lane, by one inversion for all lanes. `blind` is a secret that nobody knows, and not 0:
/// what is inverted is its product with them. Where a lane has 0, no lane's result means anything.
#[inline(never)]
pub fn invert(a: &Element, blind: &Number) -> Element {
    use super::super::{inversion::Inverter, number::P};
    const INVERTER: Inverter = Inverter::new(&P);
    let blind = constant(&blind.limbs52());
    let (others, product) = if word::LANES == 8 {
        // Of all lanes: by way of products of two, of four and of eight.
        let a4 = rotate::<4>(a);
        let two = mul(a, &a4);
        let two2 = rotate::<2>(&two);
        let four = mul(&two, &two2);
        let four1 = rotate::<1>(&four);
        (mul(&mul(&a4, &two2), &four1), mul(&four, &four1))
    } else {
        (constant(&ONE), *a)
    };
    let blinded = mul(&product, &blind);
    let inverse = INVERTER.invert(&first(&less(&less(&blinded, &P52), &P52)));
    let inverse = mul(&constant(&inverse.limbs52()), &constant(&CUBE));
    mul(&mul(&inverse, &blind), &others)
}
}
