//! Bundles that are what a device takes: PKCS#12, C headers, text and JSON of the user's own. Other people's programs read what is
//! made, and `verify` holds each file against key, certificate and row.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::judge::openssl;
use crate::support::{Workplace, tool};

const FIRST: &str = "bundles/de/SN000000.zip";
const SECOND: &str = "bundles/d1/SN000001.zip";

/// A sealed batch `b` of two devices, whose endpoint is `a.example`.
fn made(profile: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(2);
    run(&place, profile);
    let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
    assert!(verified.contains("2 devices verified"), "{verified}");
    place
}

fn run(place: &Workplace, profile: &str) {
    let arguments = [
        "run",
        "devices.csv",
        "--endpoint",
        "a.example",
        "--batch",
        "b",
        "--profile",
    ];
    place.succeed(&[&arguments[..], &[profile]].concat());
}

/// The same with a profile of these files.
fn made_of(files: &str) -> Workplace {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.toml");
    fs::write(&path, format!("name = \"own\"\n{files}")).unwrap();
    made(path.to_str().unwrap())
}

fn members(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(fs::read(bundle).unwrap())).unwrap();
    let len = archive.len();
    let read = |i| {
        let mut member = archive.by_index(i).unwrap();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        (member.name().unwrap().into_owned(), content)
    };
    (0..len).map(read).collect()
}

fn write(bundle: &Path, members: &[(String, Vec<u8>)]) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    fs::write(bundle, writer.finish().unwrap().into_inner()).unwrap();
}

/// The files of a device in a folder of their own.
fn unpacked(place: &Workplace, bundle: &str) -> PathBuf {
    let folder = place.join(&bundle[11..19]);
    fs::create_dir(&folder).unwrap();
    for (name, content) in members(&place.join("out/b").join(bundle)) {
        fs::write(folder.join(name), content).unwrap();
    }
    folder
}

fn python(script: &str, folder: &Path) -> Output {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    tool(&python, &["-c", script], folder)
}

/// The public key of a certificate and of a key in a folder are the same.
fn is_pair(folder: &Path, key: &str, certificate: &str) {
    let of_certificate = openssl(&["x509", "-in", certificate, "-pubkey", "-noout"], folder);
    assert_eq!(openssl(&["pkey", "-in", key, "-pubout"], folder), of_certificate);
}

