//! `--identity`: by which encrypted bundles are read.

use std::path::PathBuf;

use certforge::bundle::encryption::Identities;
#[cfg(feature = "aws")]
use certforge::bundle::encryption::{Recipient, short_ids};
use certforge::station::identity;
use clap::Args;

use super::Failure;

#[derive(Debug, Args)]
pub struct IdentityArgs {
    /// Identity by which encrypted bundles are read, in a file that only you can read: `certforge station identity new` makes one
    #[arg(long, env = "CERTFORGE_IDENTITY", hide_env_values = true, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl IdentityArgs {
    /// The identities, if a file is named.
    pub fn read(&self) -> Result<Option<Identities>, Failure> {
        Ok(self.identity.as_deref().map(identity::read).transpose()?)
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
