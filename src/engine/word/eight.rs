//! Words of eight lanes: AVX-512 with IFMA.
//!
//! `unsafe` is for loads and stores, and for a comment in assembly that keeps an order.

#![expect(
    unsafe_code,
    reason = "memory is read and written by intrinsics; the compiler is kept from an order"
)]

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_loadu_si256, _mm512_add_epi64, _mm512_and_si512, _mm512_cmplt_epu64_mask,
    _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64,
    _mm512_mask_sub_epi64, _mm512_movepi64_mask, _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_slli_epi64, _mm512_sllv_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_srlv_epi64,
    _mm512_storeu_si512, _mm512_sub_epi64, _mm512_testn_epi64_mask, _mm512_xor_si512,
};

/// Functions that are compiled for processors which have what the words need; one may call another, and one `unsafe`
/// call, after [`is_here`] was asked, the outermost.
macro_rules! features {
    (impl $type:ident { $($item:item)* }) => {
        impl $type {
            $(#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma,bmi2")] $item)*
        }
    };
    ($($item:item)*) => {
        $(#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma,bmi2")] $item)*
    };
}

pub const LANES: usize = 8;

/// Eight numbers of 64 bits.
pub type Word = __m512i;
/// A bit for each lane.
pub type Mask = u8;
pub const ALL: Mask = 0xff;

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
/// In each lane doubled as many times as it says; nothing leaves the word.
#[inline] pub fn doubled(a: Word, times: Word) -> Word { _mm512_sllv_epi64(a, times) }
/// By as many bits in every lane; 64 and more leave nothing.
#[inline] pub fn left_by(a: Word, bits: u64) -> Word { _mm512_sllv_epi64(a, splat(bits)) }
#[inline] pub fn right_by(a: Word, bits: u64) -> Word { _mm512_srlv_epi64(a, splat(bits)) }
/// In each lane by as many bits as it says; 64 and more leave nothing.
#[inline] pub fn left_each(a: Word, bits: Word) -> Word { _mm512_sllv_epi64(a, bits) }
#[inline] pub fn right_each(a: Word, bits: Word) -> Word { _mm512_srlv_epi64(a, bits) }
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
/// Says that all words are made before anything is made of them: the compiler keeps that order, and they stay in registers.
#[inline]
pub fn in_order(words: &mut [Word; 10]) {
    // SAFETY: a comment, which does nothing.
    unsafe {
        asm!(
            "# {} {} {} {} {} {} {} {} {} {}",
            inout(zmm_reg) words[0], inout(zmm_reg) words[1], inout(zmm_reg) words[2], inout(zmm_reg) words[3],
            inout(zmm_reg) words[4], inout(zmm_reg) words[5], inout(zmm_reg) words[6], inout(zmm_reg) words[7],
            inout(zmm_reg) words[8], inout(zmm_reg) words[9],
            options(pure, nomem, nostack, preserves_flags)
        );
    }
}
/// Says that no lane is negative, which the tests hold it to.
#[inline] pub fn claim_not_negative(_: Word) {}

#[inline]
pub fn load(lanes: &[u64; 8]) -> Word {
    // SAFETY: the reference is to 64 octets, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
pub fn load_half(lanes: &[u64; 4]) -> __m256i {
    // SAFETY: the reference is to 32 octets, and no alignment is asked for.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[inline]
pub fn store(word: Word) -> [u64; 8] {
    let mut lanes = [0; 8];
    // SAFETY: the array has 64 octets, and no alignment is asked for.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), word) };
    lanes
}
}
