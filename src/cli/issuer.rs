//! The issuer on the command line: a CA's folder, or its files.

use std::path::{Path, PathBuf};

use certforge::engine::Choice;
use certforge::forge::Shard;
use certforge::issuer::{self, CERTIFICATE_FILE, CaCertificate, CaFiles, Issuer, IssuerError, KeyPlace};
use certforge::seal::Trust;
use certforge::shell::quoted;
use clap::Args;
use data_encoding::HEXLOWER;
use time::OffsetDateTime;

use super::Failure;
use super::passphrase::PassphraseArgs;

/// Where a CA is looked for when none is named.
pub const DEFAULT_FOLDER: &str = "ca";

/// Whose ledger is meant.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The folder of the CA; `None`: it has none.
    pub folder: Option<&'a Path>,
    pub shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub struct IssuerArgs {
    /// Folder of the CA that signs, or its certificate in there [default: ./ca; `run` makes a lab CA there when there is none]
    #[arg(long, value_name = "DIR|FILE")]
    ca: Option<PathBuf>,
    /// CA certificate, when it is not in a folder that certforge made
    #[arg(long, value_name = "FILE", requires = "ca_key", conflicts_with = "ca")]
    ca_certificate: Option<PathBuf>,
    /// CA key: PKCS#8, encrypted or not, EC or RSA; or a URI, when it is in a token (pkcs11:…) or in AWS KMS (awskms:///…)
    #[arg(long, value_name = "FILE|URI", requires = "ca_certificate")]
    ca_key: Option<String>,
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

    /// Whether the CA is there that it was left to.
    pub fn is_there(&self) -> bool {
        self.certificate_path().exists()
    }

    fn files(&self) -> Result<CaFiles, IssuerError> {
        let files = self.public_files();
        Ok(match &self.ca_key {
            Some(key) => CaFiles {
                key: KeyPlace::named(key, "--ca-key")?,
                ..files
            },
            None => files,
        })
    }

    /// The same, where the key is not asked for.
    fn public_files(&self) -> CaFiles {
        match &self.ca_certificate {
            Some(certificate) => CaFiles {
                certificate: certificate.clone(),
                key: KeyPlace::File(PathBuf::new()),
                chain: self.ca_chain.clone(),
            },
            None => files_at(self.folder()),
        }
    }

    /// The folder of the CA, when it is one that is named.
    pub fn folder(&self) -> &Path {
        self.ca.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER))
    }

    /// The CA's certificate and those above it, if it is valid; its key is not touched.
    pub fn read_public(
        &self,
        now: OffsetDateTime,
    ) -> Result<(CaCertificate, Vec<CaCertificate>), IssuerError> {
        let files = self.public_files();
        let (certificate, chain) = issuer::read_public(&files)?;
        certificate.check_validity(&files.certificate, now)?;
        Ok((certificate, chain))
    }

    /// The file that has its passphrase.
    pub fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase.file()
    }

    /// The file of the CA's certificate.
    pub fn certificate_path(&self) -> PathBuf {
        self.public_files().certificate
    }

    /// The options once more, for a further command on the same CA.
    pub fn options(&self) -> String {
        match (&self.ca_certificate, &self.ca_key) {
            (Some(certificate), Some(key)) => format!(
                "--ca-certificate {} --ca-key {}",
                quoted(&certificate.display().to_string()),
                quoted(key)
            ),
            _ => format!("--ca {}", quoted(&self.folder().display().to_string())),
        }
    }

    /// Whose ledger it is: the CA's, or that of a shard of it.
    pub fn whose(&self, shard: Option<Shard>) -> Whose<'_> {
        Whose {
            folder: self.ca_certificate.is_none().then(|| self.folder()),
            shard,
        }
    }

    /// Where the endpoint of the CA's account is noted; `None` when the CA has no folder.
    pub fn endpoint_note(&self) -> Option<PathBuf> {
        let folder = self.ca_certificate.is_none().then(|| self.folder());
        folder.map(|folder| match folder.parent() {
            Some(parent) if folder.is_file() => parent.join(issuer::ENDPOINT_FILE),
            _ => folder.join(issuer::ENDPOINT_FILE),
        })
    }

    /// The endpoint that is noted with the CA.
    pub fn endpoint(&self) -> Result<Option<String>, IssuerError> {
        match self.endpoint_note() {
            Some(path) => issuer::read_endpoint(&path),
            None => Ok(None),
        }
    }

    /// Loads the CA; asks for its passphrase when it has one.
    pub fn load(&self, now: OffsetDateTime) -> Result<Issuer, IssuerError> {
        self.load_for(&Choice::Auto, now)
    }

    /// The same, to sign with an engine of the choice.
    pub fn load_for(&self, engines: &Choice, now: OffsetDateTime) -> Result<Issuer, IssuerError> {
        self.passphrase.load(&self.files()?, engines, now)
    }
}

/// The files of a CA that is named by its folder, or by its certificate, beside which the others are.
pub fn files_at(path: &Path) -> CaFiles {
    let Some(folder) = path.parent().filter(|_| path.is_file()) else {
        return CaFiles::in_folder(path);
    };
    CaFiles {
        certificate: path.to_owned(),
        ..CaFiles::in_folder(folder)
    }
}

/// The issuer that somebody trusts: its certificate, its folder, or the SHA-256 of the certificate.
pub fn trust(text: &str) -> Result<Trust, Failure> {
    if let Ok(id) = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes())
        && let Ok(id) = id.try_into()
    {
        return Ok(Trust::Id(id));
    }
    let hint = "name the certificate of the CA that made the batch, or its SHA-256, with --issuer or in CERTFORGE_ISSUER";
    let certificate = certificate_at(Path::new(text), hint)?;
    Ok(Trust::Certificate(Box::new(certificate)))
}

/// A CA's certificate, from its file or the folder that it is in.
pub fn certificate_at(path: &Path, hint: &str) -> Result<CaCertificate, Failure> {
    let certificate = match path.is_dir() || !path.exists() && path.extension().is_none() {
        true => path.join(CERTIFICATE_FILE),
        false => path.to_owned(),
    };
    let files = CaFiles {
        key: KeyPlace::File(PathBuf::new()),
        chain: None,
        certificate,
    };
    let (certificate, _) =
        issuer::read_public(&files).map_err(|error| Failure::from(error).with_hint(hint))?;
    Ok(certificate)
}
