//! The search for primes (FIPS 186-5, A.1.3): candidates are drawn, each with fresh randomness, divided by small primes, filtered
//! and proven, as many at a time as there are lanes. A candidate stands alone: no prime says anything of another, whichever
//! key it gets into, and what is seen of one that is thrown away says nothing of those that are kept.

use std::mem;

use zeroize::Zeroizing;

use super::super::EngineError;
use super::failed;
use super::natural::E;
use super::number::Number;
use super::small::Small;
use super::stream::Stream;
use super::words::Words;
use crate::wiped::{WipedVec, wipe};

/// Rounds of the probabilistic test with random bases: FIPS 186-5, table B.1, asks for five of primes of 1,024 bits, and
/// for four of longer ones. The filter before them does not count.
pub const ROUNDS: usize = 5;

/// Candidates that are drawn for a prime, at most, by bits of the modulus (FIPS 186-5, A.1.3: 10 for the first prime, 20 for the
/// second). Chance alone needs more for less than one prime in 2^150.
const TRIES: u64 = 20;

/// A pool of numbers, which never moves in memory and is overwritten.
#[derive(Default)]
struct Pool<const N: usize>(WipedVec<u64>);

impl<const N: usize> Pool<N> {
    fn with_capacity(capacity: usize) -> Self {
        Self(WipedVec::with_capacity(N * capacity))
    }

    fn len(&self) -> usize {
        self.0.len() / N
    }

    fn push(&mut self, number: Number<N>) {
        self.0.extend(number);
    }

    /// The last so many.
    fn last(&self, count: usize) -> &[Number<N>] {
        let (numbers, _) = self.0.as_chunks();
        &numbers[numbers.len() - count..]
    }

    /// Throws the last away, so many.
    fn shorten(&mut self, count: usize) {
        let rest = self.0.len() - N * count;
        wipe(&mut self.0[rest..]);
        self.0.truncate(rest);
    }
}

pub struct Search<'a, const N: usize> {
    words: Words,
    bits: usize,
    random: Stream<'a>,
    /// For each stage of trial division those that wait for it; the last are for the filter.
    waiting: Vec<Pool<N>>,
    /// What the filter let through.
    probable: Pool<N>,
    /// Those that are being proven; for each lane of a round a number, and what its base is made of. All memory is there from the
    /// beginning: how long a search takes does not decide where a prime comes to lie.
    proven: Pool<N>,
    round: [Pool<N>; 3],
    /// Candidates that were drawn, and that may be.
    drawn: u64,
    most: u64,
}

impl<'a, const N: usize> Search<'a, N> {
    /// A search for primes of so many bits.
    pub fn new(words: Words, bits: usize, random: Stream<'a>) -> Self {
        // Each is emptied as soon as there are enough for all lanes.
        let room = 2 * words.tile() + words.lanes();
        let pool = || Pool::with_capacity(room);
        Self {
            words,
            bits,
            random,
            waiting: (0..=Small::primes().stages.len()).map(|_| pool()).collect(),
            probable: pool(),
            proven: Pool::with_capacity(words.lanes()),
            round: [(); 3].map(|()| Pool::with_capacity(words.lanes())),
            drawn: 0,
            most: 0,
        }
    }

