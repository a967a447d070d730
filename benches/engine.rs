//! Key pairs and signatures a second, by engine and key type: what `--engine auto` goes by.

use certforge::bench::engines::{KeyMaker, SignatureMaker, at_a_time, introduction, ready, signing_key};
use certforge::profile::KeyType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn keys(criterion: &mut Criterion) {
    eprint!("{}", introduction());
    let mut group = criterion.benchmark_group("keys");
    group.sample_size(10);
    for engine in ready().0 {
        for key_type in KeyType::ALL
            .into_iter()
            .filter(|key_type| engine.makes(*key_type))
        {
            let mut maker = KeyMaker::new(engine, key_type).expect("the keys are sound");
            group.throughput(Throughput::Elements(at_a_time(key_type) as u64));
            group.bench_function(BenchmarkId::new(engine.name(), key_type), |bencher| {
                bencher.iter(|| maker.make().expect("the engine makes keys"));
            });
        }
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signatures");
    group.sample_size(10);
    let (engines, _) = ready();
    for key_type in KeyType::ALL {
        let key = signing_key(key_type).expect("aws-lc makes every type");
        for engine in engines.iter().filter(|engine| engine.signs(key_type)) {
            let mut maker = SignatureMaker::new(*engine, &key).expect("the signatures are sound");
            group.throughput(Throughput::Elements(at_a_time(key_type) as u64));
            group.bench_function(BenchmarkId::new(engine.name(), key_type), |bencher| {
                bencher.iter(|| maker.make().expect("the engine signs"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, keys, signatures);
criterion_main!(benches);
