//! The same command again: it goes on, does nothing, or says why it must not go on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::support::Workplace;

const RUN: [&str; 7] = [
    "run",
    "devices.csv",
    "--no-endpoint",
    "--batch",
    "b",
    "--chunk-rows",
    "2",
];

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

fn open(place: &Workplace) -> Connection {
    Connection::open(place.join("ca/ledger.db")).expect("the ledger opens")
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
        assert!(text.contains("nothing: 5 devices made before"), "{text}");
        assert_eq!(files(&place.join("out")), before);
    }
}

#[test]
fn a_second_run_sees_what_was_changed_since_the_first() {
    for (object, told) in [
        (
            "index/000000.csv",
            "index/000000.csv is not what the ledger released: it was changed since",
        ),
        (
            "lookup/000000.csv",
            "lookup/000000.csv is not what the seal says: it was changed after the batch was sealed",
        ),
    ] {
        let place = workplace("packs");
        place.succeed(&run("packs"));
        let path = place.join("out/b").join(object);
        let mut octets = fs::read(&path).expect("it is there");
        let last = octets.len() - 2;
        octets[last] ^= 1;
        fs::write(&path, octets).expect("it is changed");
        let error = place.fail(&run("packs"), 6);
        assert!(error.contains(&format!("certforge: error: {told}\n")), "{error}");
    }
}

#[test]
fn releases_a_chunk_that_was_committed_and_makes_one_that_was_not() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        let before = files(&place.join("out/b"));
        place.unseal("b");
        // As a process leaves them that is killed between commit and release, and before commit.
        open(&place)
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
            text.contains("progress     2 of 5 devices released, 2 stored and not yet released, 1 left\n"),
            "{text}"
        );
        let faults = place.run(&["verify", "out/b"]);
        assert_eq!(faults.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&faults.stdout),
            "batch: incomplete: 3 of 5 devices are not released, or their index is gone; `certforge run` again goes on\n\
             batch b: 1 fault; 2 of 5 devices are good, against manifest devices.csv and the ledger\n"
        );
        let text = place.succeed(&run(layout));
        assert!(text.contains("made         1 device in "), "{text}");
        assert!(text.contains("skipped      4 made before\n"), "{text}");
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
    let message = "certforge: error: batch b: bundles that the ledger accounts for are not in [HERE]/out/b (3 of 3 chunks)\n\
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
    let hint = "certforge: hint: find the ledger that it was made with and name it with --ledger\n";
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
    for name in ["ca/ledger.db", "ca/ledger.db-lock"] {
        fs::remove_file(place.join(name)).expect("the ledger is removed");
    }
    let anew = [&RUN[..], &["--new-ledger"]].concat();
    let text = place.fail(&anew, 6);
    assert_eq!(text.replace(&*place.path().to_string_lossy(), "[HERE]"), foreign);
}

/// As when an old copy of the ledger is put back: to go on with it would give devices a second identity.
#[test]
fn makes_nothing_anew_in_a_batch_that_is_sealed() {
    let place = workplace("objects");
    open(&place)
        .execute_batch("DELETE FROM committed WHERE chunk = 2; DELETE FROM device WHERE row >= 4")
        .expect("the ledger is changed");
    fs::remove_file(place.join("out/b/index/000002.csv")).expect("an index");
    assert_eq!(
        refusal(&place),
        "certforge: error: [HERE]/out/b is sealed, so it was complete, and this ledger does not know of 1 of its chunks\n\
         certforge: hint: this is an older copy of the ledger: find the latest one and name it with --ledger\n"
    );
}

/// A batch as a process leaves it that is killed before it commits anything.
fn interrupted(layout: &str) -> Workplace {
    let place = workplace(layout);
    open(&place)
        .execute_batch("DELETE FROM committed; DELETE FROM device")
        .expect("the ledger is changed");
    fs::remove_dir_all(place.join("out/b/index")).expect("the indexes are removed");
    place.unseal("b");
    fs::remove_file(place.join("out/b/history.json")).expect("the head is removed");
    place
}

#[test]
fn begins_anew_where_nothing_was_committed() {
    for layout in ["objects", "packs"] {
        let place = interrupted(layout);
        let text = place.succeed(&run(layout));
        assert!(text.contains("made         5 devices in "), "{text}");
        place.succeed(&["verify", "out/b"]);
    }
}

