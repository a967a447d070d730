//! Flashing stations, as their operators and those who would cheat them meet them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use certforge::station::claim::{Claim, State};
use certforge::store::{DirStore, Store};
use serde_json::Value;
use support::{Workplace, tool};

/// A sealed batch `out/b` of some devices, SN000000 and on, in chunks of four.
struct Line(Workplace);

impl Line {
    fn new(layout: &str, devices: usize) -> Self {
        let place = Workplace::new();
        place.manifest(devices);
        place.succeed(&["ca", "new", "--no-passphrase"]);
        let line = Self(place);
        line.make("b", "out", layout);
        line
    }

    fn make(&self, batch: &str, to: &str, layout: &str) {
        self.0.succeed(&[
            "run",
            "devices.csv",
            "--ca",
            "ca",
            "--to",
            to,
            "--batch",
            batch,
            "--layout",
            layout,
            "--chunk-rows",
            "4",
        ]);
    }

    /// `certforge station` for a station of this batch, each of which has a machine of its own.
    fn station(&self, station: &str, arguments: &[&str]) -> Command {
        let mut command = self.0.command(&["station"]);
        command
            .args(arguments)
            .env("CERTFORGE_BATCH", "out/b")
            .env("CERTFORGE_STATION", station)
            .env("CERTFORGE_MEMORY", self.0.join("memory").join(station));
        command
    }

