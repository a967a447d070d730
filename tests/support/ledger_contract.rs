//! The contract of a ledger, wherever it is kept: any interleaving of operations, of several handles, reopened at
//! any point, against a model in plain Rust.

use std::collections::{BTreeMap, BTreeSet};

use certforge::batch::{IndexEntry, Layout};
use certforge::certificate::SerialPrefix;
use certforge::issuer::{CaCertificate, CaRequest, create};
use certforge::ledger::{
    Act, Batch, BatchIdentity, Committed, Deed, Ledger, LedgerError, Reservation, Withdrawal, check_history,
    copy,
};
use certforge::profile::{Attribute, KeyType, NotAfter};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use time::{Duration, OffsetDateTime};

/// A place for one ledger.
pub trait Home {
    /// Opens it for writing, and makes it when there is none: once more beside a handle that is open, or
    /// [`LedgerError::Locked`].
    fn open(&self) -> Result<Box<dyn Ledger>, LedgerError>;
    /// Opens it for reading, beside those that write.
    fn open_read_only(&self) -> Result<Box<dyn Ledger>, LedgerError>;
}

pub const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
pub const ROWS: u64 = 11;
pub const CHUNK_ROWS: u64 = 3;
pub const CHUNKS: u64 = 4;

/// A batch that may be begun.
struct Plan {
    name: &'static str,
    /// Which issuer.
    issuer: usize,
    reissue: bool,
    /// The number of its first device.
    first: u64,
}

/// The first two share devices, the third may, and the last is another issuer's.
const PLANS: [Plan; 4] = [
    Plan {
        name: "pumps",
        issuer: 0,
        reissue: false,
        first: 0,
    },
    Plan {
        name: "valves",
        issuer: 0,
        reissue: false,
        first: 7,
    },
    Plan {
        name: "returns",
        issuer: 0,
        reissue: true,
        first: 3,
    },
    Plan {
        name: "others",
        issuer: 1,
        reissue: false,
        first: 0,
    },
];

/// What forges do to a ledger. A batch is begun, or found, before anything is done to it.
#[derive(Debug, Clone)]
enum Operation {
    Begin {
        plan: usize,
        elsewhere: bool,
    },
    Reserve {
        plan: usize,
        chunks: Vec<u64>,
    },
    /// Reserve a chunk with a prefix that was used before, after one with a prefix that was not.
    ReserveAgain {
        plan: usize,
        chunk: u64,
        prefix: Index,
    },
    /// Commit attempts, old ones among them, and record releases.
    Commit {
        plan: usize,
        attempts: Vec<Index>,
        released: Vec<Index>,
    },
    Release {
        plan: usize,
        chunks: Vec<Index>,
    },
    Withdraw {
        plan: usize,
        reason: String,
    },
    Revoke {
        plan: usize,
        place: bool,
        revoked: u64,
    },
    /// The processes end, in order or not, and others begin.
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let plan = || 0..PLANS.len();
    let indexes = |range| prop::collection::vec(any::<Index>(), range);
    prop_oneof![
        1 => (plan(), any::<bool>()).prop_map(|(plan, elsewhere)| Operation::Begin { plan, elsewhere }),
        4 => (plan(), prop::collection::vec(0..CHUNKS, 1..5)).prop_map(|(plan, chunks)| Operation::Reserve { plan, chunks }),
        1 => (plan(), 0..CHUNKS, any::<Index>()).prop_map(|(plan, chunk, prefix)| Operation::ReserveAgain { plan, chunk, prefix }),
        6 => (plan(), indexes(1..4), indexes(0..3))
            .prop_map(|(plan, attempts, released)| Operation::Commit { plan, attempts, released }),
        2 => (plan(), indexes(1..4)).prop_map(|(plan, chunks)| Operation::Release { plan, chunks }),
        1 => (plan(), "[a-z]{1,8}").prop_map(|(plan, reason)| Operation::Withdraw { plan, reason }),
        1 => (plan(), any::<bool>(), 0..ROWS).prop_map(|(plan, place, revoked)| Operation::Revoke { plan, place, revoked }),
        2 => Just(Operation::Reopen),
    ]
}

/// What a ledger has to know of a batch.
#[derive(Debug, Default, Clone)]
struct Known {
    elsewhere: bool,
    attempts: BTreeMap<u64, Vec<SerialPrefix>>,
    committed: BTreeMap<u64, (Vec<IndexEntry>, bool)>,
    withdrawn: Option<(OffsetDateTime, String)>,
    revoked: BTreeMap<&'static str, u64>,
}

