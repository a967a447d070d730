//! Flashing stations, as their operators meet them: claims and reports.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use crate::line::{Line, mode, timeless};
use crate::support::tool;
use certforge::batch::claim::State;
use serde_json::Value;

#[test]
fn files_are_for_their_owner_alone_and_are_wiped() {
    for (layout, end) in [("objects", "done"), ("packs", "failed")] {
        let line = Line::new(layout, 9);
        line.claim("st1", "SN000005");
        let folder = line.0.join("dev-st1");
        assert_eq!(mode(&folder), 0o700);
        let key = folder.join("private.pem.key");
        let also = line.0.join("also");
        fs::hard_link(&key, &also).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        let key = fs::read_to_string(&key).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        line.succeed("st1", &[end, "SN000005"]);
        assert!(!folder.exists());
        assert!(
            fs::read(&also).unwrap().iter().all(|octet| *octet == 0),
            "overwritten first"
        );
        // No key is remembered, nor told to anybody.
        let secret = key.lines().nth(1).unwrap();
        for folder in ["memory", "out/b/claims", "out/b/index"] {
            let found = tool("grep", &["-r", "-e", secret, folder], line.0.path());
            assert_eq!(found.status.code(), Some(1), "{folder} has no key");
        }
    }
}

#[test]
fn a_claim_is_found_again_as_ones_own_whenever_its_station_was_stopped() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000001");
    let first = line.claim_of("SN000001");
    // The answer was lost: the station remembers what it sent, and the claim is there.
    let again = line.succeed(
        "st1",
        &["claim", "--device", "SN000001", "--out", "elsewhere", "--json"],
    );
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["resumed"], true);
    assert_eq!(line.claim_of("SN000001"), first);
    assert!(
        !line.0.join("dev-st1").exists(),
        "what was unpacked before is wiped"
    );
    // The request was lost: the station remembers what it would have sent, and there is no claim.
    fs::remove_file(line.path("claims/000000/SN000001.json")).unwrap();
    line.claim("st1", "SN000001");
    assert_eq!(line.claim_of("SN000001"), first);
    // Somebody else was faster.
    let mut other = first.clone();
    other.hold.station = "st2".to_owned();
    other.hold.claim = "f".repeat(32);
    fs::write(line.path("claims/000000/SN000001.json"), other.to_json()).unwrap();
    let told = line.refusal("st1", "SN000001", 9);
    assert!(
        told.starts_with("certforge: error: device SN000001 was taken over by st2 at "),
        "{told}"
    );
    assert!(!line.0.join("dev-st1").exists(), "the key is gone");
}

#[test]
fn next_gives_the_device_in_hand_until_it_is_reported() {
    let line = Line::new("packs", 9);
    let next = || -> (String, bool) {
        let text = line.succeed("st1", &["claim", "--next", "--out", "dev", "--json"]);
        let claimed: Value = serde_json::from_str(&text).unwrap();
        let device = claimed["device_id"].as_str().unwrap().to_owned();
        (device, claimed["resumed"].as_bool().unwrap())
    };
    let (first, resumed) = next();
    assert!(!resumed);
    assert_eq!(next(), (first.clone(), true));
    line.succeed("st1", &["done", &first]);
    let (second, resumed) = next();
    assert!(!resumed && second != first);
    // A device that was claimed by its label is never given to another one.
    let named = if first == "SN000000" || second == "SN000000" {
        "SN000001"
    } else {
        "SN000000"
    };
    line.succeed("st1", &["failed", &second]);
    line.claim("st1", named);
    assert_ne!(next().0, named);
}

