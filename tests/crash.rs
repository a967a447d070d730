//! Kills the real binary at random moments and lets it go on, until a batch is complete.
//!
//! After every kill, whatever is on disk must be accounted for: a released bundle is in the ledger,
//! and every certificate that exists has a serial prefix that was reserved. In the end every row has
//! exactly one released bundle.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use certforge::ledger::Ledger;
use certforge::pem;
use certforge::store::{DirStore, Store, parse_index};
use support::Workplace;
use x509_parser::prelude::{FromDer, X509Certificate};

const ROWS: usize = 5000;
const KILLS: usize = 40;
/// After so many kills a batch is left to end.
const KILLS_OF_ONE_BATCH: usize = 30;
/// The seed is printed; this variable repeats it.
const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

#[test]
fn a_killed_run_loses_nothing_and_makes_nothing_twice() {
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED_VARIABLE}={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    for round in 0.. {
        // Packs are made faster, so they are killed sooner.
        let (layout, latest) = if round % 2 == 0 {
            ("objects", 150_000)
        } else {
            ("packs", 40_000)
        };
        kills += kill_until_complete(&mut random, layout, latest);
        println!("round {round} ({layout}): {kills} kills so far");
        if kills >= KILLS && round >= 1 {
            return;
        }
    }
}

/// Runs a batch to its end, killing each run but the last, and returns how many were killed.
fn kill_until_complete(random: &mut fastrand::Rng, layout: &str, latest_micros: u64) -> usize {
    let workplace = Workplace::new();
    workplace.manifest(ROWS);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let arguments = [
        "run",
        "devices.csv",
        "--layout",
        layout,
        "--chunk-rows",
        "64",
        "--jobs",
        "2",
    ];
    let (mut kills, mut released_before, mut latest) = (0, 0, latest_micros);
    loop {
        let mut child = workplace
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        if kills == KILLS_OF_ONE_BATCH {
            let status = child.wait().expect("the child can be waited for");
            assert!(status.success(), "a run that was not killed ends well: {status}");
            break;
        }
        // This is the random moment itself, not a wait for something.
        std::thread::sleep(Duration::from_micros(random.u64(1_000..latest)));
        if child.try_wait().expect("the child can be asked").is_some() {
            let status = child.wait().expect("the child has ended");
            assert!(status.success(), "a run that was not killed ends well: {status}");
            break;
        }
        child.kill().expect("the child is killed");
        child.wait().expect("the child has ended");
        kills += 1;
        let released = account(&workplace);
        // On a machine that is slow just now, a run needs longer to get anywhere.
        latest = if released == released_before {
            latest * 5 / 4
        } else {
            latest_micros
        };
        released_before = released;
    }
    assert_eq!(account(&workplace), ROWS, "every row has a released bundle");
    let batch = workplace.only_batch();
    workplace.succeed(&["verify", batch.to_str().expect("the path is UTF-8")]);
    let again = workplace.succeed(&arguments);
    assert!(again.contains("nothing: 5,000 devices made before"), "{again}");
    kills
}

/// Holds what is on disk against the ledger. Returns how many devices are released.
fn account(workplace: &Workplace) -> usize {
    // Killed before the batch had a folder: then nothing can have been signed.
    let Some(batch_folder) = workplace.find_batch() else {
        return 0;
    };
    let ledger = Ledger::open_read_only(&workplace.join("certforge.db")).expect("no batch without a ledger");
    let prefixes: BTreeSet<[u8; 8]> = ledger.prefixes().unwrap().into_iter().collect();
    for serial in serials(&batch_folder) {
        let prefix: [u8; 8] = serial[..8].try_into().unwrap();
        assert!(
            prefixes.contains(&prefix),
            "serial {serial:02x?} was never reserved"
        );
    }
    let name = batch_folder.file_name().unwrap().to_str().unwrap();
    let batch = ledger.batch(name).unwrap();
    let mut in_ledger = BTreeMap::new();
    for (chunk, _) in ledger.committed(&batch).unwrap() {
        for entry in ledger.entries(&batch, chunk).unwrap() {
            let earlier = in_ledger.insert(entry.device_id.clone(), entry);
            assert!(earlier.is_none(), "the ledger has a device twice");
        }
    }
    let store = DirStore::new(batch_folder.clone());
    let released = released(&batch_folder);
    for (device_id, row) in &released {
        assert_eq!(
            Some(&row.entry),
            in_ledger.get(device_id),
            "released, so in the ledger"
        );
        let range = row.entry.offset..row.entry.offset + row.entry.length;
        let bundle = store.read(&row.object, Some(range)).unwrap();
        assert_eq!(
            certforge::digest::sha256(&bundle),
            row.entry.sha256,
            "released, so whole"
        );
    }
    released.len()
}

/// The released devices of a batch, by id.
fn released(batch: &Path) -> BTreeMap<String, certforge::store::IndexRow> {
    let store = DirStore::new(batch.to_owned());
    let mut names = Vec::new();
    store
        .list("index/", &mut |listed| names.push(listed.name))
        .unwrap();
    let mut released = BTreeMap::new();
    for name in names.iter().filter(|name| name.ends_with(".csv")) {
        for row in parse_index(&store.read(name, None).unwrap()).expect("an index is whole") {
            let earlier = released.insert(row.entry.device_id.clone(), row);
            assert!(earlier.is_none(), "a device was released twice");
        }
    }
    released
}

/// The serials of every certificate that can be found under a batch, released or not.
fn serials(batch: &Path) -> Vec<Vec<u8>> {
    let store = DirStore::new(batch.to_owned());
    let mut names = Vec::new();
    store.list("", &mut |listed| names.push(listed.name)).unwrap();
    let mut texts = Vec::new();
    for name in names {
        let octets = store.read(&name, None).unwrap();
        if name.ends_with(".zip") {
            chains(&octets, &mut texts);
        } else if name.ends_with(".pem") {
            texts.push(octets.to_vec());
        }
    }
    let mut serials = Vec::new();
    for text in texts {
        // A file that the kill cut short still holds whole certificates before the cut.
        let text = String::from_utf8_lossy(&text);
        for block in text.split_inclusive("-----END CERTIFICATE-----") {
            for block in pem::blocks(block).unwrap_or_default() {
                let (_, certificate) = X509Certificate::from_der(&block.der).expect("a certificate");
                if !certificate.is_ca() {
                    serials.push(certificate.raw_serial().to_vec());
                }
            }
        }
    }
    serials
}

/// The chains in a bundle, or in the bundles of a pack; a zip that was cut short has none.
fn chains(octets: &[u8], texts: &mut Vec<Vec<u8>>) {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(octets)) else {
        return;
    };
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).expect("the directory is right");
        let name = member.name().expect("names are ASCII").into_owned();
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("a member reads");
        if name.ends_with(".zip") {
            chains(&content, texts);
        } else if name == "chain.pem.crt" {
            texts.push(content);
        }
    }
}
