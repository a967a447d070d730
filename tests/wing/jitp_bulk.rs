//! A batch for those who register their devices before the first connection: with AWS's bulk registration,
//! and with Thingpress.
//!
//! MiniStack has no StartThingRegistrationTask, and Thingpress is a stack of its own, so what is written is
//! held against what both say that they read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use crate::support::{Workplace, tool};
use certforge::batch::parse_index;
use certforge::digest::sha256;
use certforge::pem;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

const HEADER: &str = "serial_number,site,country,production_order,hardware_revision\n";

/// Five devices in chunks of two; Lyon has a name that a thing's attribute may have.
fn batch(profile: &str) -> Workplace {
    let place = Workplace::new();
    let mut text = HEADER.to_owned();
    for row in 0..5 {
        writeln!(text, "SN{row:06},Lyon,FR,PO-1,r{row}").unwrap();
    }
    fs::write(place.join("devices.csv"), text).unwrap();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    make(&place, "b", profile);
    place
}

fn make(place: &Workplace, name: &str, profile: &str) {
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--chunk-rows",
        "2",
    ];
    place.succeed(&[&run[..], &["--batch", name, "--profile", profile]].concat());
}

/// The devices of a batch and the ids of their certificates, as the index has them.
fn index(place: &Workplace, name: &str) -> Vec<(String, String)> {
    let folder = place.join("out").join(name).join("index");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| parse_index(&fs::read(file).unwrap()).unwrap())
        .map(|row| {
            (
                row.entry.device_id.to_string(),
                HEXLOWER.encode(&row.entry.certificate_id),
            )
        })
        .collect()
}

fn certificate_id(text: &str) -> String {
    let blocks = pem::blocks(text).unwrap();
    assert_eq!(blocks.len(), 1, "a certificate alone: {text}");
    HEXLOWER.encode(&sha256(&blocks[0].der))
}

/// A template with references of every form.
fn template() -> Value {
    let text = json!({ "Type": "String" });
    let or = |default: &str| json!({ "Type": "String", "Default": default });
    let reference = |name: &str| json!({ "Ref": name });
    json!({
        "Parameters": {
            "AWS::IoT::Certificate::CommonName": text,
            "AWS::IoT::Certificate::Country": text,
            "AWS::IoT::Certificate::StateName": or("nowhere"),
            "AWS::IoT::Certificate::Organization": text,
            "AWS::IoT::Certificate::Id": text,
            "Fleet": or("lamps"),
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": reference("AWS::IoT::Certificate::CommonName"),
                    "AttributePayload": {
                        "place": { "Fn::Sub": "${AWS::IoT::Certificate::Country}/${AWS::IoT::Certificate::StateName}" },
                        "name": { "Fn::Sub": ["${x}-${AWS::IoT::Certificate::CommonName}", { "x": reference("Fleet") }] },
                        "both": { "Fn::Join": ["_", [reference("AWS::IoT::Certificate::Country"), "x"]] },
                    },
                },
                "OverrideSettings": { "AttributePayload": "MERGE" },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": reference("AWS::IoT::Certificate::Id"), "Status": "ACTIVE" },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": { "PolicyName": "devices" },
            },
        },
    })
}

fn write_template(place: &Workplace, template: &Value) {
    fs::write(place.join("t.json"), template.to_string()).unwrap();
}

const BULK: [&str; 4] = ["jitp", "bulk", "--template", "t.json"];

