//! The ledger belongs to the CA: it is found from every folder, and another one, or an older copy, is refused before anything
//! is made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Workplace, tool};

/// A factory with a CA for production, and manifests of devices.
fn factory() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    manifest(&place, "a.csv", 0..6);
    manifest(&place, "b.csv", 6..12);
    // It has one device of b.
    manifest(&place, "c.csv", 11..14);
    place
}

fn manifest(place: &Workplace, name: &str, ids: std::ops::Range<u32>) {
    let rows: String = ids.map(|id| format!("SN{id:03}\n")).collect();
    fs::write(place.join(name), format!("serial_number\n{rows}")).expect("the manifest is written");
}

fn run<'a>(batch: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let manifest = match batch {
        "a" => "a.csv",
        "b" => "b.csv",
        _ => "c.csv",
    };
    let run = [
        "run",
        manifest,
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        batch,
        "--chunk-rows",
        "2",
    ];
    [&run[..], more].concat()
}

fn copy(place: &Workplace, from: &str, to: &str) {
    let copied = tool("cp", &["-a", from, to], place.path());
    assert!(copied.status.success(), "{copied:?}");
}

fn remove(place: &Workplace, name: &str) {
    let path = place.join(name);
    match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
    .expect("it was there");
}

/// Nothing of a batch was made.
fn is_not_made(place: &Workplace, batch: &str) {
    let index = place.join("out").join(batch).join("index");
    assert!(!index.exists(), "something of {batch} was made");
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_ca_that_is_new_has_a_ledger_in_its_folder_and_says_so_without_a_warning() {
    let place = factory();
    let output = place.run(&run("a", &[]));
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "", "a new CA never had a ledger");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ledger       ca/ledger.db\n"));
    let mark = fs::read_to_string(place.join("ca/ledger.json")).expect("a mark");
    assert!(mark.contains("\"reservations\": 3"), "{mark}");
    let mode = place
        .join("ca/ledger.json")
        .metadata()
        .expect("a mark")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Of one that was made elsewhere nobody knows.
    fs::create_dir(place.join("old")).expect("a folder");
    for file in ["certificate.pem", "key.pem"] {
        copy(&place, &format!("ca/{file}"), "old");
    }
    let output = place.run(&[
        "run",
        "c.csv",
        "--no-endpoint",
        "--ca",
        "old",
        "--to",
        "elsewhere",
    ]);
    assert!(
        text(&output).contains("warning: ledger old/ledger.db is new and knows of no device"),
        "{}",
        text(&output)
    );
}

#[test]
fn another_folder_has_the_same_ledger() {
    let place = factory();
    place.succeed(&run("b", &[]));
    let elsewhere = place.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    let there = |arguments: &[&str]| {
        let output = place.command(arguments).current_dir(&elsewhere).output();
        output.expect("the binary runs")
    };
    let again = there(&["run", "../c.csv", "--no-endpoint", "--ca", "../ca"]);
    assert_eq!(again.status.code(), Some(7), "{}", text(&again));
    assert!(text(&again).contains("SN011"), "{}", text(&again));
    let checked = there(&["check", "../c.csv", "--ca", "../ca"]);
    assert_eq!(checked.status.code(), Some(7), "{}", text(&checked));
    fs::write(elsewhere.join("certforge.toml"), "ca = '../ca'\n").expect("settings");
    let status = there(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("batch        b\n"));
}

