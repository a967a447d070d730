//! Rows a second of the census: a template evaluated for every device of a manifest, on all cores.
//!
//! Each template does more than the one before: a name alone; attributes and groups; functions and a policy.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use certforge::jitp::{Template, census};
use certforge::manifest::Manifest;
use certforge::profile::{Binding, Profile};

/// Every attribute of the subject but the country comes from a column.
const PROFILE: &str = r#"
name = "bench"
subject = ["C=DE", "ST={site}", "OU={order}", "CN={serial_number}"]
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

/// The census of all rows, which finds nothing, and how long it took.
fn measure(text: &str, manifest: &Manifest, binding: &Binding, rows: u64) -> Duration {
    let template = Template::read(text).template.expect("nothing is wrong with it");
    let started = Instant::now();
    let census = census(&template, manifest, binding).expect("the manifest is read");
    let elapsed = started.elapsed();
    assert_eq!((census.rows, census.renamed), (rows, 0));
    assert_eq!(census.faults, []);
    elapsed
}

fn main() {
    // `cargo bench` passes --bench; with --test everything runs once, and small.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rows, rounds) = if is_test { (5_000, 1) } else { (1_000_000, 5) };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("devices.csv");
    let mut text = String::from("serial_number,site,order\n");
    for row in 0..rows {
        writeln!(text, "SN{row:09},Lyon,PO-{}", row / 100).expect("text grows");
    }
    std::fs::write(&path, text).expect("the manifest is written");
    let profile = Profile::parse(PROFILE, "bench", None).expect("it is a profile");
    let manifest = Manifest::open(&path, profile.id_column()).expect("the manifest opens");
    let binding = Binding::new(&profile, manifest.header(), manifest.path()).expect("it has the columns");
    println!("| template | rows | rows/s, median of {rounds} | slowest | fastest |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, template) in [
        ("name", NAME),
        ("attributes", ATTRIBUTES),
        ("functions", FUNCTIONS),
    ] {
        let mut times: Vec<Duration> = (0..rounds)
            .map(|_| measure(template, &manifest, &binding, rows))
            .collect();
        times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = |time: Duration| rows as f64 / time.as_secs_f64();
        println!(
            "| {name} | {rows} | {:.0} | {:.0} | {:.0} |",
            rate(times[times.len() / 2]),
            rate(times[times.len() - 1]),
            rate(times[0])
        );
    }
}
