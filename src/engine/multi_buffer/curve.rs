//! The two curves, and numbers modulo their orders.
//!
//! Whether a secret number is below the order is decided in constant time. A number that was refused tells
//! nothing of the one that was taken.

use zeroize::Zeroize;

use crate::profile::KeyType;

/// Numbers that are drawn, and of which one is checked, at a time.
pub const GROUP: usize = 64;

/// Octets of the longest number.
pub const MAX_OCTETS: usize = 48;

const LIMBS: usize = 8;

/// A number, least limb first. It has room for more than any curve here needs, so that code which reads
/// 512 bits at once stays within it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Default, PartialEq, Eq, Zeroize)]
pub struct Number(pub [u64; LIMBS]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
}

impl Curve {
    pub fn of(key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::P256 => Some(Self::P256),
            KeyType::P384 => Some(Self::P384),
            _ => None,
        }
    }

    pub fn key_type(self) -> KeyType {
        match self {
            Self::P256 => KeyType::P256,
            Self::P384 => KeyType::P384,
        }
    }

    /// Octets of a scalar, a coordinate and a digest.
    pub fn octets(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// The order n of the base point (SP 800-186, 3.2.1.3 and 3.2.1.4).
    pub fn order(self) -> &'static Number {
        match self {
            Self::P256 => &P256_ORDER,
            Self::P384 => &P384_ORDER,
        }
    }

    /// Whether a number is a private key or a nonce: 1 to n - 1.
    pub fn has_scalar(self, number: &Number) -> bool {
        let is_zero = number.0.iter().fold(0, |all, limb| all | limb) == 0;
        !is_zero & number.is_below(self.order())
    }

    /// A digest modulo n. It has as many bits as n has, so it is less than 2n.
    pub fn reduce(self, digest: &[u8]) -> Number {
        self.modulo_order(&Number::from_octets(digest))
    }

    /// A number that is less than 2n, modulo n: a digest, or a coordinate, whose field is hardly larger.
    pub fn modulo_order(self, number: &Number) -> Number {
        match number.is_below(self.order()) {
            true => *number,
            false => number.minus(self.order()),
        }
    }

    /// Fills [`GROUP`] slots at most with scalars, uniformly: what the source gives is taken as it is, or
    /// thrown away and drawn again (FIPS 186-5, A.2.2 and A.3.2).
    pub fn draw<E>(
        self,
        scalars: &mut [Number],
        mut fill: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut octets = [0; GROUP * MAX_OCTETS];
        let octets = &mut octets[..scalars.len() * self.octets()];
        let drawn = self.draw_with(scalars, octets, &mut fill);
        octets.zeroize();
        drawn
    }

    fn draw_with<E>(
        self,
        scalars: &mut [Number],
        octets: &mut [u8],
        fill: &mut impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        fill(octets)?;
        for (scalar, octets) in scalars.iter_mut().zip(octets.chunks_exact_mut(self.octets())) {
            loop {
                scalar.read(octets);
                if self.has_scalar(scalar) {
                    break;
                }
                fill(octets)?;
            }
        }
        Ok(())
    }
}

impl Number {
    pub const ONE: Self = Self([1, 0, 0, 0, 0, 0, 0, 0]);

    /// The number of some octets, the most significant first.
    pub fn from_octets(octets: &[u8]) -> Self {
        let mut number = Self::default();
        number.read(octets);
        number
    }

    /// Reads octets, the most significant first, into this place, so that a secret is in no other.
    pub fn read(&mut self, octets: &[u8]) {
        self.0 = [0; LIMBS];
        for (limb, octets) in self.0.iter_mut().zip(octets.rchunks(8)) {
            *limb = octets.iter().fold(0, |limb, octet| limb << 8 | u64::from(*octet));
        }
    }

