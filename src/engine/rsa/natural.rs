//! Arithmetic on words of 64 bits, the least significant first, one number at a time: what a key is put together with.
//!
//! No branch and no address depends on what a number is, only on how many words it has.

use std::hint::black_box;

use zeroize::Zeroizing;

use super::number::Natural;
use super::small::inverse64;

/// The public exponent (FIPS 186-5, A.1.1: odd, and between 2^16 and 2^256), a prime.
pub const E: u64 = 65_537;

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low word is what is asked for"
)]
fn low(wide: u128) -> u64 {
    wide as u64
}

fn times(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// All ones, or none, of which the compiler must not know that it is one of two: it would make a branch of it.
fn mask(bit: bool) -> u64 {
    black_box(u64::from(bit).wrapping_neg())
}

/// a - b, which have as many words, and whether it is negative and 2^64 for each word was added.
pub fn minus(a: &[u64], b: &[u64]) -> (Natural, bool) {
    let mut owed = false;
    let difference = a.iter().zip(b).map(|(a, b)| {
        let less;
        (less, owed) = a.borrowing_sub(*b, owed);
        less
    });
    (Zeroizing::new(difference.collect()), owed)
}

/// a + b, which have as many words, without what is carried beyond these.
pub fn plus(a: &[u64], b: &[u64]) -> Natural {
    let mut carried = false;
    let sum = a.iter().zip(b).map(|(a, b)| {
        let sum;
        (sum, carried) = a.carrying_add(*b, carried);
        sum
    });
    Zeroizing::new(sum.collect())
}

/// The first of two numbers, or the second.
pub fn choose(is_first: bool, a: &[u64], b: &[u64]) -> Natural {
    let mask = mask(is_first);
    let chosen = a.iter().zip(b).map(|(a, b)| b ^ (a ^ b) & mask);
    Zeroizing::new(chosen.collect())
}

/// All ones where both have the same words, else none.
pub fn is_same(a: &[u64], b: &[u64]) -> u64 {
    let other = a.iter().zip(b).fold(0, |other, (a, b)| other | a ^ b);
    mask(black_box(other) == 0)
}

/// Bits of a number from a place on, 64 at most.
pub fn digit(a: &[u64], place: usize, bits: usize) -> u64 {
    let (word, bit) = (place / 64, place % 64);
    let at = |word: usize| a.get(word).copied().unwrap_or(0);
    (at(word) >> bit | at(word + 1) << 1 << (63 - bit)) & u64::MAX >> (64 - bits)
}

/// a b / 2^64 modulo an odd m, of which -1/m modulo 2^64 is given (Montgomery). a is below m.
#[inline(never)]
pub fn multiply_by_word(a: &mut [u64], b: u64, m: &[u64], inverse: u64) {
    // Without iterators, of which some are calls (see `one::word`).
    let a = &mut a[..m.len()];
    let quotient = a[0].wrapping_mul(b).wrapping_mul(inverse);
    // The lowest word of the sum is zero, and left out.
    let [mut of_product, mut of_multiple] = [0; 2];
    for i in 0..m.len() {
        let product = times(a[i], b) + u128::from(of_product);
        let sum = times(quotient, m[i]) + u128::from(low(product)) + u128::from(of_multiple);
        (of_product, of_multiple) = (low(product >> 64), low(sum >> 64));
        a[i.saturating_sub(1)] = low(sum);
    }
    let (last, is_beyond) = of_product.overflowing_add(of_multiple);
    a[m.len() - 1] = last;
    // Below twice m.
    let mut is_less = false;
    for i in 0..m.len() {
        is_less = a[i].borrowing_sub(m[i], is_less).1;
    }
    let mask = mask(is_beyond) | !mask(is_less);
    let mut owed = false;
    for i in 0..m.len() {
        (a[i], owed) = a[i].borrowing_sub(m[i] & mask, owed);
    }
}

/// The larger and the smaller of two numbers.
pub fn in_order(a: &mut [u64], b: &mut [u64]) {
    let swap = mask(minus(a, b).1);
    for (a, b) in a.iter_mut().zip(b) {
        let change = (*a ^ *b) & swap;
        *a ^= change;
        *b ^= change;
    }
}

/// The product, plus a number of no more words.
pub fn product(a: &[u64], b: &[u64], more: &[u64]) -> Natural {
    let mut product = Zeroizing::new(vec![0; a.len() + b.len()]);
    product[..more.len()].copy_from_slice(more);
    for (i, a) in a.iter().enumerate() {
        let mut carried = 0;
        for (place, b) in product[i..].iter_mut().zip(b) {
            let sum = times(*a, *b) + u128::from(*place) + u128::from(carried);
            *place = low(sum);
            carried = low(sum >> 64);
        }
        for place in &mut product[i + b.len()..] {
            let sum = u128::from(*place) + u128::from(carried);
            *place = low(sum);
            carried = low(sum >> 64);
        }
    }
    product
}

/// Divides by an odd number that leaves nothing: the quotient, from its lowest word on.
pub fn divide_exactly(a: &mut [u64], by: u64) {
    let inverse = inverse64(by);
    let mut owed = 0;
    for word in a {
        let (less, under) = word.overflowing_sub(owed);
        *word = less.wrapping_mul(inverse);
        owed = low(times(*word, by) >> 64) + u64::from(under);
    }
}

/// The number modulo e: 2^16 is -1, and 2^64 is 1.
pub fn modulo_e(a: &[u64]) -> u64 {
    let digit = |word: u64, i: u32| (word >> (16 * i) & 0xffff).cast_signed();
    let sum: i64 = a
        .iter()
        .map(|word| digit(*word, 0) - digit(*word, 1) + digit(*word, 2) - digit(*word, 3))
        .sum();
    // Of no more than 2^12 words.
    (sum + (E << 32).cast_signed()).cast_unsigned() % E
}

/// 1/a modulo e, by Fermat: e is a prime.
fn inverse_modulo_e(a: u64) -> u64 {
    // e - 2 has sixteen bits, all ones.
    (0..16).fold(1, |power, _| power * power % E * a % E)
}

/// 1/e modulo a number that e does not divide: (1 + k a) / e with the only k below e that leaves nothing.
pub fn inverse_of_e(modulus: &[u64]) -> Natural {
    let k = (E - inverse_modulo_e(modulo_e(modulus))) % E;
    let mut inverse = product(modulus, &[k], &[1]);
    divide_exactly(&mut inverse, E);
    inverse.pop();
    inverse
}

/// How many zeros a number that is not zero ends with.
pub fn trailing_zeros(a: &[u64]) -> u64 {
    let mut zeros = 0;
    let mut only_zeros = u64::MAX;
    for word in a {
        zeros += u64::from(word.trailing_zeros()) & only_zeros;
        only_zeros &= mask(*word == 0);
    }
    zeros
}

/// Moves a number by so many bits, which may be secret, down or up.
pub fn shift(a: &mut [u64], bits: u64, is_up: bool) {
    for power in 0..=(64 * a.len()).ilog2() {
        let mask = mask(bits >> power & 1 == 1);
        let moved = match is_up {
            true => shifted_up(a, 1 << power),
            false => shifted_down(a, 1 << power),
        };
        for (word, moved) in a.iter_mut().zip(&*moved) {
            *word ^= (*word ^ *moved) & mask;
        }
    }
}

fn shifted_down(a: &[u64], bits: usize) -> Natural {
    let (words, bits) = (bits / 64, bits % 64);
    let at = |i: usize| a.get(i).copied().unwrap_or(0);
    let moved = (0..a.len()).map(|i| at(i + words) >> bits | at(i + words + 1) << 1 << (63 - bits));
    Zeroizing::new(moved.collect())
}

fn shifted_up(a: &[u64], bits: usize) -> Natural {
    let (words, bits) = (bits / 64, bits % 64);
    let at = |i: usize, back: usize| i.checked_sub(back).map_or(0, |i| a[i]);
    let moved = (0..a.len()).map(|i| at(i, words) << bits | at(i, words + 1) >> 1 >> (63 - bits));
    Zeroizing::new(moved.collect())
}
