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

use certforge::batch::Layout;
use certforge::engine::Choice;
use certforge::forge::{self, Cancel, Job, OpenStore, Summary};
use certforge::issuer::{CaFiles, CaRequest, Issuer, create};
use certforge::ledger;
use certforge::manifest::{DEFAULT_ID_COLUMN, Manifest};
use certforge::profile::{Attribute, KeyType, NotAfter, Profile};
use certforge::store::{
    Attempt, DirStore, Existing, Listed, Object, Replaced, Store, StoreError, Ticket, Version,
};
use certforge::verify;
use time::OffsetDateTime;
use zeroize::Zeroizing;

const ROWS: usize = 45;
const CHUNK_ROWS: usize = 8;

/// An attempt that replaces whatever is there.
const ANY: Attempt<'static> = Attempt {
    name: "any",
    earlier: &[String::new()],
};

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

/// A store on a disk that fails at one call.
struct FailingStore {
    inner: DirStore,
    failure: Failure,
    at: usize,
    calls: AtomicUsize,
    is_off: AtomicBool,
    /// With [`Failure::PowerLoss`], what was put and not flushed.
    unflushed: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl FailingStore {
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
}

impl Store for FailingStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn put(&self, objects: &[Object<'_>], attempt: Attempt<'_>) -> Result<Ticket, StoreError> {
        for object in objects {
            let whole = || {
                if self.failure == Failure::PowerLoss {
                    let mut unflushed = self.unflushed.lock().unwrap();
                    unflushed.insert(object.name.clone(), object.body.to_vec());
                    return Ok(());
                }
                self.inner.put(std::slice::from_ref(object), attempt).map(drop)
            };
            let half = || {
                let body = &object.body[..object.body.len() / 2];
                let half = Object {
                    body,
                    ..object.clone()
                };
                drop(self.inner.put(&[half], attempt));
            };
            self.call("write", whole, half)?;
        }
        Ok(Ticket(0))
    }

    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError> {
        self.call("create", || self.inner.create(name, body), || {})
    }

    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>> {
        let whole = || {
            for (name, body) in std::mem::take(&mut *self.unflushed.lock().unwrap()) {
                let sha256 = None;
                let object = Object {
                    name,
                    body: &body,
                    sha256,
                };
                // What was there before the machine stopped was refused or replaced when it was put.
                self.inner.put(&[object], ANY)?;
            }
            Ok(())
        };
        // Each ticket fails or not on its own, as with a store that is reached over a network.
        tickets
            .iter()
            .map(|_| self.call("make durable", whole, || {}))
            .collect()
    }

    fn publish(&self, objects: &[(String, Vec<u8>)], existing: Existing) -> Vec<Result<(), StoreError>> {
        let publish = |objects| -> Result<(), StoreError> {
            self.inner.publish(objects, existing).into_iter().collect()
        };
        let half = || drop(publish(&objects[..objects.len() / 2]));
        match self.call("publish", || publish(objects), half) {
            Ok(()) => objects.iter().map(|_| Ok(())).collect(),
            Err(_) => objects.iter().map(|_| Err(Self::error("publish"))).collect(),
        }
    }

    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.call("read", || self.inner.read(name, range), || {})
    }

    fn read_version(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError> {
        self.call("read", || self.inner.read_version(name), || {})
    }

    fn replace(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> Result<bool, StoreError> {
        let replace = || self.inner.replace(name, body, version, replaced);
        self.call("replace", replace, || {})
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.call("remove", || self.inner.remove(name), || {})
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.call("purge", || self.inner.purge(name), || {})
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.call("list", || self.inner.list(prefix, visit), || {})
    }
}

/// A manifest, a profile and a CA, made once.
struct Factory {
    folder: tempfile::TempDir,
    manifest: Manifest,
    profile: Profile,
    issuer: Issuer,
}

impl Factory {
    fn new() -> Self {
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

    fn run(
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
            jobs: 2,
            now: OffsetDateTime::now_utc(),
        };
        forge::run(&job, &mut *ledger, open_store, &|_| {}, &Cancel::new())
    }
}

/// What was released must be in the ledger, whole, while the batch is still incomplete.
fn released_is_in_the_ledger(place: &Path) {
    let ledger = ledger::open_read_only(&place.join("certforge.db")).unwrap();
    let store = DirStore::new(place.join("batch"));
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
        let open_failing = |batch: &str| -> Result<Box<dyn Store>, StoreError> {
            Ok(Box::new(FailingStore {
                inner: DirStore::new(place.join(batch)),
                failure,
                at,
                calls: AtomicUsize::new(0),
                is_off: AtomicBool::new(false),
                unflushed: Mutex::default(),
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
        let open = |batch: &str| -> Result<Box<dyn Store>, StoreError> {
            Ok(Box::new(DirStore::new(place.join(batch))))
        };
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
        let store = DirStore::new(place.join("batch"));
        let ledger = ledger::open_read_only(&place.join("certforge.db")).unwrap();
        let job = verify::Job {
            store: &store,
            ledger: Some(&*ledger),
            manifest: None,
            now: OffsetDateTime::now_utc(),
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
