//! The page of a rehearsal, looked at by a real browser while devices connect: `tests/page/rehearsal.py` drives Chromium.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::documents::page;
use crate::metrics;
use crate::support::Workplace;
use serde_json::{Value, json};

/// An endpoint that serves its page, until it is dropped.
struct Rehearsal {
    process: Child,
    port: String,
    url: String,
}

impl Rehearsal {
    fn serve(place: &Workplace, more: &[&str]) -> Self {
        let template = ["--ca", "ca", "--template", "template.json"];
        let addresses = ["--address", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json"];
        let arguments = [&["rehearse", "--serve"][..], &template, &addresses, more].concat();
        let mut command = place.command(&arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let documents = serde_json::Deserializer::from_reader(&mut output);
        let told: Value = documents.into_iter().next().unwrap().unwrap();
        // What it tells of events is read, or it would wait for somebody to read it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let address = told["address"].as_str().unwrap();
        Self {
            process,
            port: address.rsplit_once(':').unwrap().1.to_owned(),
            url: format!("http://{}/", told["http"].as_str().unwrap()),
        }
    }

    /// Has a device connect, and says whether it came up.
    fn connect(&self, place: &Workplace, bundle: &str, more: &[&str]) -> bool {
        let endpoint = ["--host", "localhost", "--port", &self.port];
        let trust = ["--cafile", "rehearsal-root.pem"];
        let bundle = self::bundle(place, bundle);
        let arguments = [
            &["connect", bundle.to_str().unwrap()][..],
            &endpoint,
            &trust,
            more,
        ]
        .concat();
        place.run(&arguments).status.success()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser that has the page open, and looks at it when it is told to.
struct Browser {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Browser {
    fn open(place: &Workplace, rehearsal: &Rehearsal) -> Self {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/rehearsal.py");
        let mut command = Command::new(python);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = piped
            .arg(script)
            .arg(&rehearsal.url)
            .arg(place.path())
            .spawn()
            .unwrap();
        Self {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// Looks for something until it is there. What it does not find is on standard error.
    #[track_caller]
    fn sees(&mut self, what: &str, details: Value) {
        let order = Value::Array(vec![what.into(), details]);
        writeln!(self.orders, "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), format!("seen {what}"));
    }

    #[track_caller]
    fn close(self) {
        let Self {
            mut process, orders, ..
        } = self;
        drop(orders);
        assert!(process.wait().unwrap().success());
    }
}

/// A batch of so many devices, and a template for them.
fn batch(devices: usize) -> Workplace {
    let place = Workplace::new();
    place.manifest(devices);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
    ]);
    let template = place.succeed(&["jitp", "template", "new"]);
    fs::write(place.join("template.json"), template).unwrap();
    place
}

/// The bundle of a device, named as `batch/device`.
fn bundle(place: &Workplace, name: &str) -> PathBuf {
    let (batch, device) = name.split_once('/').unwrap();
    let folders = fs::read_dir(place.join(&format!("out/{batch}/bundles"))).unwrap();
    let mut bundles = folders.map(|folder| folder.unwrap().path().join(format!("{device}.zip")));
    bundles.find(|bundle| bundle.exists()).unwrap()
}

/// Changes the properties of a resource in the template.
fn change_template(place: &Workplace, resource: &str, property: &str, value: &Value) {
    let path = place.join("template.json");
    let mut template: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    template["Resources"][resource]["Properties"][property] = value.clone();
    if let Some(name) = value["Ref"].as_str() {
        template["Parameters"][name] = json!({ "Type": "String" });
    }
    fs::write(path, template.to_string()).unwrap();
}

#[test]
fn the_page_answers_to_no_name_that_nobody_gave_it() {
    let place = batch(1);
    let rehearsal = Rehearsal::serve(&place, &["--http-name", "line7.example"]);
    let address = rehearsal.url.trim_start_matches("http://").trim_end_matches('/');
    for (host, is_refused) in [("evil.example", true), ("line7.example", false), (address, false)] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /state.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert_eq!(
            answer.starts_with("HTTP/1.1 421 "),
            is_refused,
            "{host}: {answer}"
        );
    }
}

#[test]
fn what_the_page_lives_on_is_documented_and_metrics_say_the_same() {
    let place = batch(2);
    let rehearsal = Rehearsal::serve(&place, &[]);
    assert!(rehearsal.connect(&place, "b/SN000000", &[]));
    let mut state: Value = serde_json::from_str(&metrics::get(&rehearsal.url, "/state.json")).unwrap();
    // The page says of these that they are as elsewhere.
    page::of("`rehearse list`").hold(&state["listing"].take());
    state["listing"] = json!({});
    let section = page::of("The page of `rehearse --serve`");
    section.hold_example();
    section.hold(&state);
    let samples = metrics::read(&metrics::get(&rehearsal.url, "/metrics"));
    for (sample, expected) in [
        ("certforge_rehearsal_readable", "1"),
        ("certforge_rehearsal_connected", "0"),
        ("certforge_rehearsal_events_total{kind=\"registered\"}", "1"),
        ("certforge_rehearsal_events_total{kind=\"published\"}", "1"),
        ("certforge_rehearsal_events_total{kind=\"refused\"}", "0"),
        ("certforge_rehearsal_certificates{status=\"ACTIVE\"}", "1"),
        ("certforge_rehearsal_things", "1"),
        ("certforge_rehearsal_policies", "1"),
    ] {
        assert_eq!(samples[sample], expected, "{sample}");
    }
}

#[test]
fn the_page_shows_first_connections_live_and_refusals_with_their_reason() {
    let place = batch(3);
    let common_name = json!({ "Ref": "AWS::IoT::Certificate::CommonName" });
    let attributes = json!({ "serial": common_name, "line": "7" });
    change_template(&place, "thing", "AttributePayload", &attributes);
    let mut rehearsal = Rehearsal::serve(&place, &[]);
    let mut browser = Browser::open(&place, &rehearsal);
    browser.sees("nothing yet", json!(null));

    assert!(rehearsal.connect(&place, "b/SN000000", &[]));
    let kinds = [
        "registered",
        "provisioned",
        "dropped",
        "connected",
        "published",
        "disconnected",
    ];
    browser.sees("events", json!({ "device": "SN000000", "kinds": kinds }));
    browser.sees(
        "device",
        json!({ "device": "SN000000", "status": "ACTIVE", "why": "" }),
    );
    let attributes = "line = 7; serial = SN000000";
    browser.sees(
        "thing",
        json!({ "thing": "SN000000", "certificates": 1, "text": attributes }),
    );
    browser.sees("policy", json!({ "targets": 1 }));

    assert!(!rehearsal.connect(&place, "b/SN000000", &["--topic", "not/allowed"]));
    let reason = "topic/not/allowed is refused: Statement[1] of policy";
    browser.sees("refusal", json!({ "device": "SN000000", "reason": reason }));
    let name = "<b>x</b><img src=x onerror=alert(1)>";
    assert!(!rehearsal.connect(&place, "b/SN000000", &["--client-id", name, "--attempts", "1"]));
    let reason = format!("client/{name} is refused");
    browser.sees("refusal", json!({ "device": name, "reason": reason }));
    browser.sees(
        "filters",
        json!({ "refusals": 2, "word": "not/allowed", "found": 1 }),
    );
    browser.sees("a picture", json!("page"));

    rehearsal.process.kill().unwrap();
    browser.sees("an outage", json!(null));
    browser.close();
}

#[test]
fn the_page_warns_of_things_with_two_certificates_and_says_why_a_device_is_pending() {
    let place = batch(2);
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "again",
        "--reissue",
    ]);
    let rehearsal = Rehearsal::serve(&place, &[]);
    let mut browser = Browser::open(&place, &rehearsal);
    assert!(rehearsal.connect(&place, "b/SN000000", &[]));
    assert!(rehearsal.connect(&place, "again/SN000000", &[]));
    browser.sees(
        "thing",
        json!({ "thing": "SN000000", "certificates": 2, "text": "" }),
    );
    browser.close();
    drop(rehearsal);

    let country = json!({ "Ref": "AWS::IoT::Certificate::Country" });
    change_template(&place, "thing", "ThingName", &country);
    let rehearsal = Rehearsal::serve(&place, &[]);
    let mut browser = Browser::open(&place, &rehearsal);
    assert!(!rehearsal.connect(&place, "b/SN000001", &["--attempts", "1"]));
    let why = "AWS::IoT::Certificate::Country";
    browser.sees(
        "device",
        json!({ "device": "SN000001", "status": "PENDING_ACTIVATION", "why": why }),
    );
    browser.sees("refusal", json!({ "device": "SN000001", "reason": why }));
    browser.close();
}

#[test]
fn the_page_shows_the_newest_of_many_and_keeps_refusals_in_sight() {
    let place = batch(250);
    let state = ["--state", "state.db"];
    let rehearsal = Rehearsal::serve(&place, &state);
    assert!(!rehearsal.connect(
        &place,
        "b/SN000249",
        &["--topic", "not/allowed", "--attempts", "2"]
    ));
    drop(rehearsal);
    let all = ["rehearse", "b", "--sample", "all", "--template", "template.json"];
    place.succeed(&[&all[..], &state].concat());

    let rehearsal = Rehearsal::serve(&place, &state);
    let mut browser = Browser::open(&place, &rehearsal);
    let notes =
        json!({ "devices": "the newest 200 of 250", "things": "the newest 200 of 250", "policies": "1" });
    browser.sees("notes", notes);
    browser.sees("the newest events of many", json!({ "refusals": 1 }));
    browser.sees("a picture", json!("many"));
    browser.close();
}
