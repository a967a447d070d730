//! Bundles of every kind are judged by other people's programs: openssl, unzip, and Python's
//! `cryptography` (tests/forge/judge/judge.py), which is itself shown to refuse what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod victim;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::judge::{judge_accepts, openssl};
use crate::support::{Workplace, tool};
use serde::{Deserialize, Serialize};
use victim::{Bundle, Victim, write_rows};

const HOST: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const ISSUER: [&str; 2] = ["--issuer", "ca/certificate.pem"];
const ENDPOINT: [&str; 4] = ["--host", HOST, "--region", "eu-central-1"];

/// A row of an index, as the documentation names its columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    device_id: String,
    certificate_id: String,
    certificate_serial: String,
    not_after: String,
    object: String,
    offset: usize,
    length: usize,
    sha256: String,
}

/// The rows of all indexes, in order.
fn rows(batch: &Path) -> Vec<Row> {
    let mut paths: Vec<PathBuf> = fs::read_dir(batch.join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path| {
        csv::Reader::from_path(path)
            .unwrap()
            .into_deserialize()
            .map(Result::unwrap)
            .collect()
    };
    paths.into_iter().flat_map::<Vec<Row>, _>(read).collect()
}

/// Runs certforge on `devices.csv` and gives the folder of the batch.
fn run(workplace: &Workplace, arguments: &[&str]) -> PathBuf {
    let run = ["run", "devices.csv", "--endpoint", HOST];
    workplace.succeed(&[&run, arguments].concat());
    workplace.only_batch()
}

/// Has every judge look at a batch: rustls-webpki (in `certforge verify`) and Python at all of it, unzip
/// and openssl at its first and last bundle.
fn judge_batch(workplace: &Workplace, batch: &Path, bundles: usize) {
    workplace.succeed(&["verify", batch.to_str().unwrap()]);
    judge_accepts(
        batch,
        bundles,
        &[&ISSUER[..], &ENDPOINT].concat(),
        workplace.path(),
    );
    let rows = rows(batch);
    assert_eq!(rows.len(), bundles);
    for row in [&rows[0], &rows[bundles - 1]] {
        let folder = unpack(workplace, batch, row);
        judge_certificate(&folder, &workplace.join("ca/certificate.pem"), row);
        judge_key(&folder);
    }
}

/// Unzips the bundle of a row, cut out of its object, into a folder named after the device.
fn unpack(workplace: &Workplace, batch: &Path, row: &Row) -> PathBuf {
    let object = batch.join(&row.object);
    unzip_accepts(&object);
    let octets = fs::read(&object).unwrap();
    let bundle = workplace.join("bundle.zip");
    fs::write(&bundle, &octets[row.offset..row.offset + row.length]).unwrap();
    unzip_accepts(&bundle);
    let folder = workplace.join(&row.device_id);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let output = tool("unzip", &["-q", bundle.to_str().unwrap()], &folder);
    assert!(output.status.success(), "{output:?}");
    folder
}

fn unzip_accepts(archive: &Path) {
    let output = tool("unzip", &["-tqq", archive.to_str().unwrap()], Path::new("."));
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "unzip finds something to say: {output:?}"
    );
}

fn judge_certificate(folder: &Path, ca: &Path, row: &Row) {
    let ca = ca.to_str().unwrap();
    let verify = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca];
    let verdict = openssl(&[&verify[..], &["certificate.pem.crt"]].concat(), folder);
    assert_eq!(verdict, "certificate.pem.crt: OK\n");

    let facts = ["-noout", "-serial", "-fingerprint", "-sha256"];
    let dates = ["-enddate", "-dateopt", "iso_8601"];
    let x509 = ["x509", "-in", "certificate.pem.crt"];
    let text = openssl(&[&x509[..], &facts, &dates].concat(), folder);
    let facts: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(row.certificate_serial.len(), 32, "16 octets");
    assert_eq!(facts["serial"].to_lowercase(), row.certificate_serial);
    assert_eq!(
        facts["sha256 Fingerprint"].replace(':', "").to_lowercase(),
        row.certificate_id
    );
    let not_after = facts["notAfter"].replace(' ', "T");
    assert_eq!(not_after, row.not_after);
    let issuer = openssl(&[&["x509", "-in", ca, "-noout"], &dates[..]].concat(), folder);
    let issuer = issuer
        .trim_end()
        .trim_start_matches("notAfter=")
        .replace(' ', "T");
    assert!(
        not_after <= issuer,
        "{not_after} is later than the issuer's {issuer}"
    );
}

