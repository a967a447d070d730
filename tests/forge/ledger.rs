//! The ledger against a model: after any prefix of any history, it knows what happened and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use certforge::batch::{IndexEntry, Layout};
use certforge::certificate::SerialPrefix;
use certforge::issuer::{CaCertificate, CaRequest, create};
use certforge::ledger::{Batch, BatchIdentity, Committed, Ledger, LedgerError, Reservation};
use certforge::manifest::DeviceId;
use certforge::profile::{Attribute, KeyType, NotAfter};
use proptest::prelude::*;
use time::OffsetDateTime;

const ROWS: u64 = 47;
const CHUNK_ROWS: u64 = 5;
const CHUNKS: u64 = 10;

/// What a forge does to a ledger.
#[derive(Debug, Clone)]
enum Operation {
    /// Reserve every chunk that remains.
    Reserve,
    /// Commit some of the chunks that are reserved and not committed, by position.
    Commit(Vec<prop::sample::Index>),
    /// Record the release of every committed chunk.
    Release,
    /// The process ends, in order or not, and another one begins.
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => Just(Operation::Reserve),
        4 => prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Operation::Commit),
        1 => Just(Operation::Release),
        2 => Just(Operation::Reopen),
    ]
}

#[derive(Debug, Default)]
struct Model {
    reserved: BTreeMap<u64, Reservation>,
    prefixes: BTreeSet<[u8; 8]>,
    committed: BTreeMap<u64, (Vec<IndexEntry>, bool)>,
}

fn issuer(name: &str) -> CaCertificate {
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, name.to_owned())],
        key_type: KeyType::P256,
        not_after: NotAfter::Days(30),
        path_len: None,
    };
    let ca = create(&request, None, OffsetDateTime::now_utc()).unwrap();
    ca.certificate().clone()
}

