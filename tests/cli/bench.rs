//! `certforge bench`, run as a user would: the report, a comparison of two, and what is left behind.
//! Nothing here depends on how fast this machine is.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::Workplace;
use rustix::process::Pid;
use serde_json::Value;

/// A folder for `--to`, and the arguments of every measurement here.
struct Measurement {
    place: Workplace,
}

impl Measurement {
    fn new() -> Self {
        let place = Workplace::new();
        std::fs::create_dir(place.join("scratch")).expect("a folder");
        Self { place }
    }

    fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let always = ["bench", "--quick", "--seconds", "0.01", "--to", "scratch"];
        always.iter().chain(more).copied().collect()
    }

    /// Begins to measure, and waits until a file is there.
    fn begin(&self, arguments: &[&str], file: &str) -> (Child, Pid) {
        let mut child = self
            .place
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        await_file(file, &self.place.join("scratch"), &mut child);
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    /// Measures, sees that nothing is left, and gives what was printed.
    fn succeed(&self, more: &[&str]) -> String {
        let printed = self.place.succeed(&Self::arguments(more));
        self.nothing_is_left();
        printed
    }

    fn report(&self, more: &[&str]) -> Value {
        let json: Vec<&str> = more.iter().chain(&["--json"]).copied().collect();
        serde_json::from_str(&self.succeed(&json)).expect("a JSON document")
    }

    fn nothing_is_left(&self) {
        let left: Vec<_> = std::fs::read_dir(self.place.join("scratch"))
            .expect("the folder is there")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn measures<'a>(report: &'a Value, quantity: &str) -> Vec<&'a Value> {
    let all = report["measures"].as_array().expect("measures");
    all.iter()
        .filter(|measure| measure["quantity"] == quantity)
        .collect()
}

fn is_rate(measure: &Value) -> bool {
    let [lowest, median, highest] = ["lowest_per_second", "per_second", "highest_per_second"]
        .map(|name| measure[name].as_f64().expect("a number"));
    0.0 < lowest && lowest <= median && median <= highest && measure["made"].as_u64() > Some(0)
}

#[test]
fn a_report_has_every_part_with_machine_engines_and_settings() {
    let report = Measurement::new().report(&["--rows", "500", "--engine", "aws-lc", "--jobs", "2"]);
    assert_eq!(report["format"], "certforge bench 1");
    assert_eq!(report["certforge"], env!("CARGO_PKG_VERSION"));
    assert!(report["date"].as_str().is_some_and(|date| date.ends_with('Z')));
    assert!(report["machine"]["threads"].as_u64() > Some(0));
    assert!(report["machine"]["features"].is_array());
    let engine = &report["engines"][0];
    assert_eq!(engine["engine"], "aws-lc");
    assert!(
        engine["library"]
            .as_str()
            .is_some_and(|library| library.starts_with("aws-lc-rs "))
    );
    let settings = &report["settings"];
    assert_eq!(
        (settings["rows"].as_u64(), settings["jobs"].as_u64()),
        (Some(500), Some(2))
    );
    assert!((settings["seconds"].as_f64().expect("a number") - 0.01).abs() < 1e-12);

    for (quantity, count) in [
        // One thread and two: of P-256 and P-384, and RSA-2048 and RSA-3072 keys.
        ("library_keys", 4),
        ("library_signatures", 4),
        ("keys", 8),
        ("signatures", 4),
        ("certificates", 2),
        ("bundles", 2),
        ("sha256", 2),
        ("ledger_rows", 1),
        ("devices", 2),
        ("plain_octets", 2),
    ] {
        let found = measures(&report, quantity);
        assert_eq!(found.len(), count, "{quantity}: {found:?}");
        assert!(found.iter().all(|measure| is_rate(measure)), "{found:?}");
    }
    for quantity in ["certificates", "bundles", "devices"] {
        for measure in measures(&report, quantity) {
            assert!(measure["share_of_limit"].as_f64() > Some(0.0), "{measure}");
        }
    }
    let run = measures(&report, "devices")[0];
    assert_eq!(
        (run["layout"].as_str(), run["key_type"].as_str()),
        (Some("packs"), Some("P-256"))
    );
    // A key, two certificates and more, of each device.
    assert!(run["octets"].as_u64() > Some(500 * 1000), "{run}");
    assert!(run["share_of_plain_writes"].as_f64() > Some(0.0), "{run}");
    assert!(report["peak_memory_octets"].as_u64() > Some(1 << 20));
}

#[test]
fn measures_only_what_was_asked_for() {
    let measurement = Measurement::new();
    let report = measurement.report(&["--only", "sha256,ledger"]);
    let all = report["measures"].as_array().expect("measures");
    assert!(
        all.iter()
            .all(|measure| measure["quantity"] == "sha256" || measure["quantity"] == "ledger_rows")
    );
    assert!(report["peak_memory_octets"].is_null());
    let printed = measurement.succeed(&["--only", "keys", "--key-type", "p-256", "--engine", "ring"]);
    assert!(printed.contains("\nkeys/s "), "{printed}");
    for other in ["signatures/s", "ledger", "end to end", "P-384", "aws-lc"] {
        assert!(!printed.contains(other), "{other} in {printed}");
    }
}

