//! `certforge ca`: new, adopt and show; the list is beside it.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::engine::Choice;
use certforge::issuer::{
    CaCertificate, CaRequest, ForBatch, Issuer, IssuerError, KeyPlace, NewCa, Protection, Secret, adopt,
    check, create, create_with, read_public,
};
use certforge::ledger::CaFolder;
use certforge::profile::{Attribute, KeyType, NotAfter, rfc3339};
use certforge::signer::{self, KeyUri, Pkcs11Uri};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::Failure;
use super::clock;
use super::issuer::{DEFAULT_FOLDER, files_at};
use super::passphrase::PassphraseArgs;
use super::report::{Ended, Outcome};
use super::text::Lines;

#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Make a CA: a root, or with --parent an intermediate under an existing CA
    New(New),
    /// Take over a CA whose key is in a token or in AWS KMS
    Adopt(Adopt),
    /// Show a CA: its subject, key, validity, and the id that AWS IoT will give it
    Show(Show),
    /// Destroy the key of a CA for one batch: it signs no more
    Retire(super::retire::Retire),
    /// Make the certificate revocation list of a CA: what its ledger says is revoked or withdrawn
    Crl(super::crl::NewCrl),
}

impl Ca {
    pub fn run(&self) -> Outcome {
        match self {
            Self::New(command) => command.run(),
            Self::Adopt(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Retire(command) => command.run(),
            Self::Crl(command) => command.run(),
        }
    }
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct New {
    /// Folder to make: certificate.pem, key.pem (or key.uri), and chain.pem under a parent
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    to: PathBuf,
    /// Common name [default: "certforge device CA" and eight random digits, so that no two CAs share a subject]
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// Organization
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Organizational unit
    #[arg(long, value_name = "NAME")]
    organizational_unit: Option<String>,
    /// Country, two letters
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// Key type: P-256, P-384, P-521, RSA-2048, RSA-3072 or RSA-4096; or a URI, to make the key in a token (pkcs11:…)
    #[arg(long, value_name = "TYPE|URI", default_value = "P-256")]
    key: String,
    /// Key type of a key that is made in a token
    #[arg(long, value_name = "TYPE", default_value_t = KeyType::P256)]
    key_type: KeyType,
    /// Use the key that is in the token already
    #[arg(long, conflicts_with = "key_type")]
    use_key: bool,
    /// Days that the CA is valid [default: 9125, 25 years; under a parent, as long as the parent]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// CAs that may stand below this one [default: any number for a root, 0 for an intermediate]
    #[arg(long, value_name = "N")]
    path_len: Option<u8>,
    /// Folder of the CA that signs this one
    #[arg(long, value_name = "DIR")]
    parent: Option<PathBuf>,
    /// Make a CA for one batch: its key is on disk only encrypted, and `ca retire` destroys it
    #[arg(long, requires = "parent", conflicts_with = "no_passphrase")]
    for_batch: bool,
    /// URI of the key, in a token, that opens the key of a CA for one batch, in place of a passphrase; made when it is not there
    /// [default: one in the token of the parent's key, if it has one and no passphrase is given]
    #[arg(
        long,
        value_name = "URI",
        requires = "for_batch",
        conflicts_with = "passphrase_file"
    )]
    wrap_key: Option<String>,
    /// File whose first line is the passphrase of the parent's key
    #[arg(long, value_name = "FILE", requires = "parent")]
    parent_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Write the key unencrypted
    #[arg(long, conflicts_with = "passphrase_file")]
    no_passphrase: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl New {
    fn run(&self) -> Outcome {
        refuse_what_is_there(&self.to)?;
        let now = clock::now()?;
        let key = self.key()?;
        let parent = self
            .parent
            .as_deref()
            .map(|folder| self.load_parent(folder, now))
            .transpose()?;
        let new = match key {
            Key::Here(key_type) => self.here(key_type, parent.as_ref(), now)?,
            Key::Elsewhere(uri) => self.elsewhere(&uri, parent.as_ref(), now)?,
        };
        let ended = Ended::with(Shown::new(new.certificate(), &self.to)?);
        Ok(match self.no_passphrase {
            true => ended.warning("the key is not encrypted; whoever reads it can make devices"),
            false => ended,
        })
    }

    /// Which key it shall be.
    fn key(&self) -> Result<Key, Failure> {
        match KeyPlace::named(&self.key, "--key") {
            Ok(KeyPlace::Elsewhere(_)) if self.no_passphrase || self.passphrase.file().is_some() => {
                Err(Failure::usage(
                    "a key in a token has no passphrase",
                    "leave --passphrase-file and --no-passphrase out; its PIN is asked for, or in CERTFORGE_PIN, or in the file of ?pin-source=",
                ))
            }
            Ok(KeyPlace::Elsewhere(_)) if self.for_batch => Err(Failure::usage(
                "the key of a CA for one batch is not in a token: it signs at the processor's speed, and its parent's key is",
                "leave --key out, or --for-batch; --wrap-key has the token open it",
            )),
            Ok(KeyPlace::Elsewhere(uri)) => Ok(Key::Elsewhere(Box::new(uri))),
            Ok(_) if self.use_key || self.key_type != KeyType::P256 => Err(Failure::usage(
                "--key-type and --use-key are for keys in tokens",
                "name the key type with --key, or the token: --key pkcs11:…",
            )),
            Ok(_) => self.key.parse().map(Key::Here).map_err(|error| {
                let message = format!("--key {}: {error}", self.key);
                Failure::usage(
                    &message,
                    "give P-256, P-384, P-521, RSA-2048, RSA-3072 or RSA-4096, or a URI",
                )
            }),
            Err(error) => Err(Failure::from(error).under(super::exit::USAGE)),
        }
    }

    fn here(
        &self,
        key_type: KeyType,
        parent: Option<&Issuer>,
        now: OffsetDateTime,
    ) -> Result<NewCa, Failure> {
        let request = self.request(key_type)?;
        let wrap_key = self.wrap_key(&request)?;
        let passphrase = match self.no_passphrase || wrap_key.is_some() {
            true => None,
            false => Some(self.choose_passphrase()?),
        };
        let new = create(&request, parent, now)?;
        let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
        let protection = match (&wrap_key, passphrase) {
            (Some(uri), _) => Protection::Key(uri),
            (None, Some(passphrase)) if self.for_batch => Protection::Passphrase(passphrase),
            (None, _) => {
                write(&new, &self.to, passphrase)?;
                return Ok(new);
            }
        };
        let mut ask = |secret: Secret<'_>| self.passphrase.ask(secret);
        new.write_for_batch(&self.to, protection, &mut ask)?;
        CaFolder::new(&self.to, None).begin()?;
        Ok(new)
    }

    /// The key that shall open that of a CA for one batch: the one that is named, or one of its own in its parent's token.
    fn wrap_key(&self, request: &CaRequest) -> Result<Option<KeyUri>, Failure> {
        if let Some(text) = &self.wrap_key {
            return uri_of(text, "--wrap-key").map(Some);
        }
        let is_its_own = self.for_batch && !self.passphrase.is_given();
        let Some(parent) = self.parent.as_deref().filter(|_| is_its_own) else {
            return Ok(None);
        };
        let name = request
            .subject
            .iter()
            .find(|(attribute, _)| *attribute == Attribute::CommonName);
        Ok(match (files_at(parent).key.uri()?, name) {
            (Some(KeyUri::Pkcs11(parent)), Some((_, name))) => Some(KeyUri::Pkcs11(Pkcs11Uri {
                object: Some(name.clone()),
                id: None,
                ..parent
            })),
            _ => None,
        })
    }

    fn elsewhere(
        &self,
        uri: &KeyUri,
        parent: Option<&Issuer>,
        now: OffsetDateTime,
    ) -> Result<NewCa, Failure> {
        let request = self.request(self.key_type)?;
        let mut ask = |token: &str| self.passphrase.ask(Secret::Pin(token));
        if self.use_key {
            let (signer, public) = signer::open(uri, &mut ask)?;
            let new = create_with(&request, parent, now, (uri, &public, &*signer))?;
            write(&new, &self.to, None)?;
            return Ok(new);
        }
        check(&request, parent, now)?;
        let made = signer::new(uri, self.key_type, &mut ask)?;
        let new = create_with(&request, parent, now, (&made.uri, &made.public, &*made.signer));
        let new = new
            .map_err(Failure::from)
            .and_then(|new| write(&new, &self.to, None).map(|()| new));
        if new.is_err() {
            // Nobody knows of the key.
            let _ = (made.undo)();
        }
        new
    }

    fn request(&self, key_type: KeyType) -> Result<CaRequest, IssuerError> {
        let usual = match self.parent {
            Some(_) if self.for_batch => CaRequest::for_batch()?,
            Some(_) => CaRequest::intermediate()?,
            None => CaRequest::root()?,
        };
        let given = [
            (Attribute::Country, &self.country),
            (Attribute::Organization, &self.organization),
            (Attribute::OrganizationalUnit, &self.organizational_unit),
        ];
        let given = given
            .into_iter()
            .filter_map(|(attribute, value)| Some((attribute, value.clone()?)));
        let name = match &self.common_name {
            Some(name) => vec![(Attribute::CommonName, name.clone())],
            None => usual.subject,
        };
        Ok(CaRequest {
            subject: given.chain(name).collect(),
            key_type,
            not_after: self.days.map_or(usual.not_after, NotAfter::Days),
            path_len: self.path_len.or(usual.path_len),
        })
    }

    fn load_parent(&self, folder: &Path, now: OffsetDateTime) -> Result<Issuer, IssuerError> {
        let passphrase = PassphraseArgs::from_file(self.parent_passphrase_file.clone());
        passphrase.load(&files_at(folder), &Choice::Auto, now)
    }

    fn choose_passphrase(&self) -> Result<zeroize::Zeroizing<String>, IssuerError> {
        let passphrase =
            self.passphrase
                .choose("the new CA key")
                .map_err(|source| IssuerError::NoPassphrase {
                    path: self.to.join("key.pem"),
                    source,
                })?;
        if passphrase.is_empty() {
            return Err(IssuerError::EmptyPassphrase);
        }
        Ok(passphrase)
    }
}

/// Which key a new CA shall have.
enum Key {
    Here(KeyType),
    Elsewhere(Box<KeyUri>),
}

/// The URI of a key, in an option.
fn uri_of(text: &str, option: &str) -> Result<KeyUri, Failure> {
    match KeyPlace::named(text, option) {
        Ok(KeyPlace::Elsewhere(uri)) => Ok(uri),
        Ok(_) => Err(Failure::usage(
            &format!("{option} is not the URI of a key"),
            "name a key in a token, pkcs11:token=…;object=…?module-path=…, or in AWS KMS, awskms:///…; a key in a file is named by --ca-key",
        )),
        Err(error) => Err(Failure::from(error).under(super::exit::USAGE)),
    }
}

fn refuse_what_is_there(folder: &Path) -> Result<(), IssuerError> {
    match folder.symlink_metadata() {
        Ok(_) => Err(IssuerError::Exists {
            path: folder.to_owned(),
        }),
        Err(_) => Ok(()),
    }
}

/// Writes a CA, and begins its ledger.
fn write(new: &NewCa, folder: &Path, passphrase: Option<&str>) -> Result<(), Failure> {
    new.write(folder, passphrase)?;
    Ok(CaFolder::new(folder, None).begin()?)
}

#[derive(Debug, Args)]
pub struct Adopt {
    /// Certificate of the CA
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Certificates above it, nearest first
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
    /// URI of its key: pkcs11:… or awskms:///…
    #[arg(long, value_name = "URI")]
    key: String,
    /// Folder to make: certificate.pem, key.uri, and chain.pem
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    to: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Adopt {
    fn run(&self) -> Outcome {
        refuse_what_is_there(&self.to)?;
        let uri = uri_of(&self.key, "--key")?;
        let secrets = PassphraseArgs::default();
        let mut ask = |secret: Secret<'_>| secrets.ask(secret);
        let ca = adopt(
            &self.certificate,
            self.chain.as_deref(),
            &uri,
            clock::now()?,
            &mut ask,
        )?;
        write(&ca, &self.to, None)?;
        Ok(Ended::with(Shown::new(ca.certificate(), &self.to)?))
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// Folder of the CA, or its certificate [default: ./ca]
    #[arg(value_name = "DIR|FILE")]
    folder: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "folder")]
    ca: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Show {
    fn run(&self) -> Outcome {
        let named = self.folder.as_deref().or(self.ca.as_deref());
        let path = named.unwrap_or(Path::new(DEFAULT_FOLDER));
        let (certificate, _) = read_public(&files_at(path))?;
        Ok(Ended::with(Shown::new(&certificate, path)?))
    }
}

/// A CA, as far as all may know it.
#[derive(Serialize)]
struct Shown {
    folder: String,
    subject: String,
    self_signed: bool,
    key_type: KeyType,
    not_before: String,
    not_after: String,
    path_len: Option<u32>,
    subject_key_identifier: String,
    ca_certificate_id: String,
    for_batch: bool,
    retired_at: Option<String>,
}

impl Shown {
    fn new(certificate: &CaCertificate, folder: &Path) -> Result<Self, IssuerError> {
        let certificate_file = files_at(folder).certificate;
        let for_batch = ForBatch::read(certificate_file.parent().unwrap_or(folder))?;
        Ok(Self {
            folder: folder.display().to_string(),
            subject: certificate.subject_text().to_owned(),
            self_signed: certificate.is_self_issued(),
            key_type: certificate.key_type(),
            not_before: rfc3339(certificate.period().not_before),
            not_after: rfc3339(certificate.period().not_after),
            path_len: certificate.path_len(),
            subject_key_identifier: HEXLOWER.encode(certificate.key_identifier()),
            ca_certificate_id: HEXLOWER.encode(&certificate.id()),
            for_batch: for_batch.is_some(),
            retired_at: for_batch.and_then(|found| found.retired_at),
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.self_signed, self.for_batch) {
            (true, _) => "root",
            (false, false) => "intermediate",
            (false, true) => "intermediate, for one batch",
        };
        let path_len = self.path_len.map_or("any".to_owned(), |n| n.to_string());
        let mut lines = Lines::default();
        lines
            .line("folder", &self.folder)
            .line("subject", &self.subject)
            .line("kind", kind)
            .line("key", self.key_type.as_str())
            .line("valid", format!("{} to {}", self.not_before, self.not_after))
            .line("path length", path_len)
            .line("key identifier", &self.subject_key_identifier)
            .line("caCertificateId", &self.ca_certificate_id);
        if let Some(at) = &self.retired_at {
            lines.line(
                "retired",
                format!("{at}: its key was destroyed, and it signs no more"),
            );
        }
        lines.fmt(f)
    }
}
