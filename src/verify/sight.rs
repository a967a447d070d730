//! What can be seen of a chunk's bundles: encrypted ones are seen by who has an identity.

use zeroize::Zeroizing;

use super::bundles::Bundles;
use super::task::Task;
use crate::batch::IndexRow;
use crate::bundle::encryption::{DecryptError, decrypt};

pub(super) enum Sight {
    /// They are not encrypted.
    Plain,
    /// They are, and nobody has given an identity.
    Sealed,
    /// Of each row, if there is a bundle.
    Decrypted(Vec<Option<Decrypted>>),
}

/// A bundle in the clear, or why it cannot be read.
pub(super) type Decrypted = Result<Zeroizing<Vec<u8>>, DecryptError>;

/// What is seen of one bundle.
pub(super) enum Seen<'a> {
    Bundle(&'a [u8]),
    Unread,
    Refused(&'a DecryptError),
}

impl Sight {
    pub(super) fn of(task: &Task<'_>, rows: &[IndexRow], bundles: &Bundles) -> Self {
        match (task.record.layout.is_encrypted(), task.identities) {
            (false, _) => Self::Plain,
            (true, None) => Self::Sealed,
            (true, Some(identities)) => {
                let one = |(i, row)| Some(decrypt(bundles.of(i, row)?, identities));
                Self::Decrypted(rows.iter().enumerate().map(one).collect())
            }
        }
    }

    /// What is seen of a row's bundle, whose octets are these.
    pub(super) fn see<'a>(&'a self, i: usize, octets: &'a [u8]) -> Seen<'a> {
        match self {
            Self::Plain => Seen::Bundle(octets),
            Self::Sealed => Seen::Unread,
            Self::Decrypted(bundles) => match bundles.get(i) {
                Some(Some(Ok(plain))) => Seen::Bundle(plain),
                Some(Some(Err(error))) => Seen::Refused(error),
                _ => Seen::Unread,
            },
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed)
    }
}
