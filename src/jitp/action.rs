//! Actions: what a device may be allowed by a policy of AWS IoT Core, and the type of resource that each goes by.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-policy-actions.html> and
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-action-resources.html>

use super::arn::Arn;
use super::pattern::Pattern;

/// An action with its type of resource; `None`: it is allowed on `*` alone.
const ACTIONS: [(&str, Option<&str>); 21] = [
    ("iot:Connect", Some("client")),
    ("iot:DeleteConnection", Some("client")),
    ("iot:Publish", Some("topic")),
    ("iot:Receive", Some("topic")),
    ("iot:RetainPublish", Some("topic")),
    ("iot:GetRetainedMessage", Some("topic")),
    ("iot:ListRetainedMessages", None),
    ("iot:Subscribe", Some("topicfilter")),
    ("iot:GetThingShadow", Some("thing")),
    ("iot:UpdateThingShadow", Some("thing")),
    ("iot:DeleteThingShadow", Some("thing")),
    // One of AWS's documents has `*` alone, the service authorization reference has things.
    ("iot:ListNamedShadowsForThing", Some("thing")),
    ("iot:DescribeJobExecution", Some("thing")),
    ("iot:GetPendingJobExecutions", Some("thing")),
    ("iot:UpdateJobExecution", Some("thing")),
    ("iot:StartNextPendingJobExecution", Some("thing")),
    ("iotjobsdata:DescribeJobExecution", Some("thing")),
    ("iotjobsdata:GetPendingJobExecutions", Some("thing")),
    ("iotjobsdata:UpdateJobExecution", Some("thing")),
    ("iotjobsdata:StartNextPendingJobExecution", Some("thing")),
    ("iot:AssumeRoleWithCertificate", Some("rolealias")),
];

/// Whether a pattern with `*` and `?` matches an action, letters in either case.
pub(super) fn matches(pattern: &str, action: &str) -> bool {
    Pattern::new(&pattern.to_ascii_lowercase()).matches(&action.to_ascii_lowercase())
}

/// The actions that a pattern means, each with its type of resource.
pub(super) fn meant(pattern: &str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let pattern = Pattern::new(&pattern.to_ascii_lowercase());
    let all = ACTIONS.into_iter();
    all.filter(move |(action, _)| pattern.matches(&action.to_ascii_lowercase()))
}

/// Whether an action is of another service that policies of devices are for as well.
pub(super) fn is_of_another_service(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    [
        "greengrass:",
        "iotjobsdata:",
        "iotwireless:",
        "iotmanagedintegrations:",
    ]
    .iter()
    .any(|service| action.starts_with(service))
}

/// Whether the resource of an ARN, such as `topic/a/*`, may be one of a type.
pub(super) fn may_be_of_type(resource: &str, kind: &str) -> bool {
    let written = resource
        .find(['*', '?', '$'])
        .map_or(resource, |at| &resource[..at]);
    match written.split_once('/') {
        Some((found, _)) => found == kind,
        None if written.len() < resource.len() => format!("{kind}/").starts_with(written),
        None => false,
    }
}

/// Whether a resource may be one that an action goes by.
pub(super) fn meets(resource: &str, kind: Option<&str>) -> bool {
    match (Arn::parse(resource), kind) {
        (None, _) => true,
        // Such an action is asked of `*`, which a star in place of all names matches.
        (Some(arn), None) => arn.resource.starts_with('*'),
        (Some(arn), Some(kind)) => {
            Pattern::new(arn.service).matches("iot") && may_be_of_type(arn.resource, kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_patterns() {
        for (pattern, text, expected) in [
            ("*", "iot:Connect", true),
            ("iot:*", "iot:Connect", true),
            ("iot:con?ect", "iot:Connect", true),
            ("iot:*Shadow", "iot:GetThingShadow", true),
            ("iot:*Shadow", "iot:Publish", false),
            ("", "iot:Publish", false),
            ("iot:Publish", "iot:PublishX", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn knows_the_type_of_a_resource() {
        for (resource, kind, expected) in [
            ("topic/a", "topic", true),
            ("topic/a", "topicfilter", false),
            ("topicfilter/a", "topic", false),
            ("topic*", "topicfilter", true),
            ("topic*", "client", false),
            ("t?pic/a", "topic", true),
            ("*", "client", true),
            ("client", "client", false),
            ("client:a", "client", false),
            ("${iot:ClientId}", "client", true),
        ] {
            assert_eq!(may_be_of_type(resource, kind), expected, "{resource} {kind}");
        }
    }
}
