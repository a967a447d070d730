//! `certforge station identity`: who a station is to those who encrypt for it.

use std::fmt;
use std::path::PathBuf;

use certforge::bundle::encryption::Recipient;
use certforge::station::identity::{self, IdentityFileError};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::clock;
use crate::cli::identity::IdentityPassphrase;
use crate::cli::report::{Ended, Outcome};

#[derive(Debug, Subcommand)]
pub enum Identity {
    /// Make an identity, and print its public half, for `certforge run --recipient`
    New(New),
    /// Print the public half of an identity
    Show(Show),
}

#[derive(Debug, Args)]
pub struct New {
    /// File for the identity, which is made: it stays at this station, and nobody else may read it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// File of the identity
    file: PathBuf,
    #[command(flatten)]
    passphrase: IdentityPassphrase,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The public halves of a file's identities: one, as a rule.
#[derive(Serialize)]
struct Public {
    identity: PathBuf,
    recipients: Vec<String>,
}

impl Identity {
    pub fn run(&self) -> Outcome {
        match self {
            Self::New(command) => command.run(),
            Self::Show(command) => command.run(),
        }
    }
}

impl New {
    fn run(&self) -> Outcome {
        let recipient = identity::make(&self.to, clock::now()?)?;
        Ok(Ended::with(Public {
            identity: self.to.clone(),
            recipients: vec![recipient.to_string()],
        }))
    }
}

impl Show {
    fn run(&self) -> Outcome {
        let identities = self.passphrase.read_identity(&self.file)?;
        let recipients: Vec<String> = identities.recipients().map(Recipient::to_string).collect();
        if recipients.is_empty() {
            let path = self.file.clone();
            return Err(IdentityFileError::NotPublic { path }.into());
        }
        Ok(Ended::with(Public {
            identity: self.file.clone(),
            recipients,
        }))
    }
}

impl fmt::Display for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recipients.iter().try_for_each(|one| writeln!(f, "{one}"))
    }
}
