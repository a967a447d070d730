//! Bundles made anew, with every call of the store failing in turn: one generation holds whatever fails, no key is lost
//! and none is left where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use certforge::batch::claim::{Claim, State, Wish};
use certforge::batch::{Layout, claim_object, index_object};
use certforge::bundle::encryption::{Identities, Identity, decrypt};
use certforge::bundle::examine;
use certforge::forge::{Cancel, Event};
use certforge::generation::{GenerationError, Newest, Remade, Remake};
use certforge::manifest::DeviceId;
use certforge::profile::Profile;
use certforge::seal::Generation;
use certforge::store::memory::{Fault, Memory};
use certforge::store::{Store, StoreError};
use certforge::verify;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::failures::Factory;

/// Devices in the hands of stations when the bundles are made anew: one is flashed already.
const CLAIMED: [(&str, bool); 3] = [("SN0003", false), ("SN0004", true), ("SN0044", false)];

/// The private key of each device that has a bundle.
type Keys = BTreeMap<DeviceId, Vec<u8>>;

fn identities() -> Identities {
    Identity::new(Zeroizing::new([7; 32])).into()
}

fn encrypted(profile: &Profile) -> Profile {
    let identity = Identity::new(Zeroizing::new([7; 32]));
    profile
        .clone()
        .with_recipients(&[identity.recipient().clone()])
        .unwrap()
}

fn elsewhere(profile: &Profile) -> Profile {
    let host = "abc-ats.iot.eu-central-1.amazonaws.com";
    profile.clone().with_host(host).unwrap()
}

/// A batch that is sealed, and of which stations have some devices.
fn batch(factory: &Factory, name: &str, layout: Layout) -> (Memory, Store) {
    let memory = Memory::default();
    let place = factory.folder.path().join(name);
    std::fs::create_dir(&place).unwrap();
    factory.run(&place, layout, &|_| Ok(memory.store())).unwrap();
    let store = memory.store();
    for (name, is_flashed) in CLAIMED {
        let device_id = DeviceId::parse(name).unwrap();
        let now = OffsetDateTime::now_utc();
        let wish = Wish {
            station: "st1",
            now,
            lease: Duration::HOUR,
            take_over: false,
        };
        let claim = Claim::first(&device_id, "00".repeat(16), wish);
        let claim = match is_flashed {
            true => claim.ended(State::Flashed, now, None).unwrap(),
            false => claim,
        };
        let chunk = name[2..].parse::<u64>().unwrap() / 8;
        assert!(
            store
                .create(&claim_object(chunk, &device_id), &claim.to_json())
                .unwrap()
        );
    }
    (memory, store)
}

fn remake(
    factory: &Factory,
    store: Store,
    change: fn(&Profile) -> Profile,
) -> Result<Remade, GenerationError> {
    let newest = Newest::open(store, factory.issuer.certificate(), false)?;
    let profile = change(newest.profile());
    let identities = identities();
    let job = Remake {
        profile: &profile,
        signer: &factory.issuer,
        identities: Some(&identities),
        now: OffsetDateTime::now_utc(),
    };
    newest.remake(&job, &|_| {}, &Cancel::new())
}

/// What a station would read, whose newest generation is the one that it finds.
fn keys(factory: &Factory, store: &Store) -> (u32, Keys) {
    let issuer = factory.issuer.certificate();
    let first = store.read("seal.json", None).unwrap();
    let mut all = vec![Generation::first(&first, issuer).unwrap()];
    while let Ok(next) = store.read(&all.last().unwrap().next_object(), None) {
        all.push(all.last().unwrap().next(&next, issuer).unwrap());
    }
    let mut keys = Keys::new();
    for generation in all.iter().rev() {
        let own = generation
            .folder
            .as_ref()
            .map_or_else(|| store.clone(), |folder| store.of_generation(folder));
        let read = generation
            .seal
            .record(&own.read("batch.json", None).unwrap())
            .unwrap();
        for chunk in 0..read.record.shape().chunks() {
            let index = own.read(&index_object(chunk), None).unwrap();
            for row in generation.seal.index(chunk, &index).unwrap() {
                if row.length == 0 || keys.contains_key(&row.device_id) {
                    continue;
                }
                let object = read.record.layout.object(chunk, &row.device_id);
                let Ok(octets) = own.read(&object, Some(row.offset..row.offset + row.length)) else {
                    continue;
                };
                if certforge::digest::sha256(&octets) != row.sha256 {
                    assert!(
                        octets.iter().all(|octet| *octet == 0),
                        "{object} is removed, or whole"
                    );
                    continue;
                }
                let plain = match read.record.layout.is_encrypted() {
                    true => decrypt(&octets, &identities()).unwrap(),
                    false => octets,
                };
                let opened = examine(&plain, read.profile.recipe(), row.device_id.as_str()).unwrap();
                let key = opened.iter().find(|file| file.member.name() == "private.pem.key");
                keys.insert(row.device_id.clone(), key.unwrap().octets.to_vec());
            }
        }
    }
    (all.last().unwrap().number(), keys)
}

