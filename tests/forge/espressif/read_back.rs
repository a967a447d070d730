//! `flash verify`: what was read back from a device is what was released for it, octet for octet, or it is told where it is not.

use std::fs;

use serde_json::Value;

use super::batches::{file, file_of, shipped};
use crate::support::Workplace;

const SECOND: &str = "out/b/bundles/d1/SN000001.zip";

/// What it says of an image, and its exit code.
fn verified(place: &Workplace, image: &[u8], more: &[&str]) -> (i32, Value) {
    fs::write(place.join("image.bin"), image).unwrap();
    let verify = [
        "flash",
        "verify",
        "--batch",
        "out/b",
        "--json",
        "--image",
        "image.bin",
    ];
    let output = place.run(&[&verify[..], more].concat());
    let told = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), told)
}

#[test]
fn a_partition_is_held_against_what_was_released() {
    let place = shipped("esp32-secure-cert");
    let mut image = file_of(&place, SECOND, "esp_secure_cert.bin");
    let len = image.len();
    let (code, told) = verified(&place, &image, &[]);
    assert_eq!((code, &told["device_id"]), (0, &"SN000001".into()), "{told:#}");
    image.resize(0x2000, 0xFF);
    let (code, told) = verified(&place, &image, &[]);
    assert_eq!((code, &told["as_released"]), (0, &true.into()), "{told:#}");
    assert_eq!(told["places"][0]["octets"], len);
    assert_eq!(told["not_seen"], serde_json::json!(["fctry.bin"]));

    // In the key, behind it, and at its end.
    let at = |part: &[u8]| {
        image
            .windows(part.len())
            .position(|window| window == part)
            .unwrap()
    };
    for at in [at(b"BEGIN EC PRIVATE KEY") + 40, len, 0x1FFF] {
        let mut changed = image.clone();
        changed[at] ^= 1;
        let (code, told) = verified(&place, &changed, &[]);
        assert_eq!((code, &told["places"][0]["state"]), (1, &"differs".into()));
        assert_eq!(told["places"][0]["first_difference"], at);
    }
    let (code, told) = verified(&place, &image[..len - 1], &[]);
    assert_eq!((code, &told["places"][0]["state"]), (1, &"cut-off".into()));

    // The certificate of one device, and the key of another.
    let other = file(&place, "esp_secure_cert.bin");
    let key = at(b"-----BEGIN EC PRIVATE KEY");
    let mixed = [&image[..key], &other[key..]].concat();
    let (code, told) = verified(&place, &mixed, &[]);
    assert_eq!((code, &told["device_id"]), (1, &"SN000001".into()), "{told:#}");
}

#[test]
fn partitions_are_found_in_the_flash_as_a_whole() {
    let place = shipped("esp32-secure-cert");
    let mut flash = vec![0xFF; 0x40_0000];
    let mut write = |offset: usize, octets: &[u8]| {
        flash[offset..offset + octets.len()].copy_from_slice(octets);
    };
    write(0, &[0xE9; 0x3000]);
    write(0xD000, &file(&place, "esp_secure_cert.bin"));
    write(0x1_0000, &[0x5A; 0x1000]);
    write(0x34_0000, &file(&place, "fctry.bin"));
    // An application that knows the certificate of another device.
    write(
        0x2_0000,
        &fs::read(place.join("out/b/certificates/000000.pem")).unwrap(),
    );
    let both = ["--offset", "0xD000", "--offset", "0x340000"];
    let (code, told) = verified(&place, &flash, &both);
    assert_eq!((code, &told["device_id"]), (0, &"SN000000".into()), "{told:#}");
    assert_eq!(told["not_seen"], serde_json::json!([]));
    let (code, told) = verified(&place, &flash, &["--offset", "0xD000", "--offset", "0x9000"]);
    assert_eq!(
        (code, &told["places"][1]["state"]),
        (1, &"nothing-released".into())
    );
}

