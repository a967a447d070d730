//! Arithmetic modulo the primes and the orders of both curves, by Montgomery's method, in constant time.
//!
//! The library multiplies points; what comes after is done here, because one inversion serves a whole group
//! (Montgomery's trick) for three multiplications each, where the library inverts for every eight. What outlives
//! a multiplication is zeroized.

use zeroize::Zeroizing;

use super::curve::{Curve, GROUP, Number, P256_ORDER, P384_ORDER};

/// Turns the coordinates of a group of points from Jacobian (x = X / Z^2, y = Y / Z^3) into affine ones, in
/// place. Returns whether all of them have such coordinates: a point at infinity has none.
#[must_use]
pub fn affine(curve: Curve, x: &mut [Number], y: &mut [Number], z: &[Number]) -> bool {
    match curve {
        Curve::P256 => P256.affine(x, y, z),
        Curve::P384 => P384.affine(x, y, z),
    }
}

/// Whether affine points are on their curve: y^2 = x^3 - 3x + b, with both coordinates below the prime. Of a point that
/// is, no other has the same x but its negative; a bit that flips in either coordinate leads off the curve, and so does
/// one that flipped on the way, for the formulas by which points are added know nothing of b.
#[must_use]
pub fn on_curve(curve: Curve, x: &[Number], y: &[Number]) -> bool {
    match curve {
        Curve::P256 => P256.on_curve(&P256_B, x, y),
        Curve::P384 => P384.on_curve(&P384_B, x, y),
    }
}

/// Fills the second halves of a group of signatures: s = (e + r d) / k modulo the order (FIPS 186-5, 6.4.1), of
/// digests e, nonces k and a private key d. All are less than the order, and no nonce is zero.
pub fn second_halves(
    curve: Curve,
    digests: &[Number],
    nonces: &[Number],
    key: &Number,
    r: &[Number],
    s: &mut [Number],
) {
    match curve {
        Curve::P256 => P256_SCALARS.second_halves(digests, nonces, key, r, s),
        Curve::P384 => P384_SCALARS.second_halves(digests, nonces, key, r, s),
    }
}

/// Whether the second halves of a group of signatures are what [`second_halves`] is to make: s k = e + r d.
#[must_use]
pub fn second_halves_agree(
    curve: Curve,
    digests: &[Number],
    nonces: &[Number],
    key: &Number,
    r: &[Number],
    s: &[Number],
) -> bool {
    match curve {
        Curve::P256 => P256_SCALARS.second_halves_agree(digests, nonces, key, r, s),
        Curve::P384 => P384_SCALARS.second_halves_agree(digests, nonces, key, r, s),
    }
}

/// The integers modulo a prime of N limbs, least limb first. Elements are held as multiples of 2^(64 N).
struct Field<const N: usize> {
    prime: [u64; N],
    /// What makes the prime's lowest limb -1, modulo 2^64.
    factor: u64,
    one: [u64; N],
    /// 2^(64 N), as an element.
    radix: [u64; N],
}

/// SP 800-186, 3.2.1.3.
const P256: Field<4> = Field::new([
    0xffff_ffff_ffff_ffff,
    0x0000_0000_ffff_ffff,
    0x0000_0000_0000_0000,
    0xffff_ffff_0000_0001,
]);

/// SP 800-186, 3.2.1.4.
const P384: Field<6> = Field::new([
    0x0000_0000_ffff_ffff,
    0xffff_ffff_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
]);

/// Modulo the orders of the base points.
const P256_SCALARS: Field<4> = Field::new(*P256_ORDER.0.first_chunk().expect("it has four limbs"));
const P384_SCALARS: Field<6> = Field::new(*P384_ORDER.0.first_chunk().expect("it has six limbs"));

/// What the equations of the curves end with (SP 800-186, 3.2.1.3 and 3.2.1.4).
const P256_B: [u64; 4] = [
    0x3bce_3c3e_27d2_604b,
    0x651d_06b0_cc53_b0f6,
    0xb3eb_bd55_7698_86bc,
    0x5ac6_35d8_aa3a_93e7,
];
const P384_B: [u64; 6] = [
    0x2a85_c8ed_d3ec_2aef,
    0xc656_398d_8a2e_d19d,
    0x0314_088f_5013_875a,
    0x181d_9c6e_fe81_4112,
    0x988e_056b_e3f8_2d19,
    0xb331_2fa7_e23e_e7e4,
];

