//! The history of a ledger: what is in it, and that nobody changes it unseen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
