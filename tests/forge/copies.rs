//! Copies of ledgers: backups while a run is under way, ledgers that are moved, and those of shards put together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use certforge::ledger::{self, Begun, Fact, KnownDevice, Ledger, LedgerError, Revoked, copy};
use time::OffsetDateTime;

use crate::ledger_contract::{NOW, committed, identity, issuer, prefix};
use crate::support::Workplace;

fn open(path: &Path) -> Box<dyn Ledger> {
    ledger::open(path, [9; 16]).unwrap()
}

/// What a ledger knows of all its batches, as text.
fn all(ledger: &dyn Ledger) -> Vec<String> {
    let mut facts = Vec::new();
    for status in ledger.status(None).unwrap() {
        let batch = ledger.batch(&status.batch).unwrap();
        ledger
            .facts(&batch, &mut |fact| {
                facts.push(format!("{fact:?}"));
                Ok(())
            })
            .unwrap();
    }
    facts
}

#[test]
fn a_backup_is_whole_while_chunks_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certforge.db");
    let issuer = issuer("Test CA");
    let mut writer = open(&path);
    let long = ledger::BatchIdentity {
        rows: 30_000,
        ..identity("long", &issuer)
    };
    let batch = writer.begin_batch(&long, NOW).unwrap();
    let (is_done, begun) = (AtomicBool::new(false), std::sync::Barrier::new(2));
    let copies: Vec<_> = (0..5)
        .map(|i| folder.path().join(format!("copy-{i}.db")))
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.wait();
            for copy in &copies {
                ledger::backup(&path, copy, NOW).unwrap();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        for chunk in 0..batch.shape().chunks() {
            let reserved = writer.reserve(&batch, &[(chunk, prefix(chunk))], NOW).unwrap()[0];
            writer
                .commit(&batch, &[committed(&batch, reserved, 0)], &[])
                .unwrap();
            if chunk == 20 {
                begun.wait();
            }
            if is_done.load(Ordering::Relaxed) {
                break;
            }
        }
    });
    let mut before = 20;
    for copy in copies {
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = ledger::open_read_only(&copy).unwrap();
        assert_eq!(copy.id(), writer.id());
        let chunks = copy.committed(&batch).unwrap();
        assert!(chunks.len() >= before, "{} after {before}", chunks.len());
        before = chunks.len();
        for (chunk, _) in chunks {
            let entries = copy.entries(&batch, chunk).unwrap();
            assert_eq!(entries, writer.entries(&batch, chunk).unwrap());
        }
    }
}

#[test]
fn a_backup_takes_the_place_of_nothing_and_is_named_in_a_folder() {
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["run", "devices.csv", "--batch", "b", "--to", "out"]);
    place.succeed(&["ledger", "backup", "ca/ledger.db", "copy.db"]);
    let error = place.fail(&["ledger", "backup", "ca/ledger.db", "copy.db"], 7);
    assert_eq!(
        error,
        "certforge: error: copy.db is there already\n\
         certforge: hint: nothing is written over: name a file that is not there, or a folder\n"
    );
    fs::create_dir(place.join("safe")).unwrap();
    place.succeed(&["ledger", "backup", "ca/ledger.db", "safe"]);
    let names: Vec<_> = fs::read_dir(place.join("safe")).unwrap().collect();
    let name = names[0].as_ref().unwrap().file_name().into_string().unwrap();
    assert_eq!(names.len(), 1);
    assert!(name.starts_with("ledger-20") && name.ends_with("Z.db"), "{name}");
    // Who has it only goes on with it.
    fs::copy(place.join("copy.db"), place.join("ca/ledger.db")).unwrap();
    let again = place.succeed(&["run", "devices.csv", "--batch", "b", "--to", "out"]);
    assert!(again.contains("nothing: 3 devices made before"), "{again}");
    place.fail(&["ledger", "backup", "none.db", "other.db"], 7);
    assert!(!place.join("other.db").exists());
}

