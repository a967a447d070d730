//! The stages and the whole runs of `certforge bench`, under criterion: keys and signatures by engine and key type, which
//! is what `--engine auto` goes by; devices a second from manifest to sealed bundles, by engine, layout and threads.
//!
//! What is written goes to a folder under `CERTFORGE_BENCH_DIR`, or the system's temporary folder: on tmpfs it is the
//! forge that is measured, on a disk the disk as well.

use std::path::PathBuf;
use std::time::Duration;

use certforge::bench::{BenchError, Measurements, Options, Part, Settings, each_step};
use certforge::engine::Choice;
use certforge::forge::Cancel;
use certforge::profile::KeyType;
use criterion::{BenchmarkId, Criterion, Throughput};

fn main() -> Result<(), BenchError> {
    let mut stages = with(&[Part::Keys, Part::Signatures]);
    stages.key_types = KeyType::ALL.to_vec();
    stages.settings.jobs = 1;
    let mut runs = with(&[Part::Run]);
    runs.engines = vec![Choice::Auto];
    runs.key_types = vec![KeyType::P256];
    // The machine, and the libraries of the engines.
    let none_yet = serde_json::to_string(&Measurements::new(&stages)?);
    eprintln!("{}", none_yet.expect("documents have only text keys"));
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for options in [stages, runs] {
        each_step(&options, &|_| {}, &Cancel::new(), &mut |step, tasks| {
            for task in tasks.iter().filter(|task| !task.quantity.is_of_library()) {
                let mut turn = task.begin()?;
                let made = turn()?.made;
                let mut group = criterion.benchmark_group(format!("{:?}", task.quantity));
                group.throughput(Throughput::Elements(made));
                group.bench_function(BenchmarkId::from_parameter(step), |bencher| {
                    bencher.iter_custom(|turns| {
                        let laps = (0..turns).map(|_| turn().expect("it went well before"));
                        laps.map(|lap| lap.time).sum::<Duration>()
                    });
                });
            }
            Ok(())
        })?;
    }
    criterion.final_summary();
    Ok(())
}

fn with(parts: &[Part]) -> Options {
    Options {
        to: std::env::var_os("CERTFORGE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        settings: Settings {
            parts: parts.to_vec(),
            ..Settings::new(false, false)
        },
        ..Options::default()
    }
}
