//! The greatest common divisor, in constant time: safegcd on words of 62 bits.

use zeroize::Zeroizing;

use super::natural::{shift, trailing_zeros};
use super::number::Natural;
use crate::engine::safegcd::{ZETA, divide_steps, rounds};

const LOW62: i64 = (1 << 62) - 1;

/// A number with a sign: limbs of 62 bits, the least significant first; the last has the sign.
type Signed62 = Zeroizing<Vec<i64>>;

/// What two even numbers have in common, as their halvings and an odd number: `zeros[i]` is how many times two divides the
/// i-th, and the odd part of their greatest common divisor has as many words as they.
pub struct Common {
    pub zeros: [u64; 2],
    pub odd: Natural,
    /// The first number's odd part.
    pub odd_part: Natural,
}

pub fn common(a: &[u64], b: &[u64]) -> Common {
    let zeros = [trailing_zeros(a), trailing_zeros(b)];
    let mut odd_part = Zeroizing::new(a.to_vec());
    shift(&mut odd_part, zeros[0], false);
    Common {
        zeros,
        odd: greatest_common_divisor(&odd_part, b),
        odd_part,
    }
}

/// Of an odd number and another.
fn greatest_common_divisor(odd: &[u64], other: &[u64]) -> Natural {
    let (mut f, mut g) = (signed62(odd), signed62(other));
    let mut zeta = ZETA;
    let bits = u32::try_from(64 * odd.len()).expect("it is a key's");
    for _ in 0..rounds(bits) {
        let matrix;
        (zeta, matrix) = divide_steps(zeta, f[0].cast_unsigned(), g[0].cast_unsigned());
        update_pair(&mut f, &mut g, &matrix);
    }
    // f is the divisor or its negative.
    let sign = f[f.len() - 1] >> 63;
    let mut carried = 0;
    for limb in f.iter_mut() {
        let sum = (*limb ^ sign) - sign + carried;
        carried = sum >> 62;
        *limb = sum & LOW62;
    }
    words(&f, odd.len())
}

fn signed62(words: &[u64]) -> Signed62 {
    let at = |word: usize| words.get(word).copied().unwrap_or(0);
    let limb = |i: usize| {
        let (word, bit) = (62 * i / 64, 62 * i % 64);
        (at(word) >> bit | at(word + 1) << 1 << (63 - bit)).cast_signed() & LOW62
    };
    // Two bits more than the numbers have.
    Zeroizing::new((0..(64 * words.len() + 2).div_ceil(62)).map(limb).collect())
}

fn words(limbs: &[i64], count: usize) -> Natural {
    let mut words = Zeroizing::new(vec![0; count]);
    for (i, limb) in limbs.iter().enumerate() {
        let (word, bit) = (62 * i / 64, 62 * i % 64);
        let limb = limb.cast_unsigned();
        if word < count {
            words[word] |= limb << bit;
        }
        if word + 1 < count {
            words[word + 1] |= limb >> 1 >> (63 - bit);
        }
    }
    words
}

/// (f, g) times the matrix, divided by 2^62, which leaves nothing.
fn update_pair(f: &mut [i64], g: &mut [i64], matrix: &[i64; 4]) {
    let [u, v, q, r] = *matrix;
    let last = f.len() - 1;
    let mut carry_f = (times(u, f[0]) + times(v, g[0])) >> 62;
    let mut carry_g = (times(q, f[0]) + times(r, g[0])) >> 62;
    for i in 1..f.len() {
        carry_f += times(u, f[i]) + times(v, g[i]);
        carry_g += times(q, f[i]) + times(r, g[i]);
        (f[i - 1], g[i - 1]) = (low(carry_f) & LOW62, low(carry_g) & LOW62);
        (carry_f, carry_g) = (carry_f >> 62, carry_g >> 62);
    }
    (f[last], g[last]) = (low(carry_f), low(carry_g));
}

fn times(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low word is what is asked for"
)]
fn low(wide: i128) -> i64 {
    wide as i64
}
