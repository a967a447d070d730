//! Words of eight lanes: AVX-512 with IFMA.
//!
//! `unsafe` is for loads and stores alone.

#![expect(unsafe_code, reason = "memory is read and written by intrinsics")]

use std::arch::x86_64::{
    __m512i, _mm256_loadu_si256, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512,
    _mm512_castsi256_si512, _mm512_cmplt_epu64_mask, _mm512_inserti64x4, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_mask_sub_epi64,
    _mm512_movepi64_mask, _mm512_or_si512, _mm512_permutex2var_epi64, _mm512_set_epi64, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_slli_epi64, _mm512_sllv_epi64, _mm512_srai_epi64, _mm512_srli_epi64,
    _mm512_srlv_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_test_epi64_mask,
    _mm512_testn_epi64_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::super::table::Row;

pub const LANES: usize = 8;
/// Bits of a window for secret scalars: 320 KB of table.
pub const SECRET_BITS: usize = 8;
/// Rows of a limb of a window.
const ROWS: usize = 1 << (SECRET_BITS - 4);
/// Accumulators of a scalar: a round adds to each, and has one inversion.
pub const ACCUMULATORS: usize = 8;
/// Products that are made side by side, so that one's latency is hidden behind the others.
pub const CHAINS: usize = 4;

/// Eight numbers of 64 bits.
pub type Word = __m512i;
/// A bit for each lane.
pub type Mask = u8;

/// Whether this processor has what is used here.
pub fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("bmi2")
}

features! {
#[inline] pub fn splat(word: u64) -> Word { _mm512_set1_epi64(word.cast_signed()) }
#[inline] pub fn zero() -> Word { _mm512_setzero_si512() }
/// The low 52 bits of the product of the low 52 bits of both, added.
#[inline] pub fn low(sum: Word, a: Word, b: Word) -> Word { _mm512_madd52lo_epu64(sum, a, b) }
/// The high 52 bits of that product, added.
#[inline] pub fn high(sum: Word, a: Word, b: Word) -> Word { _mm512_madd52hi_epu64(sum, a, b) }
#[inline] pub fn add(a: Word, b: Word) -> Word { _mm512_add_epi64(a, b) }
#[inline] pub fn sub(a: Word, b: Word) -> Word { _mm512_sub_epi64(a, b) }
#[inline] pub fn and(a: Word, b: Word) -> Word { _mm512_and_si512(a, b) }
#[inline] pub fn or(a: Word, b: Word) -> Word { _mm512_or_si512(a, b) }
#[inline] pub fn xor(a: Word, b: Word) -> Word { _mm512_xor_si512(a, b) }
#[inline] pub fn left<const N: u32>(a: Word) -> Word { _mm512_slli_epi64::<N>(a) }
#[inline] pub fn right<const N: u32>(a: Word) -> Word { _mm512_srli_epi64::<N>(a) }
/// To the right, with copies of the sign.
#[inline] pub fn right_signed<const N: u32>(a: Word) -> Word { _mm512_srai_epi64::<N>(a) }
/// By as many bits in every lane; 64 and more leave nothing.
#[inline] pub fn left_by(a: Word, bits: u64) -> Word { _mm512_sllv_epi64(a, splat(bits)) }
#[inline] pub fn right_by(a: Word, bits: u64) -> Word { _mm512_srlv_epi64(a, splat(bits)) }
#[inline] pub fn is_zero(a: Word) -> Mask { _mm512_testn_epi64_mask(a, a) }
#[inline] pub fn is_negative(a: Word) -> Mask { _mm512_movepi64_mask(a) }
/// `a` where the mask has a bit, `b` elsewhere.
#[inline] pub fn choose(mask: Mask, a: Word, b: Word) -> Word { _mm512_mask_mov_epi64(b, mask, a) }
/// a - b - borrow, all words of 64 bits without a sign, and whether that is owed to the next.
#[inline]
pub fn minus(a: Word, b: Word, borrow: Mask) -> (Word, Mask) {
    let less = _mm512_sub_epi64(a, b);
    let owed = _mm512_cmplt_epu64_mask(a, b) | is_zero(less) & borrow;
    (_mm512_mask_sub_epi64(less, borrow, less, splat(1)), owed)
}
/// Says that no lane is negative, which the tests hold it to.
#[inline] pub fn claim_not_negative(_: Word) {}

#[inline]
pub fn load(lanes: &[u64; 8]) -> Word {
    // SAFETY: the reference is to 64 octets, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
pub fn store(word: Word) -> [u64; 8] {
    let mut lanes = [0; 8];
    // SAFETY: the array has 64 octets, and no alignment is asked for.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), word) };
    lanes
}

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
        // SAFETY: the reference is to 32 octets, and no alignment is asked for.
        unsafe { _mm256_loadu_si256(halves[usize::from(last)].as_ptr().cast()) }
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
