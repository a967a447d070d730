//! Batches whose profile shares what is the same for all devices: in `shared.zip`, once, and in no bundle.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use certforge::digest::sha256;
use certforge::pem;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use zip::ZipArchive;
use zip::write::SimpleFileOptions;

#[cfg(feature = "s3")]
use crate::s3_server;
use crate::support::{Workplace, tool};

const PROFILE: &str = "aws-iot-p256-shared";

fn factory(rows: usize) -> Workplace {
    let place = Workplace::new();
    place.manifest(rows);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place
}

fn run<'a>(profile: &'a str, layout: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--profile",
        profile,
        "--layout",
        layout,
        "--chunk-rows",
        "8",
    ];
    [&arguments[..], more].concat()
}

fn made(layout: &str, rows: usize) -> Workplace {
    let place = factory(rows);
    place.succeed(&run(PROFILE, layout, &[]));
    place
}

fn claim<'a>(batch: &'a str, out: &'a str) -> Vec<&'a str> {
    ["station", "claim", "--next", "--batch", batch, "--out", out].to_vec()
}

fn names(zip: &[u8]) -> Vec<String> {
    let archive = ZipArchive::new(Cursor::new(zip)).unwrap();
    archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const ALL: [&str; 5] = [
    "AmazonRootCA1.pem",
    "AmazonRootCA3.pem",
    "certificate.pem.crt",
    "issuer.pem",
    "private.pem.key",
];

fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// From the manifest to a station, and once more by hand.
fn is_made_and_flashed(place: &Workplace, to: &str, layout: &str, command: &dyn Fn(&[&str]) -> Command) {
    let succeed = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}\n{text}");
        String::from_utf8(output.stdout).unwrap()
    };
    let batch = format!("{to}/b");
    let run = run(PROFILE, layout, &["--ca", "ca", "--to", to]);
    succeed(&run);
    let verified = succeed(&["verify", &batch, "--manifest", "devices.csv"]);
    assert!(verified.contains("20 devices verified, sealed"), "{verified}");
    let again = succeed(&run);
    assert!(again.contains("nothing: 20 devices made before"), "{again}");
    let script = "#!/bin/sh\nls \"$CERTFORGE_BUNDLE_DIR\" > \"seen-$CERTFORGE_STATION\"\n";
    fs::write(place.join("flash"), script).unwrap();
    fs::set_permissions(place.join("flash"), Permissions::from_mode(0o755)).unwrap();
    let ca = fs::read(place.join("ca/certificate.pem")).unwrap();
    let id = HEXLOWER.encode(&sha256(&pem::certificates(&ca)[0]));
    for (issuer, station) in [("ca", "st1"), (id.as_str(), "st2")] {
        let memory = format!("memory-{station}");
        let of = ["--issuer", issuer, "--station", station, "--memory", &memory];
        succeed(&[&claim(&batch, station)[..], &of].concat());
        let folder = place.join(station);
        assert_eq!(listed(&folder), ALL);
        assert_eq!(fs::read(folder.join("issuer.pem")).unwrap(), ca);
        // The script of a station finds them all in one place.
        let run = [
            "station", "run", "--batch", &batch, "--limit", "1", "--exec", "./flash",
        ];
        succeed(&[&run[..], &of].concat());
        let seen = fs::read_to_string(place.join(&format!("seen-{station}"))).unwrap();
        let mut seen: Vec<&str> = seen.lines().collect();
        seen.sort_unstable();
        assert_eq!(seen, ALL);
    }
}

