//! Batches that were damaged: verify names each fault, and ends with exit code 1.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::support::Workplace;

/// A workplace with a batch `b` of five devices in three chunks, without its seal: what is wrong is found
/// without it too.
fn workplace(layout: &str) -> Workplace {
    let place = sealed(layout);
    place.unseal("b");
    place
}

/// A workplace with such a batch and its seal.
fn sealed(layout: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(5);
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--chunk-rows",
        "2",
        "--layout",
        layout,
    ];
    place.succeed(&arguments);
    place.succeed(&["verify", "out/b"]);
    place
}

fn object(place: &Workplace, name: &str) -> PathBuf {
    place.join("out/b").join(name)
}

/// The bundles of the devices SN000000 and SN000001, in one chunk.
const FIRST: &str = "bundles/de/SN000000.zip";
const SECOND: &str = "bundles/d1/SN000001.zip";

/// Verifies against manifest and ledger, which must find these faults and come to this verdict.
fn expect_faults(place: &Workplace, faults: &[&str], verdict: &str) {
    let verdict = format!("batch b: {verdict}, against manifest devices.csv and the ledger");
    expect_lines(place, &["verify", "out/b"], faults, &verdict);
}

/// The same where strays are listed, which come in the order of the file system.
fn expect_sorted(place: &Workplace, faults: &[&str], verdict: &str) {
    let output = place.run(&["verify", "out/b"]);
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    let verdict = format!("batch b: {verdict}, against manifest devices.csv and the ledger");
    let mut expected = faults.to_vec();
    expected.push(&verdict);
    expected.sort_unstable();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(output.status.code(), Some(1));
}

fn expect_lines(place: &Workplace, arguments: &[&str], faults: &[&str], verdict: &str) {
    let output = place.run(arguments);
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    let mut lines = faults.to_vec();
    lines.push(verdict);
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("certforge: hint: put back what is missing or changed"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "faults are no errors");
}

fn member(bundle: &[u8], name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    ZipArchive::new(Cursor::new(bundle))
        .expect("a zip")
        .by_name(name)
        .expect("a member")
        .read_to_end(&mut content)
        .expect("the member reads");
    content
}

/// The zip with another content for one member, its sums set right.
fn with_member(bundle: &[u8], replaced: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bundle)).expect("a zip");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..archive.len() {
        let member = archive.by_index_raw(i).expect("a member");
        if member.name().expect("a name") == replaced {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(replaced, options).expect("a member");
            writer.write_all(content).expect("memory does not fail");
        } else {
            writer.raw_copy_file(member).expect("a member");
        }
    }
    writer.finish().expect("a zip").into_inner()
}

