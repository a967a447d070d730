//! The engine lanes, from outside: its keys and signatures are judged by aws-lc, ring and openssl, and its batches by
//! `certforge verify` and the judges of every other batch. It needs a processor with AVX-512 IFMA; on others the tests
//! say so and are left out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;

use crate::judge;
use crate::judge::openssl;
use crate::support::Workplace;
use certforge::engine::{AwsLc, DeviceKey, Engine, KeyMaker, Lanes, PrivateKey, Ring, SigningKey};
use certforge::profile::KeyType;
use rayon::prelude::*;

fn is_left_out() -> bool {
    match Lanes.ready() {
        Ok(()) => false,
        Err(error) => {
            eprintln!("LEFT OUT: {error}");
            true
        }
    }
}

fn key_of(engine: &dyn Engine) -> (DeviceKey, SigningKey) {
    let mut keys = [DeviceKey::default()];
    engine.make_keys(KeyType::P256, &mut keys).unwrap();
    let [key] = keys;
    let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
    let signing = private.prove(key.public_key()).expect("the halves match");
    (key, signing)
}

fn messages(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| i.to_be_bytes().repeat(1 + i % 50)).collect()
}

fn sign(key: &SigningKey, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut signatures = vec![Vec::new(); messages.len()];
    let signer = Lanes.signer(key).unwrap();
    signer.sign(&messages, &mut signatures).unwrap();
    signatures
}

/// How many keys and signatures are judged: a hundred thousand, or as many as `CERTFORGE_TEST_LANES` says.
fn count() -> usize {
    std::env::var("CERTFORGE_TEST_LANES").map_or(100_000, |count| count.parse().expect("it is a number"))
}

#[test]
fn a_hundred_thousand_signatures_are_accepted_by_ring_and_aws_lc_and_no_nonce_comes_twice() {
    use ring::signature as s;
    if is_left_out() {
        return;
    }
    // The key of an issuer that another engine made, as every issuer's may be.
    let (_, key) = key_of(&AwsLc);
    let messages = messages(count());
    let signatures = sign(&key, &messages);
    let ring = s::UnparsedPublicKey::new(&s::ECDSA_P256_SHA256_ASN1, key.public_key());
    let all = messages.par_iter().zip(&signatures).enumerate();
    all.for_each(|(i, (message, signature))| {
        let accepts = key.verifies(message, signature) && ring.verify(message, signature).is_ok();
        assert!(accepts, "signature {i}: {signature:02x?}");
    });
    // r is the first number; two that are equal would give the private key away.
    let halves: BTreeSet<&[u8]> = signatures
        .iter()
        .map(|signature| &signature[4..4 + usize::from(signature[3])])
        .collect();
    assert_eq!(halves.len(), messages.len());
    assert!(!key.verifies(&messages[0], &signatures[1]));
}

#[test]
fn a_hundred_thousand_keys_are_those_of_ring_and_aws_lc_and_distinct() {
    use ring::signature as s;
    if is_left_out() {
        return;
    }
    let mut keys = vec![DeviceKey::default(); count()];
    Lanes.make_keys(KeyType::P256, &mut keys).unwrap();
    let distinct: BTreeSet<_> = keys.iter().map(DeviceKey::public_key).collect();
    assert_eq!(distinct.len(), keys.len());
    let distinct: BTreeSet<_> = keys.iter().map(DeviceKey::pkcs8).collect();
    assert_eq!(distinct.len(), keys.len());
    keys.par_iter().for_each(|key| {
        let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
        assert!(
            private.prove(key.public_key()).is_some(),
            "aws-lc makes another point"
        );
        let random = ring::rand::SystemRandom::new();
        let pair = s::EcdsaKeyPair::from_pkcs8(&s::ECDSA_P256_SHA256_ASN1_SIGNING, key.pkcs8(), &random);
        assert!(pair.is_ok(), "ring makes another point");
    });
}

