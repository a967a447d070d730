//! Ledgers that were lost and made anew from the store: at any moment of a run, and never of what nobody signed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::account;
#[cfg(feature = "s3")]
use crate::s3_server;
use crate::support::Workplace;

/// Ledgers that are lost of one batch.
const LOSSES: usize = 3;
/// The seed is printed; this variable repeats it.
const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

/// A factory, and how its commands are run.
struct Factory<'a> {
    place: Workplace,
    /// Where batches go.
    to: &'a str,
    /// The folder that is behind that.
    folder: PathBuf,
    command: &'a dyn Fn(&Workplace, &[&str]) -> Command,
}

impl Factory<'_> {
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = (self.command)(&self.place, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn lose_ledger(&self) {
        for suffix in ["", "-wal", "-shm", "-lock"] {
            let _ = fs::remove_file(self.place.join(&format!("ca/ledger.db{suffix}")));
        }
    }

    fn rebuild(&self) -> serde_json::Value {
        let told = self.succeed(&["ledger", "rebuild", self.to, "--ca", "ca", "--json"]);
        serde_json::from_str(&told).unwrap()
    }

    /// The folder of the batch, once there is one.
    fn batch(&self) -> Option<PathBuf> {
        let batch = self.folder.join("b");
        batch.join("batch.json").exists().then_some(batch)
    }
}

fn released(batch: &Path) -> usize {
    let Ok(indexes) = fs::read_dir(batch.join("index")) else {
        return 0;
    };
    let names = indexes.map(|entry| entry.unwrap().path());
    let indexes = names.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    let hidden = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with('.');
    let rows = |path: PathBuf| fs::read_to_string(path).unwrap().lines().count() - 1;
    indexes.filter(|path| !hidden(path)).map(rows).sum()
}

/// Kills runs at random moments, loses the ledger each time, and lets the same command go on.
fn loses_its_ledger(factory: &Factory<'_>, layout: &str, (rows, latest): (usize, u64)) {
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{layout} at {}: {SEED_VARIABLE}={seed}", factory.to);
    let mut random = fastrand::Rng::with_seed(seed);
    factory.place.manifest(rows);
    factory.place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--to",
        factory.to,
        "--layout",
        layout,
        "--chunk-rows",
        "64",
        "--jobs",
        "2",
    ];
    let (mut losses, mut latest) = (0, latest);
    while losses < LOSSES {
        let mut child = (factory.command)(&factory.place, &run)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // This is the random moment itself, not a wait for something.
        std::thread::sleep(Duration::from_micros(random.u64(1_000..latest)));
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            losses = LOSSES;
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let Some(batch) = factory.batch() else {
            latest = latest * 5 / 4;
            continue;
        };
        let before = released(&batch);
        let is_known = std::iter::from_fn(|| {
            factory.lose_ledger();
            let told = factory.rebuild();
            let count = usize::try_from(told["batches"][0]["released"].as_u64().unwrap()).unwrap();
            assert!(count >= before, "{told}");
            Some(count == released(&batch))
        });
        // What a server was sent before the process was killed may be stored after that.
        assert!(is_known.take(10).any(|is_known| is_known));
        losses += usize::from(before > 0);
        // On a machine that is slow just now, a run needs longer to get anywhere.
        latest = latest * 11 / 10;
    }
    factory.succeed(&run);
    let again = factory.succeed(&run);
    assert!(again.contains("made         nothing: "), "{again}");
    let batch = factory.batch().unwrap();
    assert_eq!(
        account::account(&batch, &factory.place.join("ca/ledger.db")),
        rows
    );
    factory.succeed(&[
        "verify",
        &format!("{}/b", factory.to),
        "--manifest",
        "devices.csv",
    ]);
    // And no other batch gets one of its devices.
    let other = "serial_number,site,country,production_order,hardware_revision\nSN000999,Lyon,FR,1,2\n";
    fs::write(factory.place.join("other.csv"), other).unwrap();
    let refused = ["run", "other.csv", "--no-endpoint", "--to", factory.to];
    let output = (factory.command)(&factory.place, &refused).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_folder_gives_a_lost_ledger_back() {
    for (layout, latest) in [("packs", (3000, 40_000)), ("objects", (3000, 150_000))] {
        let place = Workplace::new();
        let factory = Factory {
            to: "out",
            folder: place.join("out"),
            place,
            command: &|place, arguments| place.command(arguments),
        };
        loses_its_ledger(&factory, layout, latest);
        // No key is left of an attempt that came to nothing.
        assert_eq!(
            scratch(&factory.batch().unwrap()),
            Vec::<PathBuf>::new(),
            "{layout}"
        );
    }
}

