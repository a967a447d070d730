//! Products, squares and powers against another library's arithmetic: on checked words, where no limb may overflow, with limbs
//! at the ends of their ranges; on all words, in every lane; and by aws-lc's.

use num_bigint::BigUint;
use proptest::prelude::*;

use super::super::checked::modulus::{self, Element};
use super::super::number::Number;
use super::*;
use crate::engine::word::LOW52;

/// What a limb may be: anything, or at one of its ends.
fn limb() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..=LOW52, 3 => Just(LOW52), 1 => Just(0), 1 => Just(1), 1 => Just(LOW52 - 1)]
}

/// A number of so many bits at most; a modulus has the highest and is odd.
fn below(limbs: usize, bits: usize, is_modulus: bool) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(limb(), limbs).prop_map(move |mut limbs| {
        let last = limbs.len() - 1;
        limbs[last] &= (1 << (bits - 52 * last)) - 1;
        if is_modulus {
            limbs[0] |= 1;
            limbs[last] |= 1 << (bits - 1 - 52 * last);
        }
        limbs
    })
}

fn array<const N: usize>(limbs: &[u64]) -> Number<N> {
    limbs.try_into().unwrap()
}

/// a b / R, a² / R, and that squared and doubled, on checked words: as small as is said, within their limbs, and right.
fn hold<const N: usize>(a: &[u64], b: &[u64], m: &[u64]) {
    let modulus = modulus::modulus(Element::<N>(array(m)));
    let [big_a, big_b, big_m] = [big(a), big(b), big(m)];
    let radix = BigUint::from(1u8) << (52 * N);
    for other in [b, a] {
        let mut product = Element(array(a));
        match std::ptr::eq(other, a) {
            true => modulus::square(&mut product, 1, &modulus),
            false => modulus::mul(&mut product, &Element(array(other)), &modulus),
        }
        assert!(product.0.iter().all(|limb| *limb <= LOW52));
        let value = big(&product.0);
        let expected = &big_a * if std::ptr::eq(other, a) { &big_a } else { &big_b };
        assert_eq!(&value * &radix % &big_m, &expected % &big_m);
        assert!(value < (expected >> (52 * N)) + (&big_m << 1), "T/R + 2 m");
    }
    // Doubled as often as it ever is: twice by a digit and once at the end, or more.
    let mut product = Element(array(a));
    modulus::square_and_double(&mut product, 1, |_| 4, &modulus);
    assert!(product.0.iter().all(|limb| *limb <= LOW52));
    let expected = big_a.pow(4) << 4u8;
    assert_eq!(big(&product.0) * radix.pow(3) % &big_m, expected % &big_m);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of what a product takes: below eight times the modulus.
    #[test]
    fn products_are_right_and_within_their_limbs(
        a in below(20, 1027, false), b in below(20, 1027, false), m in below(20, 1024, true),
        c in below(30, 1539, false), d in below(30, 1539, false), n in below(30, 1536, true),
        e in below(40, 2051, false), f in below(40, 2051, false), o in below(40, 2048, true),
    ) {
        hold::<20>(&a, &b, &m);
        hold::<30>(&c, &d, &n);
        hold::<40>(&e, &f, &o);
    }

    /// In every lane other numbers: (a - b) c, and a to the power of b.
    #[test]
    fn all_words_reckon_as_another_library_does(
        a in prop::collection::vec(below(20, 1024, false), 8), b in prop::collection::vec(below(20, 1024, false), 8),
        c in prop::collection::vec(below(20, 1024, false), 8), m in prop::collection::vec(below(20, 1024, true), 8),
    ) {
        reckon::<20>(1024, [&a, &b, &c, &m]);
    }

    #[test]
    fn so_they_do_with_longer_numbers(
        a in prop::collection::vec(below(30, 1536, false), 8), b in prop::collection::vec(below(30, 1536, false), 8),
        c in prop::collection::vec(below(30, 1536, false), 8), m in prop::collection::vec(below(30, 1536, true), 8),
        d in prop::collection::vec(below(40, 2048, false), 8), e in prop::collection::vec(below(40, 2048, false), 8),
        f in prop::collection::vec(below(40, 2048, false), 8), n in prop::collection::vec(below(40, 2048, true), 8),
    ) {
        reckon::<30>(1536, [&a, &b, &c, &m]);
        reckon::<40>(2048, [&d, &e, &f, &n]);
    }
}

