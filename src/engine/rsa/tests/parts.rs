//! The arithmetic that keys are put together with, and trial division, against another library's.

use num_bigint::BigUint;
use num_integer::Integer;
use proptest::prelude::*;

use super::super::montgomery::{Bignum, Field};
use super::super::natural::{
    E, choose, digit, divide_exactly, in_order, inverse_of_e, is_same, minus, modulo_e, multiply_by_word,
    plus, product, shift, trailing_zeros,
};
use super::super::small::{Prime, Small, inverse64};
use super::super::{gcd, number as numbers};
use super::*;
use crate::engine::word::LOW52;

fn natural(words: &[u64]) -> BigUint {
    words
        .iter()
        .rev()
        .fold(BigUint::ZERO, |sum, word| (sum << 64) + word)
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![2 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(0), 1 => Just(1)]
}

fn words(count: usize) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(word(), count)
}

/// What is below an odd number of as many words, whose highest bit is one.
fn below(a: &[u64], m: &[u64]) -> Vec<u64> {
    let mut words = (natural(a) % natural(m)).to_u64_digits();
    words.resize(m.len(), 0);
    words
}

/// aws-lc's arithmetic, and the product with a word that stands between: right, and below the modulus.
fn holds_in_a_field(a: &[u64], b: &[u64], m: &[u64], by: u64) {
    let mut m = m.to_vec();
    m[0] |= 1;
    *m.last_mut().unwrap() |= 1 << 63;
    let (a, b) = (below(a, &m), below(b, &m));
    let [big_a, big_b, big_m] = [&a, &b, &m].map(|words| natural(words));
    let radix = BigUint::from(1u8) << (64 * m.len());
    let mut field = Field::new(&m);
    let mut read = vec![0; m.len()];
    let mut holds = |number: &Bignum, expected: BigUint, times_radix: u32| {
        number.read(&mut read);
        assert_eq!(
            natural(&read),
            expected * radix.modinv(&big_m).unwrap().pow(times_radix) % &big_m
        );
    };
    let mut number = Bignum::new(&a);
    field.multiply(&mut number, &Bignum::new(&b));
    holds(&number, &big_a * &big_b, 1);
    number.set(&a);
    field.square(&mut number, 2);
    holds(&number, big_a.pow(4), 3);
    number.set(&a);
    field.enter(&mut number);
    holds(&number, &big_a * &radix, 0);
    field.leave(&mut number);
    holds(&number, big_a.clone(), 0);
    let most = vec![u64::MAX; m.len()];
    number.set(&most);
    field.leave(&mut number);
    holds(&number, natural(&most), 1);
    assert_eq!(natural(&field.power(&a, &b)), big_a.modpow(&big_b, &big_m));

    let mut product = a.clone();
    multiply_by_word(&mut product, by, &m, inverse64(m[0]).wrapping_neg());
    let word = BigUint::from(1u8) << 64;
    assert_eq!(natural(&product) * word % &big_m, big_a * by % &big_m);
    assert!(natural(&product) < big_m);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_library_reckons_as_another_does(
        a in words(16), b in words(16), c in words(16), d in words(24), e in words(24), f in words(24), by in word(),
    ) {
        holds_in_a_field(&a, &b, &c, by);
        holds_in_a_field(&d, &e, &f, by);
    }

    #[test]
    fn numbers_in_words_are_numbers_in_limbs(a in words(16), b in words(24), c in words(32)) {
        prop_assert_eq!(big(&numbers::limbs::<20>(&a)), natural(&a));
        prop_assert_eq!(&*numbers::words(&numbers::limbs::<20>(&a), 16), &a);
        prop_assert_eq!(big(&numbers::limbs::<30>(&b)), natural(&b));
        prop_assert_eq!(&*numbers::words(&numbers::limbs::<30>(&b), 24), &b);
        prop_assert_eq!(big(&numbers::limbs::<40>(&c)), natural(&c));
        prop_assert_eq!(&*numbers::words(&numbers::limbs::<40>(&c), 32), &c);
    }

    #[test]
    fn words_are_reckoned_with(a in words(16), b in words(16), by in any::<u64>(), bits in 0u64..1024) {
        let (big_a, big_b) = (natural(&a), natural(&b));
        prop_assert_eq!(natural(&product(&a, &b, &a)), &big_a * &big_b + &big_a);
        let (difference, is_negative) = minus(&a, &b);
        prop_assert_eq!(is_negative, big_a < big_b);
        let around = BigUint::from(1u8) << 1024;
        prop_assert_eq!(natural(&difference), (&around + &big_a - &big_b) % &around);
        prop_assert_eq!(modulo_e(&a), u64::try_from(&big_a % E).unwrap());
        prop_assert_eq!(natural(&plus(&a, &b)), (&big_a + &big_b) % &around);
        prop_assert_eq!([&*choose(true, &a, &b), &*choose(false, &a, &b)], [&a, &b]);
        prop_assert_eq!([is_same(&a, &b), is_same(&a, &a)], [if a == b { u64::MAX } else { 0 }, u64::MAX]);
        for width in [1, 6, 63, 64] {
            let place = usize::try_from(bits).unwrap();
            let expected = (&big_a >> bits) % (BigUint::from(1u8) << width);
            prop_assert_eq!(BigUint::from(digit(&a, place, width)), expected);
        }
        let (mut larger, mut smaller) = (a.clone(), b.clone());
        in_order(&mut larger, &mut smaller);
        prop_assert_eq!(natural(&larger), (&big_a).max(&big_b).clone());
        prop_assert_eq!(natural(&smaller), (&big_a).min(&big_b).clone());
        let mut multiple = product(&a, &[by | 1], &[]);
        divide_exactly(&mut multiple, by | 1);
        prop_assert_eq!(natural(&multiple), big_a.clone());
        if big_a != BigUint::ZERO {
            prop_assert_eq!(Some(trailing_zeros(&a)), big_a.trailing_zeros());
        }
        let mut moved = a.clone();
        shift(&mut moved, bits, true);
        prop_assert_eq!(natural(&moved), (&big_a << bits) % &around);
        let mut moved = a.clone();
        shift(&mut moved, bits, false);
        prop_assert_eq!(natural(&moved), &big_a >> bits);
        if modulo_e(&a) != 0 {
            let inverse = inverse_of_e(&a);
            prop_assert_eq!(natural(&inverse) * E % &big_a, BigUint::from(1u8) % &big_a);
            prop_assert!(natural(&inverse) < big_a || big_a == BigUint::from(1u8));
        }
    }

    #[test]
    fn what_numbers_have_in_common_is_found(a in words(15), b in words(15), c in 1u64.., zeros in 0u64..60, more in 0u64..60) {
        let mut a = product(&a, &[c], &[]);
        let mut b = product(&b, &[c], &[]);
        (a[15], b[15]) = (a[15] >> 60 | 1, b[15] >> 60 | 1);
        shift(&mut a, zeros, true);
        shift(&mut b, more, true);
        let common = gcd::common(&a, &b);
        let expected = natural(&a).gcd(&natural(&b));
        let twos = expected.trailing_zeros().unwrap();
        prop_assert_eq!(common.zeros.map(Some), [natural(&a).trailing_zeros(), natural(&b).trailing_zeros()]);
        prop_assert_eq!(natural(&common.odd), expected >> twos);
        prop_assert_eq!(natural(&common.odd_part), natural(&a) >> common.zeros[0]);
    }
}