    fn output(&self, station: &str, arguments: &[&str]) -> Output {
        self.station(station, arguments).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, station: &str, arguments: &[&str]) -> String {
        let output = self.output(station, arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The error and the hint of a command that must end with this exit code. Warnings are left out.
    #[track_caller]
    fn fail(&self, station: &str, arguments: &[&str], exit_code: i32) -> String {
        let output = self.output(station, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit_code), "{stderr}");
        let lines = stderr.lines().filter(|line| !line.contains(": warning: "));
        let here = format!("{}/", self.0.path().display());
        lines.collect::<Vec<_>>().join("\n").replace(&here, "")
    }

    fn claim(&self, station: &str, device: &str) {
        self.succeed(station, &["claim", "--device", device, "--out", &out(station)]);
    }

    /// What a claim that is refused is told.
    #[track_caller]
    fn refusal(&self, station: &str, device: &str, exit_code: i32) -> String {
        let claim = ["claim", "--device", device, "--out", &out(station)];
        self.fail(station, &claim, exit_code)
    }

    fn store(&self) -> DirStore {
        DirStore::new(self.0.join("out/b"))
    }

    fn path(&self, object: &str) -> PathBuf {
        self.0.join("out/b").join(object)
    }

    /// The claim of one of the first four devices.
    fn claim_of(&self, device: &str) -> Claim {
        let object = format!("claims/000000/{device}.json");
        serde_json::from_slice(&self.store().read(&object, None).unwrap()).unwrap()
    }

    /// Lets the lease of a claim end.
    fn age(&self, device: &str) {
        let mut claim = self.claim_of(device);
        claim.hold.lease_until = claim.hold.claimed_at - time::Duration::HOUR;
        claim.hold.claimed_at -= time::Duration::HOUR * 2;
        let path = self.path(&format!("claims/000000/{device}.json"));
        fs::write(path, claim.to_json()).unwrap();
    }

    fn script(&self, text: &str) {
        let path = self.0.join("flash.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Where a station unpacks.
fn out(station: &str) -> String {
    format!("dev-{station}")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Error and hint without the moments in them.
fn timeless(text: &str) -> String {
    let mut rest = text;
    let mut timeless = String::new();
    while let Some(at) = rest.find("20") {
        let is_moment = rest.as_bytes().get(at + 19) == Some(&b'Z');
        timeless.push_str(&rest[..at]);
        timeless.push_str(if is_moment { "[TIME]" } else { "20" });
        rest = &rest[at + if is_moment { 20 } else { 2 }..];
    }
    timeless + rest
}

#[test]
fn files_are_for_their_owner_alone_and_are_wiped() {
    for (layout, end) in [("objects", "done"), ("packs", "failed")] {
        let line = Line::new(layout, 9);
        line.claim("st1", "SN000005");
        let folder = line.0.join("dev-st1");
        assert_eq!(mode(&folder), 0o700);
        let key = folder.join("private.pem.key");
        let also = line.0.join("also");
        fs::hard_link(&key, &also).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        let key = fs::read_to_string(&key).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        line.succeed("st1", &[end, "SN000005"]);
        assert!(!folder.exists());
        assert!(
            fs::read(&also).unwrap().iter().all(|octet| *octet == 0),
            "overwritten first"
        );
        // No key is remembered, nor told to anybody.
        let secret = key.lines().nth(1).unwrap();
        for folder in ["memory", "out/b/claims", "out/b/index"] {
            let found = tool("grep", &["-r", "-e", secret, folder], line.0.path());
            assert_eq!(found.status.code(), Some(1), "{folder} has no key");
        }
    }
}

#[test]
fn a_claim_is_found_again_as_ones_own_whenever_its_station_was_stopped() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000001");
    let first = line.claim_of("SN000001");
    // The answer was lost: the station remembers what it sent, and the claim is there.
    let again = line.succeed(
        "st1",
        &["claim", "--device", "SN000001", "--out", "elsewhere", "--json"],
    );
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["resumed"], true);
    assert_eq!(line.claim_of("SN000001"), first);
    assert!(
        !line.0.join("dev-st1").exists(),
        "what was unpacked before is wiped"
    );
    // The request was lost: the station remembers what it would have sent, and there is no claim.
    fs::remove_file(line.path("claims/000000/SN000001.json")).unwrap();
    line.claim("st1", "SN000001");
    assert_eq!(line.claim_of("SN000001"), first);
    // Somebody else was faster.
    let mut other = first.clone();
    other.hold.station = "st2".to_owned();
    other.hold.claim = "f".repeat(32);
    fs::write(line.path("claims/000000/SN000001.json"), other.to_json()).unwrap();
    let told = line.refusal("st1", "SN000001", 9);
    assert!(
        told.starts_with("certforge: error: device SN000001 was taken over by st2 at "),
        "{told}"
    );
    assert!(!line.0.join("dev-st1").exists(), "the key is gone");
}

#[test]
fn next_gives_the_device_in_hand_until_it_is_reported() {
    let line = Line::new("packs", 9);
    let next = || -> (String, bool) {
        let text = line.succeed("st1", &["claim", "--next", "--out", "dev", "--json"]);
        let claimed: Value = serde_json::from_str(&text).unwrap();
        let device = claimed["device_id"].as_str().unwrap().to_owned();
        (device, claimed["resumed"].as_bool().unwrap())
    };
    let (first, resumed) = next();
    assert!(!resumed);
    assert_eq!(next(), (first.clone(), true));
    line.succeed("st1", &["done", &first]);
    let (second, resumed) = next();
    assert!(!resumed && second != first);
    // A device that was claimed by its label is never given to another one.
    let named = if first == "SN000000" || second == "SN000000" {
        "SN000001"
    } else {
        "SN000000"
    };
    line.succeed("st1", &["failed", &second]);
    line.claim("st1", named);
    assert_ne!(next().0, named);
}

#[test]
fn a_claim_is_taken_over_only_by_name_and_only_when_it_is_stale() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let take_over = ["claim", "--device", "SN000000", "--take-over", "--out", "dev-st2"];
    let told = timeless(&line.fail("st2", &take_over, 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    line.age("SN000000");
    let told = timeless(&line.refusal("st2", "SN000000", 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], and its lease ended at [TIME]\n\
         certforge: hint: first see that st1 has no report of it that waits (`station send` there) and will not flash it any more; then `station claim --device SN000000 --take-over`"
    );
    let first = line.claim_of("SN000000").hold;
    line.succeed("st2", &take_over);
    let second = line.claim_of("SN000000");
    assert_eq!(second.earlier, [first], "the record keeps both");
    assert_eq!((second.hold.station.as_str(), second.hold.attempt), ("st2", 2));
    // The first station comes back.
    let told = timeless(&line.fail("st1", &["done", "SN000000"], 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 was taken over by st2 at [TIME]\n\
         certforge: hint: two devices may have this identity now: put this one aside, and flash it anew with another"
    );
    assert!(!line.0.join("dev-st1").exists(), "the key is gone");
    line.succeed("st2", &["done", "SN000000"]);
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
}

#[test]
fn a_station_that_lost_its_memory_has_to_say_that_it_is_sure() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    fs::remove_dir_all(line.0.join("memory")).unwrap();
    fs::remove_dir_all(line.0.join("dev-st1")).unwrap();
    let told = timeless(&line.refusal("st1", "SN000000", 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: this machine does not remember it: another machine has the same station name, or this one lost its memory; if you are sure, `station claim --device SN000000 --take-over`"
    );
    line.succeed(
        "st1",
        &["claim", "--device", "SN000000", "--take-over", "--out", "dev-st1"],
    );
    // Nor may it report on what it does not remember to have: that would open a way around the claim.
    fs::remove_dir_all(line.0.join("memory")).unwrap();
    for report in ["failed", "done"] {
        let told = line.fail("st1", &[report, "SN000000"], 9);
        assert!(told.contains("this machine does not remember it"), "{told}");
    }
    assert_eq!(line.claim_of("SN000000").hold.state, State::Claimed);
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let line = Line::new("objects", 4);
    let told = |station: &str, arguments: &[&str], code| line.fail(station, arguments, code);
    assert_eq!(
        told("a/b", &["send"], 2),
        "certforge: error: \"a/b\" cannot name a station\n\
         certforge: hint: use 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor - first"
    );
    for id in ["SN999999", "../../x"] {
        assert_eq!(
            told("st1", &["claim", "--device", id, "--out", "d"], 9),
            format!(
                "certforge: error: batch b has no device {id}\n\
                 certforge: hint: check the label, and CERTFORGE_BATCH"
            )
        );
        assert_eq!(
            told("st1", &["done", id], 9),
            format!(
                "certforge: error: batch b has no device {id}\n\
                 certforge: hint: check the label, and CERTFORGE_BATCH"
            )
        );
    }
    assert_eq!(
        told("st1", &["failed", "SN000000"], 9),
        "certforge: error: device SN000000 is not claimed by anybody\n\
         certforge: hint: `station claim --device SN000000` comes first"
    );
    fs::create_dir(line.0.join("open")).unwrap();
    fs::set_permissions(line.0.join("open"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        told("st1", &["claim", "--next", "--out", "open"], 2),
        "certforge: error: open is no folder of your own, or others may enter it\n\
         certforge: hint: choose another --out: one that is not there yet, or an empty folder of your own with mode 0700"
    );
    std::os::unix::fs::symlink(line.0.join("open"), line.0.join("link")).unwrap();
    assert!(told("st1", &["claim", "--next", "--out", "link"], 2).contains("link is no folder of your own"));
    assert_eq!(
        told("st1", &["run", "--exec", "./none.sh"], 2),
        "certforge: error: --exec ./none.sh: No such file or directory (os error 2)\n\
         certforge: hint: name an executable file, such as ./flash.sh"
    );
    assert_eq!(
        told("st1", &["run", "--exec", "./devices.csv"], 2),
        "certforge: error: --exec ./devices.csv is not executable\n\
         certforge: hint: name an executable file, such as ./flash.sh"
    );
    let told = line.fail(
        "st1",
        &["claim", "--next", "--out", "d", "--issuer", "none.pem"],
        5,
    );
    assert_eq!(
        told,
        "certforge: error: none.pem cannot be read: No such file or directory (os error 2)\n\
         certforge: hint: name the certificate of the CA that made the batch, or its SHA-256, with --issuer or in CERTFORGE_ISSUER"
    );
    // None of it claimed anything.
    assert!(!line.path("claims").exists());

    line.claim("st1", "SN000000");
    assert_eq!(
        timeless(&line.fail("st2", &["done", "SN000000"], 9)),
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    assert_eq!(
        timeless(&line.fail("st2", &["scrap", "SN000000", "--reason", "x"], 9)),
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    line.succeed("st1", &["done", "SN000000"]);
    assert_eq!(
        line.fail("st1", &["failed", "SN000000"], 9),
        "certforge: error: device SN000000 is flashed, and cannot be reported failed any more\n\
         certforge: hint: `station status` shows what is known of it"
    );
    fs::write(line.path("claims/000000/SN000001.json"), "{}").unwrap();
    assert_eq!(
        line.refusal("st1", "SN000001", 6),
        "certforge: error: claims/000000/SN000001.json is no claim\n\
         certforge: hint: somebody else wrote it; find out who before anybody flashes this device"
    );
}

#[test]
fn one_process_at_a_time_is_a_station() {
    let line = Line::new("objects", 4);
    line.script("echo ready; cat > /dev/null");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev-st1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    assert_eq!(
        line.fail("st1", &["claim", "--next", "--out", "dev"], 9),
        "certforge: error: station st1 is in use by another certforge on this machine, or by a script that it left running\n\
         certforge: hint: wait until it has ended; stations that work at the same time have names of their own"
    );
    running.kill().unwrap();
    drop(running.stdin.take());
    running.wait().unwrap();
}

#[test]
fn a_batch_that_was_tampered_with_cannot_be_flashed() {
    let refused = |layout: &str, tamper: &dyn Fn(&Line), code, told: &str| {
        let line = Line::new(layout, 9);
        tamper(&line);
        let error = line.refusal("st1", "SN000000", code);
        assert_eq!(error.lines().next().unwrap(), format!("certforge: error: {told}"));
        assert!(!line.0.join("dev-st1").exists(), "nothing is unpacked");
    };
    let bundle = |device: &str| {
        let layout: certforge::store::Layout = "objects".parse().unwrap();
        layout.object(0, device)
    };
    let swap = |line: &Line| {
        fs::copy(line.path(&bundle("SN000001")), line.path(&bundle("SN000000"))).unwrap();
    };
    let object = bundle("SN000000");
    let told = format!("device SN000000: {object} is refused: SHA-256 is not that of the index");
    let line = Line::new("objects", 9);
    swap(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(error.contains(&told), "{error}");
    assert!(error.contains("hint: flash nothing of this batch until you know who changed it"));
    assert!(!line.0.join("dev-st1").exists(), "nothing is unpacked");

    let remove = |line: &Line| fs::remove_file(line.path(&bundle("SN000000"))).unwrap();
    let line = Line::new("objects", 9);
    remove(&line);
    let error = line.refusal("st1", "SN000000", 6);
    let missing = format!("certforge: error: device SN000000: {object} is refused: it is missing\n");
    assert!(error.starts_with(&missing), "{error}");

    let index = "index/000000.csv is not what the seal says: it was changed after the batch was sealed";
    let change_index = |line: &Line| {
        let text = fs::read_to_string(line.path("index/000000.csv")).unwrap();
        fs::write(
            line.path("index/000000.csv"),
            text.replace("SN000003", "SN000009"),
        )
        .unwrap();
    };
    refused("packs", &change_index, 6, index);
    let lookup = "lookup/000000.csv is not what the seal says: it was changed after the batch was sealed";
    let change_lookup = |line: &Line| {
        let text = fs::read_to_string(line.path("lookup/000000.csv")).unwrap();
        fs::write(line.path("lookup/000000.csv"), text.replace(",1\n", ",0\n")).unwrap();
    };
    refused("packs", &change_lookup, 6, lookup);
    let record = "batch.json is not what the seal says: it was changed after the batch was sealed";
    let change_record = |line: &Line| {
        let text = fs::read_to_string(line.path("batch.json")).unwrap();
        fs::write(line.path("batch.json"), text.replace("\"b\"", "\"c\"")).unwrap();
    };
    refused("packs", &change_record, 6, record);

    let truncate = |line: &Line| {
        let pack = fs::read(line.path("packs/000000.zip")).unwrap();
        fs::write(line.path("packs/000000.zip"), &pack[..1000]).unwrap();
    };
    let line = Line::new("packs", 9);
    truncate(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(
        error.starts_with(
            "certforge: error: device SN000000: packs/000000.zip is refused: SHA-256 is not that of the index"
        ),
        "{error}"
    );

    let unsealed = |line: &Line| fs::remove_file(line.path("seal.json")).unwrap();
    refused("packs", &unsealed, 6, "out/b is not sealed: it has no seal.json");
    let half_seal = |line: &Line| {
        let text = fs::read_to_string(line.path("seal.json")).unwrap();
        fs::write(line.path("seal.json"), &text[..text.len() / 2]).unwrap();
    };
    let line = Line::new("packs", 9);
    half_seal(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(
        error.starts_with("certforge: error: seal.json is no seal: "),
        "{error}"
    );
}

#[test]
fn a_seal_of_another_issuer_is_refused() {
    let line = Line::new("packs", 9);
    // Somebody makes the whole batch anew with a CA of the same name, and seals it.
    line.0.succeed(&[
        "ca",
        "new",
        "--no-passphrase",
        "--to",
        "other",
        "--common-name",
        "other",
    ]);
    fs::remove_dir_all(line.0.join("out")).unwrap();
    line.0.succeed(&[
        "run",
        "devices.csv",
        "--ca",
        "other",
        "--batch",
        "b",
        "--ledger",
        "other.db",
    ]);
    let shown = |folder: &str| -> String {
        let text = line.0.succeed(&["ca", "show", folder, "--json"]);
        let shown: Value = serde_json::from_str(&text).unwrap();
        shown["ca_certificate_id"].as_str().unwrap().to_owned()
    };
    let (own, other) = (shown("ca"), shown("other"));
    assert_eq!(
        line.refusal("st1", "SN000000", 5),
        format!(
            "certforge: error: the batch was sealed by another issuer: certificate {other}, not {own}\n\
             certforge: hint: name the CA certificate that this batch was made with, or ask whoever made the batch"
        )
    );
    // Trusted by its id, it is flashed; and whoever trusts the first one's id still refuses it.
    let claim = |issuer: &str| {
        let out = ["claim", "--next", "--out", "dev", "--issuer", issuer];
        line.output("st1", &out)
    };
    assert_eq!(claim(&own).status.code(), Some(5));
    assert_eq!(claim(&other.to_uppercase()).status.code(), Some(0));

    // A seal that names the right issuer and that another one has signed.
    let text = fs::read_to_string(line.path("seal.json")).unwrap();
    fs::write(line.path("seal.json"), text.replace(&other, &own)).unwrap();
    let error = line.refusal("st2", "SN000000", 5);
    assert!(
        error.starts_with("certforge: error: the signature of seal.json is not that of issuer CN="),
        "{error}"
    );
}

#[test]
fn openssl_verifies_the_signature_of_a_seal() {
    for key in ["P-256", "P-384", "RSA-2048"] {
        let place = Workplace::new();
        place.manifest(3);
        place.succeed(&["ca", "new", "--no-passphrase", "--key", key]);
        place.succeed(&["run", "devices.csv", "--ca", "ca", "--batch", "b"]);
        let text = fs::read_to_string(place.join("out/b/seal.json")).unwrap();
        let (statement, rest) = text
            .strip_prefix("{\"seal\":")
            .unwrap()
            .split_once(",\"signature\":")
            .unwrap();
        let signature: Value = serde_json::from_str(rest.trim_end().strip_suffix('}').unwrap()).unwrap();
        let value = data_encoding::BASE64
            .decode(signature["value"].as_str().unwrap().as_bytes())
            .unwrap();
        fs::write(place.join("statement"), statement).unwrap();
        fs::write(place.join("signature"), value).unwrap();
        let public_key = tool(
            "openssl",
            &["x509", "-in", "ca/certificate.pem", "-noout", "-pubkey"],
            place.path(),
        );
        fs::write(place.join("public.pem"), public_key.stdout).unwrap();
        let digest = if key == "P-384" { "-sha384" } else { "-sha256" };
        let verify = [
            "dgst",
            digest,
            "-verify",
            "public.pem",
            "-signature",
            "signature",
            "statement",
        ];
        let verified = tool("openssl", &verify, place.path());
        assert!(
            verified.status.success(),
            "{key}: {}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

#[test]
fn burned_bundles_are_gone_and_all_others_are_as_they_were() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 9);
        let before = fs::read(line.path("packs/000000.zip")).unwrap_or_default();
        for device in ["SN000001", "SN000002", "SN000008"] {
            line.claim("st1", device);
            line.succeed("st1", &["done", device]);
        }
        line.succeed("st1", &["scrap", "SN000003", "--reason", "broken board"]);
        let burned = line.succeed("st1", &["burn"]);
        assert!(
            burned.starts_with("bundles of flashed and scrapped devices removed: 4"),
            "{burned}"
        );
        let again = line.succeed("st1", &["burn"]);
        assert!(
            again.starts_with("bundles of flashed and scrapped devices removed: 0"),
            "{again}"
        );
        let verified = line.0.succeed(&["verify", "out/b"]);
        assert!(
            verified.contains(
                "9 devices verified, 4 of them removed after they were flashed or scrapped, sealed"
            ),
            "{verified}"
        );
        if layout == "packs" {
            assert!(burned.contains("packs rewritten: 1, removed: 1"), "{burned}");
            assert!(!line.path("packs/000002.zip").exists(), "nothing was left of it");
            let after = fs::read(line.path("packs/000000.zip")).unwrap();
            let keys = |pack: &[u8]| {
                pack.windows(27)
                    .filter(|window| *window == b"-----BEGIN PRIVATE KEY-----")
                    .count()
            };
            assert_eq!((keys(&before), keys(&after)), (4, 1));
            let listed = tool("unzip", &["-t", "out/b/packs/000000.zip"], line.0.path());
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(listed.status.success(), "{text}");
            assert!(
                text.contains("SN000000.zip") && !text.contains("SN000001.zip"),
                "{text}"
            );
        }
        // What is left is flashed as ever.
        line.claim("st1", "SN000000");
        line.succeed("st1", &["done", "SN000000"]);
        // A device that is not flashed, and whose bundle is gone, is a fault.
        let pack = line.path("packs/000001.zip");
        if pack.exists() {
            fs::remove_file(pack).unwrap();
        } else {
            fs::remove_file(line.path("bundles/82/SN000004.zip")).unwrap();
        }
        assert_eq!(line.0.run(&["verify", "out/b"]).status.code(), Some(1));
    }
}

#[test]
fn done_burns_the_bundle_of_its_device() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    assert_eq!(
        line.succeed("st1", &["done", "SN000000", "--burn"]),
        "SN000000 flashed, and its bundle is removed\n"
    );
    assert!(!line.path("bundles/de/SN000000.zip").exists());
    assert!(line.path("bundles/d1/SN000001.zip").exists());
    line.0.succeed(&["verify", "out/b"]);

    let line = Line::new("packs", 4);
    line.claim("st1", "SN000000");
    // That a bundle in a pack is not removed alone is no reason to keep a key or to lose a report.
    let output = line.output("st1", &["done", "SN000000", "--burn"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "SN000000 flashed\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: warning: this batch is in packs, of which no bundle is removed alone; `certforge station burn` removes those of all flashed devices\n"
    );
    assert!(!line.0.join("dev-st1").exists());
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    line.script("exit 0");
    assert_eq!(
        line.fail("st1", &["run", "--exec", "./flash.sh", "--burn"], 2),
        "certforge: error: --burn is for batches in layout objects, and this one is in packs\n\
         certforge: hint: leave it out; `certforge station burn` removes the bundles of flashed devices from packs"
    );
}

#[test]
fn a_script_gets_its_device_and_its_exit_code_counts() {
    let line = Line::new("packs", 9);
    // Every third device fails.
    line.script(
        "echo \"$CERTFORGE_STATION $CERTFORGE_DEVICE_ID $(ls \"$CERTFORGE_BUNDLE_DIR\" | wc -l) $1\" >> log\n\
         [ $(( $(wc -l < log) % 3 )) != 0 ] || exit 7",
    );
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--", "-v"];
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.ends_with("6 devices flashed, 3 failed; nothing is left to claim\n"),
        "{text}"
    );
    assert_eq!(text.matches(": FAILED: exit code 7\n").count(), 3, "{text}");
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert!(
        log.lines()
            .all(|entry| entry.starts_with("st1 SN00000") && entry.ends_with(" 6 -v"))
    );
    assert!(!line.0.join("dev").exists());
    // A failed one may be tried again, by name.
    let failed = log.lines().nth(2).unwrap().split(' ').nth(1).unwrap();
    line.claim("st1", failed);
    line.succeed("st1", &["done", failed]);
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!((&status["flashed"], &status["failed"]), (&7.into(), &2.into()));
    let failed_records = fs::read_dir(line.path("failed"))
        .unwrap()
        .flat_map(|chunk| fs::read_dir(chunk.unwrap().path()).unwrap());
    assert_eq!(failed_records.count(), 3, "each failure is recorded");
}

#[test]
fn a_broken_station_stops_before_it_goes_through_the_batch() {
    let line = Line::new("packs", 9);
    line.script("kill -TERM $$");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--stop-after", "2"];
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(": FAILED: killed by signal 15\n"), "{text}");
    assert!(
        text.ends_with("0 devices flashed, 2 failed; STOPPED: 2 failures one after the other; put the station right first\n"),
        "{text}"
    );
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!((&status["left"], &status["failed"]), (&7.into(), &2.into()));
}

#[test]
fn ctrl_c_reports_no_failure_and_the_device_comes_first_the_next_time() {
    use rustix::process::{Pid, Signal, kill_process};
    let line = Line::new("packs", 9);
    line.script("echo \"$CERTFORGE_DEVICE_ID $PPID\"; exec sleep 60");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    let device = first.split(' ').next().unwrap().to_owned();
    // A terminal sends it to the station and to the script.
    let station = Pid::from_child(&running);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.id())).unwrap();
    let script = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    kill_process(station, Signal::INT).unwrap();
    // The station has taken notice before its script ends.
    let mut notice = String::new();
    let mut errors = std::io::BufReader::new(running.stderr.take().unwrap());
    while !notice.contains("ending with the device in hand") {
        assert_ne!(std::io::BufRead::read_line(&mut errors, &mut notice).unwrap(), 0);
    }
    kill_process(script, Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(!line.0.join("dev").exists(), "the key is wiped");
    assert!(!line.path("failed").exists());
    line.script("echo $CERTFORGE_DEVICE_ID >> log");
    line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert_eq!(log.lines().next(), Some(device.as_str()));
    assert_eq!(log.lines().count(), 9);
}

#[test]
fn seals_what_is_complete_and_nothing_else() {
    let line = Line::new("packs", 9);
    let first = line.0.succeed(&["seal", "out/b", "--json"]);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["sealed_before"], true);
    // The same is stated when it is sealed by what the store holds.
    line.0.unseal("b");
    let second: Value = serde_json::from_str(&line.0.succeed(&["seal", "out/b", "--json"])).unwrap();
    assert_eq!(second["sealed_before"], false);
    assert_eq!(first["merkle_root"], second["merkle_root"]);
    line.claim("st1", "SN000000");

    let sealed = |code| line.0.fail(&["seal", "out/b"], code);
    let index = line.path("index/000001.csv");
    let rows = fs::read_to_string(&index).unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4], ""].join("\n");
    fs::write(&index, swapped).unwrap();
    assert_eq!(
        sealed(6),
        format!(
            "certforge: error: {}/out/b has a seal already, which says otherwise\n\
             certforge: hint: it was changed after it was sealed: `certforge verify` tells where; flash nothing of it\n",
            line.0.path().display()
        )
    );
    assert!(
        line.0
            .fail(&["verify", "out/b"], 1)
            .contains("put back what is missing or changed")
    );
    // A seal that is there is not touched by one who seals something else.
    fs::write(&index, &rows).unwrap();
    line.succeed("st1", &["done", "SN000000"]);
    line.claim("st1", "SN000001");
    line.0.unseal("b");
    fs::copy(line.path("index/000000.csv"), &index).unwrap();
    let error = sealed(6);
    assert!(
        error.starts_with("certforge: error: index/000001.csv is no index\n"),
        "{error}"
    );
    let shorter: Vec<&str> = rows.lines().take(3).collect();
    fs::write(&index, shorter.join("\n")).unwrap();
    assert_eq!(
        sealed(6),
        "certforge: error: index/000001.csv has 2 rows, the batch has 4 there\n\
         certforge: hint: `certforge verify` tells more\n"
    );
    fs::remove_file(&index).unwrap();
    assert_eq!(
        sealed(6),
        "certforge: error: batch b is not complete: 1 of 3 chunks are missing, the first is 1\n\
         certforge: hint: run the command that began it again, for every shard; then seal it\n"
    );
    line.0.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let other = line.0.fail(&["seal", "out/b", "--ca", "other"], 5);
    assert!(other.contains("/out/b was not made by CN="), "{other}");
}

#[test]
fn a_device_of_two_chunks_is_sealed_by_nobody() {
    let line = Line::new("objects", 8);
    line.0.unseal("b");
    fs::copy(line.path("index/000000.csv"), line.path("index/000001.csv")).unwrap();
    assert_eq!(
        line.0.fail(&["seal", "out/b"], 6),
        "certforge: error: chunks 0 and 1 have the same device\n\
         certforge: hint: `certforge verify` tells more\n"
    );
}

#[test]
fn a_copy_of_a_batch_gives_no_device_out_once_more() {
    let line = Line::new("packs", 4);
    fs::create_dir(line.0.join("copy")).unwrap();
    let copied = tool("cp", &["-a", "out/b", "copy"], line.0.path());
    assert!(copied.status.success());
    let claim = [
        "claim", "--device", "SN000000", "--out", "dev", "--batch", "copy/b",
    ];
    assert_eq!(
        line.fail("st1", &claim, 6),
        "certforge: error: copy/b is not where this batch was sealed, which is out/b\n\
         certforge: hint: a copy would give each device out once more: name the place where it was sealed; --moved says that it was moved, or is reached by another path, and is no copy"
    );
    line.succeed("st1", &[&claim[..], &["--moved"]].concat());
}

#[test]
fn a_batch_that_was_made_anew_at_the_same_place_is_read_anew() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 4);
        line.claim("st1", "SN000000");
        line.succeed("st1", &["done", "SN000000"]);
        fs::remove_dir_all(line.0.join("out")).unwrap();
        for name in ["certforge.db", "certforge.db-lock"] {
            fs::remove_file(line.0.join(name)).unwrap();
        }
        line.make("b", "out", layout);
        line.claim("st1", "SN000001");
        line.succeed("st1", &["done", "SN000001"]);
        line.script("exit 0");
        line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
        let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
        assert_eq!(status["flashed"], 4);
    }
}

#[test]
fn what_a_script_makes_of_a_bundle_is_wiped_with_it() {
    let line = Line::new("packs", 3);
    line.script("mkdir \"$CERTFORGE_BUNDLE_DIR/made\"; cp \"$CERTFORGE_BUNDLE_DIR\"/*.key \"$CERTFORGE_BUNDLE_DIR/made/nvs.bin\"");
    line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
    assert!(!line.0.join("dev").exists());
}

#[test]
fn a_script_that_cannot_be_started_leaves_no_key_behind() {
    let line = Line::new("packs", 3);
    let path = line.0.join("flash.sh");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let run = ["run", "--exec", "./flash.sh", "--out", "dev"];
    assert_eq!(
        line.fail("st1", &run, 2),
        "certforge: error: the script ./flash.sh cannot be run: No such file or directory (os error 2)\n\
         certforge: hint: name an executable file with --exec, such as ./flash.sh"
    );
    assert!(!line.0.join("dev").exists());
    assert_eq!(
        line.fail("st1", &["run", "--exec", "no-such-script", "--out", "dev"], 2),
        "certforge: error: --exec no-such-script is not on the PATH\n\
         certforge: hint: name a file with its folder, such as ./flash.sh"
    );
    // The device is still in hand, and is the one that is flashed first.
    line.script("exit 0");
    let text = line.succeed("st1", &run);
    assert!(
        text.starts_with("SN00000")
            && text.contains(": begun again; the device in the fixture must be the same one\n"),
        "{text}"
    );
    assert!(
        text.ends_with("3 devices flashed, 0 failed; nothing is left to claim\n"),
        "{text}"
    );
}

#[test]
fn a_script_that_hangs_is_killed_in_time() {
    let line = Line::new("packs", 1);
    line.script("sleep 600 & sleep 601");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--timeout", "1"];
    let output = line.output("st1", &run);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("SN000000: FAILED: timed out after 1 s\n"),
        "{text}"
    );
    // What it started is gone with it: nothing holds the station, or writes into a device.
    line.succeed("st1", &["send"]);
}

/// A station that was killed leaves its script running: as long as that may still write into a device, the
/// station does not begin with the same identity on another.
#[test]
fn a_station_waits_for_the_script_of_one_that_was_killed() {
    let line = Line::new("packs", 4);
    assert!(tool("mkfifo", &["go"], line.0.path()).status.success());
    line.script("echo \"$CERTFORGE_DEVICE_ID\"; read -r _ < go; echo end");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    let mut read = || {
        let mut text = String::new();
        std::io::BufRead::read_line(&mut lines, &mut text).unwrap();
        text.trim_end().to_owned()
    };
    let device = read();
    running.kill().unwrap();
    running.wait().unwrap();
    let next = ["claim", "--next", "--out", "elsewhere", "--json"];
    let told = line.fail("st1", &next, 9);
    assert!(told.contains("or by a script that it left running"), "{told}");
    fs::write(line.0.join("go"), "\n").unwrap();
    assert_eq!(read(), "end");
    // The pipe ends when the script has, and its lock with it.
    assert_eq!(read(), "");
    let claimed: Value = serde_json::from_str(&line.succeed("st1", &next)).unwrap();
    assert_eq!(
        (claimed["device_id"].as_str().unwrap(), &claimed["resumed"]),
        (device.as_str(), &true.into())
    );
    assert!(!line.0.join("dev").exists(), "what it had unpacked is wiped");
}

#[test]
fn nothing_is_burned_but_what_its_claim_calls_flashed_or_scrapped() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 8);
        line.claim("st1", "SN000000");
        line.claim("st2", "SN000001");
        line.succeed("st1", &["done", "SN000000"]);
        // A record that somebody wrote, of a device that was not flashed, and of one that is in another chunk.
        for name in ["flashed/000000/SN000001.json", "flashed/000099/SN000006.json"] {
            let path = line.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "junk").unwrap();
        }
        // A station was stopped before it wrote this one.
        fs::remove_file(line.path("flashed/000000/SN000000.json")).unwrap();
        let burned: Value = serde_json::from_str(&line.succeed("st1", &["burn", "--json"])).unwrap();
        assert_eq!(burned["bundles"], 1, "{layout}");
        assert!(
            line.path("flashed/000000/SN000000.json").exists(),
            "written after all"
        );
        line.0.succeed(&["verify", "out/b"]);
        line.succeed("st2", &["done", "SN000001"]);
        line.claim("st1", "SN000006");
    }
}

