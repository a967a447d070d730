//! What is known of certificates after they were issued: those that end soon, and the revocation list of a CA.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use serde_json::Value;

use crate::support::{Workplace, tool};

/// A CA, and a batch of three devices.
fn factory() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.manifest(3);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    place
}

fn json(place: &Workplace, arguments: &[&str]) -> Value {
    let text = place.succeed(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// What openssl says of a list, which it must believe.
fn judged(place: &Workplace, path: &str, form: &str) -> String {
    let arguments = [
        "crl",
        "-inform",
        form,
        "-in",
        path,
        "-noout",
        "-text",
        "-CAfile",
        "ca/certificate.pem",
    ];
    let verified = tool("openssl", &arguments, place.path());
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.contains("verify OK"), "{said}");
    String::from_utf8_lossy(&verified.stdout).into_owned()
}

#[test]
fn a_list_names_what_is_revoked_under_numbers_that_only_grow() {
    let place = factory();
    let first = json(&place, &["ca", "crl"]);
    assert_eq!((&first["number"], &first["revoked"]), (&1.into(), &0.into()));
    assert!(judged(&place, "ca/crl.pem", "PEM").contains("No Revoked Certificates"));

    // A device gets a later certificate, which is no reason to refuse the earlier one, unless somebody says so.
    fs::write(place.join("one.csv"), "serial_number\nSN000001\n").unwrap();
    place.succeed(&["run", "one.csv", "--no-endpoint", "--batch", "again", "--reissue"]);
    assert_eq!(json(&place, &["ca", "crl"])["revoked"], 0);
    let superseded = json(&place, &["ca", "crl", "--superseded", "--next-update", "1w"]);
    assert_eq!(superseded["number"], 3);
    assert_eq!(superseded["reasons"][0]["reason"], "superseded");
    assert_eq!(superseded["reasons"][0]["certificates"], 1);
    let text = judged(&place, "ca/crl.pem", "PEM");
    assert!(
        text.contains("Superseded") && text.contains("X509v3 CRL Number: \n                3"),
        "{text}"
    );

    // A list that is elsewhere has a number as well, and none goes below it.
    fs::remove_file(place.join("ca/crl.pem")).unwrap();
    assert_eq!(
        json(&place, &["ca", "crl", "--der", "--to", "list.crl"])["number"],
        4
    );
    judged(&place, "list.crl", "DER");
    fs::remove_file(place.join("ca/ledger.db")).unwrap();
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "new",
        "--to",
        "elsewhere",
        "--new-ledger",
    ]);
    assert_eq!(json(&place, &["ca", "crl", "--to", "list.crl"])["number"], 5);
}

#[test]
fn what_cannot_be_a_list_of_the_ca_is_not_written_over() {
    let place = factory();
    fs::write(place.join("notes.txt"), "no list").unwrap();
    let told = place.fail(&["ca", "crl", "--to", "notes.txt"], 5);
    assert!(
        told.contains("notes.txt is no certificate revocation list of this CA: it cannot be read"),
        "{told}"
    );
    assert!(told.contains("name another file with --to"), "{told}");
    assert_eq!(fs::read_to_string(place.join("notes.txt")).unwrap(), "no list");
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let told = place.fail(&["ca", "crl", "--ca", "other", "--ledger", "ca/ledger.db"], 2);
    assert!(told.contains("knows of no batch of this CA"), "{told}");
    let told = place.fail(&["ca", "crl", "--ledger", "none.db"], 7);
    assert!(told.contains("name its ledger with --ledger"), "{told}");
    assert!(!place.join("none.db").exists());
    let told = place.fail(&["ca", "crl", "--next-update", "0d"], 2);
    assert!(told.contains("less than a day"), "{told}");
}

