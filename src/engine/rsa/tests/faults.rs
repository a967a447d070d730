//! Faults: a bit that flips in a power that a key is proven by is found before anybody gets the key.

use super::super::fault::strike_next;
use super::*;
use crate::engine::{DeviceKey, KeyMaker};
use crate::profile::KeyType;

/// Keys that are made together.
const KEYS: usize = 3;

#[test]
fn a_bit_that_flips_in_a_key_is_found_in_every_lane() {
    for made_by in engines() {
        for place in 0..3 * KEYS {
            let mut keys = vec![DeviceKey::default(); KEYS];
            strike_next(place, (7 * place) % 20, (11 * place) % 36);
            let made = made_by.make_keys(KeyType::Rsa2048, &mut keys);
            assert!(
                matches!(made, Err(EngineError::Failed { engine, .. }) if engine == made_by.name()),
                "{made_by:?}, place {place}"
            );
            assert!(
                keys.iter().all(|key| key.pkcs8().is_empty()),
                "none of them is handed out"
            );
        }
        let mut keys = vec![DeviceKey::default(); KEYS];
        made_by.make_keys(KeyType::Rsa2048, &mut keys).unwrap();
    }
}

/// What was a prime when it was found, and is not when a key is made of it.
#[test]
fn a_key_of_what_is_no_prime_is_found() {
    use super::super::assembly::{complete, of_primes};
    for words in all_words() {
        let mut fill = system;
        let mut search = search::<20>(words, 1024, &mut fill);
        let primes = search.primes(2).unwrap();
        let mut composite = primes[0];
        composite[9] ^= 1 << 33;
        let pair = [composite, primes[1]];
        // Where e divides it less 1, there is no key at all.
        let mut keys: Vec<_> = of_primes(&pair, 1024).into_iter().collect();
        assert!(keys.is_empty() || !complete::<20, 40>(&mut keys, words, search.random()).unwrap());
    }
}