#[test]
fn refuses_what_an_attempt_with_other_settings_left() {
    let place = interrupted("objects");
    let before = files(&place.join("out/b"));
    for settings in [
        &["--layout", "packs"][..],
        &["--chunk-rows", "1"],
        &["--endpoint", "a.example"],
    ] {
        let arguments = [&["run", "devices.csv", "--batch", "b"], settings].concat();
        let text = place.fail(&arguments, 6);
        assert_eq!(
            text.replace(&*place.path().to_string_lossy(), "[HERE]"),
            "certforge: error: [HERE]/out/b holds bundles of an earlier attempt, begun with other settings and \
             never released\n\
             certforge: hint: delete that folder, which holds private keys that no one needs, and run again\n"
        );
        assert_eq!(files(&place.join("out/b")), before, "nothing is made");
    }
    fs::remove_dir_all(place.join("out/b")).expect("the folder is deleted");
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        "packs",
    ]);
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn begins_with_other_settings_where_no_bundle_is() {
    let place = interrupted("objects");
    for folder in ["bundles", "certificates"] {
        fs::remove_dir_all(place.join("out/b").join(folder)).expect("the folder is removed");
    }
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        "packs",
    ]);
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn releases_nothing_whose_bundles_are_gone() {
    for (layout, object) in [
        ("objects", "bundles/de/SN000000.zip"),
        ("packs", "packs/000000.zip"),
    ] {
        let place = workplace(layout);
        open(&place)
            .execute_batch("UPDATE committed SET released = 0 WHERE chunk = 0")
            .expect("the ledger is changed");
        fs::remove_file(place.join("out/b/index/000000.csv")).expect("an index");
        let object = place.join("out/b").join(object);
        let octets = fs::read(&object).expect("an object");
        for damaged in [None, Some(&octets[..octets.len() / 8])] {
            match damaged {
                None => fs::remove_file(&object).expect("the object is removed"),
                Some(start) => fs::write(&object, start).expect("the object is cut"),
            }
            let text = place.fail(&run(layout), 6);
            assert!(
                text.starts_with(
                    "certforge: error: batch b: bundles that the ledger accounts for are not in "
                ),
                "{text}"
            );
            assert!(
                !place.join("out/b/index/000000.csv").exists(),
                "nothing is released"
            );
        }
        fs::write(&object, octets).expect("the object is put back");
        place.succeed(&run(layout));
        place.succeed(&["verify", "out/b"]);
    }
}

#[test]
fn refuses_a_batch_folder_that_others_can_enter() {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let folder = place.join("out/b");
    fs::create_dir_all(&folder).expect("a folder");
    for mode in [0o750, 0o701, 0o720, 0o777] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("the mode is set");
        assert_eq!(
            refusal(&place),
            format!(
                "certforge: error: store: [HERE]/out/b belongs to another user or is open to others (mode \
                 {mode:04o})\n\
                 certforge: hint: bundles hold private keys: chmod 700 [HERE]/out/b, or choose another --to; a share of SMB is mounted with \
                 file_mode=0600,dir_mode=0700\n"
            )
        );
        assert!(files(&folder).is_empty(), "nothing is made");
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("the mode is set");
    place.succeed(&RUN);
}

#[test]
fn refuses_a_batch_folder_of_another_user_also_when_it_goes_on_or_seals() {
    use std::os::unix::fs::chown;
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&RUN);
    let folder = place.join("out/b");
    if chown(&folder, Some(1000), None).is_err() {
        eprintln!("LEFT OUT: only root can give a folder away");
        return;
    }
    for command in [&RUN[..], &["seal", "out/b", "--ca", "ca"]] {
        let text = place.fail(command, 6);
        assert!(
            text.contains("out/b belongs to another user (uid 1000)"),
            "{text}"
        );
        assert!(text.contains("hint: who owns it could read every key"), "{text}");
    }
    chown(&folder, Some(0), None).expect("the folder is taken back");
    place.succeed(&RUN);
}

