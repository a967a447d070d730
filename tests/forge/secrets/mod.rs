//! Secrets stay where they belong: whatever a run writes, sends or starts has none of them, and its memory is locked, nobody
//! else's to read, and without the CA's key once that is retired.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod memory;
mod traced;

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

use crate::support::{Workplace, tool};

const PASSPHRASE: &str = "held against the light, 90417";

/// A CA for one batch, whose key is encrypted by [`PASSPHRASE`], in `pumps`, and the file that has it.
fn place_with_ca(rows: usize) -> Workplace {
    let place = Workplace::new();
    place.manifest(rows);
    write_own(&place.join("passphrase"), PASSPHRASE);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    let new = ["ca", "new", "--parent", "root", "--for-batch", "--to", "pumps"];
    let output = place
        .command(&new)
        .env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    place
}

/// A file that nobody else may read.
fn write_own(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    writeln!(file, "{text}").unwrap();
}

/// The private number of an encrypted key file of P-256, as openssl reads it.
fn scalar(place: &Workplace, key: &str, passphrase: &str) -> [u8; 32] {
    let pass = format!("pass:{passphrase}");
    let arguments = ["pkey", "-in", key, "-passin", &pass, "-outform", "DER"];
    scalar_of(&tool("openssl", &arguments, place.path()).stdout)
}

/// The private number in a key's document (RFC 5915: version 1, then an octet string).
fn scalar_of(der: &[u8]) -> [u8; 32] {
    let begin = [2, 1, 1, 4, 32];
    let at = der.windows(5).position(|octets| octets == begin).unwrap() + 5;
    der[at..at + 32].try_into().unwrap()
}

/// Octets that give a secret away, and in which form.
struct Needle {
    what: String,
    octets: Vec<u8>,
}

/// A secret as it is, in hexadecimal and in Base64, wherever in a longer text that begins.
fn needles(what: &str, secret: &[u8]) -> Vec<Needle> {
    let needle = |form: &str, octets: Vec<u8>| Needle {
        what: format!("{what}, {form}"),
        octets,
    };
    let mut all = vec![
        needle("as it is", secret.to_vec()),
        needle("backwards", secret.iter().rev().copied().collect()),
        needle("in hexadecimal", HEXLOWER.encode(secret).into_bytes()),
        needle("in HEXADECIMAL", HEXUPPER.encode(secret).into_bytes()),
    ];
    for before in 0..3 {
        let text = BASE64.encode(&[&vec![0; before][..], secret].concat());
        // What a neighbour has a part in is left out, at both ends.
        let whole = &text.as_bytes()[(8 * before).div_ceil(6)..(8 * (before + secret.len())) / 6];
        all.push(needle(&format!("in Base64, at {before}"), whole.to_vec()));
    }
    all
}

/// What of the secrets is in there.
fn found<'a>(haystack: &[u8], needles: &'a [Needle]) -> Vec<&'a str> {
    let first = |octets: &[u8]| usize::from(octets[0]) << 8 | usize::from(octets[1]);
    let mut may_begin = vec![false; 1 << 16];
    for needle in needles {
        may_begin[first(&needle.octets)] = true;
    }
    let mut is_found = vec![false; needles.len()];
    for at in 0..haystack.len().saturating_sub(1) {
        if may_begin[first(&haystack[at..])] {
            for (needle, is_found) in needles.iter().zip(&mut is_found) {
                *is_found |= haystack[at..].starts_with(&needle.octets);
            }
        }
    }
    let all = needles.iter().zip(is_found).filter(|(_, is_found)| *is_found);
    all.map(|(needle, _)| needle.what.as_str()).collect()
}

fn contains(haystack: &[u8], octets: &[u8]) -> bool {
    let needle = Needle {
        what: String::new(),
        octets: octets.to_vec(),
    };
    !found(haystack, &[needle]).is_empty()
}

#[test]
fn a_secret_is_found_in_each_of_its_forms() {
    let needles = needles("it", PASSPHRASE.as_bytes());
    for before in 0..3 {
        let text = format!("{}{PASSPHRASE}, and so on", &"xyz"[..before]);
        let shown = [
            text.clone().into_bytes(),
            HEXLOWER.encode(text.as_bytes()).into_bytes(),
            BASE64.encode(text.as_bytes()).into_bytes(),
        ];
        for shown in shown {
            assert_eq!(
                found(&shown, &needles).len(),
                1,
                "{}",
                String::from_utf8_lossy(&shown)
            );
        }
    }
    assert!(found(b"held against the light, 90418", &needles).is_empty());
}
