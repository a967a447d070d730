//! What comes of decrypting: the key of a file, or why there is none.

use zeroize::Zeroizing;

use super::FILE_KEY;

/// The key of a file.
pub type FileKey = Zeroizing<[u8; FILE_KEY]>;

/// Why octets cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("it is not encrypted in the age format")]
    NotEncrypted,
    #[error("it is armored, as text, which bundles are not")]
    Armored,
    #[error("its header is malformed: {0}")]
    Header(&'static str),
    #[error("it is encrypted for somebody else")]
    SomebodyElse,
    #[error("its header was changed: it is not the one that was encrypted")]
    Changed,
    #[error("its content was changed, or its end is missing")]
    Payload,
    #[error("{0}")]
    Plugin(String),
}
