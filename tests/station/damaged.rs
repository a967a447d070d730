//! One damaged object of a batch: it is named and counted, and the line goes on with all others.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::line::Line;
use crate::support::tool;

/// A batch of twelve devices in three chunks, of which one is flashed and one is scrapped; then the claim of another is
/// damaged.
fn line(layout: &str) -> Line {
    let line = Line::new(layout, 12);
    line.claim("st1", "SN000000");
    line.succeed("st1", &["done", "SN000000"]);
    line.succeed("st1", &["scrap", "SN000005", "--reason", "broken"]);
    line.claim("st1", "SN000001");
    fs::write(line.path("claims/000000/SN000001.json"), "{").unwrap();
    line
}

#[test]
fn the_overview_names_a_damaged_claim_and_shows_the_rest() {
    let line = line("objects");
    let text = line.succeed("st1", &["status"]);
    for part in [
        "flashed   1 of 12 devices",
        "left      9\n",
        "scrapped  1\n",
        "damaged   1\n",
        "  claims/000000/SN000001.json is no claim\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let document: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    let claims = &document["damaged_claims"];
    assert_eq!(
        (&document["damaged"], claims.as_array().unwrap().len()),
        (&1.into(), 1)
    );
    assert_eq!(claims[0]["object"], "claims/000000/SN000001.json");
}

#[test]
fn the_stations_go_on_with_every_other_device() {
    let line = line("objects");
    // Of the damaged one nothing is done, at the station that had it as at any other.
    for station in ["st1", "st2"] {
        let refusal = line.refusal(station, "SN000001", 6);
        assert!(
            refusal.contains("claims/000000/SN000001.json is no claim"),
            "{refusal}"
        );
    }
    line.claim("st2", "SN000002");
    line.succeed("st2", &["done", "SN000002"]);
    // The one that the station has as its next is damaged, and so is a chunk's index.
    let next = ["claim", "--next", "--out", "dev-st3", "--json"];
    let document: Value = serde_json::from_str(&line.succeed("st3", &next)).unwrap();
    let device = document["device_id"].as_str().unwrap();
    let number: u32 = device[2..].parse().unwrap();
    fs::write(
        line.path(&format!("claims/{:06}/{device}.json", number / 4)),
        "{}",
    )
    .unwrap();
    let index = line.path("index/000002.csv");
    let was = fs::read(&index).unwrap();
    fs::write(&index, "x").unwrap();
    let output = line.output("st4", &["run", "--exec", "true", "--out", "dev-st4"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("index/000002.csv is not what the seal says"),
        "{stderr}"
    );
    fs::write(&index, was).unwrap();
    // The station that has a damaged one in hand is told so, and goes on once it has said how that ended.
    let run = ["run", "--exec", "true", "--out", "dev-st3"];
    let message = line.fail("st3", &run, 6);
    assert!(
        message.contains(&format!("{device}.json is no claim")),
        "{message}"
    );
    line.succeed("st3", &["failed", device, "--reason", "its claim is damaged"]);
    let output = line.output("st3", &run);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("NOT SENT YET: 1"), "{stderr}");
    let text = line.succeed("st3", &["status"]);
    assert!(
        text.contains("flashed   9 of 12") && text.contains("damaged   2\n"),
        "{text}"
    );
}

#[test]
fn a_chunk_that_was_full_is_looked_at_once_more_after_a_while() {
    let line = Line::new("objects", 4);
    let damaged = line.path("claims/000000/SN000003.json");
    fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    fs::write(&damaged, "{").unwrap();
    let run = ["run", "--exec", "true", "--out", "dev"];
    let next = ["claim", "--next", "--out", "dev"];
    assert!(line.succeed("st1", &run).contains('3'));
    fs::remove_file(&damaged).unwrap();
    // It was full a moment ago.
    line.fail("st1", &next, 9);
    let batch = fs::read_dir(line.0.join("memory/st1")).unwrap().next().unwrap();
    let files = fs::read_dir(batch.unwrap().path().join("station-st1")).unwrap();
    let marks = files
        .map(|file| file.unwrap().path())
        .find(|path| path.to_string_lossy().contains("full-"));
    fs::write(marks.expect("what was full is remembered"), "0 1000000000\n").unwrap();
    assert!(line.succeed("st1", &next).contains("SN000003"));
}

#[test]
fn a_report_that_cannot_be_read_waits_and_keeps_nobody_else() {
    let line = line("objects");
    line.claim("st5", "SN000002");
    let memory = line.0.join("memory/st5");
    let batch = fs::read_dir(&memory).unwrap().map(|entry| entry.unwrap().path());
    let station = batch
        .map(|path| path.join("station-st5"))
        .find(|path| path.exists());
    let reports = station.unwrap().join("reports");
    fs::create_dir_all(&reports).unwrap();
    fs::write(reports.join("SN000003.json"), "{").unwrap();
    let output = line.output("st5", &["done", "SN000002"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("NOT SENT YET: 1") && stderr.contains("reports/SN000003.json"),
        "{stderr}"
    );
    assert!(line.path("flashed/000000/SN000002.json").exists());
}

#[test]
fn burn_and_export_do_the_rest_and_say_what_they_left_out() {
    for layout in ["objects", "packs"] {
        let line = line(layout);
        let burned = line.output("st1", &["burn"]);
        let stdout = String::from_utf8_lossy(&burned.stdout).into_owned();
        assert!(
            stdout.contains("devices removed: 2") && stdout.contains("SN000001.json is no claim"),
            "{stdout}"
        );
        let message = line.fail("st1", &["burn"], 6);
        assert!(
            message.starts_with("certforge: error: damaged objects, left alone with all that depends on them: 1; the first: claims/"),
            "{message}"
        );
        let export = ["export", "--flashed", "--batch", "out/b"];
        let output = line.0.run(&export);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            (output.status.code(), text.matches("\nSN").count()),
            (Some(6), 1),
            "{text}"
        );
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            stderr.contains("warning: left out: claims/000000/SN000001.json is no claim"),
            "{stderr}"
        );
    }
}

