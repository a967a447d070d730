//! What AWS IoT allows in the names and values that a template gives.

use std::fmt;

/// A value that AWS IoT has a rule for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    ThingName,
    ThingType,
    ThingGroup,
    BillingGroup,
    AttributeName,
    AttributeValue,
    PolicyName,
    CertificateStatus,
}

/// Characters of names besides letters and digits, and how many there may be.
struct Rule {
    signs: &'static str,
    least: usize,
    most: usize,
}

impl ValueKind {
    /// <https://docs.aws.amazon.com/iot/latest/apireference/API_CreateThing.html> and its kin
    fn rule(self) -> Option<Rule> {
        let (signs, least, most) = match self {
            Self::ThingName | Self::ThingType | Self::ThingGroup | Self::BillingGroup => (":_-", 1, 128),
            Self::AttributeName => ("_.,@/:#-", 1, 128),
            Self::AttributeValue => ("_.,@/:#=[]-", 0, 800),
            Self::PolicyName => ("_+=,.@-", 1, 128),
            Self::CertificateStatus => return None,
        };
        Some(Rule { signs, least, most })
    }

    /// Why AWS IoT would refuse the value.
    pub fn refusal(self, value: &str) -> Option<String> {
        let Some(rule) = self.rule() else {
            let is_status = ["ACTIVE", "INACTIVE"]
                .iter()
                .any(|status| value.eq_ignore_ascii_case(status));
            return (!is_status).then(|| format!("{value:?} is neither ACTIVE nor INACTIVE"));
        };
        if value.is_empty() && rule.least > 0 {
            return Some(format!("the {self} is empty"));
        }
        let wrong = value
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !rule.signs.contains(*c));
        if let Some(c) = wrong {
            let signs: Vec<String> = rule.signs.chars().map(String::from).collect();
            let c = if c == ' ' {
                "a space".to_owned()
            } else {
                format!("{c:?}")
            };
            return Some(format!(
                "the {self} {value:?} has {c}; AWS IoT allows A-Z a-z 0-9 {}",
                signs.join(" ")
            ));
        }
        // Only ASCII is left, so octets are characters.
        (value.len() > rule.most).then(|| {
            format!(
                "the {self} has {} characters, AWS IoT allows {}",
                value.len(),
                rule.most
            )
        })
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThingName => "thing name",
            Self::ThingType => "thing type",
            Self::ThingGroup => "thing group",
            Self::BillingGroup => "billing group",
            Self::AttributeName => "attribute name",
            Self::AttributeValue => "attribute value",
            Self::PolicyName => "policy name",
            Self::CertificateStatus => "status",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_values_to_their_character_sets() {
        for (kind, value, is_fine) in [
            (ValueKind::ThingName, "a:b_c-1", true),
            (ValueKind::ThingName, "a b", false),
            (ValueKind::ThingName, "", false),
            (ValueKind::AttributeValue, "", true),
            (ValueKind::AttributeValue, "x=[1]/2#", true),
            (ValueKind::AttributeValue, "Fabrik Köln", false),
            (ValueKind::AttributeValue, &"x".repeat(801), false),
            (ValueKind::PolicyName, "a+b@c", true),
            (ValueKind::PolicyName, "a/b", false),
            (ValueKind::CertificateStatus, "Active", true),
            (ValueKind::CertificateStatus, "REVOKED", false),
        ] {
            assert_eq!(kind.refusal(value).is_none(), is_fine, "{kind} {value:?}");
        }
    }
}
