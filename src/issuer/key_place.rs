//! Where the key of a CA is: in a file, or elsewhere, by a URI.
//!
//! A CA's folder says so by which file is in it. What the URI's file names is loaded into this process, so nobody else may
//! have written it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::key_file::refuse_exposed_folder;
use super::wrapped_key::WRAPPED_KEY_FILE;
use super::{IssuerError, KEY_FILE};
use crate::bounded;
use crate::exposure;
use crate::signer::KeyUri;

/// The URI of a key that is elsewhere, in the folder of its CA.
pub const KEY_URI_FILE: &str = "key.uri";

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// PEM: PKCS#8, encrypted or not, `EC PRIVATE KEY` or `RSA PRIVATE KEY`.
    File(PathBuf),
    /// A file with a key that only a token opens.
    Wrapped(PathBuf),
    /// A file whose one line is the URI of the key.
    NamedBy(PathBuf),
    Elsewhere(KeyUri),
}

impl KeyPlace {
    /// That of the CA in a folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let (uri, wrapped) = (folder.join(KEY_URI_FILE), folder.join(WRAPPED_KEY_FILE));
        match (uri.symlink_metadata().is_ok(), wrapped.symlink_metadata().is_ok()) {
            (true, _) => Self::NamedBy(uri),
            (false, true) => Self::Wrapped(wrapped),
            (false, false) => Self::File(folder.join(KEY_FILE)),
        }
    }

    /// What a word means that names a key: a URI, or else a file. `what` is what messages call it.
    ///
    /// # Errors
    ///
    /// When it means to be a URI, and is none.
    pub fn named(text: &str, what: &str) -> Result<Self, IssuerError> {
        match KeyUri::is_meant(text) {
            true => text
                .parse()
                .map(Self::Elsewhere)
                .map_err(|source| IssuerError::KeyUri {
                    path: what.into(),
                    source,
                }),
            false => Ok(Self::File(text.into())),
        }
    }

    /// The URI of the key, when it is not in a file.
    ///
    /// # Errors
    ///
    /// When the file that has it cannot be read, or is not one's own.
    pub fn uri(&self) -> Result<Option<KeyUri>, IssuerError> {
        match self {
            Self::File(_) | Self::Wrapped(_) => Ok(None),
            Self::NamedBy(path) => read(path).map(Some),
            Self::Elsewhere(uri) => Ok(Some(uri.clone())),
        }
    }
}

/// The URI in a file that nobody else may write to.
pub(super) fn read(path: &Path) -> Result<KeyUri, IssuerError> {
    let read_error = |source| IssuerError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    if let Some(exposure) = exposure::of_file(&file.metadata().map_err(read_error)?) {
        return Err(IssuerError::Exposed {
            path: path.to_owned(),
            exposure,
        });
    }
    refuse_exposed_folder(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    if folder.join(KEY_FILE).symlink_metadata().is_ok() {
        return Err(IssuerError::TwoKeys {
            folder: folder.to_owned(),
        });
    }
    let text = bounded::read_file_text(file).map_err(read_error)?;
    text.trim().parse().map_err(|source| IssuerError::KeyUri {
        path: path.to_owned(),
        source,
    })
}

/// Writes the URI of a key.
pub(super) fn write(path: &Path, uri: &KeyUri) -> Result<(), IssuerError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{uri}")?;
        file.sync_all()
    };
    written().map_err(|source| IssuerError::Write {
        path: path.to_owned(),
        source,
    })
}
