//! PKCS#12 files whose password is in a file beside the profile: one for all devices, and in no record and no message.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::judge::openssl;
use crate::support::Workplace;

const PASSWORD: &str = "Geheim 7-Forge";

const PROFILE: &str = "name = \"own\"
[bundle]
archive = \"none\"
[[bundle.files]]
name = \"{device_id}.p12\"
format = \"pkcs12\"
password = { file = \"p12.password\" }
";

const RUN: [&str; 9] = [
    "run",
    "devices.csv",
    "--endpoint",
    "a.example",
    "--batch",
    "b",
    "--profile",
    "line/own.toml",
    "--json",
];

const CHECK: [&str; 6] = [
    "check",
    "devices.csv",
    "--endpoint",
    "a.example",
    "--profile",
    "line/own.toml",
];

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A profile whose password is in a file with this text.
fn prepared(text: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(2);
    fs::create_dir(place.join("line")).unwrap();
    fs::write(place.join("line/own.toml"), PROFILE).unwrap();
    private(&place.join("line/p12.password"), text);
    place
}

fn verified(place: &Workplace, more: &[&str]) -> Value {
    let found = place.succeed(&[&["verify", "out/b", "--json"], more].concat());
    serde_json::from_str(&found).unwrap()
}

#[test]
fn the_password_of_a_file_opens_every_devices_file_and_is_written_nowhere() {
    let place = prepared(&format!("{PASSWORD}\r\nwhat follows is nothing\n"));
    place.succeed(&CHECK);
    place.succeed(&RUN);
    for (hash, id) in [("de", "SN000000"), ("d1", "SN000001")] {
        let file = place.join(&format!("out/b/bundles/{hash}/{id}.bin"));
        fs::copy(file, place.join("device.p12")).unwrap();
        let pass = format!("pass:{PASSWORD}");
        let read = [
            "pkcs12",
            "-in",
            "device.p12",
            "-passin",
            &pass,
            "-nodes",
            "-nokeys",
            "-clcerts",
        ];
        let subject = openssl(&[&read[..], &["-out", "own.pem"]].concat(), place.path());
        assert!(subject.is_empty(), "{subject}");
        let subject = openssl(&["x509", "-in", "own.pem", "-noout", "-subject"], place.path());
        assert!(subject.contains(id), "{subject}");
    }
    // Nothing that a run leaves behind has it.
    for entry in walk(place.path()) {
        if !entry.ends_with("line/p12.password") {
            let octets = fs::read(&entry).unwrap();
            let is_there = octets
                .windows(PASSWORD.len())
                .any(|window| window == PASSWORD.as_bytes());
            assert!(!is_there, "{}", entry.display());
        }
    }
    // The batch goes on with the same one alone.
    place.succeed(&RUN);
    private(&place.join("line/p12.password"), "another\n");
    let told = place.fail(&RUN, 7);
    assert!(
        told.contains("was begun with another profile text, file of the profile"),
        "{told}"
    );
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn verify_opens_the_files_with_the_password_and_says_when_it_does_not() {
    let place = prepared(PASSWORD);
    place.succeed(&RUN);
    // It needs neither profile nor manifest for that.
    fs::rename(place.join("line/p12.password"), place.join("password")).unwrap();
    fs::remove_dir_all(place.join("line")).unwrap();
    let opened = verified(&place, &["--pkcs12-password-file", "password"]);
    assert_eq!((&opened["good"], &opened["not_opened"]), (&2.into(), &0.into()));
    let shut = verified(&place, &[]);
    assert_eq!(
        (&shut["good"], &shut["not_opened"]),
        (&2.into(), &2.into()),
        "{shut:#}"
    );
    let told = place.succeed(&["verify", "out/b"]);
    assert!(
        told.contains("2 bundles have a file that was NOT OPENED"),
        "{told}"
    );

    // One with another device's key has another digest, which is all that can be seen without the password.
    let own = place.join("out/b/bundles/de/SN000000.bin");
    fs::copy(place.join("out/b/bundles/d1/SN000001.bin"), &own).unwrap();
    let told = |more: &[&str]| {
        let output = place.run(&[&["verify", "out/b"], more].concat());
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let without = told(&[]);
    assert!(without.contains("SHA-256 is not that of the index"), "{without}");
    let with = told(&["--pkcs12-password-file", "password", "--no-ledger"]);
    assert!(with.contains("certificate id is not that of the index"), "{with}");
    assert!(!without.contains("certificate id is not"), "{without}");

    private(&place.join("other"), "another");
    let told = place.fail(&["verify", "out/b", "--pkcs12-password-file", "other"], 2);
    assert_eq!(
        told,
        "certforge: error: password other is not that of a file of these bundles\n\
         certforge: hint: give the file that the profile named when they were made, for {device_id}.p12\n"
    );
    fs::set_permissions(place.join("other"), PermissionsExt::from_mode(0o644)).unwrap();
    let told = place.fail(&["verify", "out/b", "--pkcs12-password-file", "other"], 2);
    assert_eq!(
        told,
        "certforge: error: password other: it can be read by others (mode 0644)\n\
         certforge: hint: chmod 600 other; who has read it meanwhile can open every file that it locks\n"
    );
}

#[test]
fn a_password_of_a_column_is_not_counted_as_opened_without_the_manifest() {
    let place = prepared(PASSWORD);
    fs::write(
        place.join("line/own.toml"),
        PROFILE.replace("{ file = \"p12.password\" }", "\"{serial_number}\""),
    )
    .unwrap();
    place.succeed(&RUN);
    let opened = verified(&place, &["--manifest", "devices.csv"]);
    assert_eq!((&opened["good"], &opened["not_opened"]), (&2.into(), &0.into()));
    let shut = verified(&place, &["--no-ledger"]);
    assert_eq!((&shut["good"], &shut["not_opened"]), (&2.into(), &2.into()));
    let told = place.fail(
        &["verify", "out/b", "--pkcs12-password-file", "line/p12.password"],
        2,
    );
    assert!(
        told.contains("hint: leave it out: no file of these bundles opens with a password from a file"),
        "{told}"
    );
}

/// The certificate beside the bundles is held against index and row, when the one in the bundle is locked away.
#[test]
fn a_device_whose_file_is_not_opened_has_the_certificate_that_lies_beside_it() {
    let place = prepared(PASSWORD);
    place.succeed(&RUN);
    let path = place.join("out/b/certificates/000000.pem");
    let text = fs::read_to_string(&path).unwrap();
    let last = text.rfind("-----BEGIN").unwrap();
    fs::write(&path, format!("{}{}", &text[last..], &text[..last])).unwrap();
    let output = place.run(&["verify", "out/b"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("its certificate is not among those of its chunk"),
        "{told}"
    );
}

#[test]
fn bundles_are_made_anew_by_the_password_they_have_and_the_one_they_get() {
    let place = prepared(PASSWORD);
    place.succeed(&RUN);
    fs::copy(place.join("line/p12.password"), place.join("password")).unwrap();
    let repack = ["bundle", "repack", "out/b", "--endpoint", "b.example"];
    let told = place.fail(&repack, 4);
    assert!(told.contains("nobody has read the file p12.password"), "{told}");
    place.succeed(&[&repack[..], &["--pkcs12-password-file", "password"]].concat());
    let opened = verified(&place, &["--pkcs12-password-file", "password"]);
    assert_eq!((&opened["good"], &opened["generation"]), (&2.into(), &1.into()));
    // To another password: the profile names its file.
    private(&place.join("line/p12.password"), "the next one");
    let repack = ["bundle", "repack", "out/b", "--profile", "line/own.toml"];
    let told = place.fail(&repack, 6);
    let what =
        "{device_id}.p12 was not opened, for want of its password, and no other file gives its key back";
    assert!(told.contains(what), "{told}");
    place.succeed(&[&repack[..], &["--pkcs12-password-file", "password"]].concat());
    let opened = verified(&place, &["--pkcs12-password-file", "line/p12.password"]);
    assert_eq!((&opened["good"], &opened["not_opened"]), (&2.into(), &0.into()));
    place.fail(&["verify", "out/b", "--pkcs12-password-file", "password"], 2);
}

#[test]
fn check_finds_what_is_wrong_with_the_file_before_anything_is_made() {
    let long = "x".repeat(257);
    let useless = "put 1 to 256 printable characters of ASCII into the first line of the file";
    for (text, what, hint) in [
        ("", "the password is empty", useless),
        ("\nsecond line", "the password is empty", useless),
        (long.as_str(), "the password has more than 256 octets", useless),
        (
            "Köln",
            "the password has more than ASCII, which programs encode in several ways",
            useless,
        ),
    ] {
        let place = prepared(text);
        let told = place.fail(&CHECK, 4);
        assert_eq!(
            told,
            format!(
                "certforge: error: profile line/own.toml: field bundle.files: {{device_id}}.p12: p12.password: {what}\n\
                 certforge: hint: {hint}\n"
            )
        );
        place.fail(&RUN, 4);
        assert!(!place.join("out").exists() && !place.join("ca").exists());
    }
    let place = prepared(PASSWORD);
    let path = place.join("line/p12.password");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let told = place.fail(&CHECK, 4);
    assert_eq!(
        told,
        "certforge: error: profile line/own.toml: field bundle.files: {device_id}.p12: p12.password: it can be read by others (mode 0640)\n\
         certforge: hint: chmod 600 line/p12.password; who has read it meanwhile can open every file that it locks\n"
    );
    private(&path, PASSWORD);
    fs::write(
        place.join("line/own.toml"),
        PROFILE.replace("p12.password\"", "p12.password\", check = \"00\""),
    )
    .unwrap();
    let told = place.fail(&CHECK, 4);
    assert!(
        told.contains("p12.password: it holds another than the one that the profile asks for"),
        "{told}"
    );
}
