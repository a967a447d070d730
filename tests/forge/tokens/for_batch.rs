//! CAs for one batch: their key is on disk only encrypted, and is destroyed when the batch is done.

use std::fs;
use std::path::Path;

use super::{HOST, run, succeed, told, workplace};
use crate::judge::{go_accepts, judge_accepts, judge_in_go, openssl};
use crate::softhsm::{SoftHsm, uri};
use crate::support::Workplace;

/// A CA for a batch under one in a token, whose own key the token opens.
fn wrapped(place: &Workplace, hsm: &SoftHsm, wrap: &str) {
    succeed(
        place,
        hsm,
        &[
            "ca",
            "new",
            "--parent",
            "ca",
            "--for-batch",
            "--days",
            "900",
            "--to",
            "pumps",
            "--wrap-key",
            &uri(wrap),
        ],
    );
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_batch_is_signed_by_a_ca_that_the_token_opens_and_ends_with_it() {
    let (place, hsm) = workplace(300, "P-256");
    wrapped(&place, &hsm, "wrap");
    assert!(!place.join("pumps/key.pem").exists());
    let arguments = ["run", "devices.csv", "--ca", "pumps", "--endpoint", HOST];
    // Without the token nobody signs with it.
    let output = place.run(&arguments);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    succeed(&place, &hsm, &arguments);
    let batch = place.only_batch();
    place.succeed(&["verify", batch.to_str().unwrap(), "--ledger", "pumps/ledger.db"]);
    openssl(
        &["verify", "-CAfile", "ca/certificate.pem", "pumps/certificate.pem"],
        place.path(),
    );
    judge_accepts(
        &batch,
        300,
        &[
            "--issuer",
            "pumps/certificate.pem",
            "--host",
            HOST,
            "--region",
            "eu-central-1",
        ],
        place.path(),
    );
    let cas = ["ca/certificate.pem", "pumps/certificate.pem"];
    go_accepts(&batch, 300, cas, 3, place.path());
    // Without the CA in between there is no chain, and the root alone has signed none of them.
    let refused = judge_in_go(&batch, [cas[0]; 2], 2, place.path());
    assert!(
        told(&refused).contains("certificate signed by unknown authority"),
        "{}",
        told(&refused)
    );
    assert!(
        hsm.tool(&["--list-objects", "--type", "secrkey"])
            .contains("wrap")
    );
    // It is not registered.
    let output = run(&place, &hsm, &["ca", "retire", "pumps"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        told(&output).contains("pumps was not registered with AWS IoT from here"),
        "{}",
        told(&output)
    );
    assert!(place.join("pumps/key.wrapped").exists());
    succeed(&place, &hsm, &["ca", "retire", "pumps", "--unregistered"]);
    assert!(!place.join("pumps/key.wrapped").exists());
    // What was made for it in the token is gone too; the parent's key is not.
    assert!(
        !hsm.tool(&["--list-objects", "--type", "secrkey"])
            .contains("wrap")
    );
    assert!(
        hsm.tool(&["--list-objects", "--type", "privkey"])
            .contains("line-7")
    );
    let history = place.succeed(&["ledger", "history", "--ledger", "pumps/ledger.db"]);
    assert!(history.contains("ca-retired"), "{history}");
    let output = run(
        &place,
        &hsm,
        &[
            "run",
            "devices.csv",
            "--ca",
            "pumps",
            "--endpoint",
            HOST,
            "--batch",
            "more",
            "--reissue",
        ],
    );
    assert_eq!(output.status.code(), Some(5));
    assert!(
        told(&output).contains("pumps was retired at "),
        "{}",
        told(&output)
    );
    // Once more changes nothing.
    succeed(&place, &hsm, &["ca", "retire", "pumps", "--unregistered"]);
    assert_eq!(
        place.succeed(&["ledger", "history", "--ledger", "pumps/ledger.db"]),
        history
    );
    place.succeed(&["verify", batch.to_str().unwrap(), "--ledger", "pumps/ledger.db"]);
}

#[test]
fn a_batch_under_a_token_needs_nothing_but_the_pin() {
    let (place, hsm) = workplace(5, "P-256");
    succeed(
        &place,
        &hsm,
        &[
            "ca",
            "new",
            "--parent",
            "ca",
            "--for-batch",
            "--days",
            "9000",
            "--to",
            "pumps",
        ],
    );
    assert!(place.join("pumps/key.wrapped").exists());
    succeed(
        &place,
        &hsm,
        &["run", "devices.csv", "--ca", "pumps", "--no-endpoint"],
    );
    let output = place.run(&["status", "--ledger", "pumps/ledger.db"]);
    assert!(
        told(&output).contains("certforge jitp register --ca pumps"),
        "{}",
        told(&output)
    );
    succeed(&place, &hsm, &["ca", "retire", "pumps", "--unregistered"]);
    assert!(
        !hsm.tool(&["--list-objects", "--type", "secrkey"])
            .contains("batch CA")
    );
}

#[test]
fn an_rsa_key_of_the_token_opens_it_as_well_and_stays() {
    let (place, hsm) = workplace(5, "P-256");
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "rsa:2048",
        "--label",
        "opener",
        "--id",
        "09",
    ]);
    wrapped(&place, &hsm, "opener");
    let text = fs::read_to_string(place.join("pumps/key.wrapped")).unwrap();
    assert!(
        text.contains("\"oaep-sha1\"") && text.contains("\"made_for_it\": false"),
        "{text}"
    );
    succeed(
        &place,
        &hsm,
        &["run", "devices.csv", "--ca", "pumps", "--no-endpoint"],
    );
    succeed(&place, &hsm, &["ca", "retire", "pumps", "--unregistered"]);
    assert!(
        hsm.tool(&["--list-objects", "--type", "privkey"])
            .contains("opener")
    );
}

