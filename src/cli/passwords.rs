//! `--pkcs12-password-file`: by which PKCS#12 files are opened whose password the profile has in a file.

use std::path::PathBuf;

use certforge::profile::Passwords;
use clap::Args;

use super::Failure;

#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// File whose first line is the password of PKCS#12 files, where the profile has it in a file; only you can read it. May be
    /// given again
    #[arg(long, value_name = "FILE")]
    pkcs12_password_file: Vec<PathBuf>,
}

impl PasswordArgs {
    pub fn read(&self) -> Result<Passwords, Failure> {
        Ok(Passwords::read(&self.pkcs12_password_file)?)
    }
}
