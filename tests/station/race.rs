//! Many stations race for the devices of one batch, and are killed at random moments: each device is flashed
//! by one station and by no other, and none is lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::real_server::Server;
use crate::support::Workplace;
use certforge::batch::claim;
use certforge::batch::{CLAIMS, FLASHED, device_of};
use certforge::station::Record;
use certforge::store::Store;

const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

/// Kills of each station, at most.
const KILLS: usize = 3;

/// Notes who flashed what, in one write. A station that is killed leaves its script running.
const SCRIPT: &str = r#"#!/bin/sh
test -s "$CERTFORGE_BUNDLE_DIR/private.pem.key" || exit 9
echo "$CERTFORGE_STATION $CERTFORGE_DEVICE_ID" >> flashed.log
"#;

fn seed() -> u64 {
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED_VARIABLE}={seed}");
    seed
}

/// A batch, and how stations reach it.
struct Line {
    workplace: Workplace,
    batch: String,
    reach: Vec<String>,
}

impl Line {
    /// Makes a batch with so many devices; `endpoint` is that of the server that it goes to.
    fn new(devices: usize, to: &str, layout: &str, endpoint: Option<&str>) -> Self {
        let workplace = Workplace::new();
        workplace.manifest(devices);
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        let script = workplace.join("flash.sh");
        std::fs::write(&script, SCRIPT).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let reach = |url: &str| vec!["--endpoint-url".to_owned(), url.to_owned()];
        let line = Self {
            workplace,
            batch: format!("{to}/b"),
            reach: endpoint.map(reach).unwrap_or_default(),
        };
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            to,
            "--batch",
            "b",
            "--layout",
            layout,
            "--chunk-rows",
            "64",
        ];
        let output = line.command(&run).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        line
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workplace.command(arguments);
        command
            .args(&self.reach)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
            .env("AWS_REGION", "us-east-1")
            .env("CERTFORGE_BATCH", &self.batch);
        command
    }

    /// The command of a station, each of which has a machine of its own.
    fn station(&self, station: &str) -> Command {
        let out = self.workplace.join(&format!("out-{station}"));
        let memory = self.workplace.join(&format!("memory-{station}"));
        let mut command = self.command(&[
            "station",
            "run",
            "--exec",
            "./flash.sh",
            "--out",
            out.to_str().unwrap(),
            "--memory",
            memory.to_str().unwrap(),
            "--station",
            station,
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Lets so many stations race until nothing is left. Returns how often one was killed.
    fn race(&self, stations: usize, seed: u64) -> usize {
        let kills = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for i in 0..stations {
                let (line, kills) = (self, &kills);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed ^ (i as u64) << 32);
                    line.work(&format!("st{i}"), &mut random, kills);
                });
            }
        });
        kills.into_inner()
    }

    fn work(&self, station: &str, random: &mut fastrand::Rng, kills: &AtomicUsize) {
        let mut killed = 0;
        loop {
            let mut child = self.station(station).spawn().unwrap();
            if killed < KILLS {
                let until = Instant::now() + Duration::from_millis(random.u64(50..4000));
                while Instant::now() < until && child.try_wait().unwrap().is_none() {
                    // The moment is drawn, so nothing tells of it.
                    std::thread::sleep(Duration::from_millis(5));
                }
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    killed += 1;
                    kills.fetch_add(1, Ordering::Relaxed);
                }
            }
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                Some(0) => return,
                // It was killed, or the script of one that was still runs.
                None | Some(9) => {}
                Some(_) => panic!("{station}: {}", String::from_utf8_lossy(&output.stderr)),
            }
        }
    }

    /// Holds the log of the scripts against the claims and records of the store.
    fn account(&self, store: &Store, devices: usize) {
        let log = std::fs::read_to_string(self.workplace.join("flashed.log")).unwrap();
        let mut by_device: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in log.lines() {
            let (station, device) = line.split_once(' ').unwrap();
            by_device.entry(device).or_default().insert(station);
        }
        for (device, stations) in &by_device {
            assert_eq!(stations.len(), 1, "{device} was flashed by {stations:?}");
        }
        assert_eq!(by_device.len(), devices, "every device was flashed");
        for folder in [CLAIMS, FLASHED] {
            let mut names = Vec::new();
            store.list(folder, &mut |listed| names.push(listed.name)).unwrap();
            assert_eq!(names.len(), devices, "{folder}");
            for (name, octets) in names.iter().zip(store.read_all(&names)) {
                let (_, device) = device_of(name, folder).unwrap();
                let octets = octets.unwrap();
                let (station, attempt) = if folder == CLAIMS {
                    let claim: claim::Claim = serde_json::from_slice(&octets).unwrap();
                    assert_eq!(claim.hold.state, claim::State::Flashed, "{name}");
                    assert!(claim.earlier.is_empty(), "{name}");
                    (claim.hold.station, claim.hold.attempt)
                } else {
                    let record: Record = serde_json::from_slice(&octets).unwrap();
                    (record.station, record.attempt)
                };
                assert_eq!(attempt, 1, "{name}");
                assert!(
                    by_device[device.as_str()].contains(station.as_str()),
                    "{name}: {station}"
                );
            }
        }
        // No station keeps a key, or a report, or a device.
        for entry in std::fs::read_dir(self.workplace.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(!name.starts_with("out-"), "{name} is left behind");
        }
        let output = self.command(&["station", "status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["flashed"], devices);
        for empty in ["left", "claimed", "stale", "failed", "scrapped"] {
            assert_eq!(status[empty], 0, "{empty}");
        }
    }
}

#[test]
fn fifty_stations_race_over_a_bucket_and_each_device_is_flashed_by_one() {
    let seed = seed();
    let server = Server::seaweedfs();
    let line = Line::new(2000, "s3://factory/race", "objects", Some(&server.url));
    let kills = line.race(50, seed);
    println!("{kills} kills");
    assert!(kills >= 50, "{kills} kills");
    let store = Server::store("race/b", &server.options());
    line.account(&store, 2000);
}

#[test]
fn stations_race_through_a_network_that_loses_answers() {
    const FAULTS: &[Fault] = &[
        Fault::LostAnswer,
        Fault::LostAnswer,
        Fault::LostAnswer,
        Fault::HalfAnswer,
        Fault::Drop,
        Fault::ResetMidBody,
        Fault::ConditionalConflict,
        Fault::SlowDown,
    ];
    let seed = seed();
    let server = Server::seaweedfs();
    let mut line = Line::new(2000, "s3://factory/faults", "packs", Some(&server.url));
    let proxy = FaultProxy::start_with(server.address(), seed, 12, FAULTS);
    line.reach = vec!["--endpoint-url".to_owned(), format!("http://{}", proxy.address)];
    let kills = line.race(50, seed);
    println!("{kills} kills, {} faults", proxy.count());
    assert!(kills >= 50, "{kills} kills");
    assert!(proxy.count() >= 300, "{} faults", proxy.count());
    proxy.heal();
    let store = Server::store("faults/b", &server.options());
    line.account(&store, 2000);
}

#[test]
fn fifty_stations_race_over_a_folder_and_each_device_is_flashed_by_one() {
    let seed = seed();
    let line = Line::new(2000, "out", "packs", None);
    let kills = line.race(50, seed);
    println!("{kills} kills");
    assert!(kills >= 50, "{kills} kills");
    line.account(&Store::in_folder(line.workplace.join("out/b")), 2000);
}
