//! Passphrases of CA keys, and PINs of tokens: from a file, an environment variable, or a prompt, in that order.

use std::env::VarError;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use certforge::bounded;
use certforge::engine::Choice;
use certforge::exposure::{self, Exposure};
use certforge::issuer::{CaFiles, Issuer, IssuerError, KeyPlace, Secret};
use certforge::printable;
use time::OffsetDateTime;
use zeroize::Zeroizing;

#[cfg(target_os = "linux")]
use super::locked::lock_memory;
use super::report::tell_aside;

/// The variable that may hold the passphrase.
const VARIABLE: &str = "CERTFORGE_CA_PASSPHRASE";

/// The variable that may hold the PIN of the token that the key is in.
const PIN_VARIABLE: &str = "CERTFORGE_PIN";

/// Times that a person is asked for the passphrase of one key.
pub const TRIES: u32 = 3;

/// Octets of a line that somebody types, at most.
const LONGEST_LINE: u64 = 4096;

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

    /// The file that has it, when one is named.
    pub fn file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// Whether there is one without asking anybody.
    pub fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || std::env::var_os(VARIABLE).is_some()
    }

    /// What an existing key is opened with. A token's PIN is typed once: whoever mistypes it begins again himself.
    pub fn ask(&self, secret: Secret<'_>) -> io::Result<Zeroizing<String>> {
        match secret {
            Secret::Passphrase(key) => match self.given()? {
                Some(passphrase) => Ok(passphrase),
                None => prompt(&format!("passphrase of {}: ", key.display())),
            },
            Secret::Pin(token) => match of_environment(PIN_VARIABLE)? {
                Some(pin) => Ok(pin),
                None => prompt(&format!("PIN of token {token}: ")),
            },
        }
    }

    /// Loads an issuer, whose key may have a passphrase; who mistypes it at a prompt is asked again.
    pub fn load(
        &self,
        files: &CaFiles,
        engines: &Choice,
        now: OffsetDateTime,
    ) -> Result<Issuer, IssuerError> {
        #[cfg(target_os = "linux")]
        if matches!(files.key, KeyPlace::File(_) | KeyPlace::Wrapped(_)) {
            lock_memory();
        }
        let mut tries = if self.is_given() { 1 } else { TRIES };
        loop {
            match Issuer::load(files, engines, now, &mut |secret| self.ask(secret)) {
                Err(IssuerError::WrongPassphrase { .. }) if tries > 1 => {
                    tries -= 1;
                    tell_aside(format_args!("certforge: that is not the passphrase; try again"));
                }
                other => return other,
            }
        }
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
            return first_line(path).map(Some);
        }
        of_environment(VARIABLE)
    }
}

/// The first line of a file that nobody else may read.
pub fn first_line(path: &Path) -> io::Result<Zeroizing<String>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(named)?;
    let exposure = exposure::of_secret(&file.metadata().map_err(named)?);
    if let Some(exposure) = exposure {
        let remedy = match exposure {
            Exposure::Owner { .. } => "use one of your own",
            _ => "chmod 600 it",
        };
        let message = format!("{} {exposure}; {remedy}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let text = bounded::read_file_text(file).map_err(named)?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Zeroizing::new(line.to_owned()))
}

/// What a variable has in it, if it is set.
pub fn of_environment(variable: &str) -> io::Result<Option<Zeroizing<String>>> {
    match std::env::var(variable) {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(io::Error::other(format!("{variable} is not UTF-8"))),
    }
}

/// What somebody types who sees it.
pub fn prompt_openly(text: &str) -> io::Result<Zeroizing<String>> {
    tell_aside(format_args!("{text}"));
    let mut line = Zeroizing::new(String::with_capacity(256));
    if io::stdin().lock().take(LONGEST_LINE).read_line(&mut line)? == 0 {
        return Err(io::Error::other("nothing was typed: the input is at its end"));
    }
    let len = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(len);
    Ok(line)
}

/// What somebody types whom nobody looks at.
pub fn prompt(text: &str) -> io::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(io::Error::other("there is no terminal to ask at"));
    }
    rpassword::prompt_password(printable::line(text)).map(Zeroizing::new)
}