/// Files with keys that were put aside and are left.
fn scratch(batch: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![batch.join("packs"), batch.join("bundles")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
            match path.is_dir() {
                true => folders.push(path),
                false if is_hidden => found.push(path),
                false => {}
            }
        }
    }
    found
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_gives_a_lost_ledger_back() {
    for (layout, latest) in [("packs", (3000, 150_000)), ("objects", (1000, 600_000))] {
        let server = s3_server::S3Server::start();
        let factory = Factory {
            to: "s3://factory/batches",
            folder: server.file("batches"),
            place: Workplace::new(),
            command: &|place, arguments| {
                let mut command = place.command(arguments);
                if arguments[0] != "ca" {
                    command.args(["--endpoint-url", &s3_server::url(server.address)]);
                }
                s3_server::account(&mut command, place.path());
                command
            },
        };
        loses_its_ledger(&factory, layout, latest);
    }
}

/// A batch of eight devices in two chunks, and a CA that is not its own.
fn sealed(layout: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(8);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    for (ca, to, ledger) in [
        ("ca", "out", "ca/ledger.db"),
        ("other", "theirs", "other/ledger.db"),
    ] {
        place.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--chunk-rows",
            "4",
            "--batch",
            "b",
            "--layout",
            layout,
            "--ca",
            ca,
            "--to",
            to,
            "--ledger",
            ledger,
        ]);
    }
    place
}

type Change<'a> = &'a dyn Fn(&Path);

