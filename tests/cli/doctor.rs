//! The doctor: each thing that can be wrong is told, and nothing secret is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::Workplace;

fn doctor(place: &Workplace, arguments: &[&str]) -> Command {
    let mut command = place.command(&[&["doctor"][..], arguments].concat());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("AWS_") || name.to_ascii_uppercase().ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn examined(command: &mut Command, code: i32) -> Value {
    let output = command.arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{errors}",
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The state and the text of the first check of something.
fn of<'a>(report: &'a Value, area: &str, what: &str) -> (&'a str, String) {
    let check = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["area"] == area && check["what"].as_str().unwrap().contains(what))
        .unwrap_or_else(|| panic!("no {area} {what} in {report}"));
    let hint = check["hint"].as_str().unwrap_or_default();
    (
        check["state"].as_str().unwrap(),
        format!("{}; {hint}", check["said"].as_str().unwrap()),
    )
}

#[test]
fn it_tells_the_features_that_the_version_tells() {
    let place = Workplace::new();
    let version = place.succeed(&["--version"]);
    let features = version.lines().find_map(|line| line.strip_prefix("features  "));
    let features = features.unwrap();
    let report = examined(&mut doctor(&place, &["--offline"]), 0);
    let (_, said) = of(&report, "program", "version");
    assert!(said.contains(&format!(", features {features};")), "{said}");
}

#[test]
fn a_new_place_is_well_without_a_network() {
    let place = Workplace::new();
    let report = examined(&mut doctor(&place, &["--offline"]), 0);
    assert_eq!(report["bad"], 0);
    for (area, what, said) in [
        ("CA", "ca", "there is none yet"),
        ("ledger", "ca/ledger.db", "there is none yet"),
        ("engine", "auto", "P-256 keys by"),
        ("disk", "folder of batches", "MiB free on"),
        ("clock", "this machine's", "Z"),
    ] {
        let (_, told) = of(&report, area, what);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let place = Workplace::new();
    place.manifest(2);
    place.succeed(&["ca", "new", "--no-passphrase", "--days", "20"]);
    let report = examined(&mut doctor(&place, &["--offline"]), 0);
    let (state, told) = of(&report, "CA", "certificate.pem");
    assert!(
        state == "warn" && told.contains("days left)") && told.contains("next CA in time"),
        "{told}"
    );
    let (state, told) = of(&report, "CA", "key.pem");
    assert!(state == "warn" && told.contains("not encrypted"), "{told}");
    let (state, told) = of(&report, "ledger", "ca/ledger.db");
    assert!(state == "warn" && told.contains("second identity"), "{told}");
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--profile",
        "aws-iot-p256",
    ]);
    let report = examined(&mut doctor(&place, &["--offline"]), 0);
    let (state, told) = of(&report, "ledger", "ca/ledger.db");
    assert!(
        state == "ok" && told.contains("the last is b of") && told.contains("2 of 2 devices"),
        "{told}"
    );

    fs::set_permissions(place.join("ca/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(place.join("ca/ledger.db"), "no ledger").unwrap();
    fs::remove_file(place.join("ca/ledger.db-wal")).ok();
    fs::remove_file(place.join("ca/ledger.db-shm")).ok();
    fs::write(place.join("ca/endpoint.json"), "{}").unwrap();
    let report = examined(&mut doctor(&place, &["--offline"]), 1);
    for (area, what, said) in [
        ("CA", "key.pem", "chmod 600"),
        ("CA", "endpoint.json", "names no endpoint"),
        ("ledger", "ca/ledger.db", ""),
    ] {
        let (state, told) = of(&report, area, what);
        assert!(state == "bad" && told.contains(said), "{told}");
    }
}

/// Everything that may be secret, where it may be.
#[test]
fn nothing_secret_is_told() {
    const SECRETS: [&str; 7] = [
        "s3cretKey",
        "s3cretToken",
        "s3cretPassphrase",
        "s3cretProxy",
        "s3cretUrl",
        "s3cretFile",
        "s3cretSigned",
    ];
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    fs::create_dir(place.join(".aws")).unwrap();
    fs::write(
        place.join(".aws/credentials"),
        "[default]\naws_access_key_id=AKIAEXAMPLE\naws_secret_access_key=s3cretFile\n",
    )
    .unwrap();
    let key = fs::read_to_string(place.join("ca/key.pem")).unwrap();
    let of_key = key.lines().nth(1).unwrap();
    for (more, code) in [(&["--offline"][..], 0), (&[], 0)] {
        for json in [false, true] {
            let mut command = doctor(&place, more);
            command
                .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
                .env("AWS_SECRET_ACCESS_KEY", "s3cretKey")
                .env("AWS_SESSION_TOKEN", "s3cretToken")
                .env("AWS_REGION", "eu-central-1")
                .env("CERTFORGE_CA_PASSPHRASE", "s3cretPassphrase")
                .env("https_proxy", "http://jane:s3cretProxy@127.0.0.1:1")
                .env(
                    "AWS_ENDPOINT_URL",
                    "http://jane:s3cretUrl@127.0.0.1:1/?sign=s3cretSigned",
                );
            if json {
                command.arg("--json");
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.code() == Some(code) || more.is_empty(), "{text}");
            for secret in SECRETS.into_iter().chain([of_key]) {
                assert!(!text.contains(secret), "{secret}\n{text}");
            }
            assert!(
                text.contains("CERTFORGE_CA_PASSPHRASE") && text.contains("***@127.0.0.1:1"),
                "{text}"
            );
        }
    }
    // What others may read is told.
    let report = examined(&mut doctor(&place, &["--offline"]), 0);
    let (state, told) = of(&report, "settings", ".aws/credentials");
    assert!(state == "warn" && told.contains("chmod 600"), "{told}");
}

#[cfg(feature = "sdk")]
#[test]
fn a_server_that_is_not_there_is_told_and_one_that_is_tells_the_time() {
    use std::io::{Read, Write};
    let place = Workplace::new();
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let report = examined(
        doctor(
            &place,
            &[
                "--to",
                "s3://factory",
                "--endpoint-url",
                "http://127.0.0.1:1",
                "--region",
                "eu-central-1",
            ],
        )
        .envs(keys),
        0,
    );
    let (state, told) = of(&report, "network", "server 127.0.0.1:1");
    assert!(state == "warn" && told.contains("takes no connection"), "{told}");
    let (state, told) = of(&report, "credentials", "environment");
    assert!(state == "warn" && told.contains("nobody confirms them"), "{told}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 403 No\r\nDate: Tue, 24 Nov 2020 12:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let report = examined(
        doctor(
            &place,
            &[
                "--to",
                "s3://factory",
                "--endpoint-url",
                &url,
                "--region",
                "eu-central-1",
            ],
        )
        .envs(keys),
        1,
    );
    let (state, told) = of(&report, "clock", "against a server");
    assert!(state == "bad" && told.contains("2020-11-24T12:00:00Z"), "{told}");
    let (state, told) = of(&report, "network", "answer of http://127.0.0.1");
    assert!(state == "ok" && told.contains("it answers"), "{told}");
}