#[test]
fn names_a_bundle_that_is_missing() {
    let place = workplace("objects");
    fs::remove_file(object(&place, FIRST)).expect("the bundle is removed");
    let faults = ["device SN000000, bundles/de/SN000000.zip: the bundle is missing"];
    expect_faults(&place, &faults, "1 fault; 4 of 5 devices are good");

    let output = place.run(&["verify", "out/b", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    let fault = serde_json::json!({
        "device_id": "SN000000",
        "object": FIRST,
        "what": "the bundle is missing",
    });
    assert_eq!(report["faults"], serde_json::json!([fault]));
    assert_eq!(report["good"], 4);
}

#[test]
fn names_a_pack_that_is_missing() {
    let place = workplace("packs");
    fs::remove_file(object(&place, "packs/000001.zip")).expect("the pack is removed");
    let faults = ["packs/000001.zip: the pack is missing"];
    expect_faults(&place, &faults, "1 fault; 3 of 5 devices are good");
}

#[test]
fn names_a_bundle_in_which_a_bit_is_flipped() {
    for (layout, name) in [("objects", FIRST), ("packs", "packs/000000.zip")] {
        let place = workplace(layout);
        let mut octets = fs::read(object(&place, name)).expect("an object");
        // In the private key, which is stored.
        let start = b"-----BEGIN PRIVATE KEY-----\n";
        let key = octets.windows(start.len()).position(|window| window == start);
        octets[key.expect("a bundle has a key") + start.len() + 20] ^= 1;
        fs::write(object(&place, name), octets).expect("the object is overwritten");
        let faults = [
            format!("device SN000000, {name}: SHA-256 is not that of the index"),
            format!("device SN000000, {name}: the zip is damaged: private.pem.key: Invalid checksum"),
        ];
        let faults = faults.each_ref().map(String::as_str);
        expect_faults(&place, &faults, "2 faults; 4 of 5 devices are good");
    }
}

#[test]
fn names_a_bundle_that_is_cut_short() {
    for (layout, name) in [("objects", FIRST), ("packs", "packs/000000.zip")] {
        let place = workplace(layout);
        let octets = fs::read(object(&place, name)).expect("an object");
        fs::write(object(&place, name), &octets[..2000]).expect("the object is cut");
        let output = place.run(&["verify", "out/b"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let fault = format!("device SN000000, {name}: SHA-256 is not that of the index\n");
        assert!(text.contains(&fault), "{text}");
    }
}

#[test]
fn names_both_devices_whose_private_keys_are_swapped() {
    let place = workplace("objects");
    let bundles = [FIRST, SECOND].map(|name| fs::read(object(&place, name)).expect("a bundle"));
    let keys = bundles.each_ref().map(|bundle| member(bundle, "private.pem.key"));
    let swapped = [0, 1].map(|i| with_member(&bundles[i], "private.pem.key", &keys[1 - i]));
    for (name, bundle) in [FIRST, SECOND].iter().zip(&swapped) {
        fs::write(object(&place, name), bundle).expect("the bundle is overwritten");
    }
    let faults = [
        "device SN000000, bundles/de/SN000000.zip: SHA-256 is not that of the index",
        "device SN000000, bundles/de/SN000000.zip: the private key does not match the certificate",
        "device SN000001, bundles/d1/SN000001.zip: SHA-256 is not that of the index",
        "device SN000001, bundles/d1/SN000001.zip: the private key does not match the certificate",
    ];
    expect_faults(&place, &faults, "4 faults; 3 of 5 devices are good");

    // An index that was adjusted to them does not hide it, with a ledger or without one.
    let mut index = fs::read_to_string(object(&place, "index/000000.csv")).expect("an index");
    for (before, after) in bundles.iter().zip(&swapped) {
        let [before, after] = [before, after].map(|octets| HEXLOWER.encode(digest(&SHA256, octets).as_ref()));
        index = index.replace(&before, &after);
    }
    fs::write(object(&place, "index/000000.csv"), index).expect("the index is overwritten");
    let mismatches = [faults[1], faults[3]];
    let faults = [
        "device SN000000, index/000000.csv: the ledger has SN000000 here, with other facts",
        "device SN000001, index/000000.csv: the ledger has SN000001 here, with other facts",
        mismatches[0],
        mismatches[1],
    ];
    expect_faults(&place, &faults, "4 faults; 3 of 5 devices are good");
    expect_lines(
        &place,
        &["verify", "out/b", "--no-ledger", "--issuer", "ca"],
        &mismatches,
        "batch b: 2 faults; 3 of 5 devices are good, against the index alone; --ledger and --manifest prove more",
    );
}

/// A batch in which two devices have exchanged bundles, index facts and certificates, all of which
/// agree with each other.
fn with_swapped_identities() -> Workplace {
    let place = workplace("objects");
    let bundles = [FIRST, SECOND].map(|name| fs::read(object(&place, name)).expect("a bundle"));
    for (name, bundle) in [SECOND, FIRST].iter().zip(bundles) {
        fs::write(object(&place, name), bundle).expect("the bundle is overwritten");
    }
    let path = object(&place, "index/000000.csv");
    let index = fs::read_to_string(&path).expect("an index");
    let lines: Vec<&str> = index.lines().collect();
    let [first, second] = [lines[1], lines[2]].map(|line| line.split(',').collect::<Vec<_>>());
    let [device, object_name] = [0, 4];
    let exchanged = |own: &[&str], other: &[&str]| {
        let mut fields = other.to_vec();
        fields[device] = own[device];
        fields[object_name] = own[object_name];
        fields.join(",")
    };
    let index = [
        lines[0].to_owned(),
        exchanged(&first, &second),
        exchanged(&second, &first),
    ];
    fs::write(&path, index.join("\n") + "\n").expect("the index is overwritten");
    let path = object(&place, "certificates/000000.pem");
    let pem = fs::read_to_string(&path).expect("certificates");
    let second = pem.rfind("-----BEGIN").expect("two certificates");
    fs::write(&path, format!("{}{}", &pem[second..], &pem[..second])).expect("they are swapped");
    place
}

#[test]
fn names_both_devices_whose_identities_are_swapped() {
    let place = with_swapped_identities();
    let faults = [
        "device SN000000, bundles/de/SN000000.zip: endpoint.json is not what the profile and the row give",
        "device SN000000, bundles/de/SN000000.zip: the subject is not the row's",
        "device SN000001, bundles/d1/SN000001.zip: endpoint.json is not what the profile and the row give",
        "device SN000001, bundles/d1/SN000001.zip: the subject is not the row's",
    ];
    expect_lines(
        &place,
        &[
            "verify",
            "out/b",
            "--no-ledger",
            "--manifest",
            "devices.csv",
            "--issuer",
            "ca",
        ],
        &faults,
        "batch b: 4 faults; 3 of 5 devices are good, against manifest devices.csv",
    );
    let ledger = [0, 1].map(|i| {
        format!("device SN00000{i}, index/000000.csv: the ledger has SN00000{i} here, with other facts")
    });
    let mut all: Vec<&str> = ledger.iter().map(String::as_str).collect();
    all.extend(faults);
    expect_faults(&place, &all, "6 faults; 3 of 5 devices are good");
}

#[test]
fn names_an_endpoint_that_is_not_the_profiles() {
    let place = workplace("objects");
    let bundle = fs::read(object(&place, FIRST)).expect("a bundle");
    let endpoint = String::from_utf8(member(&bundle, "endpoint.json")).expect("JSON is UTF-8");
    for (before, after) in [
        ("\"host\": null", "\"host\": \"mallory.example\""),
        ("8883", "8884"),
        ("\"region\": null", "\"region\": \"eu-west-1\""),
        ("\"client_id\": \"SN000000\"", "\"client_id\": \"SN000001\""),
        ("\"thing_name\": \"SN000000\"", "\"thing_name\": \"SN000001\""),
        ("\"port\"", "\"user\": \"root\", \"port\""),
    ] {
        let changed = endpoint.replace(before, after);
        assert_ne!(changed, endpoint);
        let changed = with_member(&bundle, "endpoint.json", changed.as_bytes());
        fs::write(object(&place, FIRST), changed).expect("the bundle is overwritten");
        let faults = [
            "device SN000000, bundles/de/SN000000.zip: SHA-256 is not that of the index",
            "device SN000000, bundles/de/SN000000.zip: endpoint.json is not what the profile and the row give",
        ];
        expect_faults(&place, &faults, "2 faults; 4 of 5 devices are good");
    }
}

#[test]
fn names_devices_that_have_one_identity() {
    let place = workplace("objects");
    fs::copy(object(&place, FIRST), object(&place, SECOND)).expect("the bundle is overwritten");
    let faults = [
        "device SN000001, bundles/d1/SN000001.zip: SHA-256 is not that of the index",
        "device SN000001, bundles/d1/SN000001.zip: endpoint.json is not what the profile and the row give",
        "device SN000001, bundles/d1/SN000001.zip: the subject is not the row's",
        "device SN000001, bundles/d1/SN000001.zip: certificate id is not that of the index",
        "device SN000001, bundles/d1/SN000001.zip: certificate serial is not that of the index",
        "device SN000001, bundles/d1/SN000001.zip: certificates/000000.pem has another certificate",
        "batch: devices SN000000 and SN000001 share one private key",
    ];
    expect_faults(&place, &faults, "7 faults; 4 of 5 devices are good");
}

#[test]
fn names_devices_of_two_chunks_that_have_one_key_though_a_bundle_is_gone() {
    let place = workplace("objects");
    let last = fs::read_dir(object(&place, "bundles"))
        .expect("a folder")
        .map(|folder| folder.expect("it can be read").path().join("SN000004.zip"))
        .find(|path| path.exists())
        .expect("the bundle of the last chunk");
    fs::copy(object(&place, FIRST), &last).expect("the bundle is overwritten");
    let shared = "batch: devices SN000000 and SN000004 share one private key";
    let output = place.run(&["verify", "out/b"]);
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    assert!(text.lines().any(|line| line == shared), "{text}");
    // The certificate that is kept beside the bundles tells of a key that is gone.
    fs::remove_file(object(&place, FIRST)).expect("the bundle is removed");
    let output = place.run(&["verify", "out/b"]);
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    assert!(text.contains("the bundle is missing"), "{text}");
    assert!(text.lines().any(|line| line == shared), "{text}");
}

#[test]
fn names_members_that_are_not_what_the_profile_says() {
    let place = workplace("objects");
    let bundle = fs::read(object(&place, FIRST)).expect("a bundle");
    for (name, what) in [
        ("private.pem.key", "the private key does not parse"),
        (
            "certificate.pem.crt",
            "certificate.pem.crt does not hold one certificate of the device",
        ),
        (
            "AmazonRootCA1.pem",
            "AmazonRootCA1.pem is not the certificate it is named for",
        ),
        (
            "endpoint.json",
            "endpoint.json is not what the profile and the row give",
        ),
    ] {
        let changed = with_member(&bundle, name, b"nothing\n");
        fs::write(object(&place, FIRST), changed).expect("the bundle is overwritten");
        let faults = ["SHA-256 is not that of the index", what]
            .map(|what| format!("device SN000000, bundles/de/SN000000.zip: {what}"));
        let faults = faults.each_ref().map(String::as_str);
        expect_faults(&place, &faults, "2 faults; 4 of 5 devices are good");
    }
}

#[test]
fn names_a_bundle_of_other_members() {
    let place = workplace("objects");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file("key.pem", SimpleFileOptions::default())
        .expect("a member");
    let zip = writer.finish().expect("a zip").into_inner();
    fs::write(object(&place, FIRST), zip).expect("the bundle is overwritten");
    let faults = [
        "device SN000000, bundles/de/SN000000.zip: SHA-256 is not that of the index",
        "device SN000000, bundles/de/SN000000.zip: holds key.pem where the profile has private.pem.key, \
         certificate.pem.crt, chain.pem.crt, AmazonRootCA1.pem, AmazonRootCA3.pem, endpoint.json",
    ];
    expect_faults(&place, &faults, "2 faults; 4 of 5 devices are good");
}

#[test]
fn names_what_no_index_accounts_for() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        for name in [
            "notes.txt",
            "bundles/0d/SN000099.zip",
            "packs/000003.zip",
            "index/x.csv",
        ] {
            let path = object(&place, name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, "stray\n").expect("the stray is written");
            let fault = format!("{name}: no index accounts for it");
            expect_faults(&place, &[&fault], "1 fault; 5 of 5 devices are good");
            fs::remove_file(path).expect("the stray is removed");
        }
    }
}

#[test]
fn names_an_index_that_is_missing_or_too_many() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        let [index, copy] = ["index/000001.csv", "index/000007.csv"].map(|name| object(&place, name));
        fs::copy(&index, &copy).expect("the index is copied");
        let faults = ["index/000007.csv: the batch has no such chunk"];
        expect_faults(&place, &faults, "1 fault; 5 of 5 devices are good");

        fs::remove_file(copy).expect("the copy is removed");
        fs::remove_file(index).expect("the index is removed");
        let fault =
            "index/000001.csv: the index is missing, and the ledger says that it was released: put it back";
        expect_faults(&place, &[fault], "1 fault; 3 of 5 devices are good");

        // Who does not ask the ledger cannot tell it from a batch that is not complete.
        let output = place.run(&["verify", "out/b", "--no-ledger"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.starts_with(
                "batch: incomplete: 2 of 5 devices are not released, or their index is gone; `certforge run` again goes on\n"
            ),
            "{text}"
        );
    }
}

#[test]
fn names_an_index_that_was_changed() {
    let place = workplace("objects");
    let path = object(&place, "index/000000.csv");
    let index = fs::read_to_string(&path).expect("an index");
    let lines: Vec<&str> = index.lines().collect();

    fs::write(&path, "device,nothing\n").expect("the index is overwritten");
    let faults = [
        "index/000000.csv: is no index: the header is not that of an index",
        "bundles/de/SN000000.zip: no index accounts for it",
        "bundles/d1/SN000001.zip: no index accounts for it",
    ];
    expect_sorted(&place, &faults, "3 faults; 3 of 5 devices are good");

    fs::write(&path, format!("{}\n{}\n", lines[0], lines[1])).expect("the index is overwritten");
    let faults = [
        "index/000000.csv: rows in it: 1, in the manifest: 2",
        "certificates/000000.pem: certificates in it: 2, rows in the index: 1",
        "bundles/d1/SN000001.zip: no index accounts for it",
    ];
    expect_faults(&place, &faults, "3 faults; 4 of 5 devices are good");

    fs::write(&path, format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]))
        .expect("the index is overwritten");
    let faults = [
        "device SN000001, index/000000.csv: the manifest has SN000000 here, on line 2",
        "device SN000001, index/000000.csv: the ledger has SN000000 here, with other facts",
        "device SN000000, index/000000.csv: the manifest has SN000001 here, on line 3",
        "device SN000000, index/000000.csv: the ledger has SN000001 here, with other facts",
        "device SN000001, bundles/d1/SN000001.zip: certificates/000000.pem has another certificate",
        "device SN000000, bundles/de/SN000000.zip: certificates/000000.pem has another certificate",
    ];
    expect_faults(&place, &faults, "6 faults; 3 of 5 devices are good");

    fs::write(&path, index.replace(FIRST, SECOND)).expect("the index is overwritten");
    let faults = ["device SN000000, index/000000.csv: the index points to another object"];
    expect_faults(&place, &faults, "1 fault; 4 of 5 devices are good");

    fs::write(&path, index.replace("SN000001", "SN000077")).expect("the index is overwritten");
    let faults = [
        "device SN000077, index/000000.csv: the index points to another object",
        "device SN000077, index/000000.csv: the manifest has SN000001 here, on line 3",
        "device SN000077, index/000000.csv: the ledger has SN000001 here, with other facts",
        "device SN000077, bundles/d1/SN000077.zip: the bundle is missing",
        "bundles/d1/SN000001.zip: no index accounts for it",
    ];
    expect_faults(&place, &faults, "5 faults; 4 of 5 devices are good");
}

