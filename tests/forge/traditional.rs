//! Keys as they were before PKCS#8: openssl reads them, and `verify` holds each file with one against the certificate.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::judge::openssl;
use crate::support::Workplace;

const ANOTHERS: &str = "another's";
const FIRST: &str = "bundles/de/SN000000.zip";
const SECOND: &str = "bundles/d1/SN000001.zip";

/// A sealed batch `b` of some devices.
fn made(profile: &str, rows: usize) -> Workplace {
    let place = Workplace::new();
    place.manifest(rows);
    let run = ["run", "devices.csv", "--no-endpoint", "--batch", "b", "--profile"];
    place.succeed(&[&run[..], &[profile]].concat());
    let verified = place.succeed(&["verify", "out/b"]);
    assert!(
        verified.contains(&format!("{rows} devices verified")),
        "{verified}"
    );
    place
}

/// The profile's key in both forms, each in a file of its own.
fn both_forms(key_type: &str, format: &str) -> Workplace {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("profile.toml");
    let profile = format!(
        "name = \"both\"\n[key]\ntype = \"{key_type}\"\n\
         [[bundle.files]]\nname = \"key.pem\"\ncontent = \"private-key\"\nformat = \"{format}\"\n\
         [[bundle.files]]\nname = \"key.der\"\ncontent = \"private-key\"\nformat = \"{format}-der\"\n\
         [[bundle.files]]\nname = \"certificate.pem.crt\"\ncontent = \"certificate\"\n"
    );
    fs::write(&path, profile).expect("the profile is written");
    made(path.to_str().expect("the path is UTF-8"), 2)
}

fn members(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let octets = fs::read(bundle).expect("a bundle");
    let mut archive = ZipArchive::new(Cursor::new(octets)).expect("a zip");
    let len = archive.len();
    let read = |i| {
        let mut member = archive.by_index(i).expect("a member");
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("the member reads");
        (member.name().expect("a name").into_owned(), content)
    };
    (0..len).map(read).collect()
}

fn write(bundle: &Path, members: &[(String, Vec<u8>)]) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name, options).expect("a member");
        writer.write_all(content).expect("memory does not fail");
    }
    let zip = writer.finish().expect("a zip").into_inner();
    fs::write(bundle, zip).expect("the bundle is overwritten");
}

/// openssl finds the keys sound, and the public key of each to be the certificate's.
fn openssl_reads(place: &Workplace, command: &str, label: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for bundle in [FIRST, SECOND] {
        for (name, content) in members(&place.join("out/b").join(bundle)) {
            fs::write(folder.path().join(&name), &content).expect("the file is written");
            if name == "key.pem" {
                let text = String::from_utf8(content).expect("PEM is ASCII");
                assert!(text.starts_with(&format!("-----BEGIN {label}-----\n")));
                assert!(text.ends_with(&format!("\n-----END {label}-----\n")));
            }
        }
        let openssl = |arguments: &[&str]| openssl(arguments, folder.path());
        let public = openssl(&["x509", "-in", "certificate.pem.crt", "-pubkey", "-noout"]);
        for (name, form) in [("key.pem", "PEM"), ("key.der", "DER")] {
            let read = [command, "-inform", form, "-in", name];
            assert_eq!(openssl(&[&read[..], &["-pubout"]].concat()), public);
            openssl(&[&read[..], &["-check", "-noout"]].concat());
        }
        // What openssl writes in this form, it writes so too.
        let mut write = vec![command, "-in", "key.pem", "-outform", "DER", "-out", "again.der"];
        if command == "rsa" {
            write.push("-traditional");
        }
        openssl(&write);
        let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
        assert_eq!(read("again.der"), read("key.der"));
    }
}

/// Each file with a key is held against the certificate, also where the other one is good: another device's key, a damaged one, PKCS#8.
fn verify_refuses(place: &Workplace) {
    place.unseal("b");
    let bundle = place.join("out/b").join(FIRST);
    let (good, other) = (members(&bundle), members(&place.join("out/b").join(SECOND)));
    for i in 0..2 {
        let name = &good[i].0;
        assert!(name.starts_with("key."), "{name}");
        let mut flipped = good[i].1.clone();
        // In the secret of an EC key, in the modulus of an RSA key.
        flipped[40] ^= 1;
        let pkcs8 = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n".to_vec();
        for (what, content) in [
            (ANOTHERS, other[i].1.clone()),
            ("cut", good[i].1[..good[i].1.len() - 31].to_vec()),
            ("flipped", flipped),
            ("PKCS#8", pkcs8),
        ] {
            let mut changed = good.clone();
            changed[i].1 = content;
            write(&bundle, &changed);
            let output = place.run(&["verify", "out/b"]);
            let text = String::from_utf8_lossy(&output.stdout);
            let fault = "device SN000000, bundles/de/SN000000.zip: the private key does not ";
            assert_eq!(output.status.code(), Some(1), "{name}, {what}: {text}");
            let said = text.lines().find_map(|line| line.strip_prefix(fault));
            let expected: &[&str] = match what {
                ANOTHERS => &["match the certificate"],
                // Where a bit is in a PEM decides whether it is still a key.
                _ => &["match the certificate", "parse"],
            };
            assert!(
                said.is_some_and(|said| expected.contains(&said)),
                "{name}, {what}: {text}"
            );
        }
    }
}

#[test]
fn ec_keys_as_sec1_are_read_by_openssl_and_held_against_the_certificate() {
    for key_type in ["P-256", "P-384", "P-521"] {
        let place = both_forms(key_type, "sec1");
        openssl_reads(&place, "ec", "EC PRIVATE KEY");
        verify_refuses(&place);
    }
}

#[test]
fn rsa_keys_as_pkcs1_are_read_by_openssl_and_held_against_the_certificate() {
    let place = both_forms("RSA-2048", "pkcs1");
    openssl_reads(&place, "rsa", "RSA PRIVATE KEY");
    verify_refuses(&place);
}

#[test]
fn the_profile_for_modems_has_the_files_of_the_default_and_a_sec1_key() {
    let files = |profile: &str| members(&made(profile, 2).join("out/b").join(FIRST));
    let (modem, default) = (files("modem-sec1"), files("aws-iot-p256"));
    let names =
        |files: &[(String, Vec<u8>)]| -> Vec<_> { files.iter().map(|(name, _)| name.clone()).collect() };
    assert_eq!(names(&modem), names(&default));
    for ((name, content), (_, of_default)) in modem.iter().zip(&default) {
        match name.as_str() {
            "private.pem.key" => assert!(content.starts_with(b"-----BEGIN EC PRIVATE KEY-----\n")),
            "certificate.pem.crt" | "chain.pem.crt" => {}
            _ => assert_eq!(content, of_default, "{name}"),
        }
    }
}
