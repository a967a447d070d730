//! Encrypted bundles: read by age itself, verified with an identity and without, and refused when anything was changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use certforge::batch::{Layout, parse_index};
use certforge::bundle::encryption::{Encryption, Identities, Recipient, decrypt};
use certforge::engine::Random;
use serde_json::Value;

use crate::identity::{age, identity};
use crate::support::Workplace;

const DEVICES: usize = 100;

/// A CA, a manifest, and two stations.
fn factory() -> (Workplace, [String; 2]) {
    let place = Workplace::new();
    place.manifest(DEVICES);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let recipients = ["one", "two"].map(|name| identity(&place, name));
    (place, recipients)
}

fn run<'a>(batch: &'a str, layout: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        batch,
    ];
    let layout = ["--layout", layout, "--chunk-rows", "32"];
    [&arguments[..], &layout, options].concat()
}

/// Makes a batch `b` for both stations.
fn batch(layout: &str) -> (Workplace, PathBuf) {
    let (place, [one, two]) = factory();
    place.succeed(&run("b", layout, &["--recipient", &one, "--recipient", &two]));
    let batch = place.join("out/b");
    (place, batch)
}

/// Each device of a batch with its encrypted bundle: a file, or where the index says in a pack.
fn bundles(batch: &Path) -> Vec<(String, Vec<u8>)> {
    let mut bundles = Vec::new();
    for chunk in 0..4 {
        let index = fs::read(batch.join(format!("index/{chunk:06}.csv"))).unwrap();
        for row in parse_index(&index).unwrap() {
            let object = fs::read(batch.join(&row.object)).unwrap();
            let at = |offset| usize::try_from(offset).unwrap();
            let range = at(row.entry.offset)..at(row.entry.offset + row.entry.length);
            bundles.push((row.entry.device_id.to_string(), object[range].to_vec()));
        }
    }
    bundles
}

#[test]
fn age_opens_every_bundle_of_each_layout_and_nobody_else_finds_a_key() {
    for layout in ["objects", "packs"] {
        let (place, batch) = batch(layout);
        let bundles = bundles(&batch);
        assert_eq!(bundles.len(), DEVICES);
        for (i, (device_id, octets)) in bundles.iter().enumerate() {
            let key = ["one.key", "two.key"][i % 2];
            let zip = age(place.path(), &["-d", "-i", key], octets).unwrap();
            let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
            let certificate = std::io::read_to_string(zip.by_name("certificate.pem.crt").unwrap()).unwrap();
            assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
            let endpoint = std::io::read_to_string(zip.by_name("endpoint.json").unwrap()).unwrap();
            assert!(endpoint.contains(&format!("\"{device_id}\"")), "{endpoint}");
            let key = std::io::read_to_string(zip.by_name("private.pem.key").unwrap()).unwrap();
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        }
        identity(&place, "other");
        let refused = age(place.path(), &["-d", "-i", "other.key"], &bundles[0].1).unwrap_err();
        assert!(
            refused.contains("no identity matched any of the recipients"),
            "{refused}"
        );
        // What lies in the store says nothing of a key, nor does the ledger.
        for folder in ["out", "ca/ledger.db"] {
            for file in files(&place.join(folder)) {
                let octets = fs::read(&file).unwrap();
                for secret in [&b"PRIVATE KEY"[..], b"AGE-SECRET-KEY-"] {
                    assert!(!has(&octets, secret), "{}", file.display());
                }
            }
        }
        // A pack is a ZIP whose members are age files, and says so.
        if layout == "packs" {
            let pack = fs::read(batch.join("packs/000000.zip")).unwrap();
            let pack = zip::ZipArchive::new(std::io::Cursor::new(pack)).unwrap();
            let names: Vec<_> = pack.file_names().map(|name| name.unwrap().into_owned()).collect();
            assert_eq!(names.len(), 32);
            assert_eq!(names[0], "SN000000.zip.age");
        }
    }
}

fn has(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    entries.flat_map(|entry| files(&entry.unwrap().path())).collect()
}