#[test]
fn batches_of_every_size_are_made_in_full_and_keep_to_themselves() {
    if is_left_out() {
        return;
    }
    let (_, signing) = key_of(&Ring);
    let mut seen = BTreeSet::new();
    for size in (0..=40).chain([63, 64, 65, 255, 256, 257, 600]) {
        let mut keys = vec![DeviceKey::default(); size];
        Lanes.make_keys(KeyType::P256, &mut keys).unwrap();
        for key in &keys {
            let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
            assert!(private.prove(key.public_key()).is_some(), "{size} keys");
            assert!(seen.insert(key.public_key().to_vec()), "keys are distinct");
        }
        let messages = messages(size);
        for (message, signature) in messages.iter().zip(sign(&signing, &messages)) {
            assert!(signing.verifies(message, &signature), "{size} signatures");
        }
    }
}

#[test]
fn keys_sign_in_every_engine() {
    if is_left_out() {
        return;
    }
    let (_, signing) = key_of(&Lanes);
    for engine in [&Lanes as &dyn Engine, &Ring, &AwsLc] {
        let mut signatures = [Vec::new()];
        let signer = engine.signer(&signing).unwrap();
        signer.sign(&[b"hello"], &mut signatures).unwrap();
        assert!(signing.verifies(b"hello", &signatures[0]));
    }
}

#[test]
fn openssl_accepts_keys_and_signatures() {
    if is_left_out() {
        return;
    }
    let place = Workplace::new();
    let (document, key) = key_of(&Lanes);
    fs::write(place.join("key.der"), document.pkcs8()).unwrap();
    let read = ["pkey", "-inform", "DER", "-in", "key.der"];
    let verdict = openssl(&[&read[..], &["-check", "-noout"]].concat(), place.path());
    assert_eq!(verdict, "Key is valid\n");
    openssl(
        &[&read[..], &["-pubout", "-out", "public.pem"]].concat(),
        place.path(),
    );
    let messages = messages(9);
    for (message, signature) in messages.iter().zip(sign(&key, &messages)) {
        fs::write(place.join("message"), message).unwrap();
        fs::write(place.join("signature"), signature).unwrap();
        let verify = ["-verify", "public.pem", "-signature", "signature", "message"];
        let verdict = openssl(&[&["dgst", "-sha256"][..], &verify].concat(), place.path());
        assert_eq!(verdict, "Verified OK\n");
    }
}

#[test]
fn auto_takes_it_where_it_can_and_every_judge_accepts_its_batches() {
    if is_left_out() {
        return;
    }
    let place = Workplace::new();
    place.manifest(150);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--chunk-rows",
        "67",
        "--json",
    ];
    let summary: serde_json::Value = serde_json::from_str(&place.succeed(&run)).unwrap();
    assert_eq!(summary["key_engine"], "lanes");
    assert_eq!(summary["signature_engine"], "lanes");
    let batch = place.only_batch();
    place.succeed(&["verify", batch.to_str().unwrap()]);
    judge::judge_accepts(&batch, 150, &["--issuer", "ca/certificate.pem"], place.path());

    let chunk = fs::read_dir(batch.join("certificates")).unwrap().next();
    fs::copy(chunk.unwrap().unwrap().path(), place.join("device.pem")).unwrap();
    let verify = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"];
    let files = ["ca/certificate.pem", "device.pem"];
    let verdict = openssl(&[&verify[..], &files].concat(), place.path());
    assert_eq!(verdict, "device.pem: OK\n");
}

/// What it does not make is made by the next that can.
#[test]
fn other_types_are_made_by_other_engines() {
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["ca", "new", "--key", "P-384", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--json",
        "--profile",
        "aws-iot-p384",
    ];
    let summary: serde_json::Value = serde_json::from_str(&place.succeed(&run)).unwrap();
    assert_eq!(summary["key_engine"], "aws-lc");
    assert_eq!(summary["signature_engine"], "aws-lc");
    let mut keys = [DeviceKey::default()];
    assert!(Lanes.make_keys(KeyType::P384, &mut keys).is_err());
}