#[test]
fn a_ledger_that_is_moved_is_the_same_ledger() {
    let place = Workplace::new();
    place.manifest(9);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = |name: &str, more: &[&str]| -> String {
        let arguments = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--chunk-rows",
            "4",
            "--batch",
            name,
        ];
        place.succeed(&[&arguments[..], more].concat())
    };
    run("first", &[]);
    run("second", &["--reissue"]);
    run("third", &["--reissue"]);
    place.succeed(&["ca", "crl"]);
    place.succeed(&["ledger", "copy", "ca/ledger.db", "moved.db"]);
    let (old, new) = (open(&place.join("ca/ledger.db")), open(&place.join("moved.db")));
    assert_eq!(all(&*old), all(&*new));
    assert_eq!(old.id(), new.id());
    drop((old, new));
    let states =
        |ledger: &str| place.succeed(&["ledger", "expiring", "--within", "7000y", "--ledger", ledger]);
    assert_eq!(states("ca/ledger.db"), states("moved.db"));
    assert!(states("moved.db").contains("superseded"));
    fs::rename(place.join("moved.db"), place.join("ca/ledger.db")).unwrap();
    assert!(run("third", &["--reissue"]).contains("nothing: 9 devices made before"));
    // Once more into what has it all: nothing changes.
    place.succeed(&["ledger", "copy", "ca/ledger.db", "other.db"]);
    place.succeed(&["ledger", "copy", "ca/ledger.db", "other.db"]);
    assert_eq!(
        all(&*open(&place.join("ca/ledger.db"))),
        all(&*open(&place.join("other.db")))
    );
    place.fail(&["ledger", "copy", "ca/ledger.db", "ca/ledger.db"], 2);
    place.fail(&["ledger", "copy", "none.db", "new.db"], 7);
    assert!(!place.join("new.db").exists());
}

#[test]
fn ledgers_of_shards_become_one_that_refuses_what_each_has_made() {
    let place = Workplace::new();
    place.manifest(100);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let shard = |shard: &str| {
        place.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            "b",
            "--chunk-rows",
            "16",
            "--shard",
            shard,
        ])
    };
    for number in ["1/3", "2/3", "3/3"] {
        shard(number);
    }
    let ledgers = [
        "ca/ledger-1-of-3.db",
        "ca/ledger-2-of-3.db",
        "ca/ledger-3-of-3.db",
    ];
    let told = place.succeed(&[&["ledger", "copy"], &ledgers[..], &["ca/ledger.db"]].concat());
    assert!(
        told.contains("ca/ledger-1-of-3.db: 36 devices in 1 batch\n"),
        "{told}"
    );
    let status = place.succeed(&["status"]);
    assert!(status.contains("complete: 100 devices released"), "{status}");
    // No shard has all of it, and the copy has: there is nothing to go on with.
    let told = place.succeed(&[&["ledger", "copy", "--json"], &ledgers[..], &["again.db"]].concat());
    assert_eq!(told.matches("\"unfinished\": []").count(), 3, "{told}");
    let other = "serial_number,site,country,production_order,hardware_revision\nSN000099,Lyon,FR,1,2\n";
    fs::write(place.join("other.csv"), other).unwrap();
    place.fail(&["run", "other.csv", "--no-endpoint", "--ca", "ca"], 7);
}

