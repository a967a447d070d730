//! Rows a second of the census: a template evaluated for every device of a manifest, on all cores.
//!
//! Each template does more than the one before: a name alone; attributes and groups; functions and a policy.

use std::time::Instant;

use certforge::bench::{Fixture, Lap, Rate};
use certforge::digest::sha256;
use certforge::engine::Choice;
use certforge::jitp::{Template, census};
use certforge::manifest::Manifest;
use certforge::profile::{Binding, KeyType, Profile};

/// Every attribute of the subject but the country comes from a column.
const PROFILE: &str = r#"
name = "bench"
subject = ["C=DE", "ST={country}", "OU={site}", "CN={serial_number}"]
"#;

const NAME: &str = r#"{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": { "Type": "String" },
    "AWS::IoT::Certificate::Id": { "Type": "String" }
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": { "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" } }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" }
    },
    "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "devices" } }
  }
}"#;

const ATTRIBUTES: &str = r#"{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": { "Type": "String" },
    "AWS::IoT::Certificate::Country": { "Type": "String" },
    "AWS::IoT::Certificate::StateName": { "Type": "String" },
    "AWS::IoT::Certificate::OrganizationalUnit": { "Type": "String" },
    "AWS::IoT::Certificate::Id": { "Type": "String" }
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" },
        "ThingTypeName": "lamp",
        "ThingGroups": ["lamps", { "Ref": "AWS::IoT::Certificate::Country" }],
        "AttributePayload": {
          "site": { "Ref": "AWS::IoT::Certificate::StateName" },
          "order": { "Ref": "AWS::IoT::Certificate::OrganizationalUnit" },
          "certificate": { "Ref": "AWS::IoT::Certificate::Id" }
        }
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" }
    },
    "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "devices" } }
  }
}"#;

const FUNCTIONS: &str = r#"{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": { "Type": "String" },
    "AWS::IoT::Certificate::OrganizationalUnit": { "Type": "String" },
    "AWS::IoT::Certificate::Id": { "Type": "String" }
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" },
        "AttributePayload": {
          "order": { "Fn::Select": ["1", { "Fn::Split": ["-", { "Ref": "AWS::IoT::Certificate::OrganizationalUnit" }] }] },
          "topic": { "Fn::Join": ["/", ["lamps", { "Ref": "AWS::IoT::Certificate::CommonName" }]] }
        }
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" }
    },
    "policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyDocument": {
          "Fn::Sub": "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"iot:Connect\", \"Resource\": \"arn:aws:iot:*:*:client/${AWS::IoT::Certificate::CommonName}\"}]}"
        }
      }
    }
  }
}"#;

/// The census of all rows, which finds nothing.
fn measure(text: &str, manifest: &Manifest, binding: &Binding, rows: u64) -> Lap {
    let template = Template::read(text).template.expect("nothing is wrong with it");
    let sha256 = sha256(&std::fs::read(manifest.path()).expect("the manifest is read"));
    let started = Instant::now();
    let census = census(&template, manifest, &sha256, binding).expect("the manifest is read");
    let time = started.elapsed();
    assert_eq!((census.rows, census.renamed), (rows, 0));
    assert_eq!(census.faults, []);
    Lap { made: rows, time }
}

fn main() {
    // `cargo bench` passes --bench; with --test everything runs once, and small.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rows, rounds) = if is_test { (5_000, 1) } else { (1_000_000, 5) };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let Fixture { manifest, .. } =
        Fixture::new(folder.path(), KeyType::P256, rows, Choice::Auto).expect("a CA and a manifest are made");
    let profile = Profile::parse(PROFILE, "bench", None).expect("it is a profile");
    let binding = Binding::new(&profile, manifest.header(), manifest.path()).expect("it has the columns");
    println!("| template | rows | rows/s, median of {rounds} | slowest | fastest |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, template) in [
        ("name", NAME),
        ("attributes", ATTRIBUTES),
        ("functions", FUNCTIONS),
    ] {
        let round = |_| vec![measure(template, &manifest, &binding, rows)];
        let rounds: Vec<Vec<Lap>> = (0..rounds).map(round).collect();
        let rate = Rate::of(&rounds);
        let [median, slowest, fastest] = [rate.per_second, rate.lowest_per_second, rate.highest_per_second];
        println!("| {name} | {rows} | {median:.0} | {slowest:.0} | {fastest:.0} |");
    }
}
