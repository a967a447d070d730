//! Homes: the account and Region that an ARN names.

use std::collections::BTreeSet;

use serde::Serialize;

/// The account and Region that the ARNs of a request name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Home {
    /// `aws`, `aws-cn` or another.
    pub partition: String,
    pub region: String,
    pub account: String,
}

impl Home {
    /// The home that somebody named, and where nobody did, the one that ARNs name, or else `default`.
    ///
    /// # Errors
    ///
    /// When the ARNs name several.
    pub fn choose(
        named: &BTreeSet<NamedHome>,
        region: Option<&str>,
        account: Option<&str>,
        default: (&str, &str),
    ) -> Result<Self, ManyHomes> {
        let one = |given: Option<&str>, of: fn(&NamedHome) -> Option<&String>, default: &str| {
            if let Some(given) = given {
                return Ok(given.to_owned());
            }
            let values: BTreeSet<&String> = named.iter().filter_map(of).collect();
            match values.len() {
                0 | 1 => Ok(values.first().map_or(default, |value| value.as_str()).to_owned()),
                _ => Err(values.into_iter().cloned().collect()),
            }
        };
        let region = one(region, |home| home.region.as_ref(), default.0).map_err(ManyHomes::Regions)?;
        let account = one(account, |home| home.account.as_ref(), default.1).map_err(ManyHomes::Accounts)?;
        let partition = match region.as_str() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Ok(Self {
            partition: partition.to_owned(),
            region,
            account,
        })
    }

    /// The ARN of a resource such as `client/x`.
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/iot-action-resources.html>
    #[must_use]
    pub fn arn(&self, resource: &str) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:iot:{region}:{account}:{resource}")
    }
}

/// Policies that are for more than one place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManyHomes {
    #[error("the policies name more than one: {}", .0.join(", "))]
    Regions(Vec<String>),
    #[error("the policies name more than one: {}", .0.join(", "))]
    Accounts(Vec<String>),
}

/// The account and Region that an ARN of a policy names; `None` for what has a wildcard or a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NamedHome {
    pub partition: Option<String>,
    pub region: Option<String>,
    pub account: Option<String>,
}

impl NamedHome {
    /// That of an ARN; `None` for any other text.
    pub(super) fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next();
        let ("arn", partition, _, region, account, _) =
            (next()?, next()?, next()?, next()?, next()?, next()?)
        else {
            return None;
        };
        let named = |part: &str| {
            let is_named = !part.is_empty() && !part.contains(['*', '?', '$']);
            is_named.then(|| part.to_owned())
        };
        Some(Self {
            partition: named(partition),
            region: named(region),
            account: named(account),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_neither_wildcard_nor_variable() {
        for (arn, expected) in [
            (
                "arn:aws:iot:eu-west-1:123456789012:topic/a:b",
                Some((Some("aws"), Some("eu-west-1"), Some("123456789012"))),
            ),
            (
                "arn:aws-cn:iot:*:123456789012:*",
                Some((Some("aws-cn"), None, Some("123456789012"))),
            ),
            ("arn:aws:iot:eu-*:${x}:*", Some((Some("aws"), None, None))),
            ("arn:aws:iot:::*", Some((Some("aws"), None, None))),
            ("arn:aws:iot", None),
            ("*", None),
        ] {
            let found = NamedHome::of_arn(arn);
            let found = found.as_ref().map(|home| {
                let NamedHome {
                    partition,
                    region,
                    account,
                } = home;
                (partition.as_deref(), region.as_deref(), account.as_deref())
            });
            assert_eq!(found, expected, "{arn}");
        }
    }
}
