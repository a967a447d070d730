//! `certforge jitp withdraw` on MiniStack: what of a batch AWS IoT knows is revoked, and what it does not know yet
//! is known as revoked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::documents::page;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::iot::{Account, ended};
use certforge::ledger::{self, Withdrawal};
use certforge::store::Store;
use serde_json::{Value, json};

const WITHDRAW: [&str; 7] = ["withdraw", "--reason", "stolen", "--rate", "2000", "--batch", "b"];

/// Withdraws batch `b` with further options.
fn withdraw<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&WITHDRAW[..], more].concat()
}

/// An account with the CA, and a batch `b` of so many devices.
fn account(devices: usize, more: &[&str]) -> Account {
    let account = Account::new();
    register_ca(&account);
    account.make("b", 0..devices, more);
    account
}

fn register_ca(account: &Account) {
    let template = account.place.succeed(&["jitp", "template", "new"]);
    fs::write(account.place.join("t.json"), template).unwrap();
    account.succeed(&["register", "--template", "t.json", "--yes"]);
    assert_eq!(account.auto_registration(), "ENABLE");
}

/// As if a device of `b` had connected, and were ACTIVE.
fn connect(account: &Account, row: usize) {
    let row = &account.index("b")[row];
    let store = Store::in_folder(account.place.join("out/b"));
    let object = certforge::batch::certificates_object(0);
    let text = String::from_utf8(store.read(&object, None).unwrap().to_vec()).unwrap();
    let blocks = certforge::pem::blocks(&text).unwrap();
    let block = blocks
        .iter()
        .find(|block| certforge::digest::sha256(&block.der) == row.entry.certificate_id);
    let certificate = certforge::pem::encode(certforge::pem::CERTIFICATE, &block.unwrap().der);
    account.cloud.register(&certificate, &account.ca().0, "ACTIVE");
}

fn withdrawal(account: &Account, batch: &str) -> Option<Withdrawal> {
    let ledger = ledger::open_read_only(&account.place.join("ca/ledger.db")).unwrap();
    let batch = ledger.batch(batch).unwrap();
    ledger.withdrawal(&batch).unwrap()
}

/// Every certificate of a batch is REVOKED.
#[track_caller]
fn all_revoked(account: &Account, ids: &[String]) {
    for id in ids {
        assert_eq!(account.status(id), Some("REVOKED".to_owned()), "{id}");
    }
}

/// Neither AWS IoT nor the ledger nor the batch has been changed.
#[track_caller]
fn nothing_changed(account: &Account, ids: &[String]) {
    assert_eq!(account.auto_registration(), "ENABLE");
    assert_eq!(withdrawal(account, "b"), None);
    assert!(!account.place.join("out/b/withdrawn.json").exists());
    assert!(ids.iter().all(|id| account.status(id).is_none()));
}

/// What a station is told that wants the next device.
fn claim(account: &Account, batch: &str) -> Output {
    let claim = ["station", "claim", "--next", "--out", "dev", "--station", "st1"];
    let claim = [&claim[..], &["--batch", batch]].concat();
    match batch.starts_with("s3://") {
        true => account.server.command(&account.place, &claim).output().unwrap(),
        false => account.place.run(&claim),
    }
}

#[test]
fn a_batch_that_is_withdrawn_is_revoked_whole_and_never_claimed() {
    let account = account(60, &[]);
    connect(&account, 41);
    let ids = account.ids("b");
    assert_eq!(account.status(&ids[41]), Some("ACTIVE".to_owned()));
    let told = account.succeed(&withdraw(&["--yes"]));
    assert!(told.contains("000000000000, us-east-1\n"), "{told}");
    assert!(told.contains("60, 59 of which had not connected yet\n"), "{told}");
    assert!(!told.contains("warning"), "{told}");
    all_revoked(&account, &ids);
    assert_eq!(account.auto_registration(), "DISABLE");
    assert_eq!(withdrawal(&account, "b").unwrap().revoked, 60);

    let (_, errors) = ended(&claim(&account, "out/b"), 9);
    assert!(
        errors.contains("batch b is withdrawn since ") && errors.contains(": stolen\n"),
        "{errors}"
    );
    let status = account.place.succeed(&["status"]);
    assert!(
        status.contains(": stolen\nrevoked      60 of 60 certificates\n"),
        "{status}"
    );
    let status = account.place.succeed(&["status", "out/b"]);
    assert!(status.contains("\nwithdrawn  "), "{status}");

    // Once more there is nothing to do, and the first reason stays.
    let again = ["withdraw", "--reason", "lost", "--batch", "b", "--yes", "--json"];
    let again: Value = serde_json::from_str(&account.succeed(&again)).unwrap();
    let expected = json!({
        "batch": "b",
        "done": true,
        "auto_registration_stopped": true,
        "revoked": 0,
        "of_these_unknown_before": 0,
        "failed": 0,
        "unreleased": 0,
        "first_failure": null,
        "store_fault": null,
        "interrupted": false,
    });
    assert_eq!(again, expected);
    assert_eq!(withdrawal(&account, "b").unwrap().reason, "stolen");
}

