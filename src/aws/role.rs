//! The role that AWS IoT takes to run a template: who may take it, and what it may do.

use serde_json::{Value, json};

use super::cloud::Caller;
use crate::jitp::Pattern;

/// Who may take the role: AWS IoT itself.
const SERVICE: &str = "iot.amazonaws.com";

const TAKE: &str = "sts:AssumeRole";

/// The policies of AWS that JITP's role needs, under `service-role/`.
const POLICIES: [&str; 3] = ["AWSIoTThingsRegistration", "AWSIoTLogging", "AWSIoTRuleActions"];

/// For whom a service acts that takes a role.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/cross-service-confused-deputy-prevention.html>
const ACCOUNT: &str = "aws:SourceAccount";
const ARN: &str = "aws:SourceArn";

/// What a trust policy says of AWS IoT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IotTrust {
    /// AWS IoT may not take the role for this account.
    Refused,
    /// It may, for whatever account it acts: it could be talked into acting for another (a confused deputy).
    ForAnybody,
    /// It may, under conditions, and those that tell for whom admit this account.
    ForAccount,
}

/// The trust policy of the role: AWS IoT may take it for this account. One role serves all Regions.
#[must_use]
pub fn trust_policy(caller: &Caller) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": SERVICE },
            "Action": TAKE,
            "Condition": condition(caller)
        }]
    })
}

fn condition(caller: &Caller) -> Value {
    let (partition, account) = (caller.partition(), &caller.account);
    json!({
        "StringEquals": { ACCOUNT: account },
        "ArnLike": { ARN: format!("arn:{partition}:iot:*:{account}:*") }
    })
}

/// A trust policy that lets AWS IoT take the role for this account, and else is as it was: no statement and no condition
/// goes.
#[must_use]
pub fn with_iot(trust: &Value, caller: &Caller) -> Value {
    let mut statements = statements(trust).cloned().collect::<Vec<_>>();
    let mut is_bound = false;
    for statement in statements.iter_mut().filter(|statement| lets_iot(statement)) {
        if statement.get("Condition").is_none() {
            statement["Condition"] = condition(caller);
            is_bound = true;
        }
    }
    let mut new = trust_policy(caller);
    if !is_bound {
        statements.push(new["Statement"][0].take());
    }
    if let Some(version) = trust.get("Version") {
        new["Version"] = version.clone();
    }
    new["Statement"] = statements.into();
    new
}

/// ARNs of the policies of AWS that the role needs.
#[must_use]
pub fn managed_policies(partition: &str) -> Vec<String> {
    let arn = |name| format!("arn:{partition}:iam::aws:policy/service-role/{name}");
    POLICIES.into_iter().map(arn).collect()
}

/// Whether AWS IoT may take a role, whatever else its trust policy says.
#[must_use]
pub fn iot_trust(trust: &Value, caller: &Caller) -> IotTrust {
    let of_iot: Vec<&Value> = statements(trust)
        .filter(|statement| lets_iot(statement))
        .collect();
    if of_iot
        .iter()
        .any(|statement| statement.get("Condition").is_none())
    {
        return IotTrust::ForAnybody;
    }
    match of_iot
        .iter()
        .any(|statement| admits(&statement["Condition"], caller))
    {
        true => IotTrust::ForAccount,
        false => IotTrust::Refused,
    }
}

fn statements(trust: &Value) -> impl Iterator<Item = &Value> {
    let all = match trust.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        statement => statement.into_iter().collect::<Vec<_>>(),
    };
    all.into_iter()
}

fn lets_iot(statement: &Value) -> bool {
    let has = |value: &Value, text: &str| texts(value).any(|found| found == text);
    statement["Effect"] == "Allow"
        && has(&statement["Principal"]["Service"], SERVICE)
        && has(&statement["Action"], TAKE)
}

/// Whether the conditions on for whom AWS IoT acts hold for this account. Others are AWS's to judge.
fn admits(conditions: &Value, caller: &Caller) -> bool {
    let operators = conditions.as_object().into_iter().flatten();
    let mut tests = operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, values)| (operator.trim_end_matches("IfExists"), key, values))
    });
    tests.all(|(operator, key, values)| {
        let is_positive = ["StringEquals", "StringLike", "ArnEquals", "ArnLike"].contains(&operator);
        let admits = |value: &str| match key {
            key if key.eq_ignore_ascii_case(ACCOUNT) => Pattern::new(value).matches(&caller.account),
            key if key.eq_ignore_ascii_case(ARN) => is_of_account(value, caller),
            _ => true,
        };
        !is_positive || texts(values).any(admits)
    })
}

