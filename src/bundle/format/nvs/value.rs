//! Values and their types (`nvs_type_t`).

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;

/// The type of a value, as a profile or the generator's CSV names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    String,
    /// A blob, written as hexadecimal digits.
    #[serde(rename = "hex2bin")]
    Hex,
    /// A blob, written as Base64.
    Base64,
    /// A blob, written as it is.
    Binary,
}

impl Kind {
    /// Every one, with the name that the generator's CSV has for it.
    pub const ALL: [(&'static str, Self); 12] = [
        ("u8", Self::U8),
        ("i8", Self::I8),
        ("u16", Self::U16),
        ("i16", Self::I16),
        ("u32", Self::U32),
        ("i32", Self::I32),
        ("u64", Self::U64),
        ("i64", Self::I64),
        ("string", Self::String),
        ("hex2bin", Self::Hex),
        ("base64", Self::Base64),
        ("binary", Self::Binary),
    ];

    /// Reads a value that is written so.
    ///
    /// # Errors
    ///
    /// When it is not one of this type: not a number, out of its range, with an octet 0 in a string, and so on.
    pub fn read(self, text: &str) -> Result<Value<'_>, ValueError> {
        let number = |found: Option<Value<'static>>| found.ok_or(ValueError::Number);
        match self {
            Self::U8 => number(text.parse().ok().map(Value::U8)),
            Self::I8 => number(text.parse().ok().map(Value::I8)),
            Self::U16 => number(text.parse().ok().map(Value::U16)),
            Self::I16 => number(text.parse().ok().map(Value::I16)),
            Self::U32 => number(text.parse().ok().map(Value::U32)),
            Self::I32 => number(text.parse().ok().map(Value::I32)),
            Self::U64 => number(text.parse().ok().map(Value::U64)),
            Self::I64 => number(text.parse().ok().map(Value::I64)),
            Self::String => Ok(Value::String(Cow::Borrowed(text))),
            Self::Binary => Ok(Value::Blob(Cow::Borrowed(text.as_bytes()))),
            Self::Hex => {
                let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
                Ok(Value::Blob(octets.map_err(|_| ValueError::Hex)?.into()))
            }
            Self::Base64 => {
                let octets = BASE64.decode(text.as_bytes());
                Ok(Value::Blob(octets.map_err(|_| ValueError::Base64)?.into()))
            }
        }
    }

    /// Whether a value is of this type.
    #[must_use]
    pub fn is_of(self, value: &Value<'_>) -> bool {
        match value {
            Value::U8(_) => self == Self::U8,
            Value::I8(_) => self == Self::I8,
            Value::U16(_) => self == Self::U16,
            Value::I16(_) => self == Self::I16,
            Value::U32(_) => self == Self::U32,
            Value::I32(_) => self == Self::I32,
            Value::U64(_) => self == Self::U64,
            Value::I64(_) => self == Self::I64,
            Value::String(_) => self == Self::String,
            Value::Blob(_) => matches!(self, Self::Hex | Self::Base64 | Self::Binary),
        }
    }

    /// Octets that a value has at most, given those of its text. A number has at most eight.
    #[must_use]
    pub fn most_octets(self, text: usize) -> usize {
        match self {
            Self::String | Self::Binary => text,
            Self::Hex => text / 2,
            Self::Base64 => text / 4 * 3,
            _ => 8,
        }
    }
}

/// A value. Of a string: UTF-8 without the octet 0 at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    String(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

/// Why a text is no value of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("it is not a number, or not one of this type")]
    Number,
    #[error("it is not pairs of hexadecimal digits")]
    Hex,
    #[error("it is not Base64 with its padding")]
    Base64,
}

/// How a value of some type lies in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// In the entry itself.
    Number,
    /// In entries after it, on one page; with the 0 at its end.
    Text { octets: usize },
    /// In chunks on as many pages as it takes, and an index.
    Blob { octets: usize },
}

impl Value<'_> {
    /// The same, borrowed.
    pub(super) fn borrowed(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(Cow::Borrowed(text)),
            Self::Blob(octets) => Value::Blob(Cow::Borrowed(octets)),
            Self::U8(number) => Value::U8(*number),
            Self::I8(number) => Value::I8(*number),
            Self::U16(number) => Value::U16(*number),
            Self::I16(number) => Value::I16(*number),
            Self::U32(number) => Value::U32(*number),
            Self::I32(number) => Value::I32(*number),
            Self::U64(number) => Value::U64(*number),
            Self::I64(number) => Value::I64(*number),
        }
    }

    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::String(text) => Shape::Text {
                octets: text.len() + 1,
            },
            Self::Blob(octets) => Shape::Blob { octets: octets.len() },
            _ => Shape::Number,
        }
    }

    /// The type of a number (`nvs_type_t`), and its octets, little-endian.
    pub(super) fn number(&self) -> Option<(u8, Number)> {
        Some(match self {
            Self::U8(number) => (0x01, Number::new(number.to_le_bytes())),
            Self::I8(number) => (0x11, Number::new(number.to_le_bytes())),
            Self::U16(number) => (0x02, Number::new(number.to_le_bytes())),
            Self::I16(number) => (0x12, Number::new(number.to_le_bytes())),
            Self::U32(number) => (0x04, Number::new(number.to_le_bytes())),
            Self::I32(number) => (0x14, Number::new(number.to_le_bytes())),
            Self::U64(number) => (0x08, Number::new(number.to_le_bytes())),
            Self::I64(number) => (0x18, Number::new(number.to_le_bytes())),
            Self::String(_) | Self::Blob(_) => return None,
        })
    }

    /// A number again; `None` when this is no type of numbers, or its octets are not filled up as they should be.
    pub(super) fn of_number(kind: u8, octets: [u8; 8]) -> Option<Value<'static>> {
        let number = u64::from_le_bytes(octets);
        let [low, ..] = octets;
        let half = u16::from_le_bytes([octets[0], octets[1]]);
        let word = u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]]);
        let value = match kind {
            0x01 => Value::U8(low),
            0x11 => Value::I8(low.cast_signed()),
            0x02 => Value::U16(half),
            0x12 => Value::I16(half.cast_signed()),
            0x04 => Value::U32(word),
            0x14 => Value::I32(word.cast_signed()),
            0x08 => Value::U64(number),
            0x18 => Value::I64(number.cast_signed()),
            _ => return None,
        };
        let (_, again) = value.number()?;
        (again.0 == octets).then_some(value)
    }
}

/// A number as it lies in an entry: filled up with 0xFF.
pub(super) struct Number(pub [u8; 8]);

impl Number {
    fn new<const N: usize>(octets: [u8; N]) -> Self {
        let mut filled = [0xFF; 8];
        filled[..N].copy_from_slice(&octets);
        Self(filled)
    }
}
