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
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        if let Some(reason) = spoilt(text) {
            return Err(reason);
        }
        if let Some(character) = text.chars().find(|c| !is_id_character(*c)) {
            return Err(Reason::IdCharacter(character));
        }
        if text.len() > Self::MAX {
            return Err(Reason::TooLong {
                characters: text.len(),
                limit: Self::MAX,
            });
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a spreadsheet has made of an id, or somebody to keep it from that.
fn spoilt(text: &str) -> Option<Reason> {
    if text.starts_with("=\"") || text.starts_with('\'') {
        return Some(Reason::Guarded);
    }
    let (mantissa, exponent) = text.split_once(['E', 'e'])?;
    let exponent = exponent.strip_prefix('+')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, rest) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    (is_number(whole) && is_number(rest) && is_number(exponent)).then_some(Reason::Rounded)
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
        for rounded in ["1.23457E+14", "1,23457E+14", "2E+11", "2e+5"] {
            assert_eq!(DeviceId::parse(rounded), Err(Reason::Rounded), "{rounded}");
        }
        for guarded in ["=\"000123\"", "'000123"] {
            assert_eq!(DeviceId::parse(guarded), Err(Reason::Guarded), "{guarded}");
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