#[test]
fn a_key_that_was_changed_or_is_anothers_is_noticed() {
    let (place, hsm) = workplace(5, "P-256");
    wrapped(&place, &hsm, "wrap");
    let path = place.join("pumps/key.wrapped");
    let whole = fs::read_to_string(&path).unwrap();
    let document: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let changed = |field: &str| {
        let text = document[field].as_str().unwrap();
        let first = if text.starts_with('A') { 'B' } else { 'A' };
        whole.replace(text, &format!("{first}{}", &text[1..]))
    };
    for text in [changed("key"), changed("nonce"), changed("secret")] {
        fs::write(&path, text).unwrap();
        let output = run(
            &place,
            &hsm,
            &["run", "devices.csv", "--ca", "pumps", "--no-endpoint"],
        );
        assert_eq!(output.status.code(), Some(5));
        assert!(
            told(&output).contains("pumps/key.wrapped is not opened by pkcs11:"),
            "{}",
            told(&output)
        );
    }
    // The key of one CA beside the certificate of another.
    succeed(
        &place,
        &hsm,
        &[
            "ca",
            "new",
            "--parent",
            "ca",
            "--for-batch",
            "--to",
            "valves",
            "--wrap-key",
            &uri("wrap2"),
        ],
    );
    fs::copy(place.join("valves/key.wrapped"), &path).unwrap();
    let output = run(
        &place,
        &hsm,
        &["run", "devices.csv", "--ca", "pumps", "--no-endpoint"],
    );
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(!place.join("out").exists());
}

#[test]
fn a_passphrase_keeps_it_where_no_token_opens_it() {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    let with = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env("CERTFORGE_CA_PASSPHRASE", "correct horse")
            .output()
            .unwrap()
    };
    let output = with(&["ca", "new", "--parent", "root", "--for-batch", "--to", "pumps"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(
        names(&place.join("pumps")),
        [
            "certificate.pem",
            "chain.pem",
            "for-batch.json",
            "key.pem",
            "ledger.json"
        ]
    );
    let key = fs::read_to_string(place.join("pumps/key.pem")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "pumps",
        "--no-endpoint",
        "--retire-ca",
    ];
    let output = with(&run);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains("then `certforge ca retire --unregistered`"),
        "{}",
        told(&output)
    );
    // What `jitp register` leaves behind.
    let shown = place.succeed(&["ca", "show", "pumps", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let registered = serde_json::json!({
        "ca_certificate_id": shown["ca_certificate_id"],
        "account": "123456789012",
        "region": "eu-central-1",
        "mode": "DEFAULT",
        "begun_at": "2026-01-01T00:00:00Z",
        "registered_at": "2026-01-01T00:00:01Z",
    });
    let record = serde_json::json!({ "registrations": [registered] });
    fs::write(place.join("pumps/registration.json"), record.to_string()).unwrap();
    let output = with(&run);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!place.join("pumps/key.pem").exists());
    place.succeed(&[
        "verify",
        place.only_batch().to_str().unwrap(),
        "--ledger",
        "pumps/ledger.db",
    ]);
    assert!(
        place
            .succeed(&["ledger", "history", "--ledger", "pumps/ledger.db"])
            .contains("ca-retired")
    );
    // Another CA is not retired.
    let said = place.fail(&["ca", "retire", "root", "--unregistered"], 5);
    assert!(
        said.starts_with("certforge: error: root is not a CA for one batch\n"),
        "{said}"
    );
    assert!(place.join("root/key.pem").exists());
}
