//! The arithmetic, on every kind of words: against aws-lc, at the edges of its ranges, and with faults.

/// Does the same on any words; `$lanes` is the module.
macro_rules! on {
    ($words:expr, |$lanes:ident| $body:block) => {
        match $words {
            Words::Eight => {
                use crate::engine::lanes::eight as $lanes;
                $body
            }
            Words::One => {
                use crate::engine::lanes::one as $lanes;
                $body
            }
            Words::Checked => {
                use crate::engine::lanes::checked as $lanes;
                $body
            }
        }
    };
}

mod edges;
mod faults;
mod limbs;
mod wycheproof;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::number::{N, Number};
use super::table::{Jacobian, PublicComb, SecretComb};
use super::{draw, eight};

/// Words that the arithmetic is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    Eight,
    One,
    Checked,
}

impl Words {
    /// Those that this processor has.
    pub fn all() -> Vec<Self> {
        if eight::is_here() {
            return vec![Self::Eight, Self::One, Self::Checked];
        }
        eprintln!("LEFT OUT: eight lanes: this processor has no AVX-512 IFMA");
        vec![Self::One, Self::Checked]
    }
}

/// Points of scalars, and what their sum is.
pub struct Points {
    pub x: Vec<Number>,
    pub y: Vec<Number>,
    pub sum: Option<Jacobian>,
}

pub struct Signatures {
    pub r: Vec<Number>,
    pub s: Vec<Number>,
}

fn blinds<const COUNT: usize>() -> [Number; COUNT] {
    let mut blinds = [Number::ZERO; COUNT];
    draw(&mut blinds).unwrap();
    blinds
}

/// Up to a whole group.
fn padded(numbers: &[Number], group: usize) -> Vec<Number> {
    let mut padded = numbers.to_vec();
    let mut more = vec![Number::ZERO; numbers.len().next_multiple_of(group) - numbers.len()];
    draw(&mut more).unwrap();
    padded.extend(more);
    padded
}

/// The points of up to 256 scalars; nothing where they are refused.
pub fn multiply(words: Words, scalars: &[Number]) -> Option<Points> {
    on!(words, |lanes| {
        let comb = SecretComb::new(lanes::SECRET_BITS);
        let all = padded(scalars, lanes::GROUP);
        let (mut x, mut y, mut sum) = (vec![Number::ZERO; all.len()], vec![Number::ZERO; all.len()], None);
        let is_done = lanes::run(lanes::Job::Multiply {
            comb: &comb,
            scalars: &all,
            blinds: &blinds::<{ lanes::BLINDS + 1 }>(),
            x: &mut x,
            y: &mut y,
            sum: &mut sum,
        });
        is_done.then_some(Points { x, y, sum })
    })
}

pub fn sign(words: Words, key: &Number, nonces: &[Number], digests: &[Number]) -> Option<Signatures> {
    on!(words, |lanes| {
        let comb = SecretComb::new(lanes::SECRET_BITS);
        let nonces = padded(nonces, lanes::GROUP);
        let digests = padded(digests, lanes::GROUP);
        let (mut r, mut s) = (vec![Number::ZERO; nonces.len()], vec![Number::ZERO; nonces.len()]);
        let is_done = lanes::run(lanes::Job::Sign {
            comb: &comb,
            key,
            nonces: &nonces,
            digests: &digests,
            blinds: &blinds::<{ lanes::BLINDS + 1 }>(),
            r: &mut r,
            s: &mut s,
        });
        is_done.then_some(Signatures { r, s })
    })
}

/// What is said of signatures; nothing where there is no saying.
pub fn verify(
    words: Words,
    key: &[Number; 2],
    digests: &[Number],
    signatures: &Signatures,
) -> Option<Vec<bool>> {
    const BITS: usize = 7;
    on!(words, |lanes| {
        let comb = PublicComb::new(BITS, key);
        let digests_all = padded(digests, lanes::GROUP);
        let count = digests_all.len();
        let [r, s] = [&signatures.r, &signatures.s].map(|half| padded(&half[..digests.len()], lanes::GROUP));
        let mut valid = vec![false; count];
        let is_done = lanes::run(lanes::Job::Verify {
            comb: &comb,
            bits: BITS,
            digests: &digests_all,
            r: &r,
            s: &s,
            valid: &mut valid,
        });
        valid.truncate(digests.len());
        is_done.then_some(valid)
    })
}