#[test]
fn a_claim_is_taken_over_only_by_name_and_only_when_it_is_stale() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let take_over = ["claim", "--device", "SN000000", "--take-over", "--out", "dev-st2"];
    let told = timeless(&line.fail("st2", &take_over, 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    line.age("SN000000");
    let told = timeless(&line.refusal("st2", "SN000000", 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], and its lease ended at [TIME]\n\
         certforge: hint: first see that st1 has no report of it that waits (`station send` there) and will not flash it any more; then `station claim --device SN000000 --take-over`"
    );
    let first = line.claim_of("SN000000").hold;
    line.succeed("st2", &take_over);
    let second = line.claim_of("SN000000");
    assert_eq!(second.earlier, [first], "the record keeps both");
    assert_eq!((second.hold.station.as_str(), second.hold.attempt), ("st2", 2));
    // The first station comes back.
    let told = timeless(&line.fail("st1", &["done", "SN000000"], 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 was taken over by st2 at [TIME]\n\
         certforge: hint: two devices may have this identity now: put this one aside, and flash it anew with another"
    );
    assert!(!line.0.join("dev-st1").exists(), "the key is gone");
    line.succeed("st2", &["done", "SN000000"]);
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
}

#[test]
fn a_station_that_lost_its_memory_has_to_say_that_it_is_sure() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    fs::remove_dir_all(line.0.join("memory")).unwrap();
    fs::remove_dir_all(line.0.join("dev-st1")).unwrap();
    let told = timeless(&line.refusal("st1", "SN000000", 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: this machine does not remember it: another machine has the same station name, or this one lost its memory; if you are sure, `station claim --device SN000000 --take-over`"
    );
    line.succeed(
        "st1",
        &["claim", "--device", "SN000000", "--take-over", "--out", "dev-st1"],
    );
    // Nor may it report on what it does not remember to have: that would open a way around the claim.
    fs::remove_dir_all(line.0.join("memory")).unwrap();
    for report in ["failed", "done"] {
        let told = line.fail("st1", &[report, "SN000000"], 9);
        assert!(told.contains("this machine does not remember it"), "{told}");
    }
    assert_eq!(line.claim_of("SN000000").hold.state, State::Claimed);
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let line = Line::new("objects", 4);
    let told = |station: &str, arguments: &[&str], code| line.fail(station, arguments, code);
    assert_eq!(
        told("a/b", &["send"], 2),
        "certforge: error: \"a/b\" cannot name a station\n\
         certforge: hint: use 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor - first"
    );
    for id in ["SN999999", "../../x"] {
        assert_eq!(
            told("st1", &["claim", "--device", id, "--out", "d"], 9),
            format!(
                "certforge: error: batch b has no device {id}\n\
                 certforge: hint: check the label, and CERTFORGE_BATCH"
            )
        );
        assert_eq!(
            told("st1", &["done", id], 9),
            format!(
                "certforge: error: batch b has no device {id}\n\
                 certforge: hint: check the label, and CERTFORGE_BATCH"
            )
        );
    }
    assert_eq!(
        told("st1", &["failed", "SN000000"], 9),
        "certforge: error: device SN000000 is not claimed by anybody\n\
         certforge: hint: `station claim --device SN000000` comes first"
    );
    fs::create_dir(line.0.join("open")).unwrap();
    fs::set_permissions(line.0.join("open"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        told("st1", &["claim", "--next", "--out", "open"], 2),
        "certforge: error: open is no folder of your own, or others may enter it\n\
         certforge: hint: choose another --out: one that is not there yet, or an empty folder of your own with mode 0700"
    );
    std::os::unix::fs::symlink(line.0.join("open"), line.0.join("link")).unwrap();
    assert!(told("st1", &["claim", "--next", "--out", "link"], 2).contains("link is no folder of your own"));
    assert_eq!(
        told("st1", &["run", "--exec", "./none.sh"], 2),
        "certforge: error: --exec ./none.sh: No such file or directory (os error 2)\n\
         certforge: hint: name an executable file, such as ./flash.sh"
    );
    assert_eq!(
        told("st1", &["run", "--exec", "./devices.csv"], 2),
        "certforge: error: --exec ./devices.csv is not executable\n\
         certforge: hint: name an executable file, such as ./flash.sh"
    );
    let told = line.fail(
        "st1",
        &["claim", "--next", "--out", "d", "--issuer", "none.pem"],
        5,
    );
    assert_eq!(
        told,
        "certforge: error: none.pem cannot be read: No such file or directory (os error 2)\n\
         certforge: hint: name the certificate of the CA that made the batch, or its SHA-256, with --issuer or in CERTFORGE_ISSUER"
    );
    // None of it claimed anything.
    assert!(!line.path("claims").exists());

    line.claim("st1", "SN000000");
    assert_eq!(
        timeless(&line.fail("st2", &["done", "SN000000"], 9)),
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    assert_eq!(
        timeless(&line.fail("st2", &["scrap", "SN000000", "--reason", "x"], 9)),
        "certforge: error: device SN000000 is claimed by st1 since [TIME], until [TIME]\n\
         certforge: hint: flash it there, or wait until the lease has ended"
    );
    line.succeed("st1", &["done", "SN000000"]);
    assert_eq!(
        line.fail("st1", &["failed", "SN000000"], 9),
        "certforge: error: device SN000000 is flashed, and cannot be reported failed any more\n\
         certforge: hint: `station status` shows what is known of it"
    );
    fs::write(line.path("claims/000000/SN000001.json"), "{}").unwrap();
    assert_eq!(
        line.refusal("st1", "SN000001", 6),
        "certforge: error: claims/000000/SN000001.json is no claim\n\
         certforge: hint: somebody else wrote it; find out who before anybody flashes this device"
    );
}

#[test]
fn a_report_that_cannot_be_sent_keeps_no_other_from_it() {
    let line = Line::new("packs", 4);
    line.claim("st1", "SN000000");
    let path = line.path("claims/000000/SN000000.json");
    let claim = fs::read(&path).unwrap();
    fs::write(&path, "{}").unwrap();
    let output = line.output("st1", &["done", "SN000000"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 1"), "{told}");
    assert!(told.contains("claims/000000/SN000000.json is no claim"), "{told}");
    line.claim("st1", "SN000001");
    line.succeed("st1", &["done", "SN000001"]);
    assert_eq!(line.claim_of("SN000001").hold.state, State::Flashed);
    let claim_again = ["claim", "--device", "SN000000", "--out", "dev"];
    let told = line.fail("st1", &claim_again, 9);
    assert!(
        told.ends_with(
            "certforge: error: device SN000000 was reported on, and the report is not sent yet\n\
             certforge: hint: `station send` tells why"
        ),
        "{told}"
    );
    assert_eq!(line.output("st1", &["send"]).status.code(), Some(6));
    fs::write(&path, claim).unwrap();
    assert_eq!(line.succeed("st1", &["send"]), "reports sent: 1\n");
    let shown = line.succeed("st1", &["show", "SN000000"]);
    assert!(shown.contains("attempt 1 by st1 since "), "{shown}");
}

#[test]
fn a_device_that_is_claimed_by_its_label_is_the_next_one_no_more() {
    let line = Line::new("packs", 9);
    let claimed = |arguments: &[&str]| -> String {
        let text = line.succeed("st1", &[&["claim", "--json"], arguments].concat());
        let claimed: Value = serde_json::from_str(&text).unwrap();
        claimed["device_id"].as_str().unwrap().to_owned()
    };
    let first = claimed(&["--next", "--out", "dev"]);
    assert_eq!(claimed(&["--device", &first, "--out", "dev"]), first);
    assert_ne!(claimed(&["--next", "--out", "dev2"]), first);
}

#[test]
fn a_flashed_device_is_scrapped_only_by_one_who_says_so() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    line.succeed("st1", &["done", " SN000000 "]);
    let scrap = ["scrap", "SN000000", "--reason", "returned"];
    let told = timeless(&line.fail("qa", &scrap, 9));
    assert_eq!(
        told,
        "certforge: error: device SN000000 was flashed by st1 at [TIME]\n\
         certforge: hint: an identity is for one device: put the second device aside, and find out which label is wrong; `station scrap SN000000 --although-flashed` is for a device that is thrown away after it was flashed"
    );
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    line.succeed("qa", &[&scrap[..], &["--although-flashed"]].concat());
    let claim = line.claim_of("SN000000");
    assert_eq!((claim.hold.state, claim.earlier.len()), (State::Scrapped, 1));
}

#[test]
fn a_bundle_that_was_moved_away_is_told_of() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    fs::rename(line.0.join("dev-st1"), line.0.join("elsewhere")).unwrap();
    let output = line.output("st1", &["done", "SN000000"]);
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("dev-st1 is gone, into which the bundle was unpacked: if it was moved or copied, the private key is still there"),
        "{told}"
    );
}

/// Every station can write every claim: whoever changes one gains nothing by it.
#[test]
fn a_claim_of_another_device_is_never_believed() {
    for id in ["another", "../../../../../victim", "SN000000\u{1b}[2J", ""] {
        let line = Line::new("objects", 4);
        line.script("exit 0");
        let next = ["claim", "--next", "--out", "dev-st1", "--json"];
        let claimed: Value = serde_json::from_str(&line.succeed("st1", &next)).unwrap();
        let device = claimed["device_id"].as_str().unwrap();
        let id = match id {
            "another" if device == "SN000000" => "SN000001",
            "another" => "SN000000",
            id => id,
        };
        let name = format!("claims/000000/{device}.json");
        let object = line.path(&name);
        let text = fs::read_to_string(&object).unwrap();
        let mut claim: Value = serde_json::from_str(&text).unwrap();
        claim["device_id"] = id.into();
        fs::write(&object, claim.to_string()).unwrap();
        let told = format!(
            "certforge: error: {name} is no claim\n\
             certforge: hint: somebody else wrote it; find out who before anybody flashes this device"
        );
        for take_over in [&[][..], &["--take-over"]] {
            let claim = ["claim", "--device", device, "--out", "elsewhere"];
            assert_eq!(
                line.fail("st2", &[&claim[..], take_over].concat(), 6),
                told,
                "{id}"
            );
        }
        assert_eq!(line.fail("st2", &["show", device], 6), told, "{id}");
        // The one that it has in hand is neither flashed nor reported by another name, and leaves no key.
        let run = ["run", "--exec", "./flash.sh", "--out", "work", "--limit", "1"];
        assert_eq!(line.fail("st1", &run, 6), told, "{id}");
        line.output("st1", &["failed", device, "--reason", "no boot"]);
        for folder in ["dev-st1", "elsewhere", "work"] {
            let key = line.0.join(folder).join("private.pem.key");
            assert!(!key.exists(), "{folder}: {id}");
        }
        let found = tool("find", &[".", "-name", "victim*"], line.0.path());
        assert!(
            found.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&found.stdout)
        );
        // Put back, it goes on; what the station remembers is its own.
        fs::write(&object, text).unwrap();
        line.succeed("st1", &["send"]);
        assert_eq!(line.claim_of(device).hold.state, State::Failed);
    }
}

#[test]
fn what_a_station_remembers_is_of_the_device_whose_name_it_has() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let found = tool("find", &["memory", "-name", "SN000000.json"], line.0.path());
    let path = line.0.join(String::from_utf8(found.stdout).unwrap().trim());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("SN000000", "SN000001")).unwrap();
    let told = line.fail("st1", &["claim", "--next", "--out", "dev"], 9);
    assert!(
        told.contains("SN000000.json") && told.contains("it is of another device"),
        "{told}"
    );
}

