//! Policies, held against what AWS documents of them: a table of policies, requests and decisions, each row with the rule that
//! it stands for. Every row is decided by the library, and most of them by the endpoint too, which another client asks over
//! MQTT.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use certforge::jitp::{
    Ask, Cause, CertificateNames, Connection, Decision, Greeting, Home, Policies, ThingMade,
};
use certforge::pem;
use certforge::rehearsal::Account;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::devices;
use crate::endpoint::{Endpoint, FIRST};
use crate::support::Workplace;

/// Most policies of a row, and one more, by which devices may connect.
const POLICIES: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What AWS documents, in our words.
    rule: String,
    /// Statements of each; resources are the last parts of ARNs, or `*`, or whole.
    policies: Vec<Vec<Value>>,
    /// The action without `iot:`, and the name of what it is on.
    ask: Vec<String>,
    decision: String,
    #[serde(default = "lamp")]
    device: String,
    #[serde(default = "lamp")]
    client: String,
    #[serde(default)]
    persistent: bool,
    #[serde(default)]
    will: Option<String>,
    /// It is asked over MQTT too.
    #[serde(default)]
    mqtt: bool,
}

fn lamp() -> String {
    "lamp1".to_owned()
}

fn home() -> Home {
    Home {
        partition: "aws".to_owned(),
        region: "eu-central-1".to_owned(),
        account: "123456789012".to_owned(),
    }
}

fn rows() -> Vec<Row> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("../data/policies/decisions.json")).unwrap();
    let rules: BTreeSet<&str> = rows.iter().map(|row| row.rule.as_str()).collect();
    assert!(
        rows.len() >= 150 && rules.len() >= 40,
        "{} rows, {} rules",
        rows.len(),
        rules.len()
    );
    rows
}

impl Row {
    /// The documents, with whole ARNs.
    fn documents(&self) -> Vec<String> {
        let whole = |resource: &mut Value| {
            let text = resource.as_str().unwrap();
            if text != "*" && !text.starts_with("arn:") {
                *resource = home().arn(text).into();
            }
        };
        let documents = self.policies.iter().map(|statements| {
            let mut statements = statements.clone();
            for statement in &mut statements {
                for key in ["Resource", "NotResource"] {
                    match statement.get_mut(key) {
                        Some(Value::Array(resources)) => resources.iter_mut().for_each(whole),
                        Some(resource) => whole(resource),
                        None => {}
                    }
                }
            }
            json!({"Version": "2012-10-17", "Statement": statements}).to_string()
        });
        documents.collect()
    }

    fn decide(&self, der: &[u8]) -> Decision {
        let documents = self.documents();
        let names: Vec<String> = (0..documents.len()).map(|i| format!("row{i}")).collect();
        let named = names.iter().zip(&documents);
        let policies = Policies::read(named.map(|(name, document)| (name.as_str(), document.as_str())));
        let certificate = CertificateNames::of_certificate(der).unwrap();
        let thing = ThingMade {
            thing_name: self.device.clone(),
            attributes: attributes(),
            thing_type_name: Some("bulb".to_owned()),
            thing_groups: Vec::new(),
            billing_group: None,
        };
        let connection = Connection {
            client_id: self.client.clone(),
            thing: Some(thing).filter(|thing| thing.thing_name == self.client),
            attached: vec![self.device.clone()],
            source_ip: "127.0.0.1".parse().unwrap(),
            domain_name: Some("localhost".to_owned()),
            greeting: Greeting {
                persistent: self.persistent,
                last_will: self.will.clone(),
            },
            certificate,
        };
        let name = self.ask.get(1).map_or("", String::as_str);
        let name = name.replace("{certificate_id}", connection.certificate.id());
        let topic = name.as_str();
        let ask = match self.ask[0].as_str() {
            "Connect" => Ask::Connect,
            "Publish" => Ask::Publish { topic },
            "RetainPublish" => Ask::RetainPublish { topic },
            "Receive" => Ask::Receive { topic },
            "Subscribe" => Ask::Subscribe { filter: topic },
            other => panic!("{other}"),
        };
        policies.unwrap().decide(&ask, &connection, &home())
    }
}

