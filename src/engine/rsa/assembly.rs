//! Keys out of primes (FIPS 186-5, A.1.1 and A.1.3), and the proof that each works.

use zeroize::Zeroizing;

use super::super::EngineError;
use super::gcd;
use super::natural::{E, divide_exactly, in_order, inverse_of_e, minus, product, shift};
use super::number::{Natural, Number, limbs, words};
use super::stream::Stream;
use super::words::Words;

/// A key's numbers.
pub struct Key {
    pub n: Natural,
    pub d: Natural,
    pub p: Natural,
    pub q: Natural,
    /// d modulo p-1, and modulo q-1.
    pub exponents: [Natural; 2],
    /// 1/q modulo p.
    pub coefficient: Natural,
}

/// Bits by which the primes differ from the top on, at most: |p - q| > 2^(bits - 100) (FIPS 186-5, A.1.3, step 5.5).
const DISTANCE: usize = 100;

/// What two primes of so many bits make: see [`join`].
#[inline(never)]
pub fn of_primes<const N: usize>([p, q]: &[Number<N>; 2], bits: usize) -> Option<Key> {
    join(words(p, bits / 64), words(q, bits / 64))
}

/// What two primes make, but for the coefficient. Nothing when the rules forbid it: they are too near each other, or d is not above
/// 2^bits. That happens for less than one pair in 2^60.
fn join(mut p: Natural, mut q: Natural) -> Option<Key> {
    in_order(&mut p, &mut q);
    let count = p.len();
    let (distance, _) = minus(&p, &q);
    // Above 2^(bits - 100), if any bit is set from there on; that bit alone is as rare as a prime that comes twice.
    let is_far = distance[count - 2] >> (128 - DISTANCE) | distance[count - 1] != 0;

    let [p1, q1] = [&p, &q].map(|prime| {
        let mut even = prime.clone();
        even[0] -= 1;
        even
    });
    let common = gcd::common(&p1, &q1);
    // The odd part is a word: of two random numbers it is longer once in 2^64 times.
    let is_short = common.odd[1..].iter().all(|word| *word == 0);
    if !is_far || !is_short {
        return None;
    }
    // lcm(p-1, q-1), without the zeros that p-1 ends with beyond those of q-1, which are put back.
    let mut part = common.odd_part;
    divide_exactly(&mut part, common.odd[0]);
    let mut lcm = product(&part, &q1, &[]);
    let [zeros_p, zeros_q] = common.zeros;
    shift(&mut lcm, zeros_p.saturating_sub(zeros_q), true);
    let d = inverse_of_e(&lcm);
    let is_long = d[count..].iter().fold(0, |any, word| any | word) != 0;
    is_long.then(|| Key {
        n: product(&p, &q, &[]),
        d,
        exponents: [inverse_of_e(&p1), inverse_of_e(&q1)],
        p,
        q,
        coefficient: Zeroizing::new(Vec::new()),
    })
}

/// Gives every key its coefficient, and proves it: a random message, signed by way of both primes, is what its signature to the
/// power of e is modulo n (the pairwise consistency test of SP 800-56B, 6.4.1.1). N are the limbs of a prime, M of a modulus.
/// False, when one does not work.
pub fn complete<const N: usize, const M: usize>(
    keys: &mut [Key],
    words_: Words,
    random: &mut Stream<'_>,
) -> Result<bool, EngineError> {
    let Some(first) = keys.first() else {
        return Ok(true);
    };
    let (count, bits) = (keys.len(), 64 * first.p.len());
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        // Below both primes.
        messages.push(random.number::<N>(bits - 1)?);
    }
    // For each key q^(p-2) modulo p, and the message to both exponents modulo both primes.
    let [mut bases, mut exponents, mut moduli] =
        [(); 3].map(|()| Zeroizing::new(Vec::with_capacity(3 * count)));
    for (key, message) in keys.iter().zip(&messages) {
        let [p, q] = [limbs::<N>(&key.p), limbs(&key.q)];
        // p is odd, and so nothing is borrowed.
        let mut p2 = key.p.clone();
        p2[0] = p2[0].wrapping_sub(2);
        p2[1] = p2[1].wrapping_sub(u64::from(key.p[0] < 2));
        bases.extend([q, *message, *message]);
        exponents.extend([limbs(&p2), limbs(&key.exponents[0]), limbs(&key.exponents[1])]);
        moduli.extend([p, p, q]);
    }
    let mut results: Zeroizing<Vec<Number<N>>> = Zeroizing::new(vec![[0; N]; 3 * count]);
    words_.powers([&bases, &exponents, &moduli], bits, &mut results);
    #[cfg(test)]
    super::fault::strike(&mut results);

    // Garner: s = s_q + q ((s_p - s_q) / q modulo p).
    let every = |i: usize| Zeroizing::new(results.iter().skip(i).step_by(3).copied().collect::<Vec<_>>());
    let [coefficients, of_p, of_q] = [every(0), every(1), every(2)];
    let primes: Zeroizing<Vec<Number<N>>> = Zeroizing::new(moduli.iter().step_by(3).copied().collect());
    let mut quotients = Zeroizing::new(vec![[0; N]; count]);
    words_.differences([&of_p, &of_q, &coefficients, &primes], bits, &mut quotients);

    let [mut signatures, mut expected, mut moduli] = [(); 3].map(|()| Vec::with_capacity(count));
    for (i, key) in keys.iter_mut().enumerate() {
        key.coefficient = words(&coefficients[i], key.p.len());
        let [quotient, of_q] = [words(&quotients[i], key.p.len()), words(&of_q[i], key.p.len())];
        signatures.push(limbs::<M>(&product(&key.q, &quotient, &of_q)));
        expected.push(limbs(&words(&messages[i], key.p.len())));
        moduli.push(limbs(&key.n));
    }
    let mut passed = vec![false; count];
    words_.are_powers([&signatures, &expected, &moduli], &mut passed);
    Ok(passed.iter().all(|passed| *passed))
}

impl Key {
    pub fn public_key(&self) -> Vec<u8> {
        super::document::public_key([&self.n, &[E]])
    }

    pub fn private_key(&self) -> Zeroizing<Vec<u8>> {
        let [at_p, at_q] = &self.exponents;
        super::document::private_key([
            &self.n,
            &[E],
            &self.d,
            &self.p,
            &self.q,
            at_p,
            at_q,
            &self.coefficient,
        ])
    }
}
