//! Passphrases of CA keys: from a file, an environment variable, or a prompt, in that order.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The variable that may hold the passphrase.
const VARIABLE: &str = "CERTFORGE_CA_PASSPHRASE";

#[derive(Debug, Clone, Default, clap::Args)]
pub struct PassphraseArgs {
    /// File whose first line is the passphrase of the CA key [else: CERTFORGE_CA_PASSPHRASE, else a prompt]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    pub fn from_file(passphrase_file: Option<PathBuf>) -> Self {
        Self { passphrase_file }
    }

    /// The passphrase of an existing key.
    pub fn ask(&self, key: &Path) -> io::Result<Zeroizing<String>> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        prompt(&format!("passphrase of {}: ", key.display()))
    }

    /// The passphrase of a new key; at a prompt it is asked for twice.
    pub fn choose(&self, what: &str) -> io::Result<Zeroizing<String>> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        let first = prompt(&format!("passphrase for {what}: "))?;
        let second = prompt("once more: ")?;
        if first != second {
            return Err(io::Error::other("the two passphrases differ"));
        }
        Ok(first)
    }

    fn given(&self) -> io::Result<Option<Zeroizing<String>>> {
        if let Some(path) = &self.passphrase_file {
            let text = Zeroizing::new(
                std::fs::read_to_string(path)
                    .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?,
            );
            let line = text.lines().next().unwrap_or_default();
            return Ok(Some(Zeroizing::new(line.to_owned())));
        }
        Ok(std::env::var(VARIABLE).ok().map(Zeroizing::new))
    }
}

fn prompt(text: &str) -> io::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(io::Error::other("there is no terminal to ask at"));
    }
    rpassword::prompt_password(text).map(Zeroizing::new)
}
