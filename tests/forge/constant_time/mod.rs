//! Constant time: what makes keys, draws nonces, signs, shares secrets and writes private keys takes the same path, and finds its
//! memory at the same addresses, whatever the secrets are.
//!
//! Two processes of the program as it is released, each with a CA and devices of its own, are led through the same
//! function one instruction at a time. It is the machine code that is looked at, with everything that compilers do.
//! `CERTFORGE_RELEASED` names the program; `tests/all` builds it. Without it, on other processors and where ptrace is
//! forbidden, the test says so and is left out.

#![cfg(target_arch = "x86_64")]

mod c_library;
mod trace;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Workplace;
use certforge::engine::{Engine, Lanes, Rsa};
use trace::{Comparison, Traced, compare};

/// The functions that touch secrets, by a part of their names as the linker has them.
const KEYS: &str = "engine5lanes4keys14draw_and_write";
const SIGNATURES: &str = "LanesSigner12sign_numbers";

const AGREEMENTS: &str = "engine10curve2551911agree_group";

/// A recipient, whose point is public, and the same in both processes.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// Rows of a chunk: a whole block, and a small one that is made behind it by the same thread, in the same memory.
const ROWS: usize = 256 + 20;

/// What RSA keys come out of, but for powers that are squares and products again and again: how a power is picked, the end of a
/// round that proves a prime, what puts a key together, and what its two signatures are joined by.
const RSA: [&str; 4] = [
    "engine3rsa5eight5power4pick",
    "engine3rsa5eight5prime9square_on",
    "engine3rsa8assembly9of_primes",
    "engine3rsa5eight5power11differences",
];

/// The same of those that come by aws-lc's multiplication, as far as it is ours. What calls that cannot be compared: it puts its work
/// where it does not lie across the numbers in the cache, by their addresses, and goes another way for it.
const RSA_PORTABLE: [&str; 3] = [
    "engine3rsa7library15exponent_of_two",
    "engine3rsa7natural16multiply_by_word",
    "engine3rsa8assembly9of_primes",
];

/// What has RSA keys made so, one after the other; without the last two, by the fastest engine.
const RSA_PORTABLE_RUN: [&str; 6] = [
    "--profile",
    "aws-iot-rsa2048",
    "--jobs",
    "1",
    "--engine",
    "rsa-portable",
];

/// What goes by its numbers, and may: of candidates those are kept that no small prime divides.
const SEARCH: &str = "engine3rsa6search15Search$LT$_$GT$6primes";

/// The places of a function in a program: one for each size of numbers that it is compiled for.
fn places_of(program: &Path, function: &str) -> Vec<u64> {
    let names = Command::new("nm").arg(program).output().expect("there is nm");
    let names = String::from_utf8(names.stdout).expect("names are text");
    let lines = names.lines().filter(|line| line.contains(function));
    let place = |line: &str| {
        let place = line.split(' ').next().expect("a line begins with the place");
        u64::from_str_radix(place, 16).expect("the place is a number")
    };
    let places: Vec<u64> = lines.map(place).collect();
    assert!(!places.is_empty(), "{} has no {function}", program.display());
    places
}

fn released() -> Option<PathBuf> {
    let released = std::env::var_os("CERTFORGE_RELEASED").map(PathBuf::from);
    if released.is_none() {
        eprintln!("LEFT OUT: CERTFORGE_RELEASED names no program; `tests/all` builds it");
    }
    released
}

/// Whether an engine works here.
fn works(engine: &dyn Engine) -> bool {
    engine
        .ready()
        .inspect_err(|error| eprintln!("LEFT OUT: {error}"))
        .is_ok()
}

fn released_with_lanes() -> Option<PathBuf> {
    released().filter(|_| works(&Lanes))
}

/// A place with a CA of its own. The files of both CAs must be as long as each other's, so that all memory lies at the
/// same addresses.
fn place_like(other: Option<&Workplace>) -> Workplace {
    let length = |place: &Workplace| fs::metadata(place.join("ca/certificate.pem")).unwrap().len();
    loop {
        let place = Workplace::new();
        place.manifest(ROWS);
        place.succeed(&["ca", "new", "--no-passphrase"]);
        if other.is_none_or(|other| length(other) == length(&place)) {
            return place;
        }
    }
}

fn compared(program: &Path, function: &str) -> Option<Comparison> {
    let chunk = ["--chunk-rows", "1024", "--jobs", "1"];
    // Twice it goes by, for a proof and for the first block: by then everything is made that is made once.
    compared_in(program, function, &chunk, 2)
}

/// Pairs of runs that must all be the same after one that differs: where memory lies may be up to other threads, which is rare. A
/// secret of one bit makes every second pair differ.
const MORE: usize = 5;

