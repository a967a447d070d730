//! Text that somebody else wrote: none of it reaches the terminal but as text, in whatever field it comes.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Workplace, tool};

/// What moves the cursor, colours, hides, reorders; and a line that pretends to be certforge's own.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{8}\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200f}\u{2028}\r\ncertforge: FORGED\t\u{85}";

#[track_caller]
fn is_fit_for_a_terminal(what: &str, output: &Output) {
    assert_ne!(output.status.code(), Some(101), "{what} panicked");
    for octets in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(octets.clone()).expect("output is UTF-8");
        let is_active = |c: char| {
            c != '\n'
                && (c.is_control()
                    || ('\u{2028}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c)
                    || ['\u{200e}', '\u{200f}', '\u{61c}'].contains(&c))
        };
        let found = text.chars().find(|c| is_active(*c));
        assert_eq!(found, None, "{what}\n{text:?}");
        let is_forged = text
            .lines()
            .any(|line| line.trim_start().starts_with("certforge: FORGED"));
        assert!(!is_forged, "{what}\n{text}");
    }
}

/// Runs a command with and without `--json`; it may fail, and must say `FORGED` somewhere: else nothing was tried.
#[track_caller]
fn tells(place: &Workplace, arguments: &[&str]) {
    let output = place.run(arguments);
    is_fit_for_a_terminal(&format!("{arguments:?}"), &output);
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        said.contains("FORGED"),
        "{arguments:?} does not come to it\n{said}"
    );
    let json = place.run(&[arguments, &["--json"]].concat());
    is_fit_for_a_terminal(&format!("{arguments:?} --json"), &json);
    for document in serde_json::Deserializer::from_slice(&json.stdout).into_iter::<Value>() {
        document.expect("it is JSON");
    }
}

fn made() -> Workplace {
    let place = Workplace::new();
    place.manifest(4);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    place
}

fn change(place: &Workplace, file: &str, change: impl Fn(&mut Value)) {
    let path = place.join(file);
    let mut value: Value =
        serde_json::from_slice(&fs::read(&path).expect("it is there")).expect("it is JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("it is written");
}

#[test]
fn names_that_were_typed_and_files_that_are_called_so() {
    let place = made();
    let name = HOSTILE.replace('/', "_");
    for arguments in [
        &["check", &name][..],
        &["run", &name],
        &["check", "devices.csv", "--profile", &name],
        &["run", "devices.csv", "--no-endpoint", "--batch", &name],
        &["ca", "show", &name],
        &["status", "--ledger", &name],
        &["status", &name],
        &["verify", &format!("out/{name}"), "--no-ledger"],
        &["ledger", "export", &format!("./{name}")],
        &["station", "status", "--batch", &format!("out/{name}")],
        &[
            "station",
            "claim",
            "--batch",
            "out/b",
            "--station",
            "s",
            "--device",
            &name,
            "--out",
            "dev",
        ],
        &[
            "station",
            "claim",
            "--batch",
            "out/b",
            "--station",
            &name,
            "--next",
            "--out",
            "dev",
        ],
    ] {
        tells(&place, arguments);
    }
    for arguments in [
        &["check", "a", &name][..],
        &[&name],
        &["bench", "--engine", &name],
    ] {
        is_fit_for_a_terminal(&format!("{arguments:?}"), &place.run(arguments));
    }
    let manifest = format!("{name}.csv");
    fs::copy(place.join("devices.csv"), place.join(&manifest)).expect("it is copied");
    tells(&place, &["check", &manifest]);
    fs::create_dir_all(place.join("out/b/claims/000000")).expect("a folder");
    fs::write(place.join(&format!("out/b/bundles/{name}.zip")), "x").expect("it is written");
    tells(&place, &["verify", "out/b"]);
}

#[test]
fn manifests_and_profiles() {
    let place = made();
    let field = HOSTILE.replace(['\n', '\r'], "");
    for rows in [
        format!("serial_number,site\nA{field},Lyon\n"),
        format!("serial_number,site\nA1,Lyon {field}\n"),
        format!("serial,{field}\nA1,Lyon\n"),
        format!("serial_number,{field}\n,Lyon\n"),
        format!("serial_number,site\nA1,\"Lyon{HOSTILE}\"\n"),
    ] {
        fs::write(place.join("bad.csv"), rows).expect("it is written");
        is_fit_for_a_terminal("check", &place.run(&["check", "bad.csv"]));
        is_fit_for_a_terminal("check --json", &place.run(&["check", "bad.csv", "--json"]));
        is_fit_for_a_terminal("run", &place.run(&["run", "bad.csv", "--no-endpoint"]));
    }
    let quoted = json!(HOSTILE).to_string().replace('\u{7f}', "\\u007f");
    for profile in [
        format!("name = {quoted}"),
        format!("{quoted} = 1"),
        format!("name = 'x'\nsubject = [{quoted}]"),
        format!(
            "name = 'x'\nsubject = ['O=a', {}]",
            json!(format!("CN={HOSTILE}"))
                .to_string()
                .replace('\u{7f}', "\\u007f")
        ),
        format!("name = 'x'\n[key]\ntype = {quoted}"),
        format!("name = 'x'\n[endpoint]\nhost = {quoted}"),
        format!("name = 'x'\n[bundle]\nfiles = [{{name = {quoted}, content = 'private-key'}}]"),
        format!("name = 'x'\n[bundle]\nfiles = [{{name = 'a', content = {{file = {quoted}}}}}]"),
        format!("name = 'x'\n[manifest]\nid_column = {quoted}"),
    ] {
        fs::write(place.join("x.toml"), profile).expect("it is written");
        tells(&place, &["check", "devices.csv", "--profile", "x.toml"]);
    }
}

#[test]
fn authorities_of_others() {
    let place = Workplace::new();
    fs::create_dir(place.join("theirs")).expect("a folder");
    let name = format!("/CN=FORGED {}", HOSTILE.replace('/', "_"));
    let made = tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-utf8",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "theirs/certificate.pem",
            "-days",
            "9",
            "-subj",
            &name,
        ],
        place.path(),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    tells(&place, &["ca", "show", "theirs"]);
}

