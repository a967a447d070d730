//! Combs: the multiples of a fixed point from which a product with any scalar is added up, without a doubling.
//!
//! A scalar that is odd is a sum of odd digits, digit i times 2^(w i), each positive or negative and below 2^w. So a
//! window of w bits needs its 2^(w-1) positive odd multiples, and a product one addition a window.

use super::number::{G, Modulus, Number, P};

/// A point in Jacobian coordinates, as forms with R = 2^256. Z is 0 at infinity.
#[derive(Clone, Copy)]
pub struct Jacobian {
    pub x: Number,
    pub y: Number,
    pub z: Number,
}

/// The field, for one number at a time.
pub const FIELD: Modulus = Modulus::new(P);

impl Jacobian {
    pub const INFINITY: Self = Self {
        x: FIELD.one,
        y: FIELD.one,
        z: Number::ZERO,
    };

    /// A point from coordinates as plain numbers.
    pub fn of(point: &[Number; 2]) -> Self {
        let [x, y] = point.each_ref().map(|coordinate| FIELD.enter(coordinate));
        Self { x, y, z: FIELD.one }
    }

    /// Twice the point (dbl-2001-b of the Explicit-Formulas Database, for a = -3).
    pub fn doubled(&self) -> Self {
        let Self { x, y, z } = self;
        let f = &FIELD;
        let twice = |a: &Number| f.plus(a, a);
        let delta = f.times(z, z);
        let gamma = f.times(y, y);
        let beta = f.times(x, &gamma);
        let alpha = f.times(&f.minus(x, &delta), &f.plus(x, &delta));
        let alpha = f.plus(&twice(&alpha), &alpha);
        let beta4 = twice(&twice(&beta));
        let x3 = f.minus(&f.times(&alpha, &alpha), &twice(&beta4));
        let yz = f.plus(y, z);
        let z3 = f.minus(&f.minus(&f.times(&yz, &yz), &gamma), &delta);
        let gamma8 = twice(&twice(&twice(&f.times(&gamma, &gamma))));
        let y3 = f.minus(&f.times(&alpha, &f.minus(&beta4, &x3)), &gamma8);
        Self { x: x3, y: y3, z: z3 }
    }

    /// The sum of any two points.
    pub fn plus(&self, other: &Self) -> Self {
        if self.z.is_zero() {
            return *other;
        }
        if other.z.is_zero() {
            return *self;
        }
        let f = &FIELD;
        let z1z1 = f.times(&self.z, &self.z);
        let z2z2 = f.times(&other.z, &other.z);
        let u1 = f.times(&self.x, &z2z2);
        let s1 = f.times(&f.times(&self.y, &other.z), &z2z2);
        let h = f.minus(&f.times(&other.x, &z1z1), &u1);
        let r = f.minus(&f.times(&f.times(&other.y, &self.z), &z1z1), &s1);
        if h.is_zero() {
            return if r.is_zero() {
                self.doubled()
            } else {
                Self::INFINITY
            };
        }
        let hh = f.times(&h, &h);
        let hhh = f.times(&hh, &h);
        let v = f.times(&u1, &hh);
        let x = f.minus(&f.minus(&f.times(&r, &r), &hhh), &f.plus(&v, &v));
        let y = f.minus(&f.times(&r, &f.minus(&v, &x)), &f.times(&s1, &hhh));
        let z = f.times(&f.times(&self.z, &other.z), &h);
        Self { x, y, z }
    }

    /// Whether it is the point with these coordinates; no coordinates are infinity's.
    pub fn is(&self, point: Option<&[Number; 2]>) -> bool {
        let Some(point) = point else {
            return self.z.is_zero();
        };
        let f = &FIELD;
        let other = Self::of(point);
        let zz = f.times(&self.z, &self.z);
        !self.z.is_zero()
            && f.times(&other.x, &zz) == self.x
            && f.times(&f.times(&other.y, &zz), &self.z) == self.y
    }
}

/// Windows of a comb with so many bits in each.
pub const fn windows(bits: usize) -> usize {
    256usize.div_ceil(bits)
}

/// For each window the odd multiples (2j+1) 2^(w i) of a point, affine, as forms with R = 2^260: what limbs of 52 bits
/// are multiplied with.
fn odd_multiples(point: &[Number; 2], bits: usize) -> Vec<[Number; 2]> {
    let f = &FIELD;
    let mut base = Jacobian::of(point);
    let mut multiples = Vec::with_capacity(windows(bits) << (bits - 1));
    for _ in 0..windows(bits) {
        let double = base.doubled();
        let mut multiple = base;
        for _ in 1..1 << (bits - 1) {
            multiples.push(multiple);
            multiple = multiple.plus(&double);
        }
        multiples.push(multiple);
        for _ in 0..bits {
            base = base.doubled();
        }
    }
    // One inversion for all (Montgomery).
    let mut product = f.one;
    let mut before = Vec::with_capacity(multiples.len());
    for multiple in &multiples {
        before.push(product);
        product = f.times(&product, &multiple.z);
    }
    let mut inverse = f.inverse(&product);
    let mut affine: Vec<_> = multiples
        .iter()
        .zip(&before)
        .rev()
        .map(|(multiple, before)| {
            let z = f.times(&inverse, before);
            inverse = f.times(&inverse, &multiple.z);
            let zz = f.times(&z, &z);
            let coordinates = [f.times(&multiple.x, &zz), f.times(&multiple.y, &f.times(&zz, &z))];
            coordinates.map(|form| (0..4).fold(form, |form, _| f.plus(&form, &form)))
        })
        .collect();
    affine.reverse();
    affine
}

/// A row of a table, as a register of eight words has it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Row(pub [u64; 8]);

/// The comb of the base point for secret scalars: always read whole, window by window. Of each window first the x, then
/// the y; of each coordinate the five limbs one after the other; of each limb the multiples in order.
pub struct SecretComb {
    rows: Vec<Row>,
    bits: usize,
}

impl SecretComb {
    pub fn new(bits: usize) -> Self {
        let multiples = odd_multiples(&G, bits);
        let mut rows = Vec::with_capacity(multiples.len() * 10 / 8);
        for window in multiples.chunks_exact(1 << (bits - 1)) {
            for coordinate in 0..2 {
                for limb in 0..5 {
                    let (eights, _) = window.as_chunks::<8>();
                    rows.extend(
                        eights.iter().map(|eight| {
                            Row(eight.each_ref().map(|point| point[coordinate].limbs52()[limb]))
                        }),
                    );
                }
            }
        }
        Self { rows, bits }
    }

    /// The x of a window's multiples, and the y.
    pub fn window(&self, window: usize) -> (&[Row], &[Row]) {
        let half = 5 << (self.bits - 4);
        self.rows[2 * half * window..2 * half * (window + 1)].split_at(half)
    }
}

/// The combs of the base point and of a public key, for public scalars: looked up by index. A row has four limbs of 64
/// bits of the x, then of the y.
pub struct PublicComb {
    rows: Vec<Row>,
    bits: usize,
}

impl PublicComb {
    pub fn new(bits: usize, public_key: &[Number; 2]) -> Self {
        let rows = [&G, public_key]
            .into_iter()
            .flat_map(|point| odd_multiples(point, bits))
            .map(|[x, y]| Row([x.0[0], x.0[1], x.0[2], x.0[3], y.0[0], y.0[1], y.0[2], y.0[3]]))
            .collect();
        Self { rows, bits }
    }

    /// The multiples of a window: those of the base point come first.
    pub fn window(&self, window: usize) -> &[Row] {
        let size = 1 << (self.bits - 1);
        &self.rows[size * window..size * (window + 1)]
    }
}
