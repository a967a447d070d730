//! Lets every call of a store fail in turn, in every way that it can, and then goes on.
//!
//! Whatever fails, no device may end with two released bundles, no released bundle may be missing
//! from the ledger, and a second run with a store in order completes the batch.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::store_contract;
use certforge::batch::Layout;
use certforge::engine::Choice;
use certforge::forge::{self, Cancel, Job, OpenStore, Summary};
use certforge::issuer::{CaFiles, CaRequest, Issuer, create};
use certforge::ledger;
use certforge::manifest::{DEFAULT_ID_COLUMN, Manifest};
use certforge::profile::{Attribute, KeyType, NotAfter, Profile};
use certforge::store::memory::Memory;
use certforge::store::{
    Dir, Got, How, Listed, Lot, Manner, Object, Outcome, Putting, Release, Store, StoreError, Transport, When,
};
use certforge::verify;
use time::OffsetDateTime;

const ROWS: usize = 45;
const CHUNK_ROWS: usize = 8;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing happens.
    Refused,
    /// What was asked happens, and then the call says that it failed.
    Answered,
    /// Half of it happens.
    Torn,
    /// The machine stops: what was put and not flushed is lost, and nothing works any more.
    PowerLoss,
}

/// A disk that fails at one call.
struct Failing {
    inner: Dir,
    failure: Failure,
    at: usize,
    calls: AtomicUsize,
    is_off: AtomicBool,
    /// With [`Failure::PowerLoss`], what was put and not synced.
    unsynced: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Failing {
    fn error(operation: &'static str) -> StoreError {
        let kind = match operation {
            "write" => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        };
        StoreError::Io {
            operation,
            object: "a disk that fails".to_owned(),
            source: kind.into(),
        }
    }

    /// Does a call, or fails at it. `half` does as much of it as happens when it is torn.
    fn call<T>(
        &self,
        operation: &'static str,
        whole: impl FnOnce() -> Result<T, StoreError>,
        half: impl FnOnce(),
    ) -> Result<T, StoreError> {
        if self.is_off.load(Ordering::SeqCst) {
            return Err(Self::error(operation));
        }
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
            return whole();
        }
        match self.failure {
            Failure::Refused => {}
            Failure::Answered => drop(whole()),
            Failure::Torn => half(),
            Failure::PowerLoss => self.is_off.store(true, Ordering::SeqCst),
        }
        Err(Self::error(operation))
    }

    fn put_one(&self, object: &Object<'_>, how: &How<'_>) -> Result<Outcome, StoreError> {
        let put = |object| self.inner.put(&[object], how).remove(0).end();
        let whole = || {
            if self.failure == Failure::PowerLoss {
                let mut unsynced = self.unsynced.lock().unwrap();
                unsynced.insert(object.name.clone(), object.body.to_vec());
                return Ok(Outcome::Stored);
            }
            put(object.clone())
        };
        let half = || {
            let body = &object.body[..object.body.len() / 2];
            drop(put(Object {
                body,
                ..object.clone()
            }));
        };
        self.call(how.operation, whole, half)
    }

    fn put_all(&self, objects: &[Object<'_>], how: &How<'_>) -> Result<Vec<Outcome>, StoreError> {
        let puttings = self.inner.put(objects, how);
        puttings.into_iter().map(Putting::end).collect()
    }
}

impl Transport for Failing {
    fn locate(&self, name: &str) -> String {
        self.inner.locate(name)
    }