fn judge_key(folder: &Path) {
    let verdict = openssl(&["pkey", "-in", "private.pem.key", "-check", "-noout"], folder);
    assert_eq!(verdict, "Key is valid\n");
    let of_key = openssl(&["pkey", "-in", "private.pem.key", "-pubout"], folder);
    let of_certificate = openssl(
        &["x509", "-in", "certificate.pem.crt", "-pubkey", "-noout"],
        folder,
    );
    assert_eq!(of_key, of_certificate);
}

/// Makes and judges batches of one profile in both layouts, several chunks each.
fn every_judge_accepts(profile: &str, devices: usize) {
    for layout in ["objects", "packs"] {
        let workplace = Workplace::new();
        workplace.manifest(devices);
        let chunk = (devices / 3 + 1).to_string();
        let profile = if profile.contains('=') {
            fs::write(workplace.join("profile.toml"), profile).unwrap();
            "profile.toml"
        } else {
            profile
        };
        let arguments = ["--profile", profile, "--layout", layout, "--chunk-rows", &chunk];
        let batch = run(&workplace, &arguments);
        judge_batch(&workplace, &batch, devices);
    }
}

#[test]
fn every_judge_accepts_profile_aws_iot_p256() {
    every_judge_accepts("aws-iot-p256", 40);
}

#[test]
fn every_judge_accepts_profile_aws_iot_p384() {
    every_judge_accepts("aws-iot-p384", 20);
}

#[test]
fn every_judge_accepts_profile_aws_iot_rsa2048() {
    every_judge_accepts("aws-iot-rsa2048", 8);
}

#[test]
fn every_judge_accepts_profile_aws_iot_subject() {
    every_judge_accepts("aws-iot-subject", 20);
}

#[test]
fn every_judge_accepts_p521_keys() {
    every_judge_accepts("name = \"p521\"\nkey.type = \"P-521\"\n", 12);
}

#[test]
fn every_judge_accepts_rsa_3072_keys() {
    every_judge_accepts("name = \"rsa3072\"\nkey.type = \"RSA-3072\"\n", 4);
}

#[test]
fn every_judge_accepts_every_type_of_issuer() {
    for (key, signature) in [
        ("P-256", "ecdsa-with-SHA256"),
        ("P-384", "ecdsa-with-SHA384"),
        ("P-521", "ecdsa-with-SHA512"),
        ("RSA-2048", "sha256WithRSAEncryption"),
        ("RSA-3072", "sha256WithRSAEncryption"),
        ("RSA-4096", "sha256WithRSAEncryption"),
    ] {
        let workplace = Workplace::new();
        workplace.manifest(8);
        workplace.succeed(&["ca", "new", "--key", key, "--no-passphrase", "--to", "ca"]);
        let batch = run(&workplace, &["--ca", "ca"]);
        judge_batch(&workplace, &batch, 8);
        let text = openssl(
            &["x509", "-in", "certificate.pem.crt", "-noout", "-text"],
            &workplace.join("SN000000"),
        );
        assert!(text.contains(signature), "{key} signs with {signature}\n{text}");
    }
}

#[test]
fn every_judge_accepts_what_either_engine_makes() {
    for engine in ["ring", "aws-lc"] {
        for (profile, ca_key) in [("aws-iot-p256", "P-384"), ("aws-iot-p384", "P-256")] {
            let workplace = Workplace::new();
            workplace.manifest(12);
            workplace.succeed(&["ca", "new", "--key", ca_key, "--no-passphrase"]);
            let run = ["run", "devices.csv", "--endpoint", HOST, "--json"];
            let arguments = ["--engine", engine, "--profile", profile];
            let text = workplace.succeed(&[&run[..], &arguments].concat());
            let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(summary["key_engine"], engine);
            assert_eq!(summary["signature_engine"], engine);
            judge_batch(&workplace, &workplace.only_batch(), 12);
        }
    }
}

