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

use super::super::number::LOW52;
use super::super::table::Row;

pub const LANES: usize = 1;
/// Bits of a window for secret scalars: few, because a table is read whole for each digit.
pub const SECRET_BITS: usize = 5;
/// Rows of a limb of a window.
const ROWS: usize = 1 << (SECRET_BITS - 4);
pub const ACCUMULATORS: usize = 4;
pub const CHAINS: usize = 1;

pub type Word = u64;
/// 0 or 1.
pub type Mask = u8;

#[inline]
fn times(a: Word, b: Word) -> u128 {
    u128::from(a & LOW52) * u128::from(b & LOW52)
}

/// All ones or none, of which the compiler must not know that it is one of two: it would make a branch of it.
#[inline]
fn spread(mask: Mask) -> Word {
    black_box(u64::from(mask).wrapping_neg())
}

features! {
#[inline] pub fn splat(word: u64) -> Word { word }
#[inline] pub fn zero() -> Word { 0 }
#[inline]
pub fn product(a: &[Word; 5], b: &[Word; 5]) -> [Word; 10] {
    let mut wide = [0u128; 9];
    for i in 0..5 { for j in 0..5 { wide[i + j] += u128::from(a[i]) * u128::from(b[j]); } }
    halves(&wide)
}

#[inline]
pub fn square(a: &[Word; 5]) -> [Word; 10] {
    let mut wide = [0u128; 9];
    for i in 0..5 { for j in i + 1..5 { wide[i + j] += u128::from(2 * a[i]) * u128::from(a[j]); } }
    for i in 0..5 { wide[2 * i] += u128::from(a[i]) * u128::from(a[i]); }
    halves(&wide)
}

/// Columns of whole products as columns of their halves.
#[inline]
fn halves(wide: &[u128; 9]) -> [Word; 10] {
    let mut t = [0; 10];
    for (i, wide) in wide.iter().enumerate() {
        t[i] += *wide as u64 & LOW52;
        t[i + 1] += (*wide >> 52) as u64;
    }
    t
}

#[inline] pub fn low(sum: Word, a: Word, b: Word) -> Word { sum + (times(a, b) as u64 & LOW52) }
#[inline] pub fn high(sum: Word, a: Word, b: Word) -> Word { sum + (times(a, b) >> 52) as u64 }
#[inline] pub fn add(a: Word, b: Word) -> Word { a.wrapping_add(b) }
#[inline] pub fn sub(a: Word, b: Word) -> Word { a.wrapping_sub(b) }
#[inline] pub fn and(a: Word, b: Word) -> Word { a & b }
#[inline] pub fn or(a: Word, b: Word) -> Word { a | b }
#[inline] pub fn xor(a: Word, b: Word) -> Word { a ^ b }
#[inline] pub fn left<const N: u32>(a: Word) -> Word { a << N }
#[inline] pub fn right<const N: u32>(a: Word) -> Word { a >> N }
#[inline] pub fn right_signed<const N: u32>(a: Word) -> Word { (a.cast_signed() >> N).cast_unsigned() }
#[inline] pub fn left_by(a: Word, bits: u64) -> Word { a.checked_shl(bits as u32).unwrap_or(0) }
#[inline] pub fn right_by(a: Word, bits: u64) -> Word { a.checked_shr(bits as u32).unwrap_or(0) }
#[inline] pub fn is_zero(a: Word) -> Mask { (((a | a.wrapping_neg()) >> 63) ^ 1) as u8 }
#[inline] pub fn is_negative(a: Word) -> Mask { (a >> 63) as u8 }
#[inline] pub fn choose(mask: Mask, a: Word, b: Word) -> Word { b ^ (a ^ b) & spread(mask) }
#[inline]
pub fn minus(a: Word, b: Word, borrow: Mask) -> (Word, Mask) {
    let (less, owed) = a.borrowing_sub(b, borrow == 1);
    (less, u8::from(owed))
}
#[inline] pub fn claim_not_negative(_: Word) {}
#[inline] pub fn load(lanes: &[u64; 1]) -> Word { lanes[0] }
#[inline] pub fn store(word: Word) -> [u64; 1] { [word] }
#[inline] pub fn rotate<const BY: i32>(a: Word) -> Word { a }

#[inline]
pub fn pick(rows: &[Row], index: Word) -> [Word; 5] {
    let rows: &[Row; 5 * ROWS] = rows.try_into().expect("there are five limbs");
    let mut picked = [0; 5];
    for entry in 0..8 * ROWS {
        let mask = spread(is_zero(entry as u64 ^ index));
        for (limb, picked) in picked.iter_mut().enumerate() {
            *picked |= rows[ROWS * limb + entry / 8].0[entry % 8] & mask;
        }
    }
    picked
}

#[inline]
pub fn look_up(rows: &[Row], index: Word, last: bool) -> [Word; 4] {
    let (halves, _) = rows[index as usize].0.as_chunks::<4>();
    halves[usize::from(last)]
}
}
