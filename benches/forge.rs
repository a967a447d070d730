//! Devices a second from manifest to released bundles, by layout and threads.
//!
//! Bundles go to a directory under `CERTFORGE_BENCH_DIR`, or the system's temporary folder: on tmpfs
//! it is the forge that is measured, on a disk the disk as well.

use std::path::PathBuf;

use certforge::batch::Layout;
use certforge::bench::Scratch;
use certforge::bench::engines::introduction;
use certforge::bench::fixture::Fixture;
use certforge::engine::Choice;
use certforge::forge::{self, Cancel};
use certforge::ledger;
use certforge::profile::KeyType;
use certforge::store::{DirStore, Store, StoreError};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const ROWS: u64 = 20_000;

fn folder() -> PathBuf {
    std::env::var_os("CERTFORGE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn forge(criterion: &mut Criterion) {
    eprint!("{}", introduction());
    let inputs = Scratch::new(&folder()).expect("a scratch folder");
    let fixture =
        Fixture::new(inputs.path(), KeyType::P256, ROWS, Choice::Auto).expect("a CA and a manifest are made");

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut group = criterion.benchmark_group("forge");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    for layout in [Layout::Packs, Layout::Objects] {
        for jobs in [1, cores] {
            group.bench_function(
                BenchmarkId::new(layout.as_str(), format!("{jobs} jobs")),
                |bencher| {
                    bencher.iter_batched(
                        || inputs.folder().expect("a scratch folder"),
                        |place| {
                            let mut ledger = ledger::open(&place.path().join("ledger.db"), [1; 16])
                                .expect("a ledger is made");
                            let job = fixture.job(layout, jobs);
                            let open = |batch: &str| -> Result<Box<dyn Store>, StoreError> {
                                Ok(Box::new(DirStore::new(place.path().join(batch))))
                            };
                            let summary = forge::run(&job, &mut *ledger, &open, &|_| {}, &Cancel::new());
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