#[test]
fn a_pack_whose_own_directory_was_changed_is_not_burned_wrongly() {
    let line = Line::new("packs", 4);
    line.claim("st1", "SN000001");
    line.succeed("st1", &["done", "SN000001"]);
    let path = line.path("packs/000000.zip");
    let before = fs::read(&path).unwrap();
    // In the directory, the flashed member reaches over the next ones.
    let mut changed = before.clone();
    let name = changed
        .windows(12)
        .rposition(|window| window == b"SN000001.zip")
        .unwrap();
    let size = name - 46 + 20;
    let larger = u32::from_le_bytes(changed[size..size + 4].try_into().unwrap()) + 3000;
    changed[size..size + 4].copy_from_slice(&larger.to_le_bytes());
    fs::write(&path, &changed).unwrap();
    assert_eq!(
        line.fail("st1", &["burn"], 6),
        "certforge: error: packs/000000.zip has been damaged: another bundle in it is not what the index says\n\
         certforge: hint: `certforge verify` tells more; nothing was changed"
    );
    assert_eq!(fs::read(&path).unwrap(), changed);
}

#[test]
fn exports_no_certificate_but_the_one_that_was_sealed() {
    let line = Line::new("packs", 4);
    line.succeed("st1", &["scrap", "SN000000", "--reason", "lost"]);
    let export = ["export", "--scrapped", "--pem", "--batch", "out/b"];
    let pem = line.0.succeed(&export);
    fs::write(line.0.join("scrapped.pem"), pem).unwrap();
    let subject = ["x509", "-in", "scrapped.pem", "-noout", "-subject"];
    let subject = tool("openssl", &subject, line.0.path());
    assert!(String::from_utf8_lossy(&subject.stdout).contains("SN000000"));
    let path = line.path("certificates/000000.pem");
    let text = fs::read_to_string(&path).unwrap();
    let second = 1 + text[1..].find("-----BEGIN").unwrap();
    fs::write(&path, &text[second..]).unwrap();
    assert_eq!(
        line.0.fail(&export, 6),
        "certforge: error: certificates/000000.pem does not have the certificate of device SN000000\n\
         certforge: hint: it was changed; `certforge verify` tells more\n"
    );
}

