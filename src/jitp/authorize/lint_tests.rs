//! What a policy says and cannot mean, finding by finding.

use serde_json::{Value, json};

use super::*;

fn document(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn statement(action: &Value, resource: &Value) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

/// What is found in a statement, without what says which it is.
fn found(statement: &Value) -> Vec<(bool, String)> {
    let linted = lint(&document(&json!([statement])));
    let of = |finding: PolicyFinding| {
        let message = finding.message.replace("Statement[0] ", "");
        let hint = finding.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        (
            finding.severity == super::super::super::finding::Severity::Error,
            message + &hint,
        )
    };
    linted.findings.into_iter().map(of).collect()
}

#[test]
fn a_placeholder_is_neither_account_nor_region() {
    for (arn, expected) in [
        ("arn:aws:iot:eu-west-1:123456789012:*", &[][..]),
        ("arn:aws:iot:*:*:*", &[]),
        ("arn:aws-us-gov:iot:us-gov-west-1:1234*:*", &[]),
        (
            "arn:aws:iot:REGION:ACCOUNT_ID:*",
            &[
                "Region \"REGION\" cannot be one",
                "account \"ACCOUNT_ID\" cannot be one",
            ],
        ),
        (
            "arn:aws:iot:<region>:<account>:*",
            &["Region \"<region>\"", "account \"<account>\""],
        ),
        (
            "arn:aws:iot:eu-west-1:YOUR-ACCOUNT:*",
            &["account \"YOUR-ACCOUNT\""],
        ),
        (
            "arn:aws:iot:eu-west-1:1234-5678-9012:*",
            &["account \"1234-5678-9012\""],
        ),
        ("arn:aws:iot::123456789012:*", &["Region \"\" is empty"]),
        (
            "arn:PARTITION:iot:eu-west-1:123456789012:*",
            &["partition \"PARTITION\""],
        ),
        (
            "arn:aws:iot:us-east-1:${AWS::AccountId}:*",
            &["${AWS::AccountId} is CloudFormation's"],
        ),
        (
            "arn:aws:iot:${var.region}:123456789012:*",
            &["${var.region} is Terraform's"],
        ),
        ("${AWS::StackName}", &["CloudFormation's"]),
    ] {
        let found = found(&statement(&json!("iot:*"), &json!(arn)));
        assert_eq!(found.len(), expected.len(), "{arn}: {found:?}");
        for ((is_error, message), part) in found.iter().zip(expected) {
            assert!(is_error, "{arn}: {message}");
            assert!(message.contains(part), "{arn}: {message}");
        }
    }
}

#[test]
fn a_resource_that_matches_nothing_is_told() {
    for (resource, expected) in [
        (
            "client/${iot:Thing.ThingName}",
            "did you mean ${iot:Connection.Thing.ThingName}?",
        ),
        ("client/${aws:username}", "no variable ${aws:username}"),
        (
            "client/${iot:Certificate.Subject.CommonName.List}",
            "for conditions alone",
        ),
        ("client/${iot:ClientId", "no } closes"),
        ("client/<your-client>", "<your-client> looks like a placeholder"),
        ("client/THING_NAME", "THING_NAME looks like a placeholder"),
    ] {
        let arn = format!("arn:aws:iot:*:*:{resource}");
        let found = found(&statement(&json!("iot:Connect"), &json!(arn)));
        let [(false, message)] = found.as_slice() else {
            panic!("{resource}: {found:?}");
        };
        assert!(message.contains(expected), "{resource}: {message}");
    }
    let china = "arn:aws:iot:cn-north-1:123456789012:client/*";
    let found = found(&statement(&json!("iot:Connect"), &json!(china)));
    assert!(
        found[0].1.contains("is of partition aws-cn, and not aws"),
        "{found:?}"
    );
}

#[test]
fn actions_and_resources_that_never_meet_are_told() {
    for (actions, resources, expected) in [
        (json!("iot:Connect"), json!(["client/a"]), &[][..]),
        (
            json!(["iot:Publish", "iot:Subscribe"]),
            json!(["topic/a", "topicfilter/a"]),
            &[],
        ),
        (json!("iot:*"), json!("topic/a"), &[]),
        (json!("iot:Subscribe"), json!("*"), &[]),
        (json!("iot:Subscribe"), json!("topic*"), &[]),
        (json!("iot:ListRetainedMessages"), json!("*"), &[]),
        (json!("iot:GetThingShadow"), json!("thing/a"), &[]),
        (json!("iotjobsdata:DescribeJobExecution"), json!("thing/a"), &[]),
        (json!("greengrass:Discover"), json!("thing/a"), &[]),
        (
            json!("iot:Subscribe"),
            json!("topic/a"),
            &["\"iot:Subscribe\" on"],
        ),
        (
            json!("iot:Publish"),
            json!("topicfilter/a"),
            &["\"iot:Publish\" on"],
        ),
        (
            json!("iot:Receive"),
            json!("topicfilter/a"),
            &["\"iot:Receive\" on"],
        ),
        (
            json!("iot:RetainPublish"),
            json!("topicfilter/a"),
            &["\"iot:RetainPublish\" on"],
        ),
        (
            json!("iot:GetRetainedMessage"),
            json!("client/a"),
            &["\"iot:GetRetainedMessage\" on"],
        ),
        (
            json!("iot:ListRetainedMessages"),
            json!("topic/a"),
            &["takes \"*\" alone"],
        ),
        (json!("iot:Connect"), json!("topic/a"), &["goes by client/"]),
        (json!("iot:Connect"), json!("client"), &["goes by client/"]),
        (
            json!("iot:UpdateThingShadow"),
            json!("topic/a"),
            &["goes by thing/"],
        ),
        (
            json!("iot:StartNextPendingJobExecution"),
            json!("topic/a"),
            &["goes by thing/"],
        ),
        (
            json!("iot:AssumeRoleWithCertificate"),
            json!("role/a"),
            &["goes by rolealias/"],
        ),
        (
            json!(["iot:Publish", "iot:Subscribe"]),
            json!(["topic/a"]),
            &["\"iot:Subscribe\" on"],
        ),
        (
            json!(["iot:Publish", "iot:Receive"]),
            json!(["topic/a", "topicfilter/a"]),
            &["topicfilter/a\", by which iot:Publish, iot:Receive never go"],
        ),
    ] {
        let resources = match &resources {
            Value::Array(parts) => parts.iter().map(|part| arn(part.as_str().unwrap())).collect(),
            part => vec![arn(part.as_str().unwrap())],
        };
        let found = found(&statement(&actions, &json!(resources)));
        assert_eq!(found.len(), expected.len(), "{actions} {resources:?}: {found:?}");
        for ((is_error, message), part) in found.iter().zip(expected) {
            assert!(!is_error && message.contains(part), "{actions}: {message}");
        }
    }
}

fn arn(part: &str) -> String {
    match part {
        "*" => part.to_owned(),
        part => format!("arn:aws:iot:*:*:{part}"),
    }
}

#[test]
fn conditions_are_held_against_the_lists_by_which_they_are_decided() {
    for (condition, expected) in [
        (
            json!({"Bool": {"iot:Connection.Thing.IsAttached": "true"}}),
            &[][..],
        ),
        (
            json!({"ForAllValues:StringEquals": {"iot:ConnectAttributes": []}}),
            &[],
        ),
        (
            json!({"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}),
            &[(false, "on aws:CurrentTime, a key")],
        ),
        (
            json!({"Bool": {"aws:SecureTransport": "true"}}),
            &[(false, "on aws:SecureTransport")],
        ),
        (
            json!({"StringEquals": {"iot:clientid": "a"}}),
            &[(false, "did you mean iot:ClientId?")],
        ),
        (
            json!({"stringequals": {"iot:ClientId": "a"}}),
            &[(true, "no operator stringequals (operators are")],
        ),
        (
            json!({"StringEquals": {"iot:ClientId": []}}),
            &[(true, "StringEquals does not take []")],
        ),
        (json!({"StringEquals": "a"}), &[(true, "does not take \"a\"")]),
        (
            json!({"StringLike": {"iot:ClientId": "${iot:ThingName}"}}),
            &[(false, "no variable ${iot:ThingName}")],
        ),
        (
            json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "Persistent"}}),
            &[(false, "none of its values (PersistentConnect, LastWill)")],
        ),
        (
            json!({"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*region*:*account-id*:topic/a"}}),
            &[
                (false, "Region \"*region*\" cannot"),
                (false, "account \"*account-id*\" cannot"),
            ],
        ),
    ] {
        let mut statement = statement(&json!("iot:Connect"), &json!("*"));
        statement["Condition"] = condition.clone();
        let found = found(&statement);
        assert_eq!(found.len(), expected.len(), "{condition}: {found:?}");
        for ((is_error, message), (is_wanted, part)) in found.iter().zip(expected) {
            assert_eq!(is_error, is_wanted, "{condition}: {message}");
            assert!(message.contains(part), "{condition}: {message}");
        }
    }
}

