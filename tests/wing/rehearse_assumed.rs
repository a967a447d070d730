//! What a rehearsal evaluates as AWS's documents have it, and what it takes for granted or is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use crate::endpoint::{policy, write_template};
use crate::support::Workplace;
use serde_json::{Value, json};

/// Two lamps, in DE and FR, with C and CN in their subject.
fn factory() -> Workplace {
    let place = Workplace::new();
    fs::write(place.join("devices.csv"), "serial_number,country\nA1,DE\nA2,FR\n").unwrap();
    let profile =
        "name = \"lamps\"\nsubject = [\"C={country}\", \"CN={serial_number}\"]\nvalidity = { days = 2 }\n";
    fs::write(place.join("lamps.toml"), profile).unwrap();
    place.succeed(&["ca", "new", "--no-passphrase", "--common-name", "Factory 1"]);
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--profile",
        "lamps.toml",
        "--batch",
        "b",
    ]);
    write_template(&place, &policy(&[("Allow", "iot:*", "*")]));
    place
}

/// Changes `template.json`.
fn change(place: &Workplace, change: impl FnOnce(&mut Value)) {
    let path = place.join("template.json");
    let mut template: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut template);
    fs::write(path, template.to_string()).unwrap();
}

fn rehearse(place: &Workplace, options: &[&str]) -> Value {
    let common = ["rehearse", "out/b", "--template", "template.json", "--json"];
    let output = place.run(&[&common[..], options].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{options:?}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn reasons(report: &Value) -> Vec<&str> {
    let devices = report["reports"].as_array().unwrap().iter();
    devices.filter_map(|device| device["reason"].as_str()).collect()
}

#[test]
fn policies_that_aws_documents_bring_devices_up() {
    let place = factory();
    let only = |names: Value| json!({"ForAllValues:StringEquals": {"iot:ConnectAttributes": names}});
    let allow = |action: &str, condition: Value| json!({"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition});
    let any = json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "PersistentConnect"}});
    let but = json!({"Effect": "Allow", "NotAction": "iot:DeleteThingShadow", "NotResource": "arn:aws:iot:*:*:topic/x"});
    let up = 2;
    for (statements, expected) in [
        (
            vec![allow("iot:*", only(json!(["PersistentConnect", "LastWill"])))],
            up,
        ),
        (vec![allow("iot:*", only(json!([])))], up),
        (vec![but], up),
        (vec![allow("iot:*", any)], 0),
        // A key that AWS IoT does not document keeps out those that need it, and nobody else.
        (
            vec![
                allow("iot:Publish", json!({"Bool": {"aws:SecureTransport": "true"}})),
                allow("iot:*", json!({})),
            ],
            up,
        ),
        (
            vec![allow("iot:*", json!({"Bool": {"aws:SecureTransport": "true"}}))],
            0,
        ),
    ] {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        write_template(&place, &document);
        let report = rehearse(&place, &[]);
        assert_eq!(report["would_come_up"], expected, "{document}: {report:#}");
    }
}

#[test]
fn a_serial_number_is_read_as_it_is_told() {
    let place = factory();
    change(&place, |template| {
        template["Parameters"]["AWS::IoT::Certificate::SerialNumber"] = json!({"Type": "String"});
        template["Resources"]["thing"]["Properties"]["AttributePayload"] =
            json!({"serial": {"Ref": "AWS::IoT::Certificate::SerialNumber"}});
        // It need not be declared, nor need a status be given.
        template["Parameters"]
            .as_object_mut()
            .unwrap()
            .remove("AWS::IoT::Certificate::Id");
        template["Resources"]["certificate"]["Properties"]
            .as_object_mut()
            .unwrap()
            .remove("Status");
    });
    for (options, expected) in [
        (&[][..], 2),
        (&["--serial-number", "certificate"], 2),
        (&["--serial-number", "subject"], 0),
    ] {
        let report = rehearse(&place, options);
        assert_eq!(report["would_come_up"], expected, "{options:?}: {report:#}");
        for reason in reasons(&report) {
            let text = "Cannot resolve reference value: {Ref=AWS::IoT::Certificate::SerialNumber}";
            assert!(reason.contains(text), "{reason}");
        }
    }
}

#[test]
fn what_devices_name_is_taken_for_granted_or_held_against_a_list() {
    let place = factory();
    change(&place, |template| {
        template["Parameters"]["AWS::IoT::Certificate::Country"] = json!({"Type": "String"});
        let thing = &mut template["Resources"]["thing"]["Properties"];
        thing["ThingTypeName"] = json!("lamp");
        thing["ThingGroups"] = json!([{"Ref": "AWS::IoT::Certificate::Country"}, "all"]);
    });
    let report = rehearse(&place, &[]);
    let names = json!([
        "thing type lamp",
        "thing group DE",
        "thing group FR",
        "thing group all"
    ]);
    assert_eq!(report["taken_for_granted"], names, "{report:#}");
    assert_eq!(report["would_come_up"], 2);

    let groups = json!({"thingGroups": [{"groupName": "DE", "groupArn": "arn"}, {"groupName": "all", "groupArn": "arn"}]});
    fs::write(place.join("groups.json"), groups.to_string()).unwrap();
    for options in [
        &["--assume-exists", "lamp", "DE", "all"][..],
        &["--assume-exists", "lamp", "--assume-exists-from", "groups.json"],
    ] {
        let report = rehearse(&place, options);
        assert_eq!(report["would_come_up"], 1, "{options:?}: {report:#}");
        assert_eq!(report["taken_for_granted"], json!([]));
        let reasons = reasons(&report);
        assert_eq!(reasons.len(), 1);
        assert!(
            reasons[0].contains("thing group FR does not exist (ResourceNotFoundException)"),
            "{reasons:?}"
        );
    }
}

#[test]
fn a_subscription_goes_by_topicfilter() {
    let place = factory();
    for (resource, expected) in [
        ("arn:aws:iot:*:*:topic/cmd/*", 0),
        ("arn:aws:iot:*:*:topicfilter/cmd/*", 2),
    ] {
        let publish = ("Allow", "iot:Publish", "*");
        let rights = [
            ("Allow", "iot:Connect", "*"),
            ("Allow", "iot:Subscribe", resource),
            publish,
        ];
        write_template(&place, &policy(&rights));
        let report = rehearse(&place, &["--subscribe", "cmd/{thing_name}"]);
        assert_eq!(report["would_come_up"], expected, "{resource}: {report:#}");
        for reason in reasons(&report) {
            assert!(reason.contains("iot:Subscribe on"), "{reason}");
        }
    }
}

#[test]
fn a_placeholder_is_no_account_and_no_region() {
    let place = factory();
    write_template(
        &place,
        &policy(&[("Allow", "iot:*", "arn:aws:iot:REGION:ACCOUNT_ID:*")]),
    );
    let error = place.fail(&["rehearse", "out/b", "--template", "template.json"], 8);
    assert!(error.contains("account \"ACCOUNT_ID\" cannot be one"), "{error}");
    fs::write(
        place.join("policy.json"),
        policy(&[("Allow", "iot:*", "arn:aws:iot:REGION:ACCOUNT_ID:*")]).to_string(),
    )
    .unwrap();
    change(&place, |template| {
        template["Resources"]["policy"]["Properties"] = json!({"PolicyName": "lamps"});
    });
    let named = [
        "rehearse",
        "out/b",
        "--template",
        "template.json",
        "--policy",
        "lamps=policy.json",
    ];
    let error = place.fail(&named, 8);
    assert!(error.contains("Region \"REGION\" cannot be one"), "{error}");
}
