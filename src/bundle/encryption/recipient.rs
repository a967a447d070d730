//! Recipients: those for whom bundles are encrypted, by the public halves of their identities.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};

use super::POINT;

/// Recipients of a batch, at most: each costs its part of every bundle.
pub const MAX_RECIPIENTS: usize = 64;

/// Characters of a recipient that are enough to tell it from others.
const SHORT: usize = 12;

const HRP: Hrp = Hrp::parse_unchecked("age");

/// An X25519 recipient, `age1…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient([u8; POINT]);

/// Why a text names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    #[error("is an identity, the secret half; a recipient is the public one")]
    Secret,
    #[error("is an SSH key, which is no recipient here")]
    Ssh,
    #[error("is a recipient of an age plugin, or of another kind than X25519")]
    Plugin,
    #[error("is no recipient: {reason}")]
    Malformed { reason: &'static str },
    #[error("names no recipient")]
    Nobody,
    #[error("has more than {MAX_RECIPIENTS} recipients")]
    TooMany,
    #[error("line {line} {what}")]
    Line { line: usize, what: Box<RecipientError> },
}

impl RecipientError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Line { what, .. } => what.hint(),
            Self::Secret => {
                "keep that file at its station; `certforge station identity show` prints its public half".to_owned()
            }
            Self::TooMany => "encrypt to the stations of one line, not to each of a factory".to_owned(),
            _ => "a recipient is what `certforge station identity new` or age-keygen prints: age1 and 58 more letters and digits"
                .to_owned(),
        }
    }
}

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    ///
    /// When it is none, or one with whom no secret can be shared.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("age-secret-key-") || lower.starts_with("age-plugin-") {
            return Err(RecipientError::Secret);
        }
        if lower.starts_with("ssh-") || lower.starts_with("ecdsa-sha2-") {
            return Err(RecipientError::Ssh);
        }
        let malformed = |reason| RecipientError::Malformed { reason };
        if !lower.starts_with("age1") {
            return Err(malformed("it does not begin with age1"));
        }
        let decoded = CheckedHrpstring::new::<Bech32>(text)
            .map_err(|_| malformed("its checksum is wrong, so a part of it is missing or mistyped"))?;
        if decoded.hrp() != HRP {
            return Err(RecipientError::Plugin);
        }
        if text != lower {
            return Err(malformed("it is in capitals"));
        }
        let octets: Vec<u8> = decoded.byte_iter().collect();
        let point = octets
            .try_into()
            .map_err(|_| malformed("it has another length"))?;
        // Whoever wrote a point of low order would make every secret zero, which anybody can guess.
        match is_of_low_order(&point) {
            true => Err(malformed("everybody could read what is encrypted to it")),
            false => Ok(Self(point)),
        }
    }

    /// Of a public key that was made of a secret one.
    pub(super) fn of(point: [u8; POINT]) -> Self {
        Self(point)
    }

    /// Its u on Curve25519 (RFC 7748).
    pub(crate) fn point(&self) -> &[u8; POINT] {
        &self.0
    }

    /// How it begins: enough for people to tell it from others.
    #[must_use]
    pub fn short_id(&self) -> String {
        self.to_string()[..SHORT].to_owned()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode_lower::<Bech32>(HRP, &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether the product of this point with any secret is zero. Secrets are multiples of eight, so one tells for all.
fn is_of_low_order(point: &[u8; POINT]) -> bool {
    let secret = PrivateKey::from_private_key(&X25519, &[0x77; POINT]);
    let secret = secret.expect("it has 32 octets");
    let point = UnparsedPublicKey::new(&X25519, point);
    let is_zero = |shared: &[u8]| Ok(shared.iter().all(|octet| *octet == 0));
    // Where aws-lc finds a shared secret of zeros it is an error.
    agree(&secret, point, Unspecified, is_zero).unwrap_or(true)
}

/// Reads a file of recipients: one a line, and lines that begin with `#` for people.
///
/// # Errors
///
/// When a line is something else, or there is none, or there are too many.
pub fn read_recipients(text: &str) -> Result<Vec<Recipient>, RecipientError> {
    let mut recipients = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let recipient = Recipient::parse(line).map_err(|what| RecipientError::Line {
            line: i + 1,
            what: Box::new(what),
        })?;
        recipients.push(recipient);
    }
    match recipients.len() {
        0 => Err(RecipientError::Nobody),
        1..=MAX_RECIPIENTS => Ok(recipients),
        _ => Err(RecipientError::TooMany),
    }
}

/// The short ids of recipients, in one line.
#[must_use]
pub fn short_ids(recipients: &[Recipient]) -> String {
    let ids: Vec<String> = recipients.iter().map(Recipient::short_id).collect();
    ids.join(", ")
}