/// Whether a pattern of ARNs has some of the account's AWS IoT in it.
fn is_of_account(pattern: &str, caller: &Caller) -> bool {
    let wanted = ["arn", caller.partition(), "iot", &caller.region, &caller.account];
    let mut parts = pattern.splitn(6, ':');
    for part in wanted {
        match parts.next() {
            Some(found) if Pattern::new(found).matches(part) => {}
            // A star at the end stands for all that follows.
            None => return pattern.ends_with('*'),
            Some(_) => return false,
        }
    }
    true
}

/// The texts of a value that is one, or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:user/x".to_owned(),
            region: "eu-central-1".to_owned(),
        }
    }

    fn trust(condition: Option<Value>) -> Value {
        let mut trust = trust_policy(&caller());
        let statement = trust["Statement"][0].as_object_mut().unwrap();
        match condition {
            Some(condition) => statement["Condition"] = condition,
            None => _ = statement.shift_remove("Condition"),
        }
        trust
    }

    #[test]
    fn a_role_that_others_may_take_too_is_a_role() {
        let mut trust = trust_policy(&caller());
        trust["Statement"][0]["Principal"]["Service"] = json!(["ec2.amazonaws.com", SERVICE]);
        assert_eq!(iot_trust(&trust, &caller()), IotTrust::ForAccount);
        trust["Statement"][0]["Effect"] = "Deny".into();
        assert_eq!(iot_trust(&trust, &caller()), IotTrust::Refused);
        assert_eq!(iot_trust(&Value::Null, &caller()), IotTrust::Refused);
    }

    #[test]
    fn conditions_are_the_accounts_own_as_long_as_they_admit_it() {
        use IotTrust::{ForAccount, ForAnybody, Refused};
        let of = |operator: &str, key: &str, value: Value| Some(json!({ operator: { key: value } }));
        for (condition, expected) in [
            (None, ForAnybody),
            (of("StringEquals", ACCOUNT, json!("123456789012")), ForAccount),
            (
                of("StringEquals", "AWS:sourceaccount", json!(["1", "123456789012"])),
                ForAccount,
            ),
            (of("StringEquals", ACCOUNT, json!("210987654321")), Refused),
            (
                of("ArnLike", ARN, json!("arn:aws:iot:eu-central-1:123456789012:*")),
                ForAccount,
            ),
            (
                of(
                    "ArnEqualsIfExists",
                    ARN,
                    json!("arn:aws:iot:*:123456789012:cacert/ab"),
                ),
                ForAccount,
            ),
            (of("ArnLike", ARN, json!("arn:aws:iot:*")), ForAccount),
            (
                of("ArnLike", ARN, json!("arn:aws:iot:us-east-1:123456789012:*")),
                Refused,
            ),
            (of("ArnLike", ARN, json!("arn:aws:iot:*:210987654321:*")), Refused),
            (of("StringEquals", "aws:PrincipalOrgID", json!("o-1")), ForAccount),
            (
                Some(json!({
                    "StringEquals": { ACCOUNT: "123456789012" },
                    "ArnLike": { ARN: "arn:aws:iot:*:210987654321:*" }
                })),
                Refused,
            ),
        ] {
            assert_eq!(
                iot_trust(&trust(condition.clone()), &caller()),
                expected,
                "{condition:?}"
            );
        }
    }

    #[test]
    fn what_is_added_takes_nothing_away() {
        // A statement that is for anybody is bound to the account; another account's condition stays.
        let open = with_iot(&trust(None), &caller());
        assert_eq!(open, trust_policy(&caller()));
        let theirs = json!({ "StringEquals": { ACCOUNT: "210987654321" } });
        let both = with_iot(&trust(Some(theirs.clone())), &caller());
        assert_eq!(both["Statement"][0]["Condition"], theirs);
        assert_eq!(both["Statement"][1], trust_policy(&caller())["Statement"][0]);
        let other = json!({ "Version": "2008-10-17", "Statement": {
            "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": { "Bool": { "a": "b" } } } });
        let added = with_iot(&other, &caller());
        assert_eq!(added["Statement"][0], other["Statement"]);
        assert_eq!(added["Version"], "2008-10-17");
        for trust in [open, both, added] {
            assert_eq!(iot_trust(&trust, &caller()), IotTrust::ForAccount, "{trust}");
        }
    }
}