impl Known {
    fn reservations(&self) -> Vec<Reservation> {
        let of_chunk = |(&chunk, prefixes): (&u64, &Vec<SerialPrefix>)| {
            let numbered: Vec<_> = (1..).zip(prefixes.clone()).collect();
            numbered.into_iter().map(move |(attempt, prefix)| Reservation {
                chunk,
                attempt,
                prefix,
            })
        };
        self.attempts.iter().flat_map(of_chunk).collect()
    }
}

/// What a ledger has to know: the batches that were begun, oldest first.
#[derive(Debug, Default, Clone)]
struct Model {
    begun: Vec<(usize, Known)>,
    drawn: u64,
    /// Operations so far, which are the clock.
    ticks: i64,
}

/// What was refused, as far as the contract says it.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Differs,
    Committed(u64),
    Superseded(u64),
    Issued(String),
    NotWithdrawn,
    Other,
}

fn refusal(error: &LedgerError) -> Refusal {
    match error {
        LedgerError::BatchDiffers { .. } => Refusal::Differs,
        LedgerError::ChunkCommitted { chunk, .. } => Refusal::Committed(*chunk),
        LedgerError::Superseded { chunk, .. } => Refusal::Superseded(*chunk),
        LedgerError::AlreadyIssued { device_id, .. } => Refusal::Issued(device_id.clone()),
        LedgerError::Taken(taken) if taken.is_issued => Refusal::Issued(taken.device_ids[0].clone()),
        LedgerError::NotWithdrawn { .. } => Refusal::NotWithdrawn,
        _ => Refusal::Other,
    }
}

impl Model {
    fn known(&mut self, plan: usize) -> &mut Known {
        let found = self.begun.iter().position(|(begun, _)| *begun == plan);
        let at = found.unwrap_or_else(|| {
            self.begun.push((plan, Known::default()));
            self.begun.len() - 1
        });
        &mut self.begun[at].1
    }

    fn now(&self) -> OffsetDateTime {
        NOW + Duration::seconds(self.ticks)
    }

    fn draw(&mut self) -> SerialPrefix {
        self.drawn += 1;
        prefix(self.drawn)
    }

    fn prefixes(&self) -> BTreeSet<SerialPrefix> {
        let attempts = self.begun.iter().flat_map(|(_, known)| known.attempts.values());
        attempts.flatten().copied().collect()
    }

    /// The batches in which an issuer has issued a device.
    fn issued(&self, issuer: usize, device_id: &str) -> BTreeSet<&'static str> {
        let has = |known: &Known| {
            let mut entries = known.committed.values().flat_map(|(entries, _)| entries);
            entries.any(|entry| entry.device_id.as_str() == device_id)
        };
        let of_issuer = self
            .begun
            .iter()
            .filter(|(plan, _)| PLANS[*plan].issuer == issuer);
        of_issuer
            .filter(|(_, known)| has(known))
            .map(|(plan, _)| PLANS[*plan].name)
            .collect()
    }

    fn reserve(&mut self, plan: usize, chunks: &[(u64, SerialPrefix)]) -> Result<Vec<Reservation>, Refusal> {
        let mut reservations = Vec::new();
        for &(chunk, prefix) in chunks {
            let is_used = self.prefixes().contains(&prefix);
            let known = self.known(plan);
            if known.committed.contains_key(&chunk) {
                return Err(Refusal::Committed(chunk));
            }
            if is_used {
                return Err(Refusal::Other);
            }
            let attempts = known.attempts.entry(chunk).or_default();
            attempts.push(prefix);
            reservations.push(Reservation {
                chunk,
                attempt: u32::try_from(attempts.len()).unwrap(),
                prefix,
            });
        }
        Ok(reservations)
    }

    fn commit(&mut self, plan: usize, chunks: &[Committed]) -> Result<(), Refusal> {
        for chunk in chunks {
            let number = chunk.reservation.chunk;
            let known = self.known(plan);
            if known.committed.contains_key(&number) {
                return Err(Refusal::Committed(number));
            }
            if known.attempts[&number].last() != Some(&chunk.reservation.prefix) {
                return Err(Refusal::Superseded(number));
            }
            for entry in &chunk.entries {
                let is_issued = !self
                    .issued(PLANS[plan].issuer, entry.device_id.as_str())
                    .is_empty();
                if is_issued && !PLANS[plan].reissue {
                    return Err(Refusal::Issued(entry.device_id.to_string()));
                }
            }
            self.known(plan)
                .committed
                .insert(number, (chunk.entries.clone(), false));
        }
        Ok(())
    }

    fn release(&mut self, plan: usize, chunks: &[u64]) {
        for chunk in chunks {
            self.known(plan).committed.get_mut(chunk).unwrap().1 = true;
        }
    }
}

