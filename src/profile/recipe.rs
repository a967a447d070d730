//! The bundle recipe: which files a bundle has, under which names, in which format.
//!
//! By default: `private.pem.key`, `certificate.pem.crt`, `chain.pem.crt`, `AmazonRootCA1.pem`,
//! `AmazonRootCA3.pem`, `endpoint.json`.

use super::ProfileError;
use super::config::{BundleConfig, FileConfig};
pub use super::content::{Compression, Content, Format};

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    pub name: String,
    pub content: Content,
    pub format: Format,
    pub compression: Compression,
}

/// The files of a bundle. Names are unique; there is one private key and its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    files: Vec<BundleFile>,
}

impl Recipe {
    /// The files of the bundle, in the profile's order. In the bundle those that are the same for every device
    /// come first.
    #[must_use]
    pub fn files(&self) -> &[BundleFile] {
        &self.files
    }

    pub(super) fn from_config(config: &BundleConfig) -> Result<Self, ProfileError> {
        let files: Vec<_> = match &config.files {
            None => default_files(),
            Some(files) => files.iter().map(file).collect::<Result<_, _>>()?,
        };
        for (i, file) in files.iter().enumerate() {
            if files[..i].iter().any(|other| other.name == file.name) {
                return Err(invalid(format!("two files are named {}", file.name)));
            }
        }
        let has = |content| files.iter().any(|file| file.content == content);
        if !has(Content::PrivateKey) {
            return Err(invalid("no file has the content private-key".to_owned()));
        }
        if !has(Content::Certificate) && !has(Content::Chain) {
            return Err(invalid("no file has the content certificate or chain".to_owned()));
        }
        Ok(Self { files })
    }
}

fn invalid(reason: String) -> ProfileError {
    ProfileError::Field {
        field: "bundle.files".to_owned(),
        reason,
    }
}

fn file(config: &FileConfig) -> Result<BundleFile, ProfileError> {
    let FileConfig { name, content, .. } = config;
    let is_name = (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !is_name {
        return Err(invalid(format!(
            "{name:?} cannot name a file in a bundle; use 1 to 64 of A-Z a-z 0-9 . _ - and no . first"
        )));
    }
    match (content, config.format) {
        (Content::Endpoint, Some(_)) => {
            return Err(invalid(format!("{name}: endpoint is JSON and takes no format")));
        }
        (Content::Chain, Some(Format::Der)) => {
            return Err(invalid(format!("{name}: a chain has no DER form")));
        }
        (Content::PrivateKey, _) if config.compression == Some(Compression::Deflated) => {
            return Err(invalid(format!(
                "{name}: a private key does not compress; leave it stored"
            )));
        }
        _ => {}
    }
    let compression = if content.is_constant() {
        Compression::Deflated
    } else {
        Compression::Stored
    };
    Ok(BundleFile {
        name: name.clone(),
        content: *content,
        format: config.format.unwrap_or(Format::Pem),
        compression: config.compression.unwrap_or(compression),
    })
}

fn default_files() -> Vec<BundleFile> {
    [
        ("private.pem.key", Content::PrivateKey),
        ("certificate.pem.crt", Content::Certificate),
        ("chain.pem.crt", Content::Chain),
        ("AmazonRootCA1.pem", Content::AmazonRootCa1),
        ("AmazonRootCA3.pem", Content::AmazonRootCa3),
        ("endpoint.json", Content::Endpoint),
    ]
    .into_iter()
    .map(|(name, content)| BundleFile {
        name: name.to_owned(),
        content,
        format: Format::Pem,
        compression: if content.is_constant() {
            Compression::Deflated
        } else {
            Compression::Stored
        },
    })
    .collect()
}
