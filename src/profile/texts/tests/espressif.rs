//! Images for Espressif's devices in bundles of a batch, and what profiles cannot ask of them.

use super::{Bundler, Profile, SystemRandom, binding, profile, row, try_all};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

const SECURE_CERT: &str = "[[bundle.files]]
name = 'esp_secure_cert.bin'
format = 'esp-secure-cert'
";

const OTHER_LAYOUTS: &str = "[[bundle.files]]
name = 'chain.bin'
format = 'esp-secure-cert'
layout = 'without-digest'
content = ['private-key', 'chain', 'issuer', 'amazon-root-ca-1']
[[bundle.files]]
name = 'der.bin'
format = 'esp-secure-cert'
layout = 'whole-partition'
encoding = 'der'
content = ['private-key', 'certificate']
";

const DS: &str = "[[bundle.files]]
name = 'ds.bin'
format = 'esp-secure-cert'
ds = { chip = 'esp32s3', efuse_key = 1 }
content = ['private-key', 'certificate']
[[bundle.files]]
name = 'hmac_key.bin'
content = 'hmac-key'
";

const NVS: &str = "[[bundle.files]]
name = 'fctry.bin'
format = 'nvs'
size = '0x6000'
[[bundle.files.entries]]
namespace = 'factory'
key = 'site'
type = 'string'
value = 'at {site}'
[[bundle.files.entries]]
namespace = 'factory'
key = 'revision'
type = 'i16'
value = -7
[[bundle.files.entries]]
namespace = 'tls'
key = 'key'
type = 'string'
content = 'private-key'
[[bundle.files.entries]]
namespace = 'tls'
key = 'certificate'
type = 'binary'
content = 'certificate'
[[bundle.files.entries]]
namespace = 'tls'
key = 'chain'
type = 'string'
content = 'chain'
[[bundle.files.entries]]
namespace = 'factory'
key = 'calibration'
type = 'hex2bin'
value = '00ff10'
";

fn encrypted(encryption: &str, keys: &str) -> String {
    let nvs = NVS.replace("'0x6000'\n", &format!("24576\nencryption = '{encryption}'\n"));
    format!("{nvs}[[bundle.files]]\nname = 'keys.bin'\n{keys}\n")
}

fn ec_key() -> Vec<u8> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    pkcs8.unwrap().as_ref().to_vec()
}

fn rsa_key() -> Vec<u8> {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
    pkcs8.as_ref().to_vec()
}

/// In the shape of a certificate.
fn certificate() -> Vec<u8> {
    let mut der = vec![7; 604];
    der[..4].copy_from_slice(&[0x30, 0x82, 2, 88]);
    der
}

#[test]
fn images_are_read_back_and_made_again() {
    let flash = encrypted("nvs-keys", "format = 'nvs-keys'");
    let raw = encrypted("nvs-keys", "content = 'nvs-keys'");
    let hmac = encrypted("nvs-hmac-key", "content = 'nvs-hmac-key'");
    for files in [SECURE_CERT, OTHER_LAYOUTS, NVS, &flash, &raw, &hmac] {
        try_all(files, "Köln", &ec_key(), &certificate());
        let files = format!("[key]\ntype = 'RSA-2048'\n{files}");
        try_all(&files, "", &rsa_key(), &certificate());
    }
    let files = format!("[key]\ntype = 'RSA-2048'\n{DS}");
    try_all(&files, "x", &rsa_key(), &certificate());
}

fn refusal(files: &str) -> String {
    let error = Profile::parse(&format!("name = 'x'\n{files}"), "x", None).unwrap_err();
    error.to_string()
}

