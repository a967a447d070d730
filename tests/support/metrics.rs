//! Metrics, read by Prometheus's own Python client.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Names each sample's family must have; prints a sample a line: name, labels in order, value.
const READER: &str = r"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
seen = set()
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ('gauge', 'counter'), family
    assert family.name not in seen, 'twice: ' + family.name
    seen.add(family.name)
    for sample in family.samples:
        print(json.dumps([sample.name, sample.labels, sample.value]))
";

/// The samples of a text: the name with its labels as the text has them, `name{a="b"}`, sorted by label, and the value as text.
///
/// # Panics
///
/// When the reader refuses the text, or a sample is there twice.
pub fn read(text: &str) -> BTreeMap<String, String> {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut reader = Command::new(python)
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs; `tests/all` installs it");
    let mut input = reader.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("python reads");
    drop(input);
    let output = reader.wait_with_output().expect("python ends");
    assert!(output.status.success(), "these are no metrics:\n{text}");
    let mut samples = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let (name, labels, value): (String, BTreeMap<String, String>, serde_json::Number) =
            serde_json::from_str(line).expect("a sample");
        let labels: Vec<_> = labels
            .iter()
            .map(|(label, text)| format!("{label}={text:?}"))
            .collect();
        let name = match labels.is_empty() {
            true => name,
            false => format!("{name}{{{}}}", labels.join(",")),
        };
        assert!(
            samples.insert(name.clone(), value.to_string()).is_none(),
            "{name} is there twice"
        );
    }
    samples
}

/// What a page answers under a path, without its header.
///
/// # Panics
///
/// When it does not answer with 200.
pub fn get(url: &str, path: &str) -> String {
    use std::io::Read as _;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).expect("somebody listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    let (header, body) = answer.split_once("\r\n\r\n").expect("a header and a body");
    assert!(header.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    body.to_owned()
}
