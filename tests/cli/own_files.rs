//! The profile of the book, whose bundles hold several contents in one file, and a file of the user's own.

use std::fs;
use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::support::Workplace;

const RUN: [&str; 7] = [
    "run",
    "devices.csv",
    "--no-endpoint",
    "--batch",
    "b",
    "--profile",
    "line/pump.toml",
];
const BUNDLE: &str = "out/b/bundles/de/SN000000.zip";
const ROOTS: &str = "any octets\0 of the user's own\n";

/// A workplace with the book's profile and its file in a folder, and a batch made with them.
fn workplace() -> Workplace {
    let page = include_str!("../../docs/profiles.md");
    let profile = page.split("```toml\n").nth(1).expect("the page has a profile");
    let profile = profile.split("```").next().expect("it ends");
    assert!(profile.contains("factory-roots.pem"));
    let place = Workplace::new();
    place.manifest(3);
    fs::create_dir(place.join("line")).expect("a folder");
    fs::write(place.join("line/pump.toml"), profile).expect("the profile is written");
    fs::write(place.join("line/factory-roots.pem"), ROOTS).expect("the file is written");
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&RUN);
    place
}

fn files(zip: &[u8]) -> Vec<(String, String)> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).expect("a zip");
    let mut files = Vec::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).expect("a file");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("it is text");
        files.push((file.name().expect("a name").into_owned(), text));
    }
    files
}

#[test]
fn the_profile_of_the_book_makes_what_it_says() {
    let place = workplace();
    let zip = fs::read(place.join(BUNDLE)).expect("a bundle");
    let files = files(&zip);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["roots.pem", "identity.pem", "endpoint.json"]);
    assert_eq!(files[0].1, ROOTS);
    let labels: Vec<_> = files[1]
        .1
        .lines()
        .filter(|line| line.starts_with("-----BEGIN"))
        .collect();
    let certificate = "-----BEGIN CERTIFICATE-----";
    assert_eq!(labels, ["-----BEGIN PRIVATE KEY-----", certificate, certificate]);
    let issuer = fs::read_to_string(place.join("ca/certificate.pem")).expect("the CA's certificate");
    assert!(files[1].1.ends_with(&issuer));

    // The batch speaks for itself: neither profile nor file is asked again, by verify or by a station.
    fs::remove_dir_all(place.join("line")).expect("they are removed");
    place.succeed(&["verify", "out/b"]);
    let record = fs::read_to_string(place.join("out/b/batch.json")).expect("a record");
    assert!(
        record.contains("\"sha256\"") && !record.contains("any octets"),
        "{record}"
    );
    let claim = [
        "station",
        "claim",
        "--batch",
        "out/b",
        "--station",
        "st1",
        "--memory",
        "memory",
    ];
    place.succeed(&[&claim[..], &["--device", "SN000000", "--out", "dev"]].concat());
    assert_eq!(
        fs::read_to_string(place.join("dev/roots.pem")).expect("a file"),
        ROOTS
    );
}

#[test]
fn a_batch_does_not_go_on_with_a_file_that_was_changed() {
    let place = workplace();
    place.succeed(&RUN);
    fs::write(place.join("line/factory-roots.pem"), "others\n").expect("the file is changed");
    let text = place.fail(&RUN, 7);
    let start = "certforge: error: batch b was begun with another profile text, file of the profile, --endpoint or --recipient: ";
    assert!(text.starts_with(start), "{text}");
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn verify_names_the_file_that_is_not_what_the_profile_says() {
    let place = workplace();
    let zip = fs::read(place.join(BUNDLE)).expect("a bundle");
    let original = files(&zip);
    let identity = &original[1].1;
    let certificate = identity.find("-----BEGIN CERTIFICATE").expect("a certificate");
    let last = identity.rfind("-----BEGIN CERTIFICATE").expect("a certificate");
    let own = &identity[certificate..last];
    let long = "x".repeat(65_537);
    let without_issuer = format!("{}{own}", &identity[..last]);
    let malformed = "identity.pem is not what the profile says: private-key, certificate, issuer, in pem";
    for (changed, text, whats) in [
        (
            0,
            "others\n",
            vec!["roots.pem is not the file factory-roots.pem that the profile names"],
        ),
        (0, long.as_str(), vec!["roots.pem has more than 65536 octets"]),
        (
            1,
            &identity[..last],
            vec![malformed, "the certificate does not parse"],
        ),
        (
            1,
            without_issuer.as_str(),
            vec!["identity.pem does not hold the issuer"],
        ),
    ] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (i, (name, content)) in original.iter().enumerate() {
            writer
                .start_file(name, SimpleFileOptions::default())
                .expect("a file");
            let content = if i == changed { text } else { content.as_str() };
            writer
                .write_all(content.as_bytes())
                .expect("memory does not fail");
        }
        let changed = writer.finish().expect("a zip").into_inner();
        fs::write(place.join(BUNDLE), changed).expect("the bundle is overwritten");
        let output = place.run(&["verify", "out/b", "--no-ledger"]);
        let found = String::from_utf8(output.stdout).expect("output is UTF-8");
        let mut expected = vec!["SHA-256 is not that of the index"];
        expected.extend(whats);
        let found: Vec<_> = found
            .lines()
            .filter_map(|line| line.split_once(".zip: "))
            .collect();
        let found: Vec<_> = found.into_iter().map(|(_, what)| what).collect();
        assert_eq!(found, expected);
        assert_eq!(output.status.code(), Some(1));
    }
}
