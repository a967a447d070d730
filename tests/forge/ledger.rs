//! The ledger: its contract, in each home that it has, and what a killed process leaves of it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ledger_contract::{
    CHUNKS, Home, NOW, committed, identity, issuer, keeps_any_history, prefix, remembers_every_act,
};
use certforge::issuer::CaCertificate;
use certforge::ledger::{self, Batch, BatchIdentity, Ledger, LedgerError};
use tempfile::TempDir;
use time::OffsetDateTime;

/// A ledger in an SQLite file.
struct InFile(TempDir);

impl Home for InFile {
    fn open(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        ledger::open(&self.0.path().join("certforge.db"), [9; 16])
    }

    fn open_read_only(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        ledger::open_read_only(&self.0.path().join("certforge.db"))
    }
}

#[test]
fn a_file_keeps_any_history() {
    keeps_any_history(|| Box::new(InFile(tempfile::tempdir().unwrap())), 60);
}

#[test]
fn a_file_remembers_every_act() {
    remembers_every_act(&InFile(tempfile::tempdir().unwrap()));
}

/// Names the ledger to the child that is to be killed.
const CHILD_VARIABLE: &str = "CERTFORGE_TEST_LEDGER";

const LONG: u64 = 3000;

fn long_batch(ledger: &mut dyn Ledger, issuer: &CaCertificate) -> Batch {
    let identity = BatchIdentity {
        rows: LONG,
        ..identity("long", issuer)
    };
    ledger.begin_batch(&identity, NOW).unwrap()
}

/// Does as a forge does, and says on standard output what the ledger has said is done.
fn forge(path: &Path) {
    let mut ledger = ledger::open(path, [9; 16]).unwrap();
    let batch = ledger.batch("long").unwrap();
    let drawn = ledger.prefixes().unwrap().len() as u64;
    for (drawn, chunk) in (drawn..).zip(ledger.remaining(&batch).unwrap()) {
        let reservation = ledger.reserve(&batch, &[(chunk, prefix(drawn))], NOW).unwrap()[0];
        println!("told reserved {chunk} {} {drawn}", reservation.attempt);
        ledger
            .commit(&batch, &[committed(&batch, reservation, 0)], &[])
            .unwrap();
        println!("told committed {chunk} {} {drawn}", reservation.attempt);
        ledger.mark_released(&batch, &[chunk]).unwrap();
        println!("told released {chunk} {} {drawn}", reservation.attempt);
    }
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_it_was_told() {
    if let Some(path) = std::env::var_os(CHILD_VARIABLE) {
        return forge(Path::new(&path));
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certforge.db");
    let issuer = issuer("Test CA");
    long_batch(&mut *ledger::open(&path, [9; 16]).unwrap(), &issuer);
    let mut told: Vec<String> = Vec::new();
    for _ in 0..12 {
        told.extend(run_and_kill(&path, random.usize(1..60)));
        // One that writes, since it mends what the other has left.
        let ledger = ledger::open(&path, [9; 16]).unwrap();
        let batch = ledger.batch("long").unwrap();
        knows(&*ledger, &batch, &told);
    }
    assert!(told.iter().any(|line| line.starts_with("released")));
}

/// Runs the child until it has said so many things, kills it, and returns all that it has said.
fn run_and_kill(path: &Path, lines: usize) -> Vec<String> {
    let (_, module) = module_path!().split_once("::").unwrap_or(("", ""));
    let name = "a_process_that_is_killed_loses_nothing_that_it_was_told";
    let name = [module, name].into_iter().filter(|part| !part.is_empty());
    let name = name.collect::<Vec<_>>().join("::");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..lines {
        output.read_line(&mut text).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut text).unwrap();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let told = whole.filter_map(|line| Some(line.trim_end().split_once("told ")?.1.to_owned()));
    told.collect()
}

/// Whether the ledger knows all that it has said, and has of each chunk all or nothing.
fn knows(ledger: &dyn Ledger, batch: &Batch, told: &[String]) {
    let attempts = ledger.attempts(batch).unwrap();
    let chunks = ledger.committed(batch).unwrap();
    for line in told {
        let (what, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let (chunk, attempt, drawn) = (numbers[0], numbers[1], numbers[2]);
        let at = usize::try_from(attempt - 1).unwrap();
        assert_eq!(attempts[&chunk].get(at), Some(&prefix(drawn)), "{line}");
        let found = chunks.iter().find(|(committed, _)| *committed == chunk);
        match what {
            "committed" => assert!(found.is_some(), "{line}"),
            "released" => assert_eq!(found, Some(&(chunk, true)), "{line}"),
            _ => {}
        }
    }
    for chunk in 0..batch.shape().chunks() {
        let entries = ledger.entries(batch, chunk).unwrap();
        let is_committed = chunks.iter().any(|(committed, _)| *committed == chunk);
        let rows = if is_committed {
            batch.shape().rows_of(chunk)
        } else {
            0
        };
        assert_eq!(entries.len() as u64, rows, "chunk {chunk}");
    }
    let all: Vec<_> = attempts.values().flatten().collect();
    assert_eq!(ledger.prefixes().unwrap().len(), all.len());
}

fn open(path: &Path) -> Box<dyn Ledger> {
    ledger::open(path, [9; 16]).unwrap()
}

#[test]
fn a_device_is_issued_once_per_issuer_unless_it_is_a_reissue() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, other_issuer) = (issuer("Test CA"), issuer("Other CA"));
    let mut ledger = open(&folder.path().join("certforge.db"));
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut next = 0;
    let mut commit_all = |ledger: &mut dyn Ledger, identity: &BatchIdentity<'_>| {
        let batch = ledger.begin_batch(identity, now).unwrap();
        let chunks: Vec<_> = (0..CHUNKS).map(|chunk| (chunk, prefix(next + chunk))).collect();
        next += CHUNKS;
        let reservations = ledger.reserve(&batch, &chunks, now).unwrap();
        let chunks: Vec<_> = reservations
            .into_iter()
            .map(|reservation| committed(&batch, reservation, 0))
            .collect();
        ledger.commit(&batch, &chunks, &[])
    };
    commit_all(&mut *ledger, &identity("first", &issuer)).unwrap();
    let second = commit_all(&mut *ledger, &identity("second", &issuer));
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
    commit_all(&mut *ledger, &reissue).unwrap();
    commit_all(&mut *ledger, &identity("fourth", &other_issuer)).unwrap();
}