#[test]
fn yesterdays_ledger_is_refused() {
    let place = factory();
    place.succeed(&run("a", &[]));
    copy(&place, "ca/ledger.db", "yesterday.db");
    place.succeed(&run("b", &[]));
    fs::rename(place.join("yesterday.db"), place.join("ca/ledger.db")).expect("it is put back");
    let told = place.fail(&run("c", &["--to", "new"]), 7);
    assert!(
        told.starts_with(
            "certforge: error: ledger ca/ledger.db is an older copy: it has 3 reservations, and ca/ledger.json remembers "
        ),
        "{told}"
    );
    assert!(
        told.contains(" with 6 reservations, which was ca/ledger.db\n"),
        "{told}"
    );
    assert!(
        told.contains("`certforge ledger rebuild`") && told.contains("--new-ledger"),
        "{told}"
    );
    assert!(!place.join("new").exists());
    for other in [&["check", "c.csv"][..], &["ca", "crl"]] {
        let told = place.fail(other, 7);
        assert!(told.contains(" is an older copy: "), "{told}");
    }
    // On purpose it is taken, and from then on it is the one.
    place.succeed(&run("c", &["--to", "new", "--new-ledger"]));
    place.succeed(&run("c", &["--to", "new"]));
}

#[test]
fn another_ledger_is_refused_and_one_that_is_gone_is_not_made_anew() {
    let place = factory();
    place.succeed(&run("a", &[]));
    let told = place.fail(&run("b", &["--ledger", "other.db"]), 7);
    assert!(
        told.starts_with("certforge: error: ledger other.db is not there, and ca/ledger.json remembers "),
        "{told}"
    );
    assert!(!place.join("other.db").exists());
    fs::rename(place.join("ca/ledger.db"), place.join("moved.db")).expect("it was made");
    let told = place.fail(&run("b", &[]), 7);
    assert!(
        told.contains("ledger ca/ledger.db is not there, and ca/ledger.json remembers "),
        "{told}"
    );
    assert!(!place.join("ca/ledger.db").exists());
    // Wherever it is, it is that one.
    place.succeed(&run("b", &["--ledger", "moved.db"]));
    // Another one that is there.
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "second"]);
    place.succeed(&[
        "run",
        "c.csv",
        "--no-endpoint",
        "--ca",
        "second",
        "--to",
        "seconds",
    ]);
    let told = place.fail(&run("c", &["--ledger", "second/ledger.db"]), 7);
    assert!(
        told.starts_with("certforge: error: ledger second/ledger.db is not the one of this CA: its id is "),
        "{told}"
    );
    is_not_made(&place, "c");
}

#[test]
fn a_note_in_the_folder_says_where_the_ledger_is() {
    let place = factory();
    fs::create_dir(place.join("ledgers")).expect("a folder");
    fs::write(place.join("ca/ledger.toml"), "ledger = \"../ledgers/x.db\"\n").expect("a note");
    let made = place.succeed(&run("a", &[]));
    assert!(made.contains("ledger       ledgers/x.db\n"), "{made}");
    assert!(place.succeed(&["status"]).contains("batch        a\n"));
    place.succeed(&["verify", "out/a"]);
    fs::write(
        place.join("ca/ledger.toml"),
        "ledger = \"postgres://u:s3cret@h/d\"\n",
    )
    .expect("a note");
    let told = place.fail(&["status"], 7);
    assert!(
        told.contains("ca/ledger.toml: ") && !told.contains("s3cret"),
        "{told}"
    );
    for given in [
        &["status", "--ledger", "postgres://u:s3cret@h/d"][..],
        &["status", "--no-such"],
    ] {
        let output = place
            .command(given)
            .env("CERTFORGE_LEDGER", "postgres://u:s3cret@h/d")
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(!text(&output).contains("s3cret"), "{}", text(&output));
    }
}