pub fn prefix(number: u64) -> SerialPrefix {
    SerialPrefix::from_octets((0x0100_0000_0000_0000 + number).to_be_bytes()).unwrap()
}

pub fn issuer(name: &str) -> CaCertificate {
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, name.to_owned())],
        key_type: KeyType::P256,
        not_after: NotAfter::Days(30),
        path_len: None,
    };
    let ca = create(&request, None, OffsetDateTime::now_utc()).unwrap();
    ca.certificate().clone()
}

pub fn identity<'a>(name: &'a str, issuer: &'a CaCertificate) -> BatchIdentity<'a> {
    BatchIdentity {
        name,
        location: "/somewhere",
        issuer,
        manifest: "devices.csv",
        manifest_sha256: [1; 32],
        profile: "aws-iot-p256",
        profile_sha256: [2; 32],
        layout: Layout::Objects,
        rows: ROWS,
        chunk_rows: CHUNK_ROWS,
        reissue: false,
    }
}

/// A chunk as an attempt would have made it, of a batch whose first device has this number.
pub fn committed(batch: &Batch, reservation: Reservation, first: u64) -> Committed {
    let start = reservation.chunk * batch.chunk_rows;
    let entry = |row: u64| IndexEntry {
        device_id: format!("SN{:04}", first + row).parse().unwrap(),
        certificate_id: [u8::try_from(row % 251).unwrap(); 32],
        certificate_serial: reservation.prefix.serial(row.to_be_bytes()),
        not_after: 4_000_000_000,
        offset: row * 100,
        length: 100,
        sha256: [u8::try_from(reservation.attempt % 251).unwrap(); 32],
    };
    Committed {
        reservation,
        entries: (start..start + batch.shape().rows_of(reservation.chunk))
            .map(entry)
            .collect(),
    }
}