fn attributes() -> BTreeMap<String, String> {
    [("hall", "7"), ("watts", "60"), ("made", "2026-01-01T00:00:00Z")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A batch of the lamps, each in a folder of its name, and a template that attaches the policies of a row.
fn lamps() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase", "--common-name", "Factory 1"]);
    fs::write(
        place.join("devices.csv"),
        "serial_number,state\nlamp1,HH\nlamp2,A+\n",
    )
    .unwrap();
    let subject = "[\"O=Example\", \"OU=line-7\", \"ST={state}\", \"CN={serial_number}\"]";
    fs::write(
        place.join("lamps.toml"),
        format!("name = \"lamps\"\nsubject = {subject}\n"),
    )
    .unwrap();
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--profile",
        "lamps.toml",
        "--batch",
        "b",
        "--layout",
        "objects",
    ];
    place.succeed(&run);
    for id in ["lamp1", "lamp2"] {
        devices::unpack(&place, &devices::bundle(&place, "b", id), id);
    }
    let text = place.succeed(&["jitp", "template", "new"]);
    let mut template: Value = serde_json::from_str(&text).unwrap();
    let resources = &mut template["Resources"];
    resources["thing"]["Properties"]["AttributePayload"] = json!({"hall": "7", "watts": "60"});
    // An attribute of a template has no plus, and may have a time.
    resources["thing"]["Properties"]["AttributePayload"]["made"] = json!("2026-01-01T00:00:00Z");
    resources["thing"]["Properties"]["ThingTypeName"] = json!("bulb");
    resources.as_object_mut().unwrap().remove("policy");
    for i in 0..POLICIES {
        resources[format!("policy{i}")] =
            json!({"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": format!("row{i}")}});
    }
    fs::write(place.join("template.json"), template.to_string()).unwrap();
    place
}

fn der(place: &Workplace, device: &str) -> Vec<u8> {
    let text = fs::read(place.join(&format!("{device}/certificate.pem.crt"))).unwrap();
    pem::certificates(&text).swap_remove(0)
}

#[test]
fn every_row_is_decided_as_aws_documents_it() {
    let place = lamps();
    let ders: BTreeMap<&str, Vec<u8>> = ["lamp1", "lamp2"].map(|id| (id, der(&place, id))).into();
    for row in rows() {
        let decision = row.decide(&ders[row.device.as_str()]);
        let found = match &decision {
            Decision::Allowed => "allow",
            Decision::Refused(reason) if matches!(reason.cause, Cause::Denied(_)) => "deny",
            Decision::Refused(_) => "implicit deny",
        };
        assert_eq!(found, row.decision, "{row:#?}: {decision:?}");
    }
}

/// A client that asks.
struct Asking {
    process: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Asking {
    fn new(place: &Workplace, port: &str) -> Self {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wing/policies/ask.py");
        let mut process = Command::new(python)
            .args([script, place.path().to_str().unwrap(), port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn ask(&mut self, row: &Row) -> bool {
        let line = json!({
            "device": row.device, "client": row.client, "persistent": row.persistent, "will": row.will, "ask": row.ask,
        });
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        match answer.trim() {
            "allowed" => true,
            "refused" => false,
            other => panic!("{row:?}: the client says {other:?}"),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_endpoint_answers_over_mqtt_as_the_table_has_it() {
    let place = lamps();
    let nothing = policy("iot:DeleteConnection");
    fs::write(place.join("nothing.json"), &nothing).unwrap();
    let mut options = vec!["--state".to_owned(), "state.db".to_owned()];
    for (option, value) in [("--account-id", "123456789012"), ("--iot-region", "eu-central-1")] {
        options.extend([option.to_owned(), value.to_owned()]);
    }
    for i in 0..POLICIES {
        options.extend(["--policy".to_owned(), format!("row{i}=nothing.json")]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut endpoint = Endpoint::serve(&place, &options);
    let account = Account::open_existing(&place.join("state.db")).unwrap();
    let mut asking = Asking::new(&place, &endpoint.port);
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.mqtt).collect();
    // The first connection of each ends before CONNACK.
    for device in ["lamp1", "lamp2"] {
        let first = rows.iter().find(|row| row.device == device).unwrap();
        assert!(!asking.ask(first));
        endpoint.tells(device, &FIRST);
    }
    let all = serde_json::from_str::<Value>(include_str!("../data/policies/decisions.json")).unwrap();
    assert!(
        rows.len() * 3 >= all.as_array().unwrap().len(),
        "{} rows over MQTT",
        rows.len()
    );
    for row in rows {
        let mut documents = row.documents();
        if row.ask[0] != "Connect" {
            documents.push(policy("iot:Connect"));
        }
        documents.resize(POLICIES, nothing.clone());
        for (i, document) in documents.iter().enumerate() {
            account.put_policy(&format!("row{i}"), document).unwrap();
        }
        assert_eq!(asking.ask(&row), row.decision == "allow", "{row:#?}");
    }
}

/// Allows an action on everything.
fn policy(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
        .to_string()
}