#[test]
fn yesterdays_whole_ca_folder_is_refused() {
    let place = factory();
    place.succeed(&run("a", &[]));
    copy(&place, "ca", "yesterday");
    place.succeed(&run("b", &[]));
    remove(&place, "ca");
    fs::rename(place.join("yesterday"), place.join("ca")).expect("it is put back");
    let told = place.fail(&run("c", &[]), 7);
    let b = place.join("out/b");
    assert!(
        told.starts_with(&format!(
            "certforge: error: {} has 3 released chunks of which ledger ca/ledger.db knows nothing: it is another ledger, or an \
             older copy\n",
            b.display()
        )),
        "{told}"
    );
    assert!(told.contains("`certforge ledger rebuild`"), "{told}");
    is_not_made(&place, "c");
    // The same where the batch has found another home, and a link leads to it.
    fs::rename(&b, place.join("b")).expect("it is moved");
    std::os::unix::fs::symlink(place.join("b"), &b).expect("a link");
    let told = place.fail(&run("c", &[]), 7);
    assert!(told.contains("/out/b has 3 released chunks "), "{told}");
    // What is passed over on purpose is remembered; what comes to it is not.
    place.succeed(&run("c", &["--new-ledger"]));
    assert!(
        place
            .succeed(&run("c", &[]))
            .contains("nothing: 3 devices made before")
    );
    fs::copy(b.join("index/000002.csv"), b.join("index/000003.csv")).expect("an index");
    let told = place.fail(&run("a", &[]), 7);
    assert!(told.contains("/out/b has 4 released chunks "), "{told}");
}

#[test]
fn yesterdays_whole_ca_folder_is_refused_where_a_batch_of_today_is_not_released() {
    let place = factory();
    place.succeed(&run("a", &[]));
    copy(&place, "ca", "yesterday");
    let recorded = place.join("out/b/batch.json");
    place.succeed(&run("b", &["--layout", "packs"]));
    for object in ["out/b/index", "out/b/seal.json", "out/b/history.json"] {
        remove(&place, object);
    }
    // Today's ledger has it.
    place.succeed(&run("a", &[]));
    remove(&place, "ca");
    copy(&place, "yesterday", "ca");
    let told = place.fail(&run("c", &[]), 7);
    let is_so = format!(
        "certforge: error: {} was begun under ledger ca/ledger.db, which knows nothing of it: it is an older copy\n",
        place.join("out/b").display()
    );
    assert!(told.starts_with(&is_so), "{told}");
    assert!(told.contains("put back the latest ledger"), "{told}");
    is_not_made(&place, "c");
    // One that was ended before anything was stored has issued nothing, and is nobody's concern.
    let record = fs::read(&recorded).expect("a record");
    copy(&place, "out/b", "aside");
    remove(&place, "out/b");
    fs::create_dir(place.join("out/b")).expect("a folder");
    fs::write(&recorded, record).expect("the record alone");
    place.succeed(&run("c", &[]));
    remove(&place, "out/c");
    remove(&place, "ca");
    copy(&place, "yesterday", "ca");
    // What is passed over on purpose is remembered.
    remove(&place, "out/b");
    copy(&place, "aside", "out/b");
    place.fail(&run("c", &[]), 7);
    place.succeed(&run("c", &["--new-ledger"]));
    place.succeed(&run("c", &[]));
}

#[test]
fn batches_of_other_cas_are_nobodys_concern() {
    let place = factory();
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "second"]);
    place.succeed(&[
        "run",
        "a.csv",
        "--no-endpoint",
        "--ca",
        "second",
        "--batch",
        "others",
    ]);
    fs::create_dir_all(place.join("out/no-batch")).expect("a folder");
    fs::write(place.join("out/no-batch/batch.json"), "{").expect("a file");
    fs::write(place.join("out/a-file"), "").expect("a file");
    place.succeed(&run("a", &[]));
    place.succeed(&run("b", &[]));
}

/// Four shards, each with a ledger of its own.
fn in_four_shards(place: &Workplace, batch: &str) {
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        place.succeed(&run(batch, &["--shard", shard]));
    }
    place.succeed(&["seal", &format!("out/{batch}"), "--ca", "ca"]);
}

#[test]
fn what_shards_have_made_is_not_made_again_with_a_new_ledger() {
    let place = factory();
    in_four_shards(&place, "b");
    assert!(place.join("ca/ledger-1-of-4.db").exists());
    let told = place.fail(&run("c", &[]), 7);
    assert!(
        told.contains("/out/b has 3 released chunks of which ledger ca/ledger.db knows nothing"),
        "{told}"
    );
    assert!(told.contains("`certforge ledger copy`"), "{told}");
    is_not_made(&place, "c");
    let told = place.fail(&run("c", &["--shard", "1/4"]), 7);
    assert!(
        told.contains("/out/b has 2 released chunks of which ledger ca/ledger-1-of-4.db"),
        "{told}"
    );
    // Each goes on with its own.
    in_four_shards(&place, "b");
}

