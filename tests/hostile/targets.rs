//! The targets of `fuzz/`, without a fuzzer: over all that is in their corpus, and over what chance makes of it.
//!
//! `fuzz/run` looks for what fails here, led by coverage; this holds that what it found stays mended.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/targets/batch.rs"]
mod batch;
#[path = "../../fuzz/targets/bundle.rs"]
mod bundle;
#[path = "../../fuzz/targets/ca_key.rs"]
mod ca_key;
#[path = "../../fuzz/targets/certificate.rs"]
mod certificate;
#[path = "../../fuzz/targets/claim.rs"]
mod claim;
#[path = "../../fuzz/targets/encrypted.rs"]
mod encrypted;
#[path = "../../fuzz/targets/hello.rs"]
mod hello;
#[path = "../../fuzz/targets/index.rs"]
mod index;
#[path = "../../fuzz/targets/manifest.rs"]
mod manifest;
#[path = "../../fuzz/targets/mqtt.rs"]
mod mqtt;
#[path = "../../fuzz/targets/policy.rs"]
mod policy;
#[path = "../../fuzz/targets/profile.rs"]
mod profile;
#[path = "../../fuzz/targets/seal.rs"]
mod seal;
#[path = "../../fuzz/targets/template.rs"]
mod template;

type Run = fn(&[u8]);

const TARGETS: [(&str, Run); 14] = [
    ("batch", batch::run),
    ("bundle", bundle::run),
    ("ca_key", ca_key::run),
    ("certificate", certificate::run),
    ("claim", claim::run),
    ("encrypted", encrypted::run),
    ("hello", hello::run),
    ("index", index::run),
    ("manifest", manifest::run),
    ("mqtt", mqtt::run),
    ("policy", policy::run),
    ("profile", profile::run),
    ("seal", seal::run),
    ("template", template::run),
];

/// Inputs that are made for a target, and the time for them: whichever ends first.
const INPUTS: usize = 20_000;
const TIME: Duration = Duration::from_secs(3);
/// One input may take so long, and all of them so much memory: in a debug build, on a machine that is busy.
const TIME_OF_ONE: Duration = Duration::from_secs(10);
const MEMORY_KIB: u64 = 1 << 20;

#[test]
fn every_target_holds_whatever_comes() {
    let seed = crate::seed();
    for (name, run) in TARGETS {
        let corpus = [corpus("corpus", name), corpus("found", name)].concat();
        assert!(!corpus.is_empty(), "{name} has a corpus");
        for input in &corpus {
            hold(name, run, input);
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut inputs = 0;
        while inputs < INPUTS && start.elapsed() < TIME {
            hold(name, run, &mutated(&mut random, &corpus));
            inputs += 1;
        }
        println!("{name}: {} of its corpus, and {inputs} more", corpus.len());
        assert!(peak() < MEMORY_KIB, "{name} took {} KiB of memory", peak());
    }
}

/// The inputs of a target: those that are kept with the source, or what a fuzzer has found on this machine.
fn corpus(kind: &str, name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(kind)
        .join(name);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs a target over one input, which is kept when it fails.
fn hold(name: &str, run: Run, input: &[u8]) {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    if outcome.is_err() || start.elapsed() > TIME_OF_ONE {
        let (file, path) = tempfile::Builder::new()
            .prefix(&format!("certforge-{name}-"))
            .tempfile()
            .unwrap()
            .keep()
            .unwrap();
        drop(file);
        fs::write(&path, input).unwrap();
        println!("{name} fails, or takes too long, with {}", path.display());
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
    assert!(start.elapsed() < TIME_OF_ONE, "{name} took {:?}", start.elapsed());
}

/// One input of the corpus, changed a few times.
fn mutated(random: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let end = input.len().min(at + random.usize(..32));
        match random.u8(..7) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 if at < input.len() => {
                input[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'$'][random.usize(..8)];
            }
            3 => drop(input.drain(at..end)),
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let until = other.len().min(from + random.usize(..64));
                input.splice(at..end, other[from..until].iter().copied());
            }
            _ => input.truncate(at.max(input.len() / 2)),
        }
    }
    input
}

/// The most memory that the process has had.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
