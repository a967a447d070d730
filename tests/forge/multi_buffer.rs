//! The engine multi-buffer, from outside: its keys and signatures are judged by aws-lc, ring and openssl,
//! and its batches by `certforge verify` and the judges of every other batch.
//!
//! It needs a processor with AVX-512 IFMA, and crypto_mb, which `tests/all` installs and names with
//! CERTFORGE_CRYPTO_MB. Where one of them is missing the tests say so and are left out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::judge;
use crate::judge::openssl;
use crate::support::Workplace;
use certforge::engine::{AwsLc, DeviceKey, Engine, KeyMaker, MultiBuffer, PrivateKey, Ring, SigningKey};
use certforge::profile::KeyType;
use rayon::prelude::*;

const CURVES: [KeyType; 2] = [KeyType::P256, KeyType::P384];
const VARIABLE: &str = "CERTFORGE_CRYPTO_MB";

fn is_left_out() -> bool {
    match MultiBuffer.ready() {
        Ok(()) => false,
        Err(error) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            eprintln!("LEFT OUT: {error}: {reason}");
            true
        }
    }
}

fn key_of(engine: &dyn Engine, key_type: KeyType) -> (DeviceKey, SigningKey) {
    let mut keys = [DeviceKey::default()];
    engine.make_keys(key_type, &mut keys).unwrap();
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
    let signer = MultiBuffer.signer(key).unwrap();
    signer.sign(&messages, &mut signatures).unwrap();
    signatures
}

/// Whether ring accepts it.
fn ring_accepts(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    use ring::signature as s;
    let verifies: &dyn s::VerificationAlgorithm = match key.key_type() {
        KeyType::P256 => &s::ECDSA_P256_SHA256_ASN1,
        _ => &s::ECDSA_P384_SHA384_ASN1,
    };
    s::UnparsedPublicKey::new(verifies, key.public_key())
        .verify(message, signature)
        .is_ok()
}

#[test]
fn a_hundred_thousand_signatures_verify_and_no_nonce_comes_twice() {
    if is_left_out() {
        return;
    }
    for (key_type, count) in [(KeyType::P256, 100_000), (KeyType::P384, 20_000)] {
        // The key of an issuer that another engine made, as every issuer's may be.
        let (_, key) = key_of(&AwsLc, key_type);
        let messages = messages(count);
        let signatures = sign(&key, &messages);
        messages
            .par_iter()
            .zip(&signatures)
            .enumerate()
            .for_each(|(i, (message, signature))| {
                let accepts = match i % 2 {
                    0 => key.verifies(message, signature),
                    _ => ring_accepts(&key, message, signature),
                };
                assert!(accepts, "{key_type}, signature {i}: {signature:02x?}");
            });
        // r is the first number; two that are equal would give the private key away.
        let halves: BTreeSet<&[u8]> = signatures
            .iter()
            .map(|signature| &signature[4..4 + usize::from(signature[3])])
            .collect();
        assert_eq!(halves.len(), count);
        assert!(!key.verifies(&messages[0], &signatures[1]));
    }
}

#[test]
fn keys_sign_in_every_engine_and_are_distinct() {
    if is_left_out() {
        return;
    }
    for key_type in CURVES {
        let mut keys = vec![DeviceKey::default(); 5_000];
        MultiBuffer.make_keys(key_type, &mut keys).unwrap();
        let distinct: BTreeSet<_> = keys.iter().map(|key| key.public_key().to_vec()).collect();
        assert_eq!(distinct.len(), keys.len());
        let distinct: BTreeSet<_> = keys.iter().map(|key| key.pkcs8().to_vec()).collect();
        assert_eq!(distinct.len(), keys.len());
        keys.par_iter().enumerate().for_each(|(i, key)| {
            let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
            let signing = private.prove(key.public_key()).expect("the halves match");
            let engine: &dyn Engine = if i % 2 == 0 { &Ring } else { &AwsLc };
            let mut signatures = [Vec::new()];
            let signer = engine.signer(&signing).unwrap();
            signer.sign(&[b"hello"], &mut signatures).unwrap();
            assert!(signing.verifies(b"hello", &signatures[0]));
        });
    }
}

