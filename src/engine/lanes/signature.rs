//! Signatures by ECDSA (FIPS 186-5, 6.4): made with one key, and judged under one.

use super::super::number::Number;
use super::super::table::{Jacobian, PublicComb, SecretComb};
use super::comb::{Addends, BLINDS, Work};
use super::field::{Element, carry, constant, gather, is_nothing, join, leave, less, scatter, split};
use super::order::{self, N52, SQUARE, invert_all};
use super::word::{self, CHAINS, LANES, add, xor};

/// Numbers of a batch at most.
pub const BATCH: usize = 256;
const WORDS: usize = BATCH / LANES;
/// Inversions of a batch of verifications, at most.
const ROUNDS: usize = 64;

/// What batches are worked on with; it is used again.
pub struct Bench {
    work: Work,
    numbers: Vec<Element>,
    before: Vec<Element>,
}

/// What a batch is asked for. All slices have one length, which is a multiple of [`GROUP`] and at most [`BATCH`].
pub enum Job<'a> {
    /// The points that scalars make, each between 1 and n - 1, and their sum.
    Multiply {
        comb: &'a SecretComb,
        scalars: &'a [Number],
        blinds: &'a [Number; BLINDS + 1],
        x: &'a mut [Number],
        y: &'a mut [Number],
        sum: &'a mut Option<Jacobian>,
    },
    /// Signatures of digests, each with a nonce between 1 and n - 1.
    Sign {
        comb: &'a SecretComb,
        key: &'a Number,
        nonces: &'a [Number],
        digests: &'a [Number],
        blinds: &'a [Number; BLINDS + 1],
        r: &'a mut [Number],
        s: &'a mut [Number],
    },
    /// So many rounds of nothing but multiplications.
    Saturate(u64),
    /// Whether signatures are those of digests. r and s are between 1 and n - 1.
    Verify {
        comb: &'a PublicComb,
        bits: usize,
        digests: &'a [Number],
        r: &'a [Number],
        s: &'a [Number],
        valid: &'a mut [bool],
    },
}

/// Numbers come in groups of so many.
pub const GROUP: usize = LANES * CHAINS;

features! {
impl Bench {
    pub fn new() -> Self {
        let nothing = Element([word::zero(); 5]);
        Self { work: Work::new(WORDS, 2), numbers: vec![nothing; WORDS], before: vec![nothing; WORDS] }
    }

    /// Leaves nothing of what it held.
    fn wipe(&mut self) {
        self.work.wipe();
        let nothing = Element([word::zero(); 5]);
        for elements in [&mut self.numbers, &mut self.before] {
            elements.fill(nothing);
            zeroize::optimization_barrier(elements.as_slice());
        }
    }

    /// Does a job. False when it has no result, which chance alone almost never brings about: an addition or an
    /// inversion was of nothing, or a point is not on its curve.
    pub fn run(&mut self, job: Job<'_>) -> bool {
        match job {
            Job::Multiply { comb, scalars, blinds, x, y, sum } => {
                let done = self.multiply(comb, scalars, blinds, x, y, sum);
                self.wipe();
                done
            }
            Job::Sign { comb, key, nonces, digests, blinds, r, s } => {
                let done = self.sign(comb, key, nonces, digests, blinds, r, s);
                self.wipe();
                done
            }
            Job::Saturate(rounds) => {
                super::limit::saturate(rounds);
                true
            }
            Job::Verify { comb, bits, digests, r, s, valid } => self.verify(comb, bits, digests, r, s, valid),
        }
    }

    #[inline]
    fn multiply(&mut self, comb: &SecretComb, scalars: &[Number], blinds: &[Number; BLINDS + 1], x: &mut [Number], y: &mut [Number], sum: &mut Option<Jacobian>) -> bool {
        let words = scalars.len() / LANES;
        for (at, scalars) in scalars.chunks_exact(LANES).enumerate() { self.work.take(at, &gather(scalars)); }
        let done = self.work.multiply(Addends::Secret(comb), words, &blinds[1..]);
        self.work.restore(words);
        *sum = self.work.sum(words);
        for at in 0..words {
            scatter(&join(&leave(&self.work.x[at])), &mut x[at * LANES..][..LANES]);
            scatter(&join(&leave(&self.work.y[at])), &mut y[at * LANES..][..LANES]);
        }
        done && self.work.is_on_curve(words)
    }

    #[inline]
    #[expect(clippy::too_many_arguments, reason = "they are a job's")]
    fn sign(&mut self, comb: &SecretComb, key: &Number, nonces: &[Number], digests: &[Number], blinds: &[Number; BLINDS + 1], r: &mut [Number], s: &mut [Number]) -> bool {
        let words = nonces.len() / LANES;
        for (at, nonces) in nonces.chunks_exact(LANES).enumerate() {
            let nonces = gather(nonces);
            self.work.take(at, &nonces);
            self.numbers[at] = split(&nonces);
            #[cfg(test)]
            super::field::strike(super::super::fault::Stage::Number, &mut self.numbers[at].0);
        }
        let mut done = self.work.multiply(Addends::Secret(comb), words, &blinds[1..]);
        done &= invert_all(&mut self.numbers[..words], &mut self.before[..words], &blinds[0]);
        let key = order::mul(&constant(&key.limbs52()), &constant(&SQUARE));
        let mut nothing = 0;
        for at in 0..words {
            // r is the x of the point modulo n; s is (digest + r key) / nonce.
            let own_r = less(&leave(&self.work.x[at]), &N52);
            let digest = split(&gather(&digests[at * LANES..][..LANES]));
            let mut rest = order::mul(&own_r, &key).0;
            for i in 0..5 { rest[i] = add(rest[i], digest.0[i]); }
            let own_s = less(&order::mul(&carry(rest), &self.numbers[at]), &N52);
            nothing |= is_nothing(&own_r) | is_nothing(&own_s);
            scatter(&join(&own_r), &mut r[at * LANES..][..LANES]);
            scatter(&join(&own_s), &mut s[at * LANES..][..LANES]);
        }
        done && nothing == 0
    }

    #[inline]
    fn verify(&mut self, comb: &PublicComb, bits: usize, digests: &[Number], r: &[Number], s: &[Number], valid: &mut [bool]) -> bool {
        let words = digests.len() / LANES;
        for (number, s) in self.numbers.iter_mut().zip(s.chunks_exact(LANES)) { *number = split(&gather(s)); }
        // Nothing here is secret.
        let blinds = [Number::ONE; ROUNDS];
        let mut done = invert_all(&mut self.numbers[..words], &mut self.before[..words], &blinds[0]);
        for at in 0..words {
            let digest = split(&gather(&digests[at * LANES..][..LANES]));
            let own_r = split(&gather(&r[at * LANES..][..LANES]));
            for (point, factor) in [digest, own_r].iter().enumerate() {
                let scalar = less(&order::mul(factor, &self.numbers[at]), &N52);
                self.work.take(point * words + at, &join(&scalar));
            }
        }
        done &= self.work.multiply(Addends::Public { comb, bits }, words, &blinds);
        for at in 0..words {
            let x = less(&leave(&self.work.x[at]), &N52);
            let own_r = split(&gather(&r[at * LANES..][..LANES]));
            let mut other = x;
            for i in 0..5 { other.0[i] = xor(other.0[i], own_r.0[i]); }
            let same = is_nothing(&other);
            for (lane, valid) in valid[at * LANES..][..LANES].iter_mut().enumerate() { *valid = same >> lane & 1 == 1; }
        }
        done
    }
}
}
