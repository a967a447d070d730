//! A factory moves from its file to the server, and back; and what is lost on the server is made anew from the store.

use crate::postgres::Postgres;
use crate::support::Workplace;

#[test]
fn a_ledger_moves_to_the_server_and_back_with_all_that_it_knows() {
    let server = Postgres::start();
    let place = Workplace::new();
    place.manifest(100);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "ca"]);
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--batch",
        "b",
        "--chunk-rows",
        "16",
        "--layout",
        "packs",
    ];
    place.succeed(&run);
    let url = server.database();
    place.succeed(&["ledger", "copy", "ca/ledger.db", &url]);
    // It is the same ledger: the batch is made, and its devices are nobody else's.
    let again = place.succeed(&[&run[..], &["--ledger", &url]].concat());
    assert!(again.contains("nothing: 100 devices made before"), "{again}");
    let other = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--batch",
        "other",
        "--ledger",
        &url,
    ];
    let refused = place.fail(&other, 7);
    assert!(refused.contains("is that of batch b"), "{refused}");
    place.succeed(&["verify", "out/b", "--ledger", &url]);
    place.succeed(&["ledger", "history", "--verify", "--ledger", &url]);

    place.succeed(&["ledger", "copy", &url, "back.db"]);
    let (here, there) = (
        ["status", "--json", "--ledger", "back.db"],
        ["status", "--json", "--ledger", &url],
    );
    let (mut here, there) = (place.succeed(&here), place.succeed(&there));
    // Who made a batch of a server is known there until it is sealed.
    here.retain(|c| !c.is_whitespace());
    let there: String = there.chars().filter(|c| !c.is_whitespace()).collect();
    let without_hosts = |text: &str| text.split("\"hosts\":").next().unwrap().to_owned();
    assert_eq!(without_hosts(&here), without_hosts(&there));
    place.succeed(&["verify", "out/b", "--ledger", "back.db"]);
}

#[test]
fn a_server_that_lost_its_ledger_gets_one_from_the_store() {
    let server = Postgres::start();
    let place = Workplace::new();
    place.manifest(100);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "ca"]);
    let url = server.database();
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--batch",
        "b",
        "--chunk-rows",
        "16",
        "--layout",
        "packs",
        "--ledger",
        &url,
    ];
    place.succeed(&run);
    server.ask(&url, "DROP SCHEMA certforge CASCADE");
    let refused = place.fail(&run, 7);
    assert!(refused.contains("hint: "), "{refused}");
    place.succeed(&["ledger", "rebuild", "out", "--ca", "ca", "--ledger", &url]);
    let again = place.succeed(&run);
    assert!(again.contains("nothing: 100 devices made before"), "{again}");
    place.succeed(&["verify", "out/b", "--ledger", &url]);
    let history = place.succeed(&["ledger", "history", "--verify", "--ledger", &url]);
    assert!(history.contains("ledger-rebuilt  "), "{history}");
}

/// What the CA's folder says is where the ledger is: every host that has a copy of the folder goes there.
#[test]
fn the_folder_of_a_ca_names_the_server() {
    let server = Postgres::start();
    let place = Workplace::new();
    place.manifest(40);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "ca"]);
    let url = server.database();
    std::fs::write(place.join("ca/ledger.toml"), format!("ledger = \"{url}\"\n")).unwrap();
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    assert!(!place.join("ca/ledger.db").exists());
    assert_eq!(
        server.ask(&url, "SELECT name || sealed FROM certforge.batch"),
        "btrue"
    );
    for command in [
        &["status"][..],
        &["ledger", "history", "--verify"],
        &["verify", "b"],
        &["seal", "out/b"],
    ] {
        let said = place.succeed(command);
        assert!(said.contains('b'), "{said}");
    }
    // A job is for hosts that find it by themselves.
    let script = place.succeed(&[
        "job",
        "slurm",
        "--tasks",
        "2",
        "--",
        "run",
        "devices.csv",
        "--no-endpoint",
    ]);
    assert!(script.contains(&url) && !script.contains("--shard"), "{script}");
}
