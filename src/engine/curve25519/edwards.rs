//! Points of edwards25519, -x² + y² = 1 + d x² y² (RFC 7748, 4.1), in extended coordinates (Hisil, Wong, Carter, Dawson,
//! 2008): x = X/Z, y = Y/Z, x y = T/Z. -1 is a square and d is none, so that the addition is complete: it is right for any
//! two points.

use super::field::{
    Element, carry, choose, constant, difference, invert, is_zero, leave, minus, mul, negative, plus,
    root_power, small, square, sum,
};
use super::word::{ALL, Mask};

#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub struct Point {
    pub x: Element,
    pub y: Element,
    pub z: Element,
    pub t: Element,
}

/// What a point with Z = 1 is added by: y + x, y - x and 2 d x y, each below p.
#[derive(Clone, Copy)]
pub struct Addend {
    pub sum: Element,
    pub difference: Element,
    pub product: Element,
}

features! {
#[inline]
pub fn identity() -> Point {
    Point { x: small(0), y: small(1), z: small(1), t: small(0) }
}

/// 2 d, where d = -121665/121666.
#[inline(never)]
pub fn twice_d() -> Element {
    let d = mul(&minus(&small(0), &small(121_665)), &invert(&small(121_666)));
    plus(&d, &d)
}

/// The sum with a point or, where the mask has a bit, with its negative: the sum and the difference of its coordinates
/// change places. Seven products.
#[inline]
pub fn add_mixed(p: &Point, addend: &Addend, negated: Mask) -> Point {
    let a = mul(&minus(&p.y, &p.x), &choose(negated, &addend.sum, &addend.difference));
    let b = mul(&plus(&p.y, &p.x), &choose(negated, &addend.difference, &addend.sum));
    let c = mul(&p.t, &choose(negated, &negative(&addend.product), &addend.product));
    finish(&a, &b, &c, &sum(&p.z, &p.z))
}

/// The sum of any two points.
#[inline(never)]
pub fn add(p: &Point, q: &Point, twice_d: &Element) -> Point {
    let a = mul(&minus(&p.y, &p.x), &minus(&q.y, &q.x));
    let b = mul(&plus(&p.y, &p.x), &plus(&q.y, &q.x));
    let c = mul(&mul(&p.t, twice_d), &q.t);
    let z = mul(&p.z, &q.z);
    finish(&a, &b, &c, &sum(&z, &z))
}

/// The end of an addition; d is not carried.
#[inline]
fn finish(a: &Element, b: &Element, c: &Element, d: &[super::word::Word; 5]) -> Point {
    let e = minus(b, a);
    let f = carry(&difference(d, c));
    let g = carry(&sum(&Element(*d), c));
    let h = plus(b, a);
    Point { x: mul(&e, &f), y: mul(&g, &h), z: mul(&f, &g), t: mul(&e, &h) }
}

#[inline]
pub fn negate(p: &Point) -> Point {
    Point { x: minus(&small(0), &p.x), y: p.y, z: p.z, t: minus(&small(0), &p.t) }
}

/// What adds a point whose Z has this inverse.
#[inline]
pub fn addend(p: &Point, inverse: &Element, twice_d: &Element) -> Addend {
    let (x, y) = (mul(&p.x, inverse), mul(&p.y, inverse));
    Addend {
        sum: leave(&plus(&y, &x)),
        difference: leave(&minus(&y, &x)),
        product: leave(&mul(&mul(&x, &y), twice_d)),
    }
}

/// The numerator and the denominator of a point's u on Curve25519: (Z + Y)/(Z - Y).
#[inline]
pub fn montgomery(p: &Point) -> (Element, Element) {
    (plus(&p.z, &p.y), minus(&p.z, &p.y))
}

/// One of the two points with this u, which is public and the same in all lanes; it does not matter which, for they
/// are each other's negatives. `None` when they are on the twist.
#[inline(never)]
pub fn lift(u: &Element) -> Option<Point> {
    let one = small(1);
    let over = plus(u, &one);
    // The twist's: u = -1, where y would be infinite. (A - 2 is no square.)
    if is_zero(&over) == ALL { return None; }
    let y = mul(&minus(u, &one), &invert(&over));
    // x² = (y² - 1)/(d y² + 1).
    let yy = square(&y);
    let half = mul(&twice_d(), &invert(&small(2)));
    let (numerator, denominator) = (minus(&yy, &one), plus(&mul(&half, &yy), &one));
    let ratio = mul(&numerator, &invert(&denominator));
    // p is 5 modulo 8: a root is a^((p + 3)/8), or that times a root of -1, which is 2^((p - 1)/4).
    let root = mul(&root_power(&ratio), &ratio);
    let two = small(2);
    let root_of_minus_one = mul(&square(&root_power(&two)), &two);
    let x = match is_zero(&minus(&square(&root), &ratio)) == ALL {
        true => root,
        false => mul(&root, &root_of_minus_one),
    };
    (is_zero(&minus(&square(&x), &ratio)) == ALL).then(|| Point { x, y, z: one, t: mul(&x, &y) })
}

/// Of lanes: the point in this one, in all of them.
#[inline]
pub fn spread(p: &Point, at: usize) -> Point {
    let of = |element: &Element| constant(&super::field::lane(element, at));
    Point { x: of(&p.x), y: of(&p.y), z: of(&p.z), t: of(&p.t) }
}

/// `a` in lanes where the mask has a bit, `b` elsewhere.
#[inline]
pub fn either(mask: Mask, a: &Point, b: &Point) -> Point {
    Point {
        x: choose(mask, &a.x, &b.x),
        y: choose(mask, &a.y, &b.y),
        z: choose(mask, &a.z, &b.z),
        t: choose(mask, &a.t, &b.t),
    }
}
}
