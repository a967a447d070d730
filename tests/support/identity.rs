//! Identities of stations, and age itself, which judges what is encrypted to them.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Workplace;

/// Makes an identity `NAME.key`, and gives its public half.
pub fn identity(place: &Workplace, name: &str) -> String {
    let made = place.succeed(&["station", "identity", "new", "--to", &format!("{name}.key")]);
    made.trim_end().to_owned()
}

/// What age, as Debian has it, does with what it gets: its output, or what it says.
pub fn age(folder: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut age = Command::new("age")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("age does not run: {error}; `tests/all` installs it"));
    let mut stdin = age.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // Who finds a header that is wrong reads no further.
        let _ = stdin.write_all(&input);
    });
    let output = age.wait_with_output().unwrap();
    writer.join().unwrap();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
