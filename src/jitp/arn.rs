//! ARNs as policies and registrations write them, wildcards and variables and all; and what cannot be an account or a Region.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

/// An ARN in its six parts. A part may hold `*`, `?` and `${…}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    /// Such as `topic/a:b`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts of an ARN; `None` for any other text. A colon within `${…}` parts nothing.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix("arn:")?;
        let mut next = || {
            let at = colon(rest)?;
            let part = &rest[..at];
            rest = &rest[at + 1..];
            Some(part)
        };
        let (partition, service, region, account) = (next()?, next()?, next()?, next()?);
        Some(Self {
            partition,
            service,
            region,
            account,
            resource: rest,
        })
    }
}

/// Where the first colon stands that is not within `${…}`.
fn colon(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = text[from..].find(':')? + from;
        match text[from..at].find("${").and_then(|open| {
            let open = from + open;
            text[open..].find('}').map(|len| open + len + 1)
        }) {
            Some(end) if end > at => from = end,
            _ => return Some(at),
        }
    }
}

/// Whether a text is the number of an account: 12 digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text may name a Region, as in `eu-central-1` or `us-gov-west-1`: new ones come, so its form alone counts.
#[must_use]
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    parts.split_last().is_some_and(|(number, words)| {
        words.len() >= 2
            && words[0].len() >= 2
            && words.iter().all(is_word)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
            && !words.contains(&"region")
    })
}

/// Whether a part with wildcards may mean an account.
pub(super) fn may_be_account(part: &str) -> bool {
    match part.contains(['*', '?']) {
        false => is_account(part),
        true => {
            part.bytes().all(|b| b.is_ascii_digit() || b"*?".contains(&b))
                && part.bytes().filter(|b| *b != b'*').count() <= 12
        }
    }
}

/// Whether a part with wildcards may mean a Region.
pub(super) fn may_be_region(part: &str) -> bool {
    match part.contains(['*', '?']) {
        false => is_region(part),
        true => {
            part.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-*?".contains(&b))
                && !part.contains("region")
        }
    }
}

/// Whether a part with wildcards may mean a partition.
pub(super) fn may_be_partition(part: &str) -> bool {
    let is_known = part == "aws"
        || part.strip_prefix("aws-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        });
    is_known || part.contains(['*', '?'])
}

/// The partition of a Region.
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_arn_apart() {
        for (text, expected) in [
            (
                "arn:aws:iot:eu-west-1:123456789012:topic/a:b",
                Some(("aws", "iot", "eu-west-1", "123456789012", "topic/a:b")),
            ),
            (
                "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:client/${iot:ClientId}",
                Some((
                    "${AWS::Partition}",
                    "iot",
                    "${AWS::Region}",
                    "${AWS::AccountId}",
                    "client/${iot:ClientId}",
                )),
            ),
            (
                "arn:aws:iot:${open:1:topic/a",
                Some(("aws", "iot", "${open", "1", "topic/a")),
            ),
            ("arn:aws:iot:::*", Some(("aws", "iot", "", "", "*"))),
            ("arn:aws:iot", None),
            ("*", None),
        ] {
            let found = Arn::parse(text);
            let found = found.map(|arn| (arn.partition, arn.service, arn.region, arn.account, arn.resource));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn knows_what_cannot_be_an_account_or_a_region() {
        for (part, expected) in [
            ("123456789012", true),
            ("*", true),
            ("1234*", true),
            ("????????????", true),
            ("?????????????", false),
            ("12345678901", false),
            ("ACCOUNT_ID", false),
            ("*account-id*", false),
            ("<account>", false),
            ("1234-5678-9012", false),
            ("", false),
        ] {
            assert_eq!(may_be_account(part), expected, "{part}");
        }
        for (part, expected) in [
            ("eu-central-1", true),
            ("us-gov-west-1", true),
            ("us-isob-east-1", true),
            ("ap-southeast-12", true),
            ("eu-*", true),
            ("*", true),
            ("REGION", false),
            ("region", false),
            ("*region*", false),
            ("aws-region-1", false),
            ("<region>", false),
            ("EU-WEST-1", false),
            ("eu_west_1", false),
            ("Frankfurt", false),
            ("", false),
        ] {
            assert_eq!(may_be_region(part), expected, "{part}");
        }
        for (part, expected) in [
            ("aws", true),
            ("aws-cn", true),
            ("aws*", true),
            ("PARTITION", false),
            ("", false),
        ] {
            assert_eq!(may_be_partition(part), expected, "{part}");
        }
    }
}
