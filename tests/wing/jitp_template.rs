//! Templates: AWS's own examples give what AWS's documents say, and what `check` passes always comes up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use certforge::batch::Layout;
use certforge::digest::sha256;
use certforge::engine::Choice;
use certforge::forge::{self, Cancel, Job};
use certforge::issuer::{CaFiles, CaRequest, Issuer, Secret, create};
use certforge::jitp::{Facts, Finding, Parameter, PolicyMade, Provisioned, Refusal, Template, census};
use certforge::ledger;
use certforge::manifest::{Manifest, Row};
use certforge::profile::{Attribute, Binding, KeyType, NotAfter, Profile};
use certforge::store::{Store, StoreError};
use certforge::vouched::{Vouched, Voucher};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// The template body of <https://docs.aws.amazon.com/iot/latest/developerguide/jit-provisioning.html>.
const JITP: &str = r#"{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": { "Type": "String" },
    "AWS::IoT::Certificate::SerialNumber": { "Type": "String" },
    "AWS::IoT::Certificate::Country": { "Type": "String" },
    "AWS::IoT::Certificate::Id": { "Type": "String" }
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" },
        "AttributePayload": {
          "version": "v1",
          "serialNumber": { "Ref": "AWS::IoT::Certificate::SerialNumber" }
        },
        "ThingTypeName": "lightBulb-versionA",
        "ThingGroups": ["v1-lightbulbs", { "Ref": "AWS::IoT::Certificate::Country" }]
      },
      "OverrideSettings": {
        "AttributePayload": "MERGE",
        "ThingTypeName": "REPLACE",
        "ThingGroups": "DO_NOTHING"
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" },
      "OverrideSettings": { "Status": "DO_NOTHING" }
    },
    "policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyDocument": "{ \"Version\": \"2012-10-17\", \"Statement\": [{ \"Effect\": \"Allow\", \"Action\":[\"iot:Publish\"], \"Resource\": [\"arn:aws:iot:us-east-1:123456789012:topic\/foo\/bar\"] }] }"
      }
    }
  }
}"#;

/// The fleet template of <https://docs.aws.amazon.com/iot/latest/developerguide/provision-wo-cert.html>.
const FLEET: &str = r#"{
  "Parameters": { "SerialNumber": { "Type": "String" }, "DeviceLocation": { "Type": "String" } },
  "Mappings": { "LocationTable": { "Seattle": { "LocationUrl": "https://example.aws" } } },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "AttributePayload": { "version": "v1", "serialNumber": "serialNumber" },
        "ThingName": { "Fn::Join": ["", ["ThingPrefix_", { "Ref": "SerialNumber" }]] },
        "ThingTypeName": { "Fn::Join": ["", ["ThingTypePrefix_", { "Ref": "SerialNumber" }]] },
        "ThingGroups": ["widgets", "WA"],
        "BillingGroup": "BillingGroup"
      },
      "OverrideSettings": {
        "AttributePayload": "MERGE",
        "ThingTypeName": "REPLACE",
        "ThingGroups": "DO_NOTHING"
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {
        "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" },
        "Status": "Active",
        "ThingPrincipalType": "EXCLUSIVE_THING"
      }
    },
    "policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyDocument": {
          "Version": "2012-10-17",
          "Statement": [{
            "Effect": "Allow",
            "Action": ["iot:Publish"],
            "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/foo/bar"]
          }]
        }
      }
    }
  },
  "DeviceConfiguration": {
    "FallbackUrl": "https://www.example.com/test-site",
    "LocationUrl": { "Fn::FindInMap": ["LocationTable", { "Ref": "DeviceLocation" }, "LocationUrl"] }
  }
}"#;

/// A certificate with this subject, made by another library than ours.
fn certificate(subject: &[(DnType, &str)]) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.self_signed(&key).unwrap().der().to_vec()
}

fn serial_number() -> DnType {
    DnType::CustomDnType(vec![2, 5, 4, 5])
}