    fn tells_writers(&self) -> bool {
        self.inner.tells_writers()
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        let get = |name: &&str| {
            let whole = || self.inner.get(&[name], range.clone()).remove(0);
            self.call("read", whole, || {})
        };
        names.iter().map(get).collect()
    }

    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        if how.manner == Manner::Bulk {
            let mut puttings = Vec::new();
            for object in objects {
                let outcome = self.put_one(object, how);
                let has_failed = outcome.is_err();
                puttings.push(Putting::Ended(outcome));
                if has_failed {
                    break;
                }
            }
            return puttings;
        }
        let whole = || self.put_all(objects, how);
        let half = || drop(self.put_all(&objects[..objects.len() / 2], how));
        match self.call(how.operation, whole, half) {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| Putting::Ended(Ok(outcome)))
                .collect(),
            Err(_) => objects
                .iter()
                .map(|_| Putting::Ended(Err(Self::error(how.operation))))
                .collect(),
        }
    }

    fn release(&self, chunks: &[Release<'_>]) -> Vec<Putting> {
        let release = |chunks: &[Release<'_>]| -> Result<Vec<Outcome>, StoreError> {
            self.inner.release(chunks).into_iter().map(Putting::end).collect()
        };
        let half = || drop(release(&chunks[..chunks.len() / 2]));
        match self.call("publish", || release(chunks), half) {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| Putting::Ended(Ok(outcome)))
                .collect(),
            Err(_) => chunks
                .iter()
                .map(|_| Putting::Ended(Err(Self::error("publish"))))
                .collect(),
        }
    }

    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        let whole = || {
            for (name, body) in std::mem::take(&mut *self.unsynced.lock().unwrap()) {
                let object = Object {
                    name,
                    body: &body,
                    sha256: None,
                };
                // What was there before the machine stopped was refused or replaced when it was put.
                let how = How {
                    operation: "write",
                    manner: Manner::Bulk,
                    when: When::Absent,
                    attempt: None,
                };
                self.inner.delete(std::slice::from_ref(&object.name)).remove(0)?;
                self.inner.put(&[object], &how).remove(0).end()?;
            }
            Ok(())
        };
        // Each lot fails or not on its own, as with a store that is reached over a network.
        lots.iter()
            .map(|_| self.call("make durable", whole, || {}))
            .collect()
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let delete = |name: &String| {
            let whole = || self.inner.delete(std::slice::from_ref(name)).remove(0);
            self.call("remove", whole, || {})
        };
        names.iter().map(delete).collect()
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.call("purge", || self.inner.purge(name), || {})
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.call("list", || self.inner.list(prefix, visit), || {})
    }
}

/// A manifest, a profile and a CA, made once.
pub struct Factory {
    pub folder: tempfile::TempDir,
    manifest: Manifest,
    profile: Profile,
    pub issuer: Issuer,
}

impl Factory {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.csv");
        let rows: String = (0..ROWS).map(|row| format!("SN{row:04}\n")).collect();
        std::fs::write(&path, format!("serial_number\n{rows}")).unwrap();
        let now = OffsetDateTime::now_utc();
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "Test CA".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: Some(0),
        };
        let ca = folder.path().join("ca");
        create(&request, None, now).unwrap().write(&ca, None).unwrap();
        Self {
            manifest: Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap(),
            profile: Profile::load("aws-iot-p256", None).unwrap(),
            issuer: Issuer::load(&CaFiles::in_folder(&ca), &Choice::Auto, now, &mut |_| {
                unreachable!("not encrypted")
            })
            .unwrap(),
            folder,
        }
    }

    pub fn run(
        &self,
        place: &Path,
        layout: Layout,
        open_store: OpenStore<'_>,
    ) -> Result<Summary, forge::ForgeError> {
        let mut ledger = ledger::open(&place.join("certforge.db"), [1; 16])?;
        let job = Job {
            manifest: &self.manifest,
            profile: &self.profile,
            issuer: &self.issuer,
            engines: Choice::Auto,
            layout,
            batch: Some("batch"),
            chunk_rows: Some(CHUNK_ROWS),
            shard: None,
            reissue: false,
            min_validity: time::Duration::ZERO,
            jobs: 2,
            now: OffsetDateTime::now_utc(),
        };
        forge::run(
            &job,
            (&mut *ledger, &forge::Care::default()),
            open_store,
            &|_| {},
            &Cancel::new(),
        )
    }
}

/// What was released must be in the ledger, whole, while the batch is still incomplete.
fn released_is_in_the_ledger(place: &Path) {
    let ledger = ledger::open_read_only(&place.join("certforge.db")).unwrap();
    let store = Store::in_folder(place.join("batch"));
    let mut released = Vec::new();
    store
        .list("index/", &mut |listed| {
            released.extend(certforge::batch::chunk_of(&listed.name));
        })
        .unwrap();
    if released.is_empty() {
        return;
    }
    let batch = ledger.batch("batch").unwrap();
    for chunk in released {
        let index = store.read(&certforge::batch::index_object(chunk), None).unwrap();
        let entries = ledger.entries(&batch, chunk).unwrap();
        assert_eq!(
            *index,
            certforge::batch::write_index(batch.layout, chunk, &entries)
        );
        for entry in entries {
            let object = batch.layout.object(chunk, &entry.device_id);
            let range = entry.offset..entry.offset + entry.length;
            let bundle = store.read(&object, Some(range)).unwrap();
            assert_eq!(certforge::digest::sha256(&bundle), entry.sha256);
        }
    }
}

