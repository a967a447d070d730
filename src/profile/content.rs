//! What a profile says that a file of a bundle holds: one content, or a list.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bundle::Content;

/// One content, or several in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents(pub Vec<Content>);

impl Contents {
    /// Whether the profile leaves it unsaid.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Contents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Contents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Contents;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a content, or a list of them")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Contents, E> {
                Ok(Contents(vec![Content::deserialize(StrDeserializer::new(name))?]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Contents, A::Error> {
                let file = Content::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Contents(vec![file]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Contents, A::Error> {
                let mut contents = Vec::new();
                while let Some(content) = list.next_element()? {
                    contents.push(content);
                }
                Ok(Contents(contents))
            }
        }

        deserializer.deserialize_any(Written)
    }
}