fn identity<'a>(name: &'a str, issuer: &'a CaCertificate) -> BatchIdentity<'a> {
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

fn open(path: &Path) -> Ledger {
    Ledger::open(path, [9; 16]).unwrap()
}

fn entries(batch: &Batch, reservation: Reservation) -> Vec<IndexEntry> {
    let first = reservation.chunk * CHUNK_ROWS;
    (first..first + batch.shape().rows_of(reservation.chunk))
        .map(|row| IndexEntry {
            device_id: DeviceId::parse(&format!("SN{row:04}")).unwrap(),
            certificate_id: [u8::try_from(row).unwrap(); 32],
            certificate_serial: reservation.prefix.serial(row.to_be_bytes()),
            not_after: 4_000_000_000,
            offset: row * 100,
            length: 100,
            sha256: [u8::try_from(reservation.attempt % 250).unwrap(); 32],
        })
        .collect()
}

fn committed(batch: &Batch, reservation: Reservation) -> Committed {
    Committed {
        reservation,
        entries: entries(batch, reservation),
    }
}

fn draw(next: &mut u64) -> SerialPrefix {
    *next += 1;
    SerialPrefix::from_octets((0x0100_0000_0000_0000 + *next).to_be_bytes()).unwrap()
}

fn apply(ledger: &mut Ledger, batch: &Batch, model: &mut Model, operation: &Operation, next: &mut u64) {
    match operation {
        Operation::Reserve => {
            let remaining = ledger.remaining(batch).unwrap();
            let chunks: Vec<_> = remaining.into_iter().map(|chunk| (chunk, draw(next))).collect();
            for reservation in ledger
                .reserve(batch, &chunks, OffsetDateTime::UNIX_EPOCH)
                .unwrap()
            {
                let before = model.reserved.insert(reservation.chunk, reservation);
                let attempt = before.map_or(1, |before| before.attempt + 1);
                assert_eq!(reservation.attempt, attempt);
                model.prefixes.insert(reservation.prefix.octets());
            }
        }
        Operation::Commit(picks) => {
            let open: Vec<Reservation> = model
                .reserved
                .values()
                .filter(|reservation| !model.committed.contains_key(&reservation.chunk))
                .copied()
                .collect();
            if open.is_empty() {
                return;
            }
            let picked: BTreeMap<u64, Reservation> = picks
                .iter()
                .map(|pick| pick.get(&open))
                .map(|reservation| (reservation.chunk, *reservation))
                .collect();
            let chunks: Vec<_> = picked
                .into_values()
                .map(|reservation| committed(batch, reservation))
                .collect();
            ledger.commit(batch, &chunks, &[]).unwrap();
            for chunk in chunks {
                model
                    .committed
                    .insert(chunk.reservation.chunk, (chunk.entries, false));
            }
        }
        Operation::Release => {
            let chunks: Vec<u64> = model.committed.keys().copied().collect();
            ledger.mark_released(batch, &chunks).unwrap();
            model
                .committed
                .values_mut()
                .for_each(|(_, released)| *released = true);
        }
        Operation::Reopen => unreachable!("done by the caller, who owns the ledger"),
    }
}

fn agree(ledger: &Ledger, batch: &Batch, model: &Model) {
    let committed: Vec<_> = model
        .committed
        .iter()
        .map(|(chunk, (_, released))| (*chunk, *released))
        .collect();
    assert_eq!(ledger.committed(batch).unwrap(), committed);
    let remaining: Vec<_> = (0..CHUNKS)
        .filter(|chunk| !model.committed.contains_key(chunk))
        .collect();
    assert_eq!(ledger.remaining(batch).unwrap(), remaining);
    for chunk in 0..CHUNKS {
        let expected = model
            .committed
            .get(&chunk)
            .map(|(entries, _)| entries.clone())
            .unwrap_or_default();
        assert_eq!(ledger.entries(batch, chunk).unwrap(), expected);
    }
    let prefixes: Vec<_> = model.prefixes.iter().copied().collect();
    assert_eq!(ledger.prefixes().unwrap(), prefixes);
    let status = ledger.status(Some("batch")).unwrap().remove(0);
    let rows = |released| -> u64 {
        let chunks = model.committed.iter().filter(|(_, (_, is))| *is == released);
        chunks.map(|(chunk, _)| batch.shape().rows_of(*chunk)).sum()
    };
    assert_eq!((status.released, status.committed), (rows(true), rows(false)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_prefix_of_a_history_can_be_resumed(operations in prop::collection::vec(operation(), 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        let issuer = issuer("Test CA");
        let mut ledger = open(&path);
        let mut batch = ledger.begin_batch(&identity("batch", &issuer), OffsetDateTime::UNIX_EPOCH).unwrap();
        let (mut model, mut next) = (Model::default(), 0);
        for operation in &operations {
            match operation {
                Operation::Reopen => {
                    drop(ledger);
                    ledger = open(&path);
                    batch = ledger.begin_batch(&identity("batch", &issuer), OffsetDateTime::UNIX_EPOCH).unwrap();
                }
                operation => apply(&mut ledger, &batch, &mut model, operation, &mut next),
            }
            agree(&ledger, &batch, &model);
        }
        // Whatever came before, the batch can be completed.
        apply(&mut ledger, &batch, &mut model, &Operation::Reserve, &mut next);
        let remaining = ledger.remaining(&batch).unwrap();
        let chunks: Vec<_> = remaining.iter().map(|chunk| committed(&batch, model.reserved[chunk])).collect();
        ledger.commit(&batch, &chunks, &[]).unwrap();
        for chunk in chunks {
            model.committed.insert(chunk.reservation.chunk, (chunk.entries, false));
        }
        agree(&ledger, &batch, &model);
    }
}

#[test]
fn a_device_is_issued_once_per_issuer_unless_it_is_a_reissue() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, other_issuer) = (issuer("Test CA"), issuer("Other CA"));
    let mut ledger = open(&folder.path().join("certforge.db"));
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut next = 0;
    let mut commit_all = |ledger: &mut Ledger, identity: &BatchIdentity<'_>| {
        let batch = ledger.begin_batch(identity, now).unwrap();
        let chunks: Vec<_> = (0..CHUNKS).map(|chunk| (chunk, draw(&mut next))).collect();
        let reservations = ledger.reserve(&batch, &chunks, now).unwrap();
        let chunks: Vec<_> = reservations
            .into_iter()
            .map(|reservation| committed(&batch, reservation))
            .collect();
        ledger.commit(&batch, &chunks, &[])
    };
    commit_all(&mut ledger, &identity("first", &issuer)).unwrap();
    let second = commit_all(&mut ledger, &identity("second", &issuer));
    match second {
        Err(LedgerError::AlreadyIssued { device_id, batch }) => {
            assert_eq!((device_id.as_str(), batch.as_str()), ("SN0000", "first"));
        }
        other => panic!("{other:?}"),
    }
    let second = ledger.batch("second").unwrap();
    assert!(
        ledger.committed(&second).unwrap().is_empty(),
        "nothing of a refused commit stays"
    );
    let reissue = BatchIdentity {
        reissue: true,
        ..identity("third", &issuer)
    };
    commit_all(&mut ledger, &reissue).unwrap();
    commit_all(&mut ledger, &identity("fourth", &other_issuer)).unwrap();
}

#[test]
fn a_prefix_is_never_reserved_twice() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let mut ledger = open(&folder.path().join("certforge.db"));
    let now = OffsetDateTime::UNIX_EPOCH;
    let batch = ledger.begin_batch(&identity("batch", &issuer), now).unwrap();
    let prefix = draw(&mut 0);
    ledger.reserve(&batch, &[(0, prefix)], now).unwrap();
    assert!(ledger.reserve(&batch, &[(1, prefix)], now).is_err());
}

#[test]
fn a_batch_begins_again_only_while_nothing_of_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let mut ledger = open(&folder.path().join("certforge.db"));
    let now = OffsetDateTime::UNIX_EPOCH;
    ledger.begin_batch(&identity("batch", &issuer), now).unwrap();
    let elsewhere = BatchIdentity {
        location: "/elsewhere",
        ..identity("batch", &issuer)
    };
    let batch = ledger.begin_batch(&elsewhere, now).unwrap();
    assert_eq!(batch.location, "/elsewhere");
    let reservation = ledger
        .reserve(&batch, &[(0, draw(&mut 0))], now)
        .unwrap()
        .remove(0);
    ledger
        .commit(&batch, &[committed(&batch, reservation)], &[])
        .unwrap();
    match ledger.begin_batch(&identity("batch", &issuer), now) {
        Err(LedgerError::BatchDiffers {
            what: "place",
            was,
            now,
            ..
        }) => {
            assert_eq!((was.as_str(), now.as_str()), ("/elsewhere", "/somewhere"));
        }
        other => panic!("{other:?}"),
    }
}