/// In what a station remembers is what it will wipe: it is believed only when nobody else could have written it.
#[test]
fn a_memory_that_others_could_have_written_is_refused() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let memory = line.0.join("memory/st1");
    let batch = fs::read_dir(&memory).unwrap().next().unwrap().unwrap().path();
    let station = batch.join("station-st1");
    for folder in [&memory, &batch, &station, &line.0.join("memory")] {
        let before = mode(folder);
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let told = line.fail("st1", &["done", "SN000000"], 9);
        let relative = folder.strip_prefix(line.0.path()).unwrap().display().to_string();
        let expected = format!(
            "certforge: error: what the station remembers may be somebody else's: {relative} can be written by others (mode 0777)"
        );
        assert!(
            told.replace(
                &format!("{}/", fs::canonicalize(line.0.path()).unwrap().display()),
                ""
            )
            .starts_with(&expected),
            "{told}"
        );
        assert!(told.contains("chmod go-w"), "{told}");
        if *folder != station {
            line.fail("st1", &["status"], 9);
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(before)).unwrap();
    }
    // A link in the place of a folder is none.
    let elsewhere = line.0.join("elsewhere");
    fs::rename(&station, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &station).unwrap();
    line.fail("st1", &["done", "SN000000"], 9);
    fs::remove_file(&station).unwrap();
    fs::rename(&elsewhere, &station).unwrap();
    assert!(line.0.join("dev-st1/private.pem.key").exists());
    line.succeed("st1", &["done", "SN000000"]);
}