#[test]
fn openssl_reads_all_seven_attributes_in_order() {
    let workplace = Workplace::new();
    let manifest = "serial_number,site,country,production_order,hardware_revision\n\
                    A-1,\"Zürich, Nord\",CH,\"4711 \"\"B\"\"\",rev 3\n\
                    A-2,北京,CN,x=y;z,2.0\n";
    fs::write(workplace.join("devices.csv"), manifest).unwrap();
    let batch = run(&workplace, &["--profile", "aws-iot-subject"]);
    judge_batch(&workplace, &batch, 2);
    let expected = [
        ["CH", "Zürich, Nord", "4711 \"B\"", "rev 3", "A-1"],
        ["CN", "北京", "x=y;z", "2.0", "A-2"],
    ];
    for [country, site, order, revision, id] in expected {
        let nameopt = ["-nameopt", "sep_multiline,sname,utf8"];
        let x509 = ["x509", "-in", "certificate.pem.crt", "-noout"];
        let names = openssl(
            &[&x509[..], &nameopt, &["-subject", "-ext", "subjectAltName"]].concat(),
            &workplace.join(id),
        );
        let subject = format!(
            "subject=\n    C={country}\n    ST={site}\n    O=Example Devices\n    OU=Order {order}\n    \
             dnQualifier={revision}\n    CN={id}\n    serialNumber={id}\n"
        );
        let san = format!("DNS:{id}.devices.example, URI:urn:example:device:{id}");
        assert!(names.starts_with(&subject), "{names}\nnot {subject}");
        assert!(names.contains(&san), "{names}\nnot {san}");
    }
}

#[test]
fn endpoints_follow_the_profile() {
    let workplace = Workplace::new();
    workplace.manifest(8);
    let profile = "name = \"endpoint\"\n\
                   [endpoint]\nhost = \"mqtt.example.com\"\nport = 443\nregion = \"eu-west-3\"\n\
                   thing_name = \"thing-{serial_number}\"\nclient_id = \"{site}-{serial_number}\"\n";
    fs::write(workplace.join("profile.toml"), profile).unwrap();
    workplace.succeed(&["run", "devices.csv", "--no-endpoint", "--profile", "profile.toml"]);
    let endpoint = [
        "--host",
        "mqtt.example.com",
        "--port",
        "443",
        "--region",
        "eu-west-3",
    ];
    let names = [
        "--thing-name",
        "thing-{serial_number}",
        "--client-id",
        "{site}-{serial_number}",
    ];
    judge_accepts(
        &workplace.only_batch(),
        8,
        &[&ISSUER[..], &endpoint, &names].concat(),
        workplace.path(),
    );
}

#[test]
fn bundles_without_an_endpoint_say_so() {
    let workplace = Workplace::new();
    workplace.manifest(8);
    workplace.succeed(&["run", "devices.csv", "--no-endpoint"]);
    judge_accepts(&workplace.only_batch(), 8, &ISSUER, workplace.path());
}

