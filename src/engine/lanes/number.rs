//! Numbers of 256 bits, one at a time: what tables and constants are made with.
//!
//! What is made at compile time, inversion by Fermat, and what tables are made with are for public numbers only.

/// A number of 256 bits: four limbs of 64, the least significant first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Debug))]
pub struct Number(pub [u64; 4]);

/// The prime of P-256 (SP 800-186, 3.2.1.3): 2^256 - 2^224 + 2^192 + 2^96 - 1.
pub const P: Number = Number([
    0xffff_ffff_ffff_ffff,
    0x0000_0000_ffff_ffff,
    0x0000_0000_0000_0000,
    0xffff_ffff_0000_0001,
]);

/// The order of P-256's group.
pub const N: Number = Number([
    0xf3b9_cac2_fc63_2551,
    0xbce6_faad_a717_9e84,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
]);

/// The coefficient b of the curve's equation y² = x³ - 3x + b.
pub const B: Number = Number([
    0x3bce_3c3e_27d2_604b,
    0x651d_06b0_cc53_b0f6,
    0xb3eb_bd55_7698_86bc,
    0x5ac6_35d8_aa3a_93e7,
]);

/// The base point.
pub const G: [Number; 2] = [
    Number([
        0xf4a1_3945_d898_c296,
        0x7703_7d81_2deb_33a0,
        0xf8bc_e6e5_63a4_40f2,
        0x6b17_d1f2_e12c_4247,
    ]),
    Number([
        0xcbb6_4068_37bf_51f5,
        0x2bce_3357_6b31_5ece,
        0x8ee7_eb4a_7c0f_9e16,
        0x4fe3_42e2_fe1a_7f9b,
    ]),
];

impl Number {
    pub const ZERO: Self = Self([0; 4]);
    pub const ONE: Self = Self([1, 0, 0, 0]);

    /// Reads 32 octets, the most significant first.
    pub fn of_octets(octets: &[u8; 32]) -> Self {
        let (words, _) = octets.as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_be_bytes(words[3 - i])))
    }

    /// Writes 32 octets, the most significant first.
    pub fn write(&self, octets: &mut [u8; 32]) {
        let (words, _) = octets.as_chunks_mut::<8>();
        for (word, limb) in words.iter_mut().zip(self.0.iter().rev()) {
            *word = limb.to_be_bytes();
        }
    }

    /// The difference, and whether it is negative and 2^256 was added.
    pub const fn minus(&self, other: &Self) -> (Self, bool) {
        let mut difference = [0; 4];
        let mut borrow = false;
        let mut i = 0;
        while i < 4 {
            let (less, under) = self.0[i].overflowing_sub(other.0[i]);
            let (less, even_under) = less.overflowing_sub(borrow as u64);
            (difference[i], borrow) = (less, under | even_under);
            i += 1;
        }
        (Self(difference), borrow)
    }

    /// The sum modulo 2^256, and whether there was more.
    pub const fn plus(&self, other: &Self) -> (Self, bool) {
        let mut sum = [0; 4];
        let mut carry = false;
        let mut i = 0;
        while i < 4 {
            let (more, over) = self.0[i].overflowing_add(other.0[i]);
            let (more, even_over) = more.overflowing_add(carry as u64);
            (sum[i], carry) = (more, over | even_over);
            i += 1;
        }
        (Self(sum), carry)
    }

    pub const fn is_zero(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    pub const fn is_below(&self, other: &Self) -> bool {
        self.minus(other).1
    }

    /// The sum of two numbers below a modulus above 2^255, modulo it, in constant time.
    pub fn sum(&self, other: &Self, modulus: &Self) -> Self {
        let (sum, carry) = self.plus(other);
        let (less, borrow) = sum.minus(modulus);
        sum.or(&less, u64::from(borrow) & !u64::from(carry))
    }

    /// Itself where a bit is 1, the other where it is 0. The compiler must not see that it is one of two: it would make
    /// a branch of it.
    fn or(&self, other: &Self, bit: u64) -> Self {
        let keep = std::hint::black_box(bit.wrapping_neg());
        Self(std::array::from_fn(|i| self.0[i] & keep | other.0[i] & !keep))
    }

    /// 1/n modulo 2^64, of an odd number n.
    pub const fn inverse_of_lowest(&self) -> u64 {
        let mut inverse = 1u64;
        let mut i = 0;
        // Each turn doubles the bits that are right.
        while i < 6 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(self.0[0].wrapping_mul(inverse)));
            i += 1;
        }
        inverse
    }

    /// Five limbs of 52 bits.
    pub const fn limbs52(&self) -> [u64; 5] {
        let a = &self.0;
        [
            a[0] & LOW52,
            (a[0] >> 52 | a[1] << 12) & LOW52,
            (a[1] >> 40 | a[2] << 24) & LOW52,
            (a[2] >> 28 | a[3] << 36) & LOW52,
            a[3] >> 16,
        ]
    }

    /// So many times the number, in limbs of 52 bits of which the highest may be longer.
    pub const fn times52(&self, times: u64) -> [u64; 5] {
        let mut limbs = self.limbs52();
        let mut carry = 0;
        let mut i = 0;
        while i < 4 {
            let limb = limbs[i] * times + carry;
            limbs[i] = limb & LOW52;
            carry = limb >> 52;
            i += 1;
        }
        limbs[4] = limbs[4] * times + carry;
        limbs
    }

    /// 2^`exponent` modulo a number above 2^255.
    pub const fn power_of_two(exponent: u32, modulus: &Self) -> Self {
        let mut power = Self::ONE;
        let mut i = 0;
        while i < exponent {
            let (double, carry) = power.plus(&power);
            let (less, borrow) = double.minus(modulus);
            power = if carry || !borrow { less } else { double };
            i += 1;
        }
        power
    }
}

