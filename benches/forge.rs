//! Devices a second from manifest to released bundles, by layout and threads.
//!
//! Bundles go to a directory under `CERTFORGE_BENCH_DIR`, or the system's temporary folder: on tmpfs
//! it is the forge that is measured, on a disk the disk as well.

use std::path::PathBuf;

use certforge::engine::Choice;
use certforge::forge::{self, Cancel, Job};
use certforge::issuer::{CaFiles, CaRequest, Issuer, create};
use certforge::ledger::Ledger;
use certforge::manifest::{DEFAULT_ID_COLUMN, Manifest};
use certforge::profile::{Attribute, DEFAULT, KeyType, NotAfter, Profile};
use certforge::store::{DirStore, Layout, Store, StoreError};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use time::OffsetDateTime;

const ROWS: u64 = 20_000;

fn folder() -> PathBuf {
    std::env::var_os("CERTFORGE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn forge(criterion: &mut Criterion) {
    let inputs = tempfile::tempdir_in(folder()).expect("a scratch folder");
    let path = inputs.path().join("devices.csv");
    let rows: String = (0..ROWS).map(|row| format!("SN{row:09},line-7,DE\n")).collect();
    std::fs::write(&path, format!("serial_number,site,country\n{rows}")).expect("the manifest is written");
    let now = OffsetDateTime::now_utc();
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, "Bench CA".to_owned())],
        key_type: KeyType::P256,
        not_after: NotAfter::Days(30),
        path_len: Some(0),
    };
    let ca = inputs.path().join("ca");
    create(&request, None, now)
        .and_then(|new| new.write(&ca, None))
        .expect("a CA is made");
    let issuer = Issuer::load(&CaFiles::in_folder(&ca), now, &mut |_| {
        unreachable!("not encrypted")
    });
    let issuer = issuer.expect("the CA loads");
    let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).expect("the manifest opens");
    let profile = Profile::load(DEFAULT, None).expect("the profile is built in");

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut group = criterion.benchmark_group("forge");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    for layout in [Layout::Packs, Layout::Objects] {
        for jobs in [1, cores] {
            group.bench_function(
                BenchmarkId::new(layout.as_str(), format!("{jobs} jobs")),
                |bencher| {
                    bencher.iter_batched(
                        || tempfile::tempdir_in(folder()).expect("a scratch folder"),
                        |place| {
                            let mut ledger = Ledger::open(&place.path().join("ledger.db"), [1; 16])
                                .expect("a ledger is made");
                            let job = Job {
                                manifest: &manifest,
                                profile: &profile,
                                issuer: &issuer,
                                engines: Choice::Auto,
                                layout,
                                batch: None,
                                chunk_rows: None,
                                shard: None,
                                reissue: false,
                                jobs,
                                now,
                            };
                            let open = |batch: &str| -> Result<Box<dyn Store>, StoreError> {
                                Ok(Box::new(DirStore::new(place.path().join(batch))))
                            };
                            let summary = forge::run(&job, &mut ledger, &open, &|_| {}, &Cancel::new());
                            let summary = summary.expect("nothing is refused");
                            assert_eq!((summary.made, summary.failed), (ROWS, 0));
                            place
                        },
                        BatchSize::PerIteration,
                    );
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, forge);
criterion_main!(benches);
