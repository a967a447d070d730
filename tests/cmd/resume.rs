//! The same command again: it goes on, does nothing, or says why it must not go on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::support::Workplace;

const RUN: [&str; 6] = ["run", "devices.csv", "--batch", "b", "--chunk-rows", "2"];

/// A workplace with a batch `b` of five devices in three chunks.
fn workplace(layout: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&run(layout));
    place
}

fn run(layout: &str) -> Vec<&str> {
    let mut arguments = RUN.to_vec();
    arguments.extend(["--layout", layout]);
    arguments
}

/// Every file under a folder with what it holds.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.append(&mut self::files(&path));
        } else {
            let content = fs::read(&path).expect("a file");
            files.insert(path, content);
        }
    }
    files
}

fn refusal(place: &Workplace) -> String {
    let text = place.fail(&RUN, 6);
    text.replace(&*place.path().to_string_lossy(), "[HERE]")
}

#[test]
fn a_second_run_changes_no_file_of_the_batch() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        let before = files(&place.join("out"));
        let text = place.succeed(&run(layout));
        assert!(text.contains("nothing: all 5 devices were made before"), "{text}");
        assert_eq!(files(&place.join("out")), before);
    }
}

#[test]
fn releases_a_chunk_that_was_committed_and_makes_one_that_was_not() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        let before = files(&place.join("out/b"));
        // As a process leaves them that is killed between commit and release, and before commit.
        Connection::open(place.join("certforge.db"))
            .expect("the ledger opens")
            .execute_batch(
                "UPDATE committed SET released = 0 WHERE chunk = 1; \
                 DELETE FROM committed WHERE chunk = 2; \
                 DELETE FROM device WHERE row >= 4",
            )
            .expect("the ledger is changed");
        for chunk in ["1", "2"] {
            fs::remove_file(place.join(&format!("out/b/index/00000{chunk}.csv"))).expect("an index");
        }
        let text = place.succeed(&["status"]);
        assert!(
            text.contains("progress  2 of 5 devices released, 2 stored and not yet released, 1 left\n"),
            "{text}"
        );
        let faults = place.run(&["verify", "out/b"]);
        assert_eq!(faults.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&faults.stdout),
            "batch: incomplete: 3 devices in 2 chunks are not released, from row 3 on; `certforge run` again makes them\n\
             batch b: 1 fault; 2 of 5 devices are good, against manifest devices.csv and the ledger\n"
        );
        let text = place.succeed(&run(layout));
        assert!(text.contains("made      1 device in "), "{text}");
        assert!(text.contains("skipped   4 made before\n"), "{text}");
        place.succeed(&["verify", "out/b"]);
        let after = files(&place.join("out/b"));
        let index = place.join("out/b/index/000001.csv");
        assert_eq!(
            after[&index], before[&index],
            "what was committed is released as it was"
        );
    }
}

#[test]
fn makes_nothing_anew_when_the_bundles_are_gone() {
    let place = workplace("objects");
    fs::remove_dir_all(place.join("out")).expect("the folder is removed");
    let message = "certforge: error: batch b: 3 of 3 chunks that were released are no longer in [HERE]/out/b\n\
                   certforge: hint: put the folder back; private keys exist nowhere else. To give the devices new \
                   identities: --reissue with a new --batch\n";
    assert_eq!(refusal(&place), message);
    assert!(!place.join("out").exists(), "nothing is made");

    let place = workplace("objects");
    fs::remove_file(place.join("out/b/index/000001.csv")).expect("the index is removed");
    assert_eq!(refusal(&place), message.replace("3 of 3", "1 of 3"));
}

#[test]
fn does_not_go_on_in_a_folder_that_is_not_its_own() {
    let hint =
        "certforge: hint: use the ledger it was made with (--ledger), or choose another --batch or --to\n";
    let place = workplace("objects");
    let indexes = place.join("out/b/index");
    fs::copy(indexes.join("000000.csv"), indexes.join("000007.csv")).expect("an index is copied");
    assert_eq!(
        refusal(&place),
        format!(
            "certforge: error: [HERE]/out/b has an index for chunk 7, of which this ledger knows nothing\n{hint}"
        )
    );

    let foreign = format!(
        "certforge: error: [HERE]/out/b holds another batch, or one that another ledger accounts for\n{hint}"
    );
    let place = workplace("objects");
    fs::write(place.join("out/b/batch.json"), "{}\n").expect("the record is overwritten");
    assert_eq!(refusal(&place), foreign);

    let place = workplace("objects");
    for name in ["certforge.db", "certforge.db-lock"] {
        fs::remove_file(place.join(name)).expect("the ledger is removed");
    }
    assert_eq!(refusal(&place), foreign);
}
