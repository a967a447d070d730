//! The line display, looked at by a real browser: `tests/page/look.py` drives Chromium.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::Workplace;
use crate::{documents, metrics};
use certforge::batch::WithdrawnRecord;
use certforge::batch::claim::Claim;

/// A served page, until it is dropped.
struct Page {
    process: Child,
    url: String,
}

impl Page {
    fn serve(place: &Workplace) -> Self {
        Self::serve_as(place, &[])
    }

    fn serve_as(place: &Workplace, more: &[&str]) -> Self {
        let arguments = ["station", "serve", "--batch", "out/b", "--http", "127.0.0.1:0"];
        let mut process = place
            .command(&[&arguments[..], more].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }

    /// Has the browser look at the page.
    fn look(&self, place: &Workplace, arguments: &[&str]) -> Command {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/look.py");
        let mut command = Command::new(python);
        let screenshot = place.join("page.png");
        command
            .arg(script)
            .arg(&self.url)
            .arg(&screenshot)
            .args(arguments);
        command
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn passes(mut look: Command) {
    let output = look.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The status of an answer to one who calls the page by a name.
fn status_for(page: &Page, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(page.url.trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let is_refused = answer.contains("does not answer to that name");
    assert_eq!(is_refused, answer.starts_with("HTTP/1.1 421 "), "{answer}");
    answer[9..12].to_owned()
}

/// More connections than there is room for, none of which ever asks for anything.
#[test]
fn who_opens_connections_and_asks_nothing_is_sent_away() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    let page = Page::serve(&place);
    let address = page.url.trim_start_matches("http://");
    let mut open: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut open {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    }
    let files = fs::read_dir(format!("/proc/{}/fd", page.process.id())).unwrap();
    assert!(files.count() < 180);
    assert_eq!(status_for(&page, "/", "127.0.0.1"), "200", "it has its turn");
    for mut stream in open {
        // With a reset, or an answer that says so, or without a word.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn the_page_answers_to_no_name_that_nobody_gave_it() {
    let place = line();
    let page = Page::serve_as(&place, &["--http-name", "line7.example"]);
    let own = page.url.trim_start_matches("http://").to_owned();
    for path in ["/", "/status.json"] {
        for host in ["evil.example", "evil.example:8090", "localhost.evil.example", ""] {
            assert_eq!(status_for(&page, path, host), "421", "{host}");
        }
        for host in [&own, "localhost", "[::1]:8090", "LINE7.example:8090"] {
            assert_ne!(status_for(&page, path, host), "421", "{host}");
        }
    }
}

#[test]
fn what_the_page_lives_on_is_documented_and_metrics_say_the_same() {
    let place = line();
    let page = Page::serve(&place);
    // It looks at the claims before it can answer.
    while !status_for(&page, "/status.json", "localhost").starts_with("200") {
        std::thread::yield_now();
    }
    let status: serde_json::Value = serde_json::from_str(&metrics::get(&page.url, "/status.json")).unwrap();
    documents::of("`station status`").hold(&status);
    let samples = metrics::read(&metrics::get(&page.url, "/metrics"));
    assert_eq!(samples["certforge_batch_readable"], "1");
    for state in [
        "left", "claimed", "stale", "flashed", "failed", "scrapped", "damaged",
    ] {
        let sample = format!("certforge_batch_devices{{batch=\"b\",state={state:?}}}");
        assert_eq!(samples[&sample], status[state].to_string(), "{state}");
    }
    for station in status["stations"].as_array().unwrap() {
        let name = &station["station"];
        for state in ["claimed", "stale", "flashed", "failed", "scrapped"] {
            let sample = format!("certforge_station_devices{{batch=\"b\",state={state:?},station={name}}}");
            assert_eq!(samples[&sample], station[state].to_string(), "{name} {state}");
        }
        let sample = format!("certforge_station_silent{{batch=\"b\",station={name}}}");
        assert_eq!(
            samples[&sample],
            u8::from(!station["silent_minutes"].is_null()).to_string()
        );
    }
    fs::rename(place.join("out/b"), place.join("out/away")).unwrap();
    while metrics::read(&metrics::get(&page.url, "/metrics")).len() > 1 {
        std::thread::yield_now();
    }
    let text = metrics::get(&page.url, "/metrics");
    assert!(text.ends_with("\ncertforge_batch_readable 0\n"), "{text}");
}

#[test]
fn the_page_shows_the_rest_when_a_claim_is_damaged() {
    let place = line();
    fs::write(place.join("out/b/claims/000000/SN000003.json"), "{").unwrap();
    let page = Page::serve(&place);
    passes(page.look(&place, &[]));
}

/// A batch of twelve devices in which everything has happened.
fn line() -> Workplace {
    let place = Workplace::new();
    place.manifest(12);
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
    let station = |station: &str, arguments: &[&str]| {
        let common = ["--batch", "out/b", "--station", station];
        place.succeed(&[&["station"], arguments, &common[..]].concat());
    };
    for (i, (name, end)) in [
        ("line7-st1", "done"),
        ("line7-st1", "done"),
        ("line7-st2", "done"),
        ("line7-st2", "failed"),
        ("line7-st2", "scrap"),
        ("line7-st3", "claimed"),
        ("line7-st3", "stale"),
    ]
    .into_iter()
    .enumerate()
    {
        let device = format!("SN{i:06}");
        let out = format!("dev-{i}");
        station(name, &["claim", "--device", &device, "--out", &out]);
        match end {
            "done" => station(name, &["done", &device]),
            "failed" | "scrap" => {
                station(name, &[end, &device, "--reason", "<b>flash</b> & verify"]);
            }
            "stale" => {
                let path = place.join(&format!("out/b/claims/000000/{device}.json"));
                let mut claim: Claim = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                claim.hold.lease_until = claim.hold.claimed_at - time::Duration::HOUR;
                fs::write(path, claim.to_json()).unwrap();
            }
            _ => {}
        }
    }
    place
}

#[test]
fn the_page_shows_what_becomes_of_the_batch_live_and_by_keyboard() {
    let place = line();
    let page = Page::serve(&place);
    passes(page.look(&place, &[]));
    assert!(place.join("page.png").exists());
}

#[test]
fn the_page_says_loudly_that_a_batch_is_complete_and_that_its_data_is_old() {
    let place = line();
    for i in [3, 5, 6, 7, 8, 9, 10, 11] {
        let device = format!("SN{i:06}");
        let name = if i < 5 { "line7-st2" } else { "line7-st3" };
        let common = ["--batch", "out/b", "--station", name];
        let claim = ["station", "claim", "--device", &device, "--out", "dev"];
        place.succeed(&[&claim[..], &common].concat());
        place.succeed(&[&["station", "done", &device][..], &common].concat());
    }
    let mut page = Page::serve(&place);
    passes(page.look(&place, &["--complete"]));

    let mut look = page.look(&place, &["--down"]);
    let mut looking = look.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(looking.stdout.take().unwrap());
    let mut loaded = String::new();
    lines.read_line(&mut loaded).unwrap();
    assert!(loaded.starts_with("loaded "), "{loaded}");
    page.process.kill().unwrap();
    let mut rest = String::new();
    lines.read_line(&mut rest).unwrap();
    assert!(looking.wait().unwrap().success(), "{rest}");
}

#[test]
fn the_page_says_loudly_that_a_batch_is_withdrawn() {
    let place = line();
    let record = WithdrawnRecord {
        batch: "b".to_owned(),
        withdrawn_at: "2026-11-24T12:00:00Z".to_owned(),
        reason: "<b>stolen</b> & sold".to_owned(),
    };
    fs::write(place.join("out/b/withdrawn.json"), record.to_json()).unwrap();
    let page = Page::serve(&place);
    passes(page.look(&place, &["--withdrawn"]));
}

#[test]
fn an_address_that_cannot_be_had_is_said_plainly() {
    let place = line();
    let page = Page::serve(&place);
    let address = page.url.trim_start_matches("http://");
    let told = place.fail(&["station", "serve", "--batch", "out/b", "--http", address], 2);
    assert_eq!(
        told,
        format!(
            "certforge: error: nobody can listen on {address}: Address already in use (os error 98)\n\
             certforge: hint: choose another address or port with --http\n"
        )
    );
}
