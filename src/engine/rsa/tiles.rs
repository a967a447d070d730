//! Products in columns, on words whose multiplications give halves: a row after the other, as many limbs wide as a
//! processor's registers hold with the columns that they are added to.
//!
//! Rows are a loop, which is not unrolled: within one, no sum waits for another, and that is the order in which they
//! should be made.

#![expect(
    clippy::manual_memcpy,
    reason = "sums are copied one by one, so that they stay in registers; as octets they go through memory"
)]

use std::hint::black_box;

use super::word::{self, Word, add, and, high, low, right, splat};
use crate::engine::word::LOW52;

/// Limbs of a row.
pub const TILE: usize = 10;
/// Limbs of a row of what is squared.
const HALF: usize = TILE / 2;

/// Twice as many columns as there are limbs.
pub type Columns<const N: usize> = [[Word; N]; 2];

features! {
/// The product, in columns, whatever was in them.
#[inline]
pub fn multiply<const N: usize>(columns: &mut Columns<N>, a: &[Word; N], b: &[Word; N]) {
    let t = columns.as_flattened_mut();
    let (tiles, _) = b.as_chunks::<TILE>();
    t[N + TILE..].fill(word::zero());
    add_rows::<TILE, true>(t, a, &tiles[0], [word::zero(); TILE]);
    for i in 1..tiles.len() { add_rows_to(&mut t[TILE * i..], a, &tiles[i]); }
}

/// The square, in columns, whatever was in them: twice what is multiplied across, and the squares of limbs.
#[inline]
pub fn square<const N: usize>(columns: &mut Columns<N>, a: &[Word; N]) {
    let t = columns.as_flattened_mut();
    let (tiles, _) = a.as_chunks::<TILE>();
    let last = tiles.len() - 1;
    // The longest rows first: they leave nothing but both ends, and of each that follows the first columns are new.
    add_rows::<TILE, true>(&mut t[TILE * last..], &a[..TILE * last], &tiles[last], [word::zero(); TILE]);
    for i in (1..last).rev() { add_rows::<TILE, false>(&mut t[TILE * i..], &a[..TILE * i], &tiles[i], [word::zero(); TILE]); }
    t[..TILE].fill(word::zero());
    t[2 * N - TILE..].fill(word::zero());
    let (halves, _) = a.as_chunks::<HALF>();
    for i in 0..tiles.len() { add_rows_to(&mut t[2 * TILE * i + HALF..], &halves[2 * i], &halves[2 * i + 1]); }
    let (parts, _) = t.as_chunks_mut::<TILE>();
    for i in 0..halves.len() { double_and_add_square(&mut parts[i], &halves[i]); }
}

/// Adds a product to columns: of some limbs with those of a row.
#[inline]
fn add_rows_to<const W: usize>(t: &mut [Word], a: &[Word], b: &[Word; W]) {
    let mut sums = [word::zero(); W];
    for j in 0..W { sums[j] = t[j]; }
    add_rows::<W, false>(t, a, b, sums);
}

/// The same, where `sums` are in the first of the columns. In new ones there is nothing, whatever they hold.
#[inline]
fn add_rows<const W: usize, const ARE_NEW: bool>(t: &mut [Word], a: &[Word], b: &[Word; W], mut sums: [Word; W]) {
    let t = &mut t[..a.len() + W];
    for i in 0..black_box(a.len()) {
        let digit = a[i];
        for j in 0..W { sums[j] = low(sums[j], digit, b[j]); }
        t[i] = sums[0];
        let last = if ARE_NEW { word::zero() } else { t[i + W] };
        let mut next = [last; W];
        for j in 0..W - 1 { next[j] = high(sums[j + 1], digit, b[j]); }
        next[W - 1] = high(next[W - 1], digit, b[W - 1]);
        sums = next;
    }
    for j in 0..W { t[a.len() + j] = sums[j]; }
}

#[inline]
fn double_and_add_square(columns: &mut [Word; TILE], a: &[Word; HALF]) {
    let mut t = *columns;
    for i in 0..HALF {
        for j in i + 1..HALF {
            t[i + j] = low(t[i + j], a[i], a[j]);
            t[i + j + 1] = high(t[i + j + 1], a[i], a[j]);
        }
    }
    for column in &mut t { *column = add(*column, *column); }
    for i in 0..HALF {
        t[2 * i] = low(t[2 * i], a[i], a[i]);
        t[2 * i + 1] = high(t[2 * i + 1], a[i], a[i]);
    }
    *columns = t;
}

/// Columns divided by R (Montgomery), in limbs. `inverse` is -1/m modulo 2^52.
#[inline]
pub fn reduce<const N: usize>(columns: &mut Columns<N>, m: &[Word; N], inverse: Word, limbs: &mut [Word; N]) {
    let (tiles, _) = m.as_chunks::<TILE>();
    let t = columns.as_flattened_mut();
    for i in 0..tiles.len() {
        let t = &mut t[TILE * i..];
        let digits = find_digits(t, &tiles[0], inverse);
        for j in 1..tiles.len() { add_rows_to(&mut t[TILE * j..], &digits, &tiles[j]); }
    }
    let mut carried = word::zero();
    for i in 0..N {
        let limb = add(columns[1][i], carried);
        carried = right::<52>(limb);
        limbs[i] = and(limb, splat(LOW52));
    }
}

/// The next digits of the quotient, for the first of the columns, whose multiples of the modulus's first limbs are
/// added. What is above 52 bits in a column is carried.
#[inline]
fn find_digits(t: &mut [Word], m: &[Word; TILE], inverse: Word) -> [Word; TILE] {
    let t = &mut t[..2 * TILE];
    let mut digits = [word::zero(); TILE];
    let mut sums = [word::zero(); TILE];
    for j in 0..TILE { sums[j] = t[j]; }
    for i in 0..black_box(TILE) {
        let digit = low(word::zero(), sums[0], inverse);
        digits[i] = digit;
        // With the multiple there are zeros below 2^52, which carry unless there were zeros before: that need not wait
        // for the digit. Nor does the next sum wait for two products in a row.
        let carried = right::<52>(add(sums[0], splat(LOW52)));
        let beside = low(word::zero(), digit, m[1]);
        sums[1] = high(add(sums[1], carried), digit, m[0]);
        for j in 2..TILE { sums[j] = low(sums[j], digit, m[j]); }
        let mut next = [t[i + TILE]; TILE];
        next[0] = add(sums[1], beside);
        for j in 1..TILE - 1 { next[j] = high(sums[j + 1], digit, m[j]); }
        next[TILE - 1] = high(next[TILE - 1], digit, m[TILE - 1]);
        sums = next;
    }
    for j in 0..TILE { t[TILE + j] = sums[j]; }
    digits
}
}
