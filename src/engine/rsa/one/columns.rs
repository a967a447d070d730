//! Products in columns, on words whose multiplications give whole products: a column after the other, each added up
//! before it is cut.

#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of columns are what is asked for"
)]

use super::word::Word;
use crate::engine::word::LOW52;

/// Twice as many columns as there are limbs.
pub type Columns<const N: usize> = [[Word; N]; 2];

fn times(a: Word, b: Word) -> u128 {
    u128::from(a) * u128::from(b)
}

/// The sum of `a[i] b[k-i]`, of as many of both.
#[inline]
fn across(a: &[Word], b: &[Word]) -> u128 {
    let mut sum = 0;
    for i in 0..a.len().min(b.len()) {
        sum += times(a[i], b[b.len() - 1 - i]);
    }
    sum
}

/// The product, in columns, whatever was in them.
#[inline]
pub fn multiply<const N: usize>(t: &mut Columns<N>, a: &[Word; N], b: &[Word; N]) {
    let mut sum = 0u128;
    for k in 0..N {
        sum += across(&a[..=k], &b[..=k]);
        t[0][k] = sum as u64 & LOW52;
        sum >>= 52;
    }
    for k in 0..N {
        sum += across(&a[k + 1..], &b[k + 1..]);
        t[1][k] = sum as u64 & LOW52;
        sum >>= 52;
    }
}

/// The square, in columns, whatever was in them.
#[inline]
pub fn square<const N: usize>(t: &mut Columns<N>, a: &[Word; N]) {
    let mut sum = 0u128;
    for k in 0..2 * N - 1 {
        // From limb `first` to `k - first`, of which half are multiplied by the other half.
        let first = (k + 1).saturating_sub(N);
        let (half, last) = (k.div_ceil(2), k - first);
        sum += 2 * across(&a[first..half], &a[last + 1 - (half - first)..=last]);
        if k % 2 == 0 {
            sum += times(a[k / 2], a[k / 2]);
        }
        t[k / N][k % N] = sum as u64 & LOW52;
        sum >>= 52;
    }
    t[1][N - 1] = sum as u64;
}

/// Columns divided by R (Montgomery) and doubled so many times, in limbs of 52 bits. `inverse` is -1/m modulo 2^52.
#[inline]
pub fn reduce<const N: usize>(
    columns: &mut Columns<N>,
    [m, _]: [&[Word; N]; 2],
    inverse: Word,
    doublings: Word,
    limbs: &mut [Word; N],
) {
    let mut digits = [0; N];
    let mut sum = 0u128;
    for k in 0..N {
        sum += u128::from(columns[0][k]) + across(&digits[..k], &m[1..=k]);
        digits[k] = (sum as u64).wrapping_mul(inverse) & LOW52;
        sum = (sum + times(digits[k], m[0])) >> 52;
    }
    sum <<= doublings;
    for k in 0..N {
        sum += (u128::from(columns[1][k]) + across(&digits[k + 1..], &m[k + 1..])) << doublings;
        limbs[k] = sum as u64 & LOW52;
        sum >>= 52;
    }
}
