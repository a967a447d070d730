//! First connections, rehearsed: what comes up, and each way not to, with its reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use crate::devices::{bundle, unpack};
use crate::documents::page;
use crate::endpoint::{Endpoint, policy, write_narrow_template, write_template};
use crate::support::{Workplace, perhaps_no_endpoint};
use serde_json::{Value, json};

/// Rehearses `out/b` and gives the JSON report.
#[track_caller]
fn rehearse(place: &Workplace, arguments: &[&str]) -> Value {
    let common = ["rehearse", "out/b", "--json"];
    let output = place.run(&[&common, arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Rehearses `out/b`, of which no device may come up, and gives the reason of the first one.
#[track_caller]
fn reason(place: &Workplace, arguments: &[&str]) -> String {
    let report = rehearse(place, arguments);
    assert_eq!(report["would_come_up"], 0, "{report:#}");
    report["reports"][0]["reason"].as_str().unwrap().to_owned()
}

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

/// A CA `Factory 1`, a batch `b` in layout objects, the usual template, and a profile of two days.
fn factory(rows: usize, options: &[&str]) -> Workplace {
    let place = Workplace::new();
    place.manifest(rows);
    fs::write(
        place.join("short.toml"),
        "name = \"short\"\nvalidity = { days = 2 }\n",
    )
    .unwrap();
    place.succeed(&["ca", "new", "--no-passphrase", "--common-name", "Factory 1"]);
    let run = ["run", "devices.csv", "--batch", "b", "--layout", "objects"];
    place.succeed(&[&run[..], &perhaps_no_endpoint(options)].concat());
    write_narrow_template(&place);
    place
}

const TEMPLATE: [&str; 2] = ["--template", "template.json"];

#[test]
fn every_device_of_a_sound_batch_would_come_up() {
    let place = factory(30, &[]);
    for (layout, options) in [
        ("out/b", &[][..]),
        ("out/b", &["--mqtt", "5", "--leaf-only"]),
        ("out/packs", &["--connections", "3"]),
    ] {
        if layout == "out/packs" {
            let run = [
                "run",
                "devices.csv",
                "--no-endpoint",
                "--batch",
                "packs",
                "--layout",
                "packs",
            ];
            place.succeed(&[&run[..], &["--reissue", "--chunk-rows", "10"]].concat());
        }
        let arguments = [
            "rehearse",
            layout,
            "--template",
            "template.json",
            "--sample",
            "all",
        ];
        let text = place.succeed(&[&arguments, options].concat());
        assert_eq!(
            text,
            "rehearsing 30 of 30 devices against a local JITP endpoint\n  \
             first connection   30 registered, 30 things, 1 policy, then disconnected as AWS does\n  \
             second connection  30 connected, 30 published to topics such as SN000000/rehearsal (QoS 1), 30 PUBACK\n\
             all 30 would come up\n"
        );
    }
}

#[test]
fn the_usual_topic_is_taken_where_policies_allow_it_and_only_a_sample_is_rehearsed() {
    let place = factory(30, &[]);
    write_template(&place, &policy(&[("Allow", "iot:*", "*")]));
    let text = place.succeed(&[
        "rehearse",
        "out/b",
        "--template",
        "template.json",
        "--sample",
        "7",
    ]);
    has(&text, "rehearsing 7 of 30 devices");
    has(
        &text,
        "7 published to JITP/test (QoS 1), 7 PUBACK\nall 7 would come up\n",
    );
    let report = rehearse(&place, &[&TEMPLATE[..], &["--sample", "3"]].concat());
    let devices: Vec<_> = report["reports"].as_array().unwrap().iter().collect();
    let ids: Vec<_> = devices
        .iter()
        .map(|device| device["device_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["SN000000", "SN000014", "SN000029"]);
    let first = devices[0];
    assert_eq!(first["attempts"].as_array().unwrap().len(), 2, "{first:#}");
    has(
        first["attempts"][0]["error"].as_str().unwrap(),
        "closed the connection before CONNACK",
    );
    assert_eq!(first["thing_name"], "SN000000");
    assert_eq!(first["status"], "ACTIVE");
}

#[test]
fn devices_come_up_only_if_the_subscriptions_of_their_firmware_are_granted() {
    let place = factory(3, &[]);
    let own = [
        "--subscribe",
        "{thing_name}/commands/#",
        "--subscribe",
        "{serial_number}/{client_id}",
    ];
    let text = place.succeed(&[&["rehearse", "out/b"], &TEMPLATE[..], &own].concat());
    has(
        &text,
        "  subscriptions      3 devices subscribed to 2 topic filters\nall 3 would come up\n",
    );
    let report = rehearse(&place, &[&TEMPLATE[..], &own].concat());
    page::of("`rehearse`").hold(&report);
    let subscriptions = json!(["SN000000/commands/#", "SN000000/SN000000"]);
    assert_eq!(report["reports"][0]["subscriptions"], subscriptions);
    for version in ["3.1.1", "5"] {
        let all = [
            "--subscribe",
            "{device_id}/in",
            "--subscribe",
            "news/#",
            "--mqtt",
            version,
        ];
        let why = reason(&place, &[&TEMPLATE[..], &all].concat());
        assert!(
            why.starts_with("SUBSCRIBE: ") && why.contains("topicfilter/news/#"),
            "{why}"
        );
    }
    // Publishing alone would not have shown it.
    write_template(
        &place,
        &policy(&[
            ("Allow", "iot:Connect", "*"),
            ("Allow", "iot:Publish", "*"),
            ("Allow", "iot:Receive", "*"),
        ]),
    );
    place.succeed(&[&["rehearse", "out/b"], &TEMPLATE[..]].concat());
    let why = reason(&place, &[&TEMPLATE[..], &["--subscribe", "news"]].concat());
    has(&why, "SUBSCRIBE: iot:Subscribe");
}

#[test]
fn devices_whose_bundles_were_burned_are_skipped_and_counted() {
    for layout in ["objects", "packs"] {
        let place = factory(6, &[]);
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--reissue",
            "--chunk-rows",
            "3",
        ];
        place.succeed(&[&run[..], &["--batch", layout, "--layout", layout]].concat());
        let batch = format!("out/{layout}");
        let station = |arguments: &[&str]| {
            let which = ["--batch", &batch];
            place.succeed(&[&["station"], arguments, &which].concat());
        };
        // The whole of the first chunk, and one of the second.
        for id in ["SN000000", "SN000001", "SN000002", "SN000004"] {
            station(&["claim", "--device", id, "--out", id, "--station", "st1"]);
            station(&["done", id, "--station", "st1"]);
        }
        station(&["burn"]);
        let rehearse = ["rehearse", &batch, "--template", "template.json"];
        let text = place.succeed(&rehearse);
        has(
            &text,
            "  skipped            4 burned: flashed or scrapped, and the bundle removed\nall 2 would come up\n",
        );
        let output = place.run(&[&rehearse[..], &["--json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let numbers =
            ["devices", "rehearsed", "burned", "would_come_up"].map(|field| report[field].as_u64().unwrap());
        assert_eq!(numbers, [6, 2, 4, 2]);
        // One that nobody burned is missing.
        if layout == "objects" {
            fs::remove_dir_all(place.join("out/objects/bundles")).unwrap();
            let text = String::from_utf8(place.run(&rehearse).stdout).unwrap();
            has(&text, "0 of 2 would come up\n");
        }
        for id in ["SN000003", "SN000005"] {
            if layout == "packs" {
                station(&["claim", "--device", id, "--out", id, "--station", "st1"]);
                station(&["done", id, "--station", "st1"]);
            }
        }
        if layout == "packs" {
            station(&["burn"]);
            has(
                &place.succeed(&rehearse),
                "nothing was rehearsed: every device of the sample was skipped\n",
            );
        }
    }
}

#[test]
fn devices_that_a_generation_left_out_are_skipped_as_what_they_are() {
    let place = factory(6, &[]);
    let station = |arguments: &[&str]| {
        let which = ["--batch", "out/b"];
        place.succeed(&[&["station"], arguments, &which].concat());
    };
    for id in ["SN000000", "SN000001", "SN000002", "SN000004"] {
        station(&["claim", "--device", id, "--out", id, "--station", "st1"]);
    }
    station(&["done", "SN000001", "--station", "st1"]);
    station(&["failed", "SN000002", "--station", "st1", "--reason", "no power"]);
    let rehearse = [
        "rehearse",
        "out/b",
        "--template",
        "template.json",
        "--sample",
        "all",
    ];
    has(&place.succeed(&rehearse), "all 6 would come up\n");
    let repack = ["bundle", "repack", "out/b", "--endpoint", "a.example"];
    let told = place.succeed(&repack);
    has(&told, "left        2 devices in the hands of stations");
    has(&told, "removed     the bundles of 1 device, flashed");
    has(
        &place.succeed(&rehearse),
        "  skipped            3 that the newest generation of the bundles left out: 2 claimed, 1 flashed\nall 3 would come up\n",
    );
    // What fails after that is where it was.
    station(&["failed", "SN000004", "--station", "st1", "--reason", "no power"]);
    let told = place.succeed(&repack);
    has(&told, "\nleft, failed  1 device, which a station had then: ");
    has(&told, "\nleft          1 device in the hands of stations");
    let output = place.run(&[&rehearse[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["burned"], 0);
    assert_eq!(
        report["left_out"],
        json!({"claimed": 1, "flashed": 1, "failed": 1, "scrapped": 0, "unknown": 0})
    );
}

#[test]
fn a_batch_whose_ca_is_not_registered_stays_out() {
    let place = factory(3, &[]);
    let text = reason(&place, &[&TEMPLATE[..], &["--wrong-ca"]].concat());
    has(
        &text,
        "TLS: the certificate's signer \"CN=Factory 1\" is not registered; registered: \"CN=Another CA\"",
    );
    // The same name, and another key.
    place.succeed(&[
        "ca",
        "new",
        "--no-passphrase",
        "--common-name",
        "Factory 1",
        "--to",
        "other",
    ]);
    let text = reason(&place, &[&TEMPLATE[..], &["--ca", "other"]].concat());
    has(
        &text,
        "TLS: the certificate was signed by another CA that calls itself \"CN=Factory 1\" as well",
    );
}

#[test]
fn a_certificate_outside_its_validity_stays_out() {
    let place = factory(3, &["--profile", "short.toml"]);
    let text = reason(&place, &[&TEMPLATE[..], &["--clock-skew", "-2h"]].concat());
    has(&text, "TLS: the certificate is not valid before ");
    let text = reason(&place, &[&TEMPLATE[..], &["--clock-skew", "3d"]].concat());
    has(&text, "TLS: the certificate has expired at ");
    let report = rehearse(&place, &[&TEMPLATE[..], &["--clock-skew", "30m"]].concat());
    assert_eq!(report["would_come_up"], 3, "{report:#}");
}

#[test]
fn a_template_that_fails_leaves_the_certificate_pending_and_says_why() {
    let place = factory(3, &[]);
    let text = fs::read_to_string(place.join("template.json")).unwrap();
    let country = text.replace(
        "AWS::IoT::Certificate::CommonName",
        "AWS::IoT::Certificate::Country",
    );
    fs::write(place.join("template.json"), country).unwrap();
    let state = [&TEMPLATE[..], &["--state", "state.db"]].concat();
    let why = "the certificate has no C, and parameter AWS::IoT::Certificate::Country has no Default";
    has(
        &reason(&place, &state),
        &format!("the certificate stays PENDING_ACTIVATION, the template failed: {why}"),
    );
    let listed = place.succeed(&["rehearse", "list", "--state", "state.db"]);
    has(&listed, "0 ACTIVE, 3 PENDING_ACTIVATION, 0 INACTIVE, 0 REVOKED");
    has(&listed, &format!("SN000000  PENDING_ACTIVATION: {why}"));
    // The template is mended, and the next connection brings the device up.
    fs::write(place.join("template.json"), text).unwrap();
    let report = rehearse(&place, &state);
    assert_eq!(report["would_come_up"], 3, "{report:#}");
    assert_eq!(report["reports"][0]["attempts"].as_array().unwrap().len(), 2);
    // All that was made is there still: devices connect at once.
    let report = rehearse(&place, &state);
    assert_eq!(report["would_come_up"], 3, "{report:#}");
    assert_eq!(report["reports"][0]["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(report["things"], 0);
}

#[test]
fn a_template_that_makes_certificates_inactive_keeps_them_out() {
    let place = factory(1, &[]);
    let text = fs::read_to_string(place.join("template.json")).unwrap();
    fs::write(
        place.join("template.json"),
        text.replace("\"ACTIVE\"", "\"INACTIVE\""),
    )
    .unwrap();
    assert_eq!(reason(&place, &TEMPLATE), "the certificate is INACTIVE");
}

#[test]
fn a_policy_that_a_template_names_must_exist() {
    let place = factory(2, &[]);
    let text = place.succeed(&["jitp", "template", "new", "--policy-name", "device"]);
    fs::write(place.join("template.json"), text).unwrap();
    has(
        &reason(&place, &TEMPLATE),
        "the template failed: policy device, which the template attaches, does not exist",
    );
    fs::write(
        place.join("policy.json"),
        policy(&[("Allow", "iot:*", "*")]).to_string(),
    )
    .unwrap();
    let report = rehearse(
        &place,
        &[&TEMPLATE[..], &["--policy", "device=policy.json"]].concat(),
    );
    assert_eq!(report["would_come_up"], 2, "{report:#}");
}

#[test]
fn a_policy_that_does_not_allow_the_connection_is_named() {
    let place = factory(2, &[]);
    let text = reason(
        &place,
        &[&TEMPLATE[..], &["--client-id", "x-{device_id}"]].concat(),
    );
    has(
        &text,
        "iot:Connect on arn:aws:iot:us-east-1:123456789012:client/x-SN000000 is refused",
    );
    has(
        &text,
        "${iot:Connection.Thing.ThingName} has no value: no thing named \"x-SN000000\" is attached to the certificate; \"SN000000\" is",
    );
    write_template(&place, &policy(&[("Allow", "iot:Publish", "*")]));
    has(&reason(&place, &TEMPLATE), "no statement");
}

#[test]
fn a_policy_that_does_not_allow_the_publish_is_named() {
    let place = factory(2, &[]);
    let topic = ["--topic", "{thing_name}/../other"];
    let report = rehearse(&place, &[&TEMPLATE[..], &topic].concat());
    assert_eq!(report["would_come_up"], 2, "a topic is a text: {report:#}");
    for version in ["3.1.1", "5"] {
        let topic = ["--topic", "other/{device_id}", "--mqtt", version];
        let report = rehearse(&place, &[&TEMPLATE[..], &topic].concat());
        let device = &report["reports"][0];
        let text = device["reason"].as_str().unwrap();
        has(
            text,
            "PUBLISH: iot:Publish on arn:aws:iot:us-east-1:123456789012:topic/other/SN000000 is refused",
        );
        has(text, "it allows arn:aws:iot:*:*:topic/SN000000/*");
        let saw = match version {
            "3.1.1" => "the server closed the connection after PUBLISH to other/SN000000, before PUBACK",
            _ => "the server refuses the message to other/SN000000 with code 0x87: PUBLISH: iot:Publish on",
        };
        has(device["device_saw"].as_str().unwrap(), saw);
    }
    // A Deny counts more than an Allow.
    write_template(
        &place,
        &policy(&[
            ("Allow", "iot:*", "*"),
            ("Deny", "iot:Publish", "arn:aws:iot:*:*:topic/JITP/*"),
        ]),
    );
    let text = reason(&place, &[&TEMPLATE[..], &["--topic", "JITP/test"]].concat());
    has(&text, "topic/JITP/test is refused");
    has(&text, "denies");
}

#[test]
fn a_policy_of_another_region_is_found_out() {
    let place = factory(1, &["--endpoint", "a1b2-ats.iot.eu-west-1.amazonaws.com"]);
    let arn = |region: &str| policy(&[("Allow", "iot:*", &format!("arn:aws:iot:{region}:111122223333:*"))]);
    write_template(&place, &arn("eu-west-1"));
    let report = rehearse(&place, &TEMPLATE);
    assert_eq!(report["would_come_up"], 1, "{report:#}");
    assert_eq!(report["account"], "111122223333");
    write_template(&place, &arn("us-east-1"));
    has(
        &reason(&place, &TEMPLATE),
        "iot:Connect on arn:aws:iot:eu-west-1:111122223333:client/SN000000",
    );
    let report = rehearse(&place, &[&TEMPLATE[..], &["--iot-region", "us-east-1"]].concat());
    assert_eq!(report["would_come_up"], 1, "{report:#}");
}

#[test]
fn what_aws_iot_limits_is_refused() {
    let place = factory(1, &[]);
    write_template(&place, &policy(&[("Allow", "iot:*", "*")]));
    let long = "x".repeat(129);
    for (options, message) in [
        (
            ["--topic", "1/2/3/4/5/6/7/8/9"],
            "has 8 slashes, AWS IoT allows 7",
        ),
        (["--topic", "a/+/b"], "has a wildcard"),
        (
            ["--client-id", &long],
            "the client id has 129 octets, AWS IoT allows 128",
        ),
    ] {
        has(&reason(&place, &[&TEMPLATE[..], &options].concat()), message);
    }
}

#[test]
fn devices_that_share_a_thing_are_found_out() {
    let place = factory(3, &[]);
    let text = fs::read_to_string(place.join("template.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document["Resources"]["thing"]["Properties"]["ThingName"] = json!("all-of-them");
    document["Resources"]["policy"]["Properties"] =
        json!({ "PolicyDocument": policy(&[("Allow", "iot:*", "*")]).to_string() });
    document["Parameters"]
        .as_object_mut()
        .unwrap()
        .remove("AWS::IoT::Certificate::CommonName");
    fs::write(place.join("template.json"), document.to_string()).unwrap();
    assert_eq!(
        reason(&place, &TEMPLATE),
        "thing all-of-them is attached to 3 certificates, so that as many devices are one"
    );
}

#[test]
fn jitr_keeps_certificates_pending_until_the_allow_list_has_them() {
    let place = factory(3, &[]);
    assert_eq!(
        reason(&place, &["--jitr", "--attempts", "2"]),
        "the certificate is PENDING_ACTIVATION until it is activated (JITR)"
    );
    let allowed = [&TEMPLATE[..], &["--jitr", "--allow-list", "out/b"]].concat();
    let report = rehearse(&place, &allowed);
    assert_eq!(report["would_come_up"], 3, "{report:#}");
    // Another batch of the same CA is not in the list.
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "c", "--reissue"]);
    let other = [&TEMPLATE[..], &["--jitr", "--allow-list", "out/c"]].concat();
    let report = rehearse(&place, &other);
    let device = &report["reports"][0];
    assert_eq!(
        device["reason"],
        "the certificate is INACTIVE now: it is not in the allow list (JITR)"
    );
    assert_eq!(device["status"], "INACTIVE");
    // Without a template: policies that exist, and things by the certificates' names.
    fs::write(
        place.join("policy.json"),
        policy(&[("Allow", "iot:*", "*")]).to_string(),
    )
    .unwrap();
    let policies = [
        "--jitr",
        "--allow-list",
        "out/b",
        "--policy",
        "device=policy.json",
    ];
    let report = rehearse(&place, &policies);
    assert_eq!(report["would_come_up"], 3, "{report:#}");
    assert_eq!(report["reports"][0]["thing_name"], "SN000000");
}

#[test]
fn a_bundle_that_is_damaged_or_gone_is_a_device_that_would_not_come_up() {
    let place = factory(3, &[]);
    let bundles = ["SN000000", "SN000001"].map(|id| bundle(&place, "b", id));
    fs::remove_file(&bundles[0]).unwrap();
    let mut octets = fs::read(&bundles[1]).unwrap();
    octets[100] ^= 1;
    fs::write(&bundles[1], octets).unwrap();
    let report = rehearse(&place, &TEMPLATE);
    assert_eq!(report["would_come_up"], 1, "{report:#}");
    let reason = |i: usize| report["reports"][i]["reason"].as_str().unwrap();
    has(reason(0), "store: there is no ");
    has(reason(1), "the bundle is not the one that the index names");
}

#[test]
fn one_reason_for_many_devices_is_told_once_and_the_table_has_them_all() {
    let place = factory(30, &[]);
    let refused = [
        "rehearse",
        "out/b",
        "--template",
        "template.json",
        "--topic",
        "other/{device_id}",
    ];
    let output = place.run(&refused);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    has(
        &text,
        "30 connected, 30 published to topics such as other/SN000000 (QoS 1), 0 PUBACK\n",
    );
    has(
        &text,
        "  30 devices would not, such as SN000000:\n    PUBLISH: iot:Publish on",
    );
    has(&text, "\n0 of 30 would come up\n");
    assert_eq!(text.lines().count(), 7, "{text}");
    let output = place.run(&[&refused[..], &["--table"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("  SN0000")).count(),
        30,
        "{text}"
    );
}

/// While the endpoint runs, its state is listed and changed by other commands.
#[test]
fn certificates_are_activated_and_revoked_while_the_endpoint_runs() {
    let place = factory(2, &[]);
    let mut endpoint = Endpoint::serve(&place, &["--jitr", "--state", "state.db"]);
    let bundles = ["SN000000", "SN000001"].map(|id| bundle(&place, "b", id));
    let connect = |endpoint: &Endpoint, i: usize| {
        let output = endpoint.run_connect(&place, &bundles[i], &["--attempts", "1"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = connect(&endpoint, 0);
    assert_eq!(code, Some(1));
    has(&error, "the server closed the connection before CONNACK");
    endpoint.tells("SN000000", &["registered", "dropped"]);
    let listed = place.succeed(&["rehearse", "list", "--state", "state.db"]);
    has(&listed, "0 ACTIVE, 1 PENDING_ACTIVATION");
    let said = place.succeed(&["rehearse", "activate", "SN000000", "--state", "state.db"]);
    assert_eq!(said, "SN000000  ACTIVE\n");
    assert_eq!(connect(&endpoint, 0), (Some(0), String::new()));
    endpoint.tells("SN000000", &["connected", "published", "disconnected"]);

    place.succeed(&["rehearse", "mark", "REVOKED", "SN000000", "--state", "state.db"]);
    assert_eq!(connect(&endpoint, 0).0, Some(1));
    assert_eq!(
        endpoint.tells("SN000000", &["refused"]),
        "the certificate is REVOKED"
    );
    let said = place.fail(&["rehearse", "activate", "SN000009", "--state", "state.db"], 2);
    has(&said, "no certificate SN000009 is registered");

    // What the Lambda function makes of a device that its allow list has not.
    assert_eq!(connect(&endpoint, 1).0, Some(1));
    endpoint.tells("SN000001", &["registered", "dropped"]);
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--batch", "c", "--reissue"]);
    let said = place.succeed(&[
        "rehearse",
        "activate",
        "--allow-list",
        "out/c",
        "--state",
        "state.db",
    ]);
    assert_eq!(said, "SN000001  INACTIVE: it is not in the allow list\n");
    let document = place.succeed(&["rehearse", "list", "--state", "state.db", "--json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["counts"]["inactive"], 1, "{document:#}");
    assert_eq!(document["counts"]["revoked"], 1);
    assert_eq!(document["things"][0]["thingName"], "SN000000");
}

/// What devices do wrong below MQTT is told as well.
#[test]
fn devices_without_certificate_tls_or_mqtt_are_told_of() {
    use std::io::Write;
    use std::net::TcpStream;
    use std::process::{Command, Stdio};

    let place = factory(1, &[]);
    let mut endpoint = Endpoint::serve(&place, &[]);
    let address = format!("127.0.0.1:{}", endpoint.port);
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    has(
        &endpoint.next_of("refused"),
        "TLS: what the device sends is HTTP without TLS",
    );
    drop(stream);

    let client = |arguments: &[&str], input: &[u8]| {
        let mut process = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-connect",
                &address,
                "-CAfile",
                "rehearsal-root.pem",
            ])
            .args(arguments)
            .current_dir(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`tests/all` installs openssl");
        // A server that refuses the handshake reads no input.
        let _ = process.stdin.take().unwrap().write_all(input);
        process.wait().unwrap();
    };
    client(&["-servername", "localhost"], b"");
    has(
        &endpoint.next_of("refused"),
        "TLS: the device sent no certificate",
    );

    let device = unpack(&place, &bundle(&place, "b", "SN000000"), "SN000000");
    let file = |name: &str| device.join(name).display().to_string();
    let (chain, leaf, key) = (
        file("chain.pem.crt"),
        file("certificate.pem.crt"),
        file("private.pem.key"),
    );
    let own = ["-cert", &leaf, "-key", &key];
    client(
        &[&own[..], &["-servername", "localhost"]].concat(),
        b"GET / HTTP/1.1\r\n\r\n",
    );
    has(&endpoint.next_of("refused"), "CONNECT: this is no MQTT");
    client(&[&own[..], &["-noservername"]].concat(), b"");
    has(
        &endpoint.next_of("refused"),
        "TLS: the device sent no server name (SNI), which AWS IoT asks for of a device that sends its certificate without the CA's",
    );
    // With the CA's certificate beside it, it may do without.
    client(
        &[&own[..], &["-cert_chain", &chain, "-noservername"]].concat(),
        b"\xe0\x00",
    );
    has(&endpoint.next_of("refused"), "CONNECT: ");
    assert!(endpoint.stop().success(), "Ctrl-C is how it ends");
}

#[test]
fn devices_that_share_a_client_id_are_found_out() {
    let place = factory(3, &[]);
    write_template(&place, &policy(&[("Allow", "iot:*", "*")]));
    assert_eq!(
        reason(&place, &[&TEMPLATE[..], &["--client-id", "gateway"]].concat()),
        "client id gateway is that of 3 of these devices, so that each drops the others"
    );
    let said = place.fail(
        &[&["rehearse", "out/b", "--client-id", "{serial}"][..], &TEMPLATE].concat(),
        2,
    );
    has(
        &said,
        "there is no placeholder {serial}; use {device_id}, {serial_number}, {thing_name}",
    );
}

/// What an earlier rehearsal made does not pass for what this template makes.
#[test]
fn devices_that_the_state_knows_are_told_apart() {
    let place = factory(3, &[]);
    let state = [
        "rehearse",
        "out/b",
        "--template",
        "template.json",
        "--state",
        "state.db",
    ];
    place.succeed(&state);
    let text = place.succeed(&state);
    has(&text, "  first connection   0 registered, 0 things, 0 policies\n");
    has(
        &text,
        "  known before       3 devices, as the state has it: no template was run for them\n",
    );
    let report = rehearse(&place, &[&TEMPLATE[..], &["--state", "state.db"]].concat());
    assert_eq!(report["known_before"], 3, "{report:#}");
}

#[test]
fn devices_that_only_listen_publish_nothing() {
    let place = factory(2, &[]);
    write_template(&place, &policy(&[("Allow", "iot:Connect", "*")]));
    let arguments = ["rehearse", "out/b", "--template", "template.json"];
    let text = place.succeed(&[&arguments[..], &["--no-publish"]].concat());
    has(
        &text,
        "  second connection  2 connected, nothing published\nall 2 would come up\n",
    );
    has(&reason(&place, &TEMPLATE), "iot:Publish on");
}

#[test]
fn policies_may_ask_for_the_name_by_which_devices_call_the_endpoint() {
    let host = "a1b2-ats.iot.eu-west-1.amazonaws.com";
    let place = factory(2, &["--endpoint", host]);
    let mut asking = policy(&[("Allow", "iot:*", "*")]);
    asking["Statement"][0]["Condition"] = json!({ "StringEquals": { "iot:DomainName": host } });
    write_template(&place, &asking);
    let report = rehearse(&place, &TEMPLATE);
    assert_eq!(report["would_come_up"], 2, "{report:#}");
    assert_eq!(report["region"], "eu-west-1");
    let report = rehearse(&place, &[&TEMPLATE[..], &["--host", "other.example"]].concat());
    assert_eq!(report["would_come_up"], 0, "{report:#}");
}

/// The first Ctrl-C ends the run with a report of what was tried.
#[test]
fn an_interrupted_rehearsal_reports_what_it_tried() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let place = factory(200, &[]);
    // Devices that stay pending come again and again.
    let arguments = [
        "rehearse",
        "out/b",
        "--jitr",
        "--sample",
        "all",
        "--connections",
        "4",
    ];
    let mut process = place
        .command(&[&arguments[..], &["--attempts", "20"]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut title = String::new();
    output.read_line(&mut title).unwrap();
    let id = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130), "{text}");
    has(&text, "interrupted: 0 of the ");
}

#[test]
fn jitr_that_nobody_could_activate_is_refused() {
    let place = factory(1, &[]);
    let said = place.fail(&["rehearse", "--serve", "--jitr", "--address", "127.0.0.1:0"], 2);
    has(
        &said,
        "with --jitr certificates stay pending, and nothing could activate them",
    );
}

/// A certificate that is revoked while its device is connected can do nothing more.
#[test]
fn a_revoked_device_is_dropped_at_its_next_message() {
    use std::process::{Command, Stdio};

    let place = factory(1, &[]);
    let mut endpoint = Endpoint::serve(&place, &["--state", "state.db"]);
    let bundle = bundle(&place, "b", "SN000000");
    assert!(endpoint.run_connect(&place, &bundle, &[]).status.success());
    let device = unpack(&place, &bundle, "SN000000");
    let mut publisher = Command::new("mosquitto_pub")
        .args([
            "-h",
            "localhost",
            "-p",
            &endpoint.port,
            "--cafile",
            "../rehearsal-root.pem",
        ])
        .args([
            "--cert",
            "chain.pem.crt",
            "--key",
            "private.pem.key",
            "-i",
            "SN000000",
        ])
        .args(["-q", "1", "-t", "SN000000/x", "-l"])
        .current_dir(&device)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = publisher.stdin.take().unwrap();
    let mut say = |text: &[u8]| std::io::Write::write_all(&mut lines, text).unwrap();
    say(b"first\n");
    let first = [
        "registered",
        "provisioned",
        "dropped",
        "connected",
        "published",
        "disconnected",
    ];
    endpoint.tells("SN000000", &first);
    endpoint.tells("SN000000", &["connected", "published"]);
    place.succeed(&["rehearse", "mark", "REVOKED", "SN000000", "--state", "state.db"]);
    say(b"second\n");
    assert_eq!(
        endpoint.tells("SN000000", &["refused"]),
        "the certificate is REVOKED"
    );
    publisher.kill().unwrap();
    publisher.wait().unwrap();
}

/// Profiles that are compiled in and whose bundles are no files of PEM: the fleet reads them as their firmware would.
#[test]
fn devices_of_the_profiles_that_are_ready_to_flash_come_up() {
    for profile in [
        "esp32-secure-cert",
        "esp32-nvs",
        "gateway-pkcs12",
        "freertos-header",
        "modem-sec1",
    ] {
        let place = factory(3, &["--profile", profile, "--endpoint", "a.example"]);
        let report = rehearse(&place, &TEMPLATE);
        assert_eq!(report["would_come_up"], 3, "{profile}: {report:#}");
    }
}
