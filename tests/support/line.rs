//! A line: a sealed batch in a folder, and the stations that flash it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use certforge::batch::WithdrawnRecord;
use certforge::batch::claim::Claim;
use certforge::store::{Store, put_withdrawn};

use crate::support::Workplace;

/// A sealed batch `out/b` of some devices, SN000000 and on, in chunks of four.
pub struct Line(pub Workplace);

impl Line {
    pub fn new(layout: &str, devices: usize) -> Self {
        let place = Workplace::new();
        place.manifest(devices);
        place.succeed(&["ca", "new", "--no-passphrase"]);
        let line = Self(place);
        line.make("b", "out", layout);
        line
    }

    pub fn make(&self, batch: &str, to: &str, layout: &str) {
        self.0.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
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
    pub fn station(&self, station: &str, arguments: &[&str]) -> Command {
        let mut command = self.0.command(&["station"]);
        command
            .args(arguments)
            .env("CERTFORGE_BATCH", "out/b")
            .env("CERTFORGE_STATION", station)
            .env("CERTFORGE_MEMORY", self.0.join("memory").join(station));
        command
    }

    pub fn output(&self, station: &str, arguments: &[&str]) -> Output {
        self.station(station, arguments).output().unwrap()
    }

    #[track_caller]
    pub fn succeed(&self, station: &str, arguments: &[&str]) -> String {
        let output = self.output(station, arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The error and the hint of a command that must end with this exit code. Warnings are left out, and that this line's
    /// options come from the environment.
    #[track_caller]
    pub fn fail(&self, station: &str, arguments: &[&str], exit_code: i32) -> String {
        let output = self.output(station, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit_code), "{stderr}");
        let is_meant =
            |line: &&str| !line.contains(": warning: ") && !line.contains(": hint: from the environment: ");
        let lines = stderr.lines().filter(is_meant);
        let here = format!("{}/", self.0.path().display());
        lines.collect::<Vec<_>>().join("\n").replace(&here, "")
    }

    pub fn claim(&self, station: &str, device: &str) {
        self.succeed(station, &["claim", "--device", device, "--out", &out(station)]);
    }

    /// What a claim that is refused is told.
    #[track_caller]
    pub fn refusal(&self, station: &str, device: &str, exit_code: i32) -> String {
        let claim = ["claim", "--device", device, "--out", &out(station)];
        self.fail(station, &claim, exit_code)
    }

    /// Withdraws the batch, as far as the store goes.
    pub fn withdraw(&self, reason: &str) {
        let record = WithdrawnRecord {
            batch: "b".to_owned(),
            withdrawn_at: "2026-11-24T12:00:00Z".to_owned(),
            reason: reason.to_owned(),
        };
        put_withdrawn(&self.store(), &record).unwrap();
    }

    pub fn store(&self) -> Store {
        Store::in_folder(self.0.join("out/b"))
    }

    pub fn path(&self, object: &str) -> PathBuf {
        self.0.join("out/b").join(object)
    }

    /// The claim of one of the first four devices.
    pub fn claim_of(&self, device: &str) -> Claim {
        let object = format!("claims/000000/{device}.json");
        serde_json::from_slice(&self.store().read(&object, None).unwrap()).unwrap()
    }

    /// Lets the lease of a claim end.
    pub fn age(&self, device: &str) {
        let mut claim = self.claim_of(device);
        claim.hold.lease_until = claim.hold.claimed_at - time::Duration::HOUR;
        claim.hold.claimed_at -= time::Duration::HOUR * 2;
        let path = self.path(&format!("claims/000000/{device}.json"));
        fs::write(path, claim.to_json()).unwrap();
    }

    pub fn script(&self, text: &str) {
        let path = self.0.join("flash.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Where a station unpacks.
pub fn out(station: &str) -> String {
    format!("dev-{station}")
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Error and hint without the moments in them.
pub fn timeless(text: &str) -> String {
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
