//! What a secret is once it is wrapped: octets that one key opens.

use serde::{Deserialize, Serialize};

use super::uri::KeyUri;

/// Octets of a secret.
pub const SECRET: usize = 32;

/// A secret that was wrapped.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// The key that opens it.
    pub uri: KeyUri,
    pub how: Wrapping,
    pub octets: Vec<u8>,
    /// Whether the key was made for this, and is nobody else's.
    pub is_made: bool,
}

/// How a secret was wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    /// RFC 3394.
    AesKeyWrap,
    /// RFC 8017, 7.1.
    OaepSha256,
    OaepSha1,
    /// By a symmetric key of AWS KMS: Encrypt and Decrypt.
    Kms,
}