fn dn_qualifier() -> DnType {
    DnType::CustomDnType(vec![2, 5, 4, 46])
}

fn read(text: &str) -> Template {
    let reading = Template::read(text);
    reading
        .template
        .unwrap_or_else(|| panic!("{:#?}", reading.findings))
}

fn provision(template: &Template, der: &[u8]) -> Result<Provisioned, Refusal> {
    template.provision(&Facts::of_certificate(der).unwrap())
}

fn errors(findings: &[Finding]) -> Vec<&str> {
    let errors = findings.iter().filter(|finding| finding.is_error());
    errors.map(|finding| finding.path.as_str()).collect()
}

#[test]
fn reads_every_parameter_from_a_certificate() {
    let der = certificate(&[
        (DnType::CountryName, "US"),
        (DnType::StateOrProvinceName, "Washington"),
        (DnType::OrganizationName, "Example"),
        (DnType::OrganizationalUnitName, "Lamps"),
        (dn_qualifier(), "rev-7"),
        (DnType::CommonName, "lamp-1"),
        (serial_number(), "SN-1"),
    ]);
    let facts = Facts::of_certificate(&der).unwrap();
    let id = HEXLOWER.encode(&sha256(&der));
    for (parameter, value) in [
        (Parameter::Country, "US"),
        (Parameter::State, "Washington"),
        (Parameter::Organization, "Example"),
        (Parameter::OrganizationalUnit, "Lamps"),
        (Parameter::DnQualifier, "rev-7"),
        (Parameter::CommonName, "lamp-1"),
        (Parameter::SerialNumber, "SN-1"),
        (Parameter::Id, &id),
    ] {
        assert_eq!(facts.get(parameter), Some(value), "{parameter:?}");
    }
}

/// "Create one thing resource. Create one policy resource. Attach the policy to the certificate. ... Update the
/// certificate status to ACTIVE."
#[test]
fn the_example_for_jitp_gives_what_its_document_says() {
    let der = certificate(&[
        (DnType::CountryName, "US"),
        (DnType::CommonName, "bulb-1"),
        (serial_number(), "SN-1"),
    ]);
    // As a template, and in the registrationConfig of a CA.
    let config = json!({ "templateBody": JITP, "roleArn": "arn:aws:iam::123456789012:role/JITPRole" });
    for text in [JITP, &config.to_string()] {
        let made = provision(&read(text), &der).unwrap();
        let thing = made.thing.unwrap();
        assert_eq!(thing.thing_name, "bulb-1");
        let attributes = [("serialNumber", "SN-1"), ("version", "v1")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(thing.attributes, BTreeMap::from(attributes));
        assert_eq!(thing.thing_type_name.as_deref(), Some("lightBulb-versionA"));
        assert_eq!(thing.thing_groups, ["v1-lightbulbs", "US"]);
        assert_eq!(thing.billing_group, None);
        assert_eq!(made.certificate.certificate_id, HEXLOWER.encode(&sha256(&der)));
        assert_eq!(made.certificate.status, "ACTIVE");
        let [PolicyMade::PolicyDocument(document)] = made.policies.as_slice() else {
            panic!("{:?}", made.policies);
        };
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(
            document,
            json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Action": ["iot:Publish"],
                    "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/foo/bar"]
                }]
            })
        );
    }
}

/// "If AWS::IoT::Certificate::Country is included in the template, but the certificate doesn't have a Country
/// property, the device provisioning fails."
#[test]
fn a_certificate_without_a_country_is_refused_unless_there_is_a_default() {
    let der = certificate(&[(DnType::CommonName, "bulb-1"), (serial_number(), "SN-1")]);
    let refused = provision(&read(JITP), &der).unwrap_err();
    assert!(
        matches!(
            refused,
            Refusal::Missing {
                parameter: Parameter::Country,
                ..
            }
        ),
        "{refused}"
    );
    // "The default value is used when the dictionary passed in ... does not contain a value for the parameter."
    let mut template: Value = serde_json::from_str(JITP).unwrap();
    template["Parameters"]["AWS::IoT::Certificate::Country"]["Default"] = "WA".into();
    let thing = provision(&read(&template.to_string()), &der)
        .unwrap()
        .thing
        .unwrap();
    assert_eq!(thing.thing_groups, ["v1-lightbulbs", "WA"]);
}