#[test]
fn age_reads_what_is_written_and_what_age_writes_is_read_wherever_chunks_end() {
    const CHUNK: usize = 64 * 1024;
    let place = Workplace::new();
    let recipients = ["one", "two"].map(|name| identity(&place, name));
    let both: Vec<_> = recipients
        .iter()
        .map(|own| Recipient::parse(own).unwrap())
        .collect();
    let encryption = Encryption::new(&both);
    let mut writer = encryption.writer();
    for len in [
        0,
        1,
        3_000,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK - 1,
        2 * CHUNK,
        2 * CHUNK + 1,
    ] {
        let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
        writer
            .prepare(1, |octets| Random.fill(octets), |_, _, _, _| false)
            .unwrap();
        let mut file = Vec::new();
        writer.append(0, &plain, &mut file);
        let theirs = age(
            place.path(),
            &["-r", &recipients[0], "-r", &recipients[1]],
            &plain,
        )
        .unwrap();
        for key in ["one.key", "two.key"] {
            assert_eq!(
                age(place.path(), &["-d", "-i", key], &file).unwrap(),
                plain,
                "{len}"
            );
            let identities = Identities::parse(&fs::read_to_string(place.join(key)).unwrap()).unwrap();
            assert_eq!(**decrypt(&theirs, &identities).unwrap(), *plain, "{len}");
        }
        // age writes no chunk that it need not, and nor do we.
        assert_eq!(file.len(), encryption.encrypted_len(len));
    }
    // Whom age-keygen makes is a recipient, too.
    let made = crate::support::tool("age-keygen", &["-o", "theirs.key"], place.path());
    assert!(made.status.success());
    let shown = place.succeed(&["station", "identity", "show", "theirs.key"]);
    let file = age(place.path(), &["-r", shown.trim_end()], b"hello").unwrap();
    let identities = Identities::parse(&fs::read_to_string(place.join("theirs.key")).unwrap()).unwrap();
    assert_eq!(**decrypt(&file, &identities).unwrap(), *b"hello");
}

