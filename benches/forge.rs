//! Devices a second from manifest to released bundles, by layout and threads.
//!
//! The peer is what an engineer writes in an afternoon with the same crates: rcgen for key and
//! certificate, rayon over the devices, a deflated zip, `fs::write`. It keeps no ledger, checks
//! nothing, and makes nothing durable.
//!
//! Bundles go to a directory under `CERTFORGE_BENCH_DIR`, or the system's temporary folder: on tmpfs
//! it is the forge that is measured, on a disk the disk as well.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use certforge::bundle::amazon_root;
use certforge::engine::Choice;
use certforge::forge::{self, Cancel, Job};
use certforge::issuer::{CaFiles, CaRequest, Issuer, create};
use certforge::ledger::Ledger;
use certforge::manifest::{DEFAULT_ID_COLUMN, Manifest};
use certforge::profile::recipe::Content;
use certforge::profile::{Attribute, DEFAULT, KeyType, NotAfter, Profile};
use certforge::store::{DirStore, Layout, Store, StoreError};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use time::OffsetDateTime;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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

fn peer(criterion: &mut Criterion) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key is made");
    let ca_pem = ca.self_signed(&ca_key).expect("a CA is made").pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let roots = [Content::AmazonRootCa1, Content::AmazonRootCa3].map(|root| {
        let der = amazon_root(root).expect("Amazon's root is in the list");
        certforge::pem::encode(certforge::pem::CERTIFICATE, der)
    });
    let make = |device: &str, folder: &Path| {
        let key = KeyPair::generate().expect("a key is made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, device);
        let certificate = params.signed_by(&key, &issuer).expect("it is signed").pem();
        let endpoint = format!("{{\"host\": null, \"port\": 8883, \"client_id\": \"{device}\"}}");
        let files = [
            ("private.pem.key", key.serialize_pem()),
            ("certificate.pem.crt", certificate.clone()),
            ("chain.pem.crt", certificate + &ca_pem),
            ("AmazonRootCA1.pem", roots[0].clone()),
            ("AmazonRootCA3.pem", roots[1].clone()),
            ("endpoint.json", endpoint),
        ];
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            zip.start_file(name, SimpleFileOptions::default())
                .expect("memory does not fail");
            zip.write_all(content.as_bytes()).expect("memory does not fail");
        }
        let zip = zip.finish().expect("memory does not fail").into_inner();
        std::fs::write(folder.join(format!("{device}.zip")), zip).expect("the bundle is written");
    };
    let mut group = criterion.benchmark_group("peer");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    group.bench_function("rcgen + rayon + deflated zip + fs::write", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir_in(folder()).expect("a scratch folder"),
            |place| {
                (0..ROWS)
                    .into_par_iter()
                    .for_each(|row| make(&format!("SN{row:09}"), place.path()));
                let made = std::fs::read_dir(place.path())
                    .expect("the folder is there")
                    .count();
                assert_eq!(made as u64, ROWS);
                place
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, forge, peer);
criterion_main!(benches);
