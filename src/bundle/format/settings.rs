//! What a profile says of a file beyond contents and format: the settings of the format, which alone knows them.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of a format, as the profile has them. A format reads them into a type of its own, which refuses what it does not
/// know. They are part of the file: compared with it, and recorded of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The settings as a format's own type.
    ///
    /// # Errors
    ///
    /// Which setting it does not know, or cannot use.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let fields = self.0.clone().into_iter().collect();
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }

    /// Refuses any, in the name of a format that has none.
    pub(super) fn refuse(&self, format: &str) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!(
                "unknown field `{name}`; a file has name, content, format, compression and shared, and {format} has no more"
            )),
        }
    }

    /// The path of the file that a setting names, as `{ file = "PATH" }`.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
        match self.0.get(name)?.as_object()? {
            fields if fields.len() == 1 => fields.get("file")?.as_str(),
            _ => None,
        }
    }

    /// Puts a text in the place of a setting.
    pub fn set(&mut self, name: &str, text: String) {
        self.0.insert(name.to_owned(), Value::String(text));
    }
}