/// What `jitp bulk` wrote: the template, and the lines of the parameters.
fn written(place: &Workplace, folder: &str) -> (Value, Vec<Value>) {
    let read = |name: &str| fs::read_to_string(place.join(folder).join(name)).unwrap();
    let template = serde_json::from_str(&read("template.json")).unwrap();
    let lines = read("parameters.json");
    assert!(lines.ends_with('\n'), "the last line is whole");
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    (template, lines.collect())
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

/// The parameters of a template that have no default.
fn needed(template: &Value) -> BTreeSet<String> {
    let declared = template["Parameters"].as_object().unwrap();
    let needed = declared.iter().filter(|(_, how)| how.get("Default").is_none());
    needed.map(|(name, _)| name.clone()).collect()
}

#[test]
fn every_line_has_what_the_template_needs_and_the_certificate_of_the_index() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    place.succeed(&[&BULK[..], &["--batch", "out/b"]].concat());
    let (template, lines) = written(&place, "bulk");
    let index = index(&place, "b");
    assert_eq!(lines.len(), index.len());
    // Organization is declared and nothing uses it, so no line needs it.
    let expected = ["CertificatePem", "CommonName", "Country"].map(str::to_owned);
    assert_eq!(needed(&template), BTreeSet::from(expected));
    for (line, (device, id)) in lines.iter().zip(&index) {
        let mut expected = needed(&template);
        // It has a default, and certificates of this profile have a value.
        expected.insert("StateName".to_owned());
        assert_eq!(names(line), expected);
        assert_eq!(line["CommonName"], **device);
        assert_eq!(
            (&line["Country"], &line["StateName"]),
            (&json!("FR"), &json!("Lyon"))
        );
        assert_eq!(certificate_id(line["CertificatePem"].as_str().unwrap()), *id);
    }
}

#[test]
fn the_template_takes_certificates_in_place_of_their_ids_and_names_nothing_of_aws() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    place.succeed(&[&BULK[..], &["--batch", "out/b"]].concat());
    let (made, _) = written(&place, "bulk");
    let text = made.to_string();
    assert!(!text.contains("AWS::IoT::Certificate::"), "{text}");
    assert_eq!(
        made["Parameters"],
        json!({
            "CommonName": { "Type": "String" },
            "Country": { "Type": "String" },
            "StateName": { "Type": "String", "Default": "nowhere" },
            "Fleet": { "Type": "String", "Default": "lamps" },
            "CertificatePem": { "Type": "String" },
        })
    );
    let ca = fs::read_to_string(place.join("ca/certificate.pem")).unwrap();
    assert_eq!(
        made["Resources"]["certificate"]["Properties"],
        json!({
            "CertificatePem": { "Ref": "CertificatePem" },
            "CACertificatePem": ca,
            "Status": "ACTIVE",
        })
    );
    let thing = &made["Resources"]["thing"];
    assert_eq!(
        thing["Properties"],
        json!({
            "ThingName": { "Ref": "CommonName" },
            "AttributePayload": {
                "place": { "Fn::Sub": "${Country}/${StateName}" },
                "name": { "Fn::Sub": ["${x}-${CommonName}", { "x": { "Ref": "Fleet" } }] },
                "both": { "Fn::Join": ["_", [{ "Ref": "Country" }, "x"]] },
            },
        })
    );
    assert_eq!(thing["OverrideSettings"], json!({ "AttributePayload": "MERGE" }));
    assert_eq!(made["Resources"]["policy"], template()["Resources"]["policy"]);
}

#[test]
fn a_template_that_names_the_certificate_id_elsewhere_is_given_it() {
    let place = batch("aws-iot-p256");
    let mut template = template();
    template["Parameters"] = json!({ "AWS::IoT::Certificate::Id": { "Type": "String" } });
    template["Resources"]["thing"]["Properties"] = json!({
        "ThingName": { "Fn::Sub": "lamp-${AWS::IoT::Certificate::Id}" },
    });
    write_template(&place, &template);
    place.succeed(&[&BULK[..], &["--batch", "out/b"]].concat());
    let (made, lines) = written(&place, "bulk");
    let thing = &made["Resources"]["thing"]["Properties"];
    assert_eq!(thing["ThingName"], json!({ "Fn::Sub": "lamp-${CertificateId}" }));
    assert!(
        made["Resources"]["certificate"]["Properties"]
            .get("CertificateId")
            .is_none()
    );
    for (line, (_, id)) in lines.iter().zip(index(&place, "b")) {
        assert_eq!(names(line), needed(&made));
        assert_eq!(line["CertificateId"], *id);
    }
}