impl<const N: usize> Field<N> {
    const fn new(prime: [u64; N]) -> Self {
        let mut factor = 1_u64;
        // Each step doubles how many low bits are right.
        let mut step = 0;
        while step < 6 {
            factor = factor.wrapping_mul(prime[0].wrapping_mul(factor).wrapping_add(2));
            step += 1;
        }
        let mut power = [0; N];
        power[0] = 1;
        let mut one = power;
        let mut bits = 0;
        while bits < 128 * N {
            power = double(power, &prime);
            bits += 1;
            if bits == 64 * N {
                one = power;
            }
        }
        Self {
            prime,
            factor,
            one,
            radix: power,
        }
    }

    fn affine(&self, x: &mut [Number], y: &mut [Number], z: &[Number]) -> bool {
        let mut inverses = Zeroizing::new([[0; N]; GROUP]);
        let is_finite = self.invert(z, &mut inverses[..z.len()]);
        // One factor is an element and the other a plain number, so the products are plain numbers.
        let mut power = Zeroizing::new([0; N]);
        for ((x, y), inverse) in x.iter_mut().zip(y).zip(inverses.iter()) {
            *power = self.times(inverse, inverse);
            self.multiply(x, &power);
            *power = self.times(&power, inverse);
            self.multiply(y, &power);
        }
        is_finite
    }

    fn on_curve(&self, b: &[u64; N], x: &[Number], y: &[Number]) -> bool {
        let mut three = self.prime;
        three[0] -= 3;
        let minus_three = self.times(&three, &self.radix);
        let is_on = |x: &Number, y: &Number| {
            let (is_reduced, x, y) = (self.has(x) & self.has(y), limbs(x), limbs(y));
            let (element_x, element_y) = (self.times(x, &self.radix), self.times(y, &self.radix));
            let square = self.times(&element_x, &element_x);
            let right = self.times(x, &self.plus(&square, &minus_three));
            is_reduced & (self.times(y, &element_y) == self.plus(&right, b))
        };
        // All of them, so that the time does not tell which.
        x.iter().zip(y).fold(true, |all, (x, y)| all & is_on(x, y))
    }

    /// Whether a number is below the prime.
    fn has(&self, number: &Number) -> bool {
        let high = number.0[N..].iter().fold(0, |all, limb| all | limb);
        high == 0 && reduce(*limbs(number), 0, &self.prime) == *limbs(number)
    }

    fn second_halves_agree(
        &self,
        digests: &[Number],
        nonces: &[Number],
        key: &Number,
        r: &[Number],
        s: &[Number],
    ) -> bool {
        let mut element = Zeroizing::new([0; N]);
        let key = Zeroizing::new(self.times(limbs(key), &self.radix));
        let (mut left, mut right) = (Zeroizing::new([0; N]), Zeroizing::new([0; N]));
        let inputs = digests.iter().zip(nonces).zip(r.iter().zip(s));
        inputs.fold(true, |all, ((digest, nonce), (r, s))| {
            *element = self.times(limbs(s), &self.radix);
            *left = self.times(limbs(nonce), &element);
            *right = self.times(limbs(r), &key);
            *right = self.plus(limbs(digest), &right);
            let is_solved = *left == *right;
            all & self.has(s) & is_solved
        })
    }

    fn second_halves(
        &self,
        digests: &[Number],
        nonces: &[Number],
        key: &Number,
        r: &[Number],
        s: &mut [Number],
    ) {
        let mut inverses = Zeroizing::new([[0; N]; GROUP]);
        let _ = self.invert(nonces, &mut inverses[..nonces.len()]);
        let key = Zeroizing::new(self.times(limbs(key), &self.radix));
        let mut sum = Zeroizing::new([0; N]);
        let inputs = digests.iter().zip(r).zip(inverses.iter());
        for (s, ((digest, r), inverse)) in s.iter_mut().zip(inputs) {
            *sum = self.times(limbs(r), &key);
            *sum = self.plus(limbs(digest), &sum);
            s.0[..N].copy_from_slice(&self.times(&sum, inverse));
        }
    }

    /// The inverses, as elements, of [`GROUP`] numbers at most. Returns whether none of them is zero; else all
    /// inverses are zero.
    fn invert(&self, numbers: &[Number], inverses: &mut [[u64; N]]) -> bool {
        let mut elements = Zeroizing::new([[0; N]; GROUP]);
        let mut product = Zeroizing::new(self.one);
        for ((number, element), place) in numbers.iter().zip(elements.iter_mut()).zip(&mut *inverses) {
            *element = self.times(limbs(number), &self.radix);
            // The product of those before it, for now.
            *place = *product;
            *product = self.times(&product, element);
        }
        let is_unit = product.iter().fold(0, |all, limb| all | limb) != 0;
        let mut inverse = Zeroizing::new([0; N]);
        self.inverse(&product, &mut inverse);
        for (element, place) in elements.iter().zip(&mut *inverses).take(numbers.len()).rev() {
            *place = self.times(&inverse, place);
            *inverse = self.times(&inverse, element);
        }
        is_unit
    }