#[test]
fn names_certificates_that_are_missing_or_others() {
    for (layout, objects) in [("objects", [FIRST, SECOND]), ("packs", ["packs/000000.zip"; 2])] {
        let place = workplace(layout);
        let path = object(&place, "certificates/000000.pem");
        let pem = fs::read_to_string(&path).expect("certificates");
        fs::remove_file(&path).expect("the certificates are removed");
        let faults = ["certificates/000000.pem: the certificates are missing"];
        expect_faults(&place, &faults, "1 fault; 5 of 5 devices are good");

        let second = pem.rfind("-----BEGIN").expect("two certificates");
        fs::write(&path, format!("{}{}", &pem[second..], &pem[..second])).expect("they are swapped");
        let faults = [0, 1].map(|i| {
            format!(
                "device SN00000{i}, {}: certificates/000000.pem has another certificate",
                objects[i]
            )
        });
        let faults = faults.each_ref().map(String::as_str);
        expect_faults(&place, &faults, "2 faults; 3 of 5 devices are good");
    }
}

#[test]
fn names_what_the_ledger_knows_otherwise_of_the_batch() {
    let place = workplace("objects");
    let path = object(&place, "batch.json");
    let record = fs::read_to_string(&path).expect("a record");
    for (before, after, what) in [
        ("\"manifest_sha256\": \"", "\"manifest_sha256\": \"0", "manifest"),
        ("\"profile_sha256\": \"", "\"profile_sha256\": \"0", "profile"),
        ("\"issuer_id\": \"", "\"issuer_id\": \"0", "issuer"),
    ] {
        fs::write(&path, record.replace(before, after)).expect("the record is overwritten");
        let mut faults = vec![format!("batch.json: names another {what} than the ledger")];
        if what == "profile" {
            faults.push("batch.json: the profile is not the one that its digest names".to_owned());
        }
        let against = match what {
            "manifest" => "the ledger; the manifest has changed since",
            _ => "manifest devices.csv and the ledger",
        };
        let count = ["1 fault", "2 faults"][faults.len() - 1];
        let verdict = format!("batch b: {count}; 5 of 5 devices are good, against {against}");
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        expect_lines(&place, &["verify", "out/b"], &faults, &verdict);
    }

    fs::write(&path, record.replace("\"rows\": 5", "\"rows\": 4")).expect("the record is overwritten");
    let faults = [
        "batch.json: names another number of rows than the ledger",
        "index/000002.csv: the batch has no such chunk",
        "certificates/000002.pem: no index accounts for it",
        "bundles/82/SN000004.zip: no index accounts for it",
    ];
    expect_sorted(&place, &faults, "4 faults; 4 of 4 devices are good");
}