#[test]
fn tells_machines_of_a_run_that_stopped_in_one_document() {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let folder = place.join("out/b");
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("the mode is set");
    // Where the folder of the bundles would be.
    fs::write(folder.join("bundles"), "").expect("a file");
    let output = place.run(&[&RUN[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(6));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!((&report["devices"], &report["made"]), (&5.into(), &0.into()));
    assert_eq!(report["error"]["exit_code"], 6);
    let message = report["error"]["message"].as_str().expect("a message");
    let hint = report["error"]["hint"].as_str().expect("a hint");
    assert!(message.starts_with("store: cannot write "), "{message}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.ends_with(&format!("certforge: error: {message}\ncertforge: hint: {hint}\n")),
        "{stderr}"
    );

    fs::remove_file(folder.join("bundles")).expect("the file is removed");
    place.succeed(&RUN);
    place.succeed(&["verify", "out/b"]);
}

#[test]
fn goes_on_with_a_batch_whose_devices_were_reissued_since() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout);
        // The first batch is not even complete.
        place.unseal("b");
        open(&place)
            .execute_batch("DELETE FROM committed WHERE chunk = 2; DELETE FROM device WHERE row >= 4")
            .expect("the ledger is changed");
        fs::remove_file(place.join("out/b/index/000002.csv")).expect("an index");
        fs::write(place.join("returns.csv"), "serial_number\nSN000000\nSN000003\n")
            .expect("the manifest is written");
        place.succeed(&[
            "run",
            "returns.csv",
            "--no-endpoint",
            "--batch",
            "returns",
            "--reissue",
        ]);
        let text = place.succeed(&run(layout));
        assert!(text.contains("made         1 device in "), "{text}");
        assert!(text.contains("skipped      4 made before\n"), "{text}");
        place.succeed(&["verify", "out/b"]);
        place.succeed(&["verify", "out/returns"]);
    }
}

#[test]
fn a_store_that_refuses_leaves_no_batch_in_the_ledger() {
    let place = Workplace::new();
    place.manifest(2);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let folder = place.join("out/b");
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("the mode is set");
    place.fail(&RUN, 6);
    assert_eq!(place.succeed(&["status"]), "ledger ca/ledger.db has no batches\n");
}