    fn multiply(&self, number: &mut Number, element: &[u64; N]) {
        let product = self.times(limbs(number), element);
        number.0[..N].copy_from_slice(&product);
    }

    fn plus(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut sum = [0; N];
        let mut carry = 0;
        for i in 0..N {
            (sum[i], carry) = multiply_add(a[i], 1, b[i], carry);
        }
        reduce(sum, carry, &self.prime)
    }

    /// The product of two elements, divided by the radix (CIOS: Koc, Acar, Kaliski, 1996).
    #[inline]
    fn times(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut sum = [0; N];
        let mut top = 0;
        // By index, and not by iterators: these loops shall be unrolled.
        for limb in b {
            let mut carry = 0;
            for i in 0..N {
                (sum[i], carry) = multiply_add(a[i], *limb, sum[i], carry);
            }
            let (high, over) = add(top, carry);
            let multiple = sum[0].wrapping_mul(self.factor);
            let (_, mut carry) = multiply_add(self.prime[0], multiple, sum[0], 0);
            for i in 1..N {
                (sum[i - 1], carry) = multiply_add(self.prime[i], multiple, sum[i], carry);
            }
            let (high, more) = add(high, carry);
            sum[N - 1] = high;
            top = over + more;
        }
        reduce(sum, top, &self.prime)
    }

    /// The inverse of an element, which is its power by the prime less two; of zero it is zero. It is made in its place,
    /// so that it is in no other.
    fn inverse(&self, element: &[u64; N], power: &mut [u64; N]) {
        let mut exponent = self.prime;
        exponent[0] -= 2;
        *power = self.one;
        // The exponent is no secret.
        for bit in (0..64 * N).rev() {
            *power = self.times(power, power);
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                *power = self.times(power, element);
            }
        }
    }
}

/// The limbs of a number in their place, so that a secret is in no other.
fn limbs<const N: usize>(number: &Number) -> &[u64; N] {
    number.0.first_chunk().expect("a number has more limbs")
}

/// a b + c + d, least limb first.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let sum = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (sum as u64, (sum >> 64) as u64)
}

#[inline]
fn add(a: u64, b: u64) -> (u64, u64) {
    let (sum, over) = a.overflowing_add(b);
    (sum, u64::from(over))
}