    pub fn random(&mut self) -> &mut Stream<'a> {
        &mut self.random
    }

    /// Finds so many primes.
    pub fn primes(&mut self, count: usize) -> Result<Zeroizing<Vec<Number<N>>>, EngineError> {
        self.most = self.drawn + TRIES * 2 * self.bits as u64 * count as u64;
        let mut primes = Zeroizing::new(Vec::with_capacity(count + self.words.lanes()));
        while primes.len() < count {
            let is_enough = primes.len() + self.probable.len() >= count;
            if is_enough || self.probable.len() >= self.words.lanes() {
                self.prove(&mut primes)?;
                continue;
            }
            self.filter()?;
        }
        // What was found beyond is for nobody.
        wipe(primes[count..].as_flattened_mut());
        primes.truncate(count);
        Ok(primes)
    }

    /// Filters as many as there are lanes.
    fn filter(&mut self) -> Result<(), EngineError> {
        let (lanes, last) = (self.words.lanes(), self.waiting.len() - 1);
        while self.waiting[last].len() < lanes {
            self.divide()?;
        }
        let pool = &mut self.waiting[last];
        let mut passed = vec![false; lanes];
        self.words.filter(pool.last(lanes), self.bits, &mut passed);
        keep(pool.last(lanes), &passed, &mut self.probable);
        pool.shorten(lanes);
        Ok(())
    }

    /// Divides those that have come farthest, of as many as are divided together; new ones where there are no others.
    fn divide(&mut self) -> Result<(), EngineError> {
        let (tile, small) = (self.words.tile(), Small::primes());
        let full = (0..small.stages.len())
            .rev()
            .find(|stage| self.waiting[*stage].len() >= tile);
        let stage = full.unwrap_or(0);
        while self.waiting[stage].len() < tile {
            if self.drawn == self.most {
                return Err(failed("find primes among random numbers"));
            }
            self.waiting[0].push(self.random.candidate(self.bits)?);
            self.drawn += 1;
        }
        let is_last = stage + 2 == self.waiting.len();
        let [pool, next] = self
            .waiting
            .get_disjoint_mut([stage, stage + 1])
            .expect("after each stage there is another");
        let numbers = pool.last(tile);
        let mut divided = vec![false; tile];
        self.words
            .divide(&small.groups[small.stages[stage].clone()], numbers, &mut divided);
        let kept: Vec<bool> = divided
            .iter()
            .zip(numbers)
            .map(|(divided, number)| !divided && (!is_last || is_coprime_to_e(number)))
            .collect();
        keep(numbers, &kept, next);
        pool.shorten(tile);
        Ok(())
    }

    /// Adds to the primes those of the probable ones that pass all rounds. A round of any number is one lane's work.
    fn prove(&mut self, primes: &mut Vec<Number<N>>) -> Result<(), EngineError> {
        let count = self.probable.len().min(self.words.lanes());
        let mut numbers = mem::take(&mut self.proven);
        keep(self.probable.last(count), &vec![true; count], &mut numbers);
        self.probable.shorten(count);
        let are_primes = self.are_primes(numbers.last(count))?;
        primes.extend(chosen(numbers.last(count), &are_primes));
        numbers.shorten(count);
        self.proven = numbers;
        Ok(())
    }

    /// Which numbers pass all rounds, each with a base of its own.
    pub fn are_primes(&mut self, numbers: &[Number<N>]) -> Result<Vec<bool>, EngineError> {
        let (lanes, all) = (self.words.lanes(), ROUNDS * numbers.len());
        let mut are_primes = vec![true; numbers.len()];
        let [items, shorter, longer] = &mut self.round;
        for start in (0..all).step_by(lanes) {
            let rounds = start..(start + lanes).min(all);
            for lane in 0..lanes {
                // Lanes that are left over do the first one's work.
                let round = if lane < rounds.len() { start + lane } else { 0 };
                items.push(numbers[round % numbers.len()]);
                shorter.push(self.random.number(self.bits)?);
                longer.push(self.random.number(52 * N)?);
            }
            let mut passed = vec![false; lanes];
            let random = [shorter.last(lanes), longer.last(lanes)];
            self.words
                .round(items.last(lanes), random, self.bits, &mut passed);
            for (round, passed) in rounds.zip(passed) {
                are_primes[round % numbers.len()] &= passed;
            }
            for pool in [&mut *items, shorter, longer] {
                pool.shorten(lanes);
            }
        }
        Ok(are_primes)
    }
}

/// Adds to a pool those numbers that are chosen.
fn keep<const N: usize>(numbers: &[Number<N>], are_chosen: &[bool], pool: &mut Pool<N>) {
    chosen(numbers, are_chosen).for_each(|number| pool.push(number));
}

fn chosen<const N: usize>(numbers: &[Number<N>], are_chosen: &[bool]) -> impl Iterator<Item = Number<N>> {
    numbers
        .iter()
        .zip(are_chosen)
        .filter_map(|(number, is_chosen)| is_chosen.then_some(*number))
}

/// Whether gcd(p-1, e) = 1, which means that the prime e does not divide p-1 (FIPS 186-5, A.1.3, steps 4.5 and 5.6).
pub fn is_coprime_to_e<const N: usize>(number: &Number<N>) -> bool {
    // 2^52 is -16 modulo e.
    let rest = number
        .iter()
        .rev()
        .fold(0, |rest, limb| (rest * (E - 16) + limb) % E);
    rest != 1
}
