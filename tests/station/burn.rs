//! Bundles that are burned, and certificates that are to be revoked.

use std::fs;

use crate::line::Line;
use crate::support::tool;
use certforge::batch::claim::State;
use serde_json::Value;

#[test]
fn burned_bundles_are_gone_and_all_others_are_as_they_were() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 9);
        let before = fs::read(line.path("packs/000000.zip")).unwrap_or_default();
        for device in ["SN000001", "SN000002", "SN000008"] {
            line.claim("st1", device);
            line.succeed("st1", &["done", device]);
        }
        line.succeed("st1", &["scrap", "SN000003", "--reason", "broken board"]);
        let burned = line.succeed("st1", &["burn"]);
        assert!(
            burned.starts_with("bundles of flashed and scrapped devices removed: 4"),
            "{burned}"
        );
        let again = line.succeed("st1", &["burn"]);
        assert!(
            again.starts_with("bundles of flashed and scrapped devices removed: 0"),
            "{again}"
        );
        // Where the ledger is, its history tells of it, once.
        let history = line.0.succeed(&["ledger", "history"]);
        assert_eq!(
            history.matches("bundles-burned  b: 4 bundles\n").count(),
            1,
            "{history}"
        );
        let verified = line.0.succeed(&["verify", "out/b"]);
        assert!(
            verified.contains(
                "9 devices verified, 4 of them removed after they were flashed or scrapped, sealed"
            ),
            "{verified}"
        );
        if layout == "packs" {
            assert!(burned.contains("packs rewritten: 1, removed: 1"), "{burned}");
            assert!(!line.path("packs/000002.zip").exists(), "nothing was left of it");
            let after = fs::read(line.path("packs/000000.zip")).unwrap();
            let keys = |pack: &[u8]| {
                pack.windows(27)
                    .filter(|window| *window == b"-----BEGIN PRIVATE KEY-----")
                    .count()
            };
            assert_eq!((keys(&before), keys(&after)), (4, 1));
            let listed = tool("unzip", &["-t", "out/b/packs/000000.zip"], line.0.path());
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(listed.status.success(), "{text}");
            assert!(
                text.contains("SN000000.zip") && !text.contains("SN000001.zip"),
                "{text}"
            );
        }
        // What is left is flashed as ever.
        line.claim("st1", "SN000000");
        line.succeed("st1", &["done", "SN000000"]);
        // A device that is not flashed, and whose bundle is gone, is a fault.
        let pack = line.path("packs/000001.zip");
        if pack.exists() {
            fs::remove_file(pack).unwrap();
        } else {
            fs::remove_file(line.path("bundles/82/SN000004.zip")).unwrap();
        }
        assert_eq!(line.0.run(&["verify", "out/b"]).status.code(), Some(1));
    }
}

#[test]
fn done_burns_the_bundle_of_its_device() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    assert_eq!(
        line.succeed("st1", &["done", "SN000000", "--burn"]),
        "SN000000 flashed, and its bundle is removed\n"
    );
    assert!(!line.path("bundles/de/SN000000.zip").exists());
    assert!(line.path("bundles/d1/SN000001.zip").exists());
    line.0.succeed(&["verify", "out/b"]);

    let line = Line::new("packs", 4);
    line.claim("st1", "SN000000");
    // That a bundle in a pack is not removed alone is no reason to keep a key or to lose a report.
    let output = line.output("st1", &["done", "SN000000", "--burn"]);
    assert_eq!(output.status.code(), Some(6), "it was asked for, and not done");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "SN000000 flashed\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: warning: this batch is in packs, of which no bundle is removed alone; `certforge station burn` removes those of all flashed devices\n"
    );
    assert!(!line.0.join("dev-st1").exists());
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    line.script("exit 0");
    assert_eq!(
        line.fail("st1", &["run", "--exec", "./flash.sh", "--burn"], 2),
        "certforge: error: --burn is for batches in layout objects, and this one is in packs\n\
         certforge: hint: leave it out; `certforge station burn` removes the bundles of flashed devices from packs"
    );
}

#[test]
fn what_is_in_the_place_of_a_record_keeps_no_bundle_from_being_burned_and_is_told_once() {
    let line = Line::new("objects", 4);
    fs::create_dir_all(line.path("flashed/000000/SN000001.json")).unwrap();
    for device in ["SN000000", "SN000002", "SN000003"] {
        fs::write(line.path(&format!("flashed/000000/{device}.json")), "x").unwrap();
    }
    let told = |device: &str| {
        format!(
            "certforge: error: device {device} is flashed, as its claim says, but there is no record of it: something else is in \
             the place of flashed/000000/{device}.json\n\
             certforge: hint: the report was taken; find out who put that there, and remove it\n"
        )
    };
    for device in ["SN000000", "SN000001"] {
        line.claim("st1", device);
        let output = line.output("st1", &["done", device, "--burn"]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), told(device));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{device} flashed, and its bundle is removed\n")
        );
        let again = line.output("st1", &["send"]);
        assert!(again.status.success() && again.stderr.is_empty());
    }
    line.script("exit 0");
    let output = line.output("st1", &["run", "--exec", "./flash.sh", "--out", "dev", "--burn"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for device in ["SN000002", "SN000003"] {
        assert_eq!(stderr.matches(&told(device)).count(), 1, "{stderr}");
    }
    let left = tool("find", &["out/b/bundles", "-type", "f"], line.0.path());
    assert!(
        left.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&left.stdout)
    );
}