#[test]
fn a_device_that_the_template_does_not_fit_is_named_and_nothing_is_written() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    let rows = "A-1,Lyon,FR,PO-1,r1\nA-2,Lyon,FR,PO-1,r1\nA-3,Saint Denis,FR,PO-1,r1\n";
    fs::write(place.join("devices.csv"), format!("{HEADER}{rows}")).unwrap();
    make(&place, "c", "aws-iot-subject");
    let error = place.fail(&[&BULK[..], &["--batch", "c"]].concat(), 8);
    let told = "certforge: error: device A-3 cannot be registered: \
                $.Resources.thing.Properties.AttributePayload.place: the attribute value \"FR/Saint Denis\" has a space";
    assert!(error.contains(told), "{error}");
    assert!(error.contains("jitp template check --manifest"), "{error}");
    assert!(!place.join("bulk/parameters.json").exists());
    assert!(!place.join("bulk/template.json").exists());
    // A template that asks for less fits, in the same folder.
    let mut lesser = template();
    lesser["Resources"]["thing"]["Properties"]["AttributePayload"] = json!({});
    write_template(&place, &lesser);
    place.succeed(&[&BULK[..], &["--batch", "c"]].concat());
    assert_eq!(written(&place, "bulk").1.len(), 3);
}

#[test]
fn a_batch_whose_certificates_lack_what_the_template_needs_is_refused() {
    let place = batch("aws-iot-p256");
    write_template(&place, &template());
    let error = place.fail(&[&BULK[..], &["--batch", "b"]].concat(), 8);
    let told = "device SN000000 cannot be registered: the certificate has no C, and parameter \
                AWS::IoT::Certificate::Country has no Default";
    assert!(error.contains(told), "{error}");
    assert!(!place.join("bulk/parameters.json").exists());
}

#[test]
fn a_batch_is_found_by_its_name_and_by_its_folder_and_must_be_complete() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    for (to, batch) in [("1", "b"), ("2", "out/b")] {
        let bulk = place.succeed(&[&BULK[..], &["--batch", batch, "--to", to, "--json"]].concat());
        let bulk: Value = serde_json::from_str(&bulk).unwrap();
        let expected = json!({
            "batch": "b",
            "devices": 5,
            "template": format!("{to}/template.json"),
            "parameters": format!("{to}/parameters.json"),
        });
        assert_eq!(bulk, expected);
        let to = format!("t{to}");
        place.succeed(&["jitp", "thingpress", "--batch", batch, "--to", &to]);
        assert!(place.join(&to).join("certificates-000001.txt").exists());
    }
    assert_eq!(written(&place, "1"), written(&place, "2"));
    let again = place.fail(&[&BULK[..], &["--batch", "b", "--to", "1"]].concat(), 2);
    assert!(again.contains("nothing is written over"), "{again}");

    for arguments in [&BULK[..], &["jitp", "thingpress"], &["jitp", "jitr-lambda"]] {
        let unknown = place.fail(&[arguments, &["--batch", "nobody"]].concat(), 7);
        assert!(unknown.contains("the ledger knows no batch nobody"), "{unknown}");
    }

    // As if the run had been stopped before its last chunk.
    fs::remove_file(place.join("out/b/index/000002.csv")).unwrap();
    for arguments in [&BULK[..], &["jitp", "thingpress"], &["jitp", "jitr-lambda"]] {
        let to = ["--batch", "b", "--to", "3"];
        let output = place.run(&[arguments, &to].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            error.ends_with(
                "is not complete: chunk 2 of 3 is not released\n\
                 certforge: hint: finish it first: repeat the command that began it\n"
            ),
            "{error}"
        );
        assert!(!place.join("3").is_file());
        assert!(!place.join("3/parameters.json").exists());
    }
}

#[test]
fn a_certificate_that_is_not_that_of_the_index_is_not_registered() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    // Two certificates of a chunk change places.
    let path = place.join("out/b/certificates/000001.pem");
    let text = fs::read_to_string(&path).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let (first, second) = text.split_at(text.find(end).unwrap() + end.len());
    fs::write(&path, format!("{second}{first}")).unwrap();
    for arguments in [&BULK[..], &["jitp", "thingpress"]] {
        let output = place.run(&[arguments, &["--batch", "b"]].concat());
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        let told =
            "certificates/000001.pem: the certificate of device SN000002 is not the one that the index names";
        assert!(error.contains(told), "{error}");
    }
    assert!(!place.join("bulk/parameters.json").exists());
}

