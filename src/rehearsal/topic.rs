//! Topics and topic filters, with the limits of AWS IoT.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/iot-core.html> (message broker and protocol limits)

/// Topic filters in one SUBSCRIBE.
pub const MOST_FILTERS: usize = 8;

/// Octets of the longest topic or filter.
const LONGEST: usize = 256;

/// Most slashes in a topic or a filter.
const MOST_SLASHES: usize = 7;

/// Before these parts, slashes do not count.
const RULES: &str = "$aws/rules/";

/// Why a topic cannot be published to.
pub fn topic_refusal(topic: &str) -> Option<String> {
    if topic.contains(['+', '#']) {
        return Some(format!("topic {topic:?} has a wildcard, + or #"));
    }
    refusal("topic", topic)
}

/// Why a topic filter cannot be subscribed to.
pub fn filter_refusal(filter: &str) -> Option<String> {
    let levels: Vec<&str> = filter.split('/').collect();
    let is_misplaced = levels.iter().enumerate().any(|(i, level)| {
        (level.contains('+') && *level != "+")
            || (level.contains('#') && (*level != "#" || i + 1 != levels.len()))
    });
    if is_misplaced {
        return Some(format!("topic filter {filter:?} has a wildcard in a wrong place"));
    }
    refusal("topic filter", filter)
}

fn refusal(what: &str, text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(format!("the {what} is empty"));
    }
    if text.contains('\0') {
        return Some(format!("{what} {text:?} has a NUL"));
    }
    if text.len() > LONGEST {
        return Some(format!(
            "the {what} has {} octets, AWS IoT allows {LONGEST}",
            text.len()
        ));
    }
    let counted = match text.strip_prefix(RULES) {
        // $aws/rules/<rule>/ is free.
        Some(rest) => rest.split_once('/').map_or("", |(_, topic)| topic),
        None => text,
    };
    let slashes = counted.matches('/').count();
    (slashes > MOST_SLASHES)
        .then(|| format!("{what} {text} has {slashes} slashes, AWS IoT allows {MOST_SLASHES}"))
}

/// Whether a filter takes in a topic (MQTT 5, 4.7).
pub fn matches(filter: &str, topic: &str) -> bool {
    // A wildcard at the beginning does not take in the server's own topics.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_in_topics() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("+/+", "/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$aws/events", false),
            ("+/events", "$aws/events", false),
            ("$aws/#", "$aws/events", true),
            (
                "$aws/events/certificates/registered/#",
                "$aws/events/certificates/registered/1",
                true,
            ),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn refuses_what_aws_iot_does() {
        let long = "x".repeat(257);
        for (topic, message) in [
            ("", "empty"),
            ("a/+", "wildcard"),
            ("1/2/3/4/5/6/7/8/9", "8 slashes"),
            (&long, "257 octets"),
        ] {
            let refusal = topic_refusal(topic).unwrap_or_default();
            assert!(refusal.contains(message), "{topic}: {refusal}");
        }
        for filter in ["a/#/b", "a#", "a/b+", "+a/b"] {
            assert!(filter_refusal(filter).is_some(), "{filter}");
        }
        for topic in ["1/2/3/4/5/6/7/8", "$aws/rules/rule/1/2/3/4/5/6/7/8", &long[1..]] {
            assert_eq!(topic_refusal(topic), None);
        }
        for filter in ["#", "+/+", "a/+/b/#"] {
            assert_eq!(filter_refusal(filter), None);
        }
    }
}
