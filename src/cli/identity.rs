//! `--identity`: by which encrypted bundles are read.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certforge::bundle::encryption::{Identities, IdentityError};
#[cfg(feature = "aws")]
use certforge::bundle::encryption::{Recipient, short_ids};
use certforge::plugin::Voice;
use certforge::station::identity::{self, Asked, IdentityFileError};
use clap::Args;
use zeroize::Zeroizing;

use super::Failure;
use super::passphrase::{TRIES, first_line, of_environment, prompt, prompt_openly};
use super::report::tell_aside;

/// The variable that may hold the passphrase of a key of SSH.
const VARIABLE: &str = "CERTFORGE_IDENTITY_PASSPHRASE";

#[derive(Debug, Args)]
pub struct IdentityArgs {
    /// Identity by which encrypted bundles are read, in a file that only you can read: `certforge station identity new` makes one; or a private key of SSH
    #[arg(long, env = "CERTFORGE_IDENTITY", hide_env_values = true, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    passphrase: IdentityPassphrase,
}

#[derive(Debug, Args)]
pub struct IdentityPassphrase {
    /// File whose first line is the passphrase of an identity that is a key of SSH [else: CERTFORGE_IDENTITY_PASSPHRASE, else a prompt]
    #[arg(long, value_name = "FILE")]
    identity_passphrase_file: Option<PathBuf>,
}

impl IdentityPassphrase {
    /// The identities in a file; who mistypes a passphrase at a prompt is asked again.
    pub fn read_identity(&self, path: &Path) -> Result<Identities, Failure> {
        let mut tries = TRIES;
        loop {
            let mut is_typed = false;
            let mut passphrase = || self.ask(path, &mut is_typed);
            let mut asked = Asked {
                passphrase: &mut passphrase,
                voice: Arc::new(Person),
            };
            match identity::read(path, &mut asked) {
                Err(IdentityFileError::Identity {
                    source: IdentityError::WrongPassphrase,
                    ..
                }) if is_typed && tries > 1 => {
                    tries -= 1;
                    tell_aside(format_args!("certforge: that is not the passphrase; try again"));
                }
                other => return Ok(other?),
            }
        }
    }

    fn ask(&self, path: &Path, is_typed: &mut bool) -> io::Result<Zeroizing<String>> {
        if let Some(file) = &self.identity_passphrase_file {
            return first_line(file);
        }
        if let Some(told) = of_environment(VARIABLE)? {
            return Ok(told);
        }
        *is_typed = true;
        prompt(&format!("passphrase of {}: ", path.display()))
    }
}

/// Whoever sits at the terminal answers what a plugin asks.
struct Person;

impl Voice for Person {
    fn tell(&self, plugin: &str, text: &str) -> bool {
        tell_aside(format_args!("certforge: age-plugin-{plugin}: {text}"));
        true
    }

    fn ask(&self, plugin: &str, question: &str, is_secret: bool) -> Option<Zeroizing<String>> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let question = format!("age-plugin-{plugin}: {question}: ");
        match is_secret {
            true => prompt(&question).ok(),
            false => prompt_openly(&question).ok(),
        }
    }
}

impl IdentityArgs {
    /// The identities, if a file is named.
    pub fn read(&self) -> Result<Option<Identities>, Failure> {
        let read = |path| self.passphrase.read_identity(path);
        self.identity.as_deref().map(read).transpose()
    }

    /// What reads bundles for these recipients; `None` when there are none, for they are not encrypted.
    #[cfg(feature = "aws")]
    pub fn read_for(&self, recipients: &[Recipient]) -> Result<Option<Identities>, Failure> {
        let identities = self.read()?;
        if recipients.is_empty() {
            return Ok(None);
        }
        let whom = short_ids(recipients);
        match identities {
            Some(own) if own.are_among(recipients) => Ok(Some(own)),
            Some(own) => Err(Failure::station(
                &format!(
                    "the bundles are encrypted for {whom}, and this identity is {}",
                    own.short_ids()
                ),
                "give the identity of one of these with --identity",
            )),
            None => Err(Failure::station(
                &format!("the bundles are encrypted, for {whom}"),
                "give an identity by which they can be read with --identity, or in CERTFORGE_IDENTITY",
            )),
        }
    }
}