#[test]
fn names_a_profile_that_was_changed() {
    let place = workplace("objects");
    let path = object(&place, "batch.json");
    let record = fs::read_to_string(&path).expect("a record");
    let changed = record.replace("\"P-256\"", "\"P-384\"");
    assert_ne!(changed, record);
    fs::write(path, changed).expect("the record is overwritten");
    let output = place.run(&["verify", "out/b"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("batch.json: the profile is not the one that its digest names\n"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn is_not_held_against_another_ledger_device_by_device() {
    let place = workplace("objects");
    let other = place.join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("more.csv"), "serial_number\nX1\n").expect("a manifest");
    let run = ["run", "other/more.csv", "--no-endpoint", "--ledger", "other.db"];
    place.succeed(&[&run[..], &["--new-ledger"]].concat());
    let stderr = place.fail(&["verify", "out/b", "--ledger", "other.db"], 7);
    assert!(
        stderr.starts_with("certforge: error: ledger other.db is not the one that batch b was made with\n"),
        "{stderr}"
    );
}

#[test]
fn says_that_the_manifest_has_changed_rather_than_that_it_is_gone() {
    let place = workplace("packs");
    let manifest = place.join("devices.csv");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, format!("{text}X1,,,,\n")).expect("the manifest is overwritten");
    let report = place.succeed(&["verify", "out/b"]);
    assert!(
        report.contains("against the ledger; the manifest has changed since"),
        "{report}"
    );
    fs::remove_file(&manifest).expect("the manifest is removed");
    let report = place.succeed(&["verify", "out/b"]);
    assert!(
        report.contains("the manifest is not at hand, --manifest names it"),
        "{report}"
    );
}

#[test]
fn names_what_is_not_what_the_seal_says() {
    for (name, before, after, fault) in [
        (
            "index/000001.csv",
            "SN000002",
            "SN000002",
            "index/000001.csv: is not what the seal says",
        ),
        (
            "lookup/000000.csv",
            ",1\n",
            ",0\n",
            "lookup/000000.csv: is not what the seal says",
        ),
        (
            "batch.json",
            "\"batch\": \"b\"",
            "\"batch\": \"b\" ",
            "batch.json: is not what the seal says",
        ),
        (
            "seal.json",
            "\"devices\":5",
            "\"devices\":6",
            "seal.json: the signature of seal.json is not that of issuer ",
        ),
        ("seal.json", "{", "[", "seal.json: seal.json is no seal"),
        (
            "seal.json",
            "\"certforge_seal\":1",
            "\"certforge_seal\":5",
            "seal.json: seal.json has format 5, this certforge reads formats up to 4",
        ),
    ] {
        let place = sealed("objects");
        let path = object(&place, name);
        let text = fs::read_to_string(&path).expect("it reads");
        // A line end that was changed is enough for an index.
        let changed = match before == after {
            true => text.replace('\n', "\r\n"),
            false => text.replacen(before, after, 1),
        };
        assert_ne!(changed, text);
        fs::write(&path, changed).expect("it is overwritten");
        let output = place.run(&["verify", "out/b"]);
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(report.contains(fault), "{report}");
        assert_eq!(output.status.code(), Some(1), "{report}");
    }
    let place = sealed("objects");
    fs::remove_file(object(&place, "lookup/000000.csv")).expect("a lookup");
    let output = place.run(&["verify", "out/b"]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        report.starts_with("lookup/000000.csv: is missing, and the seal has it\n"),
        "{report}"
    );
}

/// Puts a batch in the place of another one, all of it.
fn put_in_place(from: &std::path::Path, to: &std::path::Path) {
    fs::remove_dir_all(to).expect("the batch goes");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.expect("cp runs").success());
}

#[test]
fn a_batch_of_another_ca_is_not_taken_for_the_one_that_was_made() {
    let place = sealed("objects");
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let whole = ["--ledger", "whole.db", "--chunk-rows", "2"];
    let shard = ["--ledger", "shard.db", "--shard", "1/1", "--chunk-rows", "2"];
    for more in [&whole[..], &shard] {
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "other",
            "--batch",
            "b",
            "--to",
            "else",
        ];
        place.succeed(&[&run[..], more].concat());
        if more == shard {
            place.succeed(&["seal", "else/b", "--ca", "other"]);
        }
        put_in_place(&place.join("else/b"), &place.join("out/b"));
        fs::remove_dir_all(place.join("else")).expect("it was copied");
        for ledger in [
            &[][..],
            &["--ledger", "ca/ledger.db"],
            &["--ledger", "./ca/ledger.db"],
        ] {
            let verify = ["verify", "out/b", "--manifest", "devices.csv"];
            let output = place.run(&[&verify[..], ledger].concat());
            assert!(!output.status.success(), "{more:?} {ledger:?}");
        }
        // Without a ledger the CA has to be named, and that it was not is told.
        let verify = ["verify", "out/b", "--no-ledger", "--manifest", "devices.csv"];
        let output = place.run(&verify);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        assert!(
            told.contains("nothing here says whose CA made this batch, certificate "),
            "{told}"
        );
        let told = place.fail(&[&verify[..], &["--issuer", "ca"]].concat(), 5);
        assert!(told.contains("batch b is of another CA: certificate "), "{told}");
        let output = place.run(&[&verify[..], &["--issuer", "other"]].concat());
        assert!(output.status.success() && output.stderr.is_empty());
        // Where no ledger is, the CA that is named vouches alone.
        fs::rename(place.join("ca/ledger.db"), place.join("away.db")).expect("it is there");
        place.succeed(&[
            "verify",
            "out/b",
            "--issuer",
            "other",
            "--manifest",
            "devices.csv",
        ]);
        fs::rename(place.join("away.db"), place.join("ca/ledger.db")).expect("it is there");
    }
}

