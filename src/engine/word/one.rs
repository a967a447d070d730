//! Words of one lane: what any processor of 64 bits has.

#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of products are what is asked for"
)]
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "words of eight lanes are loaded likewise"
)]

use std::hint::black_box;

use super::LOW52;

pub const LANES: usize = 1;

pub type Word = u64;
/// 0 or 1.
pub type Mask = u8;
pub const ALL: Mask = 1;

#[inline]
fn times(a: Word, b: Word) -> u128 {
    u128::from(a & LOW52) * u128::from(b & LOW52)
}

/// All ones or none, of which the compiler must not know that it is one of two: it would make a branch of it.
#[inline]
pub fn spread(mask: Mask) -> Word {
    black_box(u64::from(mask).wrapping_neg())
}

#[inline]
pub fn splat(word: u64) -> Word {
    word
}

#[inline]
pub fn zero() -> Word {
    0
}

#[inline]
pub fn low(sum: Word, a: Word, b: Word) -> Word {
    add(sum, times(a, b) as u64 & LOW52)
}

#[inline]
pub fn high(sum: Word, a: Word, b: Word) -> Word {
    sum + (times(a, b) >> 52) as u64
}

#[inline]
pub fn add(a: Word, b: Word) -> Word {
    a.wrapping_add(b)
}

#[inline]
pub fn sub(a: Word, b: Word) -> Word {
    a.wrapping_sub(b)
}

#[inline]
pub fn and(a: Word, b: Word) -> Word {
    a & b
}

#[inline]
pub fn or(a: Word, b: Word) -> Word {
    a | b
}

#[inline]
pub fn xor(a: Word, b: Word) -> Word {
    a ^ b
}

#[inline]
pub fn left<const N: u32>(a: Word) -> Word {
    a << N
}

#[inline]
pub fn right<const N: u32>(a: Word) -> Word {
    a >> N
}

#[inline]
pub fn right_signed<const N: u32>(a: Word) -> Word {
    (a.cast_signed() >> N).cast_unsigned()
}

#[inline]
pub fn left_by(a: Word, bits: u64) -> Word {
    a.checked_shl(bits as u32).unwrap_or(0)
}

#[inline]
pub fn right_by(a: Word, bits: u64) -> Word {
    a.checked_shr(bits as u32).unwrap_or(0)
}

/// By less than 64 bits.
#[inline]
pub fn left_each(a: Word, bits: Word) -> Word {
    a.wrapping_shl(bits as u32)
}

/// By less than 64 bits.
#[inline]
pub fn right_each(a: Word, bits: Word) -> Word {
    a.wrapping_shr(bits as u32)
}

#[inline]
pub fn is_zero(a: Word) -> Mask {
    (((a | a.wrapping_neg()) >> 63) ^ 1) as u8
}

#[inline]
pub fn is_negative(a: Word) -> Mask {
    (a >> 63) as u8
}

#[inline]
pub fn choose(mask: Mask, a: Word, b: Word) -> Word {
    b ^ (a ^ b) & spread(mask)
}

#[inline]
pub fn minus(a: Word, b: Word, borrow: Mask) -> (Word, Mask) {
    let (less, owed) = a.borrowing_sub(b, borrow == 1);
    (less, u8::from(owed))
}

#[inline]
pub fn claim_not_negative(_: Word) {}

#[inline]
pub fn load(lanes: &[u64; 1]) -> Word {
    lanes[0]
}

#[inline]
pub fn store(word: Word) -> [u64; 1] {
    [word]
}
