//! Espressif's tools, in one Python process that answers for many cases.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use data_encoding::BASE64;
use serde_json::Value;

/// The seed is printed; this variable repeats it.
const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

pub fn random() -> fastrand::Rng {
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED_VARIABLE}={seed}");
    fastrand::Rng::with_seed(seed)
}

pub struct Tools {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Tools {
    pub fn start() -> Self {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forge/espressif/tools.py");
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = Command::new(python)
            .arg(script)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("CERTFORGE_TEST_PYTHON names a Python");
        Self {
            questions: process.stdin.take().expect("it is piped"),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
            _folder: folder,
        }
    }

    pub fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("the tools listen");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the tools answer in UTF-8");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("the tools failed at {question}"))
    }

    /// The image that an answer has.
    pub fn image(&mut self, question: &Value) -> Vec<u8> {
        let answer = self.ask(question);
        octets(&answer["image"])
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn text(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

pub fn octets(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap_or_else(|| panic!("{text} is no text"));
    BASE64.decode(text.as_bytes()).expect("it is Base64")
}

/// So many octets of chance.
pub fn drawn<const N: usize>(random: &mut fastrand::Rng) -> [u8; N] {
    let mut octets = [0; N];
    random.fill(&mut octets);
    octets
}

/// Says where two images part, which a dump of both does not.
pub fn assert_same(ours: &[u8], theirs: &[u8], case: &dyn std::fmt::Display) {
    let parting = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
    assert!(
        ours == theirs,
        "ours has {} octets, theirs {}, and they part at {parting:?}: {case}",
        ours.len(),
        theirs.len()
    );
}