#[test]
fn a_shard_issues_nothing_that_the_cas_ledger_has_issued() {
    let place = factory();
    place.succeed(&run("b", &[]));
    let told = place.fail(&run("c", &["--shard", "1/2"]), 7);
    assert!(told.contains("SN011"), "{told}");
    is_not_made(&place, "c");
    // What the CA's ledger knows, its shards know.
    for shard in ["1/2", "2/2"] {
        place.succeed(&run("a", &["--shard", shard]));
    }
}

#[test]
fn a_ledger_of_before_is_taken_over() {
    let place = factory();
    // As earlier certforges made it: in the working folder, and nothing noted with the CA.
    place.succeed(&run("b", &["--ledger", "certforge.db"]));
    remove(&place, "ca/ledger.json");
    let status = place.succeed(&["status"]);
    assert!(status.contains("batch        b\n"), "{status}");
    let elsewhere = place.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    let there = |batch| {
        let run = [
            "run",
            "../c.csv",
            "--no-endpoint",
            "--ca",
            "../ca",
            "--batch",
            batch,
        ];
        place
            .command(&run)
            .current_dir(&elsewhere)
            .output()
            .expect("the binary runs")
    };
    let output = there("c");
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(
        text(&output).starts_with(
            "certforge: ledger ../certforge.db knows this CA, and belongs to it from now on: ../ca/ledger.toml says so\n"
        ),
        "{}",
        text(&output)
    );
    assert_eq!(
        fs::read_to_string(place.join("ca/ledger.toml")).expect("a note"),
        "ledger = \"../certforge.db\"\n"
    );
    let again = place.run(&run("b", &[]));
    assert!(again.status.success());
    assert!(
        !text(&again).contains("belongs to it from now on"),
        "it is said once"
    );
    // One that does not know the CA is another's.
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "second"]);
    let made = place.succeed(&[
        "run",
        "c.csv",
        "--no-endpoint",
        "--ca",
        "second",
        "--to",
        "seconds",
    ]);
    assert!(made.contains("ledger       second/ledger.db\n"), "{made}");
}