/// The report of a batch that is verified, whatever is found.
fn verify(place: &Workplace, options: &[&str]) -> Value {
    let output = place.run(&[&["verify", "out/b", "--json"], options].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn verify_says_what_it_has_read() {
    for layout in ["objects", "packs"] {
        let (place, _) = batch(layout);
        let unread = verify(&place, &[]);
        assert_eq!(
            (&unread["good"], &unread["unread"]),
            (&100.into(), &100.into()),
            "{unread:#}"
        );
        assert_eq!(unread["judged_in_full"], 0);
        assert_eq!(unread["recipients"].as_array().unwrap().len(), 2);
        let text = place.succeed(&["verify", "out/b"]);
        assert!(
            text.contains("100 bundles are encrypted, for age1") && text.contains("NOT READ"),
            "{text}"
        );
        for options in [
            &["--identity", "one.key"][..],
            &["--identity", "two.key", "--strict"],
        ] {
            let read = verify(&place, options);
            assert_eq!(
                (&read["good"], &read["unread"]),
                (&100.into(), &0.into()),
                "{read:#}"
            );
            let in_full = read["judged_in_full"].as_u64().unwrap();
            assert_eq!(in_full == 100, options.len() > 2, "{in_full}");
        }
        identity(&place, "other");
        let told = place.fail(&["verify", "out/b", "--identity", "other.key"], 9);
        assert!(told.contains("is encrypted for age1"), "{told}");
    }
}

/// Changes the encrypted bundle of the first device, and gives what is found of it without an identity and with one.
fn faults(change: impl Fn(&Workplace, &mut Vec<u8>)) -> [String; 2] {
    let (place, batch) = batch("objects");
    let id = certforge::manifest::DeviceId::parse("SN000000").unwrap();
    let path = batch.join(Layout::EncryptedObjects.object(0, &id));
    let mut octets = fs::read(&path).unwrap();
    change(&place, &mut octets);
    fs::write(&path, octets).unwrap();
    [&[][..], &["--identity", "two.key"]].map(|options| {
        let report = verify(&place, options);
        assert_eq!(report["good"], 99, "{report:#}");
        let faults = report["faults"].as_array().unwrap().iter();
        let faults: Vec<_> = faults.map(|fault| fault["what"].as_str().unwrap()).collect();
        faults.join("; ")
    })
}

#[test]
fn what_was_done_to_a_bundle_is_told() {
    let digest = "SHA-256 is not that of the index";
    // A header is text up to its HMAC: one octet of that.
    let [unread, read] = faults(|_, octets| {
        let at = octets.windows(4).position(|four| four == b"--- ").unwrap() + 4;
        octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
    });
    assert_eq!(
        (unread.as_str(), read),
        (
            digest,
            format!("{digest}; its header was changed: it is not the one that was encrypted")
        )
    );
    // The first recipient's stanza, two lines behind the first; whichever of the two that is.
    let [unread, read] = faults(|_, octets| {
        let ends: Vec<_> = (0..octets.len())
            .filter(|at| octets[*at] == b'\n')
            .take(3)
            .collect();
        octets.drain(ends[0] + 1..=ends[2]);
    });
    assert_eq!(unread, digest);
    let changed = read == format!("{digest}; its header was changed: it is not the one that was encrypted");
    assert!(
        changed || read == format!("{digest}; it is encrypted for somebody else"),
        "{read}"
    );
    let [unread, read] = faults(|_, octets| octets.truncate(octets.len() - 1));
    assert_eq!(
        (unread.as_str(), read),
        (
            digest,
            format!("{digest}; its content was changed, or its end is missing")
        )
    );
    // Another device's bundle, which is encrypted for the same stations.
    let [unread, read] = faults(|place, octets| {
        *octets = bundles(&place.join("out/b"))[1].1.clone();
    });
    assert_eq!(unread, digest);
    assert!(
        read.starts_with(digest) && read.contains("certificate id is not that of the index"),
        "{read}"
    );
    // One that is not encrypted at all.
    let [unread, read] = faults(|place, octets| {
        *octets = age(place.path(), &["-d", "-i", "one.key"], octets).unwrap();
    });
    assert_eq!(unread, format!("{digest}; it is not encrypted in the age format"));
    assert_eq!(read, format!("{digest}; it is not encrypted in the age format"));
}

#[test]
fn a_batch_goes_on_for_those_for_whom_it_was_begun_and_for_no_others() {
    let (place, [one, two]) = factory();
    fs::write(place.join("line7.pub"), format!("# line 7\n{two}\n{one}\n")).unwrap();
    let all = ["--recipient", "line7.pub"];
    let shard = |shard| [&all[..], &["--shard", shard]].concat();
    place.succeed(&run("b", "packs", &shard("1/2")));
    for (recipients, now) in [
        (vec!["--recipient", one.as_str()], &one[..12]),
        (vec![], "nobody in particular, not encrypted"),
    ] {
        let options = [&recipients[..], &["--shard", "2/2"]].concat();
        let told = place.fail(&run("b", "packs", &options), 2);
        assert!(
            told.contains("batch b was begun for age1") && told.contains(&format!(", not for {now}\n")),
            "{told}"
        );
        assert!(
            told.contains("run the same command with --recipient age1"),
            "{told}"
        );
    }
    // By themselves and in another order they are the same.
    let named = [
        "--recipient",
        &one,
        "--recipient",
        &two,
        "--recipient",
        &one,
        "--shard",
        "2/2",
    ];
    place.succeed(&run("b", "packs", &named));
    place.succeed(&["seal", "out/b", "--ca", "ca"]);
    let report = verify(
        &place,
        &[
            "--identity",
            "one.key",
            "--no-ledger",
            "--manifest",
            "devices.csv",
        ],
    );
    assert_eq!(report["good"], 100, "{report:#}");
    assert_eq!(report["sealed"], true);

    // A batch that was left half-way goes on, of either kind; what it was begun for is asked for again.
    let (place, [one, two]) = factory();
    let both = ["--recipient", &one, "--recipient", &two];
    place.succeed(&run("b", "objects", &both));
    place.unseal("b");
    for chunk in [1, 3] {
        fs::remove_file(place.join(&format!("out/b/index/{chunk:06}.csv"))).unwrap();
        let sql = format!("UPDATE committed SET released = 0 WHERE chunk = {chunk}");
        rusqlite::Connection::open(place.join("ca/ledger.db"))
            .unwrap()
            .execute_batch(&sql)
            .unwrap();
    }
    let told = place.fail(&run("b", "objects", &["--recipient", &two]), 2);
    assert!(told.contains("was begun for age1"), "{told}");
    let told = place.fail(&run("b", "objects", &[]), 2);
    assert!(told.contains("was begun for age1"), "{told}");
    place.succeed(&run("b", "objects", &both));
    let report = verify(&place, &["--identity", "two.key"]);
    assert_eq!(
        (&report["good"], &report["sealed"]),
        (&100.into(), &true.into()),
        "{report:#}"
    );
    // Second identities, for somebody else.
    place.succeed(&run("again", "packs", &["--reissue", "--recipient", &two]));
    let told = place.fail(&["verify", "out/again", "--identity", "one.key"], 9);
    assert!(told.contains(&format!("for {}, and", &two[..12])), "{told}");
    // And a batch in the clear is not encrypted later.
    place.succeed(&run("plain", "packs", &["--reissue"]));
    let told = place.fail(&run("plain", "packs", &["--reissue", "--recipient", &two]), 2);
    assert!(
        told.contains("begun for nobody in particular, not encrypted, not for age1"),
        "{told}"
    );
    assert!(
        told.contains("run the same command without --recipient"),
        "{told}"
    );
}

#[test]
fn a_batch_of_which_nothing_is_committed_may_be_begun_for_others() {
    let (place, [one, two]) = factory();
    place.succeed(&run("b", "packs", &["--recipient", &one]));
    // As if it had been stopped before its first chunk.
    for name in ["certificates", "index", "lookup", "packs"] {
        fs::remove_dir_all(place.join("out/b").join(name)).unwrap();
    }
    for name in ["seal.json", "history.json"] {
        fs::remove_file(place.join("out/b").join(name)).unwrap();
    }
    let ledger = rusqlite::Connection::open(place.join("ca/ledger.db")).unwrap();
    ledger
        .execute_batch("DELETE FROM device; DELETE FROM committed;")
        .unwrap();
    place.succeed(&run("b", "packs", &["--recipient", &two]));
    let report = verify(&place, &["--identity", "two.key"]);
    assert_eq!(report["good"], 100, "{report:#}");
}

#[test]
fn the_ledger_knows_the_names_of_encrypted_bundles_and_is_rebuilt_with_them() {
    let (place, [one, _]) = factory();
    place.succeed(&run("b", "objects", &["--recipient", &one]));
    let export = place.succeed(&["ledger", "export"]);
    let objects = export.lines().filter(|line| line.contains(".zip.age,")).count();
    assert_eq!(objects, DEVICES, "{export}");
    fs::rename(place.join("ca/ledger.db"), place.join("lost.db")).unwrap();
    place.succeed(&["ledger", "rebuild", "--ca", "ca", "out"]);
    assert_eq!(place.succeed(&["ledger", "export"]), export);
    let again = place.succeed(&run("b", "objects", &["--recipient", &one]));
    assert!(
        again.contains("made         nothing: 100 devices made before"),
        "{again}"
    );
    let report = verify(&place, &["--identity", "one.key"]);
    assert_eq!(report["good"], 100, "{report:#}");
}

#[test]
fn an_older_certforge_finds_a_profile_that_it_has_not_and_a_seal_of_a_later_format() {
    let (place, batch) = batch("packs");
    let ledger = rusqlite::Connection::open(place.join("ca/ledger.db")).unwrap();
    let found: (String, String) = ledger
        .query_row("SELECT profile, layout FROM batch", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(found, ("aws-iot-p256+age".to_owned(), "packs".to_owned()));
    let seal: Value = serde_json::from_slice(&fs::read(batch.join("seal.json")).unwrap()).unwrap();
    assert_eq!(seal["seal"]["certforge_seal"], 3);
    let record: Value = serde_json::from_slice(&fs::read(batch.join("batch.json")).unwrap()).unwrap();
    assert_eq!(record["layout"], "packs");
    assert_eq!(record["profile"].get("delivery"), None);
}
