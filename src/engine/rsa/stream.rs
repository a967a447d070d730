//! Random words, drawn a buffer at a time and used once.

use super::super::EngineError;
use super::number::{Number, limbs};
use crate::wiped::Wiped;

/// Words of a buffer: some dozens of candidates.
const WORDS: usize = 2048;
/// Words of the longest candidate.
const MOST: usize = 32;
/// Words of the longest number: some are longer than candidates, and the tests' are longer than those.
const MOST_OF_ALL: usize = 49;

/// The most significant word of the square root of two, rounded up: a prime is not below it (FIPS 186-5, A.1.3: √2 2^(bits-1)),
/// so that a product of two primes has twice as many bits.
const SQUARE_ROOT_OF_TWO: u64 = 0xb504_f333_f9de_6485;

/// Times that a word in range is drawn for, at most: chance alone needs more once in 2^150 times.
const TRIES: usize = 128;

/// What fills octets at random.
pub type Fill<'a> = dyn FnMut(&mut [u8]) -> Result<(), EngineError> + 'a;

pub struct Stream<'a> {
    fill: &'a mut Fill<'a>,
    buffer: Wiped<[u8; 8], WORDS>,
    next: usize,
}

impl<'a> Stream<'a> {
    pub fn new(fill: &'a mut Fill<'a>) -> Self {
        Self {
            fill,
            buffer: Wiped::new(),
            next: WORDS,
        }
    }

    fn word(&mut self) -> Result<u64, EngineError> {
        if self.next == WORDS {
            (self.fill)(self.buffer.as_flattened_mut())?;
            self.next = 0;
        }
        self.next += 1;
        Ok(u64::from_le_bytes(self.buffer[self.next - 1]))
    }

    /// A candidate: an odd number between √2 2^(bits-1) and 2^bits, each as probable as any other. What is out of this range is
    /// thrown away.
    pub fn candidate<const N: usize>(&mut self, bits: usize) -> Result<Number<N>, EngineError> {
        let mut words = Wiped::<u64, MOST>::new();
        let words = &mut words[..bits / 64];
        let (last, others) = words.split_last_mut().expect("it has words");
        let mut tries = 0;
        while *last < SQUARE_ROOT_OF_TWO {
            if tries == TRIES {
                return Err(EngineError::Random);
            }
            *last = self.word()? | 1 << 63;
            tries += 1;
        }
        for word in others.iter_mut() {
            *word = self.word()?;
        }
        others[0] |= 1;
        Ok(limbs(words))
    }

    /// Any number of so many bits.
    pub fn number<const N: usize>(&mut self, bits: usize) -> Result<Number<N>, EngineError> {
        let mut words = Wiped::<u64, MOST_OF_ALL>::new();
        let words = &mut words[..bits.div_ceil(64)];
        for word in words.iter_mut() {
            *word = self.word()?;
        }
        words[bits / 64..]
            .iter_mut()
            .for_each(|word| *word &= (1 << (bits % 64)) - 1);
        Ok(limbs(words))
    }
}
