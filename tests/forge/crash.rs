//! Kills the real binary at random moments and lets it go on, until a batch is complete.
//!
//! After every kill, whatever is on disk must be accounted for: a released bundle is in the ledger,
//! and every certificate that exists has a serial prefix that was reserved. In the end every row has
//! exactly one released bundle.

use std::process::Stdio;
use std::time::Duration;

use crate::account;
use crate::support::Workplace;

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
        // Of one that shares files, those are there before the first bundle, however often it is killed.
        let profile = ["aws-iot-p256", "aws-iot-p256-shared"][usize::from(random.bool())];
        kills += kill_until_complete(&mut random, (profile, layout), latest);
        println!("round {round} ({profile}, {layout}): {kills} kills so far");
        if kills >= KILLS && round >= 1 {
            return;
        }
    }
}

/// Runs a batch to its end, killing each run but the last, and returns how many were killed.
fn kill_until_complete(
    random: &mut fastrand::Rng,
    (profile, layout): (&str, &str),
    latest_micros: u64,
) -> usize {
    let workplace = Workplace::new();
    workplace.manifest(ROWS);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--profile",
        profile,
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
        let released = released(&workplace);
        // On a machine that is slow just now, a run needs longer to get anywhere.
        latest = if released == released_before {
            latest * 5 / 4
        } else {
            latest_micros
        };
        released_before = released;
    }
    assert_eq!(released(&workplace), ROWS, "every row has a released bundle");
    let batch = workplace.only_batch();
    workplace.succeed(&["verify", batch.to_str().expect("the path is UTF-8")]);
    let again = workplace.succeed(&arguments);
    assert!(again.contains("nothing: 5,000 devices made before"), "{again}");
    kills
}

/// Devices that are released, once all that is on disk is accounted for.
fn released(workplace: &Workplace) -> usize {
    // Killed before the batch had a folder: then nothing can have been signed.
    match workplace.find_batch() {
        Some(batch) => account::account(&batch, &workplace.join("ca/ledger.db")),
        None => 0,
    }
}
