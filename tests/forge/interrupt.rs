//! Ctrl-C: the first ends a run in good order, the second ends it at once; neither loses anything.

use std::process::{Child, Stdio};

use crate::support::Workplace;
use rustix::process::{Pid, Signal, kill_process};

const ROWS: usize = 30_000;
const ARGUMENTS: [&str; 7] = [
    "run",
    "devices.csv",
    "--no-endpoint",
    "--layout",
    "packs",
    "--chunk-rows",
    "50",
];

/// Starts a run and waits until its first chunk is released.
fn start(workplace: &Workplace) -> Child {
    workplace.manifest(ROWS);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let mut child = workplace
        .command(&ARGUMENTS)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let is_released = || {
        let index = workplace.find_batch().map(|batch| batch.join("index/000000.csv"));
        index.is_some_and(|index| index.exists())
    };
    while !is_released() {
        assert!(
            child.try_wait().expect("it can be asked").is_none(),
            "the run goes on"
        );
        std::thread::yield_now();
    }
    child
}

fn interrupt(child: &Child) {
    let id = i32::try_from(child.id()).expect("process ids are small");
    kill_process(Pid::from_raw(id).expect("it has an id"), Signal::INT).expect("it can be signalled");
}

fn complete(workplace: &Workplace) {
    workplace.succeed(&ARGUMENTS);
    let batch = workplace.only_batch();
    let report = workplace.succeed(&["verify", batch.to_str().expect("the path is UTF-8")]);
    assert!(report.contains("30,000 devices verified"), "{report}");
}

#[test]
fn the_first_ctrl_c_commits_what_is_in_flight_and_says_how_to_go_on() {
    let workplace = Workplace::new();
    let child = start(&workplace);
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(130), "{stdout}{stderr}");
    assert!(
        stderr.contains("finishing the chunks in flight; Ctrl-C again stops at once"),
        "{stderr}"
    );
    assert!(
        stdout.contains("next         interrupted: run the same command again"),
        "{stdout}"
    );
    let status = workplace.succeed(&["status"]);
    assert!(
        !status.contains("not yet released"),
        "what was committed is released: {status}"
    );
    complete(&workplace);
}

#[test]
fn the_second_ctrl_c_stops_at_once_and_loses_nothing() {
    let workplace = Workplace::new();
    let mut child = start(&workplace);
    // Signals of one kind that come together are one; so they come until the process is gone.
    while child.try_wait().expect("it can be asked").is_none() {
        interrupt(&child);
        std::thread::yield_now();
    }
    let status = child.wait().expect("it has ended");
    assert_eq!(status.code(), Some(130));
    complete(&workplace);
}
