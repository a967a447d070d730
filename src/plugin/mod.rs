//! Plugins of age: programs that know recipients and identities of their own kinds, such as tokens
//! (<https://c2sp.org/age-plugin>).
//!
//! A plugin gets file keys by its standard input, and of the environment what it needs to find its way: nothing that this
//! program knows secrets by. Many file keys are wrapped by one process, which is waited for, and killed when it takes too long.

mod identity;
mod talk;

pub use identity::PluginIdentity;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use self::talk::{Manner, Talk};
use crate::bundle::encryption::{MAX_PLUGIN_STANZAS, PLUGIN_PROGRAM, PluginRecipient, Stanza};

/// A plugin that wraps file keys takes no longer, and asks nobody.
const WRAP: Manner = Manner {
    machine: "recipient-v1",
    limit: Duration::from_mins(1),
    is_alone: true,
};

/// How often a person is asked who answers something else.
const TRIES: usize = 3;

/// Why a plugin did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("there is no program {PLUGIN_PROGRAM}{plugin} on the PATH")]
    Missing { plugin: String },
    #[error("{path} cannot be started")]
    Start { path: PathBuf, source: io::Error },
    #[error("{PLUGIN_PROGRAM}{plugin} ended, or closed its output, before it was done")]
    Ended { plugin: String },
    #[error("{PLUGIN_PROGRAM}{plugin} said something that is not the protocol of age's plugins: {what}")]
    Protocol { plugin: String, what: &'static str },
    #[error("{PLUGIN_PROGRAM}{plugin} refuses: {what}")]
    Refused { plugin: String, what: String },
    #[error("{PLUGIN_PROGRAM}{plugin} was not done after {seconds} s")]
    TimedOut { plugin: String, seconds: u64 },
    #[error(
        "{PLUGIN_PROGRAM}{plugin} encrypts to recipients that are {labels} alone, and others are named beside them"
    )]
    Labels { plugin: String, labels: String },
}

impl PluginError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { plugin } => format!(
                "install it where whoever runs certforge finds it: `command -v {PLUGIN_PROGRAM}{plugin}` tells"
            ),
            Self::Start { .. } => "see that it is a program for this machine, which you may run".to_owned(),
            Self::Labels { .. } => {
                "what one recipient promises, another beside it breaks: name recipients of one kind only"
                    .to_owned()
            }
            Self::Refused { plugin, .. } => format!(
                "{PLUGIN_PROGRAM}{plugin} has said so itself: what it prints for people is in its manual"
            ),
            Self::Ended { plugin } | Self::Protocol { plugin, .. } | Self::TimedOut { plugin, .. } => {
                format!(
                    "try it with age itself: AGEDEBUG=plugin age … shows what {PLUGIN_PROGRAM}{plugin} says"
                )
            }
        })
    }
}

/// Whoever speaks for a plugin with a person.
pub trait Voice: Send + Sync {
    /// Tells what a plugin says. False when there is nobody who could hear it.
    fn tell(&self, plugin: &str, text: &str) -> bool;

    /// Asks what a plugin asks; `None` when nobody answers.
    fn ask(&self, plugin: &str, question: &str, is_secret: bool) -> Option<Zeroizing<String>>;

    /// Asks whether that is so; `None` when nobody says, or something else.
    fn confirm(&self, plugin: &str, text: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let question = match no {
            None => format!("{text} [{yes}]"),
            Some(no) => format!("{text} [{yes}/{no}]"),
        };
        for _ in 0..TRIES {
            let told = self.ask(plugin, &question, false)?;
            let is = |word: &str| told.trim().eq_ignore_ascii_case(word);
            if is(yes) || is("y") {
                return Some(true);
            }
            if no.is_some_and(is) || is("n") {
                return Some(false);
            }
        }
        None
    }
}

/// Nobody is there: a run works by itself.
pub struct Nobody;

impl Voice for Nobody {
    fn tell(&self, _: &str, _: &str) -> bool {
        false
    }

    fn ask(&self, _: &str, _: &str, _: bool) -> Option<Zeroizing<String>> {
        None
    }
}

/// Where the program of a plugin is.
///
/// # Errors
///
/// When it is nowhere on the PATH.
pub fn find(plugin: &str) -> Result<PathBuf, PluginError> {
    let program = format!("{PLUGIN_PROGRAM}{plugin}");
    let is_program = |path: &PathBuf| {
        let metadata = path.metadata();
        metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&program))
        .find(is_program)
        .ok_or(PluginError::Missing {
            plugin: plugin.to_owned(),
        })
}

/// What a plugin makes of file keys.
#[derive(Debug)]
pub struct Wrapped {
    /// For each file key its shares, as text.
    pub shares: Vec<Vec<u8>>,
    /// What its recipients are, which all recipients of a file must be.
    pub labels: Vec<String>,
}

/// The shares of file keys for recipients of one plugin.
///
/// # Errors
///
/// When the plugin is not there, or does not make them.
///
/// # Panics
///
/// Without recipients, there is no plugin.
pub fn wrap<const N: usize>(
    recipients: &[PluginRecipient],
    file_keys: &[&[u8; N]],
) -> Result<Wrapped, PluginError> {
    let mut talk = Talk::begin(recipients[0].plugin(), WRAP)?;
    for recipient in recipients {
        talk.say(&["add-recipient", recipient.text()], &[]);
    }
    for file_key in file_keys {
        talk.say(&["wrap-file-key"], &file_key[..]);
    }
    talk.say(&["extension-labels"], &[]);
    let mut shares = vec![(Vec::new(), 0); file_keys.len()];
    let mut labels: Option<Vec<String>> = None;
    talk.listen(&Nobody, |stanza| {
        if stanza.kind() == "labels" {
            let mut told = stanza.arguments[1..].to_vec();
            told.sort();
            return match labels.replace(told) {
                None => Ok(true),
                Some(_) => Err("labels twice"),
            };
        }
        let Some(number) = stanza.numbered("recipient-stanza") else {
            return Ok(false);
        };
        let (out, count) = shares.get_mut(number).ok_or("a share of no file")?;
        let share = Stanza {
            arguments: stanza.arguments[2..].to_vec(),
            body: stanza.body.clone(),
        };
        match share.kind() {
            "" => return Err("a share of no kind"),
            // Whoever has a passphrase is the only one (age-encryption.org/v1).
            "scrypt" => return Err("a share by a passphrase"),
            _ => share.append(out),
        }
        *count += 1;
        if *count > recipients.len() {
            return Err("more shares than recipients");
        }
        match out.len() <= recipients.len() * MAX_PLUGIN_STANZAS {
            true => Ok(true),
            false => Err("shares of more than 4 KiB"),
        }
    })?;
    let shares: Vec<Vec<u8>> = shares.into_iter().map(|(shares, _)| shares).collect();
    match shares.iter().any(Vec::is_empty) {
        true => Err(PluginError::Protocol {
            plugin: recipients[0].plugin().to_owned(),
            what: "no share of a file",
        }),
        false => Ok(Wrapped {
            shares,
            labels: labels.unwrap_or_default(),
        }),
    }
}
