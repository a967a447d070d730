//! Conditions, held against what IAM and AWS IoT document of them.

use serde_json::json;

use super::super::connection::tests::connection;
use super::super::greeting::Greeting;
use super::super::tests::home;
use super::*;

/// Whether a condition holds in an Allow, and whether it does in a Deny.
fn holds(operator: &str, key: &str, value: &Value) -> (bool, bool) {
    let connection = connection();
    let condition = Condition::read(operator, key, value).unwrap();
    let holds = |effect| condition.check(effect, &connection, None).is_ok();
    (holds(Effect::Allow), holds(Effect::Deny))
}

#[test]
fn compares_as_iam_does() {
    let (id, thing) = ("iot:ClientId", "iot:Connection.Thing.ThingTypeName");
    let line = "iot:Connection.Thing.Attributes[line]";
    let (ip, dns) = (
        "aws:SourceIp",
        "iot:Certificate.Subject.AlternativeName.DNSName.List",
    );
    for (operator, key, value, expected) in [
        ("StringEquals", id, json!("SN1"), true),
        ("StringEquals", id, json!("sn1"), false),
        ("StringEquals", id, json!("SN*"), false),
        ("StringEquals", id, json!(["x", "SN1"]), true),
        (
            "StringEquals",
            id,
            json!("${iot:Connection.Thing.ThingName}"),
            true,
        ),
        ("StringNotEquals", id, json!("SN1"), false),
        ("StringNotEquals", id, json!(["x", "SN1"]), false),
        ("StringNotEquals", id, json!(["x", "y"]), true),
        ("StringEqualsIgnoreCase", id, json!("sn1"), true),
        ("StringNotEqualsIgnoreCase", id, json!("sn1"), false),
        ("StringLike", id, json!("S?1"), true),
        ("StringLike", id, json!("s*"), false),
        ("StringLike", id, json!("${*}"), false),
        ("StringNotLike", id, json!("S*"), false),
        ("StringNotLike", id, json!("X*"), true),
        ("Bool", "iot:Connection.Thing.IsAttached", json!(true), true),
        ("Bool", "iot:Connection.Thing.IsAttached", json!("true"), true),
        ("Bool", "iot:Connection.Thing.IsAttached", json!(["false"]), false),
        ("IpAddress", ip, json!("203.0.113.0/24"), true),
        ("IpAddress", ip, json!(["10.0.0.0/8", "::/0"]), false),
        ("NotIpAddress", ip, json!("203.0.113.0/24"), false),
        ("NotIpAddress", ip, json!("10.0.0.0/8"), true),
        // The thing has no type.
        ("StringEquals", thing, json!("Lamp"), false),
        ("StringEqualsIfExists", thing, json!("Lamp"), true),
        ("StringEqualsIfExists", id, json!("x"), false),
        ("StringNotEquals", thing, json!("Lamp"), true),
        ("Null", thing, json!("true"), true),
        ("Null", thing, json!(false), false),
        ("Null", id, json!("true"), false),
        ("Null", id, json!("false"), true),
        ("BinaryEquals", id, json!("SN1"), true),
        // The thing has the attribute line = 3.
        ("NumericEquals", line, json!(3), true),
        ("NumericEquals", line, json!(["2", "3.0"]), true),
        ("NumericNotEquals", line, json!(3), false),
        ("NumericLessThan", line, json!(3), false),
        ("NumericLessThanEquals", line, json!(3), true),
        ("NumericGreaterThan", line, json!("2.5"), true),
        ("NumericGreaterThanEquals", line, json!(4), false),
        ("NumericLessThanIfExists", thing, json!(4), true),
        ("DateEquals", line, json!("1970-01-01T00:00:03Z"), true),
        ("DateNotEquals", line, json!("1970-01-01T00:00:03Z"), false),
        ("DateLessThan", line, json!("2030-01-01"), true),
        ("DateGreaterThanEquals", line, json!("2030-01-01"), false),
        // The certificate is for a.example and b.example.
        ("ForAllValues:StringLike", dns, json!("*.example"), true),
        (
            "ForAllValues:StringEquals",
            dns,
            json!(["a.example", "b.example"]),
            true,
        ),
        ("ForAllValues:StringEquals", dns, json!("a.example"), false),
        ("ForAllValues:StringNotEquals", dns, json!("a.example"), false),
        ("ForAnyValue:StringEquals", dns, json!("b.example"), true),
        ("ForAnyValue:StringEquals", dns, json!("c.example"), false),
        ("ForAnyValue:StringNotEquals", dns, json!("a.example"), true),
        ("StringEquals", dns, json!("b.example"), true),
        ("StringNotEquals", dns, json!("b.example"), false),
        ("ForAllValues:StringEquals", thing, json!("Lamp"), true),
        ("ForAnyValue:StringEquals", thing, json!("Lamp"), false),
        ("ForAnyValue:StringNotEquals", thing, json!("Lamp"), false),
        ("ForAnyValue:StringEqualsIfExists", thing, json!("Lamp"), true),
    ] {
        assert_eq!(
            holds(operator, key, &value),
            (expected, expected),
            "{operator} {key} {value}"
        );
    }
}