fn edit(path: &Path, change: impl Fn(&mut Vec<String>)) {
    let mut lines: Vec<String> = fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// What is said of a batch that was changed; there is no ledger then.
fn refused(place: &Workplace, change: Change<'_>) -> String {
    change(place.path());
    let before = fs::read_dir(place.path()).unwrap().count();
    let output = place.run(&["ledger", "rebuild", "out", "--ca", "ca", "--ledger", "new.db"]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        before,
        "nothing is left"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_nobody_has_signed_is_refused_by_name() {
    let index = |place: &Path| place.join("out/b/index/000000.csv");
    let from_others = |place: &Path, objects: &[&str]| {
        for object in objects {
            fs::copy(
                place.join("theirs/b").join(object),
                place.join("out/b").join(object),
            )
            .unwrap();
        }
    };
    let cases: [(&str, Change<'_>, &str); 11] = [
        (
            "packs",
            &|place| {
                edit(&index(place), |lines| {
                    lines.push(lines[1].replace("SN000000", "SN000077"));
                });
            },
            "b/index/000000.csv: is no index of this chunk: it has 5 rows, the batch has 4 there\n",
        ),
        (
            "packs",
            &|place| {
                edit(&index(place), |lines| {
                    lines[2] = lines[2].replace("SN000001", "SN000077");
                });
            },
            "b/index/000000.csv: device SN000077: its certificate names another device, or none\n",
        ),
        (
            "packs",
            &|place| edit(&index(place), |lines| lines.swap(1, 2)),
            "b/index/000000.csv: device SN000001: its certificate has another id than the index says\n",
        ),
        (
            "packs",
            &|place| from_others(place, &["index/000000.csv", "certificates/000000.pem"]),
            "b/index/000000.csv: device SN000003: its certificate is not signed by the CA\n",
        ),
        (
            "packs",
            &|place| from_others(place, &["index/000000.csv"]),
            "b/index/000000.csv: device SN000000: its certificate has another id than the index says\n",
        ),
        (
            "packs",
            &|place| {
                fs::copy(place.join("out/b/index/000001.csv"), index(place)).unwrap();
            },
            "b/index/000000.csv: is no index of this chunk: row 1: the object is not that of the device\n",
        ),
        (
            "objects",
            &|place| {
                for object in ["index/00000_.csv", "certificates/00000_.pem"] {
                    let of = |chunk| place.join("out/b").join(object.replace('_', chunk));
                    fs::copy(of("1"), of("0")).unwrap();
                }
            },
            "for chunk 1 of batch b, and for another chunk as well\n",
        ),
        (
            "packs",
            &|place| {
                let copy = place.join("out/c");
                for folder in ["index", "certificates"] {
                    fs::create_dir_all(copy.join(folder)).unwrap();
                    for entry in fs::read_dir(place.join("out/b").join(folder)).unwrap() {
                        let entry = entry.unwrap();
                        fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
                    }
                }
                let record = fs::read_to_string(place.join("out/b/batch.json")).unwrap();
                fs::write(
                    copy.join("batch.json"),
                    record.replace("\"batch\": \"b\"", "\"batch\": \"c\""),
                )
                .unwrap();
            },
            "c/index/000000.csv: prefix ",
        ),
        (
            "packs",
            &|place| fs::remove_file(place.join("out/b/certificates/000001.pem")).unwrap(),
            "b/certificates/000001.pem: it is missing\n",
        ),
        (
            "packs",
            &|place| {
                fs::remove_file(place.join("out/b/index/000001.csv")).unwrap();
                fs::create_dir_all(place.join("out/b/claims/000001")).unwrap();
                fs::write(place.join("out/b/claims/000001/SN000005.json"), "{}").unwrap();
            },
            "b/index/000001.csv: it is missing, and what stations did says that the chunk was released: put it back\n",
        ),
        (
            "packs",
            &|place| {
                let record = fs::read_to_string(place.join("theirs/b/batch.json")).unwrap();
                fs::write(place.join("out/b/batch.json"), record).unwrap();
            },
            "b/batch.json: names another CA, and the certificates are signed by this one\n",
        ),
    ];
    for (layout, change, told) in cases {
        let place = sealed(layout);
        place.unseal("b");
        let said = refused(&place, change);
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn a_seal_must_agree_with_what_it_is_of() {
    let cases: [(Change<'_>, &str); 4] = [
        (
            &|place| {
                edit(&place.join("out/b/index/000000.csv"), |lines| {
                    let last = lines[1].pop().unwrap();
                    lines[1].push(if last == '0' { '1' } else { '0' });
                });
            },
            "b/index/000000.csv: index/000000.csv is not what the seal says: it was changed after the batch was sealed\n",
        ),
        (
            &|place| fs::remove_file(place.join("out/b/index/000001.csv")).unwrap(),
            "b/index/000001.csv: it is missing, and the seal says that the chunk was released: put it back\n",
        ),
        (
            &|place| {
                let seal = place.join("out/b/seal.json");
                fs::write(
                    &seal,
                    fs::read_to_string(&seal)
                        .unwrap()
                        .replace("\"devices\"", "\"device\""),
                )
                .unwrap();
            },
            "b/seal.json: ",
        ),
        (
            &|place| fs::rename(place.join("out/b"), place.join("out/c")).unwrap(),
            "c/batch.json: is of batch b\n",
        ),
    ];
    for (change, told) in cases {
        let place = sealed("packs");
        let said = refused(&place, change);
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn reissues_come_after_what_they_replace_and_what_is_withdrawn_stays_so() {
    let place = Workplace::new();
    place.manifest(6);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = |name: &str, more: &[&str]| {
        let arguments = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--chunk-rows",
            "4",
            "--batch",
            name,
        ];
        place.run(&[&arguments[..], more].concat())
    };
    // Names in another order than that of their beginning, which certificates tell to the second.
    for (name, more) in [("zebra", &[][..]), ("ant", &["--reissue"])] {
        assert!(run(name, more).status.success());
        let now = time::OffsetDateTime::now_utc();
        let next = now.replace_nanosecond(0).unwrap() + time::Duration::SECOND;
        std::thread::sleep((next - now).unsigned_abs());
    }
    let withdrawn =
        r#"{"batch": "ant", "withdrawn_at": "2026-11-24T12:00:00Z", "reason": "a key was copied"}"#;
    fs::write(place.join("out/ant/withdrawn.json"), withdrawn).unwrap();
    let states =
        |ledger: &str| place.succeed(&["ledger", "expiring", "--within", "7000y", "--ledger", ledger]);
    let told = place.succeed(&["ledger", "rebuild", "out", "--ledger", "new.db"]);
    assert!(told.contains("zebra: 6 of 6 devices released\n"), "{told}");
    assert!(
        told.contains("ant: 6 of 6 devices released, a reissue, withdrawn\n"),
        "{told}"
    );
    assert_eq!(
        states("ca/ledger.db").replace(",issued", ",withdrawn"),
        states("new.db")
    );
    fs::rename(place.join("new.db"), place.join("ca/ledger.db")).unwrap();
    fs::remove_file(place.join("out/ant/withdrawn.json")).unwrap();
    let refused = run("ant", &["--reissue"]);
    assert_eq!(refused.status.code(), Some(7));
}

#[test]
fn a_ledger_that_has_batches_is_not_replaced_and_other_cas_are_left_out() {
    let place = sealed("packs");
    let error = place.fail(&["ledger", "rebuild", "out"], 7);
    assert_eq!(
        error,
        "certforge: error: ledger ca/ledger.db has batches already\n\
         certforge: hint: name a file that is not there; `certforge ledger copy` puts several ledgers together\n"
    );
    let error = place.fail(&["ledger", "rebuild", "theirs", "--ledger", "new.db"], 5);
    assert!(
        error.contains("none of the batches is of the CA with certificate"),
        "{error}"
    );
    let error = place.fail(&["ledger", "rebuild", "ca", "--ledger", "new.db"], 6);
    assert!(error.contains("there is no batch at ca"), "{error}");
    let error = place.fail(
        &["ledger", "rebuild", "out", "--ledger", "new.db", "--as", "00"],
        2,
    );
    assert!(
        error.contains("no batch of this CA names ledger 00; they name "),
        "{error}"
    );
    let error = place.fail(
        &["ledger", "rebuild", "out", "--ledger", "new.db", "--reissue", "x"],
        2,
    );
    assert!(
        error.contains("there is no batch x of this CA that could be a reissue"),
        "{error}"
    );
    assert!(!place.join("new.db").exists());
    fs::rename(place.join("theirs/b"), place.join("out/theirs")).unwrap();
    let output = place.run(&["ledger", "rebuild", "out", "--ledger", "new.db"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("warning: left out: batch theirs is of another CA: certificate "),
        "{said}"
    );
    assert!(output.status.success());
}
