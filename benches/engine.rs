//! Key pairs and signatures a second, by engine and key type: what `--engine auto` goes by.

use std::error::Error;

use certforge::engine::{AwsLc, DeviceKey, ENGINES, Engine, PrivateKey};
use certforge::profile::KeyType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Operations of one iteration; RSA keys take too long for many.
fn batch(key_type: KeyType) -> usize {
    if key_type.is_rsa() { 1 } else { 64 }
}

/// The engines that work here; the others are named.
fn engines() -> impl Iterator<Item = &'static dyn Engine> {
    ENGINES.into_iter().filter(|engine| match engine.ready() {
        Ok(()) => true,
        Err(error) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            eprintln!("left out: {error}: {reason}");
            false
        }
    })
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    group.sample_size(10);
    for engine in engines() {
        for key_type in KeyType::ALL
            .into_iter()
            .filter(|key_type| engine.makes(*key_type))
        {
            let mut keys = vec![DeviceKey::default(); batch(key_type)];
            engine
                .make_keys(key_type, &mut keys)
                .expect("the engine makes them");
            let key = PrivateKey::from_pkcs8(keys[0].pkcs8()).expect("it is PKCS#8");
            assert!(key.prove(keys[0].public_key()).is_some(), "the halves match");
            group.throughput(Throughput::Elements(keys.len() as u64));
            group.bench_function(BenchmarkId::new(engine.name(), key_type), |bencher| {
                bencher.iter(|| engine.make_keys(key_type, &mut keys).is_ok());
            });
        }
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signatures");
    group.sample_size(10);
    // As long as the TBSCertificate of a P-256 device.
    let message = [7; 350];
    for key_type in KeyType::ALL {
        let mut keys = [DeviceKey::default()];
        AwsLc
            .make_keys(key_type, &mut keys)
            .expect("aws-lc makes every type");
        for engine in engines().filter(|engine| engine.signs(key_type)) {
            let key = PrivateKey::from_pkcs8(keys[0].pkcs8()).expect("it is PKCS#8");
            let key = key.prove(keys[0].public_key()).expect("the halves match");
            let signer = engine.signer(&key).expect("the engine signs");
            let messages = vec![&message[..]; batch(key_type)];
            let mut signatures = vec![Vec::new(); messages.len()];
            signer.sign(&messages, &mut signatures).expect("the engine signs");
            assert!(
                signatures.iter().all(|signature| signature.len() > 60),
                "there are signatures"
            );
            group.throughput(Throughput::Elements(messages.len() as u64));
            group.bench_function(BenchmarkId::new(engine.name(), key_type), |bencher| {
                bencher.iter(|| signer.sign(&messages, &mut signatures).expect("the engine signs"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, keys, signatures);
criterion_main!(benches);
