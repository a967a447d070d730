//! Expressions, held against what CloudFormation documents of its functions.

use std::collections::BTreeMap;

use super::super::json::Path;
use super::super::read_expression::Reader;
use super::*;

fn evaluate(text: &str) -> Result<String, String> {
    let parameters = vec!["AWS::IoT::Certificate::CommonName".to_owned(), "Site".to_owned()];
    let inner = BTreeMap::from([("host".to_owned(), "eu.example".to_owned())]);
    let mappings = BTreeMap::from([("Sites".to_owned(), BTreeMap::from([("EU".to_owned(), inner)]))]);
    let mut reader = Reader {
        parameters,
        mappings: &mappings,
        findings: Vec::new(),
    };
    let value = serde_json::from_str(text).unwrap();
    let expression = reader.expression(&value, &Path::root());
    let errors: Vec<String> = reader
        .findings
        .iter()
        .filter(|f| f.is_error())
        .map(ToString::to_string)
        .collect();
    let Some(expression) = expression else {
        assert!(!errors.is_empty(), "{text}");
        return Err(errors.join("\n"));
    };
    assert!(errors.is_empty(), "{errors:?}");
    let scope = Scope {
        parameters: &["A-1", "EU"],
        mappings: &mappings,
    };
    expression
        .evaluate(scope)
        .map(Cow::into_owned)
        .map_err(|error| error.to_string())
}

#[test]
fn evaluates_as_cloudformation_does() {
    for (text, expected) in [
        (r#""x""#, "x"),
        (r#"{"Ref": "Site"}"#, "EU"),
        (r#"{"Fn::Join": ["-", ["a", {"Ref": "Site"}, "b"]]}"#, "a-EU-b"),
        (r#"{"Fn::Join": ["", []]}"#, ""),
        (
            r#"{"Fn::Sub": "t/${AWS::IoT::Certificate::CommonName}/${!iot:ClientId}"}"#,
            "t/A-1/${iot:ClientId}",
        ),
        (r#"{"Fn::Sub": ["${x}${Site}", {"x": {"Ref": "Site"}}]}"#, "EUEU"),
        (r#"{"Fn::Select": ["1", ["a", "b"]]}"#, "b"),
        (
            r#"{"Fn::Select": [1, {"Fn::Split": ["-", {"Ref": "AWS::IoT::Certificate::CommonName"}]}]}"#,
            "1",
        ),
        (
            r#"{"Fn::FindInMap": ["Sites", {"Ref": "Site"}, "host"]}"#,
            "eu.example",
        ),
    ] {
        assert_eq!(evaluate(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn says_what_has_no_value() {
    for (text, message) in [
        (r#"{"Ref": "CommonName"}"#, "CommonName is not declared"),
        (
            r#"{"Ref": "AWS::Region"}"#,
            "Cannot resolve reference value: {Ref=AWS::Region}",
        ),
        (r#"{"Ref": 1}"#, "$.Ref: Ref takes the name"),
        (r#"{"Ref": "Site", "x": 1}"#, "no function"),
        (r#"{"Fn::GetAtt": ["a", "b"]}"#, "there is no function Fn::GetAtt"),
        (r#"{"Fn::Split": ["-", "a"]}"#, "gives a list"),
        (r#"{"Fn::Join": ["-"]}"#, "takes [separator"),
        (r#"{"Fn::Sub": "${x"}"#, "not closed"),
        (r#"{"Fn::Select": ["2", ["a", "b"]]}"#, "item 2 of a list of 2"),
        (r#"{"Fn::Select": ["x", ["a"]]}"#, "no number"),
        (r#"{"Fn::FindInMap": ["Sites", "US", "host"]}"#, "finds no \"US\""),
        (r#"{"Fn::FindInMap": ["Maps", "US", "host"]}"#, "no map Maps"),
        ("7", "7 is no text"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert!(error.contains(message), "{text} gives {error}");
    }
}
