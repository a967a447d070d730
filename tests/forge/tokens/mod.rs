//! CAs whose key is in a PKCS#11 token: made, adopted, used by every command, and what becomes of a batch when the token
//! fails. The token is SoftHSM's; a module in between fails where it is told to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod errors;
mod faults;
mod for_batch;

use std::fs;
use std::process::Output;

use crate::judge::{go_accepts, judge_accepts, openssl};
use crate::softhsm::{SoftHsm, uri};
use crate::support::Workplace;

const HOST: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// Runs certforge with the token, and gives its output, whatever it is.
fn run(place: &Workplace, hsm: &SoftHsm, arguments: &[&str]) -> Output {
    hsm.with(&mut place.command(arguments)).output().unwrap()
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn succeed(place: &Workplace, hsm: &SoftHsm, arguments: &[&str]) -> String {
    let output = run(place, hsm, arguments);
    assert!(
        output.status.success(),
        "certforge {arguments:?}\n{}",
        told(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A workplace with so many rows, and a CA whose key was made in a token.
fn workplace(rows: usize, key_type: &str) -> (Workplace, SoftHsm) {
    let (place, hsm) = (Workplace::new(), SoftHsm::new());
    place.manifest(rows);
    succeed(
        &place,
        &hsm,
        &["ca", "new", "--key", &uri("line-7"), "--key-type", key_type],
    );
    (place, hsm)
}

#[test]
fn devices_are_signed_by_a_token_and_judged_by_others() {
    for (key_type, rows) in [("P-256", 600), ("P-384", 40), ("RSA-2048", 40)] {
        let (place, hsm) = workplace(rows, key_type);
        succeed(&place, &hsm, &["run", "devices.csv", "--endpoint", HOST]);
        let batch = place.only_batch();
        place.succeed(&["verify", batch.to_str().unwrap()]);
        judge_accepts(
            &batch,
            rows,
            &[
                "--issuer",
                "ca/certificate.pem",
                "--host",
                HOST,
                "--region",
                "eu-central-1",
            ],
            place.path(),
        );
        go_accepts(&batch, rows, ["ca/certificate.pem"; 2], 2, place.path());
        let certificates = fs::read_dir(batch.join("certificates")).unwrap();
        for certificates in certificates {
            let path = certificates.unwrap().path();
            openssl(
                &[
                    "verify",
                    "-x509_strict",
                    "-CAfile",
                    "ca/certificate.pem",
                    path.to_str().unwrap(),
                ],
                place.path(),
            );
        }
    }
}

#[test]
fn a_key_is_made_that_never_leaves_its_token_and_the_folder_has_public_facts_only() {
    let (place, hsm) = workplace(1, "P-256");
    let objects = hsm.tool(&["--list-objects", "--type", "privkey"]);
    for word in ["line-7", "never extractable", "sensitive"] {
        assert!(objects.contains(word), "{objects}");
    }
    assert!(!place.join("ca/key.pem").exists());
    let named = fs::read_to_string(place.join("ca/key.uri")).unwrap();
    assert!(
        named.starts_with("pkcs11:token=forge;object=line-7;id=%"),
        "{named}"
    );
    assert!(!named.contains("pin"), "{named}");
    openssl(
        &[
            "verify",
            "-x509_strict",
            "-CAfile",
            "ca/certificate.pem",
            "ca/certificate.pem",
        ],
        place.path(),
    );
}

#[test]
fn everything_that_needs_the_key_asks_the_token() {
    let (place, hsm) = workplace(20, "P-256");
    // An intermediate below it, in a file.
    succeed(
        &place,
        &hsm,
        &["ca", "new", "--parent", "ca", "--to", "below", "--no-passphrase"],
    );
    openssl(
        &["verify", "-CAfile", "ca/certificate.pem", "below/certificate.pem"],
        place.path(),
    );
    // And one in the token.
    succeed(
        &place,
        &hsm,
        &[
            "ca",
            "new",
            "--parent",
            "ca",
            "--to",
            "beside",
            "--key",
            &uri("line-8"),
        ],
    );
    openssl(
        &[
            "verify",
            "-CAfile",
            "ca/certificate.pem",
            "beside/certificate.pem",
        ],
        place.path(),
    );
    succeed(
        &place,
        &hsm,
        &["run", "devices.csv", "--no-endpoint", "--batch", "b"],
    );
    place.unseal("b");
    succeed(&place, &hsm, &["seal", "out/b"]);
    succeed(&place, &hsm, &["ca", "crl"]);
    openssl(
        &[
            "crl",
            "-in",
            "ca/crl.pem",
            "-CAfile",
            "ca/certificate.pem",
            "-noout",
        ],
        place.path(),
    );
    // What needs no key needs no token.
    place.succeed(&["verify", "out/b"]);
    place.succeed(&["status"]);
    place.succeed(&["ca", "show"]);
    let told = told(&place.run(&["doctor"]));
    assert!(told.contains("pkcs11:token=forge;object=line-7"), "{told}");
}

#[test]
fn a_key_that_is_there_is_adopted_with_its_certificate() {
    let (place, hsm) = (Workplace::new(), SoftHsm::new());
    place.manifest(5);
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "old",
        "--id",
        "07",
    ]);
    succeed(
        &place,
        &hsm,
        &["ca", "new", "--use-key", "--key", &uri("old"), "--to", "first"],
    );
    succeed(
        &place,
        &hsm,
        &[
            "ca",
            "adopt",
            "--certificate",
            "first/certificate.pem",
            "--key",
            &uri("old"),
            "--to",
            "ca",
        ],
    );
    succeed(&place, &hsm, &["run", "devices.csv", "--no-endpoint"]);
    // Without a folder it is named as its files would be.
    succeed(
        &place,
        &hsm,
        &[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "again",
            "--ca-certificate",
            "first/certificate.pem",
            "--ca-key",
            &uri("old"),
        ],
    );
}

#[test]
fn no_key_is_left_behind_when_no_ca_comes_of_it() {
    let (place, hsm) = (Workplace::new(), SoftHsm::new());
    fs::write(place.join("file"), "").unwrap();
    let output = run(
        &place,
        &hsm,
        &["ca", "new", "--key", &uri("line-7"), "--to", "file/ca"],
    );
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert_eq!(hsm.tool(&["--list-objects"]).trim(), "");
}
