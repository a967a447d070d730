//! The engines rsa and rsa-portable, from outside: their keys are judged by openssl, which also signs with them and verifies, and their
//! batches by `certforge verify`. rsa needs a processor with AVX-512 IFMA; on others the tests say so and leave it out.

use std::fs;
use std::process::Command;

use crate::support::Workplace;
use certforge::engine::{DeviceKey, Engine, KeyMaker, Rsa};
use certforge::profile::KeyType;

fn engines() -> impl Iterator<Item = Rsa> {
    [Rsa::Lanes, Rsa::Portable]
        .into_iter()
        .filter(|engine| match engine.ready() {
            Ok(()) => true,
            Err(error) => {
                eprintln!("LEFT OUT: {error}");
                false
            }
        })
}

/// How many keys of each size are judged: three, or as many as `CERTFORGE_TEST_RSA_JUDGED` says.
fn count() -> usize {
    std::env::var("CERTFORGE_TEST_RSA_JUDGED").map_or(3, |count| count.parse().expect("it is a number"))
}

#[test]
fn openssl_finds_every_key_sound_and_signs_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl")
            .args(arguments)
            .output()
            .expect("there is openssl");
        assert!(
            done.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    };
    let (key_file, public_file, message, signature) =
        (at("key"), at("public"), at("message"), at("signature"));
    fs::write(&message, [7; 300]).unwrap();
    let key_types = [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096];
    for (engine, key_type) in engines().flat_map(|engine| key_types.map(|key_type| (engine, key_type))) {
        let mut keys = vec![DeviceKey::default(); count()];
        engine.make_keys(key_type, &mut keys).unwrap();
        for key in &keys {
            fs::write(&key_file, key.pkcs8()).unwrap();
            let said = openssl(&["rsa", "-inform", "DER", "-in", &key_file, "-check", "-noout"]);
            assert!(said.contains("RSA key ok"), "{key_type}: {said}");
            openssl(&[
                "rsa",
                "-inform",
                "DER",
                "-in",
                &key_file,
                "-pubout",
                "-out",
                &public_file,
            ]);
            openssl(&[
                "dgst", "-sha256", "-sign", &key_file, "-keyform", "DER", "-out", &signature, &message,
            ]);
            let said = openssl(&[
                "dgst",
                "-sha256",
                "-verify",
                &public_file,
                "-signature",
                &signature,
                &message,
            ]);
            assert!(said.contains("Verified OK"), "{key_type}: {said}");
        }
    }
}

#[test]
fn a_batch_says_which_engine_made_its_keys_and_is_verified() {
    let place = Workplace::new();
    place.manifest(20);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--profile",
        "aws-iot-rsa2048",
    ];
    let named = |engine: &str, batch: &str| {
        let reissue: &[&str] = if batch == "first" { &[] } else { &["--reissue"] };
        place.succeed(&[&run[..], &["--engine", engine, "--batch", batch], reissue].concat())
    };
    let fastest = engines().next().expect("one works everywhere").name();
    for (engine, batch, made_by) in [
        ("auto", "first", fastest),
        (fastest, "second", fastest),
        ("rsa-portable", "third", "rsa-portable"),
        ("aws-lc", "fourth", "aws-lc"),
    ] {
        let said = named(engine, batch);
        assert!(
            said.contains(&format!("RSA-2048 by engine {made_by}")),
            "{engine}: {said}"
        );
        place.succeed(&["verify", &format!("out/{batch}")]);
    }
}
