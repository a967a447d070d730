//! A file with a secret of a profile, such as the password of PKCS#12 files: its owner's alone, and in no message.

use std::fs::File;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::bounded;
use crate::exposure::{self, Exposure};

/// Why such a file gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it {0}")]
    Exposed(Exposure),
    #[error("{0}")]
    Useless(&'static str),
    #[error("it holds another than the one that the profile asks for")]
    Another,
}

impl SecretFault {
    /// What the user can do about it, with a file that is named so.
    #[must_use]
    pub fn hint(&self, file: &Path) -> String {
        match self {
            Self::Read(_) => "name a text file of your own, with the password in its first line".to_owned(),
            Self::Exposed(exposure) => format!(
                "{}; who has read it meanwhile can open every file that it locks",
                exposure.hint(file)
            ),
            Self::Useless(_) => {
                "put 1 to 256 printable characters of ASCII into the first line of the file".to_owned()
            }
            Self::Another => "put back the file as it was, or leave check out".to_owned(),
        }
    }
}

/// The secret in a file: its first line.
///
/// # Errors
///
/// When others may read it, or it is no text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFault> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file").into());
    }
    if let Some(exposure) = exposure::of_secret(&metadata) {
        return Err(SecretFault::Exposed(exposure));
    }
    let text = bounded::read_file_text(file)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}