#[test]
fn warns_when_the_ledger_is_new_and_the_ca_may_not_be() {
    let place = Workplace::new();
    place.manifest(2);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    // An earlier certforge made it, which noted nothing.
    fs::remove_file(place.join("ca/ledger.json")).expect("a note of a new CA");
    let warning = "warning: ledger ca/ledger.db is new and knows of no device";
    let stderr = |arguments: &[&str]| {
        let output = place.run(arguments);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // A run that was refused before makes the ledger no less new.
    place.fail(&["run", "devices.csv", "--no-endpoint", "--ca", "nowhere"], 5);
    assert!(stderr(&RUN).contains(warning));
    assert!(!stderr(&RUN).contains(warning));
}

#[test]
fn names_the_batch_of_a_manifest_that_was_renamed() {
    let place = Workplace::new();
    place.manifest(4);
    place.succeed(&["run", "devices.csv", "--no-endpoint"]);
    let batch = place
        .only_batch()
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    fs::rename(place.join("devices.csv"), place.join("renamed.csv")).expect("the manifest is renamed");
    assert_eq!(
        place.fail(&["run", "renamed.csv", "--no-endpoint"], 7),
        format!(
            "certforge: error: manifest renamed.csv is that of batch {batch}\n\
             certforge: hint: --batch {batch} goes on with it; a second identity for every row must be asked \
             for: --reissue, with a new --batch\n"
        )
    );
    let text = place.succeed(&["run", "renamed.csv", "--no-endpoint", "--batch", &batch]);
    assert!(text.contains("nothing: 4 devices made before"), "{text}");
}

#[test]
fn says_what_a_spreadsheet_user_got_wrong() {
    let place = Workplace::new();
    for (name, content, message) in [
        (
            "book.xlsx",
            &b"PK\x03\x04rest"[..],
            "certforge: error: manifest book.xlsx is an Excel workbook or another ZIP, not a CSV\n\
             certforge: hint: in Excel choose `CSV UTF-8 (Comma delimited)` when saving\n",
        ),
        (
            "devices.xlsx",
            b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00xxxx[Content_Types].xml",
            "certforge: error: manifest devices.xlsx is an Excel workbook, not a CSV\n\
             certforge: hint: in Excel choose `CSV UTF-8 (Comma delimited)` when saving\n",
        ),
        (
            "devices.ods",
            b"PK\x03\x04\x14\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
            "certforge: error: manifest devices.ods is a spreadsheet of LibreOffice, not a CSV\n\
             certforge: hint: in LibreOffice save it as `Text CSV`, with character set UTF-8\n",
        ),
        (
            "title.csv",
            b"Serial Number,site\nA1,x\n",
            "certforge: error: manifest title.csv, line 1: no column serial_number, which every device needs; the \
             columns are Serial Number, site\n\
             certforge: hint: rename column Serial Number to serial_number\n",
        ),
        (
            "devices.csv.xz",
            b"\xfd7zXZ\0rest",
            "certforge: error: manifest devices.csv.xz is compressed by xz, not a CSV\n\
             certforge: hint: a manifest is a CSV file, or one that gzip has compressed\n",
        ),
        (
            "old.xls",
            b"\xd0\xcf\x11\xe0rest",
            "certforge: error: manifest old.xls is a workbook of old versions of Excel, not a CSV\n\
             certforge: hint: in Excel choose `CSV UTF-8 (Comma delimited)` when saving\n",
        ),
        (
            "decimals.csv",
            b"serial_number\n123456.0\n",
            "certforge: error: manifest decimals.csv, line 2, column serial_number: \"123456.0\" is a number with decimals\n\
             certforge: hint: a program has taken serials for numbers, and leading zeros may be lost too: export again \
             with that column as text; `certforge check decimals.csv`, with the same --profile, lists every bad line\n",
        ),
        (
            "cleared.csv",
            b"serial_number,site\nA1,x\n,\n,\n\n,\nA2,y\n,\n",
            "certforge: error: manifest cleared.csv, line 3: this row is empty, and so is every one to line 6\n\
             certforge: hint: delete them, or find out which devices are missing there; empty rows at the end of a \
             manifest are passed over; `certforge check cleared.csv`, with the same --profile, lists every bad line\n",
        ),
        (
            "rounded.csv",
            b"serial_number\nA1\n1.23457E+14\n",
            "certforge: error: manifest rounded.csv, line 3, column serial_number: \"1.23457E+14\" looks like a number \
             that a spreadsheet has rewritten\n\
             certforge: hint: digits are lost: export again from where the serials come, with that column as text; \
             Excel's own file has lost them too; `certforge check rounded.csv`, with the same --profile, lists every bad line\n",
        ),
        (
            "guarded.csv",
            b"serial_number\n=\"000123\"\n",
            "certforge: error: manifest guarded.csv, line 2, column serial_number: \"=\\\"000123\\\"\" looks like text \
             that a spreadsheet was kept from rewriting\n\
             certforge: hint: export again with that column as text, without the = and the quotes, or the apostrophe, \
             before it; `certforge check guarded.csv`, with the same --profile, lists every bad line\n",
        ),
    ] {
        fs::write(place.join(name), content).expect("the manifest is written");
        assert_eq!(place.fail(&["run", name, "--no-endpoint"], 3), message);
    }
    for sep in ["sep=;\r\n", "\u{feff}SEP=;\n"] {
        let text = format!("{sep}serial_number;site\r\nA1;x,y\r\nA/2;x\r\n");
        fs::write(place.join("sep.csv"), text).expect("the manifest is written");
        let output = place.run(&["check", "sep.csv"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            told.starts_with("sep.csv, line 4, column serial_number: \"A/2\" contains \"/\"\n"),
            "{told}"
        );
        let good = format!("{sep}serial_number;site\r\nA1;x,y\r\nA2;x\r\n");
        fs::write(place.join("sep.csv"), good).expect("the manifest is written");
        place.succeed(&[
            "run",
            "sep.csv",
            "--no-endpoint",
            "--batch",
            &format!("b{}", sep.len()),
        ]);
        place.succeed(&["verify", &format!("out/b{}", sep.len())]);
        fs::remove_dir_all(place.join("out")).expect("it was made");
        fs::remove_dir_all(place.join("ca")).expect("it was made");
    }
}

/// What each row may be, and all of them together hardly are.
#[test]
fn tells_what_is_odd_about_ids_and_makes_them_even_so() {
    let place = Workplace::new();
    for (name, ids, told) in [
        (
            "zeros.csv",
            &["000998", "000999", "1000", "001001"][..],
            "zeros.csv: warning: ids of digits alone have different lengths: 1 of 4 (such as \"1000\" on line 4), 3 of 6 \
             (such as \"000998\" on line 2): a spreadsheet may have taken leading zeros away\n",
        ),
        (
            "both.csv",
            &["000123", "123", "A"],
            "both.csv: warning: line 3: \"123\" differs from \"000123\" on line 2 in leading zeros alone: one device with two \
             identities?\n",
        ),
        (
            "mac.csv",
            &["AA:BB:CC:DD:EE:01", "X", "aa:bb:cc:dd:ee:01"],
            "mac.csv: warning: line 4: \"aa:bb:cc:dd:ee:01\" differs from \"AA:BB:CC:DD:EE:01\" on line 2 in case alone: one \
             device with two identities?\n",
        ),
        (
            "letters.csv",
            &["SN00O1", "SN0001"],
            "letters.csv: warning: line 3: \"SN0001\" differs from \"SN00O1\" on line 2 in O and 0 alone: one device with two \
             identities?\n",
        ),
        (
            "plain.csv",
            &["1", "2", "A1", "a2"],
            "plain.csv: 4 devices, all fit profile aws-iot-p256\n",
        ),
    ] {
        fs::write(place.join(name), format!("serial_number\n{}\n", ids.join("\n"))).expect("it is written");
        let checked = place.succeed(&["check", name]);
        assert!(checked.starts_with(told), "{checked}");
        assert!(
            checked.ends_with(" devices, all fit profile aws-iot-p256\n"),
            "{checked}"
        );
    }
    let output = place.run(&["run", "mac.csv", "--no-endpoint"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("certforge: warning: mac.csv: line 4: \"aa:bb:cc:dd:ee:01\" differs from"),
        "{told}"
    );
    // A duplicate is one, whatever else is odd.
    fs::write(place.join("all.csv"), "serial_number\nA1\na1\nA1\n").expect("it is written");
    let output = place.run(&["check", "all.csv"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("line 4, column serial_number: \"A1\" is on line 2 already"),
        "{told}"
    );
    assert!(
        told.contains("warning: line 3: \"a1\" differs from \"A1\" on line 2 in case alone"),
        "{told}"
    );
}

/// Rows that were cleared in a spreadsheet are written as delimiters alone.
#[test]
fn passes_over_empty_rows_at_the_end() {
    let place = Workplace::new();
    fs::write(
        place.join("devices.csv"),
        "serial_number;site\r\nA1;x\r\nA2;\r\n;\r\n;\r\n\"\";\"\"\r\n",
    )
    .expect("it is written");
    assert_eq!(
        place.succeed(&["check", "devices.csv"]),
        "devices.csv: 2 devices, all fit profile aws-iot-p256\n"
    );
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "b"]);
    place.succeed(&["verify", "out/b"]);
}

/// A manifest is read twice; what can be read once only is put aside.
#[test]
fn reads_pipes_and_what_gzip_has_compressed() {
    let place = Workplace::new();
    place.manifest(3);
    let program = env!("CARGO_BIN_EXE_certforge");
    let script = format!(
        "set -e; cd {place}; gzip -k devices.csv; cat devices.csv | {program} check -; {program} check - < devices.csv; \
         cat devices.csv.gz | {program} check /dev/stdin; {program} run devices.csv.gz; \
         {program} run devices.csv; cat devices.csv | {program} run - --batch again --reissue",
        place = place.path().display(),
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output();
    let output = output.expect("sh runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        told.matches("/dev/stdin: 3 devices, all fit").count(),
        3,
        "{told}"
    );
    // What it holds is the same batch.
    assert_eq!(told.matches("batch        devices-").count(), 2, "{told}");
    assert_eq!(
        told.matches("nothing: 3 devices made before").count(),
        1,
        "{told}"
    );
    assert_eq!(told.matches("batch        again").count(), 1, "{told}");
}

/// What an attempt put aside holds keys, though no listing shows it.
#[test]
fn what_was_put_aside_does_not_stay_in_a_batch_that_begins_as_something_else() {
    let place = Workplace::new();
    place.manifest(4);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "other"]);
    let batch = place.join("out/b");
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
        .create(&batch)
        .expect("a folder");
    // Nothing can be written there, so nothing is committed.
    fs::write(batch.join("packs"), "").expect("it is in the way");
    let run = |layout: &'static str| {
        [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--batch",
            "b",
            "--reissue",
            "--layout",
            layout,
        ]
    };
    place.fail(&run("packs"), 6);
    fs::remove_file(batch.join("packs")).expect("it was in the way");
    fs::create_dir(batch.join("packs")).expect("a folder");
    let aside = batch.join("packs/.000000.zip.0123456789abcdef.tmp");
    fs::write(&aside, "keys").expect("it is put aside");
    let told = place.fail(&run("objects"), 6);
    assert!(
        told.contains("delete that folder, which holds private keys"),
        "{told}"
    );
    fs::remove_file(aside).expect("it is there");
    place.succeed(&run("objects"));
}
