//! Division steps: the safegcd algorithm of Bernstein and Yang (<https://gcd.cr.yp.to/safegcd-20190413.pdf>), with the
//! half-delta variant, on the lowest words of two numbers. What they amount to is then done to the whole of both.

#![expect(
    clippy::many_single_char_names,
    reason = "formulas have the names that papers give them"
)]

use std::hint::black_box;

/// Steps of a round, after which the lowest three bits of its matrix are known to be zeros.
const STEPS: u32 = 59;

/// Before the first step.
pub const ZETA: i64 = -1;

/// Rounds that are enough for numbers of so many bits, as Pieter Wuille proved
/// (<https://github.com/sipa/safegcd-bounds>): after them the second number is zero.
pub const fn rounds(bits: u32) -> u32 {
    ((45_907 * bits + 26_313) / 19_929).div_ceil(STEPS)
}

/// A round of steps on the lowest words of both numbers, the first of which is odd: the matrix that they amount to, times
/// 2^62.
///
/// The compiler must not see that a mask is one of two values: it would make a branch of it.
pub fn divide_steps(mut zeta: i64, mut f: u64, mut g: u64) -> (i64, [i64; 4]) {
    let (mut u, mut v, mut q, mut r) = (8u64, 0u64, 0u64, 8u64);
    for _ in 0..STEPS {
        let mut negate = black_box((zeta >> 63).cast_unsigned());
        let odd = black_box((g & 1).wrapping_neg());
        let signed = |word: u64| (word ^ negate).wrapping_sub(negate);
        g = g.wrapping_add(signed(f) & odd);
        q = q.wrapping_add(signed(u) & odd);
        r = r.wrapping_add(signed(v) & odd);
        negate &= odd;
        zeta = (zeta ^ negate.cast_signed()) - 1;
        f = f.wrapping_add(g & negate);
        u = u.wrapping_add(q & negate);
        v = v.wrapping_add(r & negate);
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    (zeta, [u, v, q, r].map(u64::cast_signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_grow_with_the_bits() {
        // 591, 2,360, 3,539 and 4,718 steps.
        assert_eq!([256, 1024, 1536, 2048].map(rounds), [11, 40, 60, 80]);
    }
}