/// What a certificate cannot give, a template for JITP cannot ask for; and its policy is a text.
#[test]
fn the_fleet_example_is_wrong_only_where_jitp_differs() {
    let reading = Template::read(FLEET);
    assert_eq!(
        errors(&reading.findings),
        [
            "$.Parameters.SerialNumber",
            "$.Parameters.DeviceLocation",
            "$.Resources.policy.Properties.PolicyDocument",
        ]
    );
    let mut template: Value = serde_json::from_str(FLEET).unwrap();
    let text = template.to_string().replace(
        "\"Ref\":\"SerialNumber\"",
        "\"Ref\":\"AWS::IoT::Certificate::CommonName\"",
    );
    template = serde_json::from_str(&text).unwrap();
    template["Parameters"] = json!({
        "AWS::IoT::Certificate::CommonName": { "Type": "String" },
        "AWS::IoT::Certificate::Id": { "Type": "String" },
    });
    let document = &mut template["Resources"]["policy"]["Properties"]["PolicyDocument"];
    *document = document.to_string().into();
    let der = certificate(&[(DnType::CommonName, "7")]);
    let made = provision(&read(&template.to_string()), &der).unwrap();
    let thing = made.thing.unwrap();
    assert_eq!(thing.thing_name, "ThingPrefix_7");
    assert_eq!(thing.thing_type_name.as_deref(), Some("ThingTypePrefix_7"));
    assert_eq!(thing.thing_groups, ["widgets", "WA"]);
    assert_eq!(thing.billing_group.as_deref(), Some("BillingGroup"));
    assert_eq!(made.certificate.status, "ACTIVE");
}

/// The functions as <https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html> describes
/// them, with its map and, where it has no example, those of
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>.
#[test]
fn functions_give_what_their_documents_say() {
    let common_name = json!({ "Ref": "AWS::IoT::Certificate::CommonName" });
    for (function, expected) in [
        (json!({ "Fn::Join": [":", ["a", "b", "c"]] }), "a:b:c"),
        (
            json!({ "Fn::Join": ["", ["ThingPrefix_", common_name]] }),
            "ThingPrefix_a,b,Seattle",
        ),
        (
            json!({ "Fn::Select": ["1", ["apples", "grapes", "oranges", "mangoes"]] }),
            "grapes",
        ),
        (
            json!({ "Fn::Select": ["2", { "Fn::Split": [",", common_name] }] }),
            "Seattle",
        ),
        (
            json!({ "Fn::Join": ["/", { "Fn::Split": ["|", "a||c|"] }] }),
            "a//c/",
        ),
        (
            json!({ "Fn::Sub": ["www.${Domain}", { "Domain": { "Ref": "RootDomainName" } }] }),
            "www.example.com",
        ),
        (
            json!({ "Fn::Sub": "${RootDomainName}/${AWS::IoT::Certificate::CommonName}" }),
            "example.com/a,b,Seattle",
        ),
        (
            json!({ "Fn::FindInMap": ["LocationTable", "Seattle", "LocationUrl"] }),
            "https://example.aws",
        ),
        (
            json!({ "Fn::FindInMap": [
                "LocationTable",
                { "Fn::Select": [2, { "Fn::Split": [",", common_name] }] },
                "LocationUrl"
            ] }),
            "https://example.aws",
        ),
    ] {
        let mut template: Value = serde_json::from_str(JITP).unwrap();
        template["Mappings"] =
            json!({ "LocationTable": { "Seattle": { "LocationUrl": "https://example.aws" } } });
        template["Parameters"] = json!({
            "AWS::IoT::Certificate::CommonName": { "Type": "String" },
            "AWS::IoT::Certificate::Id": { "Type": "String" },
            "RootDomainName": { "Type": "String", "Default": "example.com" },
        });
        template["Resources"]["thing"]["Properties"] =
            json!({ "ThingName": "bulb", "AttributePayload": { "value": function } });
        let reading = Template::read(&template.to_string());
        let paths: Vec<&str> = reading
            .findings
            .iter()
            .map(|finding| finding.path.as_str())
            .collect();
        let is_warned = paths.iter().any(|path| path.contains("Fn::"));
        assert!(
            is_warned,
            "{function} is documented for fleet templates alone: {paths:?}"
        );
        let template = reading
            .template
            .unwrap_or_else(|| panic!("{:#?}", reading.findings));
        let der = certificate(&[(DnType::CommonName, "a,b,Seattle")]);
        let thing = provision(&template, &der).unwrap().thing.unwrap();
        assert_eq!(thing.attributes["value"], expected, "{function}");
    }
}

