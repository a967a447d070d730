//! A batch to S3 through a network and a server that fail in every way they can, with the process killed
//! now and then. In the end every device has exactly one bundle, and nothing is missing.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::account;
use crate::fault_proxy::FaultProxy;
use crate::s3_server;
use crate::s3_server::{S3Server, url};
use crate::support::Workplace;

const ROWS: usize = 2000;
/// Faults that a batch has to live through, at least.
const FAULTS: usize = 300;
/// After so many faults a run is killed, until the batch has had its faults.
const FAULTS_OF_ONE_RUN: usize = 45;
const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

fn lives_through_faults(layout: &str, chunk_rows: &str, one_in: usize) {
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED_VARIABLE}={seed}");
    let server = S3Server::start();
    let proxy = FaultProxy::start(server.address, seed, one_in);
    let workplace = Workplace::new();
    workplace.manifest(ROWS);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let command = |arguments: &[&str]| -> Command {
        let mut command = workplace.command(arguments);
        command.args(["--endpoint-url", &url(proxy.address)]);
        s3_server::account(&mut command, workplace.path());
        command
    };
    let run = || {
        command(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "s3://factory/b",
            "--layout",
            layout,
            "--chunk-rows",
            chunk_rows,
            "--uploads",
            "16",
        ])
    };
    let ledger = workplace.join("ca/ledger.db");
    let (mut kills, mut runs) = (0, 0);
    while proxy.count() < FAULTS {
        runs += 1;
        let mut child = run()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let last = proxy.count() + FAULTS_OF_ONE_RUN;
        let killed = loop {
            if child.try_wait().expect("the child can be asked").is_some() {
                break false;
            }
            // Faults come while the child works; the wait for one is bounded by the child's end.
            let _ = proxy.injected.recv_timeout(Duration::from_millis(50));
            if proxy.count() >= last {
                child.kill().expect("the child is killed");
                child.wait().expect("the child has ended");
                break true;
            }
        };
        kills += usize::from(killed);
        if server.file("b").exists() {
            account::account(&server.only_batch("b"), &ledger);
        }
        let is_complete = || workplace.succeed(&["status"]).contains("complete: ");
        assert!(
            killed || proxy.count() >= FAULTS || !is_complete(),
            "the batch was complete after {} faults",
            proxy.count()
        );
    }
    println!("{layout}: {} faults, {kills} kills, {runs} runs", proxy.count());
    assert!(kills >= 2, "a killed run was among them");
    proxy.heal();
    let output = run().output().expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let batch = server.only_batch("b");
    assert_eq!(account::account(&batch, &ledger), ROWS);
    let name = batch.file_name().expect("it has a name").to_string_lossy();
    let output = command(&["verify", &format!("s3://factory/b/{name}")])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2,000 devices verified"), "{text}");
}

#[test]
fn a_batch_of_objects_lives_through_300_faults() {
    lives_through_faults("objects", "100", 5);
}

#[test]
fn a_batch_of_packs_lives_through_300_faults() {
    lives_through_faults("packs", "10", 2);
}