/// What lies in the store is believed when the ledger, or the CA's signature, says the same.
#[test]
fn a_batch_that_was_changed_or_is_of_another_ca_is_not_registered() {
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    make_other(&place);
    let commands = [&BULK[..], &["jitp", "thingpress"], &["jitp", "jitr-lambda"]];
    let refused = |told: &str, more: &[&str], code: i32| {
        for arguments in commands {
            let error = place.fail(&[arguments, &["--to", "new", "--batch"], more].concat(), code);
            assert!(error.contains(told), "{error}");
            assert!(!place.join("new/parameters.json").exists());
            let _ = fs::remove_dir_all(place.join("new"));
        }
    };
    // An index of other devices.
    let index = place.join("out/b/index/000000.csv");
    let was = fs::read_to_string(&index).unwrap();
    let (first, second) = was.split_once(',').unwrap();
    fs::write(&index, format!("{first},{}", second.replacen('1', "2", 1))).unwrap();
    refused(
        "index/000000.csv is not what ledger ca/ledger.db has: it was changed",
        &["b"],
        6,
    );
    refused(
        "index/000000.csv is not what the seal says",
        &["out/b", "--issuer", "ca", "--ledger", "none.db"],
        6,
    );
    fs::write(&index, was).unwrap();
    // Another batch of the CA in its place.
    let again = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "c",
        "--reissue",
    ];
    place.succeed(&again);
    fs::rename(place.join("out/b"), place.join("out/was")).unwrap();
    fs::rename(place.join("out/c"), place.join("out/b")).unwrap();
    let is_another = "out/b is batch c, and not b";
    for more in [
        &["b"][..],
        &["b", "--issuer", "ca"],
        &["out/b", "--issuer", "ca"],
        &["out/b", "--issuer", "ca", "--ledger", "none.db"],
    ] {
        refused(is_another, more, 6);
    }
    fs::rename(place.join("out/b"), place.join("out/c")).unwrap();
    fs::rename(place.join("out/was"), place.join("out/b")).unwrap();
    // Another CA's batch in its place.
    fs::rename(place.join("out/b"), place.join("out/was")).unwrap();
    fs::rename(place.join("else/b"), place.join("out/b")).unwrap();
    refused("is of another CA: certificate ", &["b"], 5);
    refused("is of another CA: certificate ", &["out/b"], 5);
    refused("is of another CA: certificate ", &["out/b", "--issuer", "ca"], 5);
    for arguments in commands {
        place.succeed(
            &[
                arguments,
                &["--to", "new", "--batch", "out/b", "--issuer", "other"],
            ]
            .concat(),
        );
        let new = place.join("new");
        let removed = if new.is_dir() {
            fs::remove_dir_all(new)
        } else {
            fs::remove_file(new)
        };
        removed.unwrap();
    }
    // Nobody knows it.
    for name in ["ca/ledger.db", "ca"] {
        fs::rename(place.join(name), place.join(&format!("{name}-away"))).unwrap();
    }
    refused("nothing vouches for batch ", &["out/b"], 2);
}

/// The same manifest, made by another CA into another place.
fn make_other(place: &Workplace) {
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "other",
        "--batch",
        "b",
        "--to",
        "else",
        "--ledger",
        "other.db",
        "--profile",
        "aws-iot-subject",
    ];
    place.succeed(&run);
}