#[test]
fn a_batch_in_shards_is_held_against_the_ledger_of_a_shard() {
    let place = Workplace::new();
    place.manifest(8);
    for shard in ["1/2", "2/2"] {
        let ledger = format!("{}.db", &shard[..1]);
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            "b",
            "--chunk-rows",
            "2",
            "--shard",
            shard,
            "--ledger",
            &ledger,
        ];
        if shard == "1/2" {
            place.succeed(&["ca", "new", "--no-passphrase"]);
        }
        place.succeed(&run);
    }
    place.succeed(&["seal", "out/b"]);
    place.succeed(&["verify", "out/b"]);
    let told = place.succeed(&["verify", "out/b", "--ledger", "1.db", "--manifest", "devices.csv"]);
    assert!(
        told.contains(
            ", sealed, against manifest devices.csv and the ledger of a shard
"
        ),
        "{told}"
    );
    // Once they are put together, it is that of all.
    place.succeed(&["ledger", "copy", "1.db", "2.db", "all.db"]);
    let told = place.succeed(&[
        "verify",
        "out/b",
        "--ledger",
        "all.db",
        "--manifest",
        "devices.csv",
    ]);
    assert!(told.contains(" and the ledger\n"), "{told}");
}

#[test]
fn names_another_batch_in_the_place_of_the_one_that_was_made() {
    let place = sealed("objects");
    let again = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "new",
        "--reissue",
        "--chunk-rows",
        "2",
    ];
    place.succeed(&again);
    put_in_place(&place.join("out/b"), &place.join("out/new"));
    let output = place.run(&["verify", "out/new"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("batch.json: is of batch b, and the ledger has batch new here\n"),
        "{told}"
    );
}