#[cfg(feature = "aws")]
#[test]
fn what_is_revoked_or_withdrawn_is_in_the_list_for_its_reason() {
    let place = factory();
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "stolen",
        "--reissue",
    ]);
    let withdraw = [
        "jitp",
        "withdraw",
        "--batch",
        "stolen",
        "--stations-only",
        "--reason",
        "truck",
    ];
    place.succeed(&[&withdraw[..], &["--yes"]].concat());
    let revoke = [
        "jitp",
        "revoke",
        "--reason",
        "its key was seen",
        "--code",
        "key-compromise",
    ];
    let of_one = ["--device", "SN000002", "--batch", "b", "--ledger-only", "--yes"];
    // A plan changes nothing.
    let planned = json(&place, &[&revoke[..], &of_one, &["--dry-run"]].concat());
    assert_eq!(planned["certificates"][0]["state"], "superseded");
    assert_eq!(
        (&planned["noted"], &planned["account"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(json(&place, &["ca", "crl"])["revoked"], 3);
    let noted = json(&place, &[&revoke[..], &of_one].concat());
    assert_eq!(
        (&noted["noted"], noted["certificates"].as_array().unwrap().len()),
        (&true.into(), 1)
    );
    let made = json(&place, &["ca", "crl"]);
    assert_eq!(made["revoked"], 4);
    let reasons: Vec<_> = made["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["reason"].as_str().unwrap(),
                one["certificates"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(reasons, [("key-compromise", 1), ("privilege-withdrawn", 3)]);
    let text = judged(&place, "ca/crl.pem", "PEM");
    let serial = noted["certificates"][0]["certificate_id"].as_str().unwrap();
    let export = place.succeed(&["ledger", "export", "b", "--json"]);
    let row = export.lines().find(|line| line.contains(serial)).unwrap();
    let row: Value = serde_json::from_str(row).unwrap();
    let serial = row["certificate_serial"].as_str().unwrap().to_uppercase();
    assert!(
        text.contains(&serial) && text.contains("Key Compromise"),
        "{text}"
    );
    // The same once more keeps its reason.
    place.succeed(&[
        "jitp",
        "revoke",
        "--reason",
        "x",
        "--ledger-only",
        "--yes",
        "--device",
        "SN000002",
    ]);
    assert!(judged_reasons(&place).contains(&("key-compromise".to_owned(), 1)));
}

#[cfg(feature = "aws")]
fn judged_reasons(place: &Workplace) -> Vec<(String, u64)> {
    let made = json(place, &["ca", "crl"]);
    let reasons = made["reasons"].as_array().unwrap().iter();
    reasons
        .map(|one| {
            (
                one["reason"].as_str().unwrap().to_owned(),
                one["certificates"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[cfg(feature = "aws")]
#[test]
fn what_is_to_be_revoked_is_listed_in_a_file_and_nothing_unknown_is() {
    let place = factory();
    let export = place.succeed(&["ledger", "export"]);
    fs::write(place.join("list.csv"), &export).unwrap();
    fs::write(place.join("ids.txt"), "SN000000\n# a remark\nSN000001\n").unwrap();
    let certificates = fs::read_to_string(place.join("out/b/certificates/000000.pem")).unwrap();
    fs::write(place.join("list.pem"), certificates).unwrap();
    let plan = |from: &str| {
        json(
            &place,
            &["jitp", "revoke", "--reason", "x", "--dry-run", "--from", from],
        )["certificates"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((plan("list.csv"), plan("ids.txt"), plan("list.pem")), (3, 2, 3));
    let from = |arguments: &[&str], code| {
        place.fail(
            &[
                &["jitp", "revoke", "--reason", "x", "--ledger-only", "--yes"],
                arguments,
            ]
            .concat(),
            code,
        )
    };
    let told = from(&["--device", "SN000000", "--device", "SN9"], 2);
    assert!(told.contains("has not issued SN9; nothing was revoked"), "{told}");
    let told = from(&["--certificate", "12"], 2);
    assert!(told.contains("is no certificate id"), "{told}");
    let told = from(&["--certificate", &"ab".repeat(32)], 2);
    assert!(told.contains("has not issued abab"), "{told}");
    let told = from(&["--from", "none.csv"], 2);
    assert!(told.contains("none.csv: it cannot be read"), "{told}");
    let told = from(&["--device", "SN000000", "--batch", "none"], 7);
    assert!(told.contains("none"), "{told}");
    from(&[], 2);
    assert_eq!(json(&place, &["ca", "crl"])["revoked"], 0);
    // Standard input is a file like others.
    let mut command = place.command(&["jitp", "revoke", "--reason", "x", "--dry-run", "--from", "-"]);
    let file = fs::File::open(place.join("ids.txt")).unwrap();
    let output = command.stdin(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("to revoke: 2\n"),
        "{output:?}"
    );
}

#[test]
fn certificates_that_end_soon_are_listed_with_what_became_of_them() {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.manifest(3);
    let profile = "name = \"short\"\n\n[validity]\ndays = 400\n";
    fs::write(place.join("short.toml"), profile).unwrap();
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "short",
        "--profile",
        "short.toml",
    ]);
    fs::write(place.join("one.csv"), "serial_number\nSN000001\n").unwrap();
    place.succeed(&["run", "one.csv", "--no-endpoint", "--batch", "later", "--reissue"]);
    let rows = |within: &str, more: &[&str]| {
        let text = place.succeed(&[&["ledger", "expiring", "--within", within][..], more].concat());
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(rows("1y", &[]).is_empty());
    let soon = rows("58w", &[]);
    assert_eq!(soon.len(), 3, "{soon:?}");
    assert!(
        soon[0].starts_with("SN000000,") && soon[0].ends_with(",short,issued"),
        "{soon:?}"
    );
    assert!(soon[1].ends_with(",short,superseded"), "{soon:?}");
    assert_eq!(rows("7000y", &[]).len(), 4);
    assert_eq!(rows("7000y", &["later"]).len(), 1);
    let told = place.fail(&["ledger", "expiring", "--within", "2 years"], 2);
    assert!(told.contains("such as 90d, 26w or 2y"), "{told}");
    place.fail(&["ledger", "expiring", "--within", "1y", "none"], 7);
}