pub fn octets(number: &Number) -> [u8; 32] {
    let mut octets = [0; 32];
    number.write(&mut octets);
    octets
}

pub fn minus(a: &Number, b: u64) -> Number {
    a.minus(&Number([b, 0, 0, 0])).0
}

pub fn random<const COUNT: usize>() -> [Number; COUNT] {
    blinds()
}

/// The point that aws-lc makes of a scalar, uncompressed.
pub fn aws_lc_octets(scalar: &Number) -> Vec<u8> {
    let key = PrivateKey::from_private_key(&ECDH_P256, &octets(scalar)).unwrap();
    key.compute_public_key().unwrap().as_ref().to_vec()
}

pub fn aws_lc(scalar: &Number) -> [Number; 2] {
    let octets = aws_lc_octets(scalar);
    let (coordinates, _) = octets[1..].as_chunks::<32>();
    [
        Number::of_octets(&coordinates[0]),
        Number::of_octets(&coordinates[1]),
    ]
}

pub fn aws_lc_accepts(key: &Number, digest: &Number, r: &Number, s: &Number) -> bool {
    let digest = Digest::import_less_safe(&octets(digest), &SHA256).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, aws_lc_octets(key))
        .verify_digest(&digest, &[octets(r), octets(s)].concat())
        .is_ok()
}

/// Whether a sum is that of all these scalars and of those that a group was filled up with.
pub fn is_sum_of(points: &Points, scalars: &[Number]) -> bool {
    let total = scalars
        .iter()
        .fold(Number::ZERO, |sum, scalar| sum.sum(scalar, &N));
    let Some(sum) = points.sum else { return false };
    match total.is_zero() {
        true => sum.is(None),
        false => sum.is(Some(&aws_lc(&total))),
    }
}

#[test]
fn random_keys_are_those_of_aws_lc_and_sum_up() {
    for words in Words::all() {
        let scalars = random::<256>();
        let points = multiply(words, &scalars).expect("chance does not refuse them");
        for (i, scalar) in scalars.iter().enumerate() {
            assert_eq!(
                [points.x[i], points.y[i]],
                aws_lc(scalar),
                "{words:?}: {scalar:x?}"
            );
        }
        assert!(is_sum_of(&points, &scalars), "{words:?}");
        assert!(!is_sum_of(&points, &scalars[1..]), "{words:?}");
    }
}

#[test]
fn random_signatures_are_accepted_by_all_and_changed_ones_by_none() {
    for words in Words::all() {
        let [key] = random();
        let (nonces, digests) = (random::<128>(), random::<128>());
        let mut signatures = sign(words, &key, &nonces, &digests).unwrap();
        for i in 0..digests.len() {
            let (r, s) = (&signatures.r[i], &signatures.s[i]);
            assert!(aws_lc_accepts(&key, &digests[i], r, s), "{words:?}: {i}");
        }
        // In each lane something else.
        for i in (0..digests.len()).step_by(3) {
            match i % 4 {
                0 => signatures.r[i].0[i % 3] ^= 1 << (i % 64),
                1 => signatures.s[i].0[i % 3] ^= 1 << (i % 64),
                2 => signatures.s[i] = signatures.r[i],
                _ => signatures.r.swap(i, i + 1),
            }
        }
        for other in Words::all() {
            let valid = verify(other, &aws_lc(&key), &digests, &signatures).unwrap();
            for (i, valid) in valid.iter().enumerate() {
                let (r, s) = (&signatures.r[i], &signatures.s[i]);
                let expected = aws_lc_accepts(&key, &digests[i], r, s);
                assert_eq!(*valid, expected, "{words:?} by {other:?}: {i}");
            }
        }
    }
}

/// One source of randomness, and the same comes out whatever the words.
#[test]
fn all_words_make_the_same() {
    let [key] = random();
    let (nonces, digests) = (random::<64>(), random::<64>());
    let mut before: Option<Signatures> = None;
    for words in Words::all() {
        let signatures = sign(words, &key, &nonces, &digests).unwrap();
        if let Some(before) = &before {
            assert_eq!(before.r, signatures.r, "{words:?}");
            assert_eq!(before.s, signatures.s, "{words:?}");
        }
        before = Some(signatures);
    }
}