#[test]
fn encrypted_partitions_are_those_of_the_device_that_is_named() {
    let place = shipped("esp32-nvs");
    let (image, keys) = (file(&place, "fctry.bin"), file(&place, "nvs_keys.bin"));
    // Keys alone are nobody's whom the batch could tell.
    let (code, told) = verified(&place, &keys, &[]);
    assert_eq!(code, 9, "{told:#}");
    for image in [&image, &keys] {
        let (code, told) = verified(&place, image, &["--device", "SN000000"]);
        assert_eq!(code, 0, "{told:#}");
        let (code, told) = verified(&place, image, &["--device", "SN000001"]);
        assert_eq!(code, 1, "{told:#}");
    }
}

#[test]
fn the_device_of_an_encrypted_partition_is_found_by_its_keys() {
    let place = shipped("esp32-nvs");
    let (image, keys) = (file(&place, "fctry.bin"), file(&place, "nvs_keys.bin"));
    fs::write(place.join("nvs_keys.bin"), &keys).unwrap();
    let (code, told) = verified(&place, &image, &["--keys", "nvs_keys.bin"]);
    assert_eq!((code, &told["device_id"]), (0, &"SN000000".into()), "{told:#}");
    // Where one octet of a value is another, the device is named, and the place is told.
    fs::write(
        place.join("nvs_keys.bin"),
        file_of(&place, SECOND, "nvs_keys.bin"),
    )
    .unwrap();
    let (code, told) = verified(&place, &image, &["--keys", "nvs_keys.bin"]);
    let message = told["error"]["message"].as_str().unwrap();
    assert_eq!(
        (code, message),
        (
            9,
            "no NVS partition opens with these keys: at 0x0, the entry at octet 64 is damaged, or the key is another"
        )
    );

    // In the flash as a whole the keys are there themselves.
    let mut flash = vec![0xFF; 0x40_0000];
    let mut write = |offset: usize, octets: &[u8]| {
        flash[offset..offset + octets.len()].copy_from_slice(octets);
    };
    write(0xF000, &keys);
    write(0x1_0000, &[0x5A; 0x1000]);
    write(0x34_0000, &image);
    let both = ["--offset", "0xF000", "--offset", "0x340000"];
    let (code, told) = verified(&place, &flash, &both);
    assert_eq!((code, &told["device_id"]), (0, &"SN000000".into()), "{told:#}");
    assert_eq!(told["not_seen"], serde_json::json!([]));
    fs::write(place.join("nvs_keys.bin"), &keys[..64]).unwrap();
    let with = ["--offset", "0x340000", "--keys", "nvs_keys.bin"];
    let (code, told) = verified(&place, &flash, &with);
    assert_eq!((code, &told["device_id"]), (0, &"SN000000".into()), "{told:#}");
    // What is not as released is still that device's.
    let changed = 0x34_0000 + 0x4000;
    flash[changed] = 0;
    let (code, told) = verified(&place, &flash, &both);
    assert_eq!((code, &told["device_id"]), (1, &"SN000000".into()), "{told:#}");
    assert_eq!(told["places"][1]["first_difference"], changed);
}

/// A batch of three devices, in two chunks, by the shipped profile `esp32-nvs`.
fn batch_of_three(place: &Workplace, more: &[&str]) {
    place.manifest(3);
    let run = [
        "run",
        "devices.csv",
        "--endpoint",
        "a.example",
        "--batch",
        "b",
        "--profile",
        "esp32-nvs",
        "--chunk-rows",
        "2",
    ];
    place.succeed(&[&run[..], more].concat());
}

/// What a station gets of a device's encrypted partition.
fn flashed(place: &Workplace, device: &str, more: &[&str]) -> Vec<u8> {
    let claim = [
        "station",
        "claim",
        "--batch",
        "out/b",
        "--station",
        "st1",
        "--device",
        device,
        "--out",
        device,
    ];
    place.succeed(&[&claim[..], more].concat());
    fs::read(place.join(device).join("fctry.bin")).unwrap()
}