/// Rows are inserted many by one statement; what is wrong with one of them is told of it alone.
#[test]
fn chunks_of_any_length_are_kept_and_an_issued_device_is_named_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let mut ledger = open(&folder.path().join("certforge.db"));
    let mut drawn = 0;
    let mut chunk_of = |name: &str, rows: u64, first: u64| {
        drawn += 1;
        let whole = BatchIdentity {
            rows,
            chunk_rows: rows,
            ..identity(name, &issuer)
        };
        let batch = ledger.begin_batch(&whole, NOW).unwrap();
        let reservation = ledger.reserve(&batch, &[(0, prefix(drawn))], NOW).unwrap()[0];
        let chunk = committed(&batch, reservation, first);
        let result = ledger.commit(&batch, std::slice::from_ref(&chunk), &[]);
        let kept = ledger.entries(&batch, 0).unwrap();
        (result, chunk.entries, kept)
    };
    for (rows, first) in (1..=50).zip((0..).step_by(100)) {
        let (result, entries, kept) = chunk_of(&format!("batch-{rows}"), rows, first);
        result.unwrap();
        assert_eq!(kept, entries, "{rows} rows");
    }
    for at in [0, 1, 15, 16, 17, 31, 32, 39] {
        // The first device of `batch-49` comes behind so many that nobody has.
        let (result, _, kept) = chunk_of(&format!("again-{at}"), 40, 4800 - at);
        match result {
            Err(LedgerError::AlreadyIssued { device_id, batch }) => {
                assert_eq!(
                    (device_id.as_str(), batch.as_str()),
                    ("SN4800", "batch-49"),
                    "{at}"
                );
            }
            other => panic!("{at}: {other:?}"),
        }
        assert!(kept.is_empty(), "nothing of a refused chunk stays");
    }
}

#[test]
fn a_prefix_is_never_reserved_twice() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let mut ledger = open(&folder.path().join("certforge.db"));
    let now = OffsetDateTime::UNIX_EPOCH;
    let batch = ledger.begin_batch(&identity("batch", &issuer), now).unwrap();
    let prefix = prefix(1);
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
    let reservation = ledger.reserve(&batch, &[(0, prefix(1))], now).unwrap().remove(0);
    ledger
        .commit(&batch, &[committed(&batch, reservation, 0)], &[])
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