#[test]
fn openssl_accepts_keys_and_signatures() {
    if is_left_out() {
        return;
    }
    let place = Workplace::new();
    for (key_type, hash) in [(KeyType::P256, "-sha256"), (KeyType::P384, "-sha384")] {
        let (document, key) = key_of(&MultiBuffer, key_type);
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
            let verdict = openssl(&[&["dgst", hash][..], &verify].concat(), place.path());
            assert_eq!(verdict, "Verified OK\n");
        }
    }
}

/// Runs certforge with the variable that names the library.
fn run_with(place: &Workplace, variable: &Path, arguments: &[&str]) -> Output {
    let mut command = place.command(arguments);
    command.env(VARIABLE, variable).output().expect("the binary runs")
}

/// The file that these tests were told of, if they were told.
fn library() -> Option<std::path::PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
    if named.is_none() {
        eprintln!("LEFT OUT: {VARIABLE} names no library; `tests/all` installs it");
    }
    named.map(Into::into)
}

#[test]
fn batches_verify_and_every_judge_accepts_them() {
    let Some(library) = library().filter(|_| !is_left_out()) else {
        return;
    };
    for (profile, ca_key) in [("aws-iot-p256", "P-384"), ("aws-iot-p384", "P-256")] {
        let place = Workplace::new();
        place.manifest(150);
        place.succeed(&["ca", "new", "--key", ca_key, "--no-passphrase"]);
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--chunk-rows",
            "67",
            "--json",
        ];
        let run = [&run[..], &["--engine", "multi-buffer", "--profile", profile]].concat();
        let output = run_with(&place, &library, &run);
        assert!(output.status.success(), "{output:?}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["key_engine"], "multi-buffer");
        assert_eq!(summary["signature_engine"], "multi-buffer");
        let batch = place.only_batch();
        place.succeed(&["verify", batch.to_str().unwrap()]);
        judge::judge_accepts(&batch, 150, &["--issuer", "ca/certificate.pem"], place.path());

        let chunk = fs::read_dir(batch.join("certificates"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        fs::copy(chunk.path(), place.join("device.pem")).unwrap();
        let verify = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"];
        let files = ["ca/certificate.pem", "device.pem"];
        let verdict = openssl(&[&verify[..], &files].concat(), place.path());
        assert_eq!(verdict, "device.pem: OK\n");
    }
}

#[test]
fn auto_takes_it_where_it_can_and_says_so() {
    let Some(library) = library().filter(|_| !is_left_out()) else {
        return;
    };
    let place = Workplace::new();
    place.manifest(3);
    let output = run_with(
        &place,
        &library,
        &["run", "devices.csv", "--no-endpoint", "--json"],
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["key_engine"], "multi-buffer");
    assert_eq!(summary["signature_engine"], "multi-buffer");
    // What it does not make is made by the next that can.
    let rsa = ["--profile", "aws-iot-rsa2048", "--batch", "rsa", "--reissue"];
    let run = [&["run", "devices.csv", "--no-endpoint", "--json"], &rsa[..]].concat();
    let output = run_with(&place, &library, &run);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["key_engine"], "aws-lc");
    assert_eq!(summary["signature_engine"], "multi-buffer");
}

/// On a processor that cannot, that is what is said, whatever else is wrong.
fn says(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let start = "certforge: error: engine multi-buffer is not available: ";
    let is_processor = stderr.starts_with(&format!("{start}this processor has no AVX-512 IFMA\n"));
    assert!(
        is_processor || stderr.starts_with(&format!("{start}{expected}")),
        "{stderr}"
    );
    assert!(stderr.contains("certforge: hint: "), "{stderr}");
}

#[test]
fn nothing_is_searched_for_and_nothing_is_loaded_that_others_may_change() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Workplace::new();
    place.manifest(3);
    // Where it was searched for: an environment whose library is as good as any.
    let environment = place.join("environment");
    fs::create_dir_all(environment.join("lib")).unwrap();
    let name = "libcrypto_mb.so.13";
    let library = library().map(|named| if named.is_dir() { named.join(name) } else { named });
    match &library {
        Some(library) => symlink(library, environment.join("lib").join(name)).unwrap(),
        None => fs::write(environment.join("lib").join(name), "").unwrap(),
    }
    let unnamed = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env("VIRTUAL_ENV", &environment)
            .env("CONDA_PREFIX", &environment);
        command.env_remove(VARIABLE).output().expect("the binary runs")
    };
    let output = unnamed(&["run", "devices.csv", "--no-endpoint", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["key_engine"], "aws-lc");
    let run = ["run", "devices.csv", "--no-endpoint", "--engine", "multi-buffer"];
    says(&unnamed(&run), "nobody has named the library\n");

    // Named, but somebody else may put a library of his beside it.
    let folder = environment.join("lib");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let shown = folder.canonicalize().unwrap().display().to_string();
    let expected = format!("{shown} can be written by others (mode 0777)\n");
    says(&run_with(&place, &folder, &run), &expected);
}

