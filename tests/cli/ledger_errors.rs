//! Ledgers that cannot be used: exit code 7.

use std::fs::File;

use rusqlite::Connection;

use crate::support::Workplace;

/// A workplace with a batch `b` of three devices.
fn workplace() -> Workplace {
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    place
}

fn open(place: &Workplace) -> Connection {
    Connection::open(place.join("ca/ledger.db")).expect("the ledger opens")
}

#[test]
fn others_read_while_one_process_writes() {
    let place = workplace();
    let lock = File::open(place.join("ca/ledger.db-lock")).expect("there is a lock file");
    lock.lock().expect("nobody else holds it");
    place.succeed(&["status"]);
    place.succeed(&["verify", "out/b"]);
    drop(lock);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
}

#[test]
fn refuses_a_ledger_that_others_may_write_to() {
    use std::os::unix::fs::PermissionsExt;
    let place = workplace();
    let set_mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.join("ca/ledger.db"), mode).expect("the mode is set");
    };
    set_mode(0o666);
    for arguments in [
        &["run", "devices.csv", "--no-endpoint"][..],
        &["status"],
        &["verify", "out/b"],
    ] {
        let text = place.fail(arguments, 7);
        assert!(
            text.starts_with("certforge: error: ledger ca/ledger.db: ")
                && text.contains("/ca/ledger.db can be written by others (mode 0666)\n"),
            "{text}"
        );
        assert!(text.contains("then: chmod go-w "), "{text}");
    }
    set_mode(0o600);
    place.succeed(&["status"]);
}

#[test]
fn refuses_a_database_that_is_something_else() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    open(&place)
        .execute_batch("CREATE TABLE recipes (name TEXT)")
        .expect("a table");
    for arguments in [
        &["run", "devices.csv", "--no-endpoint"][..],
        &["status"],
        &["ledger", "export"],
    ] {
        assert_eq!(
            place.fail(arguments, 7),
            "certforge: error: ledger ca/ledger.db is no certforge ledger\n\
             certforge: hint: choose another file with --ledger\n"
        );
    }
}

#[test]
fn refuses_a_ledger_of_another_version() {
    let place = workplace();
    open(&place)
        .pragma_update(None, "user_version", 99)
        .expect("the version is set");
    for arguments in [
        &["run", "devices.csv", "--no-endpoint"][..],
        &["status"],
        &["verify", "out/b"],
    ] {
        assert_eq!(
            place.fail(arguments, 7),
            "certforge: error: ledger ca/ledger.db has schema version 99, this certforge reads 4\n\
             certforge: hint: use the certforge that made it\n"
        );
    }
}

#[test]
fn says_when_a_ledger_is_damaged() {
    let place = workplace();
    open(&place)
        .execute_batch("DROP TABLE committed")
        .expect("the table is dropped");
    let text = place.fail(&["status"], 7);
    assert!(
        text.starts_with("certforge: error: ledger ca/ledger.db: no such table: committed"),
        "{text}"
    );
}

#[test]
fn refuses_a_layout_that_no_certforge_writes() {
    let place = workplace();
    open(&place)
        .execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE batch SET layout = 'tar'")
        .expect("the layout is set");
    for arguments in [
        &["run", "devices.csv", "--no-endpoint", "--batch", "b"][..],
        &["status"],
        &["ledger", "export"],
        &["verify", "out/b"],
    ] {
        assert_eq!(
            place.fail(arguments, 7),
            "certforge: error: ledger ca/ledger.db holds what no certforge writes: \"tar\" is no layout\n\
             certforge: hint: something else wrote to it, or its disk fails; put back the latest copy that is sound. \
             With an older one, or a new one, devices get a second identity\n"
        );
    }
}
