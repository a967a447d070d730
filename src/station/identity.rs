//! The file of a station's identity: the secret half, which only that station may read, and which is in no message.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::bounded;
use crate::bundle::encryption::{Identities, Identity, IdentityError, OtherIdentity, OtherKinds, Recipient};
use crate::engine::{EngineError, Random};
use crate::exposure::{self, Exposure};
use crate::plugin::{PluginIdentity, Voice};
use crate::profile::rfc3339;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    #[error("identity {path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("identity {path} {exposure}")]
    Exposed { path: PathBuf, exposure: Exposure },
    #[error("identity {path}")]
    Identity {
        path: PathBuf,
        #[source]
        source: IdentityError,
    },
    #[error("identity {path} is a plugin's, and only that knows its public half")]
    NotPublic { path: PathBuf },
    #[error("{path} is there already")]
    Exists { path: PathBuf },
    #[error("identity {path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Random(#[from] EngineError),
}

impl IdentityFileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => {
                "name the file that `certforge station identity new` or age-keygen wrote".to_owned()
            }
            Self::Exposed { path, exposure } => format!(
                "{}; who has read it meanwhile can read this station's bundles: if somebody may have, make another, encrypt the batches that there are for it with `certforge bundle rewrap`, and those to come with `certforge run --recipient`",
                exposure.hint(path)
            ),
            Self::Identity { source, .. } => source.hint(),
            Self::NotPublic { .. } => {
                "the plugin prints it when it makes an identity; mostly it stands in the file, behind `#`"
                    .to_owned()
            }
            Self::Exists { .. } => {
                "bundles for it can be read with nothing else: name another file, or move it away first"
                    .to_owned()
            }
            Self::Write { .. } => "name a file in a folder that you may write to".to_owned(),
            Self::Random(error) => return error.hint(),
        })
    }
}

/// Whoever is asked what an identity needs.
pub struct Asked<'a> {
    /// For the passphrase of a key of SSH.
    pub passphrase: &'a mut dyn FnMut() -> io::Result<Zeroizing<String>>,
    /// For what a plugin wants to know.
    pub voice: Arc<dyn Voice>,
}

impl OtherKinds for Asked<'_> {
    #[cfg(feature = "age")]
    fn ssh(&mut self, text: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
        crate::bundle::encryption::openssh::read(text, self.passphrase)
    }

    #[cfg(not(feature = "age"))]
    fn ssh(&mut self, _: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
        Err(IdentityError::Ssh)
    }

    fn plugin(&mut self, text: &str, plugin: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
        Ok(Box::new(PluginIdentity::new(
            text,
            plugin,
            Arc::clone(&self.voice),
        )?))
    }
}

/// Reads the identities in a file of one's own that no one else may read.
///
/// # Errors
///
/// When others may read it, or it holds none.
pub fn read(path: &Path, asked: &mut Asked<'_>) -> Result<Identities, IdentityFileError> {
    let unread = |source| IdentityFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unread)?;
    if let Some(exposure) = exposure::of_secret(&file.metadata().map_err(unread)?) {
        return Err(IdentityFileError::Exposed {
            path: path.to_owned(),
            exposure,
        });
    }
    let text = match bounded::read_file_text(file) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(IdentityError::Nothing),
        other => Ok(other.map_err(unread)?),
    };
    text.and_then(|text| Identities::read(&text, asked))
        .map_err(|source| IdentityFileError::Identity {
            path: path.to_owned(),
            source,
        })
}

/// Makes an identity, in a file that is not there yet. Returns the public half.
///
/// # Errors
///
/// When it is there, or cannot be written.
pub fn make(path: &Path, now: OffsetDateTime) -> Result<Recipient, IdentityFileError> {
    let mut secret = Zeroizing::new([0; 32]);
    Random.fill(&mut *secret)?;
    let identity = Identity::new(secret);
    let unwritten = |source| IdentityFileError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unwritten)?;
    }
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityFileError::Exists {
            path: path.to_owned(),
        },
        _ => unwritten(source),
    })?;
    // As age-keygen writes them.
    let recipient = identity.recipient();
    let public = format!("# created: {}\n# public key: {recipient}\n", rfc3339(now));
    let written = file
        .write_all(public.as_bytes())
        .and_then(|()| file.write_all(identity.to_text().as_bytes()))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        // Bundles are about to be encrypted to it: its name must outlast a power cut, too.
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
    if let Err(source) = written {
        // Half of an identity is none, and in the way of the next.
        let _ = std::fs::remove_file(path);
        return Err(unwritten(source));
    }
    Ok(recipient.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_is_its_owners_alone_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/line7.key");
        let recipient = make(&path, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        let read = |path: &Path| {
            let mut passphrase = || Err(io::Error::other("nobody is there"));
            let mut asked = Asked {
                passphrase: &mut passphrase,
                voice: Arc::new(crate::plugin::Nobody),
            };
            read(path, &mut asked)
        };
        assert!(read(&path).unwrap().are_among(std::slice::from_ref(&recipient)));
        let before = std::fs::read(&path).unwrap();
        let error = make(&path, OffsetDateTime::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, IdentityFileError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_ne!(
            make(&path.with_extension("2"), OffsetDateTime::UNIX_EPOCH).unwrap(),
            recipient
        );

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            error.to_string().ends_with("can be read by others (mode 0640)"),
            "{error}"
        );
    }
}
