//! Bundles made anew under stations: another station, another endpoint, a CA that is retired.

use std::fs;

use crate::identity::{age, identity};
use crate::line::Line;
use crate::support::Workplace;
use serde_json::Value;

const HOST: &str = "abc-ats.iot.eu-central-1.amazonaws.com";

/// A sealed batch `out/b` of some devices, encrypted to the station st1, whose identity is st1.key; there is one for st2 too.
fn line(layout: &str, devices: usize) -> (Line, [String; 2]) {
    let place = Workplace::new();
    place.manifest(devices);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let both = ["st1", "st2"].map(|name| identity(&place, name));
    let run = "run devices.csv --no-endpoint --ca ca --batch b --chunk-rows 4 --recipient";
    let run: Vec<&str> = run
        .split(' ')
        .chain([both[0].as_str(), "--layout", layout])
        .collect();
    place.succeed(&run);
    (Line(place), both)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What a station gets of a device.
fn claim(line: &Line, station: &str, device: &str, options: &[&str]) -> Value {
    let claim = ["claim", "--device", device, "--out", device, "--json"];
    json(&line.succeed(station, &[&claim, options].concat()))
}

#[test]
fn a_station_is_replaced_and_no_device_gets_another_identity() {
    for layout in ["objects", "packs"] {
        let (line, [_, two]) = line(layout, 9);
        let shown =
            |device: &str| json(&line.succeed("st1", &["show", device, "--json"]))["certificate_id"].clone();
        let before = shown("SN000005");
        // One is in the hands of the old station.
        let first = claim(&line, "st1", "SN000001", &["--identity", "st1.key"]);
        let rewrap = [
            "bundle",
            "rewrap",
            "out/b",
            "--ca",
            "ca",
            "--recipient",
            &two,
            "--identity",
            "st1.key",
            "--json",
        ];
        let made = json(&line.0.succeed(&rewrap));
        assert_eq!(
            (&made["generation"], &made["devices"]),
            (&1.into(), &8.into()),
            "{made:#}"
        );
        assert_eq!(made["left_as_they_were"], 1, "{made:#}");
        // What it has it flashes; others it cannot have.
        let again = claim(&line, "st1", "SN000001", &["--identity", "st1.key"]);
        assert_eq!(again["certificate_id"], first["certificate_id"]);
        let refused = line.fail(
            "st1",
            &[
                "claim",
                "--device",
                "SN000005",
                "--out",
                "no",
                "--identity",
                "st1.key",
            ],
            9,
        );
        assert!(
            refused.contains("are encrypted for ") && refused.contains("nothing was claimed"),
            "{refused}"
        );
        assert!(refused.contains("bundle rewrap"), "{refused}");
        let got = claim(&line, "st2", "SN000005", &["--identity", "st2.key"]);
        assert_eq!((&got["certificate_id"], &shown("SN000005")), (&before, &before));
        line.succeed("st2", &["done", "SN000005"]);
        line.succeed("st1", &["done", "SN000001"]);
        line.succeed("st2", &["burn"]);
        let verified = line
            .0
            .succeed(&["verify", "out/b", "--identity", "st2.key", "--json"]);
        let verified = json(&verified);
        assert_eq!(
            (&verified["good"], &verified["burned"]),
            (&7.into(), &2.into()),
            "{verified:#}"
        );
        assert_eq!(verified["faults"], Value::Array(Vec::new()), "{verified:#}");
        // Any age tool opens them, with the new identity and not with the old one.
        if layout == "objects" {
            let folder = line.0.join("out/b/generations/1");
            let find = crate::support::tool("find", &[".", "-name", "SN000007.zip.age"], &folder);
            let found = String::from_utf8(find.stdout).unwrap();
            let bundle = fs::read(folder.join(found.trim())).unwrap();
            assert!(
                age(line.0.path(), &["-d", "-i", "st2.key"], &bundle)
                    .unwrap()
                    .starts_with(b"PK")
            );
            assert!(age(line.0.path(), &["-d", "-i", "st1.key"], &bundle).is_err());
        }
        // The same command has nothing to do; what is left goes on to the new station.
        let made = json(&line.0.succeed(&rewrap));
        assert_eq!(
            (&made["generation"], &made["made_before"]),
            (&1.into(), &true.into()),
            "{made:#}"
        );
        let history = line.0.succeed(&["ledger", "history", "--verify"]);
        assert_eq!(history.matches("bundles-remade").count(), 1, "{history}");
    }
}

#[test]
fn a_station_goes_on_with_the_device_that_it_has_in_hand() {
    let (line, [_, two]) = line("packs", 5);
    let next = |out: &str| {
        let claim = ["claim", "--next", "--out", out, "--json", "--identity", "st1.key"];
        json(&line.succeed("st1", &claim))["device_id"].clone()
    };
    let held = next("one");
    let rewrap = "bundle rewrap out/b --ca ca --identity st1.key --recipient";
    let rewrap: Vec<&str> = rewrap.split(' ').chain([two.as_str()]).collect();
    line.0.succeed(&rewrap);
    assert_eq!(next("two"), held);
    line.succeed("st1", &["done", held.as_str().unwrap()]);
    // Flashed and not burned is as good as it was before.
    line.0.succeed(&["verify", "out/b"]);
    let none = line.fail(
        "st1",
        &["claim", "--next", "--out", "three", "--identity", "st1.key"],
        9,
    );
    assert!(none.contains("nothing was claimed"), "{none}");
}

/// Where the store has a bundle of a device, in layout objects.
fn bundles_of(line: &Line, device: &str) -> Vec<String> {
    let name = format!("{device}.zip.age");
    let found = crate::support::tool("find", &["out/b", "-name", &name, "-type", "f"], line.0.path());
    let found = String::from_utf8(found.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

#[test]
fn what_failed_goes_along_what_is_in_hand_stays_and_what_is_flashed_goes() {
    for layout in ["objects", "packs"] {
        let (line, [_, two]) = line(layout, 9);
        let [failed, held, flashed] = ["SN000001", "SN000002", "SN000003"];
        let before = claim(&line, "st1", failed, &["--identity", "st1.key"]);
        line.succeed("st1", &["failed", failed, "--reason", "the board is bent"]);
        claim(&line, "st1", held, &["--identity", "st1.key"]);
        claim(&line, "st1", flashed, &["--identity", "st1.key"]);
        line.succeed("st1", &["done", flashed]);
        let rewrap = "bundle rewrap out/b --ca ca --identity st1.key --recipient";
        let rewrap: Vec<&str> = rewrap.split(' ').chain([two.as_str()]).collect();
        let told = line.0.succeed(&rewrap);
        for is_said in [
            "devices     7 devices\n",
            "left        1 device in the hands of stations, as before\n",
            "removed     the bundles of 1 device, flashed or scrapped\n",
        ] {
            assert!(told.contains(is_said), "{told}");
        }
        // Once more it says the same, of what was made before.
        let again = line.0.succeed(&rewrap);
        assert_eq!(again, told.replace("generation  1", "generation  1, made before"));
        if layout == "objects" {
            let places = |device| bundles_of(&line, device).len();
            assert_eq!([failed, held, flashed].map(places), [1, 1, 0]);
            assert!(bundles_of(&line, failed)[0].starts_with("out/b/generations/1/"));
            assert!(bundles_of(&line, held)[0].starts_with("out/b/bundles/"));
        }
        // What the new station cannot read is not said to be read.
        let verify = ["verify", "out/b", "--identity", "st2.key"];
        let verified = line.0.succeed(&verify);
        assert!(
            verified.contains("1 bundles of generation 0 are encrypted, for age1")
                && verified.contains("and were NOT READ"),
            "{verified}"
        );
        let verified = json(&line.0.succeed(&[&verify[..], &["--json"]].concat()));
        let count = ["good", "burned", "unread", "in_earlier_generations"].map(|field| &verified[field]);
        assert_eq!(count, [8, 1, 1, 1], "{verified:#}");
        let unread = &verified["unread_earlier"];
        assert_eq!(
            (&unread[0]["generation"], &unread[0]["bundles"], &unread[1]),
            (&0.into(), &1.into(), &Value::Null),
            "{verified:#}"
        );
        let both = ["st1.key", "st2.key"].map(|name| fs::read_to_string(line.0.join(name)).unwrap());
        fs::write(line.0.join("both.key"), both.concat()).unwrap();
        let chmod = crate::support::tool("chmod", &["600", "both.key"], line.0.path());
        assert!(chmod.status.success());
        let all = line
            .0
            .succeed(&["verify", "out/b", "--identity", "both.key", "--json"]);
        assert_eq!(json(&all)["unread"], 0, "{all}");
        // The one that failed is the new station's, by the same identity and the same claim.
        line.fail(
            "st1",
            &[
                "claim",
                "--device",
                failed,
                "--out",
                "no",
                "--identity",
                "st1.key",
            ],
            9,
        );
        line.fail(
            "st2",
            &[
                "claim",
                "--device",
                failed,
                "--out",
                "no",
                "--identity",
                "st2.key",
            ],
            9,
        );
        let got = claim(&line, "st2", failed, &["--identity", "st2.key", "--take-over"]);
        assert_eq!(got["certificate_id"], before["certificate_id"]);
        let claim_of = line.claim_of(failed);
        assert_eq!(
            (claim_of.hold.station.as_str(), claim_of.earlier.len()),
            ("st2", 1)
        );
        line.succeed("st2", &["done", failed]);
        claim(&line, "st1", held, &["--identity", "st1.key"]);
        line.succeed("st1", &["done", held]);
        line.succeed("st2", &["burn"]);
        let verified = json(&line.0.succeed(&[&verify[..], &["--json"]].concat()));
        assert_eq!(
            (&verified["good"], &verified["burned"]),
            (&6.into(), &3.into()),
            "{verified:#}"
        );
    }
}

#[test]
fn the_settings_say_which_ca_signs_and_where_its_passphrase_is() {
    let place = Workplace::new();
    place.manifest(3);
    fs::write(place.join("pass"), "correct horse battery\n").unwrap();
    let pass = crate::support::tool("chmod", &["600", "pass"], place.path());
    assert!(pass.status.success());
    place.succeed(&["ca", "new", "--to", "keys", "--passphrase-file", "pass"]);
    let with = |variables: &[(&str, &str)], arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut command = place.command(&arguments);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?} {variables:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    };
    let variables = [("CERTFORGE_CA", "keys"), ("CERTFORGE_PASSPHRASE_FILE", "pass")];
    with(&variables, "run devices.csv --no-endpoint --batch b");
    with(&variables, &format!("bundle repack out/b --endpoint {HOST}"));
    with(&variables, "ca crl");
    let (one, two) = (identity(&place, "st1"), identity(&place, "st2"));
    fs::write(
        place.join("certforge.toml"),
        "ca = 'keys'\npassphrase_file = 'pass'\n",
    )
    .unwrap();
    with(&[], &format!("bundle rewrap out/b --recipient {one}"));
    with(
        &[],
        &format!("bundle rewrap out/b --recipient {two} --identity st1.key"),
    );
    with(&[], "ca crl");
    // What the settings name is the CA that the parent is above.
    let refused = place.fail(
        &[
            "bundle",
            "repack",
            "out/b",
            "--parent",
            "none",
            "--endpoint",
            HOST,
        ],
        5,
    );
    assert!(
        refused.contains("none/certificate.pem cannot be read"),
        "{refused}"
    );
    // The passphrase of a new CA is none of theirs.
    let refused = place.fail(&["ca", "new", "--to", "other"], 5);
    assert!(refused.contains("no terminal to ask at"), "{refused}");
}

#[test]
fn a_profile_by_which_no_bundle_can_be_made_leaves_all_as_it_was() {
    let line = Line::new("objects", 3);
    let unfit = [
        ("u8", "value = '{device_id}'", "type = 'u8'"),
        ("full", "value = '{device_id}'", "size = '0x1000'"),
    ];
    for (name, value, setting) in unfit {
        let kind = if name == "u8" { "u8" } else { "string" };
        let size = if name == "full" { "0x1000" } else { "0x6000" };
        let big = "x".repeat(3900);
        let more = match name {
            "full" => {
                format!("{{ namespace = 'f', key = 'long', type = 'string', value = '{{device_id}}{big}' }},")
            }
            _ => String::new(),
        };
        let profile = format!(
            "name = 'unfit'\n[[bundle.files]]\nname = 'key.pem'\ncontent = 'private-key'\n\
             [[bundle.files]]\nname = 'c.pem'\ncontent = 'certificate'\n\
             [[bundle.files]]\nname = 'fctry.bin'\nformat = 'nvs'\nsize = '{size}'\n\
             entries = [{more}{{ namespace = 'f', key = 'id', type = '{kind}', {value} }}]\n"
        );
        fs::write(line.0.join("unfit.toml"), profile).unwrap();
        let told = line.0.fail(
            &[
                "bundle",
                "repack",
                "out/b",
                "--ca",
                "ca",
                "--profile",
                "unfit.toml",
            ],
            4,
        );
        assert!(told.contains("fctry.bin"), "{setting}: {told}");
        let left = crate::support::tool("find", &["out/b/generations", "-type", "f"], line.0.path());
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{setting}");
        line.0.succeed(&["verify", "out/b"]);
    }
}

#[test]
fn an_endpoint_that_was_forgotten_is_given_to_all_that_are_left() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 9);
        let endpoint = |device: &str| {
            let text = fs::read_to_string(line.0.join(device).join("endpoint.json")).unwrap();
            json(&text)
        };
        claim(&line, "st1", "SN000002", &[]);
        assert_eq!(endpoint("SN000002")["host"], Value::Null);
        line.0
            .succeed(&["bundle", "repack", "out/b", "--ca", "ca", "--endpoint", HOST]);
        claim(&line, "st1", "SN000003", &[]);
        let found = endpoint("SN000003");
        assert_eq!(
            (&found["host"], &found["region"]),
            (&HOST.into(), &"eu-central-1".into())
        );
        assert_eq!(found["thing_name"], "SN000003");
        // Twice in a row, and to other files: what was said before holds on.
        let profile = "name = 'der'\n[bundle]\nfiles = [
            { name = 'key.der', content = 'private-key', format = 'der' },
            { name = 'certificate.der', content = 'certificate', format = 'der' },
            { name = 'endpoint.json', content = 'endpoint' },
            { name = 'own.bin', content = { file = 'own.bin' } },
        ]";
        fs::write(line.0.join("der.toml"), profile).unwrap();
        fs::write(line.0.join("own.bin"), "of the user's own").unwrap();
        line.0
            .succeed(&["bundle", "repack", "out/b", "--ca", "ca", "--profile", "der.toml"]);
        fs::remove_file(line.0.join("own.bin")).unwrap();
        line.0.succeed(&[
            "bundle",
            "repack",
            "out/b",
            "--ca",
            "ca",
            "--endpoint",
            "b-ats.iot.eu-west-1.amazonaws.com",
        ]);
        claim(&line, "st1", "SN000004", &[]);
        assert_eq!(endpoint("SN000004")["host"], "b-ats.iot.eu-west-1.amazonaws.com");
        let own = fs::read_to_string(line.0.join("SN000004/own.bin")).unwrap();
        assert_eq!(own, "of the user's own");
        let verified = json(&line.0.succeed(&["verify", "out/b", "--json"]));
        assert_eq!(
            (&verified["generation"], &verified["good"]),
            (&3.into(), &9.into()),
            "{verified:#}"
        );
        assert_eq!(verified["in_earlier_generations"], 2, "{verified:#}");
    }
}