#[test]
fn a_plan_changes_nothing_and_neither_does_a_command_that_nobody_agreed_to() {
    let account = account(5, &[]);
    account.make("c", 5..7, &[]);
    account.make("d", 7..9, &[]);
    let ids = account.ids("b");
    let ledger = fs::read(account.place.join("ca/ledger.db")).unwrap();
    let plan = account.succeed(&withdraw(&["--dry-run"]));
    assert!(
        plan.contains("new devices of c, d are refused as well, until it is on again"),
        "{plan}"
    );
    assert!(plan.contains("stop the CA's auto-registration\n"), "{plan}");
    assert!(
        plan.contains("revoke 5 certificates, some 1 s at 2000 a second\n"),
        "{plan}"
    );
    nothing_changed(&account, &ids);
    let plan: Value = serde_json::from_str(&account.succeed(&withdraw(&["--dry-run", "--json"]))).unwrap();
    let expected = json!({
        "batch": "b",
        "account": "000000000000",
        "region": "us-east-1",
        "ca_certificate_id": account.ca().1,
        "certificates": 5,
        "revoked_before": 0,
        "stops_auto_registration": true,
        "other_batches_of_the_ca": ["c", "d"],
        "done": false,
    });
    assert_eq!(plan, expected);
    let plan = account.succeed(&withdraw(&["--dry-run", "--keep-auto-registration"]));
    assert!(
        !plan.contains("warning") && !plan.contains("stop the CA"),
        "{plan}"
    );
    nothing_changed(&account, &ids);

    for more in [&[][..], &["--json"]] {
        let error = account.fail(&withdraw(more), 2);
        assert!(
            error.contains("nothing was changed: there is no terminal to ask at"),
            "{error}"
        );
    }
    nothing_changed(&account, &ids);
    assert_eq!(fs::read(account.place.join("ca/ledger.db")).unwrap(), ledger);
    let claimed = claim(&account, "out/b");
    ended(&claimed, 0);
}

#[test]
fn other_batches_of_the_ca_are_left_alone() {
    let account = account(5, &[]);
    account.make("c", 5..7, &[]);
    let told = account.succeed(&withdraw(&["--yes", "--keep-auto-registration"]));
    assert!(told.contains("left as it is\n"), "{told}");
    assert_eq!(account.auto_registration(), "ENABLE");
    all_revoked(&account, &account.ids("b"));
    for id in account.ids("c") {
        assert_eq!(account.status(&id), None);
    }
    assert_eq!(withdrawal(&account, "c"), None);
    ended(&claim(&account, "out/c"), 0);
}

/// The requests about certificates that came through.
fn asked(proxy: &FaultProxy) -> Vec<String> {
    let heads = proxy.heads().into_iter();
    heads
        .filter(|head| head.starts_with("PUT /certificates/"))
        .map(|head| head["PUT /certificates/".len()..][..64].to_owned())
        .collect()
}

fn through(proxy: &FaultProxy) -> String {
    format!("http://{}", proxy.address)
}

