//! The test that a library passes before it is used: ring agrees with its keys and its signatures.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{self as ecdsa, EcdsaKeyPair, UnparsedPublicKey, VerificationAlgorithm};

use super::curve::{Curve, GROUP, MAX_OCTETS, Number};
use super::encode;
use super::foreign::CryptoMb;
use super::group::{public_keys, sign};
use crate::engine::DeviceKey;

/// Keys and signatures that are tried: more than the library makes at a time, and no multiple of that.
const COUNT: usize = 13;

/// The first thing that is wrong.
pub fn pass(library: &CryptoMb) -> Result<(), &'static str> {
    [Curve::P256, Curve::P384]
        .into_iter()
        .try_for_each(|curve| of_curve(library, curve))
}

fn of_curve(library: &CryptoMb, curve: Curve) -> Result<(), &'static str> {
    let random = SystemRandom::new();
    let draw = |scalars: &mut [Number]| {
        curve
            .draw(scalars, |octets| random.fill(octets))
            .map_err(|_| "there are no random numbers to try it with")
    };

    // Keys: both ends of the range, and what lies between.
    let last = curve.order().minus(&Number::ONE);
    let mut scalars = [Number::ONE; GROUP];
    scalars[1] = Number([2, 0, 0, 0, 0, 0, 0, 0]);
    scalars[2] = last;
    scalars[3] = last.minus(&Number::ONE);
    draw(&mut scalars[4..COUNT])?;
    let (mut x, mut y) = ([Number::default(); GROUP], [Number::default(); GROUP]);
    public_keys(library, curve, &scalars, COUNT, &mut x, &mut y).map_err(|_| "it makes no keys")?;
    let mut key = DeviceKey::default();
    for (lane, scalar) in scalars[..COUNT].iter().enumerate() {
        encode::key(curve, scalar, &x[lane], &y[lane], &mut key);
        if !ring_agrees(curve, scalar, key.public_key(), &random) {
            return Err("it gives a public key that ring does not");
        }
    }

    // Signatures, with the last of these keys.
    let message = |lane: usize| [b'0' + u8::try_from(lane).expect("there are few"); 100];
    let mut nonces = [Number::ONE; GROUP];
    draw(&mut nonces[..COUNT])?;
    let hash = match curve {
        Curve::P256 => &SHA256,
        Curve::P384 => &SHA384,
    };
    let digests: [Number; COUNT] =
        std::array::from_fn(|lane| curve.reduce(digest(hash, &message(lane)).as_ref()));
    let (mut r, mut s) = ([Number::default(); GROUP], [Number::default(); GROUP]);
    sign(
        library,
        curve,
        &scalars[COUNT - 1],
        &digests,
        &nonces,
        &mut r,
        &mut s,
    )
    .map_err(|_| "it makes no signatures")?;
    let verifies: &dyn VerificationAlgorithm = match curve {
        Curve::P256 => &ecdsa::ECDSA_P256_SHA256_ASN1,
        Curve::P384 => &ecdsa::ECDSA_P384_SHA384_ASN1,
    };
    let public_key = UnparsedPublicKey::new(verifies, key.public_key());
    let mut signature = Vec::new();
    for lane in 0..COUNT {
        let octets = |number: &Number| {
            let mut octets = vec![0; curve.octets()];
            number.write(&mut octets);
            octets
        };
        encode::signature(&octets(&r[lane]), &octets(&s[lane]), &mut signature);
        if public_key.verify(&message(lane), &signature).is_err() {
            return Err("it gives a signature that ring refuses");
        }
    }
    Ok(())
}

/// Whether ring makes the same public key of a scalar.
fn ring_agrees(curve: Curve, scalar: &Number, public_key: &[u8], random: &SystemRandom) -> bool {
    let algorithm = match curve {
        Curve::P256 => &ecdsa::ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &ecdsa::ECDSA_P384_SHA384_ASN1_SIGNING,
    };
    // These scalars are of a test, and sign nothing that anyone sees.
    let mut octets = [0; MAX_OCTETS];
    let octets = &mut octets[..curve.octets()];
    scalar.write(octets);
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, octets, public_key, random).is_ok()
}