fn reckon<const N: usize>(bits: usize, [a, b, c, m]: [&[Vec<u64>]; 4]) {
    let big_m: Vec<BigUint> = m.iter().map(|m| big(m)).collect();
    let reduced = |numbers: &[Vec<u64>]| -> Vec<Number<N>> {
        numbers
            .iter()
            .zip(&big_m)
            .map(|(a, m)| number(&(big(a) % m)))
            .collect()
    };
    let m: Vec<Number<N>> = m.iter().map(|m| array(m)).collect();
    let [a, c] = [reduced(a), reduced(c)];
    let (b, exponents) = (reduced(b), b.iter().map(|b| array(b)).collect::<Vec<Number<N>>>());
    for words in all_words() {
        let mut results = vec![[0; N]; 8];
        words.differences([&a, &b, &c, &m], bits, &mut results);
        for lane in 0..8 {
            let m = &big_m[lane];
            let expected = (big(&a[lane]) + m - big(&b[lane])) * big(&c[lane]) % m;
            assert_eq!(big(&results[lane]), expected, "{words:?}, lane {lane}");
        }
        words.powers([&a, &exponents, &m], bits, &mut results);
        for lane in 0..8 {
            let expected = big(&a[lane]).modpow(&big(&exponents[lane]), &big_m[lane]);
            assert_eq!(big(&results[lane]), expected, "{words:?}, lane {lane}");
        }
        let e = BigUint::from(super::super::natural::E);
        let expected: Vec<Number<N>> = (0..8)
            .map(|i| number(&big(&a[i]).modpow(&e, &big_m[i])))
            .collect();
        let mut passed = vec![false; 8];
        words.are_powers([&a, &expected, &m], &mut passed);
        assert_eq!(passed, [true; 8], "{words:?}");
        for lane in 0..8 {
            let mut wrong = expected.clone();
            wrong[lane][lane] ^= 1 << lane;
            words.are_powers([&a, &wrong, &m], &mut passed);
            assert!(
                (0..8).all(|other| passed[other] == (other != lane)),
                "{words:?}, lane {lane}"
            );
        }
    }
}

/// Whole jobs, whose claims are checked at every step.
#[test]
fn whole_jobs_keep_every_claim() {
    use super::super::checked::{Job, TILE, run, verify};
    let highest = {
        let mut highest = [LOW52; 20];
        highest[19] = (1 << 36) - 1;
        [highest]
    };
    for (number, is_prime) in [(primes::GROUP_2, true), (primes::CARMICHAEL, false)] {
        let numbers = [of_hex::<20>(number)];
        let (bits, mut passed) = (1024, [!is_prime]);
        run(Job::Filter {
            numbers: &numbers,
            bits,
            passed: &mut passed,
        });
        assert!(passed[0], "a Carmichael number passes too");
        run(Job::Round {
            numbers: &numbers,
            random: [&highest, &[[LOW52; 20]]],
            bits,
            passed: &mut passed,
        });
        assert_eq!(passed[0], is_prime);

        let modulus = big(&numbers[0]);
        let below = [super::number::<20>(&(&modulus - 2u8))];
        let mut results = [[0; 20]];
        run(Job::Power {
            items: [&below, &highest, &numbers],
            bits,
            results: &mut results,
        });
        assert_eq!(
            big(&results[0]),
            big(&below[0]).modpow(&big(&highest[0]), &modulus)
        );
        run(Job::Difference {
            items: [&[[0; 20]], &below, &below, &numbers],
            bits,
            results: &mut results,
        });
        assert_eq!(big(&results[0]), &modulus - 4u8);
        verify([&below, &below, &numbers], &mut passed);
        assert!(!passed[0]);
        let mut divided = [true; TILE];
        let groups = &super::super::small::Small::primes().groups;
        run(Job::Divide {
            groups,
            numbers: &[numbers[0]; TILE],
            divided: &mut divided,
        });
        assert_eq!(divided, [false; TILE]);
        run(Job::Divide {
            groups,
            numbers: &[highest[0]; TILE],
            divided: &mut divided,
        });
        assert_eq!(divided, [true; TILE], "3 divides 2^1024 - 1");
    }
}