/// What the property test makes up: the three files that a user writes.
#[derive(Debug, Clone)]
struct Case {
    profile: String,
    manifest: String,
    template: String,
}

const COLUMNS: &str = "serial_number,country,plain,free";

/// What a subject attribute is filled from; `None`: the subject lacks it.
fn source(attribute: Attribute) -> BoxedStrategy<Option<String>> {
    let text = |text: &str| Just(Some(text.to_owned()));
    match attribute {
        Attribute::Country => {
            prop_oneof![1 => Just(None), 2 => text("DE"), 3 => text("{country}")].boxed()
        }
        Attribute::CommonName => {
            prop_oneof![1 => Just(None), 1 => text("lamp"), 12 => text("{serial_number}"), 2 => text("n-{serial_number}")]
                .boxed()
        }
        _ => prop_oneof![
            8 => Just(None),
            4 => text("lamp-7-b"),
            1 => text("Example Lamps"),
            8 => text("{plain}"),
            4 => text("{free}"),
            4 => text("x-{plain}-{serial_number}"),
        ]
        .boxed(),
    }
}

/// A profile, and which attributes its subject has.
fn profile() -> impl Strategy<Value = (String, Vec<Attribute>)> {
    let sources: Vec<_> = Attribute::ALL.into_iter().map(source).collect();
    let second_unit = prop_oneof![4 => Just(None), 1 => source(Attribute::OrganizationalUnit)];
    (sources, second_unit).prop_map(|(sources, second_unit)| {
        let mut subject: Vec<(Attribute, String)> = Attribute::ALL
            .into_iter()
            .zip(sources)
            .filter_map(|(attribute, source)| Some((attribute, source?)))
            .collect();
        subject.extend(second_unit.map(|source| (Attribute::OrganizationalUnit, source)));
        let entries: Vec<String> = subject
            .iter()
            .map(|(attribute, source)| format!("{attribute}={source}"))
            .collect();
        let text = format!("name = \"made-up\"\nsubject = {entries:?}\n");
        (
            text,
            subject.into_iter().map(|(attribute, _)| attribute).collect(),
        )
    })
}

fn manifest() -> impl Strategy<Value = String> {
    let country = prop_oneof![100 => "(DE|FR|CN)", 1 => Just("Germany".to_owned())];
    let plain = prop_oneof![100 => "[a-z0-9]{1,4}(-[a-z0-9]{1,4}){0,2}", 1 => "[ -~]{0,70}"];
    let free =
        prop_oneof![30 => "[A-Za-z0-9:-]{1,20}", 1 => "[a-zA-ZäöüÄÖÜß \"'/=()\\\\]{1,12}", 1 => "\\PC{0,70}"];
    let serial = prop_oneof![100 => "[A-Z]{3}[0-9]{1,5}", 1 => "[A-Z/ ]{1,2}"];
    prop::collection::vec((serial, country, plain, free), 1..6).prop_map(|rows| {
        let mut text = format!("{COLUMNS}\n");
        for (serial, country, plain, free) in rows {
            let cells =
                [serial, country, plain, free].map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            text.push_str(&(cells.join(",") + "\n"));
        }
        text
    })
}