#[test]
fn the_device_of_an_encrypted_partition_is_found_by_the_keys_in_the_bundles() {
    for layout in ["objects", "packs"] {
        let place = Workplace::new();
        batch_of_three(&place, &["--layout", layout]);
        let images = ["SN000000", "SN000001", "SN000002"].map(|device| flashed(&place, device, &[]));
        for (image, i) in images.iter().zip(0..) {
            let (code, told) = verified(&place, image, &[]);
            let expected = format!("SN00000{i}");
            assert_eq!((code, &told["device_id"]), (0, &expected.into()), "{told:#}");
        }
        // In the flash as a whole, beside an application that knows a certificate; and where an entry was changed.
        let mut flash = vec![0xFF; 0x40_0000];
        let mut write = |offset: usize, octets: &[u8]| {
            flash[offset..offset + octets.len()].copy_from_slice(octets);
        };
        write(0x34_0000, &images[2]);
        let certificate = fs::read(place.join("ca/certificate.pem")).unwrap();
        write(0x3F_0000, &certificate);
        let at = ["--offset", "0x340000"];
        let (code, told) = verified(&place, &flash, &at);
        assert_eq!((code, &told["device_id"]), (0, &"SN000002".into()), "{told:#}");
        let changed = 0x34_0000 + 64;
        flash[changed] ^= 1;
        let (code, told) = verified(&place, &flash, &at);
        assert_eq!((code, &told["device_id"]), (1, &"SN000002".into()), "{told:#}");
        assert_eq!(told["places"][0]["first_difference"], changed);
    }
}

#[test]
fn keys_in_bundles_are_tried_as_far_as_these_can_be_read() {
    let place = Workplace::new();
    batch_of_three(&place, &[]);
    let image = flashed(&place, "SN000001", &[]);
    // What was claimed stays in the generation that it has.
    place.succeed(&["bundle", "repack", "out/b", "--endpoint", "b.example"]);
    let (code, told) = verified(&place, &image, &[]);
    assert_eq!((code, &told["device_id"]), (0, &"SN000001".into()), "{told:#}");
    let done = [
        "station",
        "done",
        "SN000001",
        "--batch",
        "out/b",
        "--station",
        "st1",
        "--burn",
    ];
    place.succeed(&done);
    let (code, told) = verified(&place, &image, &[]);
    let message = told["error"]["message"].as_str().unwrap();
    assert_eq!(
        (code, message),
        (
            9,
            "the NVS at 0x0 opens with none of the keys of batch b: 2 bundles tried, 1 cannot be read"
        )
    );
}

#[test]
fn keys_in_encrypted_bundles_are_tried_by_whom_these_are_for() {
    let place = Workplace::new();
    let recipient = place.succeed(&["station", "identity", "new", "--to", "st1.key"]);
    batch_of_three(&place, &["--recipient", recipient.trim_end()]);
    let with = ["--identity", "st1.key"];
    let image = flashed(&place, "SN000001", &with);
    let (code, told) = verified(&place, &image, &with);
    assert_eq!((code, &told["device_id"]), (0, &"SN000001".into()), "{told:#}");
    let (code, told) = verified(&place, &image, &[]);
    let message = told["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the bundles of batch b are encrypted, for age1"),
        "{message}"
    );
    assert_eq!(code, 9);
}

#[test]
fn a_device_of_another_batch_is_not_known() {
    let [place, other] = [(); 2].map(|()| shipped("esp32-secure-cert"));
    let (code, told) = verified(&place, &file(&other, "esp_secure_cert.bin"), &[]);
    assert_eq!(code, 9);
    let message = told["error"]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "batch b has no device with a certificate that is in the image"
    );
    // A store that was changed is not believed.
    let index = place.join("out/b/index/000000.csv");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("SN000001", "SN000009")).unwrap();
    let (code, told) = verified(
        &place,
        &[0x30; 64],
        &["--device", "SN000000", "--memory", "other"],
    );
    assert_eq!(code, 6, "{told:#}");
}

#[test]
fn devices_that_were_claimed_are_held_against_the_generation_that_they_have() {
    let place = shipped("esp32-secure-cert");
    let image = file(&place, "esp_secure_cert.bin");
    let claim = [
        "station",
        "claim",
        "--batch",
        "out/b",
        "--station",
        "st1",
        "--device",
        "SN000000",
        "--out",
        "dev",
    ];
    place.succeed(&claim);
    place.succeed(&["bundle", "repack", "out/b", "--endpoint", "b.example"]);
    let (code, told) = verified(&place, &image, &[]);
    assert_eq!(code, 0, "{told:#}");
}