/// The worst inputs of division steps that are easily named, at every size.
#[test]
fn a_divisor_is_found_within_the_rounds() {
    for count in [16, 24, 32] {
        let most = vec![u64::MAX; count];
        let mut one = vec![0; count];
        one[0] = 1;
        let mut even = most.clone();
        even[0] -= 1;
        let mut fibonacci = [vec![0u64; count], vec![0u64; count]];
        (fibonacci[0][0], fibonacci[1][0]) = (1, 1);
        while fibonacci[1][count - 1] >> 62 == 0 {
            let sum: Vec<u64> = {
                let mut carried = false;
                let words = fibonacci[0].iter().zip(&fibonacci[1]).map(|(a, b)| {
                    let sum;
                    (sum, carried) = a.carrying_add(*b, carried);
                    sum
                });
                words.collect()
            };
            fibonacci = [fibonacci[1].clone(), sum];
        }
        let all = [&most, &one, &even, &fibonacci[0], &fibonacci[1]];
        for a in all {
            for b in all {
                let common = gcd::common(a, b);
                let expected = natural(a).gcd(&natural(b));
                let twos = expected.trailing_zeros().unwrap();
                assert_eq!(natural(&common.odd), expected >> twos);
            }
        }
    }
}

#[test]
fn trial_division_finds_what_plain_division_finds() {
    let small = Small::primes();
    let mut primes = Vec::new();
    for group in &small.groups {
        let of_group: Vec<u64> = group.primes[..group.count].iter().map(of).collect();
        assert_eq!(of_group.iter().product::<u64>(), group.product);
        // What is left of the longest number, before its primes are asked: a product for each limb, and one more.
        assert!(41 * group.product + 40 <= LOW52, "{} has no room", group.product);
        primes.extend(of_group);
    }
    primes.sort_unstable();
    primes.dedup();
    assert_eq!(primes.len(), 6541, "the odd primes below 2^16");
    divides::<20>(1024, &primes);
    divides::<40>(2048, &primes);
}

/// The prime itself.
fn of(prime: &Prime) -> u64 {
    inverse64(prime.inverse) & LOW52
}

fn divides<const N: usize>(bits: usize, primes: &[u64]) {
    let small = Small::primes();
    let mut fill = seeded(fastrand::u64(..));
    let mut stream = Stream::new(&mut fill);
    for words in all_words() {
        let mut stages = vec![[0u32; 2]; small.stages.len()];
        for turn in 0..40 {
            let mut numbers: Vec<Number<N>> = (0..words.tile())
                .map(|_| stream.candidate(bits).unwrap())
                .collect();
            // One that a prime of its own divides, the largest among them, in a place of its own.
            let prime = primes[primes.len() - 1 - turn * 150];
            let place = turn % numbers.len();
            let rest = big(&numbers[place]) % (2 * prime);
            numbers[place] = number(&(big(&numbers[place]) - rest + prime));
            // And the largest of all numbers.
            numbers[(place + 1) % words.tile()] = number(&((BigUint::from(1u8) << bits) - 1u8));
            for (range, found) in small.stages.iter().zip(&mut stages) {
                let groups = &small.groups[range.clone()];
                let mut divided = vec![false; numbers.len()];
                words.divide(groups, &numbers, &mut divided);
                for (number, divided) in numbers.iter().zip(divided) {
                    let number = big(number);
                    let expected = groups
                        .iter()
                        .flat_map(|group| &group.primes[..group.count])
                        .any(|prime| &number % of(prime) == BigUint::ZERO);
                    assert_eq!(divided, expected, "{words:?}: {number:x}");
                    found[usize::from(divided)] += 1;
                }
            }
        }
        assert!(
            stages.iter().flatten().all(|count| *count > 0),
            "{words:?}: {stages:?}"
        );
    }
}
