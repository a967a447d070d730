//! An identity that a plugin knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::talk::{Manner, Talk};
use super::{PluginError, Voice, find};
use crate::bundle::encryption::{
    DecryptError, FileKey, IdentityError, OtherIdentity, PLUGIN_PROGRAM, Recipient, Stanza,
};

/// A plugin that reads a file is done within so long: a person types a PIN meanwhile, and touches a token.
const UNWRAP: Manner = Manner {
    machine: "identity-v1",
    limit: Duration::from_mins(5),
    is_alone: false,
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
        let mut talk = Talk::begin(&self.plugin, UNWRAP)?;
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
            told: Mutex::default(),
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

/// Whoever was asked once is not asked for the next file, unless the plugin does not take what was answered.
struct Remembering<'a> {
    voice: &'a dyn Voice,
    known: &'a Answers,
    new: Mutex<Answers>,
    /// Questions of this file that were answered by what is known.
    told: Mutex<BTreeSet<String>>,
}

impl Voice for Remembering<'_> {
    fn tell(&self, plugin: &str, text: &str) -> bool {
        self.voice.tell(plugin, text)
    }

    fn ask(&self, plugin: &str, question: &str, is_secret: bool) -> Option<Zeroizing<String>> {
        let mut told_before = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked twice, it was not taken: a wrong PIN that is told again and again locks a token.
        if let Some(told) = self.known.get(question)
            && told_before.insert(question.to_owned())
        {
            return Some(told.clone());
        }
        drop(told_before);
        let told = self.voice.ask(plugin, question, is_secret)?;
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.insert(question.to_owned(), told.clone());
        Some(told)
    }

    /// What is so now need not be so for the next file: whether a token is there, say.
    fn confirm(&self, plugin: &str, text: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.voice.confirm(plugin, text, yes, no)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what is next, and counts.
    struct Person(Mutex<Vec<&'static str>>);

    impl Voice for Person {
        fn tell(&self, _: &str, _: &str) -> bool {
            true
        }

        fn ask(&self, _: &str, _: &str, _: bool) -> Option<Zeroizing<String>> {
            let told = self.0.lock().unwrap().pop()?;
            Some(Zeroizing::new(told.to_owned()))
        }
    }

    fn remembering<'a>(voice: &'a Person, known: &'a Answers) -> Remembering<'a> {
        Remembering {
            voice,
            known,
            new: Mutex::default(),
            told: Mutex::default(),
        }
    }

    #[test]
    fn what_a_plugin_does_not_take_is_not_told_again() {
        let person = Person(Mutex::new(vec!["right"]));
        let known = Answers::from([("PIN".to_owned(), Zeroizing::new("old".to_owned()))]);
        let voice = remembering(&person, &known);
        let asked = || voice.ask("test", "PIN", true).map(|told| told.to_string());
        assert_eq!(asked().as_deref(), Some("old"));
        assert_eq!(asked().as_deref(), Some("right"));
        assert_eq!(asked(), None, "nobody knows another");
        assert_eq!(voice.new.lock().unwrap()["PIN"].as_str(), "right");
    }

    #[test]
    fn a_person_confirms_in_the_words_that_are_shown_and_each_time_anew() {
        let known = Answers::from([(
            "Insert the token [yes/no]".to_owned(),
            Zeroizing::new("yes".to_owned()),
        )]);
        // What is asked last stands first.
        for (told, expected) in [
            (vec!["no"], Some(false)),
            (vec!["Yes"], Some(true)),
            (vec!["y"], Some(true)),
            (vec!["n", "", "what?"], Some(false)),
            (vec!["yes", "", "", ""], None),
            (vec![], None),
        ] {
            let person = Person(Mutex::new(told.clone()));
            let voice = remembering(&person, &known);
            assert_eq!(
                voice.confirm("test", "Insert the token", "yes", Some("no")),
                expected,
                "{told:?}"
            );
        }
    }
}