/// Any history, of one handle or of as many as the home allows, is kept as the model has it.
pub fn keeps_any_history(new_home: impl Fn() -> Box<dyn Home>, cases: u32) {
    let issuers = [issuer("Test CA"), issuer("Other CA")];
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let histories = prop::collection::vec((operation(), any::<bool>()), 1..40);
    let result = runner.run(&histories, |history| {
        let home = new_home();
        let mut handles = open_all(&*home);
        let mut model = Model::default();
        for (operation, second) in &history {
            model.ticks += 1;
            if matches!(operation, Operation::Reopen) {
                handles.clear();
                handles = open_all(&*home);
            } else {
                let handle = usize::from(*second) % handles.len();
                apply(&mut *handles[handle], &issuers, &mut model, operation);
            }
            for handle in &handles {
                agree(&**handle, &issuers, &model);
            }
            agree(&*home.open_read_only().unwrap(), &issuers, &model);
        }
        // A copy knows what it is a copy of, whatever home each has.
        let copy_home = new_home();
        let mut copied = copy_home.open().unwrap();
        copy(&handles[..1], &mut *copied).unwrap();
        agree(&*copied, &issuers, &model);
        // Whatever came before, a batch can be completed.
        let batch = begin(&mut *handles[0], &issuers, &mut model, 3);
        let chunks: Vec<_> = handles[0].remaining(&batch).unwrap();
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| (chunk, model.draw())).collect();
        let reserved = handles[0].reserve(&batch, &chunks, NOW).unwrap();
        let chunks: Vec<_> = reserved
            .into_iter()
            .map(|one| committed(&batch, one, PLANS[3].first))
            .collect();
        handles[0].commit(&batch, &chunks, &[]).unwrap();
        prop_assert!(handles[0].remaining(&batch).unwrap().is_empty());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Two handles that write where the home allows it, else one.
/// What human beings do is remembered, once each and entry after entry, however many of them act at the same time.
pub fn remembers_every_act(home: &dyn Home) {
    let (issuer, other) = (issuer("Test CA"), issuer("Other CA"));
    let mut ledger = home.open().unwrap();
    let batch = ledger.begin_batch(&identity("pumps", &issuer), NOW).unwrap();
    ledger.begin_batch(&identity("pumps", &issuer), NOW).unwrap();
    let again = BatchIdentity {
        reissue: true,
        ..identity("returns", &issuer)
    };
    ledger.begin_batch(&again, NOW).unwrap();
    ledger.begin_batch(&identity("others", &other), NOW).unwrap();
    ledger.withdraw(&batch, "stolen", NOW).unwrap();
    ledger.withdraw(&batch, "lost", NOW).unwrap();
    let acts = |ledger: &dyn Ledger| -> Vec<(Deed, String)> {
        let history = ledger.history().unwrap();
        assert!(check_history(&history).is_ok());
        history
            .into_iter()
            .map(|entry| (entry.act, entry.subject))
            .collect()
    };
    let expected = [
        (Deed::CaNew, "CN=Test CA"),
        (Deed::BatchBegun, "pumps"),
        (Deed::ReissueBegun, "returns"),
        (Deed::CaNew, "CN=Other CA"),
        (Deed::BatchBegun, "others"),
        (Deed::BatchWithdrawn, "pumps"),
    ];
    let expected = expected.map(|(deed, subject)| (deed, subject.to_owned()));
    assert_eq!(acts(&*ledger), expected);
    assert_eq!(acts(&*home.open_read_only().unwrap()), expected);
    drop(ledger);

    // As many at once as the home takes.
    let mut hosts = open_all(home);
    let many = if hosts.len() > 1 { 6 } else { 1 };
    hosts.resize_with(many, || home.open().unwrap());
    std::thread::scope(|scope| {
        for (host, mut ledger) in hosts.into_iter().enumerate() {
            scope.spawn(move || {
                for act in 0..20 {
                    let act = Act::new(Deed::BatchResumed, "pumps", format!("{host}/{act}"));
                    ledger.record(act, NOW).unwrap();
                }
            });
        }
    });
    let history = home.open_read_only().unwrap().history().unwrap();
    let head = check_history(&history).unwrap().unwrap();
    assert_eq!(head.number, 6 + 20 * many as u64);
    let told: BTreeSet<&str> = history[6..].iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(told.len(), 20 * many);
}

fn open_all(home: &dyn Home) -> Vec<Box<dyn Ledger>> {
    let mut handles = vec![home.open().unwrap()];
    match home.open() {
        Ok(second) => handles.push(second),
        Err(LedgerError::Locked { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    handles
}

fn planned(plan: usize, issuers: &[CaCertificate], elsewhere: bool) -> BatchIdentity<'_> {
    let Plan {
        name,
        issuer,
        reissue,
        ..
    } = PLANS[plan];
    BatchIdentity {
        location: if elsewhere { "/elsewhere" } else { "/somewhere" },
        manifest_sha256: [u8::try_from(plan).unwrap(); 32],
        reissue,
        ..identity(name, &issuers[issuer])
    }
}

/// Begins a batch, or finds it, as it was begun.
fn begin(ledger: &mut dyn Ledger, issuers: &[CaCertificate], model: &mut Model, plan: usize) -> Batch {
    let now = model.now();
    let elsewhere = model.known(plan).elsewhere;
    ledger
        .begin_batch(&planned(plan, issuers, elsewhere), now)
        .unwrap()
}

fn picked<T: Copy + Ord>(indexes: &[Index], from: &[T]) -> Vec<T> {
    let picked: BTreeSet<T> = match from {
        [] => BTreeSet::new(),
        from => indexes.iter().map(|index| *index.get(from)).collect(),
    };
    picked.into_iter().collect()
}

/// Does the same to both, and holds what they answer against each other. What is refused changes nothing.
fn apply(ledger: &mut dyn Ledger, issuers: &[CaCertificate], model: &mut Model, operation: &Operation) {
    let now = model.now();
    match operation {
        Operation::Begin { plan, elsewhere } => {
            let known = model.known(*plan);
            let is_refused = known.elsewhere != *elsewhere && !known.committed.is_empty();
            match ledger.begin_batch(&planned(*plan, issuers, *elsewhere), now) {
                Ok(batch) => {
                    assert!(!is_refused, "{batch:?}");
                    known.elsewhere = *elsewhere;
                }
                Err(error) => assert_eq!((refusal(&error), is_refused), (Refusal::Differs, true)),
            }
        }
        Operation::Reserve { plan, chunks } => {
            let batch = begin(ledger, issuers, model, *plan);
            let chunks: Vec<_> = chunks.iter().map(|chunk| (*chunk, model.draw())).collect();
            reserve(ledger, model, &batch, *plan, &chunks);
        }
        Operation::ReserveAgain { plan, chunk, prefix } => {
            let batch = begin(ledger, issuers, model, *plan);
            let used: Vec<_> = model.prefixes().into_iter().collect();
            if !used.is_empty() {
                let chunks = [((chunk + 1) % CHUNKS, model.draw()), (*chunk, *prefix.get(&used))];
                reserve(ledger, model, &batch, *plan, &chunks);
            }
        }
        Operation::Commit {
            plan,
            attempts,
            released,
        } => {
            let batch = begin(ledger, issuers, model, *plan);
            let known = model.known(*plan);
            let committed_before: Vec<u64> = known.committed.keys().copied().collect();
            let all = known.reservations();
            let at: Vec<usize> = picked(attempts, &(0..all.len()).collect::<Vec<_>>());
            let chunks: Vec<_> = at
                .into_iter()
                .map(|at| committed(&batch, all[at], PLANS[*plan].first))
                .collect();
            let released = picked(released, &committed_before);
            let mut after = model.clone();
            after.release(*plan, &released);
            let expected = after.commit(*plan, &chunks);
            let result = ledger.commit(&batch, &chunks, &released);
            assert_eq!(result.map_err(|error| refusal(&error)), expected);
            if expected.is_ok() {
                *model = after;
            }
        }
        Operation::Release { plan, chunks } => {
            let batch = begin(ledger, issuers, model, *plan);
            let committed: Vec<u64> = model.known(*plan).committed.keys().copied().collect();
            let chunks = picked(chunks, &committed);
            ledger.mark_released(&batch, &chunks).unwrap();
            model.release(*plan, &chunks);
        }
        Operation::Withdraw { plan, reason } => {
            let batch = begin(ledger, issuers, model, *plan);
            let withdrawal = ledger.withdraw(&batch, reason, now).unwrap();
            let known = model.known(*plan);
            let (at, reason) = known.withdrawn.get_or_insert((now, reason.clone())).clone();
            assert_eq!(
                (withdrawal.at, withdrawal.reason),
                (at, reason),
                "the first one stays"
            );
        }
        Operation::Revoke { plan, place, revoked } => {
            let batch = begin(ledger, issuers, model, *plan);
            let place = if *place { "here" } else { "there" };
            let result = ledger.set_revoked(&batch, place, *revoked);
            let known = model.known(*plan);
            if known.withdrawn.is_some() {
                result.unwrap();
                let most = known.revoked.entry(place).or_default();
                *most = (*most).max(*revoked);
            } else {
                assert_eq!(refusal(&result.unwrap_err()), Refusal::NotWithdrawn);
            }
        }
        Operation::Reopen => unreachable!("done by the caller, who owns the handles"),
    }
}

fn reserve(
    ledger: &mut dyn Ledger,
    model: &mut Model,
    batch: &Batch,
    plan: usize,
    chunks: &[(u64, SerialPrefix)],
) {
    let mut after = model.clone();
    let expected = after.reserve(plan, chunks);
    let result = ledger.reserve(batch, chunks, model.now());
    assert_eq!(result.map_err(|error| refusal(&error)), expected);
    if expected.is_ok() {
        *model = after;
    }
}

/// Whether a ledger knows what the model knows, and no more.
fn agree(ledger: &dyn Ledger, issuers: &[CaCertificate], model: &Model) {
    assert_eq!(ledger.is_new().unwrap(), model.begun.is_empty());
    let prefixes: Vec<_> = model.prefixes().into_iter().collect();
    assert_eq!(ledger.prefixes().unwrap(), prefixes);
    let names: Vec<_> = ledger
        .status(None)
        .unwrap()
        .into_iter()
        .map(|status| status.batch)
        .collect();
    let begun: Vec<_> = model.begun.iter().map(|(plan, _)| PLANS[*plan].name).collect();
    assert_eq!(names, begun);
    for (number, issuer) in issuers.iter().enumerate() {
        let of_issuer: Vec<_> = model
            .begun
            .iter()
            .filter(|(plan, _)| PLANS[*plan].issuer == number)
            .map(|(plan, _)| PLANS[*plan].name)
            .collect();
        assert_eq!(ledger.batches_of(issuer).unwrap(), of_issuer);
        agree_on_devices(ledger, (number, issuer), model);
    }
    for (plan, known) in &model.begun {
        let Plan { name, issuer, .. } = PLANS[*plan];
        let batch = ledger.batch(name).unwrap();
        let identity = planned(*plan, issuers, known.elsewhere);
        assert_eq!(
            (batch.location.as_str(), batch.layout),
            (identity.location, identity.layout)
        );
        assert_eq!(
            (batch.rows, batch.chunk_rows, batch.reissue),
            (ROWS, CHUNK_ROWS, PLANS[*plan].reissue)
        );
        assert_eq!(ledger.same_batch(&identity).unwrap().as_ref(), Some(&batch));
        let other = |than: &str| {
            ledger
                .batch_of_manifest(&identity.manifest_sha256, &issuers[issuer], than)
                .unwrap()
        };
        assert_eq!(other(name), None);
        assert_eq!(other("").is_some(), !known.committed.is_empty());
        agree_on_batch(ledger, &batch, known);
    }
    assert!(matches!(
        ledger.batch("nobody's"),
        Err(LedgerError::NoBatch { .. })
    ));
}

fn agree_on_devices(ledger: &dyn Ledger, (number, issuer): (usize, &CaCertificate), model: &Model) {
    let ids: Vec<String> = (0..ROWS + 9).map(|device| format!("SN{device:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for some in ids.chunks(6) {
        let any = some.iter().any(|id| !model.issued(number, id).is_empty());
        assert_eq!(ledger.has_issued(issuer, some).unwrap(), any, "{some:?}");
    }
    for other_than in ["", PLANS[0].name] {
        let found = ledger.issued_in(issuer, &ids, other_than).unwrap();
        assert_eq!(found.len(), ids.len());
        for (id, found) in ids.iter().zip(found) {
            let mut batches = model.issued(number, id);
            batches.remove(other_than);
            match found {
                None => assert!(batches.is_empty(), "{id}: {batches:?}"),
                Some(found) => assert!(batches.contains(found.as_str()), "{id}: {found}"),
            }
        }
    }
}

fn agree_on_batch(ledger: &dyn Ledger, batch: &Batch, known: &Known) {
    let committed: Vec<_> = known
        .committed
        .iter()
        .map(|(chunk, (_, released))| (*chunk, *released))
        .collect();
    assert_eq!(ledger.committed(batch).unwrap(), committed);
    let remaining: Vec<_> = (0..CHUNKS)
        .filter(|chunk| !known.committed.contains_key(chunk))
        .collect();
    assert_eq!(ledger.remaining(batch).unwrap(), remaining);
    assert_eq!(ledger.attempts(batch).unwrap(), known.attempts);
    for chunk in 0..CHUNKS {
        let entries = known.committed.get(&chunk).map(|(entries, _)| entries.clone());
        assert_eq!(ledger.entries(batch, chunk).unwrap(), entries.unwrap_or_default());
    }
    for place in ["here", "there"] {
        let revoked = known.revoked.get(place).copied().unwrap_or_default();
        assert_eq!(ledger.revoked(batch, place).unwrap(), revoked);
    }
    let withdrawal = known.withdrawn.clone().map(|(at, reason)| Withdrawal {
        at,
        reason,
        revoked: known.revoked.values().copied().max().unwrap_or_default(),
    });
    assert_eq!(ledger.withdrawal(batch).unwrap(), withdrawal);
    let status = ledger.status(Some(&batch.name)).unwrap().remove(0);
    let rows = |released| -> u64 {
        let chunks = known.committed.iter().filter(|(_, (_, is))| *is == released);
        chunks.map(|(chunk, _)| batch.shape().rows_of(*chunk)).sum()
    };
    let attempts: usize = known.attempts.values().map(Vec::len).sum();
    assert_eq!(
        (status.devices, status.released, status.committed, status.attempts),
        (ROWS, rows(true), rows(false), attempts as u64)
    );
    assert_eq!(status.withdrawn, withdrawal);
}
