//! Words of one lane that are checked: they stop where a limb overflows. Limbs have a sign; what is said to be without
//! one is a word of 64 bits as it is.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "words of eight lanes are loaded likewise"
)]

use super::LOW52;

pub const LANES: usize = 1;

pub type Word = u64;
pub type Mask = u8;
pub const ALL: Mask = 1;

fn times(a: Word, b: Word) -> u128 {
    u128::from(a & LOW52) * u128::from(b & LOW52)
}

/// A limb that a product takes whole.
pub fn limb(word: Word) -> Word {
    assert!(word <= LOW52, "{word:#x} is no limb of 52 bits");
    word
}

pub fn splat(word: u64) -> Word {
    word
}

pub fn zero() -> Word {
    0
}

fn more(sum: Word, what: u128) -> Word {
    let what = i64::try_from(what).expect("a half has 52 bits");
    add(sum, what.cast_unsigned())
}

pub fn low(sum: Word, a: Word, b: Word) -> Word {
    claim_not_negative(a);
    claim_not_negative(b);
    more(sum, times(a, b) & u128::from(LOW52))
}

pub fn high(sum: Word, a: Word, b: Word) -> Word {
    more(sum, times(a, b) >> 52)
}

pub fn add(a: Word, b: Word) -> Word {
    let sum = a.cast_signed().checked_add(b.cast_signed());
    sum.expect("a limb overflows").cast_unsigned()
}

pub fn sub(a: Word, b: Word) -> Word {
    let difference = a.cast_signed().checked_sub(b.cast_signed());
    difference.expect("a limb overflows").cast_unsigned()
}

pub fn and(a: Word, b: Word) -> Word {
    a & b
}

pub fn or(a: Word, b: Word) -> Word {
    a | b
}

pub fn xor(a: Word, b: Word) -> Word {
    a ^ b
}

pub fn left<const N: u32>(a: Word) -> Word {
    a << N
}

pub fn right<const N: u32>(a: Word) -> Word {
    a >> N
}

pub fn right_signed<const N: u32>(a: Word) -> Word {
    (a.cast_signed() >> N).cast_unsigned()
}

pub fn doubled(a: Word, times: Word) -> Word {
    claim_not_negative(a);
    assert!(times < u64::from(a.leading_zeros()), "a limb overflows");
    a << times
}

pub fn in_order(_: &mut [Word; 10]) {}

pub fn left_by(a: Word, bits: u64) -> Word {
    left_each(a, bits)
}

pub fn right_by(a: Word, bits: u64) -> Word {
    right_each(a, bits)
}

pub fn left_each(a: Word, bits: Word) -> Word {
    u32::try_from(bits)
        .ok()
        .and_then(|bits| a.checked_shl(bits))
        .unwrap_or(0)
}

pub fn right_each(a: Word, bits: Word) -> Word {
    u32::try_from(bits)
        .ok()
        .and_then(|bits| a.checked_shr(bits))
        .unwrap_or(0)
}

pub fn is_zero(a: Word) -> Mask {
    u8::from(a == 0)
}

pub fn is_negative(a: Word) -> Mask {
    u8::from(a.cast_signed() < 0)
}

pub fn choose(mask: Mask, a: Word, b: Word) -> Word {
    if mask == 1 { a } else { b }
}

pub fn minus(a: Word, b: Word, borrow: Mask) -> (Word, Mask) {
    let (less, owed) = a.borrowing_sub(b, borrow == 1);
    (less, u8::from(owed))
}

pub fn claim_not_negative(a: Word) {
    assert!(a.cast_signed() >= 0, "a limb is negative");
}

pub fn load(lanes: &[u64; 1]) -> Word {
    lanes[0]
}

pub fn store(word: Word) -> [u64; 1] {
    [word]
}
