//! What people are told at a line: why a script failed, who has a device, which station is silent, and where an option came
//! from that they did not type.

use std::fs;

use crate::line::Line;
use serde_json::Value;

#[test]
fn a_failure_is_told_in_the_words_of_the_script() {
    let line = Line::new("objects", 4);
    // As a shell that traces what it does, with a tool that says more than its error.
    line.script(
        "set -x\necho progress\n: the key is MIGHAgEAMBMGByqGSM49AgEG\n\
         echo 'Error: no board at /dev/ttyUSB0' >&2\necho 'see the manual' >&2\necho >&2\nexit 7",
    );
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--limit", "1"];
    let output = line.output("st1", &run);
    let (text, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let reason = "exit code 7: Error: no board at /dev/ttyUSB0";
    assert!(text.contains(&format!(": FAILED: {reason}\n")), "{text}{said}");
    // It is heard as it would be without certforge.
    assert!(
        text.contains("progress\n") && said.contains("+ exit 7\n") && said.contains("see the manual\n"),
        "{text}{said}"
    );
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!(status["failures"][0]["reason"], reason);
    // With a document on standard output, what the script prints goes the same way.
    line.script("echo 'ERROR: verify failed'; exit 1");
    let output = line.output("st1", &[&run[..], &["--json"]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ERROR: verify failed\n"));
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    let reasons = status["failures"].as_array().unwrap().iter();
    let reasons: Vec<&str> = reasons
        .map(|failure| failure["reason"].as_str().unwrap())
        .collect();
    assert!(
        reasons.contains(&"exit code 1: ERROR: verify failed"),
        "{reasons:?}"
    );
    // A trace alone tells nothing that may be kept.
    line.script("set -x\nfalse");
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(": FAILED: exit code 1\n"), "{text}");
}

#[test]
fn a_script_that_takes_too_long_is_told_with_its_last_words() {
    let line = Line::new("objects", 4);
    line.script("echo 'Connecting.....' >&2; exec sleep 60");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--limit", "1"];
    let output = line.output("st1", &[&run[..], &["--timeout", "1"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = ": FAILED: timed out after 1 s: Connecting.....\n";
    assert!(text.contains(told), "{text}");
}

#[test]
fn who_is_no_station_may_ask_who_has_a_device() {
    let line = Line::new("packs", 4);
    line.claim("st1", "SN000002");
    let show = |device: &str| {
        let arguments = ["station", "show", device, "--batch", "out/b"];
        line.0.run(&arguments)
    };
    let output = show("SN000002");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("attempt 1 by st1 since "),
        "{text}"
    );
    assert!(!text.contains("unpacked"), "what a station alone knows: {text}");
    let text = line.succeed("st1", &["show", "SN000002"]);
    assert!(text.contains("unpacked"), "{text}");
    let text = String::from_utf8_lossy(&show("SN000001").stdout).into_owned();
    assert!(text.contains("nobody has claimed it"), "{text}");
    let output = show("SN000009");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(9), "{told}");
}

#[test]
fn an_error_of_usage_names_the_variables_that_options_came_from() {
    let line = Line::new("objects", 1);
    let told = |arguments: &[&str]| {
        let output = line.output("a station", arguments);
        String::from_utf8(output.stderr).unwrap()
    };
    let batch = "CERTFORGE_BATCH=\"out/b\" (--batch)";
    let station = "CERTFORGE_STATION=\"a station\" (--station)";
    // An option is missing, a value is wrong, and one that was typed is nobody else's.
    let text = told(&["claim", "--next"]);
    assert!(
        text.contains(batch) && text.contains(station) && text.contains("CERTFORGE_MEMORY="),
        "{text}"
    );
    let text = told(&["claim", "--next", "--out", "dev"]);
    assert!(
        text.contains("certforge: error: ") && text.contains(station),
        "{text}"
    );
    let text = told(&["claim", "--next", "--batch=out/c"]);
    assert!(
        text.contains(station) && !text.contains("CERTFORGE_BATCH"),
        "{text}"
    );
    // What is not there is named with where its name came from, whatever the exit code.
    let mut command = line.0.command(&["station", "status"]);
    let output = command.env("CERTFORGE_BATCH", "out/nowhere").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("from the environment: CERTFORGE_BATCH=\"out/nowhere\" (--batch)"),
        "{text}"
    );
    // Whoever did not use the environment is not told of it.
    let output = line.0.run(&["station", "status", "--batch", "ftp://b"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("environment"));
}

#[test]
fn a_station_that_is_not_heard_of_is_called_silent_while_there_is_something_to_do() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let silent = |more: &[&str]| line.succeed("st2", &[&["status"][..], more].concat());
    assert!(!silent(&[]).contains("SILENT"));
    // The claim is two hours old, and then its lease is over.
    line.age("SN000000");
    let text = silent(&[]);
    assert!(text.contains(", SILENT for 120 min\n"), "{text}");
    assert!(!silent(&["--silent-after", "121"]).contains("SILENT"));
    let status: Value = serde_json::from_str(&silent(&["--json"])).unwrap();
    assert_eq!(status["stations"][0]["silent_minutes"], 120);
    fs::remove_dir_all(line.0.join("memory")).unwrap();
}