#[test]
fn a_ca_that_cannot_be_written_to_has_its_ledger_in_the_working_folder() {
    let place = factory();
    let files = ["--ca-certificate", "ca/certificate.pem", "--ca-key", "ca/key.pem"];
    let made = |arguments: &[&str], told: &str| {
        let output = place.run(arguments);
        assert!(output.status.success(), "{}", text(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("ledger       certforge.db\n"));
        assert!(text(&output).contains(told), "{}", text(&output));
    };
    let with_files = [&["run", "a.csv", "--no-endpoint", "--batch", "a"][..], &files].concat();
    let told = "certforge: nothing can be noted with this CA: ledger certforge.db is held against the batches in out alone\n";
    made(&with_files, told);
    // A folder on a medium for reading.
    let read_only = "mount --bind ca ca && mount -o remount,bind,ro ca && exec \"$@\"";
    let shell = |arguments: &[&str]| {
        let binary = env!("CARGO_BIN_EXE_certforge");
        let command = ["-m", "sh", "-c", read_only, "sh", binary];
        tool("unshare", &[&command[..], arguments].concat(), place.path())
    };
    if !shell(&["--version"]).status.success() {
        eprintln!("LEFT OUT: no folder can be mounted for reading only");
        return;
    }
    let output = shell(&run("b", &[]));
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(told), "{}", text(&output));
    assert!(!place.join("ca/ledger.db").exists());
    // The batches remember in its place.
    remove(&place, "certforge.db");
    let output = shell(&["run", "c.csv", "--no-endpoint", "--ca", "ca", "--batch", "c"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(
        text(&output).contains(" released chunks of which ledger certforge.db knows nothing"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_project_that_is_moved_goes_on() {
    let place = Workplace::new();
    fs::create_dir(place.join("here")).expect("a folder");
    let at = |folder: &str, arguments: &[&str]| {
        let output = place.command(arguments).current_dir(place.join(folder)).output();
        output.expect("the binary runs")
    };
    let succeed = |folder: &str, arguments: &[&str]| {
        let output = at(folder, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    fs::write(place.join("here/a.csv"), "serial_number\nSN1\nSN2\nSN3\n").expect("a manifest");
    fs::write(place.join("here/b.csv"), "serial_number\nSN4\n").expect("a manifest");
    succeed("here", &["ca", "new", "--no-passphrase"]);
    succeed("here", &run("a", &[]));
    succeed("here", &run("b", &[]));
    fs::rename(place.join("here"), place.join("there")).expect("it is moved");
    let told = at("there", &run("a", &[]));
    assert_eq!(told.status.code(), Some(7));
    assert!(
        text(&told).contains("batch a was begun with another place: "),
        "{}",
        text(&told)
    );
    assert!(
        text(&told).contains("--moved says that it was moved"),
        "{}",
        text(&told)
    );
    let again = succeed("there", &run("a", &["--moved"]));
    assert!(again.contains("nothing: 3 devices made before"), "{again}");
    // It is noted: nobody says so a second time.
    succeed("there", &run("a", &[]));
    let status = succeed("there", &["status", "a"]);
    assert!(
        status.contains("/there/out/a (objects)\n") && status.contains("/there/a.csv\n"),
        "{status}"
    );
    succeed("there", &["verify", "a"]);
    // What is not that batch is not where it was moved to.
    fs::remove_dir_all(place.join("there/out/b")).expect("a batch");
    copy(&place, "there/out/a", "there/out/b");
    let told = at("there", &run("b", &["--moved"]));
    assert_eq!(told.status.code(), Some(6), "{}", text(&told));
    assert!(text(&told).contains("holds another batch"), "{}", text(&told));
}

/// Waits for a line of a process.
fn wait_for(child: &mut std::process::Child, words: &str) -> String {
    use std::io::{BufRead, BufReader};
    let stderr = child.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    let found = lines.find_map(|line| line.ok().filter(|line| line.contains(words)));
    found.expect("it says so")
}

fn begin(place: &Workplace, arguments: &[&str]) -> std::process::Child {
    let plain = place.command(arguments);
    // Whoever starts the tests in the background has them ignore Ctrl-C.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT")
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(place.path());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("the binary runs")
}

#[test]
fn a_second_run_waits_for_the_first() {
    let place = factory();
    place.succeed(&run("a", &[]));
    let lock = fs::File::options()
        .write(true)
        .open(place.join("ca/ledger.db-lock"))
        .expect("a lock");
    lock.lock().expect("nobody holds it");
    fs::write(place.join("ca/ledger.db-lock"), "4711\n").expect("the number of a process");
    let mut waiting = begin(&place, &run("b", &[]));
    assert_eq!(
        wait_for(&mut waiting, "waiting"),
        "certforge: ledger ca/ledger.db is in use by another certforge (process 4711): waiting until it has ended; Ctrl-C gives up"
    );
    // Who reads does not wait.
    place.succeed(&["status"]);
    is_not_made(&place, "b");
    // Ctrl-C ends the wait.
    let mut given_up = begin(&place, &run("c", &[]));
    wait_for(&mut given_up, "waiting");
    interrupt(&given_up);
    assert!(!given_up.wait().expect("it ends").success());
    drop(lock);
    assert!(waiting.wait().expect("it ends").success());
    assert!(place.join("out/b/seal.json").exists());
    is_not_made(&place, "c");
}

fn interrupt(child: &std::process::Child) {
    let id = child.id().to_string();
    let killed = tool("kill", &["-INT", &id], Path::new("/"));
    assert!(killed.status.success());
}