fn fails_at_every_call(layout: Layout, failure: Failure) {
    let factory = Factory::new();
    for at in 1.. {
        let place = factory.folder.path().join(format!("at-{at}"));
        std::fs::create_dir(&place).unwrap();
        let open_failing = |batch: &str| -> Result<Store, StoreError> {
            Ok(Store::over(Failing {
                inner: Dir::new(place.join(batch)),
                failure,
                at,
                calls: AtomicUsize::new(0),
                is_off: AtomicBool::new(false),
                unsynced: Mutex::default(),
            }))
        };
        let first = factory.run(&place, layout, &open_failing);
        let failed = match &first {
            Err(forge::ForgeError::Store(_)) => true,
            Err(error) => panic!("{layout}, {failure:?} at call {at}: {error}"),
            Ok(summary) => summary.failure.is_some(),
        };
        if !failed {
            let least = ROWS / CHUNK_ROWS * 2 + 3;
            assert!(at > least, "only {at} calls were reached, so nothing was tested");
            let summary = first.expect("it did not fail");
            assert_eq!((summary.made, summary.failed), (ROWS as u64, 0));
            println!("{layout}, {failure:?}: {} calls", at - 1);
            return;
        }
        released_is_in_the_ledger(&place);
        let open = |batch: &str| -> Result<Store, StoreError> { Ok(Store::in_folder(place.join(batch))) };
        let second = factory.run(&place, layout, &open).unwrap();
        assert!(
            second.failure.is_none(),
            "{layout}, {failure:?} at call {at}: {:?}",
            second.failure
        );
        assert_eq!(
            second.made + second.skipped,
            ROWS as u64,
            "{layout}, {failure:?} at call {at}"
        );
        let store = Store::in_folder(place.join("batch"));
        let ledger = ledger::open_read_only(&place.join("certforge.db")).unwrap();
        let job = verify::Job {
            passwords: &certforge::profile::Passwords::default(),
            store: &store,
            ledger: Some(&*ledger),
            issuer: None,
            manifest: None,
            now: OffsetDateTime::now_utc(),
            identities: None,
            strict: false,
        };
        let report = verify::verify(&job, &|_| {}, &|_| {}).unwrap();
        assert!(report.manifest.is_some(), "the manifest is compared as well");
        assert!(
            report.is_good(),
            "{layout}, {failure:?} at call {at}: {:?}",
            report.faults
        );
        std::fs::remove_dir_all(&place).unwrap();
    }
}

#[test]
fn a_refused_call_loses_nothing() {
    fails_at_every_call(Layout::Objects, Failure::Refused);
    fails_at_every_call(Layout::Packs, Failure::Refused);
}

#[test]
fn a_call_that_works_and_says_it_failed_makes_nothing_twice() {
    fails_at_every_call(Layout::Objects, Failure::Answered);
    fails_at_every_call(Layout::Packs, Failure::Answered);
}

#[test]
fn a_torn_write_is_never_released() {
    fails_at_every_call(Layout::Objects, Failure::Torn);
    fails_at_every_call(Layout::Packs, Failure::Torn);
}

#[test]
fn a_power_loss_takes_nothing_that_was_released() {
    fails_at_every_call(Layout::Objects, Failure::PowerLoss);
    fails_at_every_call(Layout::Packs, Failure::PowerLoss);
}

#[test]
fn a_folder_and_memory_are_held_to_what_a_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |prefix: &str| Store::in_folder(folder.path().join(prefix));
    store_contract::holds(&in_folder);
    store_contract::of_many_that_create_one_object_one_does(&in_folder);

    let memories = Mutex::new(BTreeMap::<String, Memory>::new());
    let in_memory = |prefix: &str| {
        let mut memories = memories.lock().unwrap();
        memories.entry(prefix.to_owned()).or_default().store()
    };
    store_contract::holds(&in_memory);
    store_contract::tells_writers(&in_memory);
    store_contract::of_many_that_create_one_object_one_does(&in_memory);
}