#[test]
fn a_station_that_is_at_work_goes_on_with_the_newer_generation() {
    let line = Line::new("packs", 6);
    // It has read the seal, and remembers it.
    claim(&line, "st1", "SN000000", &[]);
    line.0
        .succeed(&["bundle", "repack", "out/b", "--ca", "ca", "--endpoint", HOST]);
    line.script("cat \"$CERTFORGE_BUNDLE_DIR/endpoint.json\" >> \"${0%/*}/endpoints\"");
    let script = line.0.join("flash.sh").display().to_string();
    line.succeed("st1", &["run", "--exec", &script]);
    let endpoints = fs::read_to_string(line.0.join("endpoints")).unwrap();
    assert_eq!(endpoints.matches(HOST).count(), 5, "{endpoints}");
}

/// The program itself, killed at random moments until it has made the generation.
#[test]
fn killed_again_and_again_it_loses_no_key_and_leaves_none() {
    let seed = std::env::var("CERTFORGE_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("CERTFORGE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for layout in ["objects", "packs"] {
        let (line, [_, two]) = line(layout, 300);
        claim(&line, "st1", "SN000007", &["--identity", "st1.key"]);
        let before = line.0.succeed(&["ledger", "export"]);
        let rewrap = "bundle rewrap out/b --ca ca --identity st1.key --recipient";
        let rewrap: Vec<&str> = rewrap.split(' ').chain([two.as_str()]).collect();
        let mut latest = 40_000;
        let mut kills = 0;
        loop {
            let mut child = line.0.command(&rewrap);
            let child = child
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            let mut child = child.spawn().unwrap();
            // This is the random moment itself, not a wait for something.
            std::thread::sleep(std::time::Duration::from_micros(random.u64(5_000..latest)));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{layout}: {status}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // On a machine that is slow just now it needs longer to get anywhere.
            latest = (latest * 3 / 2).min(20_000_000);
        }
        println!("{layout}: {kills} kills");
        line.0.succeed(&rewrap);
        let verified = json(
            &line
                .0
                .succeed(&["verify", "out/b", "--identity", "st2.key", "--json"]),
        );
        assert_eq!(
            (&verified["good"], &verified["in_earlier_generations"]),
            (&300.into(), &1.into()),
            "{verified:#}"
        );
        assert_eq!(
            line.0.succeed(&["ledger", "export"]),
            before,
            "no device has another identity"
        );
        let history = line.0.succeed(&["ledger", "history", "--verify"]);
        assert_eq!(history.matches("bundles-remade").count(), 1, "{history}");
    }
}

#[test]
fn an_older_copy_that_is_put_back_is_told_by_the_history() {
    let line = Line::new("packs", 5);
    let copy = |from: &str, to: &str| {
        let copied = crate::support::tool("cp", &["-a", from, to], line.0.path());
        assert!(copied.status.success());
    };
    copy("out/b", "old");
    line.0
        .succeed(&["bundle", "repack", "out/b", "--ca", "ca", "--endpoint", HOST]);
    line.0.succeed(&["verify", "out/b"]);
    fs::remove_dir_all(line.0.join("out/b")).unwrap();
    copy("old", "out/b");
    let told = line.0.run(&["verify", "out/b"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the ledger's history has another generation, made at "),
        "{text}"
    );
    // Who has no ledger cannot tell.
    line.0
        .succeed(&["verify", "out/b", "--no-ledger", "--issuer", "ca"]);
}

#[test]
fn once_its_ca_is_retired_the_one_above_signs() {
    let place = Workplace::new();
    place.manifest(5);
    place.succeed(&["ca", "new", "--no-passphrase", "--path-len", "1", "--to", "root"]);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    fs::write(place.join("pass"), "correct horse battery\n").unwrap();
    let pass = crate::support::tool("chmod", &["600", "pass"], place.path());
    assert!(pass.status.success());
    let new = "ca new --parent root --for-batch --passphrase-file pass --to pumps";
    place.succeed(&new.split(' ').collect::<Vec<_>>());
    let run = "run devices.csv --ca pumps --passphrase-file pass --no-endpoint --batch b";
    place.succeed(&run.split(' ').collect::<Vec<_>>());
    place.succeed(&["ca", "retire", "pumps", "--unregistered"]);
    let repack = ["bundle", "repack", "out/b", "--ca", "pumps", "--endpoint", HOST];
    let refused = place.fail(&repack, 5);
    assert!(
        refused.contains("was retired at") && refused.contains("--parent"),
        "{refused}"
    );
    let refused = place.fail(&[&repack[..], &["--parent", "other"]].concat(), 5);
    assert!(refused.contains("nor the CA above it"), "{refused}");
    place.succeed(&[&repack[..], &["--parent", "root"]].concat());
    let line = Line(place);
    let claim = [
        "claim", "--device", "SN000001", "--out", "dev", "--issuer", "pumps",
    ];
    line.succeed("st1", &claim);
    let endpoint = fs::read_to_string(line.0.join("dev/endpoint.json")).unwrap();
    assert!(endpoint.contains(HOST), "{endpoint}");
    let verified = line
        .0
        .succeed(&["verify", "out/b", "--issuer", "pumps", "--no-ledger"]);
    assert!(
        verified.contains("5 devices verified, generation 1, sealed"),
        "{verified}"
    );
}

#[test]
fn a_generation_that_nobody_has_signed_gives_out_nothing() {
    let line = Line::new("objects", 5);
    line.0
        .succeed(&["bundle", "repack", "out/b", "--ca", "ca", "--endpoint", HOST]);
    let seal = line.0.join("out/b/generations/1/seal.json");
    let good = fs::read_to_string(&seal).unwrap();
    let claim = ["claim", "--device", "SN000001", "--out", "dev"];
    for (from, to) in [
        ("\"number\":1", "\"number\":2"),
        ("\"devices\":5", "\"devices\":4"),
        ("\"predecessor_sha256\":\"", "\"predecessor_sha256\":\"0"),
        ("\"certforge_seal\":4", "\"certforge_seal\":1"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        fs::write(&seal, changed).unwrap();
        let output = line.output("st1", &claim);
        assert!(!output.status.success(), "{from}");
        let verified = line.0.run(&["verify", "out/b"]);
        assert_eq!(verified.status.code(), Some(1), "{from}");
    }
    // The seal of the batch in the place of the generation's, and the other way round.
    let first = line.0.join("out/b/seal.json");
    let own = fs::read_to_string(&first).unwrap();
    fs::write(&seal, &own).unwrap();
    assert!(!line.output("st1", &claim).status.success());
    fs::write(&seal, &good).unwrap();
    fs::write(&first, &good).unwrap();
    assert!(!line.output("st3", &claim).status.success());
    fs::write(&first, &own).unwrap();
    // Without it the batch is as before, but for what is in its bundles: nothing any more.
    fs::remove_file(&seal).unwrap();
    let gone = line.fail("st4", &claim, 6);
    assert!(gone.contains("it is missing"), "{gone}");
    let verified = line.0.run(&["verify", "out/b"]);
    assert_eq!(verified.status.code(), Some(1));
    fs::write(&seal, &good).unwrap();
    line.succeed("st1", &["claim", "--device", "SN000003", "--out", "dev"]);
}