/// A number of less than twice the prime, whose highest limb is `top`, modulo the prime.
#[inline]
const fn reduce<const N: usize>(number: [u64; N], top: u64, prime: &[u64; N]) -> [u64; N] {
    let mut less = [0; N];
    let mut borrow = false;
    let mut i = 0;
    while i < N {
        let (difference, first) = number[i].overflowing_sub(prime[i]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        less[i] = difference;
        borrow = first | second;
        i += 1;
    }
    // It stays as it is when it is less than the prime: all ones then, or else zero.
    let stays = 0_u64.wrapping_sub(borrow as u64 & (1 ^ top));
    let mut reduced = [0; N];
    let mut i = 0;
    while i < N {
        reduced[i] = number[i] & stays | less[i] & !stays;
        i += 1;
    }
    reduced
}

/// Twice a number that is less than the prime, modulo the prime.
const fn double<const N: usize>(number: [u64; N], prime: &[u64; N]) -> [u64; N] {
    let mut twice = [0; N];
    let mut carry = 0;
    let mut i = 0;
    while i < N {
        twice[i] = number[i] << 1 | carry;
        carry = number[i] >> 63;
        i += 1;
    }
    reduce(twice, carry, prime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A product as schoolbooks have it: doubled and added bit by bit.
    fn product<const N: usize>(field: &Field<N>, a: [u64; N], b: [u64; N]) -> [u64; N] {
        let mut sum = [0; N];
        for bit in (0..64 * N).rev() {
            sum = double(sum, &field.prime);
            if b[bit / 64] >> (bit % 64) & 1 == 1 {
                let mut carry = 0;
                for (sum, a) in sum.iter_mut().zip(a) {
                    (*sum, carry) = multiply_add(a, 1, *sum, carry);
                }
                sum = reduce(sum, carry, &field.prime);
            }
        }
        sum
    }

    /// Numbers below the prime, those at the ends among them.
    fn numbers<const N: usize>(field: &'static Field<N>) -> impl Strategy<Value = [u64; N]> {
        let mut last = field.prime;
        last[0] -= 1;
        let mut one = [0; N];
        one[0] = 1;
        let limb = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
        let any = prop::collection::vec(limb, N)
            .prop_map(|limbs| reduce(limbs.try_into().expect("there are N"), 0, &field.prime));
        prop_oneof![1 => Just([0; N]), 1 => Just(one), 1 => Just(last), 9 => any]
    }

    fn number<const N: usize>(limbs: [u64; N]) -> Number {
        let mut number = Number::default();
        number.0[..N].copy_from_slice(&limbs);
        number
    }

    fn check<const N: usize>(field: &'static Field<N>) {
        let mut runner = proptest::test_runner::TestRunner::default();
        let three = (numbers(field), numbers(field), numbers(field));
        let result = runner.run(&three, |(a, b, c)| {
            let element = field.times(&a, &field.radix);
            prop_assert_eq!(field.times(&element, &b), product(field, a, b));
            let mut inverse = [0; N];
            field.inverse(&element, &mut inverse);
            let unit = field.times(&element, &inverse);
            prop_assert_eq!(unit, if a == [0; N] { [0; N] } else { field.one });

            // Points with these coordinates, for a z that is given and one that is 1.
            let mut one = [0; N];
            one[0] = 1;
            let square = product(field, a, a);
            let mut x = [number(product(field, b, square)), number(b)];
            let mut y = [number(product(field, c, product(field, square, a))), number(c)];
            let z = [number(a), number(one)];
            prop_assert_eq!(field.affine(&mut x, &mut y, &z), a != [0; N]);
            if a != [0; N] {
                prop_assert!(x == [number(b); 2] && y == [number(c); 2]);
            }

            // s k = e + r d, with a for the nonce.
            if a != [0; N] {
                let mut s = [Number::default(); 2];
                let (digests, nonces) = ([number(b), number(c)], [number(a), number(one)]);
                field.second_halves(&digests, &nonces, &number(c), &[number(a), number(b)], &mut s);
                let first = field.plus(&b, &product(field, a, c));
                let second = field.plus(&c, &product(field, b, c));
                prop_assert_eq!(product(field, *limbs(&s[0]), a), first);
                prop_assert_eq!(*limbs(&s[1]), second);
                let agree = |s: &[Number; 2]| {
                    field.second_halves_agree(&digests, &nonces, &number(c), &[number(a), number(b)], s)
                };
                prop_assert!(agree(&s));
                s[1].0[N - 1] ^= 1 << 7;
                prop_assert!(!agree(&s));
            }
            Ok(())
        });
        result.unwrap();
    }

    #[test]
    fn agrees_with_arithmetic_bit_by_bit() {
        static SHORT: [Field<4>; 2] = [P256, P256_SCALARS];
        static LONG: [Field<6>; 2] = [P384, P384_SCALARS];
        SHORT.iter().for_each(check);
        LONG.iter().for_each(check);
    }

    #[test]
    fn a_point_with_a_flipped_bit_is_on_no_curve() {
        use crate::engine::{AwsLc, DeviceKey, KeyMaker};
        for curve in [Curve::P256, Curve::P384] {
            let mut keys = vec![DeviceKey::default(); 8];
            AwsLc.make_keys(curve.key_type(), &mut keys).unwrap();
            let coordinate = |key: &DeviceKey, i: usize| {
                Number::from_octets(&key.public_key()[1..][i * curve.octets()..][..curve.octets()])
            };
            let x: Vec<_> = keys.iter().map(|key| coordinate(key, 0)).collect();
            let y: Vec<_> = keys.iter().map(|key| coordinate(key, 1)).collect();
            assert!(on_curve(curve, &x, &y));
            for lane in 0..8 {
                for bit in 0..512 {
                    let (mut x, mut y) = (x.clone(), y.clone());
                    x[lane].0[bit / 64] ^= 1 << (bit % 64);
                    assert!(
                        !on_curve(curve, &x, &y[..]),
                        "{curve:?}, lane {lane}, bit {bit} of x"
                    );
                    x[lane].0[bit / 64] ^= 1 << (bit % 64);
                    y[lane].0[bit / 64] ^= 1 << (bit % 64);
                    assert!(!on_curve(curve, &x, &y), "{curve:?}, lane {lane}, bit {bit} of y");
                }
            }
        }
    }
}
