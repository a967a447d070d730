//! Faults: a bit that flips anywhere on the way is found before anybody gets what came of it.

use super::super::fault::{Stage, strike_next};
use super::super::{Lanes, signer::LanesSigner};
use crate::engine::{AwsLc, DeviceKey, Engine, EngineError, KeyMaker, KeySigner, PrivateKey};
use crate::profile::KeyType;

use super::*;

#[test]
fn a_bit_that_flips_in_a_key_is_found_at_every_stage_and_in_every_lane() {
    if !eight::is_here() {
        eprintln!("LEFT OUT: this processor has no AVX-512 IFMA");
        return;
    }
    let mut found = 0;
    for stage in Stage::ALL {
        for lane in 0..8 {
            for limb in 0..stage.limbs() {
                let mut keys = vec![DeviceKey::default(); 100];
                strike_next(stage, (5 * lane + limb) % 13, lane, limb, 7 * lane % 40);
                let made = Lanes.make_keys(KeyType::P256, &mut keys);
                let struck = super::super::fault::has_struck();
                assert!(struck || !stage.is_of_keys(), "{stage:?} is never passed");
                match made {
                    // It was found, and another group drawn.
                    Ok(()) => assert!(keys.iter().all(is_sound), "{stage:?}, lane {lane}, limb {limb}"),
                    Err(error) => {
                        assert!(struck && matches!(error, EngineError::Failed { .. }));
                        assert!(
                            keys.iter().all(|key| key.pkcs8().is_empty()),
                            "none of them is handed out"
                        );
                        found += 1;
                    }
                }
            }
        }
    }
    assert!(found > 0);
}

fn is_sound(key: &DeviceKey) -> bool {
    let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
    private.prove(key.public_key()).is_some()
}

#[test]
fn a_bit_that_flips_in_a_signature_is_found_at_every_stage_and_in_every_lane() {
    if !eight::is_here() {
        eprintln!("LEFT OUT: this processor has no AVX-512 IFMA");
        return;
    }
    let mut keys = [DeviceKey::default()];
    AwsLc.make_keys(KeyType::P256, &mut keys).unwrap();
    let key = PrivateKey::from_pkcs8(keys[0].pkcs8()).unwrap();
    let key = key.prove(keys[0].public_key()).unwrap();
    let signer = Lanes.signer(&key).unwrap();
    let messages: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; 200]).collect();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut found = 0;
    for stage in Stage::ALL {
        for lane in 0..8 {
            for limb in 0..stage.limbs() {
                let mut signatures = vec![Vec::new(); messages.len()];
                strike_next(stage, (3 * lane + limb) % 13, lane, limb, 7 * lane % 40);
                let made = signer.sign(&messages, &mut signatures);
                assert!(super::super::fault::has_struck(), "{stage:?} is never passed");
                match made {
                    Ok(()) => {
                        let all = messages.iter().zip(&signatures);
                        let mut all = all.map(|(message, signature)| key.verifies(message, signature));
                        assert!(
                            all.all(|is_valid| is_valid),
                            "{stage:?}, lane {lane}, limb {limb}"
                        );
                    }
                    Err(error) => {
                        assert!(matches!(error, EngineError::Failed { .. }));
                        assert!(signatures.iter().all(Vec::is_empty), "none of them is handed out");
                        found += 1;
                    }
                }
            }
        }
    }
    assert!(found > 100, "{found} were found");
    // Without a fault they are made.
    let mut signatures = vec![Vec::new(); messages.len()];
    signer.sign(&messages, &mut signatures).unwrap();
}

#[test]
fn a_key_or_a_signature_that_another_library_disagrees_with_is_found() {
    if !eight::is_here() {
        eprintln!("LEFT OUT: this processor has no AVX-512 IFMA");
        return;
    }
    // A signer whose public key is another's: nothing that it makes is valid.
    let mut keys = [DeviceKey::default(), DeviceKey::default()];
    AwsLc.make_keys(KeyType::P256, &mut keys).unwrap();
    for count in [1, 3, 64, 300] {
        let mut scalar = [7; 32];
        scalar[0] = 1;
        let signer = LanesSigner::new(&scalar, keys[0].public_key());
        let messages = vec![&b"message"[..]; count];
        let mut signatures = vec![Vec::new(); count];
        assert!(signer.sign(&messages, &mut signatures).is_err());
        assert!(signatures.iter().all(Vec::is_empty));
    }
}
