//! Policies for buckets, held against AWS's grammar of policies, and handed to servers that parse them.

use aws_sdk_s3::error::ProvideErrorMetadata;
use certforge::store::{Bucket, Policy};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::real_server::{BUCKET, Server};

const ROLES: [&str; 2] = [
    "arn:aws:iam::123456789012:role/stations",
    "arn:aws:iam::123456789012:role/forge",
];

/// Operators of conditions, without `IfExists` and set operators, which are not used.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
const OPERATORS: [&str; 8] = [
    "Bool",
    "Null",
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
];

/// Actions that S3 has, of those that are used.
const ACTIONS: [&str; 10] = [
    "s3:*",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObjectTagging",
    "s3:PutObjectTagging",
];

fn bucket<'a>(name: &'a str, prefix: &'a str) -> Bucket<'a> {
    Bucket {
        partition: "aws",
        name,
        prefix,
    }
}

/// One text, or a list of some.
fn texts(value: &Value) -> Vec<&str> {
    let texts: Vec<&str> = match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().map(|text| text.as_str().expect("a text")).collect(),
        other => panic!("{other} is neither a text nor a list"),
    };
    assert!(!texts.is_empty(), "a list has one at least");
    texts
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// Holds a document against the grammar.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>
fn is_grammatical(document: &Value, has_principal: bool) {
    let names: Vec<&String> = object(document).keys().collect();
    assert_eq!(names, ["Version", "Statement"]);
    assert_eq!(document["Version"], "2012-10-17");
    let mut ids = std::collections::BTreeSet::new();
    for statement in document["Statement"].as_array().expect("a list") {
        let fields = object(statement);
        for name in fields.keys() {
            let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
            assert!(known.contains(&name.as_str()), "{name}");
        }
        let id = statement["Sid"].as_str().expect("an id");
        assert!(
            id.bytes().all(|b| b.is_ascii_alphanumeric()) && ids.insert(id),
            "{id}"
        );
        assert!(["Allow", "Deny"].contains(&statement["Effect"].as_str().expect("an effect")));
        assert_eq!(fields.contains_key("Principal"), has_principal, "{id}");
        if has_principal {
            assert_eq!(statement["Principal"], "*");
        }
        for action in texts(&statement["Action"]) {
            assert!(ACTIONS.contains(&action), "{action}");
        }
        for resource in texts(&statement["Resource"]) {
            let of_bucket = resource.strip_prefix("arn:aws:s3:::").expect("an ARN of S3");
            let is_whole = !of_bucket.contains('/');
            // What is asked of a bucket is not asked of an object, and the other way round; but by `s3:*`.
            for action in texts(&statement["Action"])
                .into_iter()
                .filter(|action| *action != "s3:*")
            {
                assert_eq!(
                    action.starts_with("s3:ListBucket"),
                    is_whole,
                    "{action} on {resource}"
                );
            }
        }
        let Some(conditions) = fields.get("Condition") else {
            continue;
        };
        for (operator, keys) in object(conditions) {
            assert!(OPERATORS.contains(&operator.as_str()), "{operator}");
            for (key, values) in object(keys) {
                assert!(key.starts_with("aws:") || key.starts_with("s3:"), "{key}");
                for value in texts(values) {
                    let is_truth = ["Bool", "Null"].contains(&operator.as_str());
                    assert_eq!(is_truth, ["true", "false"].contains(&value), "{operator} {value}");
                    let is_arn = operator.starts_with("Arn");
                    assert!(!is_arn || value.split(':').count() >= 6, "{value}");
                }
            }
        }
    }
}

#[test]
fn every_policy_is_what_the_grammar_of_aws_allows() {
    for prefix in ["", "batches", "a/b"] {
        let bucket = bucket(BUCKET, prefix);
        let value = |policy: &Policy| serde_json::to_value(policy).expect("JSON");
        for roles in [&ROLES[..1], &ROLES[..]] {
            let policy = value(&Policy::of_bucket(bucket, roles));
            is_grammatical(&policy, true);
            // A bucket policy has 20 KB at most.
            assert!(policy.to_string().len() < 20_480);
        }
        for burns in [false, true] {
            let policy = Policy::of_station(bucket, burns);
            assert_eq!(policy.characters(), value(&policy).to_string().len());
            is_grammatical(&value(&policy), false);
        }
    }
}

/// What a server says of a policy: nothing, or the code of its refusal.
fn put(server: &Server, statements: &[Value]) -> Option<String> {
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let (runtime, client) = (Runtime::new().expect("threads"), server.client());
    let put = client.put_bucket_policy().bucket(BUCKET).policy(&policy);
    let refused = runtime.block_on(put.send()).err()?;
    Some(refused.code().unwrap_or_default().to_owned())
}

#[test]
fn seaweedfs_knows_no_arn_not_equals_and_takes_all_else() {
    let server = Server::seaweedfs();
    let policy = serde_json::to_value(Policy::of_bucket(bucket(BUCKET, "batches"), &ROLES)).expect("JSON");
    let [transport, puts, reads] = policy["Statement"].as_array().expect("a list").as_slice() else {
        panic!("{policy}");
    };
    assert_eq!(
        put(&server, &[transport.clone(), puts.clone(), reads.clone()]).as_deref(),
        Some("InvalidPolicyDocument")
    );
    assert_eq!(put(&server, std::slice::from_ref(puts)), None);
    // The operator is all that it does not take: with the opposite one it takes the statement.
    let mut opposite = reads.clone();
    let condition = opposite["Condition"].as_object_mut().expect("an object");
    let roles = condition.remove("ArnNotEquals").expect("the operator");
    condition.insert("ArnEquals".to_owned(), roles);
    assert_eq!(put(&server, &[puts.clone(), opposite]), None);
    // From here on it takes nothing more, since this test does not come over TLS.
    assert_eq!(put(&server, std::slice::from_ref(transport)), None);
    assert_eq!(
        put(&server, std::slice::from_ref(puts)).as_deref(),
        Some("AccessDenied")
    );
}

#[test]
fn ministack_takes_the_policy_whole() {
    let server = Server::ministack();
    let policy = serde_json::to_value(Policy::of_bucket(bucket(BUCKET, "batches"), &ROLES)).expect("JSON");
    assert_eq!(
        put(&server, policy["Statement"].as_array().expect("a list")),
        None
    );
}
