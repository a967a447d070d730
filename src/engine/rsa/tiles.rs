//! Products in columns, on words whose multiplications give halves: a row after the other, ten limbs wide, whose columns
//! stay in registers while rows are added to them.
//!
//! Ten rows are written out, so that no column moves from one register to another; between halves of a row the compiler
//! is kept from changing the order ([`word::in_order`]), in which no sum waits for the one before and all have room.

use std::hint::black_box;

use super::word::{self, Word, add, doubled, high, low, right, splat};
use crate::engine::word::LOW52;

/// Limbs of a row, and columns that are in registers.
pub const TILE: usize = 10;

/// Twice as many columns as there are limbs.
pub type Columns<const N: usize> = [[Word; N]; 2];

/// The same for each of ten rows, written out.
macro_rules! for_each_row {
    ($row:ident => $what:expr) => {
        for_each_row!(@ $row $what; 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $row:ident $what:expr; $($number:literal)*) => {
        $( { const $row: usize = $number; $what; } )*
    };
}

features! {
/// The product, in columns, whatever was in them.
#[inline]
pub fn multiply<const N: usize>(columns: &mut Columns<N>, a: &[Word; N], b: &[Word; N]) {
    let t = columns.as_flattened_mut();
    let [a, b] = [a, b].map(|limbs| limbs.as_chunks::<TILE>().0);
    empty(&mut t[N + TILE..]);
    add_rows::<TILE, true>(t, a, &b[0]);
    for i in 1..b.len() { add_rows::<TILE, false>(&mut t[TILE * i..], a, &b[i]); }
}

/// The square, in columns, whatever was in them: twice what is multiplied across, and the squares of limbs.
#[inline]
pub fn square<const N: usize>(columns: &mut Columns<N>, a: &[Word; N]) {
    let t = columns.as_flattened_mut();
    let (a, _) = a.as_chunks::<TILE>();
    let last = a.len() - 1;
    // All limbs with the first ones, and so on: the first are carried first, and these rows need not wait for the others.
    add_rows::<TILE, true>(&mut t[TILE..], &a[1..], &a[0]);
    for i in 1..last {
        empty(&mut t[N + TILE * i..][..TILE]);
        add_rows::<TILE, false>(&mut t[TILE * (2 * i + 1)..], &a[i + 1..], &a[i]);
    }
    let (parts, _) = t.as_chunks_mut::<{ 2 * TILE }>();
    for i in 0..=last { add_square(&mut parts[i], &a[i], [i == 0, i == last]); }
}

/// Columns divided by R (Montgomery) and doubled so many times in each lane, in limbs, of which a product takes the low
/// 52 bits and what is above is carried already. `inverse` is -1/m modulo 2^52, and `upper` (inverse m + 1) / 2^52.
///
/// All digits of the quotient but one are those of a multiple of m that ends in ones, as Orup has it (Simplifying quotient
/// determination in high-radix modular multiplication, 1995): such a digit is what is in the column, with no product
/// before it. What is left is below 2 m + T/R; the last digit, which is m's own, makes it so.
#[inline]
pub fn reduce<const N: usize>(
    columns: &mut Columns<N>,
    [m, upper]: [&[Word; N]; 2],
    inverse: Word,
    doublings: Word,
    limbs: &mut [Word; N],
) {
    let t = columns.as_flattened_mut();
    let (upper, _) = upper.as_chunks::<TILE>();
    let last = upper.len() - 1;
    for i in 0..last { add_multiple::<TILE>(&mut t[TILE * i..], upper); }
    add_multiple::<{ TILE - 1 }>(&mut t[TILE * last..], upper);

    let column = t[N - 1];
    let digit = low(word::zero(), column, inverse);
    // With the multiple there are zeros below 2^52, which carry unless there were zeros before.
    let mut carried = right::<52>(add(column, splat(LOW52)));
    carried = doubled(carried, doublings);
    for i in 0..N {
        let mut column = high(columns[1][i], digit, m[i]);
        if i + 1 < N { column = low(column, digit, m[i + 1]); }
        limbs[i] = add(doubled(column, doublings), carried);
        carried = right::<52>(limbs[i]);
    }
}

/// Adds a multiple that makes the first of the columns zeros but for what they carry: so many, of which each is a digit.
#[inline]
fn add_multiple<const DIGITS: usize>(t: &mut [Word], upper: &[[Word; TILE]]) {
    let digits = find_digits(t, &upper[0]);
    for i in 1..upper.len() { add_rows::<DIGITS, false>(&mut t[TILE * i + 1..], &[digits], &upper[i]); }
}

/// The next digits, whose multiples of the first limbs are added: what is above 52 bits in one is carried, and no product
/// sees it.
#[inline]
fn find_digits<const DIGITS: usize>(t: &mut [Word], upper: &[Word; TILE]) -> [Word; DIGITS] {
    let t = &mut t[..DIGITS + 1 + TILE];
    let mut digits = [word::zero(); DIGITS];
    let mut sums = load(&t[1..]);
    let mut digit = t[0];
    for_each_row!(I => if I < DIGITS {
        digits[I] = digit;
        let below = add_row(&mut sums, digit, upper, t[I + 1 + TILE]);
        digit = add(below, right::<52>(digit));
    });
    t[DIGITS] = digit;
    store(&mut t[DIGITS + 1..], &sums);
    digits
}

/// Adds a product to columns: of limbs, `ROWS` at a time, with those of a row. Where columns are new there is nothing
/// in them, whatever they hold.
#[inline]
fn add_rows<const ROWS: usize, const ARE_NEW: bool>(t: &mut [Word], a: &[[Word; ROWS]], b: &[Word; TILE]) {
    let t = &mut t[..ROWS * a.len() + TILE];
    let mut sums = if ARE_NEW { [word::zero(); TILE] } else { load(t) };
    for i in 0..black_box(a.len()) {
        let (a, t) = (&a[i], &mut t[ROWS * i..][..ROWS + TILE]);
        for_each_row!(I => if I < ROWS {
            let above = if ARE_NEW { word::zero() } else { t[I + TILE] };
            t[I] = add_row(&mut sums, a[I], b, above);
        });
    }
    store(&mut t[ROWS * a.len()..], &sums);
}

/// Adds a row to sums. The first column is done, and the one above those that there were comes to them.
#[inline]
fn add_row(sums: &mut [Word; TILE], digit: Word, row: &[Word; TILE], above: Word) -> Word {
    let mut s = *sums;
    for j in 0..TILE { s[j] = low(s[j], digit, row[j]); }
    word::in_order(&mut s);
    let [below, s1, s2, s3, s4, s5, s6, s7, s8, s9] = s;
    let mut s = [s1, s2, s3, s4, s5, s6, s7, s8, s9, above];
    for j in 0..TILE { s[j] = high(s[j], digit, row[j]); }
    word::in_order(&mut s);
    *sums = s;
    below
}

/// Columns doubled, and the square of some limbs added. In new ones there is nothing, whatever they hold.
#[inline]
fn add_square(t: &mut [Word; 2 * TILE], a: &[Word; TILE], [are_lower_new, are_upper_new]: [bool; 2]) {
    let mut s = [word::zero(); 2 * TILE];
    if !are_lower_new { store(&mut s, &load(t)); }
    if !are_upper_new { store(&mut s[TILE..], &load(&t[TILE..])); }
    for_each_row!(I => {
        for j in 0..TILE {
            if j > I { s[I + j] = low(s[I + j], a[I], a[j]); }
        }
        in_order(&mut s);
        for j in 0..TILE {
            if j > I { s[I + j + 1] = high(s[I + j + 1], a[I], a[j]); }
        }
        in_order(&mut s);
    });
    for i in 0..TILE {
        t[2 * i] = low(add(s[2 * i], s[2 * i]), a[i], a[i]);
        t[2 * i + 1] = high(add(s[2 * i + 1], s[2 * i + 1]), a[i], a[i]);
    }
}

#[inline]
fn in_order(columns: &mut [Word; 2 * TILE]) {
    let [mut lower, mut upper] = [load(columns), load(&columns[TILE..])];
    word::in_order(&mut lower);
    word::in_order(&mut upper);
    store(columns, &lower);
    store(&mut columns[TILE..], &upper);
}

#[inline]
fn empty(t: &mut [Word]) {
    for column in t { *column = word::zero(); }
}

/// The first ten, one by one: as octets they would go through memory.
#[inline]
fn load(t: &[Word]) -> [Word; TILE] {
    let t = &t[..TILE];
    [t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]]
}

#[inline]
#[expect(clippy::manual_memcpy, reason = "one by one: as octets they would go through memory")]
fn store(t: &mut [Word], sums: &[Word; TILE]) {
    let t = &mut t[..TILE];
    for j in 0..TILE { t[j] = sums[j]; }
}
}
