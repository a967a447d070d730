//! Placeholders: what the author of an example left for its reader to fill in, and nobody did.

/// Who would fill in a `${…}` that AWS IoT does not, by how its name begins.
const FILLERS: [(&str, &str); 9] = [
    ("AWS::", "CloudFormation"),
    ("var.", "Terraform"),
    ("local.", "Terraform"),
    ("data.", "Terraform"),
    ("module.", "Terraform"),
    ("aws_", "Terraform"),
    ("self:", "the Serverless Framework"),
    ("opt:", "the Serverless Framework"),
    ("env:", "the Serverless Framework"),
];

/// Words by which examples ask to be filled in, in capitals.
const WORDS: [&str; 9] = [
    "YOUR",
    "CHANGE",
    "CHANGEME",
    "REPLACE",
    "REPLACEME",
    "INSERT",
    "PLACEHOLDER",
    "TODO",
    "FIXME",
];

/// Names that stand for what the reader has, in capitals and without `_` and `-`.
const NAMES: [&str; 8] = [
    "ACCOUNTID",
    "ACCOUNTNUMBER",
    "AWSACCOUNTID",
    "AWSACCOUNT",
    "AWSREGION",
    "THINGNAME",
    "CLIENTID",
    "POLICYNAME",
];

/// Whose variable the name within `${…}` is, when it is not AWS IoT's.
pub(super) fn filler(name: &str) -> Option<&'static str> {
    let found = FILLERS.iter().find(|(begin, _)| name.starts_with(begin));
    found.map(|(_, who)| *who)
}

/// The part of a text that looks as if somebody should have filled it in.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    enclosed(text, "<", ">")
        .or_else(|| enclosed(text, "{{", "}}"))
        .or_else(|| {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
            words.find(|word| {
                // Of nothing but capitals: `your` and `todo` are words as well.
                let is_loud = word.bytes().any(|b| b.is_ascii_uppercase())
                    && !word.bytes().any(|b| b.is_ascii_lowercase());
                let plain: String = word.chars().filter(|c| !"_-".contains(*c)).collect();
                let is_named = NAMES.contains(&plain.as_str());
                let mut parts = word.split(['_', '-']);
                is_loud && (is_named || parts.any(|part| WORDS.contains(&part)))
            })
        })
}

/// `<…>` or `{{…}}`, with a name within.
fn enclosed<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = text.find(open)?;
    let len = text[start..].find(close)? + close.len();
    let inner = &text[start + open.len()..start + len - close.len()];
    let is_name = |c: char| c.is_alphanumeric() || " _-.".contains(c);
    (inner.contains(char::is_alphabetic) && inner.chars().all(is_name)).then(|| &text[start..start + len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_nobody_filled_in() {
        for (text, expected) in [
            ("topic/<your-topic>/x", Some("<your-topic>")),
            ("client/{{ client }}", Some("{{ client }}")),
            ("YOUR-THING-GROUP", Some("YOUR-THING-GROUP")),
            ("topic/YOUR_TOPIC/a", Some("YOUR_TOPIC")),
            ("topic/REPLACE_ME", Some("REPLACE_ME")),
            ("thing/THING_NAME", Some("THING_NAME")),
            ("topic/a/b", None),
            ("topic/your/todo", None),
            ("topic/A<B", None),
            ("topic/A<->B", None),
            ("LAMP-7", None),
            ("topic/${iot:ClientId}/CHANGED", None),
        ] {
            assert_eq!(placeholder(text), expected, "{text}");
        }
        assert_eq!(filler("AWS::AccountId"), Some("CloudFormation"));
        assert_eq!(filler("var.region"), Some("Terraform"));
        assert_eq!(filler("iot:ClientId"), None);
    }
}