/// Two ledgers that know nothing of each other, each with a batch of some of the same devices.
#[test]
fn a_device_that_two_ledgers_have_issued_is_named_and_nothing_is_entered() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let make = |name: &str, batch: &str, drawn: u64, reissue: bool| {
        let mut ledger = open(&folder.path().join(name));
        let identity = ledger::BatchIdentity {
            reissue,
            ..identity(batch, &issuer)
        };
        let batch = ledger
            .begin_batch(
                &identity,
                NOW + time::Duration::seconds(i64::try_from(drawn).unwrap()),
            )
            .unwrap();
        let chunks: Vec<_> = (0..4).map(|chunk| (chunk, prefix(drawn + chunk))).collect();
        let reserved = ledger.reserve(&batch, &chunks, NOW).unwrap();
        let chunks: Vec<_> = reserved
            .into_iter()
            .map(|one| committed(&batch, one, 0))
            .collect();
        ledger.commit(&batch, &chunks, &[]).unwrap();
        ledger
    };
    let mut to = make("to.db", "valves", 10, false);
    let before = all(&*to);
    let from = [make("from.db", "pumps", 20, false)];
    match copy(&from, &mut *to) {
        Err(LedgerError::AlreadyIssued { device_id, batch }) => {
            assert_eq!((device_id.as_str(), batch.as_str()), ("SN0000", "valves"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(all(&*to), before);
    // Of ledgers that are put together, a reissue comes after what it gives a second identity to.
    let mut new = open(&folder.path().join("new.db"));
    let from = [
        make("reissue.db", "returns", 5, true),
        make("again.db", "taps", 30, false),
    ];
    copy(&from, &mut *new).unwrap();
    let generations = |name: &str| {
        let mut generations = Vec::new();
        let mut each = |fact: Fact| {
            if let Fact::Chunk(chunk) = fact {
                generations.extend(
                    chunk
                        .devices
                        .into_iter()
                        .map(|KnownDevice { generation, .. }| generation),
                );
            }
            Ok(())
        };
        new.facts(&new.batch(name).unwrap(), &mut each).unwrap();
        generations
    };
    assert_eq!(generations("taps"), [Some(0); 11]);
    assert_eq!(generations("returns"), [Some(1); 11]);
}

#[test]
fn facts_that_contradict_each_other_are_refused_and_nothing_of_them_stays() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer("Test CA");
    let mut ledger = open(&folder.path().join("certforge.db"));
    let batch = ledger.begin_batch(&identity("b", &issuer), NOW).unwrap();
    let reserved = ledger
        .reserve(&batch, &[(0, prefix(1)), (1, prefix(2))], NOW)
        .unwrap();
    ledger
        .commit(&batch, &[committed(&batch, reserved[0], 0)], &[])
        .unwrap();
    let mut facts = Vec::new();
    ledger
        .facts(&batch, &mut |fact| {
            facts.push(fact);
            Ok(())
        })
        .unwrap();
    let before = all(&*ledger);
    let mut refused = |facts: Vec<Fact>| {
        let mut facts = facts.into_iter();
        let error = ledger
            .restore(&mut |enter| facts.try_for_each(&mut *enter))
            .unwrap_err();
        assert_eq!(all(&*ledger), before, "{error}");
        error
    };
    let with = |i: usize, change: &dyn Fn(&mut Fact)| {
        let mut facts = facts.clone();
        change(&mut facts[i]);
        facts
    };
    let elsewhere = with(0, &|fact| {
        if let Fact::Batch(begun) = fact {
            let other = Begun {
                location: "/elsewhere".to_owned(),
                ..(**begun).clone()
            };
            **begun = other;
        }
    });
    assert!(matches!(
        refused(elsewhere),
        LedgerError::BatchDiffers { what: "place", .. }
    ));
    let taken = with(1, &|fact| {
        if let Fact::Reserved(reserved) = fact {
            reserved.prefix = prefix(2);
        }
    });
    assert!(matches!(
        refused(taken),
        LedgerError::PrefixTaken { chunk: 0, .. }
    ));
    let other = with(3, &|fact| {
        if let Fact::Chunk(chunk) = fact {
            chunk.devices[1].entry.not_after += 1;
        }
    });
    assert!(matches!(
        refused(other),
        LedgerError::ChunkDiffers { chunk: 0, .. }
    ));
    let unreserved = with(3, &|fact| {
        if let Fact::Chunk(chunk) = fact {
            (chunk.chunk, chunk.prefix) = (2, prefix(7));
        }
    });
    assert!(matches!(refused(unreserved), LedgerError::Corrupt { .. }));
    let twice = with(3, &|fact| {
        if let Fact::Chunk(chunk) = fact {
            (chunk.chunk, chunk.prefix) = (1, prefix(2));
        }
    });
    assert!(matches!(refused(twice), LedgerError::AlreadyIssued { .. }));
    // What is told twice is known once; and what tells may give up.
    let mut again = facts.clone().into_iter();
    ledger
        .restore(&mut |enter| again.try_for_each(&mut *enter))
        .unwrap();
    assert_eq!(all(&*ledger), before);
    let given_up = ledger.restore(&mut |enter| {
        enter(facts[0].clone())?;
        enter(Fact::Revoked(Revoked {
            row: 0,
            at: OffsetDateTime::UNIX_EPOCH,
            reason: "lost".to_owned(),
            code: certforge::issuer::RevocationCode::KeyCompromise,
        }))?;
        Err(LedgerError::NotWithdrawn {
            batch: "b".to_owned(),
        })
    });
    assert!(given_up.is_err());
    assert_eq!(all(&*ledger), before);
}
