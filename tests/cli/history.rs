//! The history of a ledger: what is in it, and that nobody changes it unseen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::Workplace;

fn history(place: &Workplace) -> Value {
    serde_json::from_str(&place.succeed(&["ledger", "history", "--verify", "--json"])).unwrap()
}

/// Act and subject of each entry.
fn acts(place: &Workplace) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let history = history(place);
    let entries = history["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["act"]), text(&entry["subject"])))
        .collect()
}

fn factory() -> Workplace {
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["ca", "new", "--no-passphrase", "--common-name", "factory"]);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    place
}

#[test]
fn acts_are_kept_and_what_changes_nothing_is_no_act() {
    let place = factory();
    let run = ["run", "devices.csv", "--no-endpoint", "--batch", "b"];
    let mut expected = vec![
        ("ca-new", "CN=factory"),
        ("batch-begun", "b"),
        ("batch-sealed", "b"),
    ];
    let hold = |expected: &[(&str, &str)]| {
        let found = acts(&place);
        let found: Vec<_> = found
            .iter()
            .map(|(act, subject)| (act.as_str(), subject.as_str()))
            .collect();
        assert_eq!(found, expected);
    };
    hold(&expected);
    place.succeed(&run);
    place.fail(&["run", "devices.csv", "--no-endpoint", "--batch", "c"], 7);
    hold(&expected);
    // As if the run had ended before it released anything.
    place.unseal("b");
    let ledger = Connection::open(place.join("ca/ledger.db")).unwrap();
    ledger.execute("UPDATE committed SET released = 0", []).unwrap();
    drop(ledger);
    place.succeed(&run);
    expected.push(("batch-resumed", "b"));
    hold(&expected);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "c", "--reissue"]);
    expected.extend([("reissue-begun", "c"), ("batch-sealed", "c")]);
    hold(&expected);
    let last = &history(&place)["entries"][5];
    assert_eq!(last["number"], 6);
    assert!(last["who"].as_str().unwrap().contains('@'), "{last}");
    assert_eq!(last["version"], env!("CARGO_PKG_VERSION"));
}

/// By the rules of the page alone.
#[test]
fn python_comes_to_the_same_head() {
    let place = factory();
    let script = "import hashlib, json, sys
history = json.load(sys.stdin)
hash = bytes(32)
for e in history['entries']:
    fields = [e[name] for name in ('number', 'at', 'who', 'version', 'act', 'subject', 'what')]
    text = json.dumps(fields, separators=(',', ':'), ensure_ascii=False)
    hash = hashlib.sha256(hash + text.encode()).digest()
    assert hash.hex() == e['hash'], e
assert hash.hex() == history['head'] and len(history['entries']) == 3";
    let history = history(&place).to_string();
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut judge = std::process::Command::new(python)
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut judge.stdin.take().unwrap(), history.as_bytes()).unwrap();
    assert!(judge.wait().unwrap().success());
}

#[test]
fn what_is_changed_by_other_means_is_found() {
    for (change, number) in [
        ("UPDATE history SET what = 'nothing' WHERE number = 2", 2),
        ("DELETE FROM history WHERE number = 2", 2),
        ("DELETE FROM history WHERE number = 1", 1),
        ("UPDATE history SET hash = zeroblob(32) WHERE number = 3", 3),
    ] {
        let place = factory();
        let ledger = Connection::open(place.join("ca/ledger.db")).unwrap();
        let refused = ledger.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains("the history only grows"), "{refused}");
        ledger
            .execute_batch("DROP TRIGGER history_is_not_changed; DROP TRIGGER history_is_not_removed")
            .unwrap();
        ledger.execute(change, []).unwrap();
        drop(ledger);
        let said = place.fail(&["ledger", "history", "--verify"], 7);
        let expected = format!(
            "certforge: error: ledger ca/ledger.db: entry {number} of the history is not what was written, or one before it is gone\n"
        );
        assert!(said.contains(&expected), "{said}");
        let told = place.run(&["ledger", "history"]);
        assert!(told.status.success());
        assert!(
            String::from_utf8_lossy(&told.stderr)
                .contains(&format!("warning: ledger ca/ledger.db: entry {number} "))
        );
    }
}

/// Changes a ledger as somebody would who may write its file.
fn tamper(place: &Workplace, change: &str) {
    let ledger = Connection::open(place.join("ca/ledger.db")).unwrap();
    let drop = "DROP TRIGGER IF EXISTS history_is_not_changed; DROP TRIGGER IF EXISTS history_is_not_removed";
    ledger.execute_batch(drop).unwrap();
    ledger.execute_batch(change).unwrap();
}

#[test]
fn an_end_that_was_taken_out_is_missed_by_the_ca_and_by_its_signature() {
    let place = factory();
    assert_eq!(history(&place)["signed"], 1);
    assert!(
        place
            .succeed(&["ledger", "history", "--verify"])
            .ends_with("\n      1 signature of the issuer holds\n")
    );
    tamper(&place, "DELETE FROM history WHERE number = 3");
    let told = "ledger ca/ledger.db is not what it was: entry 3 of its history was changed or taken out, and ca/ledger.json remembers ";
    for command in [
        &["ledger", "history", "--verify"][..],
        &["run", "devices.csv", "--no-endpoint", "--batch", "b"],
    ] {
        let said = place.fail(command, 7);
        assert!(said.contains(told), "{said}");
    }
    // Whoever may write to the CA's folder makes it forget; what was signed lies beside the batches.
    fs::remove_file(place.join("ca/ledger.json")).unwrap();
    let said = place.fail(&["ledger", "history", "--verify"], 7);
    let told = "certforge: error: ledger ca/ledger.db: its history ends with entry 2, and had 3 when its issuer signed for it, as batch b was sealed (";
    assert!(said.contains(told), "{said}");
    // Unless it was meant so, which the history says.
    let meant = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--new-ledger",
    ];
    fs::write(
        place.join("ca/ledger.json"),
        "{\"ledger\":\"00\",\"reservations\":9}",
    )
    .unwrap();
    place.succeed(&meant);
    let told = place.run(&["ledger", "history", "--verify"]);
    assert!(told.status.success(), "{told:?}");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        said.contains("warning: 1 signature of the issuer: of another history, "),
        "{said}"
    );
}

