//! Homes: the account and Region that an ARN names.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::arn::{Arn, is_account, is_region, partition_of};

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
        Ok(Self {
            partition: partition_of(&region).to_owned(),
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

/// The account and Region that an ARN of a policy names; `None` for what has a wildcard or a variable, and for what can be
/// none, such as a placeholder that was left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NamedHome {
    pub partition: Option<String>,
    pub region: Option<String>,
    pub account: Option<String>,
}

impl NamedHome {
    /// That of an ARN; `None` for any other text.
    pub(super) fn of_arn(arn: &str) -> Option<Self> {
        let arn = Arn::parse(arn)?;
        let named = |part: &str, is_one: fn(&str) -> bool| is_one(part).then(|| part.to_owned());
        Some(Self {
            partition: named(arn.partition, |part| {
                part.starts_with("aws") && !part.contains(['*', '?', '$'])
            }),
            region: named(arn.region, is_region),
            account: named(arn.account, is_account),
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
            ("arn:aws:iot:REGION:ACCOUNT_ID:*", Some((Some("aws"), None, None))),
            (
                "arn:aws:iot:<region>:${AWS::AccountId}:*",
                Some((Some("aws"), None, None)),
            ),
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