#[test]
fn refuses_where_a_value_cannot_be_filled_in() {
    let (id, city) = ("iot:ClientId", "iot:Certificate.Subject.State");
    let none = "${iot:Connection.Thing.ThingTypeName}";
    for (operator, key, value, in_allow, in_deny) in [
        ("StringEquals", id, json!(none), false, false),
        ("StringEquals", id, json!([none, "SN1"]), true, true),
        ("StringNotEquals", id, json!(none), false, true),
        ("StringNotEquals", id, json!([none, "x"]), false, true),
        // The certificate's state has a +.
        ("StringEquals", city, json!("A+"), false, true),
        ("StringNotEquals", city, json!("x"), false, true),
        ("ForAllValues:StringEquals", city, json!("x"), false, true),
        ("StringEqualsIfExists", city, json!("x"), false, true),
        ("Null", city, json!("true"), false, true),
        // A key that AWS IoT does not document may have any value, or none.
        ("Bool", "aws:SecureTransport", json!("true"), false, true),
        ("BoolIfExists", "aws:SecureTransport", json!("true"), false, true),
        ("StringNotEquals", "iot:clientid", json!("x"), false, true),
        (
            "DateLessThan",
            "aws:CurrentTime",
            json!("2030-01-01T00:00:00Z"),
            false,
            true,
        ),
        // A value that is no number, no address and no ARN.
        ("NumericNotEquals", id, json!("1"), false, true),
        ("NotIpAddress", id, json!("10.0.0.0/8"), false, true),
        ("ArnNotLike", id, json!("arn:aws:iot:*:*:topic/x"), false, true),
    ] {
        assert_eq!(
            holds(operator, key, &value),
            (in_allow, in_deny),
            "{operator} {key} {value}"
        );
    }
}

#[test]
fn names_what_it_does_not_evaluate() {
    let id = "iot:ClientId";
    for (operator, key, value, message) in [
        ("NumericEquals", id, json!("x"), "NumericEquals does not take"),
        ("NumericLike", id, json!("1"), "operator NumericLike"),
        (
            "DateLessThan",
            id,
            json!("tomorrow"),
            "DateLessThan does not take",
        ),
        ("DateSoon", id, json!("2030-01-01"), "operator DateSoon"),
        ("ArnLike", id, json!("x"), "no ARN"),
        ("ArnSimilar", id, json!("x"), "operator ArnSimilar"),
        ("stringequals", id, json!("x"), "operator stringequals"),
        ("ForSomeValues:StringEquals", id, json!("x"), "operator ForSome"),
        ("NullIfExists", id, json!("true"), "operator NullIfExists"),
        ("StringEquals", id, json!({"a": 1}), "does not take"),
        ("StringEquals", id, json!([]), "does not take []"),
        (
            "IpAddress",
            "aws:SourceIp",
            json!("1.2.3"),
            "does not take \"1.2.3\"",
        ),
        ("Null", id, json!("yes"), "does not take \"yes\""),
    ] {
        let error = Condition::read(operator, key, &value).unwrap_err().to_string();
        assert!(error.contains(message), "{operator} {key} {value}: {error}");
    }
}

#[test]
fn knows_what_a_device_asks_for_when_it_connects() {
    let (attributes, topic) = ("iot:ConnectAttributes", "iot:LastWillTopic");
    let [persistent, will] = Greeted::ATTRIBUTES;
    let (all, any) = ("ForAllValues:StringEquals", "ForAnyValue:StringEquals");
    let (none, other) = (json!([]), json!("arn:aws:iot:*:*:topic/b/*"));
    // With nothing asked for, a persistent session, a last will, both; and when it does not connect.
    for (operator, key, value, expected) in [
        (
            all,
            attributes,
            json!([persistent, will]),
            [true, true, true, true, true],
        ),
        (all, attributes, json!([will]), [true, false, true, false, true]),
        (all, attributes, none.clone(), [true, false, false, false, true]),
        (
            any,
            attributes,
            json!([persistent]),
            [false, true, false, true, false],
        ),
        (any, attributes, none, [false; 5]),
        (
            "ForAllValues:StringNotEquals",
            attributes,
            json!([persistent]),
            [true, false, true, false, true],
        ),
        (
            "Null",
            attributes,
            json!("true"),
            [true, false, false, false, true],
        ),
        (
            "ArnEquals",
            topic,
            json!("arn:aws:iot:eu-west-1:123456789012:topic/a/will"),
            [false, false, true, true, false],
        ),
        (
            "ArnEquals",
            topic,
            json!("arn:aws:iot:*:123456789012:topic/a/*"),
            [false, false, true, true, false],
        ),
        ("ArnLike", topic, json!(["*"]), [false, false, true, true, false]),
        ("ArnLike", topic, other.clone(), [false; 5]),
        // A star does not reach into the next part.
        (
            "ArnLike",
            topic,
            json!("arn:aws:iot:*:topic/a/will:*"),
            [false; 5],
        ),
        ("ArnNotLike", topic, other, [true; 5]),
    ] {
        let connection = connection();
        let condition = Condition::read(operator, key, &value).unwrap();
        let greetings = [(false, false), (true, false), (false, true), (true, true)];
        let greeted = greetings.map(|(persistent, has_will)| {
            let last_will = has_will.then(|| "a/will".to_owned());
            Some(Greeted::new(
                &Greeting {
                    persistent,
                    last_will,
                },
                &home(),
            ))
        });
        let found: Vec<bool> = greeted
            .iter()
            .chain([&None])
            .map(|greeted| {
                condition
                    .check(Effect::Allow, &connection, greeted.as_ref())
                    .is_ok()
            })
            .collect();
        assert_eq!(found, expected, "{operator} {key} {value}");
    }
}
