//! What a profile says of a file beyond contents and format: the settings of the format, which alone knows them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::secret_file;

/// Settings of a format, as the profile has them. A format reads them into a type of its own, which refuses what it does not
/// know. They are part of the file: compared with it, and recorded of a batch; but for secrets, of which a check stands for what
/// their file holds.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings {
    fields: BTreeMap<String, Value>,
    /// What files of secrets hold, as far as somebody has read them.
    #[serde(skip)]
    secrets: BTreeMap<String, Zeroizing<String>>,
}

/// A setting that names a file with a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// As the profile has it, relative to the profile's own folder.
    #[serde(rename = "file")]
    pub path: String,
    /// Of what it holds; `None`: nobody has read it yet.
    pub check: Option<String>,
}

impl Settings {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The settings as a format's own type.
    ///
    /// # Errors
    ///
    /// Which setting it does not know, or cannot use.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let fields = self.fields.clone().into_iter().collect();
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }

    /// Refuses any, in the name of a format that has none.
    pub(super) fn refuse(&self, format: &str) -> Result<(), String> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!(
                "unknown field `{name}`; a file has name, content, format, compression and shared, and {format} has no more"
            )),
        }
    }

    /// The path of the file that a setting names, as `{ file = "PATH" }`.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
        match self.fields.get(name)?.as_object()? {
            fields if fields.len() == 1 => fields.get("file")?.as_str(),
            _ => None,
        }
    }

    /// Puts a text in the place of a setting.
    pub fn set(&mut self, name: &str, text: String) {
        self.fields.insert(name.to_owned(), Value::String(text));
    }

    /// The file with a secret that a setting names.
    #[must_use]
    pub fn secret_file(&self, name: &str) -> Option<SecretFile> {
        serde_json::from_value(self.fields.get(name)?.clone()).ok()
    }

    /// What the file of a secret holds, if somebody has read it.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Zeroizing<String>> {
        self.secrets.get(name)
    }

    /// Takes what the file of a secret was found to hold; false when the setting asks for another secret, or names no file.
    #[must_use]
    pub fn fill(&mut self, name: &str, secret: &Zeroizing<String>) -> bool {
        let Some(SecretFile { path, check }) = self.secret_file(name) else {
            return false;
        };
        let found = secret_file::check(&path, secret);
        let is_it = check.is_none_or(|wanted| wanted == found);
        if is_it {
            let written = json!({ "file": path, "check": found });
            self.fields.insert(name.to_owned(), written);
            self.secrets.insert(name.to_owned(), secret.clone());
        }
        is_it
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for Settings {}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_check_and_shown_nowhere() {
        let mut settings: Settings = serde_json::from_str(r#"{"password":{"file":"p"}}"#).unwrap();
        assert!(!settings.fill("else", &Zeroizing::new("geheim".to_owned())));
        assert!(settings.fill("password", &Zeroizing::new("geheim".to_owned())));
        assert_eq!(settings.secret("password").unwrap().as_str(), "geheim");
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.contains("check"), "{json}");
        for shown in [&json, &format!("{settings:?}")] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        let mut recorded: Settings = serde_json::from_str(&json).unwrap();
        assert_eq!((recorded.secret("password"), &recorded), (None, &settings));
        assert!(!recorded.fill("password", &Zeroizing::new("geheim2".to_owned())));
        assert!(recorded.fill("password", &Zeroizing::new("geheim".to_owned())));
        assert_eq!(serde_json::to_string(&recorded).unwrap(), json);
    }
}