/// How a parameter of JITP is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    Not,
    Plain,
    WithDefault(&'static str),
}

/// A template for certificates with these attributes.
fn template(attributes: &[Attribute]) -> impl Strategy<Value = String> + use<> {
    let declared: Vec<_> = Parameter::ALL
        .into_iter()
        .map(|parameter| {
            let is_given = parameter
                .attribute()
                .is_none_or(|needed| attributes.contains(&needed));
            // A few ask for what certificates lack.
            let plain = if is_given { 48 } else { 1 };
            prop_oneof![
                16 => Just(Declared::Not),
                plain => Just(Declared::Plain),
                16 => prop_oneof![20 => Just("none"), 1 => Just("not given")].prop_map(Declared::WithDefault),
            ]
        })
        .collect();
    declared.prop_flat_map(|mut declared| {
        declared[Parameter::Id as usize] = Declared::Plain;
        let names: Vec<String> = Parameter::ALL
            .into_iter()
            .filter(|parameter| declared[*parameter as usize] != Declared::Not)
            .map(Parameter::name)
            .collect();
        // Things are mostly named after what differs from device to device.
        let own = match declared[Parameter::CommonName as usize] {
            Declared::Not => Parameter::Id.name(),
            _ => Parameter::CommonName.name(),
        };
        let own = json!({ "Ref": own });
        let thing_name = prop_oneof![
            6 => Just(own.clone()),
            2 => expression(names.clone()).prop_map(move |other| json!({ "Fn::Join": ["-", [own, other]] })),
            1 => expression(names.clone()),
        ];
        let policy = prop_oneof![
            Just(json!({ "PolicyName": "devices" })),
            expression(names.clone()).prop_map(|value| json!({ "PolicyName": value })),
            expression(names.clone()).prop_map(|value| {
                let before = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "arn:aws:iot:*:*:topic/"#;
                json!({ "PolicyDocument": { "Fn::Join": ["", [before, value, r#""}]}"#]] } })
            }),
        ];
        (
            Just(declared),
            prop_oneof![9 => thing_name.prop_map(Some), 1 => Just(None)],
            prop::collection::vec(expression(names.clone()), 0..4),
            prop::collection::vec(expression(names), 0..3),
            policy,
            prop_oneof!["ACTIVE", "Inactive"],
        )
            .prop_map(|(declared, thing_name, attributes, groups, policy, status)| {
                document(&declared, thing_name, attributes, &groups, &policy, &status)
            })
    })
}

fn document(
    declared: &[Declared],
    thing_name: Option<Value>,
    attributes: Vec<Value>,
    groups: &[Value],
    policy: &Value,
    status: &str,
) -> String {
    let mut parameters = serde_json::Map::new();
    for (parameter, declared) in Parameter::ALL.into_iter().zip(declared) {
        let value = match declared {
            Declared::Not => continue,
            Declared::Plain => json!({ "Type": "String" }),
            Declared::WithDefault(default) => json!({ "Type": "String", "Default": default }),
        };
        parameters.insert(parameter.name(), value);
    }
    parameters.insert(
        "Site".to_owned(),
        json!({ "Type": "String", "Default": "Lyon-7" }),
    );
    let mut resources = json!({
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": { "CertificateId": { "Ref": Parameter::Id.name() }, "Status": status }
        },
        "policy": { "Type": "AWS::IoT::Policy", "Properties": policy }
    });
    if let Some(name) = thing_name {
        let attributes = attributes.into_iter().enumerate();
        let attributes: serde_json::Map<_, _> =
            attributes.map(|(i, value)| (format!("a{i}"), value)).collect();
        resources["thing"] = json!({
            "Type": "AWS::IoT::Thing",
            "Properties": { "ThingName": name, "AttributePayload": attributes, "ThingGroups": groups }
        });
    }
    let hosts =
        json!({ "Sites": { "DE": { "host": "de" }, "FR": { "host": "fr" }, "lamp": { "host": "x" } } });
    json!({ "Parameters": parameters, "Mappings": hosts, "Resources": resources }).to_string()
}

/// A value of a template, which refers to these parameters.
fn expression(names: Vec<String>) -> impl Strategy<Value = Value> {
    let reference = prop_oneof![
        60 => prop::sample::select(names),
        10 => Just("Site".to_owned()),
        // Which may not be declared.
        1 => Just(Parameter::Country.name()),
    ];
    // The id is never split by what may stand in it: no check can know what that gives.
    let function = reference.clone().prop_flat_map(|name| {
        let reference = json!({ "Ref": name });
        let split = json!({ "Fn::Split": ["-", reference] });
        prop_oneof![
            6 => Just(json!({ "Fn::Sub": format!("x:${{{name}}}") })),
            3 => Just(json!({ "Fn::Sub": ["${part}-${Site}", { "part": reference }] })),
            3 => Just(json!({ "Fn::Join": ["_", split] })),
            6 => (0..5_usize).prop_map(move |i| {
                // Most ask for the first part, which every value has.
                json!({ "Fn::Select": [(i / 4).to_string(), split] })
            }),
            1 => Just(json!({ "Fn::FindInMap": ["Sites", reference, "host"] })),
        ]
    });
    let leaf = prop_oneof![
        2 => prop::sample::select(vec!["lamps", "v1", "a:b", "x-7", "0", "lyon", "de", "fr", "A", "B", "two words"]).prop_map(Value::from),
        8 => reference.prop_map(|name| json!({ "Ref": name })),
        4 => function,
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let list = prop::collection::vec(inner, 1..3);
        prop_oneof![
            list.clone().prop_map(|list| json!({ "Fn::Join": ["-", list] })),
            list.prop_map(|list| json!({ "Fn::Select": [0, list] })),
        ]
    })
}

fn case() -> impl Strategy<Value = Case> {
    (profile(), manifest()).prop_flat_map(|((profile, attributes), manifest)| {
        template(&attributes).prop_map(move |template| Case {
            profile: profile.clone(),
            manifest: manifest.clone(),
            template,
        })
    })
}

/// A CA of the laboratory.
fn issuer(folder: &Path) -> Issuer {
    let now = OffsetDateTime::now_utc();
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, "Test CA".to_owned())],
        key_type: KeyType::P256,
        not_after: NotAfter::Days(30),
        path_len: Some(0),
    };
    create(&request, None, now).unwrap().write(folder, None).unwrap();
    let ask = &mut |_: Secret<'_>| unreachable!("not encrypted");
    Issuer::load(&CaFiles::in_folder(folder), &Choice::Auto, now, ask).unwrap()
}