#[test]
fn a_history_that_was_written_anew_is_not_the_signed_one() {
    let place = factory();
    let before = history(&place);
    let entry = &before["entries"][2];
    let fields = (
        3,
        &entry["at"],
        "nobody@nowhere",
        &entry["version"],
        &entry["act"],
        &entry["subject"],
        &entry["what"],
    );
    let mut hashed = HEXLOWER
        .decode(before["entries"][1]["hash"].as_str().unwrap().as_bytes())
        .unwrap();
    hashed.extend(serde_json::to_vec(&fields).unwrap());
    let hash = HEXLOWER.encode(digest(&SHA256, &hashed).as_ref());
    let change = format!("UPDATE history SET who = 'nobody@nowhere', hash = x'{hash}' WHERE number = 3");
    tamper(&place, &change);
    fs::remove_file(place.join("ca/ledger.json")).unwrap();
    let said = place.fail(&["ledger", "history", "--verify"], 7);
    let told = "entry 3 of its history is not the one for which its issuer signed when batch b was sealed (";
    assert!(said.contains(told), "{said}");
    // Nor does a run sign for it in place of the other.
    let said = place.fail(&["run", "devices.csv", "--no-endpoint", "--batch", "b"], 7);
    assert!(said.contains(told), "{said}");
}

#[test]
fn a_signature_that_is_changed_or_anothers_or_gone_is_told_of() {
    let place = factory();
    let path = place.join("out/b/history.json");
    let whole = fs::read_to_string(&path).unwrap();
    for (text, code, told) in [
        (
            whole.replace("\"number\":3", "\"number\":2"),
            5,
            "the signature of ",
        ),
        (
            whole.replace("certforge_history", "certforge_seal"),
            6,
            "out/b/history.json is no seal",
        ),
        ("{}".to_owned(), 6, "out/b/history.json is no seal"),
        (
            whole.replace("{\"certforge_history\":1,", "{\"certforge_history\":9,"),
            6,
            "out/b/history.json has format 9, this certforge reads formats up to 1",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let said = place.fail(&["ledger", "history", "--verify"], code);
        assert!(said.contains(told), "{said}");
        place.fail(&["run", "devices.csv", "--no-endpoint", "--batch", "b"], code);
    }
    fs::remove_file(&path).unwrap();
    let told = place.run(&["ledger", "history", "--verify"]);
    assert!(told.status.success());
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        said.contains("out/b was sealed and has no history.json: "),
        "{said}"
    );
    // It is signed for again.
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    assert_eq!(history(&place)["signed"], 1);
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn a_batch_that_the_ledger_has_forgotten_still_has_its_signature() {
    let place = factory();
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "c", "--reissue"]);
    // An earlier one does not stand for it.
    let own = fs::read(place.join("out/c/history.json")).unwrap();
    fs::copy(place.join("out/b/history.json"), place.join("out/c/history.json")).unwrap();
    let said = place.fail(&["ledger", "history", "--verify"], 6);
    assert!(
        said.contains("out/c/history.json is not what the seal says"),
        "{said}"
    );
    fs::write(place.join("out/c/history.json"), own).unwrap();
    tamper(
        &place,
        "PRAGMA foreign_keys = OFF; DELETE FROM history WHERE number > 3; DELETE FROM batch WHERE name = 'c'",
    );
    fs::remove_file(place.join("ca/ledger.json")).unwrap();
    let said = place.fail(&["ledger", "history", "--verify"], 7);
    assert!(
        said.contains(
            "its history ends with entry 3, and had 5 when its issuer signed for it, as batch c was sealed"
        ),
        "{said}"
    );
}

#[test]
fn what_is_written_out_or_burned_is_in_the_history() {
    let place = factory();
    place.succeed(&["ledger", "export"]);
    let entries = history(&place);
    let last = entries["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["act"], &last["what"]),
        (&"ledger-exported".into(), &"3 devices".into())
    );
    // The ledger's folder is one that nobody may write to, or somebody writes now: it is said, and done.
    let _lock = certforge::ledger::open(place.join("ca/ledger.db").as_path(), [0; 16]).unwrap();
    let told = place.run(&["ledger", "export"]);
    assert!(told.status.success());
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        said.contains("warning: the history of ledger ca/ledger.db does not tell of this: "),
        "{said}"
    );
}

/// What is written is public, and is text to a terminal.
#[test]
fn a_ledger_without_acts_has_no_history() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = ["run", "devices.csv", "--no-endpoint", "--batch", "b"];
    place.fail(&[&run[..], &["--to", "devices.csv"]].concat(), 6);
    assert_eq!(
        place.succeed(&["ledger", "history"]),
        "ledger ca/ledger.db has no history yet\n"
    );
    place.fail(&["ledger", "history", "--ledger", "nowhere.db"], 7);
}
