//! Runs of several manifests at the same instant, which share devices.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Stdio;

use super::Said;
use crate::postgres::Postgres;
use crate::support::Workplace;

/// Manifests, each with a third of the devices of the next.
const RUNS: usize = 50;
const ROWS: usize = 30;

#[test]
fn of_runs_that_share_devices_each_device_gets_one_identity_and_the_losers_say_so() {
    let server = Postgres::start();
    let ledger = server.database();
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "ca"]);
    for run in 0..RUNS {
        let first = run * (ROWS - ROWS / 3);
        let mut manifest = "serial_number\n".to_owned();
        for device in first..first + ROWS {
            writeln!(manifest, "SN{device:06}").unwrap();
        }
        std::fs::write(place.join(&format!("m{run}.csv")), manifest).unwrap();
    }
    let start = |run: usize| {
        let manifest = format!("m{run}.csv");
        let mut command = place.command(&[
            "run",
            &manifest,
            "--ca",
            "ca",
            "--no-endpoint",
            "--layout",
            "packs",
            "--chunk-rows",
            "10",
            "--jobs",
            "1",
            "--json",
            "--ledger",
            &ledger,
        ]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let runs: Vec<_> = (0..RUNS).map(start).collect();
    let said: Vec<Said> = runs.into_iter().map(Said::of).collect();
    let (won, lost): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.code == Some(0));
    assert!(
        !won.is_empty() && won.len() < RUNS,
        "neighbours cannot both win: {}",
        won.len()
    );
    for said in &lost {
        assert!(matches!(said.code, Some(3 | 7)), "{:?} {}", said.code, said.aside);
        let is_told = ["in batch m", "SN0"].iter().all(|part| said.aside.contains(part));
        assert!(is_told, "it names devices and their batch: {}", said.aside);
    }
    // What is released, by the indexes of all batches.
    let mut released: BTreeMap<String, usize> = BTreeMap::new();
    for index in std::fs::read_dir(place.join("out")).unwrap() {
        for chunk in std::fs::read_dir(index.unwrap().path().join("index"))
            .into_iter()
            .flatten()
        {
            let text = std::fs::read_to_string(chunk.unwrap().path()).unwrap();
            for row in text.lines().skip(1) {
                *released
                    .entry(row.split(',').next().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    let twice: Vec<_> = released.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(released.len() >= won.len() * ROWS, "{} released", released.len());
    let known: usize = server
        .ask(&ledger, "SELECT sum(devices) FROM certforge.committed")
        .parse()
        .unwrap();
    assert_eq!(
        known,
        released.len(),
        "what is released is known, and nothing else"
    );
}