#[test]
fn what_is_missing_is_said_and_auto_does_without() {
    let place = Workplace::new();
    place.manifest(3);
    let nowhere = Path::new("/nowhere/libcrypto_mb.so.13");
    let run = ["run", "devices.csv", "--no-endpoint", "--engine", "multi-buffer"];
    says(
        &run_with(&place, nowhere, &run),
        "there is no /nowhere/libcrypto_mb.so.13\n\
         certforge: hint: `pip install ipp-crypto intel-cmplr-lib-rt` brings it; --crypto-mb or \
         CERTFORGE_CRYPTO_MB names the file or its folder; --engine auto does without\n",
    );
    says(
        &run_with(&place, Path::new(""), &run),
        "CERTFORGE_CRYPTO_MB is empty, which rules it out\n",
    );
    assert!(place.find_batch().is_none(), "nothing was made");

    let output = run_with(
        &place,
        nowhere,
        &["run", "devices.csv", "--no-endpoint", "--json"],
    );
    assert!(output.status.success(), "{output:?}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["key_engine"], "aws-lc");
}

#[test]
fn the_command_line_has_the_last_word_on_where_it_is() {
    let place = Workplace::new();
    place.manifest(3);
    let nowhere = Path::new("/nowhere");
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--json",
        "--engine",
        "multi-buffer",
        "--crypto-mb",
    ];
    let Some(library) = library().filter(|_| !is_left_out()) else {
        return;
    };
    let given = library.display().to_string();
    let output = run_with(&place, nowhere, &[&run[..], &[given.as_str()]].concat());
    assert!(output.status.success(), "{output:?}");
    let output = run_with(&place, &library, &[&run[..], &["/nowhere"]].concat());
    says(&output, "there is no /nowhere\n");
}

#[test]
fn what_is_no_such_library_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Workplace::new();
    place.manifest(3);
    let run = ["run", "devices.csv", "--no-endpoint", "--engine", "multi-buffer"];
    let file = place.join("libcrypto_mb.so.13");
    fs::write(&file, "no library").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let shown = file.canonicalize().unwrap().display().to_string();
    let output = run_with(&place, &file, &run);
    says(&output, &format!("{shown} cannot be loaded: {shown}: "));
    // A library, but another.
    if let Some(other) = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
    {
        let shown = other.canonicalize().unwrap().display().to_string();
        says(
            &run_with(&place, other, &run),
            &format!("{shown} cannot be loaded: "),
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    says(
        &run_with(&place, &file, &run),
        &format!("{shown} can be written by others (mode 0666)\n"),
    );
}
