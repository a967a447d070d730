//! Numbers modulo p = 2^255 - 19, one in each lane: five limbs of 51 bits, which are carried after every operation.
//!
//! What an operation gives, and what it takes, has limbs below 2^51 + 2^17, so that a product's operands are within the
//! 52 bits that the processor multiplies, and a number is below twice p. Nothing here depends on a number but
//! the mask of `is_zero`. That no limb leaves its word is what the same code shows on checked words, in the tests.

use super::word::{self, Mask, Word, add, and, high, left, limb, low, or, right, splat, sub, zero};

/// One number in each lane.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub struct Element(pub [Word; 5]);

const LOW51: u64 = (1 << 51) - 1;

/// Twice p, of which each limb is above one of a number.
const P2: [u64; 5] = [2 * (LOW51 - 18), 2 * LOW51, 2 * LOW51, 2 * LOW51, 2 * LOW51];

features! {
#[inline]
pub fn constant(limbs: &[u64; 5]) -> Element {
    Element([splat(limbs[0]), splat(limbs[1]), splat(limbs[2]), splat(limbs[3]), splat(limbs[4])])
}

#[inline]
pub fn small(number: u64) -> Element {
    Element([splat(number), zero(), zero(), zero(), zero()])
}

#[inline]
pub fn mul(a: &Element, b: &Element) -> Element {
    let (a, b) = (operand(a), operand(b));
    let (mut lows, mut highs) = ([zero(); 10], [zero(); 10]);
    for i in 0..5 {
        for j in 0..5 { lows[i + j] = low(lows[i + j], a[i], b[j]); }
        for j in 0..5 { highs[i + j + 1] = high(highs[i + j + 1], a[i], b[j]); }
    }
    reduce(&lows, &highs)
}

#[inline]
pub fn square(a: &Element) -> Element {
    let a = operand(a);
    let (mut lows, mut highs) = ([zero(); 10], [zero(); 10]);
    for i in 0..5 {
        for j in i + 1..5 {
            lows[i + j] = low(lows[i + j], a[i], a[j]);
            highs[i + j + 1] = high(highs[i + j + 1], a[i], a[j]);
        }
    }
    for column in lows.iter_mut().chain(&mut highs) { *column = add(*column, *column); }
    for i in 0..5 {
        lows[2 * i] = low(lows[2 * i], a[i], a[i]);
        highs[2 * i + 1] = high(highs[2 * i + 1], a[i], a[i]);
    }
    reduce(&lows, &highs)
}

#[inline]
fn operand(a: &Element) -> [Word; 5] {
    let a = &a.0;
    [limb(a[0]), limb(a[1]), limb(a[2]), limb(a[3]), limb(a[4])]
}

/// Columns of low halves and of high ones, of which each has five at most. A high half stands for 2^52, so for twice the
/// next column; and 2^255 is 19.
#[inline]
fn reduce(lows: &[Word; 10], highs: &[Word; 10]) -> Element {
    let mut t = [zero(); 10];
    for i in 0..10 { t[i] = add(lows[i], left::<1>(highs[i])); }
    let mut folded = [zero(); 5];
    for i in 0..5 {
        let above = t[i + 5];
        folded[i] = add(add(t[i], above), add(left::<1>(above), left::<4>(above)));
    }
    carry(&folded)
}

/// Each limb's part above 51 bits goes to the next, all at once. Limbs are below 2^62.
#[inline]
pub fn carry(t: &[Word; 5]) -> Element {
    let low_limb = splat(LOW51);
    let mut kept = *t;
    let mut above = *t;
    for i in 0..5 {
        word::claim_not_negative(t[i]);
        above[i] = right::<51>(t[i]);
        kept[i] = and(t[i], low_limb);
    }
    Element([
        low(kept[0], above[4], splat(19)),
        add(kept[1], above[0]),
        add(kept[2], above[1]),
        add(kept[3], above[2]),
        add(kept[4], above[3]),
    ])
}

/// a + b, not carried.
#[inline]
pub fn sum(a: &Element, b: &Element) -> [Word; 5] {
    let mut t = a.0;
    for i in 0..5 { t[i] = add(t[i], b.0[i]); }
    t
}

/// a - b, not carried, of limbs of any length.
#[inline]
pub fn difference(a: &[Word; 5], b: &Element) -> [Word; 5] {
    let mut t = *a;
    for i in 0..5 { t[i] = add(t[i], sub(splat(P2[i]), b.0[i])); }
    t
}

#[inline]
pub fn plus(a: &Element, b: &Element) -> Element { carry(&sum(a, b)) }

#[inline]
pub fn minus(a: &Element, b: &Element) -> Element { carry(&difference(&a.0, b)) }

/// The negative of a number below p: not carried, and still what a product takes.
#[inline]
pub fn negative(a: &Element) -> Element {
    let mut t = a.0;
    for i in 0..5 { t[i] = sub(splat(P2[i]), t[i]); }
    Element(t)
}

/// The number itself, below p.
#[inline]
pub fn leave(a: &Element) -> Element {
    let low_limb = splat(LOW51);
    let mut t = a.0;
    // Whether it is not below p: then 19 more reaches 2^255.
    let mut over = splat(19);
    for limb in t { over = right::<51>(add(limb, over)); }
    t[0] = low(t[0], over, splat(19));
    for i in 0..4 {
        t[i + 1] = add(t[i + 1], right::<51>(t[i]));
        t[i] = and(t[i], low_limb);
    }
    t[4] = and(t[4], low_limb);
    Element(t)
}

/// Lanes that have 0.
#[inline]
pub fn is_zero(a: &Element) -> Mask {
    let a = leave(a).0;
    word::is_zero(or(or(or(a[0], a[1]), or(a[2], a[3])), a[4]))
}

/// Squared so many times.
#[inline]
fn squares(a: &Element, times: usize) -> Element {
    let mut power = *a;
    for _ in 0..times { power = square(&power); }
    power
}

/// a^(2^250 - 1), and a^11.
#[inline(never)]
fn power_of_250(a: &Element) -> (Element, Element) {
    let two = square(a);
    let nine = mul(a, &squares(&two, 2));
    let eleven = mul(&two, &nine);
    let of_5 = mul(&square(&eleven), &nine);
    let of_10 = mul(&squares(&of_5, 5), &of_5);
    let of_20 = mul(&squares(&of_10, 10), &of_10);
    let of_40 = mul(&squares(&of_20, 20), &of_20);
    let of_50 = mul(&squares(&of_40, 10), &of_10);
    let of_100 = mul(&squares(&of_50, 50), &of_50);
    let of_200 = mul(&squares(&of_100, 100), &of_100);
    (mul(&squares(&of_200, 50), &of_50), eleven)
}

/// 1/a, by Fermat: a^(p - 2). 0 of 0.
#[inline(never)]
pub fn invert(a: &Element) -> Element {
    let (power, eleven) = power_of_250(a);
    mul(&squares(&power, 5), &eleven)
}

/// a^((p - 5) / 8).
#[inline(never)]
pub fn root_power(a: &Element) -> Element {
    let (power, _) = power_of_250(a);
    mul(&squares(&power, 2), a)
}

/// Five limbs of 51 bits, of four of 64 of which the highest bit is ignored (RFC 7748, 5).
#[inline]
pub fn split(a: &[Word; 4]) -> Element {
    let low_limb = splat(LOW51);
    Element([
        and(a[0], low_limb),
        and(or(right::<51>(a[0]), left::<13>(a[1])), low_limb),
        and(or(right::<38>(a[1]), left::<26>(a[2])), low_limb),
        and(or(right::<25>(a[2]), left::<39>(a[3])), low_limb),
        and(right::<12>(a[3]), low_limb),
    ])
}

/// Four limbs of 64 bits, of five of 51.
#[inline]
pub fn join(a: &Element) -> [Word; 4] {
    let a = &a.0;
    [
        or(a[0], left::<51>(a[1])),
        or(right::<13>(a[1]), left::<38>(a[2])),
        or(right::<26>(a[2]), left::<25>(a[3])),
        or(right::<39>(a[3]), left::<12>(a[4])),
    ]
}

/// Numbers of 32 octets, the least significant first, into lanes: as many as there are lanes, or fewer and zeros.
#[inline]
pub fn gather(numbers: &[[u8; 32]]) -> [Word; 4] {
    let mut words = [zero(); 4];
    for (i, word) in words.iter_mut().enumerate() {
        let mut lanes = [0; word::LANES];
        for (lane, number) in lanes.iter_mut().zip(numbers) {
            *lane = u64::from_le_bytes(number.as_chunks::<8>().0[i]);
        }
        *word = word::load(&lanes);
    }
    words
}

/// Numbers out of lanes.
#[inline]
pub fn scatter(words: &[Word; 4], numbers: &mut [[u8; 32]]) {
    for (i, word) in words.iter().enumerate() {
        let lanes = word::store(*word);
        for (number, lane) in numbers.iter_mut().zip(lanes) {
            number.as_chunks_mut::<8>().0[i] = lane.to_le_bytes();
        }
    }
}

/// The limbs of one lane.
#[inline]
pub fn lane(a: &Element, lane: usize) -> [u64; 5] {
    let mut limbs = [0; 5];
    for (limb, word) in limbs.iter_mut().zip(a.0) { *limb = word::store(word)[lane]; }
    limbs
}

/// `a` in lanes where the mask has a bit, `b` elsewhere.
#[inline]
pub fn choose(mask: Mask, a: &Element, b: &Element) -> Element {
    let mut chosen = *b;
    for i in 0..5 { chosen.0[i] = word::choose(mask, a.0[i], b.0[i]); }
    chosen
}
}