#[test]
fn files_are_written_into_no_folder_and_through_no_link_of_somebody_else() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = batch("aws-iot-subject");
    write_template(&place, &template());
    let (to, victim) = (place.join("bulk"), place.join("victim"));
    fs::write(&victim, "untouched").unwrap();
    fs::create_dir(&to).unwrap();
    symlink(&victim, to.join("parameters.json.new")).unwrap();
    symlink(&victim, to.join("parameters.json")).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o777)).unwrap();
    let error = place.fail(&[&BULK[..], &["--batch", "b"]].concat(), 2);
    assert!(
        error.contains("folder bulk can be written by others (mode 0777)"),
        "{error}"
    );
    fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).unwrap();
    place.succeed(&[&BULK[..], &["--batch", "b"]].concat());
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert!(!to.join("parameters.json").is_symlink());
}

/// `AWS::IoT::Certificate::Country` is `Country` here, and a template may have a `Country` of its own.
#[test]
fn a_parameter_that_would_be_taken_for_another_is_refused() {
    let place = batch("aws-iot-subject");
    for name in ["Country", "CertificatePem"] {
        let mut template = template();
        template["Parameters"][name] = json!({ "Type": "String", "Default": "own" });
        let attributes = &mut template["Resources"]["thing"]["Properties"]["AttributePayload"];
        attributes["both"] = json!({ "Ref": name });
        write_template(&place, &template);
        let error = place.fail(&[&BULK[..], &["--batch", "b"]].concat(), 8);
        let told = format!("the template has a parameter {name} of its own");
        assert!(error.contains(&told), "{error}");
        assert!(!place.join("bulk").exists());
    }
    // Nothing else has this name.
    let mut template = template();
    template["Parameters"]["CertificateId"] = json!({ "Type": "String", "Default": "own" });
    template["Resources"]["thing"]["Properties"]["AttributePayload"]["both"] =
        json!({ "Ref": "CertificateId" });
    write_template(&place, &template);
    place.succeed(&[&BULK[..], &["--batch", "b"]].concat());
}

#[test]
fn thingpress_gets_a_certificate_a_line_that_openssl_reads() {
    let place = batch("aws-iot-p256");
    let thingpress = [
        "jitp",
        "thingpress",
        "--batch",
        "out/b",
        "--per-file",
        "2",
        "--json",
    ];
    let report: Value = serde_json::from_str(&place.succeed(&thingpress)).unwrap();
    assert_eq!(
        report,
        json!({ "batch": "b", "devices": 5, "folder": "thingpress", "files": 3 })
    );
    let mut lines = Vec::new();
    for (file, rows) in [(1, 2), (2, 2), (3, 1)] {
        let path = place
            .join("thingpress")
            .join(format!("certificates-{file:06}.txt"));
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), rows);
        lines.extend(text.lines().map(str::to_owned));
    }
    assert_eq!(fs::read_dir(place.join("thingpress")).unwrap().count(), 3);
    for (line, (device, id)) in lines.iter().zip(index(&place, "b")) {
        let certificate = BASE64.decode(line.as_bytes()).unwrap();
        fs::write(place.join("one.pem"), &certificate).unwrap();
        let read = [
            "x509",
            "-in",
            "one.pem",
            "-noout",
            "-subject",
            "-fingerprint",
            "-sha256",
        ];
        let read = tool("openssl", &read, place.path());
        assert!(read.status.success(), "{read:?}");
        let text = String::from_utf8(read.stdout).unwrap();
        assert!(text.contains(&format!("CN = {device}\n")), "{text}");
        let print = text.split_once("Fingerprint=").unwrap().1;
        assert_eq!(print.trim().replace(':', "").to_lowercase(), id);
    }
    let again = place.fail(&thingpress, 2);
    assert!(again.contains("nothing is written over"), "{again}");
}

#[test]
fn thingpress_gets_no_certificate_that_names_no_thing() {
    let place = batch("aws-iot-p256");
    let profile = "name = \"no-cn\"\nsubject = [\"serialNumber={serial_number}\"]\n";
    fs::write(place.join("no-cn.toml"), profile).unwrap();
    fs::write(place.join("devices.csv"), "serial_number\nA-1\nA-2\n").unwrap();
    make(&place, "c", "no-cn.toml");
    let error = place.fail(&["jitp", "thingpress", "--batch", "c"], 1);
    assert!(
        error.contains("certforge: error: the certificate of device A-1 has no CN\n"),
        "{error}"
    );
}
