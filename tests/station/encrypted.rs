//! Stations that flash encrypted bundles: each with an identity of its own, which nobody else sees.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::identity::identity;
use crate::line::Line;
use crate::support::{Workplace, tool};
use serde_json::Value;

/// A sealed batch `out/b` of some devices for stations st1 and st2, whose identities are st1.key and st2.key.
fn line(layout: &str, devices: usize) -> Line {
    let place = Workplace::new();
    place.manifest(devices);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let [one, two] = ["st1", "st2"].map(|name| identity(&place, name));
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows",
        "4",
    ];
    place.succeed(
        &[
            &run[..],
            &["--layout", layout, "--recipient", &one, "--recipient", &two],
        ]
        .concat(),
    );
    Line(place)
}

#[test]
fn a_device_is_flashed_with_what_was_encrypted_for_the_station() {
    for layout in ["objects", "packs"] {
        let line = line(layout, 9);
        let claim = [
            "claim",
            "--device",
            "SN000005",
            "--out",
            "dev",
            "--identity",
            "st2.key",
        ];
        line.succeed("st2", &claim);
        let key = fs::read_to_string(line.0.join("dev/private.pem.key")).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        let pair = |command: &str, file: &str| {
            let arguments = [
                command,
                "-in",
                file,
                if command == "x509" { "-pubkey" } else { "-pubout" },
                "-noout",
            ];
            let arguments = &arguments[..if command == "x509" { 5 } else { 4 }];
            tool("openssl", arguments, &line.0.join("dev")).stdout
        };
        assert_eq!(
            pair("pkey", "private.pem.key"),
            pair("x509", "certificate.pem.crt")
        );
        line.succeed("st2", &["done", "SN000005"]);
        // By the environment, all by itself; its script sees nothing of the identity.
        let script = line.0.join("flash.sh");
        fs::write(
            &script,
            "#!/bin/sh\nenv >> \"${0%/*}/environment\"\ntest -s \"$CERTFORGE_BUNDLE_DIR/private.pem.key\"\n",
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let exec = script.display().to_string();
        let log = line.0.join("log").display().to_string();
        let mut command = line.station(
            "st1",
            &["run", "--exec", &exec, "--log-file", &log, "--verbose", "--json"],
        );
        let output = command
            .env("CERTFORGE_IDENTITY", "st1.key")
            .env("CERTFORGE_PIN", "a PIN, 90417")
            .env("CERTFORGE_CA_PASSPHRASE", "correct horse")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        let ran: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(ran["flashed"], 8, "{ran:#}");
        let secret = fs::read_to_string(line.0.join("st1.key")).unwrap();
        let secret = secret.lines().last().unwrap();
        assert!(secret.starts_with("AGE-SECRET-KEY-1"));
        let environment = fs::read_to_string(line.0.join("environment")).unwrap();
        assert_eq!(
            environment.matches("CERTFORGE_DEVICE_ID=").count(),
            8,
            "{environment}"
        );
        for kept in [&secret[..30], "st1.key", "90417", "correct horse"] {
            assert!(!environment.contains(kept), "{kept}: {environment}");
        }
        for kept in ["memory", "log", "out"] {
            let found = tool("grep", &["-r", "-e", &secret[..30], kept], line.0.path());
            assert_eq!(found.status.code(), Some(1), "{kept} has no identity");
        }
        assert!(!told.contains(&secret[..30]), "{told}");
        // What is flashed is burned, in a pack too.
        let burned = line.succeed("st1", &["burn"]);
        assert!(burned.contains('9'), "{burned}");
        let verified = line.0.succeed(&["verify", "out/b", "--identity", "st1.key"]);
        assert!(
            verified.contains("9 of them removed after they were flashed"),
            "{verified}"
        );
    }
}

/// A key of SSH that lies with the tests, with its passphrase beside it.
#[cfg(feature = "age")]
fn key_of_ssh(place: &Workplace, name: &str) {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ssh");
    for name in [name.to_owned(), format!("{name}.pub")] {
        fs::copy(data.join(&name), place.join(&name)).unwrap();
    }
    fs::write(place.join("passphrase"), "correct horse\n").unwrap();
    for secret in [name, "passphrase"] {
        fs::set_permissions(place.join(secret), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[cfg(feature = "age")]
#[test]
fn a_station_works_by_itself_with_a_key_of_ssh() {
    for (key, layout) in [
        ("id_ed25519", "objects"),
        ("id_rsa", "packs"),
        ("id_ed25519_locked", "packs"),
    ] {
        let place = Workplace::new();
        place.manifest(6);
        place.succeed(&["ca", "new", "--no-passphrase"]);
        key_of_ssh(&place, key);
        let public = format!("{key}.pub");
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            "b",
        ];
        place.succeed(&[&run[..], &["--layout", layout, "--recipient", &public]].concat());
        let line = Line(place);
        line.script(
            "openssl pkey -in \"$CERTFORGE_BUNDLE_DIR/private.pem.key\" -noout && env >> environment",
        );
        let station = [
            "run",
            "--exec",
            "./flash.sh",
            "--out",
            "dev",
            "--json",
            "--identity",
            key,
        ];
        let passphrase: &[&str] = match key {
            "id_ed25519_locked" => &["--identity-passphrase-file", "passphrase"],
            _ => &[],
        };
        let ran = line.succeed("st1", &[&station[..], passphrase].concat());
        let ran: Value = serde_json::from_str(&ran).unwrap();
        assert_eq!(
            (&ran["flashed"], &ran["failed"]),
            (&6.into(), &0.into()),
            "{key}: {ran:#}"
        );
        let environment = fs::read_to_string(line.0.join("environment")).unwrap();
        assert_eq!(environment.matches("CERTFORGE_DEVICE_ID=").count(), 6);
        for kept in ["correct horse", "passphrase", key] {
            assert!(!environment.contains(kept), "{kept}: {environment}");
        }
    }
}

#[cfg(feature = "age")]
#[test]
fn a_station_whose_passphrase_nobody_types_claims_nothing() {
    let place = Workplace::new();
    place.manifest(4);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    key_of_ssh(&place, "id_ed25519_locked");
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
    ];
    place.succeed(&[&run[..], &["--recipient", "id_ed25519_locked.pub"]].concat());
    let line = Line(place);
    let station = [
        "run",
        "--exec",
        "/bin/true",
        "--out",
        "dev",
        "--identity",
        "id_ed25519_locked",
    ];
    let error = line.fail("st1", &station, 2);
    assert!(
        error.contains("with a passphrase, and that was not told"),
        "{error}"
    );
    assert!(!line.path("claims").exists(), "nobody has a device");
}

#[test]
fn one_bundle_burned_leaves_its_neighbours_as_they_were() {
    let line = line("packs", 4);
    line.succeed(
        "st1",
        &[
            "claim",
            "--device",
            "SN000002",
            "--out",
            "dev",
            "--identity",
            "st1.key",
        ],
    );
    line.succeed("st1", &["done", "SN000002"]);
    line.succeed("st1", &["burn"]);
    for options in [&[][..], &["--identity", "st2.key"]] {
        let verified = line.0.succeed(&[&["verify", "out/b"], options].concat());
        assert!(
            verified.contains("4 devices verified, 1 of them removed"),
            "{verified}"
        );
    }
    line.succeed(
        "st1",
        &[
            "claim",
            "--device",
            "SN000003",
            "--out",
            "dev",
            "--identity",
            "st1.key",
        ],
    );
}

#[test]
fn a_bundle_for_somebody_else_is_not_claimed() {
    let line = line("objects", 4);
    let other = identity(&line.0, "other");
    for (options, told) in [
        (
            vec![],
            "the bundles of batch b are encrypted, for age1".to_owned(),
        ),
        (
            vec!["--identity", "other.key"],
            format!(", and this station is {}\n", &other[..12]),
        ),
    ] {
        for claim in [&["claim", "--next"][..], &["claim", "--device", "SN000001"]] {
            let output = line.output("st1", &[claim, &["--out", "dev"], &options].concat());
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(9), "{error}");
            assert!(error.contains(&told), "{error}");
        }
        let output = line.output("st1", &[&["run", "--exec", "/bin/true"], &options[..]].concat());
        assert_eq!(output.status.code(), Some(9));
    }
    assert!(!line.path("claims").exists(), "nobody has a device");
    // The recipients' short ids are in the message, as their stations know them.
    let shown = line.0.succeed(&["station", "identity", "show", "st1.key"]);
    let output = line.output("st1", &["claim", "--next", "--out", "dev"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&shown[..12]));
    // What needs no bundle needs no identity.
    line.succeed("st1", &["show", "SN000001"]);
    line.succeed("st1", &["status"]);
}

#[test]
fn an_identity_that_others_can_read_is_refused_and_none_is_written_over() {
    let line = line("objects", 4);
    let key = line.0.join("st1.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let claim = ["claim", "--next", "--out", "dev", "--identity", "st1.key"];
        let output = line.output("st1", &claim);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains(&format!(
                "identity st1.key can be read by others (mode {mode:04o})"
            )),
            "{told}"
        );
        assert!(told.contains("hint: chmod 600 st1.key"), "{told}");
    }
    let before = fs::read(&key).unwrap();
    let told = line.0.fail(&["station", "identity", "new", "--to", "st1.key"], 2);
    assert!(told.contains("st1.key is there already"), "{told}");
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn a_bundle_that_was_changed_is_refused_with_the_reason() {
    let line = line("objects", 4);
    let bundle = |id: &str| {
        let found = tool(
            "find",
            &["out/b/bundles", "-name", &format!("{id}.zip.age")],
            line.0.path(),
        );
        line.0.join(String::from_utf8(found.stdout).unwrap().trim())
    };
    let other = fs::read(bundle("SN000001")).unwrap();
    fs::write(bundle("SN000002"), other).unwrap();
    let octets = fs::read(bundle("SN000003")).unwrap();
    fs::write(bundle("SN000003"), &octets[..octets.len() - 16]).unwrap();
    for id in ["SN000002", "SN000003"] {
        let claim = ["claim", "--device", id, "--out", "dev", "--identity", "st1.key"];
        let output = line.output("st1", &claim);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{told}");
        assert!(
            told.contains(".zip.age is refused: SHA-256 is not that of the index"),
            "{told}"
        );
        assert!(!line.0.join("dev").exists(), "nothing is unpacked");
    }
}
