//! Signers: signatures with one issuer's key, many at a time, wherever that key lives.
//!
//! A signer may be slow and far away: it may fail and be asked again, and its answer may be lost. [`ask()`] repeats such a
//! request with the same octets only, so that however often it is asked, a key has signed nothing that nobody holds.
//!
//! What a signer elsewhere gives is verified before anybody sees it.
//!
//! To add a signer: one file with a type that implements [`Signer`], a line in `open`, and a URI that names the key.

mod access;
mod ask;
#[cfg(any(feature = "pkcs11", feature = "kms"))]
mod checked;
#[cfg(feature = "kms")]
mod kms;
mod memory;
mod open;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod uri;
mod wrapped;
mod wrapping;

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

pub use access::AccessError;
pub use ask::ask;
pub use memory::Memory;
pub use open::{New, new, open, open_for};
pub use uri::{KeyUri, KmsUri, Pkcs11Uri, UriError};
pub use wrapped::{SECRET, Wrapped, Wrapping};
pub use wrapping::{destroy_wrapping, unwrap, wrap};

use crate::engine::{EngineError, SignatureAlgorithm};
use crate::profile::KeyType;

/// Asks for the PIN of the token of this name.
pub type AskPin<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<zeroize::Zeroizing<String>>;

/// The public half of a key, as a certificate's subjectPublicKey has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub key_type: KeyType,
    pub octets: Vec<u8>,
}

/// Signs with one issuer's key.
pub trait Signer: Send + Sync {
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Where the key is, as a person reads it: a file, a token and the name of the key in it.
    fn place(&self) -> &str;

    /// What makes the signatures, in a word: the name of an engine, or of a kind of token or service.
    fn engine(&self) -> &'static str;

    /// How it wants to be asked.
    fn manner(&self) -> Manner;

    /// Replaces `signatures[i]`, which is empty, by the signature over `messages[i]`, as X.509 carries it: DER for
    /// ECDSA, PKCS#1 v1.5 for RSA. The slices have one length. [`ask()`] is the way to it.
    ///
    /// # Errors
    ///
    /// When a signature cannot be made, or did not arrive; none of the results may then be used.
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError>;
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {:?}, key elided)", self.place(), self.algorithm())
    }
}

/// How a signer wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// On the thread that asks, which it keeps busy.
    Local,
    /// By threads that wait for it and do nothing else.
    Remote(Remote),
}

/// What a signer elsewhere takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Requests on their way to it at a time, at most.
    pub in_flight: NonZeroUsize,
    /// Messages of a request, at most; a whole request has so many.
    pub group: NonZeroUsize,
    /// How often a request is made at most, when what keeps it from being answered may pass.
    pub attempts: u32,
    /// The pause after the first attempt; every further one is twice as long.
    pub pause: Duration,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A key elsewhere cannot be reached, or not used.
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{place} did not sign")]
    Refused {
        place: String,
        /// Whether it may sign when it is asked again.
        is_passing: bool,
        hint: Option<String>,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{place} gave {given} signatures for {wanted} messages")]
    Incomplete {
        place: String,
        given: usize,
        wanted: usize,
    },
}

impl SignerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Access(error) => error.hint(),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Incomplete { .. } => None,
        }
    }

    /// Whether it may be gone when the signer is asked again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Access(error) => error.is_passing(),
            Self::Refused { is_passing, .. } => *is_passing,
            Self::Engine(_) | Self::Incomplete { .. } => false,
        }
    }
}
