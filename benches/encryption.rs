//! What it costs to encrypt bundles to two stations: the writer of age files beside aws-lc's parts alone, and packs that are
//! encrypted beside packs that are not. They take turns, so that a noisy neighbour hits both; medians are told.
//!
//! `CERTFORGE_BENCH_DIR` names the folder in which batches are, such as `/dev/shm`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key, sign};
use certforge::bundle::encryption::{Encryption, Recipient};
use certforge::engine::Random;
use support::Workplace;

/// Octets of a bundle.
const BUNDLE: usize = 3_000;

/// Files of a turn.
const FILES: usize = 1_024;

/// One block of HKDF.
fn derive(material: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = sign(&Key::new(HMAC_SHA256, salt), material);
    let mut expand = Context::with_key(&Key::new(HMAC_SHA256, extracted.as_ref()));
    expand.update(info);
    expand.update(&[1]);
    expand.sign().as_ref().try_into().expect("SHA-256 has 32 octets")
}

fn seal(key: &[u8; 32], octets: &mut [u8]) {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("it has 32 octets"));
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), octets);
    black_box(tag.expect("it can be sealed").as_ref());
}

/// All that aws-lc does for a file, and nothing else: no text, no copies.
fn parts(recipients: &[[u8; 32]; 2], bundle: &mut [u8]) {
    let drawn: [u8; 32] = Random.octets().expect("there are random octets");
    let (file_key, nonce) = drawn.split_at(16);
    for recipient in recipients {
        let secret = PrivateKey::generate(&X25519).expect("there are random octets");
        let ephemeral = secret.compute_public_key().expect("it has a public key");
        let point = UnparsedPublicKey::new(&X25519, recipient);
        let key = agree(&secret, point, Unspecified, |shared| {
            let salt = [ephemeral.as_ref(), recipient].concat();
            Ok(derive(shared, &salt, b"age-encryption.org/v1/X25519"))
        });
        seal(&key.expect("they agree"), &mut [0; 16]);
    }
    let header = Key::new(HMAC_SHA256, &derive(file_key, &[], b"header"));
    black_box(sign(&header, &[0; 222]).as_ref());
    seal(&derive(file_key, nonce, b"payload"), bundle);
}

fn points() -> [[u8; 32]; 2] {
    [(); 2].map(|()| {
        let secret = PrivateKey::generate(&X25519).expect("there are random octets");
        let public = secret.compute_public_key().expect("it has a public key");
        public.as_ref().try_into().expect("it has 32 octets")
    })
}

/// So many a second.
fn rate(count: usize, work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    f64::from(u32::try_from(count).expect("it is small")) / started.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The medians of two that take turns.
fn turns(rounds: usize, mut one: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> [f64; 2] {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ones.push(one());
        others.push(other());
    }
    [median(ones), median(others)]
}

fn identity(place: &Workplace, name: &str) -> String {
    let made = place.succeed(&["station", "identity", "new", "--to", name]);
    made.trim_end().to_owned()
}

/// Devices a second of a run, by itself.
fn run(place: &Workplace, layout: &str, options: &[&str]) -> f64 {
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--json",
    ];
    let text = place.succeed(&[&arguments[..], &["--layout", layout, "--jobs", "1"], options].concat());
    // The next one makes the same devices, with a CA that has made none.
    for folder in ["out", "ca"] {
        std::fs::remove_dir_all(place.join(folder)).expect("it was made");
    }
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let made: serde_json::Value = serde_json::from_str(&text).expect("it is a document");
    let per_second = made["devices_per_second"].as_u64().expect("it is a number");
    f64::from(u32::try_from(per_second).expect("it is small"))
}

fn main() {
    // `cargo bench` passes --bench; with --test everything runs once, and small.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, devices) = if is_test { (1, 2_000) } else { (9, 50_000) };
    if let Some(folder) = std::env::var_os("CERTFORGE_BENCH_DIR") {
        assert!(Path::new(&folder).is_dir(), "CERTFORGE_BENCH_DIR is a folder");
        tempfile::env::override_temp_dir(Path::new(&folder)).expect("it is set once");
    }
    let place = Workplace::new();
    let stations = ["one.key", "two.key"].map(|name| identity(&place, name));
    let recipients = stations
        .each_ref()
        .map(|text| Recipient::parse(text).expect("it is one"));
    let encryption = Encryption::new(&recipients);
    let mut writer = encryption.writer();
    let (points, mut sealed) = (points(), vec![7; BUNDLE]);
    let (bundle, mut out) = (vec![7; BUNDLE], Vec::with_capacity(FILES * 2 * BUNDLE));
    let bare = || rate(FILES, || (0..FILES).for_each(|_| parts(&points, &mut sealed)));
    let written = || {
        rate(FILES, || {
            out.clear();
            writer
                .prepare(FILES, |octets| Random.fill(octets), |_, _, _, _| false)
                .expect("there are random octets");
            (0..FILES).for_each(|number| writer.append(number, &bundle, &mut out));
        })
    };
    println!("| one thread, two recipients | a second | share |");
    println!("| --- | ---: | ---: |");
    let [bare, written] = turns(rounds, bare, written);
    println!("| aws-lc's parts of a file | {bare:.0} | |");
    println!(
        "| files of {BUNDLE} octets | {written:.0} | {:.0} % |",
        100.0 * written / bare
    );

    place.manifest(devices);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let [one, two] = &stations;
    let to = ["--recipient", one, "--recipient", two];
    for layout in ["packs", "objects"] {
        let plain = || run(&place, layout, &[]);
        let encrypted = || run(&place, layout, &to);
        let [plain, encrypted] = turns(rounds.min(5), plain, encrypted);
        println!("| devices of a run, {layout} | {plain:.0} | |");
        println!(
            "| the same, encrypted | {encrypted:.0} | {:.0} % |",
            100.0 * encrypted / plain
        );
    }
}
