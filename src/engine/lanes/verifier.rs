//! Signatures judged under one public key, many at a time.

use std::sync::OnceLock;

use super::der;
use super::number::{B, Number, P};
use super::table::{FIELD, PublicComb};
use super::{eight, one};

/// Bits of a window: 512 KB of table for both points, made in some six milliseconds.
const BITS: usize = 8;

/// Signatures that must be asked for at once for a table to be worth its making.
pub const WORTHWHILE: usize = 64;

/// The verifier of a public key.
pub struct Verifier {
    point: [Number; 2],
    comb: OnceLock<PublicComb>,
    lanes: Lanes,
}

#[derive(Clone, Copy)]
enum Lanes {
    Eight,
    One,
}

impl Verifier {
    /// Of an uncompressed point (SEC 1, 2.3.3); nothing, where it is none of the curve.
    pub fn new(public_key: &[u8]) -> Option<Self> {
        let [4, coordinates @ ..] = public_key else {
            return None;
        };
        let (coordinates, []) = coordinates.as_chunks::<32>() else {
            return None;
        };
        let point = <&[[u8; 32]; 2]>::try_from(coordinates).ok()?;
        let point = point.each_ref().map(Number::of_octets);
        is_on_curve(&point).then(|| Self {
            point,
            comb: OnceLock::new(),
            lanes: match eight::is_here() {
                true => Lanes::Eight,
                false => Lanes::One,
            },
        })
    }

    #[cfg(test)]
    pub fn of(is_of_eight: bool, public_key: &[u8]) -> Option<Self> {
        let lanes = if is_of_eight { Lanes::Eight } else { Lanes::One };
        Self::new(public_key).map(|verifier| Self { lanes, ..verifier })
    }

    /// `valid[i]` becomes whether `signatures[i]`, in DER, is that of `digests[i]`. False, when there is no saying: one
    /// of the additions had no result, which somebody can bring about on purpose. The slices have one length.
    #[must_use]
    pub fn verify(&self, digests: &[[u8; 32]], signatures: &[&[u8]], valid: &mut [bool]) -> bool {
        let groups = digests.chunks(eight::BATCH);
        let groups = groups.zip(signatures.chunks(eight::BATCH));
        let mut groups = groups.zip(valid.chunks_mut(eight::BATCH));
        groups.all(|((digests, signatures), valid)| self.verify_group(digests, signatures, valid))
    }

    fn verify_group(&self, digests: &[[u8; 32]], signatures: &[&[u8]], valid: &mut [bool]) -> bool {
        // What is no signature is not worked on: numbers that are one stand in its place.
        let (mut r, mut s) = ([Number::ONE; eight::BATCH], [Number::ONE; eight::BATCH]);
        let mut numbers = [Number::ONE; eight::BATCH];
        for (i, (digest, signature)) in digests.iter().zip(signatures).enumerate() {
            numbers[i] = Number::of_octets(digest);
            let read = der::read(signature);
            valid[i] = read.is_some();
            [r[i], s[i]] = read.unwrap_or([Number::ONE; 2]);
        }
        let mut judged = [false; eight::BATCH];
        if !self.run(digests.len(), &numbers, &r, &s, &mut judged) {
            return false;
        }
        for (valid, judged) in valid.iter_mut().zip(judged) {
            *valid &= judged;
        }
        true
    }

    /// The first so many of a whole batch.
    fn run(&self, count: usize, digests: &[Number], r: &[Number], s: &[Number], valid: &mut [bool]) -> bool {
        let comb = self.comb.get_or_init(|| PublicComb::new(BITS, &self.point));
        macro_rules! run_on {
            ($lanes:ident) => {{
                let count = count.next_multiple_of($lanes::GROUP);
                $lanes::run($lanes::Job::Verify {
                    comb,
                    bits: BITS,
                    digests: &digests[..count],
                    r: &r[..count],
                    s: &s[..count],
                    valid: &mut valid[..count],
                })
            }};
        }
        match self.lanes {
            Lanes::Eight => run_on!(eight),
            Lanes::One => run_on!(one),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// Whether coordinates are below p and solve the curve's equation.
fn is_on_curve(point: &[Number; 2]) -> bool {
    let f = &FIELD;
    let [x, y] = point.each_ref().map(|coordinate| f.enter(coordinate));
    let three = f.enter(&Number([3, 0, 0, 0]));
    let right_side = f.plus(&f.times(&x, &f.minus(&f.times(&x, &x), &three)), &f.enter(&B));
    point.iter().all(|coordinate| coordinate.is_below(&P)) && f.times(&y, &y) == right_side
}
