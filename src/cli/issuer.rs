//! The issuer on the command line: a CA's folder, or its files.

use std::path::{Path, PathBuf};

use certforge::issuer::{CaFiles, Issuer, IssuerError};
use clap::Args;
use time::OffsetDateTime;

use super::ca;
use super::passphrase::PassphraseArgs;

#[derive(Debug, Args)]
pub struct IssuerArgs {
    /// Folder of the CA that signs [default: ./ca; `run` makes a lab CA there when there is none]
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
    /// CA certificate, when it is not in a folder that certforge made
    #[arg(long, value_name = "FILE", requires = "ca_key", conflicts_with = "ca")]
    ca_certificate: Option<PathBuf>,
    /// CA key: PKCS#8, encrypted or not, EC or RSA
    #[arg(long, value_name = "FILE", requires = "ca_certificate")]
    ca_key: Option<PathBuf>,
    /// Certificates above the CA, nearest first
    #[arg(long, value_name = "FILE", requires = "ca_certificate")]
    ca_chain: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl IssuerArgs {
    /// Whether it was named rather than left to the default.
    pub fn is_named(&self) -> bool {
        self.ca.is_some() || self.ca_certificate.is_some()
    }

    /// Loads the CA; asks for its passphrase when it has one.
    pub fn load(&self, now: OffsetDateTime) -> Result<Issuer, IssuerError> {
        let files = match (&self.ca_certificate, &self.ca_key) {
            (Some(certificate), Some(key)) => CaFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                chain: self.ca_chain.clone(),
            },
            _ => CaFiles::in_folder(self.ca.as_deref().unwrap_or(Path::new(ca::DEFAULT_FOLDER))),
        };
        Issuer::load(&files, now, &mut |key| self.passphrase.ask(key))
    }
}
