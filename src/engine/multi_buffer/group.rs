//! Public keys and signatures of a group: the library multiplies points, [`field`] does what follows.
//!
//! Every point is held against the equation of its curve, and every signature against the equation that it solves, so that
//! a fault that strikes one lane once is found, whichever lane it is.
//!
//! In the places of a group that are not needed the scalars are 1, and nothing is made of them. Projective
//! coordinates tell something of the scalar, so they are zeroized like it.

use zeroize::{Zeroize, Zeroizing};

use super::curve::{Curve, GROUP, Number};
use super::foreign::{CryptoMb, Fault, LANES};
use super::{failed, field};
use crate::engine::EngineError;

/// The public keys of the first so many scalars. Without success the coordinates are zeros.
pub fn public_keys(
    library: &CryptoMb,
    curve: Curve,
    scalars: &[Number; GROUP],
    count: usize,
    x: &mut [Number; GROUP],
    y: &mut [Number; GROUP],
) -> Result<(), EngineError> {
    let mut z = Zeroizing::new([Number::default(); GROUP]);
    let made = multiply(library, curve, scalars, count, x, y, &mut z);
    let is_made = made.is_ok() && field::affine(curve, &mut x[..count], &mut y[..count], &z[..count]);
    if is_made && field::on_curve(curve, &x[..count], &y[..count]) {
        return Ok(());
    }
    x.zeroize();
    y.zeroize();
    Err(failed(match is_made {
        true => "make keys that are on their curve",
        false => "make keys",
    }))
}

/// Signs [`GROUP`] digests at most, each with its nonce (FIPS 186-5, 6.4.1): r is the x of the base point times
/// the nonce, modulo the order. Without success both halves are zeros.
pub fn sign(
    library: &CryptoMb,
    curve: Curve,
    key: &Number,
    digests: &[Number],
    nonces: &[Number; GROUP],
    r: &mut [Number; GROUP],
    s: &mut [Number; GROUP],
) -> Result<(), EngineError> {
    if try_sign(library, curve, key, digests, nonces, r, s) {
        return Ok(());
    }
    r.zeroize();
    s.zeroize();
    Err(failed("sign"))
}

fn try_sign(
    library: &CryptoMb,
    curve: Curve,
    key: &Number,
    digests: &[Number],
    nonces: &[Number; GROUP],
    r: &mut [Number; GROUP],
    s: &mut [Number; GROUP],
) -> bool {
    let count = digests.len();
    let mut y = Zeroizing::new([Number::default(); GROUP]);
    let mut z = Zeroizing::new([Number::default(); GROUP]);
    if multiply(library, curve, nonces, count, r, &mut y, &mut z).is_err() {
        return false;
    }
    let (r, y, s) = (&mut r[..count], &mut y[..count], &mut s[..count]);
    if !field::affine(curve, r, y, &z[..count]) || !field::on_curve(curve, r, y) {
        return false;
    }
    for r in &mut *r {
        *r = curve.modulo_order(r);
    }
    let nonces = &nonces[..count];
    field::second_halves(curve, digests, nonces, key, r, s);
    if !field::second_halves_agree(curve, digests, nonces, key, r, s) {
        return false;
    }
    // A half that is zero would give the key or the nonce away; nobody will ever see one.
    r.iter().chain(&*s).all(|half| curve.has_scalar(half))
}

/// Multiplies the base point by the first so many scalars: the points are x / z^2, y / z^3.
fn multiply(
    library: &CryptoMb,
    curve: Curve,
    scalars: &[Number; GROUP],
    count: usize,
    x: &mut [Number; GROUP],
    y: &mut [Number; GROUP],
    z: &mut [Number; GROUP],
) -> Result<(), Fault> {
    let lanes = x.as_chunks_mut().0.iter_mut().zip(y.as_chunks_mut().0);
    let mut lanes = lanes.zip(z.as_chunks_mut().0).zip(scalars.as_chunks().0);
    lanes
        .by_ref()
        .take(count.div_ceil(LANES))
        .try_for_each(|(((x, y), z), scalars)| library.points(curve, scalars, x, y, z))
}

#[cfg(test)]
mod tests {
    use super::super::foreign::flips;
    use super::super::{draw, for_tests};
    use super::*;

    #[test]
    fn one_flipped_bit_in_any_lane_makes_no_key_and_no_signature() {
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let mut scalars = [Number::ONE; GROUP];
            draw(curve, &mut scalars).unwrap();
            let digests = scalars;
            let (mut x, mut y) = ([Number::default(); GROUP], [Number::default(); GROUP]);
            let mut keys = || public_keys(library, curve, &scalars, GROUP, &mut x, &mut y);
            let (mut r, mut s) = ([Number::default(); GROUP], [Number::default(); GROUP]);
            let mut signatures = || sign(library, curve, &scalars[0], &digests, &scalars, &mut r, &mut s);
            assert!(keys().is_ok() && signatures().is_ok());
            for lane in 0..GROUP {
                for coordinate in 0..3 {
                    flips::once(lane, coordinate, 1 << (lane * 7 % 64));
                    assert!(keys().is_err(), "{curve:?}, lane {lane}, coordinate {coordinate}");
                    flips::once(lane, coordinate, 1 << (lane * 5 % 64));
                    assert!(
                        signatures().is_err(),
                        "{curve:?}, lane {lane}, coordinate {coordinate}"
                    );
                }
            }
            assert!(keys().is_ok() && signatures().is_ok());
        }
    }
}
