//! Numbers of a prime's size as lanes take them: limbs of 52 bits, the least significant first; and as all else takes
//! them, in words of 64.

use zeroize::Zeroizing;

use crate::engine::word::LOW52;

/// N limbs of 52 bits.
pub type Number<const N: usize> = [u64; N];

/// Words of 64 bits.
pub type Natural = Zeroizing<Vec<u64>>;

/// Limbs of a number in words, which has fewer bits.
pub fn limbs<const N: usize>(words: &[u64]) -> Number<N> {
    let mut limbs = [0; N];
    for (i, limb) in limbs.iter_mut().enumerate() {
        let (word, bit) = (52 * i / 64, 52 * i % 64);
        let at = |word: usize| words.get(word).copied().unwrap_or(0);
        // Shifted twice: once by 64 is more than a word takes.
        *limb = (at(word) >> bit | at(word + 1) << 1 << (63 - bit)) & LOW52;
    }
    limbs
}

/// A number of limbs, in so many words.
pub fn words<const N: usize>(limbs: &Number<N>, count: usize) -> Natural {
    let mut words = Zeroizing::new(vec![0; count]);
    for (i, limb) in limbs.iter().enumerate() {
        let (word, bit) = (52 * i / 64, 52 * i % 64);
        if word < count {
            words[word] |= limb << bit;
        }
        if word + 1 < count {
            words[word + 1] |= limb >> 1 >> (63 - bit);
        }
    }
    words
}
