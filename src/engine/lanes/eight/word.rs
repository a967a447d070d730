//! Words of eight lanes, and what the arithmetic of P-256 makes of them.

use std::arch::x86_64::{
    _mm512_alignr_epi64, _mm512_castsi256_si512, _mm512_inserti64x4, _mm512_permutex2var_epi64,
    _mm512_set_epi64, _mm512_test_epi64_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::super::table::Row;
pub use crate::engine::word::eight::*;

/// Bits of a window for secret scalars: 320 KB of table.
pub const SECRET_BITS: usize = 8;
/// Rows of a limb of a window.
const ROWS: usize = 1 << (SECRET_BITS - 4);
/// Accumulators of a scalar: a round adds to each, and has one inversion.
pub const ACCUMULATORS: usize = 8;
/// Products that are made side by side, so that one's latency is hidden behind the others.
pub const CHAINS: usize = 4;

features! {
/// The product of limbs of 52 bits, in columns of which each has up to ten of their halves.
#[inline]
pub fn product(a: &[Word; 5], b: &[Word; 5]) -> [Word; 10] {
    let mut t = [zero(); 10];
    for i in 0..5 {
        for j in 0..5 { t[i + j] = low(t[i + j], a[i], b[j]); }
        for j in 0..5 { t[i + j + 1] = high(t[i + j + 1], a[i], b[j]); }
    }
    t
}

#[inline]
pub fn square(a: &[Word; 5]) -> [Word; 10] {
    let mut t = [zero(); 10];
    for i in 0..5 {
        for j in i + 1..5 {
            t[i + j] = low(t[i + j], a[i], a[j]);
            t[i + j + 1] = high(t[i + j + 1], a[i], a[j]);
        }
    }
    for column in &mut t[1..9] { *column = add(*column, *column); }
    for i in 0..5 {
        t[2 * i] = low(t[2 * i], a[i], a[i]);
        t[2 * i + 1] = high(t[2 * i + 1], a[i], a[i]);
    }
    t
}

/// The lanes, moved down by so many, round about.
#[inline] pub fn rotate<const BY: i32>(a: Word) -> Word { _mm512_alignr_epi64::<BY>(a, a) }

/// In each lane the entry of an index of its own, in five limbs. Reads every row, whatever the indexes are.
#[inline]
pub fn pick(rows: &[Row], index: Word) -> [Word; 5] {
    let (limbs, _) = rows.as_chunks::<ROWS>();
    let [a, b, c, d, e]: &[[Row; ROWS]; 5] = limbs.try_into().expect("there are five limbs");
    [pick_limb(a, index), pick_limb(b, index), pick_limb(c, index), pick_limb(d, index), pick_limb(e, index)]
}

#[inline]
fn pick_limb(rows: &[Row; ROWS], index: Word) -> Word {
    let mut picked = [index; ROWS / 2];
    for (i, picked) in picked.iter_mut().enumerate() {
        *picked = _mm512_permutex2var_epi64(load(&rows[2 * i].0), index, load(&rows[2 * i + 1].0));
    }
    let mut count = ROWS / 2;
    let mut bit = 16;
    while count > 1 {
        let mask = _mm512_test_epi64_mask(index, splat(bit));
        count /= 2;
        for i in 0..count {
            picked[i] = choose(mask, picked[2 * i + 1], picked[2 * i]);
        }
        bit *= 2;
    }
    picked[0]
}

/// Four limbs of the row that each lane's index names, the first four or the last. The addresses tell the indexes.
#[inline]
pub fn look_up(rows: &[Row], index: Word, last: bool) -> [Word; 4] {
    let index = store(index);
    let half = |lane: usize| {
        let at = usize::try_from(index[lane]).expect("it is an index");
        let (halves, _) = rows[at].0.as_chunks::<4>();
        load_half(&halves[usize::from(last)])
    };
    let both = |lane: usize| {
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(lane)), half(lane + 4))
    };
    // A transposition of four by eight.
    let (a, b, c, d) = (both(0), both(1), both(2), both(3));
    let (low_ab, high_ab) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (low_cd, high_cd) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    [
        _mm512_permutex2var_epi64(low_ab, first, low_cd),
        _mm512_permutex2var_epi64(high_ab, first, high_cd),
        _mm512_permutex2var_epi64(low_ab, second, low_cd),
        _mm512_permutex2var_epi64(high_ab, second, high_cd),
    ]
}
}