#[test]
fn a_profile_that_asks_for_an_image_that_cannot_be_is_refused() {
    let of_4096 = DS.replace("esp32s3", "esp32c3");
    let of_4096 = format!("[key]\ntype = 'RSA-4096'\n{of_4096}");
    let secure_cert = |setting: &str| format!("{SECURE_CERT}{setting}\n");
    let nvs = |old: &str, new: &str| {
        assert!(NVS.contains(old), "{old}");
        NVS.replace(old, new)
    };
    for (files, told) in [
        (
            DS.to_owned(),
            "ds.bin: esp-secure-cert cannot hold a key of type P-256",
        ),
        (
            of_4096,
            "signs with RSA keys of up to 3072 bits, and RSA-4096 has more",
        ),
        (
            secure_cert("ds = { chip = 'esp32', efuse_key = 1 }"),
            "unknown variant `esp32`",
        ),
        (
            secure_cert("ds = { chip = 'esp32c3', efuse_key = 6 }"),
            "eFuse key block 6 is not one of 0 to 5",
        ),
        (secure_cert("layout = 'old'"), "unknown variant `old`"),
        (secure_cert("size = 3"), "unknown field `size`"),
        (
            secure_cert("content = ['certificate', 'private-key']"),
            "holds the private-key first",
        ),
        (
            secure_cert("encoding = 'der'\ncontent = ['private-key', 'chain']"),
            "certificates as DER stand alone",
        ),
        (nvs("size = '0x6000'\n", ""), "needs the size of its partition"),
        (nvs("'0x6000'", "'6k'"), "and not a number of octets"),
        (
            nvs("'0x6000'", "5000"),
            "a partition of 5000 octets is not one or more pages",
        ),
        (
            nvs("key = 'site'", "key = 'a key of 16 chars'"),
            "is not 1 to 15 characters",
        ),
        (nvs("key = 'revision'", "key = 'site'"), "is there twice"),
        (
            nvs("key = 'site'", "key = 'sta.ssid'"),
            "writes values of its own for Wi-Fi",
        ),
        (
            nvs("value = -7", "value = 7\ncontent = 'issuer'"),
            "has a value or a content, and not both",
        ),
        (
            nvs("'i16'\nvalue = -7", "'i16'\ncontent = 'issuer'"),
            "issuer is a string, which is PEM, or binary",
        ),
        (
            nvs("content = 'chain'", "content = 'endpoint'"),
            "endpoint is no key or certificate",
        ),
        (
            nvs("'at {site}'", &format!("'{}'", "x".repeat(3968))),
            "may have 3968 octets, and 3967 fit",
        ),
        (
            encrypted("nvs-keys", "content = 'issuer'"),
            "no file has this content",
        ),
    ] {
        let found = refusal(&files);
        assert!(found.contains(told), "{found}");
    }
}

#[test]
fn a_row_whose_value_is_of_another_type_is_told() {
    let files = NVS.replace("value = -7", "value = '{site}'");
    for (site, told) in [
        ("32768", "it is not a number, or not one of this type"),
        ("x", "it is not a number, or not one of this type"),
    ] {
        let problems = binding(&profile(&files)).problems(&row(site));
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert!(problem.reason.to_string().contains(told));
        assert_eq!(
            problem.column.as_deref(),
            Some("bundle.files: fctry.bin: entries.revision")
        );
    }
}

#[test]
fn a_batch_whose_devices_may_not_fit_is_refused_before_it_begins() {
    let small = NVS.replace("'0x6000'", "'0x1000'");
    for (files, certificate, texts, told) in [
        (NVS, 600, [100, 2, 6], None),
        (&small, 600, [100, 2, 6], None),
        (
            &small,
            600,
            [2500, 2, 6],
            Some("fctry.bin: the partition of 4096 octets is full before \"chain\""),
        ),
        (
            NVS,
            3000,
            [100, 2, 6],
            Some("fctry.bin: the string of \"chain\" may have"),
        ),
        (SECURE_CERT, 600, [0; 3], None),
        (
            SECURE_CERT,
            6000,
            [0; 3],
            Some("esp_secure_cert.bin: an image may have"),
        ),
    ] {
        let profile = profile(files);
        let bundler = Bundler::new(profile.recipe(), profile.shared(&[9; 700])).unwrap();
        let found = bundler
            .fits(138, certificate, &texts)
            .err()
            .map(|error| error.to_string());
        match told {
            None => assert_eq!(found, None),
            Some(told) => assert!(found.unwrap().starts_with(told)),
        }
    }
}