/// Whether all that the batch has is as it should be.
fn is_good(store: &Store) {
    let identities = identities();
    let job = verify::Job {
        passwords: &certforge::profile::Passwords::default(),
        store,
        ledger: None,
        issuer: None,
        manifest: None,
        now: OffsetDateTime::now_utc(),
        identities: Some(&identities),
        strict: false,
    };
    let report = verify::verify(&job, &|_| {}, &|_| {}).unwrap();
    assert!(report.is_good(), "{:#?}", report.faults);
    assert_eq!(
        (report.generation, report.in_earlier_generations, report.burned),
        (1, 2, 1)
    );
}

fn fails_at_every_call(layout: Layout, change: fn(&Profile) -> Profile, fault: fn() -> Fault) {
    let factory = Factory::new();
    let flashed: BTreeSet<DeviceId> = CLAIMED
        .iter()
        .filter(|(_, is_flashed)| *is_flashed)
        .map(|(name, _)| DeviceId::parse(name).unwrap())
        .collect();
    for at in 1..=calls_of(&factory, layout, change) {
        let (memory, store) = batch(&factory, &format!("at-{at}"), layout);
        let (_, before) = keys(&factory, &store);
        let mut calls = 0;
        memory.fail(move |_| {
            calls += 1;
            (calls == at).then(fault)
        });
        let first = remake(&factory, memory.store(), change);
        memory.restart();
        let holds = |when: &str| {
            let (generation, mut found) = keys(&factory, &store);
            found.retain(|device_id, _| !flashed.contains(device_id));
            let mut wanted = before.clone();
            wanted.retain(|device_id, _| !flashed.contains(device_id));
            assert!(
                found == wanted,
                "{when}, at {at}: {} of {}",
                found.len(),
                wanted.len()
            );
            generation
        };
        let generation = holds("after the first attempt");
        if let Ok(remade) = &first {
            assert_eq!((remade.generation, generation), (1, 1));
        }
        let again = remake(&factory, memory.store(), change).unwrap();
        assert_eq!(
            (again.generation, again.devices, again.left, again.ended),
            (1, 42, 2, 1)
        );
        assert_eq!(holds("in the end"), 1);
        is_good(&store);
        // No version of what was replaced is left.
        for name in ["packs/000001.zip", "packs/000002.zip"] {
            assert_eq!(memory.versions(name), 0, "{name} at {at}");
        }
    }
}

/// How many calls it takes when none fails.
fn calls_of(factory: &Factory, layout: Layout, change: fn(&Profile) -> Profile) -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let (memory, _) = batch(factory, &format!("count-{number}"), layout);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    memory.fail(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    });
    remake(factory, memory.store(), change).unwrap();
    calls.load(Ordering::Relaxed)
}

fn refused() -> Fault {
    Fault::Error(StoreError::Io {
        operation: "reach",
        object: "a store that fails".to_owned(),
        source: io::ErrorKind::Other.into(),
    })
}

#[test]
fn one_generation_holds_whichever_call_fails_in_packs() {
    fails_at_every_call(Layout::Packs, encrypted, refused);
}

#[test]
fn one_generation_holds_whichever_call_fails_in_objects() {
    fails_at_every_call(Layout::Objects, elsewhere, refused);
}

#[test]
fn one_generation_holds_whenever_the_machine_stops() {
    fails_at_every_call(Layout::Packs, elsewhere, || Fault::PowerLoss);
}

#[test]
fn one_generation_holds_whichever_answer_is_lost() {
    fails_at_every_call(Layout::Packs, encrypted, || Fault::Answered);
}