#[test]
fn the_export_of_a_place_goes_on_without_a_damaged_index() {
    let line = line("objects");
    fs::write(line.path("index/000001.csv"), "{").unwrap();
    for more in [&[][..], &["--json"]] {
        let output = line.0.run(&[&["ledger", "export", "out/b"], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(stderr.contains("index/000001.csv is no index"), "{stderr}");
        assert!(
            text.contains("SN000003") && !text.contains("SN000004") && text.contains("SN000008"),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_file_in_the_place_of_a_claim_ends_nothing_and_holds_nobody() {
    let line = line("objects");
    let claim = |number: u32| line.path(&format!("claims/{:06}/SN{number:06}.json", number / 4));
    fs::remove_file(claim(1)).unwrap();
    symlink(claim(1), claim(1)).unwrap();
    symlink("/dev/zero", claim(2)).unwrap();
    fs::create_dir(claim(3)).unwrap();
    assert!(Command::new("mkfifo").arg(claim(4)).status().unwrap().success());
    fs::File::create(claim(6)).unwrap().set_len(1 << 40).unwrap();
    let text = line.succeed("st1", &["status"]);
    assert!(
        text.contains("flashed   1 of 12") && text.contains("damaged   4\n"),
        "{text}"
    );
    for number in [1, 2, 3, 4, 6] {
        line.refusal("st2", &format!("SN{number:06}"), 6);
    }
    let burned = line.output("st1", &["burn"]);
    let stdout = String::from_utf8_lossy(&burned.stdout).into_owned();
    assert_eq!(burned.status.code(), Some(6));
    assert!(stdout.contains("SN000002.json"), "{stdout}");
    let output = line.0.run(&["export", "--flashed", "--batch", "out/b"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), stdout.matches("\nSN").count()),
        (Some(6), 1)
    );
    line.0.succeed(&["verify", "out/b"]);
    // One draws the device in whose place a folder is, and goes on with the others.
    let message = line.fail("st3", &["run", "--exec", "true", "--out", "dev-st3"], 6);
    assert!(
        message.contains("SN000003.json") && message.contains("it is no regular file"),
        "{message}"
    );
    let text = line.succeed("st3", &["status"]);
    assert!(text.contains("flashed   6 of 12"), "{text}");
}

#[test]
fn folders_that_no_batch_has_end_nothing() {
    let line = line("objects");
    fs::create_dir_all(line.path("claims/000000/a/b/c/d/e/f")).unwrap();
    fs::write(line.path("claims/000002"), "").unwrap();
    fs::write(line.path("flashed/000002"), "").unwrap();
    let text = line.succeed("st1", &["status"]);
    assert!(
        text.contains("flashed   1 of 12") && text.contains("claims/000000/a/b/c/d/e"),
        "{text}"
    );
    let burned = line.output("st1", &["burn"]);
    let stdout = String::from_utf8_lossy(&burned.stdout).into_owned();
    assert_eq!(burned.status.code(), Some(6));
    assert!(
        stdout.contains("devices removed: 2") && stdout.contains("claims/000000/a/b/c"),
        "{stdout}"
    );
    let output = line.0.run(&["export", "--flashed", "--batch", "out/b"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), stdout.matches("\nSN").count()),
        (Some(6), 1)
    );
    let output = line.0.run(&["verify", "out/b"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("claims/000000/a/b/c/d/e"), "{text}");
    let message = line.fail("st3", &["run", "--exec", "true", "--out", "dev-st3"], 6);
    assert!(message.contains("claims/000002"), "{message}");
    let text = line.succeed("st3", &["status"]);
    assert!(text.contains("flashed   6 of 12"), "{text}");
}

#[test]
fn a_folder_of_claims_that_is_a_link_is_written_through_by_nobody() {
    let line = line("objects");
    let elsewhere = line.0.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, line.path("claims/000002")).unwrap();
    let refusal = line.refusal("st2", "SN000008", 6);
    assert!(refusal.contains("a symbolic link"), "{refusal}");
    let message = line.fail("st3", &["run", "--exec", "true", "--out", "dev-st3"], 6);
    assert!(message.contains("a symbolic link"), "{message}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let text = line.succeed("st3", &["status"]);
    assert!(text.contains("flashed   6 of 12"), "{text}");
}

/// Every station can write every claim: one of times that nobody can tell, or of a name as long as a book, is damaged.
#[test]
fn a_claim_of_what_no_station_writes_ends_nobody() {
    let line = line("objects");
    let good = fs::read_to_string(line.path("claims/000000/SN000000.json")).unwrap();
    let changes: [(&str, Value); 6] = [
        ("claimed_at", "9999-12-31T23:59:59-23:59".into()),
        ("lease_until", "0000-01-01T00:00:00+23:59".into()),
        ("ended_at", "9999-12-31T23:59:59-23:59".into()),
        ("station", "s".repeat(70_000).into()),
        ("reason", "r".repeat(70_000).into()),
        ("attempt", u32::MAX.into()),
    ];
    for (field, value) in changes {
        let mut claim: Value = serde_json::from_str(&good).unwrap();
        claim["device_id"] = "SN000001".into();
        claim[field] = value;
        fs::write(line.path("claims/000000/SN000001.json"), claim.to_string()).unwrap();
        let text = line.succeed("st1", &["status"]);
        assert!(text.contains("damaged   1\n"), "{field}: {text}");
        line.succeed("st1", &["status", "--json"]);
        for command in [&["show", "SN000001"][..], &["done", "SN000001"]] {
            line.output("st1", command);
        }
        let refusal = line.refusal("st2", "SN000001", 6);
        assert!(
            refusal.contains("SN000001.json is no claim"),
            "{field}: {refusal}"
        );
        line.fail("st1", &["show", "SN000001"], 6);
    }
}

#[test]
fn claims_of_devices_that_the_batch_does_not_have_are_none() {
    let line = line("packs");
    let good = fs::read_to_string(line.path("claims/000000/SN000000.json")).unwrap();
    let before = line.succeed("st1", &["status"]);
    for (chunk, device) in [
        ("999999", "SN000002"),
        ("000000", "SN999999"),
        ("000001", "SN000000"),
    ] {
        let path = line.path(&format!("claims/{chunk}/{device}.json"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, good.replace("SN000000", device)).unwrap();
    }
    fs::write(line.path("claims/999999/SN000003.json"), "{").unwrap();
    fs::write(line.path("claims/000000/SN999998.json"), "{").unwrap();
    let counts = |text: &str| {
        text.lines()
            .take_while(|line| !line.starts_with("rate"))
            .collect::<String>()
    };
    assert_eq!(counts(&line.succeed("st1", &["status"])), counts(&before));
}

#[test]
fn what_could_not_be_claimed_is_not_remembered_as_claimed() {
    let line = line("objects");
    let remembered = |station: &str| {
        let folder = format!("memory/{station}");
        let found = tool("find", &[&folder, "-name", "SN000001.json"], line.0.path());
        !found.stdout.is_empty()
    };
    line.refusal("st2", "SN000001", 6);
    assert!(!remembered("st2"));
    // One that it had is its own, damaged or not.
    line.refusal("st1", "SN000001", 6);
    assert!(remembered("st1"));
}