#[test]
fn a_report_that_cannot_be_remembered_wipes_even_so() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let batch = fs::read_dir(line.0.join("memory/st1")).unwrap().next().unwrap();
    let station = batch.unwrap().path().join("station-st1");
    // As on a disk that is full: nothing can be written there.
    std::os::unix::fs::symlink("/nowhere/at/all", station.join("reports")).unwrap();
    let told = line.fail("st1", &["done", "SN000000"], 9);
    assert!(
        told.contains("what the station remembers cannot be read or written"),
        "{told}"
    );
    assert!(!line.0.join("dev-st1").exists());
    line.script("exit 0");
    let run = ["run", "--exec", "./flash.sh", "--out", "work"];
    line.fail("st1", &run, 9);
    assert!(!line.0.join("work").exists());
    fs::remove_file(station.join("reports")).unwrap();
    line.succeed("st1", &["done", "SN000000"]);
}

#[test]
fn a_folder_that_is_in_the_place_of_the_one_that_was_made_is_left_and_told_of() {
    let line = Line::new("objects", 4);
    let is_gone = "is gone, into which the bundle was unpacked";
    let exchange = || {
        fs::rename(line.0.join("dev-st1"), line.0.join("moved")).unwrap();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(line.0.join("dev-st1"))
            .unwrap();
        fs::write(line.0.join("dev-st1/other"), "untouched").unwrap();
    };
    let tidy = || {
        assert_eq!(fs::read(line.0.join("dev-st1/other")).unwrap(), b"untouched");
        assert!(line.0.join("moved/private.pem.key").exists());
        for folder in ["dev-st1", "moved"] {
            fs::remove_dir_all(line.0.join(folder)).unwrap();
        }
    };
    line.claim("st1", "SN000000");
    exchange();
    let told = line.output("st1", &["claim", "--device", "SN000000", "--out", "other"]);
    assert!(String::from_utf8_lossy(&told.stderr).contains(is_gone));
    assert!(told.status.success());
    tidy();
    line.succeed("st1", &["done", "SN000000"]);
    line.claim("st1", "SN000001");
    exchange();
    let told = line.output("st1", &["done", "SN000001"]);
    assert!(String::from_utf8_lossy(&told.stderr).contains(is_gone));
    tidy();
    line.script("mv dev-st1 moved && mkdir -m 700 dev-st1 && printf untouched > dev-st1/other");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev-st1", "--limit", "1"];
    let told = line.output("st1", &run);
    assert!(told.status.success());
    assert!(String::from_utf8_lossy(&told.stderr).contains(is_gone));
    tidy();
}

#[test]
fn what_an_earlier_version_unpacked_is_wiped_too() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let found = tool("find", &["memory", "-name", "SN000000.json"], line.0.path());
    let path = line.0.join(String::from_utf8(found.stdout).unwrap().trim());
    let mut held: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let made = held["unpacked"].as_object_mut().unwrap().remove("made");
    assert!(made.is_some_and(|made| made["inode"].is_u64()));
    fs::write(&path, held.to_string()).unwrap();
    line.succeed("st1", &["done", "SN000000"]);
    assert!(!line.0.join("dev-st1").exists());
}
