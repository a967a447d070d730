//! Bundles for some eyes only: encrypted to recipients, in the age format (<https://age-encryption.org/v1>).
//!
//! An encrypted bundle is a whole age file, which any age tool opens. [`Recipient`] is the public half of an identity,
//! [`Identity`] the secret one; [`FileWriter`] makes the files, [`decrypt`] is the one reader. Each file has a file key of its
//! own, and each recipient's share of it an ephemeral secret of its own, as the specification wants. Recipients are keys of X25519 and of
//! SSH, or a plugin's. Pure: randomness comes in as octets, and what plugins make from whoever runs them.

mod decrypt_error;
mod identity;
mod kdf;
#[cfg(feature = "age")]
pub mod openssh;
mod payload;
mod reader;
mod recipient;
mod ssh;
pub mod stanza;
mod writer;

pub use decrypt_error::{DecryptError, FileKey};
pub use identity::{
    Identities, Identity, IdentityError, OtherIdentity, OtherKinds, PLUGIN_PROGRAM, X25519Alone,
};
pub use reader::{decrypt, is_encrypted};
pub use recipient::{
    MAX_RECIPIENTS, PluginRecipient, Recipient, RecipientError, is_ssh, read_recipients, short_ids,
};
pub use stanza::Stanza;
pub use writer::{Encryption, FileWriter, MAX_PLUGIN_STANZAS};

use base64_simd::STANDARD_NO_PAD as BASE64;

/// How an encrypted file begins.
const VERSION_LINE: &[u8] = b"age-encryption.org/v1\n";

/// What a recipient's share of the file key begins with.
const STANZA: &[u8] = b"-> ";

/// The kind of recipients that there are here.
const X25519: &str = "X25519";

/// What the end of the header begins with.
const FOOTER: &[u8] = b"---";

/// Octets of a file key, of its share with the tag, of X25519's keys, of a tag of ChaCha20-Poly1305, of a payload's nonce,
/// and of the HMAC of a header.
const FILE_KEY: usize = 16;
const WRAPPED_KEY: usize = FILE_KEY + TAG;
const POINT: usize = 32;
const TAG: usize = 16;
const NONCE: usize = 16;
const MAC: usize = 32;

/// Characters of 32 octets in base64 without padding.
const BASE64_OF_32: usize = 43;

/// Octets of plaintext in a chunk of the payload.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests;