/// What `verify` says of a batch whose first bundle has this content in a file.
fn told_of(place: &Workplace, file: &str, content: Vec<u8>) -> String {
    let bundle = place.join("out/b").join(FIRST);
    let good = fs::read(&bundle).unwrap();
    let mut changed = members(&bundle);
    changed.iter_mut().find(|(name, _)| name == file).unwrap().1 = content;
    write(&bundle, &changed);
    let output = place.run(&["verify", "out/b", "--manifest", "devices.csv"]);
    fs::write(&bundle, good).unwrap();
    assert_eq!(output.status.code(), Some(1), "{file}");
    let text = String::from_utf8(output.stdout).unwrap();
    // That it is another bundle is said of each.
    text.lines()
        .filter(|line| !line.contains("SHA-256"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn content_of(place: &Workplace, bundle: &str, file: &str) -> Vec<u8> {
    let members = members(&place.join("out/b").join(bundle));
    members.into_iter().find(|(name, _)| name == file).unwrap().1
}

#[test]
fn gateways_open_their_pkcs12_with_the_password_beside_it() {
    let place = made("gateway-pkcs12");
    for bundle in [FIRST, SECOND] {
        let folder = unpacked(&place, bundle);
        let id = &bundle[11..19];
        let read = [
            "pkcs12",
            "-in",
            "device.p12",
            "-passin",
            "file:device.p12.password",
        ];
        openssl(
            &[&read[..], &["-nodes", "-nocerts", "-out", "key.pem"]].concat(),
            &folder,
        );
        openssl(
            &[&read[..], &["-nokeys", "-clcerts", "-out", "own.pem"]].concat(),
            &folder,
        );
        openssl(
            &[&read[..], &["-nokeys", "-cacerts", "-out", "issuer.pem"]].concat(),
            &folder,
        );
        is_pair(&folder, "key.pem", "own.pem");
        openssl(
            &["verify", "-partial_chain", "-CAfile", "issuer.pem", "own.pem"],
            &folder,
        );
        let own = fs::read_to_string(folder.join("own.pem")).unwrap();
        assert!(own.contains(&format!("friendlyName: {id}")), "{own}");
        let info = tool("openssl", &[&read[..], &["-info", "-noout"]].concat(), &folder);
        let info = String::from_utf8(info.stderr).unwrap();
        for part in [
            "MAC: sha256, Iteration 2048",
            "PKCS7 Encrypted data: PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
            "Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
        ] {
            assert!(info.contains(part), "{info}");
        }
        let password = fs::read_to_string(folder.join("device.p12.password")).unwrap();
        assert_eq!(password.len(), 24);
        let script = "from cryptography.hazmat.primitives.serialization import pkcs12\n\
            read = lambda name: open(name, 'rb').read()\n\
            found = pkcs12.load_pkcs12(read('device.p12'), read('device.p12.password'))\n\
            assert found.key.public_key() == found.cert.certificate.public_key()\n\
            print(found.cert.friendly_name.decode(), len(found.additional_certs))";
        let output = python(script, &folder);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said,
            format!("{id} 1\n"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let passwords = [FIRST, SECOND].map(|bundle| content_of(&place, bundle, "device.p12.password"));
    assert_ne!(passwords[0], passwords[1]);
}

#[test]
fn java_opens_both_kinds_of_pkcs12() {
    if std::process::Command::new("keytool")
        .arg("-help")
        .output()
        .is_err()
    {
        eprintln!("LEFT OUT: keytool is not on this machine; `tests/all` installs default-jdk-headless");
        return;
    }
    let aes = made("gateway-pkcs12");
    let old = made_of(OLD);
    for (place, file, password) in [
        (&aes, "device.p12", None),
        (&old, "SN000000.p12", Some("PO-0 Koeln")),
    ] {
        let folder = unpacked(place, FIRST);
        let drawn = || fs::read_to_string(folder.join("device.p12.password")).unwrap();
        let password = password.map_or_else(drawn, str::to_owned);
        let list = [
            "-J-Dfile.encoding=UTF-8",
            "-list",
            "-v",
            "-storetype",
            "PKCS12",
            "-keystore",
            file,
            "-storepass",
        ];
        let output = tool("keytool", &[&list[..], &[&password]].concat(), &folder);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Entry type: PrivateKeyEntry"), "{file}: {text}");
        assert!(text.contains("Certificate chain length: 2"), "{file}: {text}");
    }
}

/// As old programs take it, with a password of the manifest.
const OLD: &str = "[[bundle.files]]
name = \"{device_id}.p12\"
format = \"pkcs12\"
content = [\"private-key\", \"certificate\", \"issuer\"]
encryption = \"3des\"
iterations = 1000
password = \"{production_order} Koeln\"
friendly_name = \"Gerät {device_id}\"
";

#[test]
fn the_triple_des_of_old_is_read_with_the_password_of_the_row() {
    let place = made_of(OLD);
    let folder = unpacked(&place, FIRST);
    fs::write(folder.join("password"), "PO-0 Koeln").unwrap();
    let read = [
        "pkcs12",
        "-legacy",
        "-in",
        "SN000000.p12",
        "-passin",
        "file:password",
    ];
    openssl(
        &[&read[..], &["-nodes", "-nocerts", "-out", "key.pem"]].concat(),
        &folder,
    );
    openssl(
        &[&read[..], &["-nokeys", "-clcerts", "-out", "own.pem"]].concat(),
        &folder,
    );
    is_pair(&folder, "key.pem", "own.pem");
    let info = tool("openssl", &[&read[..], &["-info", "-noout"]].concat(), &folder);
    let info = String::from_utf8(info.stderr).unwrap();
    assert!(info.contains("MAC: sha1, Iteration 1000"), "{info}");
    assert!(
        info.contains("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 1000"),
        "{info}"
    );
    // Without the manifest nobody can look into it, and the digest speaks for it: stations hand it out.
    place.succeed(&["verify", "out/b"]);
    place.succeed(&[
        "station",
        "claim",
        "--device",
        "SN000000",
        "--station",
        "st1",
        "--batch",
        "out/b",
        "--out",
        "flash",
    ]);
    place.unseal("b");
    let damaged = "{device_id}.p12 is not what the profile says: private-key, certificate, issuer, in pkcs12";
    let told = told_of(&place, "SN000000.p12", content_of(&place, SECOND, "SN000001.p12"));
    assert!(told.contains(damaged), "{told}");
}

#[test]
fn aes_with_another_count_is_read_by_openssl_and_held_to_what_the_profile_says() {
    let files = |iterations: u32| {
        format!(
            "[[bundle.files]]
name = \"device.p12\"
format = \"pkcs12\"
encryption = \"aes-256\"
iterations = {iterations}
password = \"{{production_order}}\"
"
        )
    };
    let [place, other] = [4321, 4322].map(|iterations| made_of(&files(iterations)));
    let folder = unpacked(&place, FIRST);
    let read = ["pkcs12", "-in", "device.p12", "-passin", "pass:PO-0"];
    openssl(
        &[&read[..], &["-nodes", "-nocerts", "-out", "key.pem"]].concat(),
        &folder,
    );
    openssl(
        &[&read[..], &["-nokeys", "-clcerts", "-out", "own.pem"]].concat(),
        &folder,
    );
    is_pair(&folder, "key.pem", "own.pem");
    let info = tool("openssl", &[&read[..], &["-info", "-noout"]].concat(), &folder);
    let info = String::from_utf8(info.stderr).unwrap();
    assert!(info.contains("MAC: sha256, Iteration 4321"), "{info}");
    let lock = "PBES2, PBKDF2, AES-256-CBC, Iteration 4321, PRF hmacWithSHA256";
    assert_eq!(info.matches(lock).count(), 2, "key and certificates: {info}");
    // The same password opens what was made with another count, and it is not what the profile says.
    place.unseal("b");
    let damaged = "device.p12 is not what the profile says: private-key, chain, in pkcs12";
    let content = content_of(&other, FIRST, "device.p12");
    let told = told_of(&place, "device.p12", content);
    assert!(told.contains(damaged), "{told}");
    // So it is of a file with the same key and certificate, and another count alone.
    let all = [&read[..], &["-nodes", "-out", "all.pem"]].concat();
    openssl(&all, &folder);
    for (count, is_fault) in [("4322", true), ("4321", false)] {
        let export = [
            "pkcs12",
            "-export",
            "-in",
            "all.pem",
            "-out",
            "again.p12",
            "-passout",
            "pass:PO-0",
            "-name",
            "SN000000",
            "-iter",
            count,
        ];
        openssl(&export, &folder);
        let told = told_of(&place, "device.p12", fs::read(folder.join("again.p12")).unwrap());
        assert_eq!(told.contains(damaged), is_fault, "{count}: {told}");
    }
}

#[test]
fn verify_holds_key_against_certificate_in_a_pkcs12_file() {
    let place = made("gateway-pkcs12");
    place.unseal("b");
    let damaged = "device.p12 is not what the profile says: private-key, chain, in pkcs12";
    // Another device's file does not open with this one's password, and this one's does not with another's.
    for file in ["device.p12", "device.p12.password"] {
        let told = told_of(&place, file, content_of(&place, SECOND, file));
        assert!(told.contains(damaged), "{file}: {told}");
    }
    let mut changed = content_of(&place, FIRST, "device.p12");
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    assert!(told_of(&place, "device.p12", changed).contains(damaged));
    // One that openssl makes of another device's files, in another layout, is not what was made.
    let other = unpacked(&place, SECOND);
    let read = [
        "pkcs12",
        "-in",
        "device.p12",
        "-passin",
        "file:device.p12.password",
        "-nodes",
        "-out",
        "all.pem",
    ];
    openssl(&read, &other);
    fs::write(
        other.join("password"),
        content_of(&place, FIRST, "device.p12.password"),
    )
    .unwrap();
    let make = [
        "pkcs12",
        "-export",
        "-in",
        "all.pem",
        "-passout",
        "file:password",
        "-out",
        "other.p12",
    ];
    openssl(&[&make[..], &["-name", "SN000000"]].concat(), &other);
    let told = told_of(&place, "device.p12", fs::read(other.join("other.p12")).unwrap());
    assert!(!told.contains("2 devices verified"), "{told}");
}

/// Prints what two headers of FreeRTOS demos have.
const PROGRAM: &str = r#"
#include <stdio.h>
#include "aws_clientcredential_keys.h"
#include "aws_clientcredential_keys.h"
#include "aws_clientcredential.h"
static const char key[] = keyCLIENT_PRIVATE_KEY_PEM;
int main(int count, char **arguments) {
    (void)count;
    switch (arguments[1][0]) {
    case 'k': fputs(key, stdout); break;
    case 'c': fputs(keyCLIENT_CERTIFICATE_PEM keyJITR_DEVICE_CERTIFICATE_AUTHORITY_PEM, stdout); break;
    default: printf("%s:%d %s\n", clientcredentialMQTT_BROKER_ENDPOINT, clientcredentialMQTT_BROKER_PORT, clientcredentialIOT_THING_NAME);
    }
    return 0;
}
"#;

fn compiled(program: &str, folder: &Path) -> impl Fn(&str) -> String {
    fs::write(folder.join("main.c"), program).unwrap();
    let flags = [
        "-std=c89",
        "-pedantic-errors",
        "-Wall",
        "-Wextra",
        "-Wtrigraphs",
        "-Werror",
    ];
    // String literals of C89 are short, and no compiler minds.
    let more = [
        "-Wno-overlength-strings",
        "-Wno-unused-const-variable",
        "-o",
        "main",
        "main.c",
    ];
    let output = tool("gcc", &[&flags[..], &more].concat(), folder);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = folder.to_owned();
    move |what| {
        let output = tool(folder.join("main").to_str().unwrap(), &[what], &folder);
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn firmware_that_has_the_headers_compiled_in_has_key_and_certificates() {
    let place = made("freertos-header");
    let folder = unpacked(&place, FIRST);
    let print = compiled(PROGRAM, &folder);
    fs::write(folder.join("key.pem"), print("k")).unwrap();
    fs::write(folder.join("chain.pem"), print("c")).unwrap();
    is_pair(&folder, "key.pem", "chain.pem");
    assert_eq!(print("c").matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(print("e"), "a.example:8883 SN000000\n");

    place.unseal("b");
    let keys = "aws_clientcredential_keys.h";
    let told = told_of(&place, keys, content_of(&place, SECOND, keys));
    assert!(told.contains("certificate id is not that of the index"), "{told}");
    let header = String::from_utf8(content_of(&place, FIRST, keys)).unwrap();
    let other = String::from_utf8(content_of(&place, SECOND, keys)).unwrap();
    let key_of = |header: &str| {
        let start = header.find("#define keyCLIENT_PRIVATE_KEY_PEM").unwrap();
        let end = header.find("#define keyCLIENT_CERTIFICATE_PEM").unwrap();
        header[start..end].to_owned()
    };
    let exchanged = header.replace(&key_of(&header), &key_of(&other));
    let told = told_of(&place, keys, exchanged.into_bytes());
    assert!(
        told.contains("the private key does not match the certificate"),
        "{told}"
    );
    let named = "aws_clientcredential.h";
    let told = told_of(&place, named, content_of(&place, SECOND, named));
    assert!(
        told.contains(&format!("{named} is not what the profile and the row give")),
        "{told}"
    );
}

const DER_AND_TEXTS: &str = r#"
[[bundle.files]]
name = "keys.h"
format = "c-header"
style = "der"
guard = "KEYS_H"
names = { private-key = "device_key", certificate = "device_certificate" }
content = ["private-key", "certificate"]
defines = { SITE = "{site} \"Köln\" ??/ \\0 1" }
"#;

const DER_PROGRAM: &str = r#"
#include <stdio.h>
#include "keys.h"
int main(int count, char **arguments) {
    FILE *out = fopen("key.der", "wb");
    (void)count;
    fwrite(device_key, 1, device_key_LENGTH, out);
    fclose(out);
    out = fopen("certificate.der", "wb");
    fwrite(device_certificate, 1, sizeof device_certificate, out);
    fclose(out);
    fputs(SITE, stdout);
    return arguments[1][0] == 'x';
}
"#;

#[test]
fn arrays_and_odd_texts_come_through_the_compiler_as_they_are() {
    let place = made_of(DER_AND_TEXTS);
    let folder = unpacked(&place, FIRST);
    let print = compiled(DER_PROGRAM, &folder);
    assert_eq!(print("a"), "Lyon \"Köln\" ??/ \\0 1");
    openssl(
        &[
            "x509",
            "-inform",
            "DER",
            "-in",
            "certificate.der",
            "-out",
            "certificate.pem",
        ],
        &folder,
    );
    is_pair(&folder, "key.der", "certificate.pem");
}

const TEXTS: &str = r#"
[[bundle.files]]
name = "{device_id}.txt"
format = "text"
template = """
AT+SERIAL={device_id},{site|upper}
AT+HOST={endpoint.host},{endpoint.port}
{private-key}
{chain}
"""
[[bundle.files]]
name = "device.json"
format = "json"
fields = { id = "{device_id}", order = "{production_order}", cloud = { port = 8883, key = "{private-key}", root = "{starfield-root-g2}" } }
"#;

#[test]
fn texts_and_json_of_the_users_own_have_columns_keys_and_certificates() {
    let place = made_of(TEXTS);
    let folder = unpacked(&place, FIRST);
    let text = fs::read_to_string(folder.join("SN000000.txt")).unwrap();
    let start = "AT+SERIAL=SN000000,LYON\nAT+HOST=a.example,8883\n-----BEGIN PRIVATE KEY-----\n";
    assert!(text.starts_with(start), "{text}");
    fs::write(folder.join("key.pem"), &text).unwrap();
    is_pair(&folder, "key.pem", "SN000000.txt");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("device.json")).unwrap()).unwrap();
    assert_eq!(json["id"], "SN000000");
    assert_eq!(json["order"], "PO-0");
    assert_eq!(json["cloud"]["port"], 8883);
    assert!(text.contains(json["cloud"]["key"].as_str().unwrap()));

    place.succeed(&[
        "station",
        "claim",
        "--device",
        "SN000000",
        "--station",
        "st1",
        "--batch",
        "out/b",
        "--out",
        "flash",
    ]);
    assert_eq!(
        fs::read_to_string(place.join("flash/SN000000.txt")).unwrap(),
        text
    );

    place.unseal("b");
    let changed = |from: &str, to: &str| {
        let file = if text.contains(from) {
            "SN000000.txt"
        } else {
            "device.json"
        };
        let content = String::from_utf8(content_of(&place, FIRST, file)).unwrap();
        assert!(content.contains(from), "{from}");
        told_of(&place, file, content.replace(from, to).into_bytes())
    };
    for (from, to, file) in [
        ("LYON", "LYOM", "{device_id}.txt"),
        ("a.example", "b.example", "{device_id}.txt"),
        ("\"PO-0\"", "\"PO-1\"", "device.json"),
    ] {
        let told = changed(from, to);
        assert!(
            told.contains(&format!("{file} is not what the profile and the row give")),
            "{told}"
        );
    }
    let other = content_of(&place, SECOND, "device.json");
    let told = told_of(&place, "device.json", other);
    assert!(
        told.contains("the private key does not match the certificate"),
        "{told}"
    );
}

#[test]
fn a_value_that_does_not_fit_costs_nothing() {
    let place = Workplace::new();
    let rows = "serial_number,port\nSN0,1883\nSN1,8883\nSN2,mqtts\nSN3,8883\n";
    fs::write(place.join("devices.csv"), rows).unwrap();
    let profile = "name = \"own\"\n[[bundle.files]]\nname = \"keys.h\"\nformat = \"c-header\"\n\
        content = [\"private-key\", \"certificate\"]\nnumbers = { PORT = \"{port}\" }\n";
    fs::write(place.join("own.toml"), profile).unwrap();
    let told = place.fail(
        &["run", "devices.csv", "--no-endpoint", "--profile", "own.toml"],
        3,
    );
    let fault = "line 4, column bundle.files: keys.h: numbers.PORT: \"mqtts\" does not fit into keys.h: it is no decimal number";
    assert!(told.contains(fault), "{told}");
    assert!(place.find_batch().is_none());
}

const FILE: &str = "[bundle]
archive = \"none\"
[[bundle.files]]
name = \"{device_id}.p12\"
format = \"pkcs12\"
password = \"{production_order}\"
iterations = 1
";

#[test]
fn without_an_archive_the_object_is_the_file_itself_in_each_layout() {
    for (layout, object) in [
        ("objects", "bundles/de/SN000000.bin"),
        ("packs", "packs/000000.zip"),
    ] {
        let place = Workplace::new();
        place.manifest(2);
        fs::write(place.join("own.toml"), format!("name = \"own\"\n{FILE}")).unwrap();
        let arguments = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--batch",
            "b",
            "--layout",
            layout,
            "--profile",
            "own.toml",
        ];
        place.succeed(&arguments);
        let stored = fs::read(place.join("out/b").join(object)).unwrap();
        let file = match layout {
            "objects" => stored,
            _ => members(&place.join("out/b").join(object)).remove(0).1,
        };
        fs::write(place.join("device.p12"), &file).unwrap();
        let read = [
            "pkcs12",
            "-in",
            "device.p12",
            "-passin",
            "pass:PO-0",
            "-nodes",
            "-out",
            "all.pem",
        ];
        openssl(&read, place.path());
        is_pair(place.path(), "all.pem", "all.pem");
        // As it was left.
        assert!(place.succeed(&arguments).contains('2'), "{layout}");
        place.succeed(&["verify", "out/b"]);
        let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
        assert!(verified.contains("2 devices verified"), "{verified}");
        place.succeed(&[
            "station",
            "claim",
            "--station",
            "st1",
            "--device",
            "SN000000",
            "--batch",
            "out/b",
            "--out",
            "flash",
        ]);
        let flashed = place.join("flash/SN000000.p12");
        assert_eq!(fs::read(flashed).unwrap(), file, "{layout}");
        place.succeed(&[
            "station",
            "done",
            "SN000000",
            "--station",
            "st1",
            "--batch",
            "out/b",
        ]);
        place.succeed(&["station", "burn", "--batch", "out/b"]);
        place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
    }
}

#[test]
fn a_file_without_an_archive_is_encrypted_as_bundles_are() {
    let place = Workplace::new();
    place.manifest(2);
    fs::write(place.join("own.toml"), format!("name = \"own\"\n{FILE}")).unwrap();
    place.succeed(&["station", "identity", "new", "--to", "line.key"]);
    let recipient = place.succeed(&["station", "identity", "show", "line.key"]);
    let recipient = recipient
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap();
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--profile",
        "own.toml",
        "--recipient",
    ];
    place.succeed(&[&arguments[..], &[recipient]].concat());
    let object = fs::read(place.join("out/b/bundles/de/SN000000.bin.age")).unwrap();
    assert!(object.starts_with(b"age-encryption.org/v1\n"));
    let verify = [
        "verify",
        "out/b",
        "--manifest",
        "devices.csv",
        "--identity",
        "line.key",
    ];
    let verified = place.succeed(&verify);
    assert!(verified.contains("2 devices verified"), "{verified}");
    let claim = [
        "station",
        "claim",
        "--station",
        "st1",
        "--device",
        "SN000000",
        "--batch",
        "out/b",
        "--out",
        "flash",
        "--identity",
        "line.key",
    ];
    place.succeed(&claim);
    fs::copy(place.join("flash/SN000000.p12"), place.join("device.p12")).unwrap();
    let read = [
        "pkcs12",
        "-in",
        "device.p12",
        "-passin",
        "pass:PO-0",
        "-nodes",
        "-out",
        "all.pem",
    ];
    openssl(&read, place.path());
}

/// What rows say is measured, and not taken to be as long as it may ever be: a chain with a longer name of its CA fits into a string.
#[test]
fn a_chain_of_a_ca_with_a_long_name_fits_into_nvs() {
    let place = Workplace::new();
    place.manifest(2);
    let ca = [
        "ca",
        "new",
        "--no-passphrase",
        "--organization",
        "Pumps and Valves of the Northern Works Limited",
    ];
    place.succeed(&ca);
    place.succeed(&["check", "devices.csv", "--profile", "esp32-nvs", "--ca", "ca"]);
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--endpoint",
        "a.example",
        "--batch",
        "b",
    ];
    place.succeed(&[&run[..], &["--profile", "esp32-nvs"]].concat());
    let verified = place.succeed(&["verify", "out/b", "--manifest", "devices.csv"]);
    assert!(verified.contains("2 devices verified"), "{verified}");
}

/// The first row is measured for all: later ones with names that are longer by far find room in packs and encrypted bundles.
#[test]
fn rows_with_longer_names_than_the_first_have_room() {
    let place = Workplace::new();
    let long = "ü".repeat(64);
    let uri = format!("urn:{}", "x".repeat(240));
    let rows: String = (0..40)
        .map(|row| format!("{}-{row:02},{long},{uri}\n", "S".repeat(60)))
        .collect();
    fs::write(
        place.join("devices.csv"),
        format!("serial_number,line,uri\nA,b,urn:c\n{rows}"),
    )
    .unwrap();
    let profile = "name = \"own\"\nsubject = [\"ST={line}\", \"O={line}\", \"CN={serial_number}\"]\n\n[san]\nuri = [\"{uri}\"]\n";
    fs::write(place.join("own.toml"), profile).unwrap();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["station", "identity", "new", "--to", "st1.key"]);
    let shown = place.succeed(&["station", "identity", "show", "st1.key"]);
    let recipient = shown
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap();
    for more in [
        &["--layout", "packs"][..],
        &["--layout", "packs", "--recipient", recipient],
    ] {
        let batch = format!("b{}", more.len());
        let run = [
            "run",
            "devices.csv",
            "--ca",
            "ca",
            "--endpoint",
            "a.example",
            "--profile",
            "own.toml",
            "--reissue",
        ];
        place.succeed(&[&run[..], &["--batch", &batch], more].concat());
        let batch = format!("out/{batch}");
        let verify = [
            "verify",
            &batch,
            "--manifest",
            "devices.csv",
            "--identity",
            "st1.key",
            "--strict",
        ];
        let verified = place.succeed(&verify);
        assert!(verified.contains("41 devices verified"), "{verified}");
    }
}