    /// Writes octets, the most significant first, as many as there is room for.
    pub fn write(&self, octets: &mut [u8]) {
        for (octets, limb) in octets.rchunks_mut(8).zip(&self.0) {
            let limb = limb.to_be_bytes();
            octets.copy_from_slice(&limb[limb.len() - octets.len()..]);
        }
    }

    fn is_below(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(false, |borrow, (a, b)| {
            let (difference, first) = a.overflowing_sub(*b);
            let (_, second) = difference.overflowing_sub(u64::from(borrow));
            first | second
        })
    }

    pub fn minus(&self, other: &Self) -> Self {
        let mut result = Self::default();
        let mut borrow = false;
        for (limb, (a, b)) in result.0.iter_mut().zip(self.0.iter().zip(&other.0)) {
            let (difference, first) = a.overflowing_sub(*b);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first | second;
        }
        result
    }
}

pub const P256_ORDER: Number = Number([
    0xf3b9_cac2_fc63_2551,
    0xbce6_faad_a717_9e84,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
    0,
    0,
    0,
    0,
]);

pub const P384_ORDER: Number = Number([
    0xecec_196a_ccc5_2973,
    0x581a_0db2_48b0_a77a,
    0xc763_4d81_f437_2ddf,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0,
    0,
]);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const CURVES: [Curve; 2] = [Curve::P256, Curve::P384];

    fn octets(curve: Curve, number: &Number) -> Vec<u8> {
        let mut octets = vec![0; curve.octets()];
        number.write(&mut octets);
        octets
    }

    #[test]
    fn a_scalar_is_from_one_to_the_order_less_one() {
        for curve in CURVES {
            let order = *curve.order();
            let mut above = order;
            above.0[0] += 1;
            for (number, is_scalar) in [
                (Number::default(), false),
                (Number::ONE, true),
                (order.minus(&Number::ONE), true),
                (order, false),
                (above, false),
                (Number::from_octets(&[0xff; 48]), false),
                (Number([0, 0, 0, 1, 0, 0, 0, 0]), true),
            ] {
                assert_eq!(curve.has_scalar(&number), is_scalar, "{:x?}", number.0);
            }
        }
    }

    #[test]
    fn a_digest_is_reduced_once() {
        for curve in CURVES {
            let order = *curve.order();
            let mut above = order;
            above.0[0] += 1;
            for (digest, expected) in [
                (Number::default(), Number::default()),
                (order.minus(&Number::ONE), order.minus(&Number::ONE)),
                (order, Number::default()),
                (above, Number::ONE),
            ] {
                assert!(curve.reduce(&octets(curve, &digest)) == expected);
            }
            let ones = Number::from_octets(&vec![0xff; curve.octets()]);
            assert!(curve.reduce(&octets(curve, &ones)) == ones.minus(&order));
        }
    }

    #[test]
    fn what_is_no_scalar_is_drawn_again_and_nothing_else_is_changed() {
        for curve in CURVES {
            let order = *curve.order();
            let last = order.minus(&Number::ONE);
            // Zero and n come first; after them 1, then n once more, then n - 1.
            let mut supply = [Number::default(), order, Number::ONE, order, last].into_iter();
            let mut scalars = [Number::default(); 2];
            let source = |room: &mut [u8]| -> Result<(), Infallible> {
                for room in room.chunks_exact_mut(curve.octets()) {
                    supply.next().expect("no more is asked for").write(room);
                }
                Ok(())
            };
            curve.draw(&mut scalars, source).unwrap();
            assert!(scalars == [Number::ONE, last]);
            assert!(supply.next().is_none(), "all was looked at");
            assert_eq!(curve.draw(&mut scalars, |_| Err("dry")), Err("dry"));
        }
    }

    proptest! {
        #[test]
        fn octets_come_back(octets in prop::collection::vec(any::<u8>(), 0..=64)) {
            let mut back = vec![1; octets.len()];
            Number::from_octets(&octets).write(&mut back);
            prop_assert_eq!(back, octets);
        }
    }
}