/// Compares two runs of a function, with more options of `run`, when it was passed so many times.
fn compared_in(program: &Path, function: &str, options: &[&str], times: usize) -> Option<Comparison> {
    let mut found = compared_once(program, function, options, times)?;
    if found.is_same() {
        return Some(found);
    }
    eprintln!("{function}: two runs differ; is it by chance? {found:#x?}");
    for _ in 0..MORE {
        found = compared_once(program, function, options, times)?;
        if !found.is_same() {
            break;
        }
    }
    Some(found)
}

fn compared_once(program: &Path, function: &str, options: &[&str], times: usize) -> Option<Comparison> {
    let run = [
        &["run", "devices.csv", "--ca", "ca", "--no-endpoint"][..],
        options,
    ]
    .concat();
    for at in places_of(program, function) {
        // A run that does not come to it makes the whole batch.
        let first = place_like(None);
        let second = place_like(Some(&first));
        let mut traced = Vec::new();
        for place in [&first, &second] {
            let mut process = match Traced::start(program, &run, place.path()) {
                Ok(process) => process,
                Err(error @ (nix::Error::EPERM | nix::Error::ENOENT)) => {
                    eprintln!("LEFT OUT: a process cannot be traced here: {error}");
                    return None;
                }
                Err(error) => panic!("{error}"),
            };
            // It may be compiled for other numbers than there are.
            let Ok(thread) = process.run_to(at, times) else {
                break;
            };
            traced.push((process, thread));
        }
        if let [(first, first_thread), (second, second_thread)] = &traced[..] {
            let found = compare([first, second], [*first_thread, *second_thread]);
            return Some(found.expect("both can be traced"));
        }
    }
    panic!("it comes to {function}")
}

#[track_caller]
fn assert_same(found: &Comparison, what: &str, least: u64) {
    let Comparison {
        steps,
        parted,
        addresses,
        torn,
        branches,
    } = found;
    eprintln!("{what}: {steps} steps, {branches} conditional branches, none of which a secret decides");
    assert!(*steps > least, "{what}: only {steps} steps");
    assert_eq!(
        *parted, None,
        "{what}: paths part after {steps} steps, at these places"
    );
    assert!(
        addresses.is_empty(),
        "{what}: secrets are addresses: {addresses:#x?}"
    );
    assert!(torn.is_empty(), "{what}: secrets are addresses: {torn:#x?}");
}

#[test]
fn keys_take_the_same_path_whatever_they_are() {
    let Some(program) = released_with_lanes() else {
        return;
    };
    if let Some(found) = compared(&program, KEYS) {
        assert_same(&found, "keys", 100_000);
    }
}

#[test]
fn signatures_take_the_same_path_whatever_key_and_nonces_are() {
    let Some(program) = released_with_lanes() else {
        return;
    };
    if let Some(found) = compared(&program, SIGNATURES) {
        assert_same(&found, "signatures", 100_000);
    }
}

#[test]
fn secrets_are_shared_by_the_same_path_whatever_they_are() {
    let Some(program) = released_with_lanes() else {
        return;
    };
    let options = ["--recipient", RECIPIENT, "--chunk-rows", "1024", "--jobs", "1"];
    // Once it goes by, for the first block: by then everything is made that is made once.
    if let Some(found) = compared_in(&program, AGREEMENTS, &options, 1) {
        assert_same(&found, "shared secrets", 100_000);
    }
}

#[test]
fn rsa_keys_take_the_same_path_whatever_their_primes_are() {
    let Some(program) = released() else { return };
    let options = &RSA_PORTABLE_RUN[..4];
    for function in RSA.iter().filter(|_| works(&Rsa::Lanes)) {
        if let Some(found) = compared_in(&program, function, options, 1) {
            assert_same(&found, function, 300);
        }
    }
    for function in RSA_PORTABLE {
        if let Some(found) = compared_in(&program, function, &RSA_PORTABLE_RUN, 1) {
            assert_same(&found, function, 300);
        }
    }
}

/// The comparison can fail: which candidates are thrown away may be seen, and in the lanes the public numbers of a signature are
/// written in as few octets as they need.
#[test]
fn what_does_depend_on_its_numbers_is_seen() {
    let Some(program) = released() else { return };
    if let Some(found) = compared_once(&program, SEARCH, &RSA_PORTABLE_RUN, 1) {
        assert!(!found.is_same(), "others are thrown away in each search");
    }
    if !works(&Lanes) {
        return;
    }
    let mut is_left_out = false;
    let parts = (0..20).any(|_| {
        let Some(found) = compared(&program, "engine5lanes3der5write") else {
            is_left_out = true;
            return true;
        };
        !found.is_same()
    });
    assert!(
        parts || is_left_out,
        "numbers of other lengths are written in another way"
    );
}