/// What reads a ZIP believes the list at its end; a second one could name other places.
#[test]
fn names_a_pack_whose_list_says_otherwise_than_the_index() {
    let place = sealed("packs");
    let path = object(&place, "packs/000000.zip");
    let pack = fs::read(&path).expect("a pack");
    let end = pack.len() - 22;
    let start = u32::from_le_bytes(pack[end + 16..end + 20].try_into().expect("four octets"));
    let start = usize::try_from(start).expect("it fits");
    // Both names have the second bundle, in a list behind all that was there.
    let list = &pack[start..end];
    let (first, second) = list.split_at(list.len() / 2);
    let mut other = second.to_vec();
    other[46..].copy_from_slice(&first[46..]);
    let mut changed = pack.clone();
    let begin = u32::try_from(changed.len()).expect("it fits");
    changed.extend([&other, second].concat());
    let mut tail = pack[end..].to_vec();
    tail[16..20].copy_from_slice(&begin.to_le_bytes());
    changed.extend(tail);
    fs::write(&path, changed).expect("the pack is changed");
    let faults = [
        "packs/000000.zip: has 2 members, not those of the index's 2 rows",
        "packs/000000.zip: has octets that no row of the index accounts for",
    ];
    let output = place.run(&["verify", "out/b"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    // Whoever writes a ZIP's list anew writes its members' own headers too, or is not read.
    assert!(told.contains(faults[1]), "{told}");
}

#[test]
fn names_what_is_named_almost_like_an_object_of_the_batch() {
    let place = sealed("packs");
    for name in [
        "packs/0.zip",
        "packs/+00000.zip",
        "certificates/0.pem",
        "lookup/0.csv",
        "flashed/keys.zip",
        "claims/000000/a b.json",
        "failed/000000/SN000000/x.json",
    ] {
        let path = object(&place, name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, "stray\n").expect("the stray is written");
        let output = place.run(&["verify", "out/b"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            told.contains(&format!("{name}: no index accounts for it")),
            "{told}"
        );
        fs::remove_file(path).expect("the stray is removed");
    }
    place.succeed(&["verify", "out/b"]);
    let path = object(&place, "certificates/000000.pem");
    let pem = fs::read_to_string(&path).expect("certificates");
    for more in [
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "note\n",
    ] {
        fs::write(&path, format!("{pem}{more}")).expect("it is written");
        let output = place.run(&["verify", "out/b"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            told.contains("certificates/000000.pem: has more in it than certificates"),
            "{told}"
        );
    }
    fs::write(&path, pem).expect("it is written");
    // A lookup is held against the indexes when there is no seal to hold it against.
    fs::remove_file(object(&place, "seal.json")).expect("a seal");
    place.succeed(&["verify", "out/b"]);
    fs::write(object(&place, "lookup/000000.csv"), "device_id_hash,chunk\n").expect("it is written");
    let output = place.run(&["verify", "out/b"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("lookup/000000.csv: is not what the indexes say"),
        "{told}"
    );
}

/// The last copy of a certificate is what revokes it.
#[test]
fn names_the_certificate_of_a_burned_device_that_is_another() {
    let place = sealed("objects");
    for device in ["SN000000", "SN000001"] {
        let claim = [
            "station",
            "claim",
            "--device",
            device,
            "--out",
            "dev",
            "--station",
            "st1",
            "--batch",
            "out/b",
        ];
        place.succeed(&claim);
        let done = [
            "station",
            "done",
            device,
            "--burn",
            "--station",
            "st1",
            "--batch",
            "out/b",
        ];
        place.succeed(&done);
    }
    place.succeed(&["verify", "out/b"]);
    let path = object(&place, "certificates/000000.pem");
    let pem = fs::read_to_string(&path).expect("certificates");
    let second = pem.rfind("-----BEGIN").expect("two certificates");
    fs::write(&path, format!("{}{}", &pem[second..], &pem[..second])).expect("they are swapped");
    let output = place.run(&["verify", "out/b"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for device in ["SN000000", "SN000001"] {
        let fault =
            format!("device {device}, certificates/000000.pem: has another certificate than the index names");
        assert!(told.contains(&fault), "{told}");
    }
}

/// A batch whose time is over is whole, and nobody is told to look for who changed it.
#[test]
fn names_the_day_on_which_certificates_ended() {
    use certforge::ledger;
    use certforge::store::Store;
    use certforge::verify::{Job, verify};
    let place = sealed("objects");
    let (store, ledger) = (
        Store::in_folder(place.join("out/b")),
        ledger::open_read_only(&place.join("ca/ledger.db")).expect("a ledger"),
    );
    for (now, what) in [
        (
            time::macros::datetime!(2099-01-01 0:00 UTC),
            "the certificate expired on 20",
        ),
        (
            time::macros::datetime!(2001-01-01 0:00 UTC),
            "the certificate is valid from 20",
        ),
    ] {
        let job = Job {
            store: &store,
            ledger: Some(&*ledger),
            issuer: None,
            manifest: None,
            now,
            identities: None,
            passwords: &certforge::profile::Passwords::default(),
            strict: false,
        };
        let report = verify(&job, &|_| {}, &|_| {}).expect("it is read");
        assert_eq!((report.good, report.faults.len()), (0, 5));
        for fault in &report.faults {
            let told = fault.to_string();
            assert!(
                told.contains(what) && told.ends_with("; the bundle is whole"),
                "{told}"
            );
        }
        let hint = report.hint().expect("it is not good");
        assert!(hint.starts_with("nothing was changed: "), "{hint}");
    }
}
