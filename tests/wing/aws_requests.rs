//! What AWS IoT and IAM are asked, held against botocore: MiniStack takes what AWS would refuse, and looks at no signature.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use serde_json::{Value, json};

use crate::fault_proxy::FaultProxy;
use crate::iot::{Account, ended};
use crate::support::tool;

const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wing/aws_judge.py");
const SECRET: &str = "secret of the test";

/// All that AWS IoT and IAM are asked.
const OPERATIONS: [&str; 23] = [
    "AttachRolePolicy",
    "CreateProvisioningTemplate",
    "CreateProvisioningTemplateVersion",
    "CreateRole",
    "CreateTopicRule",
    "DescribeBillingGroup",
    "DescribeCACertificate",
    "DescribeEndpoint",
    "DescribeProvisioningTemplate",
    "DescribeThingGroup",
    "DescribeThingType",
    "GetPolicy",
    "GetRegistrationCode",
    "GetRole",
    "GetTopicRule",
    "ListAttachedRolePolicies",
    "RegisterCACertificate",
    "RegisterCertificate",
    "ReplaceTopicRule",
    "UpdateAssumeRolePolicy",
    "UpdateCACertificate",
    "UpdateCertificate",
    "UpdateProvisioningTemplate",
];

/// What the judge says of requests: how often each operation was asked for, and what is wrong.
fn judged(account: &Account, asked: &Value) -> (Value, String) {
    fs::write(account.place.join("asked.json"), asked.to_string()).unwrap();
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = tool(&python, &[JUDGE, "asked.json", SECRET], account.place.path());
    let faults = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), faults.is_empty(), "{faults}");
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), faults)
}

#[test]
fn requests_are_as_botocore_models_and_signs_them() {
    let account = Account::new();
    account.make("b", 0..2, &[]);
    let proxy = FaultProxy::start(account.server.address(), 0, 1);
    proxy.heal();
    let url = format!("http://{}", proxy.address);
    let jitp = |arguments: &[&str], codes: &[i32]| {
        let output = account.jitp_at(&url, arguments).output().unwrap();
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{arguments:?}: {output:?}");
        ended(&output, code).0
    };
    let write = |change: &dyn Fn(&mut Value)| {
        let text = account.place.succeed(&["jitp", "template", "new"]);
        let mut template: Value = serde_json::from_str(&text).unwrap();
        change(&mut template);
        fs::write(account.place.join("template.json"), template.to_string()).unwrap();
    };
    let register = ["register", "--template", "template.json", "--yes", "--update"];
    // Names with all that AWS allows in them; what is not there is asked for all the same.
    write(&|template| {
        template["Resources"]["thing"]["Properties"]["ThingTypeName"] = "pump:a_b-c".into();
        template["Resources"]["thing"]["Properties"]["ThingGroups"] = json!(["line:7"]);
        template["Resources"]["thing"]["Properties"]["BillingGroup"] = "plant:1".into();
    });
    jitp(&register, &[8]);
    write(&|template| {
        template["Resources"]["policy"]["Properties"] = json!({ "PolicyName": "p+q=r,s.t@u-v" });
    });
    jitp(&register, &[8]);
    // Role, template of the CA, then a template by its name in two versions, then a rule.
    write(&|_| ());
    jitp(&register, &[0]);
    let named = [&register[..], &["--template-name", "pumps_1-a"]].concat();
    jitp(&named, &[0]);
    write(&|template| {
        template["Resources"]["certificate"]["Properties"]["Status"] = "INACTIVE".into();
    });
    jitp(&named, &[0]);
    // What somebody changed is put right.
    let pumps = "/provisioning-templates/pumps_1-a";
    account
        .cloud
        .iot("PATCH", pumps, &json!({ "enabled": false }))
        .unwrap();
    let trust = "Action=UpdateAssumeRolePolicy&Version=2010-05-08&RoleName=certforge-jitp&PolicyDocument=%7B%22Statement%22%3A%5B%5D%7D";
    account.cloud.ask("iam", "POST", "/", trust).unwrap();
    jitp(&named, &[0]);
    jitp(&["status"], &[0, 1]);
    // A rule, made and replaced.
    account
        .place
        .succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    for function in ["jitr", "jitr_2-a"] {
        let function = format!("arn:aws:lambda:us-east-1:000000000000:function:{function}");
        let rule = ["--flow", "jitr", "--lambda-arn", &function, "--ca", "other"];
        jitp(&[&["register", "--yes", "--update"], &rule[..]].concat(), &[0]);
    }
    jitp(&["withdraw", "--batch", "b", "--reason", "recall", "--yes"], &[0]);

    let asked: Vec<Value> = proxy
        .asked()
        .into_iter()
        .map(|(head, body)| json!([head, String::from_utf8(body).unwrap()]))
        .collect();
    let asked = Value::from(asked);
    let (counted, faults) = judged(&account, &asked);
    assert_eq!(faults, "", "{counted:#}");
    for operation in OPERATIONS {
        assert!(counted[operation].as_u64().is_some(), "{operation}: {counted:#}");
    }

    // The judge finds what is wrong.
    let one_of = |operation: &str, word: &str| {
        let of = |request: &&Value| {
            let head = request[0].as_str().unwrap();
            head.contains(operation) && head.contains(word)
        };
        asked.as_array().unwrap().iter().find(of).unwrap().clone()
    };
    let wrong = [
        (
            "PUT /cacertificate/",
            "newAutoRegistrationStatus=",
            "newAutoRegistrationState=",
        ),
        ("GET /rules/", "GET /rules/", "GET /rule/"),
        ("GET /thing-types/", "pump%3Aa", "pump:a"),
        ("GET /endpoint", "Data-ATS", "Data-ATX"),
    ];
    for (operation, from, to) in wrong {
        let mut request = one_of(operation, from);
        request[0] = request[0].as_str().unwrap().replace(from, to).into();
        let (_, faults) = judged(&account, &json!([request]));
        assert_ne!(faults, "", "{operation}: {to}");
    }
    let mut unsigned = one_of("POST /cacertificate?", "");
    unsigned[1] = unsigned[1]
        .as_str()
        .unwrap()
        .replace("DEFAULT", "SNI_ONLY")
        .into();
    let (_, faults) = judged(&account, &json!([unsigned]));
    assert!(faults.contains("is not signed as botocore signs it"), "{faults}");
}