#[test]
fn of_two_who_make_one_at_a_time_one_has_made_it() {
    for round in 0..20 {
        let factory = Factory::new();
        let (memory, store) = batch(&factory, &format!("round-{round}"), Layout::Packs);
        let (_, before) = keys(&factory, &store);
        let barrier = Arc::new(Barrier::new(2));
        let ended: Vec<_> = std::thread::scope(|scope| {
            let both = [encrypted as fn(&Profile) -> Profile, elsewhere].map(|change| {
                let (factory, store, barrier) = (&factory, memory.store(), barrier.clone());
                scope.spawn(move || {
                    barrier.wait();
                    remake(factory, store, change)
                })
            });
            both.map(|one| one.join().unwrap()).into()
        });
        let (generation, mut found) = keys(&factory, &store);
        let made = ended.iter().flatten().count();
        assert!(made >= 1, "{ended:?}");
        assert_eq!(
            usize::try_from(generation).unwrap(),
            made,
            "one each, or one in all: {ended:?}"
        );
        let flashed = DeviceId::parse("SN0004").unwrap();
        let mut wanted = before;
        for keys in [&mut found, &mut wanted] {
            keys.remove(&flashed);
        }
        assert!(found == wanted, "round {round}: {ended:?}");
        for error in ended.into_iter().filter_map(Result::err) {
            assert!(matches!(error, GenerationError::Faster { .. }), "{error}");
        }
    }
}

/// Stopped when the new generation was sealed, and before anything of the old one was removed.
fn stopped_before_removal(factory: &Factory, memory: &Memory) {
    memory.fail(|call| {
        ["remove", "replace", "purge"]
            .contains(&call.operation)
            .then(refused)
    });
    remake(factory, memory.store(), encrypted).unwrap_err();
    memory.restart();
}

#[test]
fn the_same_command_removes_what_it_had_left_whatever_it_can_read() {
    let factory = Factory::new();
    let (memory, store) = batch(&factory, "left", Layout::Packs);
    stopped_before_removal(&factory, &memory);
    // What is left is told, also in the pack in which a device stays.
    let identities = identities();
    let job = verify::Job {
        passwords: &certforge::profile::Passwords::default(),
        store: &store,
        ledger: None,
        issuer: None,
        manifest: None,
        now: OffsetDateTime::now_utc(),
        identities: Some(&identities),
        strict: false,
    };
    let report = verify::verify(&job, &|_| {}, &|_| {}).unwrap();
    let objects: BTreeSet<_> = report
        .faults
        .iter()
        .filter_map(|fault| fault.object.clone())
        .collect();
    let packs: BTreeSet<_> = (0..6).map(|chunk| format!("packs/{chunk:06}.zip")).collect();
    assert_eq!(objects, packs, "{:#?}", report.faults);
    // Whoever could read the bundles before, or needed nothing for it, cannot read the new ones.
    let newest = Newest::open(memory.store(), factory.issuer.certificate(), false).unwrap();
    let profile = encrypted(newest.profile());
    let job = Remake {
        profile: &profile,
        signer: &factory.issuer,
        identities: None,
        now: OffsetDateTime::now_utc(),
    };
    let again = newest.remake(&job, &|_| {}, &Cancel::new()).unwrap();
    assert!(again.before, "{again:?}");
    is_good(&store);
}

#[test]
fn a_device_that_is_flashed_meanwhile_leaves_no_key_in_the_new_generation() {
    for layout in [Layout::Objects, Layout::Packs] {
        let factory = Factory::new();
        let (memory, store) = batch(&factory, layout.as_str(), layout);
        let newest = Newest::open(memory.store(), factory.issuer.certificate(), false).unwrap();
        let profile = elsewhere(newest.profile());
        let job = Remake {
            profile: &profile,
            signer: &factory.issuer,
            identities: None,
            now: OffsetDateTime::now_utc(),
        };
        let device_id = DeviceId::parse("SN0000").unwrap();
        let flash = |event| {
            if !matches!(event, Event::Released { .. }) {
                return;
            }
            let now = OffsetDateTime::now_utc();
            let wish = Wish {
                station: "st2",
                now,
                lease: Duration::HOUR,
                take_over: false,
            };
            let claim = Claim::first(&device_id, "11".repeat(16), wish);
            let claim = claim.ended(State::Flashed, now, None).unwrap();
            store
                .create(&claim_object(0, &device_id), &claim.to_json())
                .unwrap();
        };
        // All chunks but the last are made when it is flashed at the latest; most often the first one is.
        newest.remake(&job, &flash, &Cancel::new()).unwrap();
        let (_, keys) = keys(&factory, &store);
        assert!(!keys.contains_key(&device_id), "{layout}");
        assert_eq!(keys.len(), 45 - 2, "{layout}: all but the two that are flashed");
    }
}