impl zeroize::Zeroize for Number {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

pub const LOW52: u64 = (1 << 52) - 1;

/// Arithmetic modulo an odd number above 2^255, on Montgomery's forms with R = 2^256.
pub struct Modulus {
    value: Number,
    /// -1/modulus, modulo 2^64.
    inverse: u64,
    /// R modulo it: the form of 1.
    pub one: Number,
    /// R² modulo it.
    square: Number,
}

impl Modulus {
    pub const fn new(modulus: Number) -> Self {
        Self {
            one: Number::power_of_two(256, &modulus),
            square: Number::power_of_two(512, &modulus),
            inverse: modulus.inverse_of_lowest().wrapping_neg(),
            value: modulus,
        }
    }

    pub fn times(&self, a: &Number, b: &Number) -> Number {
        let (mut t, mut top) = ([0u64; 4], false);
        for limb in b.0 {
            let mut carry = 0;
            for (word, a) in t.iter_mut().zip(a.0) {
                (*word, carry) = a.carrying_mul_add(limb, *word, carry);
            }
            let (high, more) = carry.overflowing_add(u64::from(top));
            let q = t[0].wrapping_mul(self.inverse);
            let (_, mut carry) = q.carrying_mul_add(self.value.0[0], t[0], 0);
            for i in 1..4 {
                (t[i - 1], carry) = q.carrying_mul_add(self.value.0[i], t[i], carry);
            }
            let (high, even_more) = high.overflowing_add(carry);
            (t[3], top) = (high, more | even_more);
        }
        let t = Number(t);
        let (less, borrow) = t.minus(&self.value);
        t.or(&less, u64::from(borrow) & !u64::from(top))
    }

    pub fn plus(&self, a: &Number, b: &Number) -> Number {
        a.sum(b, &self.value)
    }

    pub fn minus(&self, a: &Number, b: &Number) -> Number {
        let (difference, borrow) = a.minus(b);
        let (more, _) = difference.plus(&self.value);
        more.or(&difference, u64::from(borrow))
    }

    /// The form of a number.
    pub fn enter(&self, number: &Number) -> Number {
        self.times(number, &self.square)
    }

    /// The form of 1/a, by Fermat, for a prime modulus.
    pub fn inverse(&self, a: &Number) -> Number {
        let (exponent, _) = self.value.minus(&Number([2, 0, 0, 0]));
        (0..256).rev().fold(self.one, |power, bit| {
            let square = self.times(&power, &power);
            match exponent.0[bit / 64] >> (bit % 64) & 1 {
                1 => self.times(&square, a),
                _ => square,
            }
        })
    }
}