#[test]
fn the_judge_refuses_bundles_that_are_wrong() {
    type Harm = fn(&mut Bundle, &mut Bundle);
    let victim = Victim::new();
    let swap = |name: &str, a: &mut Bundle, b: &mut Bundle| std::mem::swap(a.member(name), b.member(name));
    let unharmed = victim.harmed("unharmed", &|_, _| {});
    let arguments = [&ISSUER[..], &ENDPOINT].concat();
    judge_accepts(&unharmed, 4, &arguments, victim.workplace.path());

    victim.judge_refuses(
        &victim.harmed("swapped-keys", &|a, b| swap("private.pem.key", a, b)),
        "SN000000: the key is not the certificate's",
    );
    let issuer = fs::read_to_string(victim.workplace.join("ca/certificate.pem")).unwrap();
    let forged = victim.harmed("forged-signature", &|a, _| {
        let mut der = a.certificate();
        *der.last_mut().unwrap() ^= 1;
        a.set_certificate(&der, &issuer);
    });
    victim.judge_refuses(&forged, "SN000000: the issuer did not sign the certificate");
    let not_after = |der: &[u8]| {
        fs::write(victim.workplace.join("made.der"), der).unwrap();
        let x509 = [
            "x509", "-in", "made.der", "-noout", "-enddate", "-dateopt", "iso_8601",
        ];
        let text = openssl(&x509, victim.workplace.path());
        text.trim_end().trim_start_matches("notAfter=").replace(' ', "T")
    };
    let reused_key = victim.harmed("reused-key", &|a, b| {
        let key = a.member("private.pem.key").clone();
        let der = victim.certificate(&key, &b.row.certificate_serial);
        *b.member("private.pem.key") = key;
        b.set_certificate(&der, &issuer);
        b.row.not_after = not_after(&der);
    });
    victim.judge_refuses(&reused_key, "SN000001: the key is also that of SN000000");
    let reused_serial = victim.harmed("reused-serial", &|a, b| {
        let key = b.member("private.pem.key").clone();
        let der = victim.certificate(&key, &a.row.certificate_serial);
        b.set_certificate(&der, &issuer);
        b.row.certificate_serial.clone_from(&a.row.certificate_serial);
        b.row.not_after = not_after(&der);
    });
    victim.judge_refuses(
        &reused_serial,
        "SN000001: the certificate serial is also that of SN000000",
    );
    let harms: [(&str, Harm, &str); 8] = [
        (
            "same-credential-twice",
            |a, b| {
                b.members.clone_from(&a.members);
                b.row.certificate_id.clone_from(&a.row.certificate_id);
                b.row.certificate_serial.clone_from(&a.row.certificate_serial);
            },
            "SN000001: the common name is",
        ),
        (
            "reversed-chain",
            |a, _| {
                let chain = String::from_utf8(a.member("chain.pem.crt").clone()).unwrap();
                let (leaf, issuer) = chain.split_at(chain.rfind("-----BEGIN").unwrap());
                *a.member("chain.pem.crt") = format!("{issuer}{leaf}").into_bytes();
            },
            "SN000000: the chain is",
        ),
        (
            "wrong-root",
            |a, _| *a.member("AmazonRootCA1.pem") = a.member("AmazonRootCA3.pem").clone(),
            "SN000000: AmazonRootCA1.pem is",
        ),
        (
            "others-endpoint",
            |a, b| *a.member("endpoint.json") = b.member("endpoint.json").clone(),
            "SN000000: endpoint.json is",
        ),
        (
            "missing-member",
            |a, _| drop(a.members.remove(2)),
            "SN000000: the list of members is",
        ),
        (
            "wrong-serial",
            |a, b| a.row.certificate_serial.clone_from(&b.row.certificate_serial),
            "SN000000: the certificate serial is",
        ),
        (
            "wrong-expiry",
            |a, _| a.row.not_after = "2040-01-01T00:00:00Z".to_owned(),
            "SN000000: notAfter is",
        ),
        (
            "same-device-twice",
            |a, b| {
                b.row.clone_from(&a.row);
                b.members.clone_from(&a.members);
            },
            "SN000000: the device id is also that of",
        ),
    ];
    for (name, harm, message) in harms {
        victim.judge_refuses(&victim.harmed(name, &harm), message);
    }
}

#[test]
fn the_judge_refuses_batches_that_are_wrong() {
    let victim = Victim::new();
    let bundle = |batch: &Path| batch.join(&victim.rows[1].object);

    let flipped = victim.copy("flipped-byte");
    let mut octets = fs::read(bundle(&flipped)).unwrap();
    let start = b"-----BEGIN PRIVATE KEY-----\n";
    let key = octets.windows(start.len()).position(|window| window == start);
    octets[key.unwrap() + start.len() + 20] ^= 1;
    fs::write(bundle(&flipped), &octets).unwrap();
    victim.judge_refuses(&flipped, "SN000001: the SHA-256 is");

    let damaged = victim.copy("flipped-byte-and-digest");
    let mut second = Bundle::read(&damaged, &victim.rows[1]);
    second.write_octets(&damaged, &octets);
    let rows = [&victim.rows[..1], &[second.row], &victim.rows[2..]].concat();
    write_rows(&damaged, &rows);
    victim.judge_refuses(&damaged, "SN000001: private.pem.key is damaged");

    let short = victim.copy("missing-row");
    write_rows(&short, &victim.rows[1..]);
    let certificates = short.join("certificates/000000.pem");
    let text = fs::read_to_string(&certificates).unwrap();
    let second = 1 + text[1..].find("-----BEGIN").unwrap();
    fs::write(&certificates, &text[second..]).unwrap();
    victim.judge_refuses(&short, "no bundle for SN000000");

    let stray = victim.copy("stray-bundle");
    fs::create_dir_all(stray.join("bundles/00")).unwrap();
    fs::copy(bundle(&stray), stray.join("bundles/00/X.zip")).unwrap();
    victim.judge_refuses(
        &stray,
        "the set of objects that no index has is {'bundles/00/X.zip'}",
    );

    victim
        .workplace
        .succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let other = [&["--issuer", "other/certificate.pem"][..], &ENDPOINT].concat();
    victim.judge_refuses_with(&victim.batch, &other, "SN000000: the chain is");
    let no_trust = [&ISSUER[..], &ENDPOINT, &["--root", "other/certificate.pem"]].concat();
    victim.judge_refuses_with(
        &victim.batch,
        &no_trust,
        "SN000000: the certificate does not verify",
    );
}