#[test]
fn what_lies_in_a_store() {
    let place = made();
    let station = ["--batch", "out/b", "--station", "s1"];
    let at = |command: &[&'static str]| [command, &station[..]].concat();
    for (device, end) in [
        ("SN000000", "done"),
        ("SN000001", "failed"),
        ("SN000002", "scrap"),
    ] {
        place.succeed(&at(&["station", "claim", "--device", device, "--out", "dev"]));
        let reason = ["--reason", "x"];
        let reason = if end == "done" { &[][..] } else { &reason };
        place.succeed(&[&at(&["station", end, device])[..], reason].concat());
    }
    let status = ["station", "status", "--batch", "out/b"];
    // A name that no station has makes a claim damaged; a reason is text.
    for (field, is_text) in [("station", false), ("reason", true)] {
        for device in ["SN000000", "SN000001", "SN000002"] {
            change(&place, &format!("out/b/claims/000000/{device}.json"), |claim| {
                claim["station"] = "s1".into();
                claim[field] = HOSTILE.into();
                // Not the hold that the station remembers.
                claim["claim"] = "0".repeat(32).into();
            });
            let show = [&["station", "show", device][..], &station].concat();
            if is_text {
                tells(&place, &show);
            }
            for command in [
                &show[..],
                &status,
                &[
                    &["station", "claim", "--device", device, "--out", "dev"][..],
                    &station,
                ]
                .concat(),
                &[&["station", "done", device][..], &station].concat(),
            ] {
                is_fit_for_a_terminal(field, &place.run(command));
            }
        }
    }
    for which in ["--flashed", "--scrapped"] {
        let output = place.run(&["export", which, "--batch", "out/b"]);
        is_fit_for_a_terminal(which, &output);
        assert!(String::from_utf8_lossy(&output.stdout).contains("FORGED"));
    }
    // A claim and a record that are none, and names of objects.
    change(&place, "out/b/claims/000000/SN000000.json", |claim| {
        claim["device_id"] = HOSTILE.into();
    });
    is_fit_for_a_terminal("damaged", &place.run(&status));

    fs::write(
        place.join("out/b/withdrawn.json"),
        json!({ "batch": HOSTILE, "withdrawn_at": HOSTILE, "reason": HOSTILE }).to_string(),
    )
    .expect("it is written");
    tells(&place, &status);
    tells(&place, &["verify", "out/b"]);
    tells(&place, &["status", "out/b"]);
    // A station that has not asked yet.
    let other = ["station", "claim", "--next", "--out", "dev", "--memory", "other"];
    tells(&place, &[&other[..], &station].concat());

    let index = place.join("out/b/index/000000.csv");
    let rows = fs::read_to_string(&index)
        .expect("an index")
        .replace("bundles/", &HOSTILE.replace(['\n', '\r'], ""));
    fs::write(&index, rows).expect("it is written");
    for command in [
        &["verify", "out/b", "--no-ledger"][..],
        &["ledger", "export", "out/b"],
    ] {
        is_fit_for_a_terminal("index", &place.run(command));
    }
    change(&place, "out/b/batch.json", |record| {
        record["batch"] = HOSTILE.into();
        record["ledger"] = HOSTILE.into();
        record["certforge"] = HOSTILE.into();
    });
    for command in [
        &["status", "out/b"][..],
        &["verify", "out/b", "--no-ledger"],
        &status,
        &["seal", "out/b"],
    ] {
        is_fit_for_a_terminal("batch.json", &place.run(command));
    }
    change(&place, "out/b/seal.json", |seal| {
        seal["seal"]["location"] = HOSTILE.into();
    });
    is_fit_for_a_terminal("seal.json", &place.run(&status));
}

/// A server that answers every request with an error of its own words.
#[cfg(feature = "s3")]
#[test]
fn what_a_server_answers() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let words = "FORGED &#x9b;31m\u{202e}\u{2066}\u{2028}\u{7f}&#x1b;[2J\ncertforge: FORGED";
            let body = format!("<Error><Code>{words}</Code><Message>{words}</Message></Error>");
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let place = Workplace::new();
    let mut command = place.command(&["status", "s3://bucket/b", "--endpoint-url", &url]);
    command
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env("AWS_REGION", "us-east-1");
    let output = command.output().expect("the binary runs");
    is_fit_for_a_terminal("server", &output);
    assert_eq!(output.status.code(), Some(6));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("403"),
        "it was asked"
    );
}
