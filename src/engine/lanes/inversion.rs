//! One inversion modulo p or n, in constant time: [`safegcd`](crate::engine::safegcd) on words of 62 bits.

use std::hint::black_box;

use super::number::Number;
use crate::engine::safegcd::{ZETA, divide_steps};

const LOW62: i64 = (1 << 62) - 1;
/// 590 steps, which Pieter Wuille proved to be enough for 256 bits (<https://github.com/sipa/safegcd-bounds>): fewer than the
/// bound for any size says.
const ROUNDS: u32 = 10;

/// A number of 310 bits with a sign: limbs of 62, the least significant first; the last has the sign.
type Signed62 = [i64; 5];

const fn signed62(number: &Number) -> Signed62 {
    let a = &number.0;
    [
        a[0].cast_signed() & LOW62,
        (a[0] >> 62 | a[1] << 2).cast_signed() & LOW62,
        (a[1] >> 60 | a[2] << 4).cast_signed() & LOW62,
        (a[2] >> 58 | a[3] << 6).cast_signed() & LOW62,
        (a[3] >> 56).cast_signed(),
    ]
}

fn number(limbs: &Signed62) -> Number {
    let a = limbs.map(i64::cast_unsigned);
    Number([
        a[0] | a[1] << 62,
        a[1] >> 2 | a[2] << 60,
        a[2] >> 4 | a[3] << 58,
        a[3] >> 6 | a[4] << 56,
    ])
}

/// A modulus to invert by.
pub struct Inverter {
    modulus: Signed62,
    /// 1/modulus, modulo 2^62.
    inverse: i64,
}

impl Inverter {
    pub const fn new(modulus: &Number) -> Self {
        Self {
            modulus: signed62(modulus),
            inverse: modulus.inverse_of_lowest().cast_signed() & LOW62,
        }
    }

    /// The inverse of a number below the modulus; 0 of 0.
    pub fn invert(&self, number_: &Number) -> Number {
        let (mut d, mut e) = ([0, 0, 0, 0, 0], [1, 0, 0, 0, 0]);
        let (mut f, mut g) = (self.modulus, signed62(number_));
        let mut zeta = ZETA;
        for _ in 0..ROUNDS {
            let matrix;
            (zeta, matrix) = divide_steps(zeta, f[0].cast_unsigned(), g[0].cast_unsigned());
            self.update_coefficients(&mut d, &mut e, &matrix);
            update_pair(&mut f, &mut g, &matrix);
        }
        self.normal(d, f[4] >> 63)
    }

    /// (d, e) times the matrix, divided by 2^62 modulo the modulus.
    fn update_coefficients(&self, d: &mut Signed62, e: &mut Signed62, matrix: &[i64; 4]) {
        let [u, v, q, r] = *matrix;
        let m = &self.modulus;
        let (sign_d, sign_e) = (d[4] >> 63, e[4] >> 63);
        // So many times the modulus makes the lowest limb zero.
        let (mut times_d, mut times_e) = ((u & sign_d) + (v & sign_e), (q & sign_d) + (r & sign_e));
        let mut carry_d = times(u, d[0]) + times(v, e[0]);
        let mut carry_e = times(q, d[0]) + times(r, e[0]);
        times_d -= self.inverse.wrapping_mul(low(carry_d)).wrapping_add(times_d) & LOW62;
        times_e -= self.inverse.wrapping_mul(low(carry_e)).wrapping_add(times_e) & LOW62;
        carry_d = (carry_d + times(m[0], times_d)) >> 62;
        carry_e = (carry_e + times(m[0], times_e)) >> 62;
        for i in 1..5 {
            carry_d += times(u, d[i]) + times(v, e[i]) + times(m[i], times_d);
            carry_e += times(q, d[i]) + times(r, e[i]) + times(m[i], times_e);
            (d[i - 1], e[i - 1]) = (low(carry_d) & LOW62, low(carry_e) & LOW62);
            (carry_d, carry_e) = (carry_d >> 62, carry_e >> 62);
        }
        (d[4], e[4]) = (low(carry_d), low(carry_e));
    }

    /// The number itself or its negative, between 0 and the modulus.
    fn normal(&self, mut d: Signed62, sign: i64) -> Number {
        let m = &self.modulus;
        let (sign, below) = (black_box(sign), black_box(d[4] >> 63));
        for i in 0..5 {
            d[i] = ((d[i] + (m[i] & below)) ^ sign) - sign;
        }
        carry(&mut d);
        let below = black_box(d[4] >> 63);
        for i in 0..5 {
            d[i] += m[i] & below;
        }
        carry(&mut d);
        number(&d)
    }
}

fn carry(limbs: &mut Signed62) {
    for i in 0..4 {
        limbs[i + 1] += limbs[i] >> 62;
        limbs[i] &= LOW62;
    }
}

/// (f, g) times the matrix, divided by 2^62, which leaves nothing.
fn update_pair(f: &mut Signed62, g: &mut Signed62, matrix: &[i64; 4]) {
    let [u, v, q, r] = *matrix;
    let mut carry_f = (times(u, f[0]) + times(v, g[0])) >> 62;
    let mut carry_g = (times(q, f[0]) + times(r, g[0])) >> 62;
    for i in 1..5 {
        carry_f += times(u, f[i]) + times(v, g[i]);
        carry_g += times(q, f[i]) + times(r, g[i]);
        (f[i - 1], g[i - 1]) = (low(carry_f) & LOW62, low(carry_g) & LOW62);
        (carry_f, carry_g) = (carry_f >> 62, carry_g >> 62);
    }
    (f[4], g[4]) = (low(carry_f), low(carry_g));
}

fn times(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low word is what is asked for"
)]
fn low(wide: i128) -> i64 {
    wide as i64
}