#[test]
fn bundles_may_be_objects_or_discarded() {
    let measurement = Measurement::new();
    let small = ["--only", "run", "--rows", "70", "--engine", "auto", "--jobs", "1"];
    let with = |more: &[&'static str]| measurement.report(&[&small[..], more].concat());
    let objects = with(&["--layout", "objects"]);
    assert_eq!(measures(&objects, "devices")[0]["layout"], "objects");
    let discarded = with(&["--discard"]);
    assert_eq!(discarded["settings"]["discard"], true);
    assert!(measures(&discarded, "plain_octets").is_empty());
    let octets = |report: &Value| measures(report, "devices")[0]["octets"].as_u64();
    assert!(octets(&discarded) > Some(70 * 1000));
    // What is discarded is what would have been kept.
    let kept = with(&["--layout", "packs"]);
    let (kept, discarded) = (octets(&kept).unwrap_or(0), octets(&discarded).unwrap_or(0));
    assert!(kept.abs_diff(discarded) < kept / 100, "{kept} and {discarded}");
}

#[test]
fn rsa_keys_go_the_whole_way_when_asked_for() {
    let report = Measurement::new().report(&[
        "--key-type",
        "RSA-2048",
        "--engine",
        "aws-lc",
        "--rows",
        "2",
        "--jobs",
        "1",
        "--discard",
        "--only",
        "certificates,run",
    ]);
    for quantity in ["certificates", "devices"] {
        let found = measures(&report, quantity);
        assert!(found.len() == 1 && is_rate(found[0]), "{report}");
        assert!(found[0]["share_of_limit"].is_null(), "chance is no limit");
    }
}

#[test]
fn a_report_compared_with_the_same_measures_has_a_ratio_for_each() {
    let measurement = Measurement::new();
    let first = ["--only", "keys,sha256", "--engine", "ring", "--jobs", "1"];
    let report = measurement.succeed(&[&first[..], &["--json"]].concat());
    std::fs::write(measurement.place.join("bench.json"), &report).expect("the report is written");
    let again = [&first[..], &["--compare", "bench.json"]].concat();

    let printed = measurement.succeed(&again);
    let (_, comparison) = printed.split_once("\nbefore: certforge ").expect("a comparison");
    let lines: Vec<&str> = comparison
        .lines()
        .filter(|line| line.contains("1 thread"))
        .collect();
    assert_eq!(lines.len(), 5, "{comparison}");
    for line in lines {
        let ratio = line
            .split_whitespace()
            .last()
            .and_then(|ratio| ratio.parse::<f64>().ok());
        assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{line}");
    }

    let document = measurement.report(&again);
    let comparison = &document["comparison"];
    assert_eq!(comparison["warnings"], Value::Array(Vec::new()));
    assert_eq!(comparison["lines"].as_array().map(Vec::len), Some(5));
    // A document with a comparison is a report as well.
    std::fs::write(measurement.place.join("bench.json"), document.to_string()).expect("it is written");
    measurement.succeed(&again);
}

#[test]
fn warns_when_two_reports_are_of_different_settings_or_machines() {
    let measurement = Measurement::new();
    let only = ["--only", "sha256", "--jobs", "1"];
    let mut report = measurement.report(&only);
    report["machine"]["processor"] = "another".into();
    report["machine"]["features"] = Value::Array(Vec::new());
    std::fs::write(measurement.place.join("bench.json"), report.to_string()).expect("it is written");
    let more = [&only[..], &["--rows", "7", "--compare", "bench.json"]].concat();
    let output = measurement.place.run(&Measurement::arguments(&more));
    assert!(output.status.success());
    let warnings = String::from_utf8_lossy(&output.stderr);
    for what in [
        "machine: another before, ",
        "CPU features: ",
        "--rows: 8000 before, 7 now",
    ] {
        let warning = format!("certforge: warning: the reports differ in more than rates; {what}");
        assert!(warnings.contains(&warning), "{warnings}");
    }
}

#[test]
fn leaves_nothing_behind_when_it_is_interrupted() {
    let measurement = Measurement::new();
    // Longer than anybody waits.
    let arguments = Measurement::arguments(&["--only", "run", "--rows", "2000000", "--engine", "ring"]);
    let (mut child, pid) = measurement.begin(&arguments, "ledger.db");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs still");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    measurement.nothing_is_left();
}

#[test]
fn leaves_nothing_behind_when_it_is_interrupted_twice() {
    let measurement = Measurement::new();
    // Four keys that each take long, so that the second signal comes while they are made.
    let arguments = Measurement::arguments(&[
        "--only",
        "certificates",
        "--key-type",
        "RSA-4096",
        "--engine",
        "aws-lc",
        "--jobs",
        "1",
    ]);
    let (mut child, pid) = measurement.begin(&arguments, "devices.csv");
    for _ in 0..2 {
        // By the second one it may have ended.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    measurement.nothing_is_left();
}

/// Waits until a file of this name is there: of a run, which has begun then, the ledger.
fn await_file(name: &str, folder: &Path, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !holds(name, folder) {
        assert!(
            child.try_wait().expect("it can be asked").is_none(),
            "it has ended"
        );
        assert!(Instant::now() < deadline, "no run has begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn holds(name: &str, folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        entry.file_name() == name || (path.is_dir() && holds(name, &path))
    })
}
