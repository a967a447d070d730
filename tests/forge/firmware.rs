//! What firmware links against reads what bundles hold: Mbed TLS and wolfSSL, in small programs that are compiled here, read keys and
//! certificates out of images, headers, files and PKCS#12.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Workplace, tool};

/// One of each form, as DER.
const DER: &str = "name = \"der\"
[[bundle.files]]
name = \"esp.bin\"
format = \"esp-secure-cert\"
encoding = \"der\"
[[bundle.files]]
name = \"key.der\"
format = \"der\"
content = \"private-key\"
[[bundle.files]]
name = \"own.der\"
format = \"der\"
content = \"certificate\"
[[bundle.files]]
name = \"ca.der\"
format = \"der\"
content = \"issuer\"
";

const SEC1: &str = "[[bundle.files]]
name = \"traditional.der\"
format = \"sec1-der\"
content = \"private-key\"
";

const OLD: &str = "name = \"old\"
[[bundle.files]]
name = \"device.p12\"
format = \"pkcs12\"
encryption = \"3des\"
password = \"geheim\"
";

/// The files of SN000000, of a batch that a profile makes, in a folder of that name.
fn unpacked(place: &Workplace, profile: &str) -> PathBuf {
    let name = profile.trim_end_matches(".toml");
    let run = [
        "run",
        "devices.csv",
        "--endpoint",
        "a.example",
        "--reissue",
        "--profile",
    ];
    place.succeed(&[&run[..], &[profile, "--batch", name]].concat());
    let folder = place.join(name);
    let bundle = format!("out/{name}/bundles/de/SN000000.zip");
    let unzip = tool("unzip", &["-q", &bundle, "-d", name], place.path());
    assert!(unzip.status.success(), "{unzip:?}");
    folder
}

/// A program, compiled with a header of the device beside it.
fn compiled(place: &Workplace, name: &str, libraries: &[&str]) -> PathBuf {
    let source = format!("{}/tests/forge/firmware/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let options = [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-DHEADER",
        "-Ifreertos-header",
        "-o",
        name,
    ];
    let output = tool(
        "cc",
        &[&options[..], &[&source], libraries].concat(),
        place.path(),
    );
    assert!(
        output.status.success(),
        "`tests/all` installs the library of {name}: {output:?}"
    );
    place.join(name)
}

fn says(program: &Path, arguments: &[&str], place: &Workplace) -> String {
    let output = tool(program.to_str().unwrap(), arguments, place.path());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn libraries_of_firmware_read_images_headers_and_files() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    fs::write(place.join("der.toml"), format!("{DER}{SEC1}")).unwrap();
    let named = "name = \"der-rsa\"\n[key]\ntype = \"RSA-2048\"\n";
    let rsa = DER.replace("name = \"der\"\n", named) + &SEC1.replace("sec1-der", "pkcs1-der");
    fs::write(place.join("der-rsa.toml"), rsa).unwrap();
    for profile in [
        "freertos-header",
        "esp32-secure-cert",
        "modem-sec1",
        "aws-iot-p384",
        "der.toml",
        "der-rsa.toml",
    ] {
        unpacked(&place, profile);
    }
    let mbedtls = compiled(&place, "mbedtls", &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"]);
    let wolfssl = compiled(&place, "wolfssl", &["-lwolfssl"]);
    let pem = |profile: &str| ["private.pem.key", "chain.pem.crt"].map(|file| format!("{profile}/{file}"));
    let (modem, p384) = (pem("modem-sec1"), pem("aws-iot-p384"));
    for (arguments, kind) in [
        (vec!["image", "esp32-secure-cert/esp_secure_cert.bin"], "EC"),
        (vec!["image", "der/esp.bin"], "EC"),
        (vec!["image", "der-rsa/esp.bin"], "RSA"),
        (vec!["header"], "EC"),
        (vec!["files", &modem[0], &modem[1]], "EC"),
        (vec!["files", &p384[0], &p384[1]], "EC"),
        (vec!["files", "der/key.der", "der/own.der", "der/ca.der"], "EC"),
        (
            vec!["files", "der/traditional.der", "der/own.der", "der/ca.der"],
            "EC",
        ),
        (
            vec!["files", "der-rsa/key.der", "der-rsa/own.der", "der-rsa/ca.der"],
            "RSA",
        ),
        (
            vec![
                "files",
                "der-rsa/traditional.der",
                "der-rsa/own.der",
                "der-rsa/ca.der",
            ],
            "RSA",
        ),
    ] {
        assert_eq!(
            says(&mbedtls, &arguments, &place),
            format!("CN=SN000000 {kind}\n"),
            "{arguments:?}"
        );
        assert_eq!(says(&wolfssl, &arguments, &place), "pair\n", "{arguments:?}");
    }
    // They are judges: the key of one device is not that of another's certificate.
    let mixed = ["files", &p384[0], &modem[1]];
    for program in [&mbedtls, &wolfssl] {
        let output = tool(program.to_str().unwrap(), &mixed, place.path());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

#[test]
fn wolfssl_opens_both_kinds_of_pkcs12() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    fs::write(place.join("old.toml"), OLD).unwrap();
    for profile in ["freertos-header", "gateway-pkcs12", "old.toml"] {
        unpacked(&place, profile);
    }
    let wolfssl = compiled(&place, "wolfssl", &["-lwolfssl"]);
    let drawn = fs::read_to_string(place.join("gateway-pkcs12/device.p12.password")).unwrap();
    for (file, password) in [
        ("gateway-pkcs12/device.p12", drawn.as_str()),
        ("old/device.p12", "geheim"),
    ] {
        // The issuer's is with it.
        assert_eq!(says(&wolfssl, &["pkcs12", file, password], &place), "1 pair\n");
        let other = tool(
            wolfssl.to_str().unwrap(),
            &["pkcs12", file, "another"],
            place.path(),
        );
        assert_eq!(other.status.code(), Some(1), "{other:?}");
    }
}
