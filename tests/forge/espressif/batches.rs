//! Batches whose bundles are images: `verify` holds each against key, certificate and row, and Espressif's tool reads them.

use std::fs;
use std::io::{Cursor, Read, Write};

use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::tools::{Tools, octets, text};
use crate::support::Workplace;

const PROFILE: &str = "name = 'esp32'
[[bundle.files]]
name = 'esp_secure_cert.bin'
format = 'esp-secure-cert'
[[bundle.files]]
name = 'fctry.bin'
format = 'nvs'
size = '0x6000'
encryption = 'nvs-keys'
entries = [
  { namespace = 'factory', key = 'serial_no', type = 'string', value = '{serial_number}' },
  { namespace = 'tls', key = 'certificate', type = 'binary', content = 'certificate' },
]
[[bundle.files]]
name = 'nvs_keys.bin'
format = 'nvs-keys'
";

const DS: &str = "name = 'esp32-ds'
[key]
type = 'RSA-2048'
[[bundle.files]]
name = 'esp_secure_cert.bin'
format = 'esp-secure-cert'
ds = { chip = 'esp32c3', efuse_key = 1 }
[[bundle.files]]
name = 'hmac_key.bin'
content = 'hmac-key'
";

const BUNDLE: &str = "out/b/bundles/de/SN000000.zip";

fn made(profile: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(2);
    fs::write(place.join("profile.toml"), profile).unwrap();
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--profile",
        "profile.toml",
    ];
    place.succeed(&run);
    place
}

pub(super) fn file(place: &Workplace, name: &str) -> Vec<u8> {
    file_of(place, BUNDLE, name)
}

pub(super) fn file_of(place: &Workplace, bundle: &str, name: &str) -> Vec<u8> {
    let bundle = fs::read(place.join(bundle)).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bundle)).unwrap();
    let mut content = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
    content
}

#[test]
fn a_batch_of_images_is_verified_and_parsed_by_the_tool() {
    let mut tools = Tools::start();
    for (profile, key) in [(PROFILE, "privkey_2_0.pem"), (DS, "ds_data_3_0.bin")] {
        let place = made(profile);
        let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
        assert!(verified.contains("2 devices verified"), "{verified}");
        let image = file(&place, "esp_secure_cert.bin");
        let parsed = tools.ask(&json!({"ask": "parse-secure-cert", "image": text(&image)}));
        assert_eq!(parsed["valid"], parsed["entries"]);
        let files = parsed["files"].as_object().unwrap();
        assert!(files.contains_key(key), "{files:?}");
        let certificate = octets(&files["devcert_1_0.pem"]);
        let released = fs::read_to_string(place.join("out/b/certificates/000000.pem")).unwrap();
        assert!(released.contains(std::str::from_utf8(&certificate).unwrap().trim()));
    }
}

/// A batch with a profile that is compiled in.
pub(super) fn shipped(profile: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(2);
    let run = [
        "run",
        "devices.csv",
        "--endpoint",
        "a.example",
        "--batch",
        "b",
        "--profile",
        profile,
    ];
    place.succeed(&run);
    let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
    assert!(verified.contains("2 devices verified"), "{verified}");
    place
}

fn has(octets: &[u8], part: &str) {
    let found = octets.windows(part.len()).any(|window| window == part.as_bytes());
    assert!(found, "{part} is in it");
}

#[test]
fn the_tools_read_what_the_shipped_profiles_make() {
    let mut tools = Tools::start();
    let place = shipped("esp32-secure-cert");
    let image = file(&place, "esp_secure_cert.bin");
    let parsed = tools.ask(&json!({"ask": "parse-secure-cert", "image": text(&image)}));
    assert_eq!(parsed["valid"], parsed["entries"]);
    let chain = octets(&parsed["files"]["devcert_1_0.pem"]);
    let blocks = |octets: &[u8]| std::str::from_utf8(octets).unwrap().matches("BEGIN CERT").count();
    assert_eq!(blocks(&chain), 2, "the issuer's comes with it");
    assert_eq!(
        blocks(&octets(&parsed["files"]["cacert_0_0.pem"])),
        2,
        "Amazon's roots"
    );
    let factory = file(&place, "fctry.bin");
    for part in ["serial_no", "SN000000", "a.example", "client_id"] {
        has(&factory, part);
    }

    let place = shipped("esp32-nvs");
    let (image, keys) = (file(&place, "fctry.bin"), file(&place, "nvs_keys.bin"));
    let question = json!({"ask": "nvs-decrypt", "image": text(&image), "keys": text(&keys[..64])});
    let plain = tools.image(&question);
    let released = fs::read_to_string(place.join("out/b/certificates/000000.pem")).unwrap();
    let first = released
        .split("-----END")
        .next()
        .unwrap()
        .split("-----BEGIN")
        .nth(1)
        .unwrap();
    for part in [
        "serial_no",
        "SN000000",
        "a.example",
        "BEGIN PRIVATE KEY",
        &first[..64],
    ] {
        has(&plain, part);
    }
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_made() {
    let place = Workplace::new();
    place.manifest(2);
    let small = PROFILE.replace("'0x6000'", "'0x1000'");
    let long = format!(
        "{}\n",
        "  { namespace = 'a', key = 'long', type = 'string', value = '{serial_number}X' },"
            .replace('X', &"x".repeat(3900))
    );
    let profile = small.replace("entries = [\n", &format!("entries = [\n{long}"));
    fs::write(place.join("profile.toml"), profile).unwrap();
    for command in ["check", "run"] {
        let told = place.fail(&[command, "devices.csv", "--profile", "profile.toml"], 4);
        assert!(told.contains("fctry.bin"), "{told}");
        assert!(
            told.contains("the partition of 4096 octets is full before"),
            "{told}"
        );
        assert!(!place.join("out").exists(), "nothing was made");
    }
}

/// Writes the bundle anew with a file of it changed, so that nothing but its digest and what it holds is wrong with it.
fn change(place: &Workplace, name: &str, change: impl Fn(&mut Vec<u8>)) {
    let path = place.join(BUNDLE);
    let mut archive = ZipArchive::new(Cursor::new(fs::read(&path).unwrap())).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let (own, mut content) = (file.name().unwrap().into_owned(), Vec::new());
        file.read_to_end(&mut content).unwrap();
        if own == name {
            change(&mut content);
        }
        writer.start_file(own, stored).unwrap();
        writer.write_all(&content).unwrap();
    }
    fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
}

#[test]
fn one_bundle_of_which_nothing_can_be_made_again_hides_no_other() {
    let profile = format!("{PROFILE}[[bundle.files]]\nname = 'certificate.pem'\ncontent = 'certificate'\n");
    let large = "A".repeat(40_000);
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{large}\n-----END CERTIFICATE-----\n");
    for (name, at) in [
        ("nvs_keys.bin", Some(7)),
        ("fctry.bin", Some(5000)),
        ("esp_secure_cert.bin", Some(40)),
        ("certificate.pem", None),
    ] {
        let how = |octets: &mut Vec<u8>| match at {
            Some(at) => octets[at] ^= 1,
            None => *octets = certificate.clone().into_bytes(),
        };
        let place = made(&profile);
        change(&place, name, how);
        let told = place.run(&["verify", "out/b", "--manifest", "devices.csv"]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert_eq!(told.status.code(), Some(1), "{name}: {text}");
        assert!(
            text.contains("device SN000000, ") && text.contains("1 of 2 devices are good"),
            "{name}: {text}"
        );
    }
}