#[test]
fn a_run_that_is_killed_goes_on_behind_the_mark() {
    let account = account(900, &["--chunk-rows", "350"]);
    let slowly = [
        "withdraw", "--reason", "stolen", "--rate", "150", "--batch", "b", "--yes",
    ];
    let mut child = account.jitp(&slowly).stdout(Stdio::null()).spawn().unwrap();
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        // The ledger tells nobody, so it is asked.
        let mark = withdrawal(&account, "b").map_or(0, |withdrawal| withdrawal.revoked);
        if mark > 0 {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "it has not ended by itself");
        assert!(Instant::now() < give_up, "no mark in time");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    let mark = withdrawal(&account, "b").unwrap().revoked;
    assert!((1..900).contains(&mark), "{mark}");
    let ids = account.ids("b");
    assert!(account.status(&ids[899]).is_none(), "it was killed on the way");

    let proxy = FaultProxy::start(account.server.address(), 0, 1);
    proxy.heal();
    let mut again = account.jitp_at(&through(&proxy), &withdraw(&["--yes", "--json"]));
    let (text, _) = ended(&again.output().unwrap(), 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["revoked"], 900 - mark);
    let mut asked = asked(&proxy);
    asked.sort();
    asked.dedup();
    let mark = usize::try_from(mark).unwrap();
    let mut expected = ids[mark..].to_vec();
    expected.sort();
    assert_eq!(asked, expected, "those behind the mark, and no others");
    all_revoked(&account, &ids);
    assert_eq!(withdrawal(&account, "b").unwrap().revoked, 900);
}

#[test]
fn what_aws_refuses_is_told_and_the_next_run_ends_it() {
    let account = account(450, &[]);
    let ids = account.ids("b");
    let proxy = FaultProxy::start_for(
        "PUT /certificates/",
        account.server.address(),
        7,
        40,
        &[Fault::Unauthorized],
    );
    let mut first = account.jitp_at(&through(&proxy), &withdraw(&["--yes", "--json"]));
    let (text, errors) = ended(&first.output().unwrap(), 8);
    let report: Value = serde_json::from_str(&text).unwrap();
    page::of("`jitp withdraw`").hold(&report);
    let failed = proxy.count();
    assert!(failed > 1, "the proxy was in the way");
    assert_eq!(
        (&report["done"], &report["failed"]),
        (&json!(false), &json!(failed))
    );
    // What is refused to one is refused to all: it stops after a piece of 200.
    let revoked = 200 - failed;
    assert_eq!(report["revoked"], revoked);
    let unknown = ids.iter().position(|id| account.status(id).is_none()).unwrap();
    let told = format!(
        "certforge: error: certificates that are not revoked: {failed} at least; device SN{unknown:06}: AWS refuses \
         iot:UpdateCertificate: Injected. (UnauthorizedException)\n\
         certforge: hint: run the same command again, in the same account and Region: it goes on with these\n"
    );
    assert!(errors.ends_with(&told), "{errors}\n{told}");
    let mark = withdrawal(&account, "b").unwrap().revoked;
    assert!(
        mark <= unknown as u64,
        "{mark} is behind a certificate that is not revoked"
    );
    // The batch is withdrawn for all that.
    ended(&claim(&account, "out/b"), 9);

    proxy.heal();
    let mut again = account.jitp_at(&through(&proxy), &withdraw(&["--yes", "--json"]));
    let (text, _) = ended(&again.output().unwrap(), 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["of_these_unknown_before"], 450 - revoked);
    all_revoked(&account, &ids);
    assert_eq!(withdrawal(&account, "b").unwrap().revoked, 450);
}

#[test]
fn what_aws_asks_patience_for_is_done_in_the_end() {
    let account = account(40, &[]);
    let proxy = FaultProxy::start_for(
        "PUT /certificates/",
        account.server.address(),
        7,
        3,
        &[Fault::Throttled, Fault::Drop],
    );
    let mut command = account.jitp_at(&through(&proxy), &withdraw(&["--yes"]));
    ended(&command.output().unwrap(), 0);
    assert!(proxy.count() > 5, "the proxy was in the way");
    all_revoked(&account, &account.ids("b"));
    assert_eq!(withdrawal(&account, "b").unwrap().revoked, 40);
}

