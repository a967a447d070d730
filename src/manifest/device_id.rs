//! The device id: what the manifest calls a device.
//!
//! An id is at once a file name, an S3 key and an AWS IoT thing name, so it is held to the narrowest
//! of the three: `[A-Za-z0-9:_-]{1,128}` (AWS IoT API, `ThingName`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Reason;

/// A checked device id: the only thing that names an object, a file or a record of a device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct DeviceId(Box<str>);

impl DeviceId {
    /// Most characters that an AWS IoT thing name may have.
    pub const MAX: usize = 128;

    /// # Errors
    ///
    /// The reason why the text cannot be a device id.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// # Errors
    ///
    /// The reason why the text cannot be a device id.
    pub fn check(text: &str) -> Result<(), Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        // What is spoilt has a character that ids have not, so nearly every id is looked at once.
        if let Some(character) = text.chars().find(|c| !is_id_character(*c)) {
            return Err(spoilt(text).unwrap_or(Reason::IdCharacter(character)));
        }
        if text.len() > Self::MAX {
            return Err(Reason::TooLong {
                characters: text.len(),
                limit: Self::MAX,
            });
        }
        Ok(())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a spreadsheet has made of an id, or somebody to keep it from that.
fn spoilt(text: &str) -> Option<Reason> {
    if text.starts_with('=') || text.starts_with('\'') {
        return Some(Reason::Guarded);
    }
    if text.starts_with('#') && (text.ends_with(['!', '?', '#']) || text == "#N/A") {
        return Some(Reason::CellError);
    }
    match () {
        () if is_rounded(text) => Some(Reason::Rounded),
        () if is_grouped(text) => Some(Reason::Grouped),
        () if is_decimal(text) => Some(Reason::Decimal),
        () => None,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `1.23457E+14`, and `1,23457E+14` where the comma is the decimal sign.
fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let power = exponent.strip_prefix('+');
    match mantissa.split_once(['.', ',']) {
        Some((whole, rest)) => is_number(whole) && is_number(rest) && is_number(power.unwrap_or(exponent)),
        // Without any sign of a number, it may well be an id: 1E14.
        None => is_number(mantissa) && power.is_some_and(is_number),
    }
}

/// `123456.0`, as programs write that take a column for numbers.
fn is_decimal(text: &str) -> bool {
    text.split_once(['.', ','])
        .is_some_and(|(whole, rest)| is_number(whole) && is_number(rest))
}

/// `1,234,567`, or with other signs between thousands.
fn is_grouped(text: &str) -> bool {
    let mut groups = text.split([',', '.', '\'', ' ', '\u{a0}', '\u{202f}', '\u{2019}']);
    let first = groups.next().unwrap_or_default();
    let mut others = groups.peekable();
    (1..=3).contains(&first.len())
        && is_number(first)
        && others.peek().is_some()
        && others.all(|group| group.len() == 3 && is_number(group))
}

fn is_id_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-')
}

impl FromStr for DeviceId {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        Self::parse(text)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = Reason;

    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

/// Its order and hash are those of its text.
impl Borrow<str> for DeviceId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for DeviceId {
    fn eq(&self, text: &str) -> bool {
        self.as_str() == text
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_cannot_name_a_thing() {
        assert_eq!(DeviceId::parse(""), Err(Reason::Empty));
        for (reason, texts) in [
            (
                Reason::Rounded,
                &["1.23457E+14", "1,23457E+14", "2E+11", "2e+5", "1.5E9"][..],
            ),
            (Reason::Guarded, &["=\"000123\"", "'000123", "=A1&B1"]),
            (Reason::Decimal, &["123456.0", "123456,00", "0001.0"]),
            (
                Reason::Grouped,
                &["1,234,567", "12.345.678", "1 234 567", "1'234", "12\u{a0}345"],
            ),
            (Reason::CellError, &["#N/A", "#REF!", "#NAME?", "########"]),
        ] {
            for text in texts {
                assert_eq!(DeviceId::parse(text), Err(reason.clone()), "{text}");
            }
        }
        assert!(DeviceId::parse("1E14").is_ok());
        assert_eq!(DeviceId::parse("A/42"), Err(Reason::IdCharacter('/')));
        assert_eq!(DeviceId::parse(" A"), Err(Reason::IdCharacter(' ')));
        assert_eq!(DeviceId::parse(".."), Err(Reason::IdCharacter('.')));
        assert_eq!(
            DeviceId::parse(&"A".repeat(129)),
            Err(Reason::TooLong {
                characters: 129,
                limit: 128
            })
        );
    }

    proptest! {
        #[test]
        fn takes_every_thing_name(id in "[A-Za-z0-9:_-]{1,128}") {
            prop_assert_eq!(DeviceId::parse(&id).unwrap().to_string(), id);
        }

        #[test]
        fn takes_nothing_that_is_no_thing_name(text in any::<String>()) {
            let is_thing_name = (1..=128).contains(&text.len()) && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || b":_-".contains(&b)
            });
            prop_assert_eq!(DeviceId::parse(&text).is_ok(), is_thing_name);
        }
    }
}