/// The certificates of all devices, made as `run` makes them, in row order.
fn make(folder: &Path, manifest: &Manifest, profile: &Profile, issuer: &Issuer) -> Vec<Vec<u8>> {
    let mut ledger = ledger::open(&folder.join("certforge.db"), [1; 16]).unwrap();
    let job = Job {
        manifest,
        profile,
        issuer,
        engines: Choice::Auto,
        layout: Layout::Packs,
        batch: Some("batch"),
        chunk_rows: None,
        shard: None,
        reissue: false,
        min_validity: time::Duration::ZERO,
        jobs: 1,
        now: OffsetDateTime::now_utc(),
    };
    let open = |batch: &str| -> Result<Store, StoreError> { Ok(Store::in_folder(folder.join(batch))) };
    let summary = forge::run(
        &job,
        (&mut *ledger, &forge::Care::default()),
        &open,
        &|_| {},
        &Cancel::new(),
    )
    .unwrap();
    assert!(summary.failure.is_none());
    let store = Store::in_folder(folder.join("batch"));
    let batch = ledger.batch("batch").unwrap();
    let ledger = Mutex::new(ledger);
    let issued = Vouched::open(&store, Voucher::Ledger(&ledger, &batch)).unwrap();
    let chunks = 0..issued.record().shape().chunks();
    let certificates = chunks.flat_map(|chunk| issued.certificates(chunk).unwrap());
    certificates.map(|certificate| certificate.der).collect()
}