/// The SDK makes five attempts; a whole batch may have to wait for longer.
#[test]
fn a_certificate_is_tried_again_when_the_sdk_has_given_up() {
    let account = account(1, &[]);
    let proxy = FaultProxy::start_for(
        "PUT /certificates/",
        account.server.address(),
        7,
        1,
        &[Fault::Throttled],
    );
    let mut command = account.jitp_at(&through(&proxy), &withdraw(&["--yes"]));
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..6 {
        proxy.injected.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    proxy.heal();
    ended(&child.wait_with_output().unwrap(), 0);
    all_revoked(&account, &account.ids("b"));
}

#[test]
fn a_ca_that_cannot_be_stopped_ends_the_run_and_stations_are_stopped_before_that() {
    let account = account(5, &[]);
    let ids = account.ids("b");
    let proxy = FaultProxy::start_for(
        "PUT /cacertificate/",
        account.server.address(),
        7,
        1,
        &[Fault::Unauthorized],
    );
    let mut command = account.jitp_at(&through(&proxy), &withdraw(&["--yes"]));
    let (_, errors) = ended(&command.output().unwrap(), 8);
    assert!(
        errors.contains("AWS refuses iot:UpdateCACertificate: Injected. (UnauthorizedException)"),
        "{errors}"
    );
    assert!(
        errors.contains("hint: the caller must be allowed iot:UpdateCACertificate"),
        "{errors}"
    );
    assert!(ids.iter().all(|id| account.status(id).is_none()));
    ended(&claim(&account, "out/b"), 9);
    account.succeed(&withdraw(&["--yes"]));
    all_revoked(&account, &ids);
    assert_eq!(account.auto_registration(), "DISABLE");
}

#[test]
fn a_server_that_cannot_be_reached_leaves_everything_as_it_is() {
    let account = account(3, &[]);
    // Nobody listens there any more.
    let url = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mut command = account.jitp_at(&url, &withdraw(&["--yes"]));
    let (_, errors) = ended(&command.output().unwrap(), 8);
    assert!(
        errors.contains("cannot be reached for sts:GetCallerIdentity"),
        "{errors}"
    );
    let ids = account.ids("b");
    nothing_changed(&account, &ids);
    account.succeed(&withdraw(&["--yes"]));
    all_revoked(&account, &ids);
}

#[test]
fn a_batch_in_a_bucket_is_withdrawn_by_its_url_and_by_its_name() {
    let account = Account::new();
    register_ca(&account);
    for (batch, devices) in [("b", 0..5), ("c", 5..9)] {
        account.manifest(batch, devices);
        let manifest = format!("{batch}.csv");
        let run = [
            "run",
            &manifest,
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            batch,
            "--to",
            "s3://factory/line",
        ];
        account.server.succeed(&account.place, &run);
    }
    let ids = |batch: &str| -> Vec<String> {
        let ledger = ledger::open_read_only(&account.place.join("ca/ledger.db")).unwrap();
        let batch = ledger.batch(batch).unwrap();
        let entries = ledger.entries(&batch, 0).unwrap().into_iter();
        entries
            .map(|entry| data_encoding::HEXLOWER.encode(&entry.certificate_id))
            .collect()
    };
    for (name, batch) in [("b", "b"), ("s3://factory/line/c/", "c")] {
        let place = format!("s3://factory/line/{batch}");
        account.succeed(&[
            "withdraw", "--reason", "stolen", "--rate", "100", "--batch", name, "--yes",
        ]);
        assert!(!ids(batch).is_empty());
        all_revoked(&account, &ids(batch));
        let (_, errors) = ended(&claim(&account, &place), 9);
        assert!(
            errors.contains(&format!("batch {batch} is withdrawn since ")),
            "{errors}"
        );
        let status = account.server.succeed(&account.place, &["status", &place]);
        assert!(status.contains("\nwithdrawn  "), "{status}");
    }
    assert_eq!(account.auto_registration(), "DISABLE");
}

#[test]
fn a_batch_that_is_not_complete_can_be_withdrawn() {
    let account = account(9, &["--chunk-rows", "4"]);
    let ids = account.ids("b");
    // As if the run had been stopped before the second chunk was released.
    account.place.unseal("b");
    fs::remove_file(account.place.join("out/b/index/000001.csv")).unwrap();
    account.succeed(&withdraw(&["--yes"]));
    // The ledger knows of its certificates, and their keys may be in the store.
    all_revoked(&account, &ids);
    assert!(account.place.join("out/b/withdrawn.json").exists());
    let run = [
        "run",
        "b.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows",
        "4",
    ];
    let error = account.place.fail(&run, 7);
    assert!(error.contains("batch b is withdrawn"), "{error}");
}

/// Each shard has a ledger of its own, so none knows that another one is still at work.
#[test]
fn what_another_shard_releases_after_the_withdrawal_is_revoked_by_the_next_one() {
    let account = Account::new();
    register_ca(&account);
    for shard in ["1/2", "2/2"] {
        account.make("b", 0..10, &["--chunk-rows", "2", "--shard", shard]);
    }
    let ids = account.ids("b");
    let late = account.place.join("out/b/index/000001.csv");
    fs::rename(&late, account.place.join("late.csv")).unwrap();
    let withdraw = withdraw(&["--yes", "--ledger", "ca/ledger-1-of-2.db"]);
    account.succeed(&withdraw);
    assert_eq!(account.status(&ids[2]), None);
    assert_eq!(account.status(&ids[9]), Some("REVOKED".to_owned()));
    fs::rename(account.place.join("late.csv"), &late).unwrap();
    account.succeed(&withdraw);
    all_revoked(&account, &ids);
    let again: Value =
        serde_json::from_str(&account.succeed(&[&withdraw[..], &["--json"]].concat())).unwrap();
    assert_eq!(again["revoked"], 0, "nothing is left");
    let status = account
        .place
        .succeed(&["status", "--ledger", "ca/ledger-1-of-2.db"]);
    assert!(
        status.contains("\nrevoked      10 of 10 certificates\n"),
        "{status}"
    );
}

/// What another shard made is known by its index alone.
#[test]
fn a_damaged_index_keeps_no_other_certificate_from_being_revoked() {
    let account = Account::new();
    register_ca(&account);
    for shard in ["1/2", "2/2"] {
        account.make("b", 0..10, &["--chunk-rows", "2", "--shard", shard]);
    }
    let ids = account.ids("b");
    let index = account.place.join("out/b/index/000001.csv");
    let was = fs::read(&index).unwrap();
    fs::write(&index, "{").unwrap();
    let withdraw = withdraw(&["--yes", "--ledger", "ca/ledger-1-of-2.db"]);
    let error = account.fail(&withdraw, 8);
    assert!(error.contains("certificates that are not revoked: 2"), "{error}");
    assert!(
        error.contains("index/000001.csv is not what shard 2/2 released"),
        "{error}"
    );
    assert_eq!(account.status(&ids[2]), None);
    assert_eq!(account.status(&ids[9]), Some("REVOKED".to_owned()));
    fs::write(&index, was).unwrap();
    account.succeed(&withdraw);
    all_revoked(&account, &ids);
}

#[test]
fn a_batch_that_is_being_made_is_not_withdrawn() {
    let account = account(3, &[]);
    let ids = account.ids("b");
    // As a run does that is at work.
    let ledger = ledger::open(&account.place.join("ca/ledger.db"), [0; 16]).unwrap();
    let mut command = account.jitp(&withdraw(&["--yes"]));
    let mut waiting = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    let mut stderr = std::io::BufReader::new(waiting.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut told).unwrap();
    assert!(
        told.contains("is in use by another certforge") && told.contains("waiting"),
        "{told}"
    );
    nothing_changed(&account, &ids);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    drop(ledger);
    nothing_changed(&account, &ids);
}

#[test]
fn a_batch_that_the_ledger_does_not_know_is_not_withdrawn() {
    let account = account(3, &[]);
    let ids = account.ids("b");
    let with = |batch: &str, ledger: &str, code: i32| {
        let withdraw = [
            "withdraw", "--reason", "stolen", "--yes", "--batch", batch, "--ledger", ledger,
        ];
        account.fail(&withdraw, code)
    };
    let error = with("nobody", "ca/ledger.db", 7);
    assert!(error.contains("the ledger knows no batch nobody"), "{error}");
    let error = with("b", "elsewhere.db", 7);
    assert!(error.contains("elsewhere.db"), "{error}");
    assert!(!account.place.join("elsewhere.db").exists(), "no ledger is made");
    // A ledger that knows another batch of this name.
    account
        .place
        .succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let run = [
        "run",
        "b.csv",
        "--no-endpoint",
        "--ca",
        "other",
        "--batch",
        "b",
        "--to",
        "else",
        "--ledger",
        "other.db",
    ];
    account.place.succeed(&run);
    let error = with("out/b", "other.db", 2);
    assert!(
        error.contains("out/b is not batch b of the ledger\n")
            && error.contains("hint: name the ledger that the batch was made with, with --ledger\n"),
        "{error}"
    );
    nothing_changed(&account, &ids);
}

#[test]
fn a_ca_that_aws_does_not_know_is_told() {
    let account = Account::new();
    account.make("b", 0..3, &[]);
    let output = account.jitp(&withdraw(&["--yes"])).output().unwrap();
    let (_, errors) = ended(&output, 8);
    assert!(
        errors.contains("the CA is not registered in account "),
        "{errors}"
    );
    assert!(
        errors.contains("--region") && errors.contains("--stations-only"),
        "{errors}"
    );
    assert_eq!(withdrawal(&account, "b"), None, "it may be another Region");
    account.succeed(&withdraw(&["--stations-only", "--yes"]));
    assert_eq!(withdrawal(&account, "b").unwrap().revoked, 0);
    ended(&claim(&account, "out/b"), 9);
    // Whoever registers it later must not let them in.
    register_ca(&account);
    account.succeed(&withdraw(&["--yes"]));
    all_revoked(&account, &account.ids("b"));
}

#[test]
fn each_account_and_region_has_certificates_of_its_own() {
    let account = account(4, &[]);
    let ids = account.ids("b");
    account.succeed(&withdraw(&["--yes"]));
    all_revoked(&account, &ids);
    // The CA is shared with another Region.
    let elsewhere = |arguments: &[&str]| {
        let mut command = account.jitp(arguments);
        let output = command.env("AWS_REGION", "eu-central-1").output().unwrap();
        ended(&output, 0).0
    };
    fs::remove_file(account.place.join("ca/endpoint.json")).unwrap();
    elsewhere(&["register", "--template", "t.json", "--yes"]);
    let report: Value = serde_json::from_str(&elsewhere(&withdraw(&["--yes", "--json"]))).unwrap();
    assert_eq!(report["revoked"], 4, "{report}");
    let report: Value = serde_json::from_str(&elsewhere(&withdraw(&["--yes", "--json"]))).unwrap();
    assert_eq!(report["revoked"], 0, "{report}");
}

#[test]
fn what_is_revoked_is_what_the_ledger_has_whatever_the_store_says() {
    let account = account(4, &[]);
    let ids = account.ids("b");
    account.make("c", 4..8, &[]);
    let others = account.ids("c");
    connect(&account, 0);
    for object in ["index/000000.csv", "certificates/000000.pem"] {
        let from = account.place.join("out/c").join(object);
        fs::copy(from, account.place.join("out/b").join(object)).unwrap();
    }
    let (_, errors) = ended(&account.jitp(&withdraw(&["--yes"])).output().unwrap(), 8);
    // The one that has connected is known by its id; the others would have to be registered.
    all_revoked(&account, &ids[..1]);
    assert!(errors.contains("it is not in the store"), "{errors}");
    assert!(others.iter().all(|id| account.status(id).is_none()));
}

/// How many rows there are, and in which chunks, is what the ledger says as well.
#[test]
fn as_many_are_revoked_as_the_ledger_has() {
    for (field, value) in [("rows", 4), ("rows", 20), ("chunk_rows", 1)] {
        let account = account(10, &["--chunk-rows", "5"]);
        let ids = account.ids("b");
        account.make("c", 10..15, &["--chunk-rows", "5"]);
        let others = account.ids("c");
        let path = account.place.join("out/b/batch.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record[field] = value.into();
        fs::write(&path, record.to_string()).unwrap();
        let index = "index/000000.csv";
        fs::copy(
            account.place.join("out/c").join(index),
            account.place.join("out/b/index/000002.csv"),
        )
        .unwrap();
        let errors = account.fail(&withdraw(&["--yes"]), 6);
        assert!(errors.contains("store is not what it was"), "{errors}");
        all_revoked(&account, &ids);
        assert!(others.iter().all(|id| account.status(id).is_none()));
        assert_eq!(withdrawal(&account, "b").unwrap().revoked, 10);
    }
}

/// The ledger has all that it takes.
#[test]
fn a_store_that_is_damaged_or_gone_keeps_nothing_from_being_revoked() {
    type Damage = fn(&std::path::Path);
    let damages: [Damage; 4] = [
        |batch| fs::remove_file(batch.join("batch.json")).unwrap(),
        |batch| fs::write(batch.join("batch.json"), "x").unwrap(),
        |batch| fs::create_dir(batch.join("withdrawn.json")).unwrap(),
        |batch| fs::rename(batch, batch.with_file_name("away")).unwrap(),
    ];
    for damage in damages {
        let account = account(4, &[]);
        let ids = account.ids("b");
        for row in 0..4 {
            connect(&account, row);
        }
        damage(&account.place.join("out/b"));
        let errors = account.fail(&withdraw(&["--yes"]), 6);
        assert!(errors.contains("hint: mend its store"), "{errors}");
        all_revoked(&account, &ids);
        assert_eq!(account.auto_registration(), "DISABLE");
    }
}

/// Of what another shard made, the issuer has signed.
#[test]
fn an_index_of_another_shard_revokes_only_what_was_signed_for() {
    let account = Account::new();
    register_ca(&account);
    account.make("c", 10..12, &["--chunk-rows", "2"]);
    for shard in ["1/2", "2/2"] {
        account.make("b", 0..10, &["--chunk-rows", "2", "--shard", shard]);
    }
    let (ids, others) = (account.ids("b"), account.ids("c"));
    let index = account.place.join("out/b/index/000001.csv");
    let was = fs::read(&index).unwrap();
    fs::copy(account.place.join("out/c/index/000000.csv"), &index).unwrap();
    let withdraw = withdraw(&["--yes", "--ledger", "ca/ledger-1-of-2.db"]);
    let error = account.fail(&withdraw, 8);
    assert!(
        error.contains("index/000001.csv is not what shard 2/2 released"),
        "{error}"
    );
    assert!(others.iter().all(|id| account.status(id).is_none()));
    fs::write(&index, was).unwrap();
    account.succeed(&withdraw);
    all_revoked(&account, &ids);
}

#[test]
fn a_copy_is_not_withdrawn_in_place_of_the_batch() {
    let account = account(2, &[]);
    let copied = std::process::Command::new("cp")
        .args(["-r", "out", "copy"])
        .current_dir(account.place.path())
        .status();
    assert!(copied.unwrap().success());
    let of_copy = ["withdraw", "--reason", "stolen", "--batch", "copy/b", "--yes"];
    let error = account.fail(&of_copy, 2);
    assert!(error.contains("may be a copy of it"), "{error}");
    assert!(error.contains("--moved"), "{error}");
    nothing_changed(&account, &account.ids("b"));
}

#[test]
fn nothing_of_a_withdrawn_batch_is_prepared_for_registration() {
    let account = account(2, &[]);
    account.succeed(&withdraw(&["--stations-only", "--yes"]));
    // The ledger knows it too.
    fs::remove_file(account.place.join("out/b/withdrawn.json")).unwrap();
    account.place.unseal("b");
    let error = account.place.fail(&["seal", "out/b"], 7);
    assert!(error.contains("is withdrawn since"), "{error}");
    for command in [
        &["jitp", "bulk", "--batch", "b", "--template", "t.json"][..],
        &["jitp", "thingpress", "--batch", "b"],
        &["jitp", "jitr-lambda", "--batch", "b"],
    ] {
        let error = account.place.fail(command, 7);
        assert!(error.contains("is withdrawn since"), "{error}");
    }
}

/// Ctrl-C ends the revocation in good order, and says how far it is.
#[test]
fn a_revocation_that_is_interrupted_says_how_to_go_on() {
    let account = account(450, &[]);
    let arguments = [
        "withdraw", "--reason", "stolen", "--rate", "150", "--batch", "b", "--yes",
    ];
    let child = account.jitp(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let give_up = Instant::now() + Duration::from_mins(1);
    while withdrawal(&account, "b").is_none_or(|withdrawal| withdrawal.revoked == 0) {
        assert!(Instant::now() < give_up, "nothing is revoked");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.unwrap().success());
    let (text, _) = ended(&child.wait_with_output().unwrap(), 130);
    let mark = withdrawal(&account, "b").unwrap().revoked;
    assert!((200..450).contains(&mark), "{mark}");
    assert!(
        text.contains(&format!(
            "{mark} of 450 certificates are revoked; run the same command again"
        )),
        "{text}"
    );
    account.succeed(&withdraw(&["--yes"]));
    all_revoked(&account, &account.ids("b"));
}