#[test]
fn wildcards_of_mqtt_are_told_where_they_do_nothing() {
    for (effect, action, resource, expected) in [
        ("Allow", "iot:Subscribe", "topicfilter/a/+/b", None),
        ("Allow", "iot:Publish", "topic/a+b", None),
        ("Allow", "iot:Publish", "topic/a/#", Some("no topic has them")),
        ("Allow", "iot:Receive", "topic/+/b", Some("no topic has them")),
        (
            "Deny",
            "iot:Subscribe",
            "topicfilter/a/#",
            Some("denies this one filter"),
        ),
    ] {
        let mut statement = statement(&json!(action), &json!(arn(resource)));
        statement["Effect"] = json!(effect);
        let found = found(&statement);
        let message = found.first().map(|(_, message)| message.as_str());
        match (message, expected) {
            (None, None) => {}
            (Some(message), Some(part)) => assert!(message.contains(part), "{resource}: {message}"),
            (found, _) => panic!("{resource}: {found:?}"),
        }
    }
}

#[test]
fn knows_whether_a_device_may_connect() {
    let allow = |action: &str, resource: &str| statement(&json!(action), &json!(arn(resource)));
    let mut with_key = allow("iot:Connect", "*");
    with_key["Condition"] = json!({"Bool": {"aws:SecureTransport": "true"}});
    let mut deny = allow("iot:Connect", "*");
    deny["Effect"] = json!("Deny");
    let but = json!({"Effect": "Allow", "NotAction": "iot:DeleteThingShadow", "NotResource": "arn:aws:iot:*:*:client/x"});
    let no_connect = json!({"Effect": "Allow", "NotAction": "iot:Connect", "Resource": "*"});
    for (statements, expected) in [
        (json!([allow("iot:*", "*")]), true),
        (
            json!([allow("iot:Connect", "client/${iot:Connection.Thing.ThingName}")]),
            true,
        ),
        (json!([but]), true),
        (json!([allow("iot:Connect", "topic/a")]), false),
        (
            json!([allow("iot:Connect", "client/${iot:Thing.ThingName}")]),
            false,
        ),
        (json!([allow("iot:Publish", "*")]), false),
        (json!([with_key]), false),
        (json!([no_connect]), false),
        (json!([deny]), false),
    ] {
        assert_eq!(
            lint(&document(&statements)).lets_connect,
            expected,
            "{statements}"
        );
    }
    let denied = lint(&document(&json!([deny]))).findings;
    assert!(
        denied[0].message.contains("so that no device can connect"),
        "{denied:?}"
    );
}

#[test]
fn a_variable_of_somebody_is_neither_account_nor_region() {
    let arn = "arn:aws:iot:${Region}:${ACCOUNT_ID}:client/*";
    let found = found(&statement(&json!("iot:Connect"), &json!(arn)));
    let errors: Vec<&str> = found
        .iter()
        .filter_map(|(is_error, message)| is_error.then_some(message.as_str()))
        .collect();
    assert_eq!(errors.len(), 2, "{found:?}");
    assert!(
        errors[0].contains("Region \"${Region}\" cannot be one"),
        "{errors:?}"
    );
    assert!(
        errors[1].contains("account \"${ACCOUNT_ID}\" cannot be one"),
        "{errors:?}"
    );
}