#[test]
fn a_folder_takes_a_batch_with_shared_files() {
    for layout in ["objects", "packs"] {
        let place = factory(20);
        is_made_and_flashed(&place, "out", layout, &|arguments| place.command(arguments));
        let batch = place.only_batch();
        let shared = fs::read(batch.join("shared.zip")).unwrap();
        assert_eq!(
            names(&shared),
            ["issuer.pem", "AmazonRootCA1.pem", "AmazonRootCA3.pem"]
        );
        let index = fs::read_to_string(batch.join("index/000000.csv")).unwrap();
        let row: Vec<_> = index.lines().nth(1).unwrap().split(',').collect();
        let object = fs::read(batch.join(row[4])).unwrap();
        let (offset, length): (usize, usize) = (row[5].parse().unwrap(), row[6].parse().unwrap());
        let bundle = &object[offset..offset + length];
        assert_eq!(names(bundle), ["private.pem.key", "certificate.pem.crt"]);
        assert!(length < 1400, "a bundle has {length} octets");
        let ledger = place.join("ca/ledger.db");
        assert_eq!(crate::account::account(&batch, &ledger), 20);
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_takes_a_batch_with_shared_files() {
    for layout in ["objects", "packs"] {
        let place = factory(20);
        let server = s3_server::S3Server::start();
        is_made_and_flashed(&place, "s3://factory", layout, &|arguments| {
            let mut command = place.command(arguments);
            command.args(["--endpoint-url", &s3_server::url(server.address)]);
            s3_server::account(&mut command, place.path());
            command
        });
    }
}

/// Older certforges parse the record, and refuse the seal by its format; and of a default batch nothing has changed.
#[test]
fn the_documents_have_the_shape_that_older_certforges_read() {
    let (shared, plain) = (made("packs", 3), factory(3));
    plain.succeed(&run("aws-iot-p256", "packs", &[]));
    let fields = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let read = |place: &Workplace, name: &str| json(&place.only_batch().join(name));
    let (own, other) = (read(&shared, "batch.json"), read(&plain, "batch.json"));
    assert_eq!(fields(&own), fields(&other));
    let known = [
        "name",
        "description",
        "manifest",
        "key",
        "subject",
        "policies_read_subject",
        "validity",
        "san",
        "bundle",
        "endpoint",
    ];
    assert!(
        fields(&own["profile"])
            .iter()
            .all(|field| known.contains(&field.as_str()))
    );
    for file in own["profile"]["bundle"]["files"].as_array().unwrap() {
        assert_eq!(fields(file), ["name", "content"], "{file}");
    }
    let (own, other) = (read(&shared, "seal.json"), read(&plain, "seal.json"));
    assert_eq!(own["seal"]["certforge_seal"], 2);
    assert_eq!(other["seal"]["certforge_seal"], 1);
    assert_eq!(own["seal"]["shared_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(other["seal"].get("shared_sha256"), None);
    assert!(!plain.only_batch().join("shared.zip").exists());
}

/// One that knew nothing of shared files signed for what it found.
#[test]
fn a_seal_of_an_older_certforge_does_not_stand_for_shared_files() {
    let place = made("packs", 3);
    let path = place.join("out/b/seal.json");
    let text = fs::read_to_string(&path).unwrap();
    let statement = text.split_once("{\"seal\":").unwrap().1;
    let statement = statement.split_once(",\"signature\"").unwrap().0;
    let start = statement.split_once(",\"shared_sha256\"").unwrap().0;
    let statement = format!("{start}}}").replacen("\"certforge_seal\":2", "\"certforge_seal\":1", 1);
    fs::write(place.join("statement"), &statement).unwrap();
    let key = [
        "dgst",
        "-sha256",
        "-sign",
        "ca/key.pem",
        "-out",
        "signature",
        "statement",
    ];
    assert!(tool("openssl", &key, place.path()).status.success());
    let value = BASE64.encode(&fs::read(place.join("signature")).unwrap());
    let signature = format!("{{\"algorithm\":\"ecdsa-with-SHA256\",\"value\":\"{value}\"}}");
    fs::write(
        &path,
        format!("{{\"seal\":{statement},\"signature\":{signature}}}\n"),
    )
    .unwrap();
    let of = ["--station", "st1", "--memory", "memory"];
    let told = place.fail(&[&claim("out/b", "dev")[..], &of].concat(), 6);
    let fault = "seal.json says nothing of shared.zip, which this batch has: an older certforge sealed it";
    assert!(told.contains(fault), "{told}");
    let report = String::from_utf8(place.run(&["verify", "out/b"]).stdout).unwrap();
    assert!(report.contains(fault), "{report}");
}

/// The ZIP again, with these files changed or added.
fn rewritten(zip: &[u8], changed: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).unwrap();
        files.push((file.name().unwrap().into_owned(), octets));
    }
    for (name, text) in changed {
        files.retain(|(other, _)| other != name);
        files.push(((*name).to_owned(), text.as_bytes().to_vec()));
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in files {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(&octets).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_became_of_shared_files_is_named() {
    let place = made("packs", 3);
    let path = place.join("out/b/shared.zip");
    let whole = fs::read(&path).unwrap();
    let changed = rewritten(&whole, &[("issuer.pem", "another")]);
    let extra = rewritten(&whole, &[("more.pem", "x")]);
    let differs = "shared.zip: is not what the seal says";
    for (octets, faults) in [
        (
            Some(&changed),
            vec![
                differs,
                "shared.zip: issuer.pem is not the certificate it is named for",
            ],
        ),
        (
            Some(&extra),
            vec![
                differs,
                "more.pem where the profile has issuer.pem, AmazonRootCA1.pem, AmazonRootCA3.pem",
            ],
        ),
        (
            None,
            vec!["shared.zip: is missing, which has the files that all devices share"],
        ),
    ] {
        match octets {
            Some(octets) => fs::write(&path, octets).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let output = place.run(&["verify", "out/b"]);
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{report}");
        for fault in &faults {
            assert!(report.contains(fault), "{report}");
        }
        let of = ["--station", "st1", "--memory", "memory"];
        let told = place.fail(&[&claim("out/b", "dev")[..], &of].concat(), 6);
        assert!(told.contains("shared.zip"), "{told}");
        assert!(!place.join("dev").exists(), "nothing is unpacked");
        // A cache that was read before would say otherwise.
        fs::remove_dir_all(place.join("memory")).unwrap();
        // Sealed once more, it is looked at.
        let seal = place.join("out/b/seal.json");
        let sealed = fs::read(&seal).unwrap();
        let told = place.fail(&["seal", "out/b"], 6);
        assert!(told.contains("out/b/shared.zip is "), "{told}");
        place.unseal("b");
        let told = place.fail(&["seal", "out/b"], 6);
        assert!(told.contains("out/b/shared.zip is "), "{told}");
        if octets.is_some() {
            let told = place.fail(&run(PROFILE, "packs", &[]), 6);
            let fault = "out/b/shared.zip is not what this batch's profile and issuer give\n";
            assert!(told.contains(fault), "{told}");
            fs::write(&path, &whole).unwrap();
        }
        // And who made it puts back what is missing.
        place.succeed(&run(PROFILE, "packs", &[]));
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert!(fs::read(&seal).unwrap() != sealed, "it is sealed anew");
        place.succeed(&["verify", "out/b"]);
    }
    // What lies beside a batch that has none.
    let plain = factory(3);
    plain.succeed(&run("aws-iot-p256", "packs", &[]));
    fs::write(plain.join("out/b/shared.zip"), whole).unwrap();
    let output = plain.run(&["verify", "out/b"]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        report.contains("shared.zip: no index accounts for it"),
        "{report}"
    );
}

#[test]
fn a_run_that_is_killed_before_its_first_chunk_goes_on() {
    let place = factory(16);
    // Keys that take long, so that the kill comes before they are made.
    let profile = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/profiles/aws-iot-p256-shared.toml"
    ))
    .unwrap();
    fs::write(
        place.join("slow.toml"),
        profile.replace("\"P-256\"", "\"RSA-2048\""),
    )
    .unwrap();
    let run = run("slow.toml", "packs", &["--jobs", "1"]);
    let mut child = place
        .command(&run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let shared = place.join("out/b/shared.zip");
    while !shared.exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it puts its shared files first"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.join("out/b/index").exists(), "nothing is released yet");
    let before = fs::read(&shared).unwrap();
    let text = place.succeed(&run);
    assert!(text.contains("16 devices"), "{text}");
    assert_eq!(fs::read(&shared).unwrap(), before);
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn a_batch_does_not_go_on_with_other_shared_files() {
    let place = made("packs", 3);
    let error = place.fail(&run("aws-iot-p256", "packs", &[]), 7);
    assert!(
        error.contains("batch b was begun with another profile"),
        "{error}"
    );
    // Second identities are a batch of their own, with shared files of its own.
    let again = ["run", "devices.csv", "--no-endpoint", "--profile", PROFILE];
    place.succeed(&[&again[..], &["--batch", "b2", "--reissue"]].concat());
    place.succeed(&["verify", "out/b2"]);
    let [first, second] =
        ["b", "b2"].map(|batch| fs::read(place.join(&format!("out/{batch}/shared.zip"))).unwrap());
    assert_eq!(first, second);
}

#[test]
fn shards_put_the_same_shared_files_and_sign_for_them() {
    let place = factory(40);
    let shards = ["1/2", "2/2"].map(|shard| {
        let mut command = place.command(&run(PROFILE, "packs", &["--ca", "ca", "--shard", shard]));
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    let stated = json(&place.join("out/b/shards/000001.json"));
    assert_eq!(stated["seal"]["certforge_shard"], 2);
    let path = place.join("out/b/shared.zip");
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let told = place.fail(&["seal", "out/b", "--ca", "ca"], 6);
    assert!(
        told.contains("is missing, which has the files that all devices share"),
        "{told}"
    );
    place.succeed(&run(PROFILE, "packs", &["--ca", "ca", "--shard", "2/2"]));
    assert_eq!(fs::read(&path).unwrap(), whole);
    place.succeed(&["seal", "out/b", "--ca", "ca"]);
    let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
    assert!(verified.contains("40 devices verified, sealed"), "{verified}");
}
