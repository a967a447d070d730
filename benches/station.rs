//! Devices a second through flashing stations, and how long one waits for its bundle: `claim --next`, the
//! bundle fetched and verified, and the report; for 1, 10 and 50 stations at once.
//!
//! `CERTFORGE_BENCH_DIR` names the folder in which batch and server are, such as `/dev/shm`. With
//! `CERTFORGE_TEST_PYTHON`, as `tests/all` sets it, a bucket of SeaweedFS is measured too.

#[cfg(feature = "s3")]
#[path = "../tests/support/real_server.rs"]
mod real_server;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use certforge::batch::claim::State;
use certforge::bench::{Lap, Rate};
use certforge::issuer::{CaFiles, read_public};
use certforge::station::{Options, Reported, Station, Trust};
use certforge::store::Store;
use support::Workplace;

const STATIONS: [usize; 3] = [1, 10, 50];

/// How much is measured.
struct Size {
    /// Of the batch.
    devices: usize,
    /// Flashed in each round, for each station up to 20 of them.
    each: usize,
}

type Open<'a> = &'a (dyn Fn() -> Store + Sync);

fn station(place: &Workplace, open: Open<'_>, name: &str) -> Station {
    let files = CaFiles::in_folder(&place.join("ca"));
    let (certificate, _) = read_public(&files).expect("the CA is there");
    let options = Options {
        name: name.to_owned(),
        issuer: Trust::Certificate(Box::new(certificate)),
        moved: false,
        memory: place.join("memory").join(name),
        lease: time::Duration::HOUR,
        identities: None,
        clock: time::OffsetDateTime::now_utc,
    };
    Station::open(open(), options).expect("the batch is sealed")
}

/// Lets stations flash so many devices in all. Tells how long each claim with its bundle took, sorted.
fn round(place: &Workplace, open: Open<'_>, stations: usize, devices: usize) -> (Lap, Vec<Duration>) {
    let begun = AtomicUsize::new(0);
    let all: Vec<Station> = (0..stations)
        .map(|i| station(place, open, &format!("of{stations}-st{i}")))
        .collect();
    let started = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .into_iter()
            .map(|mut station| {
                let begun = &begun;
                scope.spawn(move || {
                    let folder = place.join(&format!("out-{}", station.name()));
                    let mut waits = Vec::new();
                    while begun.fetch_add(1, Ordering::Relaxed) < devices {
                        let asked = Instant::now();
                        let mut claimed = station.claim_next().expect("something is left");
                        let unpacked = station.fetch(&mut claimed, &folder).expect("it is right");
                        waits.push(asked.elapsed());
                        assert_eq!(unpacked.files.len(), 6);
                        let device = &claimed.claim.device_id;
                        let sent = station.report(Reported::new(device, State::Flashed));
                        assert_eq!(sent.expect("it is taken").pending, 0);
                    }
                    waits
                })
            })
            .collect();
        let ended = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it ends well"));
        ended.collect()
    });
    let time = started.elapsed();
    assert_eq!(waits.len(), devices, "each device once");
    waits.sort_unstable();
    let made = devices as u64;
    (Lap { made, time }, waits)
}

fn measure(name: &str, place: &Workplace, open: Open<'_>, size: &Size) {
    for stations in STATIONS {
        let devices = size.each * stations.min(20);
        let (lap, waits) = round(place, open, stations, devices);
        let rate = Rate::of(&[vec![lap]]).per_second;
        let milliseconds = |of_hundred: usize| {
            let i = (waits.len() * of_hundred / 100).min(waits.len() - 1);
            waits[i].as_secs_f64() * 1e3
        };
        println!(
            "| {name} | {stations} | {rate:.0} | {:.1} | {:.1} |",
            milliseconds(50),
            milliseconds(95)
        );
    }
}

fn place(size: &Size) -> Workplace {
    let place = Workplace::new();
    place.manifest(size.devices);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place
}

const RUN: [&str; 9] = [
    "run",
    "devices.csv",
    "--no-endpoint",
    "--ca",
    "ca",
    "--batch",
    "b",
    "--layout",
    "packs",
];

fn main() {
    // `cargo bench` passes --bench; with --test everything runs once, and small.
    let size = match std::env::args().any(|argument| argument == "--test") {
        true => Size {
            devices: 2000,
            each: 2,
        },
        false => Size {
            devices: 100_000,
            each: 200,
        },
    };
    if let Some(folder) = std::env::var_os("CERTFORGE_BENCH_DIR") {
        assert!(Path::new(&folder).is_dir(), "CERTFORGE_BENCH_DIR is a folder");
        tempfile::env::override_temp_dir(Path::new(&folder)).expect("it is set once");
    }
    println!("| store | stations | devices/s | median ms from claim to bundle | 95 % within ms |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let folder = place(&size);
    folder.succeed(&RUN);
    let batch = folder.join("out/b");
    measure("folder", &folder, &|| Store::in_folder(batch.clone()), &size);
    #[cfg(feature = "s3")]
    if std::env::var_os("CERTFORGE_TEST_PYTHON").is_some() {
        let server = real_server::Server::seaweedfs();
        let bucket = place(&size);
        server.succeed(&bucket, &[&RUN[..], &["--to", "s3://factory"]].concat());
        let open = || -> Store { real_server::Server::store("b", &server.options()) };
        measure("SeaweedFS", &bucket, &open, &size);
    }
}
