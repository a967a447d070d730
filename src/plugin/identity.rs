//! An identity that a plugin knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::talk::Talk;
use super::{PluginError, Voice, find};
use crate::bundle::encryption::{
    DecryptError, FileKey, IdentityError, OtherIdentity, PLUGIN_PROGRAM, Recipient, Stanza,
};

/// An identity that a plugin knows: `AGE-PLUGIN-NAME-1…`.
pub struct PluginIdentity {
    plugin: String,
    text: Zeroizing<String>,
    voice: Arc<dyn Voice>,
    /// One file at a time, for there may be one token.
    asked: Mutex<Asked>,
}

type Answers = BTreeMap<String, Zeroizing<String>>;

#[derive(Default)]
struct Asked {
    /// What somebody answered, and the plugin took.
    answers: Answers,
    /// Why it did not take what somebody answered: tokens lock when a wrong PIN is told too often.
    refused: Option<String>,
}

impl PluginIdentity {
    /// Whose public half nobody but the plugin knows.
    ///
    /// # Errors
    ///
    /// When there is no such plugin.
    pub fn new(text: &str, plugin: &str, voice: Arc<dyn Voice>) -> Result<Self, IdentityError> {
        find(plugin).map_err(|_| IdentityError::NoPlugin {
            plugin: plugin.to_owned(),
        })?;
        Ok(Self {
            plugin: plugin.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            voice,
            asked: Mutex::default(),
        })
    }

    fn unwrap(&self, shares: &[Stanza], voice: &Remembering<'_>) -> Result<Option<FileKey>, PluginError> {
        let mut talk = Talk::begin(&self.plugin, "identity-v1", None)?;
        talk.say(&["add-identity", &self.text], &[]);
        for share in shares {
            let mut arguments = vec!["recipient-stanza", "0"];
            arguments.extend(share.arguments.iter().map(String::as_str));
            talk.say(&arguments, &share.body);
        }
        let mut found = None;
        talk.listen(voice, |stanza| match stanza.numbered("file-key") {
            None => Ok(false),
            Some(0) => {
                let body = Zeroizing::new(stanza.body.clone());
                let mut file_key = FileKey::default();
                let is_one = body.len() == file_key.len();
                if is_one {
                    file_key.copy_from_slice(&body);
                    found = Some(file_key);
                }
                is_one.then_some(true).ok_or("a file key of another length")
            }
            Some(_) => Err("a key of no file"),
        })?;
        Ok(found)
    }
}

impl OtherIdentity for PluginIdentity {
    fn recipient(&self) -> Option<&Recipient> {
        None
    }

    fn short_id(&self) -> String {
        format!("one of {PLUGIN_PROGRAM}{}", self.plugin)
    }

    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient
            .of_plugin()
            .is_some_and(|other| other.plugin() == self.plugin)
    }

    fn open(&self, shares: &[Stanza]) -> Result<Option<FileKey>, DecryptError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &asked.refused {
            return Err(DecryptError::Plugin(why.clone()));
        }
        let voice = Remembering {
            voice: &*self.voice,
            known: &asked.answers,
            new: Mutex::default(),
        };
        let opened = self.unwrap(shares, &voice);
        let new = voice.new.into_inner().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(found) => {
                asked.answers.extend(new);
                Ok(found)
            }
            Err(error) => {
                let why = error.to_string();
                if !new.is_empty() || !asked.answers.is_empty() {
                    asked.refused = Some(why.clone());
                }
                Err(DecryptError::Plugin(why))
            }
        }
    }
}

/// Whoever was asked once is not asked for the next file.
struct Remembering<'a> {
    voice: &'a dyn Voice,
    known: &'a Answers,
    new: Mutex<Answers>,
}

impl Voice for Remembering<'_> {
    fn tell(&self, plugin: &str, text: &str) {
        self.voice.tell(plugin, text);
    }

    fn ask(&self, plugin: &str, question: &str, is_secret: bool) -> Option<Zeroizing<String>> {
        if let Some(told) = self.known.get(question) {
            return Some(told.clone());
        }
        let told = self.voice.ask(plugin, question, is_secret)?;
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked twice, it was not taken.
        new.insert(question.to_owned(), told.clone());
        Some(told)
    }
}
