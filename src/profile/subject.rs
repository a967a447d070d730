//! Subject attributes: the names that JITP reads from a certificate, and what each may hold.
//!
//! Bounds are the upper bounds of RFC 5280, Appendix A.1.

use std::fmt;

use super::{MAX_NAMES, ProfileError, Template, template};
use crate::manifest::Reason;
use crate::printable::is_hidden;

/// A subject attribute that AWS IoT JITP turns into a template parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    Country,
    Organization,
    OrganizationalUnit,
    DnQualifier,
    State,
    CommonName,
    SerialNumber,
}

impl Attribute {
    pub const ALL: [Self; 7] = [
        Self::Country,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::DnQualifier,
        Self::State,
        Self::CommonName,
        Self::SerialNumber,
    ];

    /// The short name (RFC 4519), as profiles spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Country => "C",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::DnQualifier => "dnQualifier",
            Self::State => "ST",
            Self::CommonName => "CN",
            Self::SerialNumber => "serialNumber",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }

    /// The last arc of the attribute type's OID, under id-at, 2.5.4 (RFC 5280, Appendix A.1).
    #[must_use]
    pub fn arc(self) -> u8 {
        match self {
            Self::CommonName => 3,
            Self::SerialNumber => 5,
            Self::Country => 6,
            Self::State => 8,
            Self::Organization => 10,
            Self::OrganizationalUnit => 11,
            Self::DnQualifier => 46,
        }
    }

    /// Most characters that the value may have.
    #[must_use]
    pub fn limit(self) -> usize {
        match self {
            Self::Country => 2,
            Self::State => 128,
            _ => 64,
        }
    }

    /// Whether the value is a PrintableString, as RFC 5280 asks for these; the others are UTF8String.
    #[must_use]
    pub fn is_printable_string(self) -> bool {
        matches!(self, Self::Country | Self::DnQualifier | Self::SerialNumber)
    }

    /// # Errors
    ///
    /// The reason why a certificate for AWS IoT must not carry this value.
    pub fn check(self, value: &str) -> Result<(), Reason> {
        if value.is_empty() {
            return Err(Reason::Empty);
        }
        if let Some(c) = value.chars().find(|c| is_hidden(*c)) {
            return Err(Reason::Control(c));
        }
        if value.trim() != value {
            return Err(Reason::OuterSpace);
        }
        if self == Self::Country {
            let is_code = value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase());
            return if is_code { Ok(()) } else { Err(Reason::NotCountry) };
        }
        if self.is_printable_string()
            && let Some(c) = value.chars().find(|c| !is_printable_string_character(*c))
        {
            return Err(Reason::NotPrintable(c));
        }
        let characters = value.chars().count();
        if characters > self.limit() {
            return Err(Reason::TooLong {
                characters,
                limit: self.limit(),
            });
        }
        Ok(())
    }
}

/// The character of a value for which AWS IoT fills in no policy variable with it.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/cert-policy-variables.html>
#[must_use]
pub fn policy_character(value: &str) -> Option<char> {
    value.chars().find(|c| matches!(c, '*' | '$' | '+' | '?' | '#'))
}

fn is_printable_string_character(c: char) -> bool {
    let is_sign = |c| {
        matches!(
            c,
            ' ' | '\'' | '(' | ')' | '+' | ',' | '-' | '.' | '/' | ':' | '=' | '?'
        )
    };
    c.is_ascii_alphanumeric() || is_sign(c)
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the entries of a profile's subject, each `NAME=template`.
pub(super) fn read(
    entries: &[String],
    policies_read_subject: bool,
) -> Result<Vec<(Attribute, Template)>, ProfileError> {
    let invalid = |reason| ProfileError::Field {
        field: "subject".to_owned(),
        reason,
    };
    let mut subject: Vec<(Attribute, Template)> = Vec::new();
    if entries.len() > MAX_NAMES {
        return Err(invalid(format!("has more than {MAX_NAMES} entries")));
    }
    for entry in entries {
        let (name, text) = entry
            .split_once('=')
            .map(|(name, text)| (name, text.trim()))
            .ok_or_else(|| invalid(format!("{entry:?} is not NAME=value")))?;
        let attribute = Attribute::parse(name.trim()).ok_or_else(|| {
            let names: Vec<_> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
            invalid(format!("{:?} is none of {}", name.trim(), names.join(", ")))
        })?;
        if attribute != Attribute::OrganizationalUnit && subject.iter().any(|(other, _)| *other == attribute)
        {
            return Err(invalid(format!("{attribute} appears twice")));
        }
        if let Some(c) = text.chars().find(|c| is_hidden(*c)) {
            return Err(invalid(format!("{attribute}={text} {}", Reason::Control(c))));
        }
        let template = template(&format!("subject.{attribute}"), text)?;
        if template.is_constant() {
            let value = template.filled(None);
            let refused = |reason: Reason| invalid(format!("{attribute}={text} {reason}"));
            attribute.check(&value).map_err(refused)?;
            if let (true, Some(c)) = (policies_read_subject, policy_character(&value)) {
                return Err(refused(Reason::PolicyCharacter(c)));
            }
        }
        subject.push((attribute, template));
    }
    if subject.is_empty() {
        return Err(invalid("a certificate needs a subject".to_owned()));
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_values_to_their_bounds() {
        use Attribute::{CommonName, Country, DnQualifier, State};
        let long = "x".repeat(65);
        for (attribute, value, expected) in [
            (Country, "DE", Ok(())),
            (Country, "de", Err(Reason::NotCountry)),
            (Country, "DEU", Err(Reason::NotCountry)),
            (CommonName, "", Err(Reason::Empty)),
            (CommonName, &long[..64], Ok(())),
            (
                CommonName,
                &long,
                Err(Reason::TooLong {
                    characters: 65,
                    limit: 64,
                }),
            ),
            (CommonName, " a", Err(Reason::OuterSpace)),
            (CommonName, "Foo + Bar #3", Ok(())),
            (DnQualifier, "a#b", Err(Reason::NotPrintable('#'))),
            (CommonName, "a\u{7}", Err(Reason::Control('\u{7}'))),
            (CommonName, "a\u{202e}b", Err(Reason::Control('\u{202e}'))),
            (CommonName, "a\u{200b}b", Err(Reason::Control('\u{200b}'))),
            (CommonName, "Fabrik Köln", Ok(())),
            (CommonName, "工場 1", Ok(())),
            (DnQualifier, "Köln", Err(Reason::NotPrintable('ö'))),
            (State, &long, Ok(())),
        ] {
            assert_eq!(attribute.check(value), expected, "{attribute}={value}");
        }
    }
}