fn rows(manifest: &Manifest) -> Vec<Row> {
    let mut blocks = manifest.blocks(64).unwrap();
    let mut rows = Vec::new();
    while let Some(block) = blocks.next_block().unwrap() {
        rows.extend(manifest.parse(&block).0);
    }
    rows
}

/// What `certforge jitp template check --manifest` passes; `None` when it finds a fault.
fn checked(case: &Case, folder: &Path) -> Option<(Template, Profile, Manifest, Binding)> {
    let path = folder.join("devices.csv");
    std::fs::write(&path, &case.manifest).unwrap();
    let profile = Profile::parse(&case.profile, "made-up", None).ok()?;
    let reading = Template::read(&case.template);
    let template = reading.template?;
    if template.check_profile(&profile).iter().any(Finding::is_error) {
        return None;
    }
    let manifest = Manifest::open(&path, profile.id_column()).ok()?;
    let binding = Binding::new(&profile, manifest.header(), manifest.path()).unwrap();
    let findings = forge::check(&manifest, &binding, 64).ok()?;
    let accepted = findings.accept(&manifest).ok()?;
    let census = census(&template, &manifest, &accepted.sha256, &binding).unwrap();
    census
        .faults
        .is_empty()
        .then_some((template, profile, manifest, binding))
}

#[test]
fn every_device_that_check_passes_comes_up_as_itself() {
    const CASES: u32 = 192;
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&folder.path().join("ca"));
    let (passed, devices) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let config = ProptestConfig {
        cases: CASES,
        // Prints the seed of what fails, and keeps it beside this file.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    };
    proptest!(config, |(case in case())| {
        let folder = tempfile::tempdir().unwrap();
        let Some((template, profile, manifest, binding)) = checked(&case, folder.path()) else {
            return Ok(());
        };
        passed.fetch_add(1, Ordering::Relaxed);
        let rows = rows(&manifest);
        let certificates = make(folder.path(), &manifest, &profile, &issuer);
        prop_assert_eq!(rows.len(), certificates.len());
        let mut things = std::collections::HashSet::new();
        for (row, der) in rows.iter().zip(certificates) {
            devices.fetch_add(1, Ordering::Relaxed);
            let made = provision(&template, &der);
            prop_assert!(made.is_ok(), "line {}: {}", row.line, made.unwrap_err());
            let made = made.unwrap();
            let id = HEXLOWER.encode(&sha256(&der));
            prop_assert_eq!(&made.certificate.certificate_id, &id);
            let foreseen = {
                let facts = Facts::of_certificate(&der).unwrap();
                template.provision(&Facts::of_row(&binding, row, &id, facts.serial().unwrap()))
            };
            prop_assert_eq!(foreseen.as_ref(), Ok(&made));
            if let Some(thing) = made.thing {
                prop_assert!(things.insert(thing.thing_name), "line {} is a second thing of its name", row.line);
            }
        }
    });
    let (passed, devices) = (passed.into_inner(), devices.into_inner());
    println!("{passed} of {CASES} cases passed the checks, with {devices} devices");
    assert!(
        passed >= CASES as usize / 3,
        "only {passed} of {CASES} cases passed the checks"
    );
}