#[test]
fn a_report_that_cannot_be_sent_keeps_no_other_from_it() {
    let line = Line::new("packs", 4);
    line.claim("st1", "SN000000");
    let path = line.path("claims/000000/SN000000.json");
    let claim = fs::read(&path).unwrap();
    fs::write(&path, "{}").unwrap();
    let output = line.output("st1", &["done", "SN000000"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 1"), "{told}");
    assert!(told.contains("claims/000000/SN000000.json is no claim"), "{told}");
    line.claim("st1", "SN000001");
    line.succeed("st1", &["done", "SN000001"]);
    assert_eq!(line.claim_of("SN000001").hold.state, State::Flashed);
    let claim_again = ["claim", "--device", "SN000000", "--out", "dev"];
    let told = line.fail("st1", &claim_again, 9);
    assert!(
        told.ends_with(
            "certforge: error: device SN000000 was reported on, and the report is not sent yet\n\
             certforge: hint: `station send` tells why"
        ),
        "{told}"
    );
    assert_eq!(line.output("st1", &["send"]).status.code(), Some(6));
    fs::write(&path, claim).unwrap();
    assert_eq!(line.succeed("st1", &["send"]), "reports sent: 1\n");
    let shown = line.succeed("st1", &["show", "SN000000"]);
    assert!(shown.contains("attempt 1 by st1 since "), "{shown}");
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused_and_the_clock_is_named() {
    use certforge::issuer::{CaFiles, read_public};
    use certforge::station::{Options, Station, StationError, Trust};
    let line = Line::new("packs", 4);
    for (clock, fault) in [
        (
            (|| time::macros::datetime!(2099-01-01 0:00 UTC)) as fn() -> time::OffsetDateTime,
            "CertExpired",
        ),
        (|| time::macros::datetime!(1971-01-01 0:00 UTC), "CertNotValidYet"),
    ] {
        let (certificate, _) = read_public(&CaFiles::in_folder(&line.0.join("ca"))).unwrap();
        let options = Options {
            name: "st1".to_owned(),
            issuer: Trust::Certificate(Box::new(certificate)),
            moved: false,
            memory: line.0.join("memory").join(fault),
            lease: time::Duration::HOUR,
            clock,
        };
        let mut station = Station::open(Box::new(line.store()), options).unwrap();
        let mut claimed = station.claim_next().unwrap();
        let error = station.fetch(&mut claimed, &line.0.join("dev")).unwrap_err();
        let StationError::Bundle { faults, .. } = &error else {
            panic!("{error}");
        };
        assert!(faults.contains(fault), "{faults}");
        assert_eq!(
            error.hint().unwrap(),
            "check this machine's clock, then the certificate's validity"
        );
        assert!(!line.0.join("dev").exists());
    }
}

#[test]
fn a_device_that_is_claimed_by_its_label_is_the_next_one_no_more() {
    let line = Line::new("packs", 9);
    let claimed = |arguments: &[&str]| -> String {
        let text = line.succeed("st1", &[&["claim", "--json"], arguments].concat());
        let claimed: Value = serde_json::from_str(&text).unwrap();
        claimed["device_id"].as_str().unwrap().to_owned()
    };
    let first = claimed(&["--next", "--out", "dev"]);
    assert_eq!(claimed(&["--device", &first, "--out", "dev"]), first);
    assert_ne!(claimed(&["--next", "--out", "dev2"]), first);
}

#[test]
fn a_flashed_device_is_scrapped_only_by_one_who_says_so() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    line.succeed("st1", &["done", " SN000000 "]);
    let scrap = ["scrap", "SN000000", "--reason", "returned"];
    let told = timeless(&line.fail("qa", &scrap, 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 was flashed by st1 at [TIME]\n\
         certforge: hint: an identity is for one device: put the second device aside, and find out which label is wrong; `station scrap SN000000 --although-flashed` is for a device that is thrown away after it was flashed"
    );
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    line.succeed("qa", &[&scrap[..], &["--although-flashed"]].concat());
    let claim = line.claim_of("SN000000");
    assert_eq!((claim.hold.state, claim.earlier.len()), (State::Scrapped, 1));
}

#[test]
fn a_bundle_that_was_moved_away_is_told_of() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    fs::rename(line.0.join("dev-st1"), line.0.join("elsewhere")).unwrap();
    let output = line.output("st1", &["done", "SN000000"]);
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("dev-st1 is gone, into which the bundle was unpacked: if it was moved or copied, the private key is still there"),
        "{told}"
    );
}

#[test]
fn tells_a_batch_that_is_not_sealed_from_what_is_no_batch() {
    let line = Line::new("objects", 4);
    assert_eq!(
        line.fail("st1", &["send", "--batch", "out"], 6),
        "certforge: error: out is no batch: it has no batch.json\n\
         certforge: hint: name a batch, such as s3://factory-eu/batches/line-7-3f2a9c01"
    );
}