#[test]
fn a_bundle_that_should_be_burned_and_cannot_be_is_told_of() {
    let line = Line::new("objects", 4);
    line.claim("st1", "SN000000");
    let bundle = line.path("bundles/de/SN000000.zip");
    fs::remove_file(&bundle).unwrap();
    fs::create_dir(&bundle).unwrap();
    let output = line.output("st1", &["done", "SN000000", "--burn"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{told}");
    assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 1"), "{told}");
    assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    fs::remove_dir(&bundle).unwrap();
    line.succeed("st1", &["send"]);
}

#[test]
fn nothing_is_burned_but_what_its_claim_calls_flashed_or_scrapped() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 8);
        line.claim("st1", "SN000000");
        line.claim("st2", "SN000001");
        line.succeed("st1", &["done", "SN000000"]);
        // A record that somebody wrote, of a device that was not flashed, and of one that is in another chunk.
        for name in ["flashed/000000/SN000001.json", "flashed/000099/SN000006.json"] {
            let path = line.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "junk").unwrap();
        }
        // A station was stopped before it wrote this one.
        fs::remove_file(line.path("flashed/000000/SN000000.json")).unwrap();
        let burned: Value = serde_json::from_str(&line.succeed("st1", &["burn", "--json"])).unwrap();
        assert_eq!(burned["bundles"], 1, "{layout}");
        assert!(
            line.path("flashed/000000/SN000000.json").exists(),
            "written after all"
        );
        line.0.succeed(&["verify", "out/b"]);
        line.succeed("st2", &["done", "SN000001"]);
        line.claim("st1", "SN000006");
    }
}

#[test]
fn a_pack_whose_own_directory_was_changed_is_not_burned_wrongly() {
    let line = Line::new("packs", 4);
    line.claim("st1", "SN000001");
    line.succeed("st1", &["done", "SN000001"]);
    let path = line.path("packs/000000.zip");
    let before = fs::read(&path).unwrap();
    // In the directory, the flashed member reaches over the next ones.
    let mut changed = before.clone();
    let name = changed
        .windows(12)
        .rposition(|window| window == b"SN000001.zip")
        .unwrap();
    let size = name - 46 + 20;
    let larger = u32::from_le_bytes(changed[size..size + 4].try_into().unwrap()) + 3000;
    changed[size..size + 4].copy_from_slice(&larger.to_le_bytes());
    fs::write(&path, &changed).unwrap();
    assert_eq!(
        line.fail("st1", &["burn"], 6),
        "certforge: error: damaged objects, left alone with all that depends on them: 1; the first: packs/000000.zip has been damaged: \
         another bundle in it is not what the index says\n\
         certforge: hint: find out who wrote them, put them back as they were, and repeat the command; `certforge verify` tells more"
    );
    assert_eq!(fs::read(&path).unwrap(), changed);
}

#[test]
fn exports_no_certificate_but_the_one_that_was_sealed() {
    let line = Line::new("packs", 4);
    line.succeed("st1", &["scrap", "SN000000", "--reason", "lost"]);
    let export = ["export", "--scrapped", "--pem", "--batch", "out/b"];
    let pem = line.0.succeed(&export);
    fs::write(line.0.join("scrapped.pem"), pem).unwrap();
    let subject = ["x509", "-in", "scrapped.pem", "-noout", "-subject"];
    let subject = tool("openssl", &subject, line.0.path());
    assert!(String::from_utf8_lossy(&subject.stdout).contains("SN000000"));
    let path = line.path("certificates/000000.pem");
    let text = fs::read_to_string(&path).unwrap();
    let second = 1 + text[1..].find("-----BEGIN").unwrap();
    fs::write(&path, &text[second..]).unwrap();
    assert_eq!(
        line.0.fail(&export, 6),
        "certforge: warning: left out: certificates/000000.pem does not have the certificate of device SN000000\n\
         certforge: error: damaged objects, left alone with all that depends on them: 1; the first: certificates/000000.pem does not have \
         the certificate of device SN000000\n\
         certforge: hint: find out who wrote them, put them back as they were, and repeat the command; `certforge verify` tells more\n"
    );
}

#[test]
fn a_reason_begins_no_formula_where_an_export_is_opened() {
    let line = Line::new("packs", 4);
    for (device, reason) in [
        ("SN000000", "=HYPERLINK(1)"),
        ("SN000001", "@SUM(1)"),
        ("SN000002", "-3"),
    ] {
        line.succeed("st1", &["scrap", device, &format!("--reason={reason}")]);
    }
    let csv = line.0.succeed(&["export", "--scrapped", "--batch", "out/b"]);
    let reasons: Vec<&str> = csv
        .lines()
        .skip(1)
        .filter_map(|row| row.rsplit(',').next())
        .collect();
    assert_eq!(reasons, ["'=HYPERLINK(1)", "'@SUM(1)", "-3"]);
}

#[test]
fn a_pack_that_was_overwritten_and_not_removed_is_removed_by_the_next_one() {
    let line = Line::new("packs", 8);
    let pack = line.path("packs/000000.zip");
    let zeros = vec![0; usize::try_from(fs::metadata(&pack).unwrap().len()).unwrap()];
    for device in ["SN000000", "SN000001", "SN000002", "SN000003"] {
        // Somebody else overwrote it: it stays as it is.
        if device == "SN000003" {
            fs::write(&pack, &zeros).unwrap();
            line.succeed("st1", &["burn"]);
            assert!(pack.exists());
        }
        line.succeed("st1", &["scrap", device, "--reason", "broken board"]);
    }
    // Who removes it is killed after he has overwritten it.
    let burned = line.succeed("st1", &["burn"]);
    assert!(burned.contains("removed: 1"), "{burned}");
    assert!(!pack.exists());
    let verified = line.0.succeed(&["verify", "out/b"]);
    assert!(
        verified.contains("8 devices verified, 4 of them removed"),
        "{verified}"
    );
}
