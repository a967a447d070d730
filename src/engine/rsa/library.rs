//! The filter, the rounds and the powers of `prime` and `power` by aws-lc's arithmetic, one number at a time: for processors
//! without eight lanes, where it is several times as fast as ours on words of one.
//!
//! Between products no branch and no address depends on the numbers, here as there.

use super::montgomery::{Bignum, Field};
use super::natural::{choose, digit, is_same, minus, multiply_by_word, plus};
use super::number::{Natural, Number, limbs, words};
use super::one::TAIL;
use super::small::inverse64;

/// Bits of the filter's digits: 2 to the power of a digit is a word.
const DIGIT: usize = 6;

/// Whether 2^((p-1)/2) = 1 or -1 modulo p, which is odd, as of every prime p (Euler).
pub fn filter<const N: usize>(number: &Number<N>, bits: usize) -> bool {
    let p = words(number, bits.div_ceil(64));
    let inverse = inverse64(p[0]).wrapping_neg();
    let mut field = Field::new(&p);
    let (exponent, places) = exponent_of_two(&p);
    let mut power = of_word(1 << digit(&exponent, DIGIT * places, DIGIT), p.len());
    let mut number = Bignum::new(&power);
    field.enter(&mut number);
    for place in (0..places).rev() {
        field.square(&mut number, DIGIT);
        number.read(&mut power);
        multiply_by_word(
            &mut power,
            1 << digit(&exponent, DIGIT * place, DIGIT),
            &p,
            inverse,
        );
        number.set(&power);
    }
    field.leave(&mut number);
    number.read(&mut power);
    let unit = of_word(1, p.len());
    let [is_one, is_negative] = [is_same(&power, &unit), is_same(&power, &minus(&p, &unit).0)];
    is_one | is_negative != 0
}

/// (p-1)/2 in digits, and how many there are below the highest. Each of these is 64 too large, since what follows a square is a
/// multiplication by a word in Montgomery's manner, which divides by 2^64.
#[inline(never)]
fn exponent_of_two(p: &[u64]) -> (Natural, usize) {
    let places = (64 * p.len() - 1) / DIGIT;
    let halved = (0..p.len()).map(|i| digit(p, 64 * i + 1, 64));
    // 64 is one of the next digit.
    let mut added = of_word(0, p.len());
    for place in 1..=places {
        added[DIGIT * place / 64] |= 1 << (DIGIT * place % 64);
    }
    (plus(&Natural::new(halved.collect()), &added), places)
}

/// A round as `prime` has it, but for its base, which is (a R + b) / R² modulo p of two random numbers with as many words
/// as p, where R is what these hold.
pub fn round<const N: usize>(number: &Number<N>, random: [&Number<N>; 2], bits: usize) -> bool {
    let p = words(number, bits.div_ceil(64));
    let mut field = Field::new(&p);
    let base = base(&mut field, random.map(|number| words(number, p.len())), &p);
    let even = minus(&p, &of_word(1, p.len())).0;
    let most: Vec<u64> = (0..p.len()).map(|i| digit(&even, 64 * i + TAIL, 64)).collect();
    let power = field.power(&base, &Natural::new(most));
    square_on(&mut field, [&power, &base, &even])
}

/// The base of a round, below p.
fn base(field: &mut Field, random: [Natural; 2], p: &[u64]) -> Natural {
    let [mut a, mut b] = random.each_ref().map(|words| Bignum::new(words));
    let [mut base, mut other] = random;
    field.leave(&mut a);
    field.leave(&mut b);
    field.leave(&mut b);
    a.read(&mut base);
    b.read(&mut other);
    // a + b, as a - (p - b).
    let (less, is_negative) = minus(&base, &minus(p, &other).0);
    choose(is_negative, &plus(&less, p), &less)
}

/// Whether a round is passed, by the power of the base to p-1 without the [`TAIL`] bits at its end, which follow.
#[inline(never)]
fn square_on(field: &mut Field, [power, base, even]: [&[u64]; 3]) -> bool {
    let count = even.len();
    let unit = of_word(1, count);
    let [mut power, mut form, mut any_one] = [power, base, &unit].map(Bignum::new);
    let [mut words, mut base, mut one] = [(); 3].map(|()| of_word(0, count));
    field.enter(&mut power);
    for (number, words) in [(&mut form, &mut base), (&mut any_one, &mut one)] {
        field.enter(number);
        number.read(words);
    }
    let negative = minus(&plus(even, &unit), &one).0;
    let is_unit = is_same(&base, &one) | is_same(&base, &negative) | is_same(&base, &of_word(0, count));
    let ends_with_zeros = |bits: usize| is_same(&[even[0] & ((1 << bits) - 1)], &[0]);
    let mut passed = 0;
    for place in (1..=TAIL).rev() {
        if place < TAIL {
            let is_set = digit(even, place, 1) == 1;
            field.square(&mut power, 1);
            form.set(&choose(is_set, &base, &one));
            field.multiply(&mut power, &form);
        }
        power.read(&mut words);
        let [is_one, is_negative] = [is_same(&words, &one), is_same(&words, &negative)];
        let is_odd_part = !ends_with_zeros(place + 1);
        passed |= ends_with_zeros(place) & (is_negative | is_one & is_odd_part);
    }
    passed & !is_unit != 0
}

/// See `power::powers`.
pub fn powers<const N: usize>(items: [&[Number<N>]; 3], bits: usize, results: &mut [Number<N>]) {
    for (i, result) in results.iter_mut().enumerate() {
        let [base, exponent, modulus] = items.map(|numbers| words(&numbers[i], bits / 64));
        *result = limbs(&Field::new(&modulus).power(&base, &exponent));
    }
}

/// A number of one word, with room for more.
fn of_word(word: u64, count: usize) -> Natural {
    let mut words = Natural::new(vec![0; count]);
    words[0] = word;
    words
}
