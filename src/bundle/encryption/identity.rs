//! Identities: the secret halves, each at its station and nowhere else.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use super::{POINT, Recipient};

const HRP: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// An X25519 identity, `AGE-SECRET-KEY-1…`.
pub struct Identity {
    secret: Zeroizing<[u8; POINT]>,
    recipient: Recipient,
}

/// Why a text holds no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("is a recipient, the public half; an identity is the secret one")]
    Public,
    #[error("is encrypted with a passphrase")]
    Encrypted,
    #[error("is an SSH key, which is no identity here")]
    Ssh,
    #[error("is an identity of an age plugin")]
    Plugin,
    #[error("is no identity: it is damaged, or a part of it is missing")]
    Malformed,
    #[error("holds no identity")]
    Nothing,
    #[error("line {line} {what}")]
    Line { line: usize, what: Box<IdentityError> },
}

impl IdentityError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Line { what, .. } => what.hint(),
            Self::Encrypted => {
                "a station works by itself, so nobody is there to type: `age -d` gives the identity, for a file with mode 0600".to_owned()
            }
            Self::Ssh | Self::Plugin => {
                "age itself opens such bundles, `age -d -i FILE`; stations have identities that `certforge station identity new` or age-keygen makes"
                    .to_owned()
            }
            _ => "name the file that `certforge station identity new` or age-keygen wrote".to_owned(),
        }
    }
}

impl Identity {
    /// Of a secret that was just drawn.
    #[must_use]
    pub fn new(secret: Zeroizing<[u8; POINT]>) -> Self {
        let key = PrivateKey::from_private_key(&X25519, &*secret).expect("it has 32 octets");
        let public = key.compute_public_key().expect("every secret has a public key");
        let mut point = [0; POINT];
        point.copy_from_slice(public.as_ref());
        Self {
            secret,
            recipient: Recipient::of(point),
        }
    }

    /// Reads `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let start = |prefix: &str| {
            let start = text.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if start("age-plugin-") {
            return Err(IdentityError::Plugin);
        }
        if start("age1") {
            return Err(IdentityError::Public);
        }
        if start("-----BEGIN AGE ENCRYPTED FILE") || start("age-encryption.org/") {
            return Err(IdentityError::Encrypted);
        }
        if start("-----BEGIN ") || start("ssh-") {
            return Err(IdentityError::Ssh);
        }
        let decoded = CheckedHrpstring::new::<Bech32>(text).map_err(|_| IdentityError::Malformed)?;
        if decoded.hrp() != HRP {
            return Err(IdentityError::Malformed);
        }
        let mut secret = Zeroizing::new([0; POINT]);
        if decoded.byte_iter().len() != POINT {
            return Err(IdentityError::Malformed);
        }
        for (place, octet) in secret.iter_mut().zip(decoded.byte_iter()) {
            *place = octet;
        }
        Ok(Self::new(secret))
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// As a file has it, in capitals.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        // So that it does not move while it is written.
        let mut text = Zeroizing::new(String::with_capacity(128));
        bech32::encode_upper_to_fmt::<Bech32, _>(&mut *text, HRP, &*self.secret)
            .expect("a string takes what is written");
        text
    }

    /// What it shares with an ephemeral key; `None` when that is of low order.
    pub(super) fn agree(&self, ephemeral: &[u8; POINT]) -> Option<Zeroizing<[u8; POINT]>> {
        let key = PrivateKey::from_private_key(&X25519, &*self.secret).expect("it has 32 octets");
        let ephemeral = UnparsedPublicKey::new(&X25519, ephemeral);
        let shared = agree(&key, ephemeral, Unspecified, |octets| {
            let mut shared = Zeroizing::new([0; POINT]);
            shared.copy_from_slice(octets);
            Ok(shared)
        });
        // A shared secret of zeros, which anybody can guess, is an error.
        shared.ok()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, elided)", self.recipient)
    }
}

/// The identities of a file: one as a rule.
#[derive(Debug)]
pub struct Identities(Vec<Identity>);

impl Identities {
    /// Reads a file: one identity a line, and lines that begin with `#` for people.
    ///
    /// # Errors
    ///
    /// When a line is something else, or there is none.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let mut identities = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = Identity::parse(line).map_err(|what| IdentityError::Line {
                line: i + 1,
                what: Box::new(what),
            })?;
            identities.push(identity);
        }
        match identities.is_empty() {
            true => Err(IdentityError::Nothing),
            false => Ok(Self(identities)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.0.iter()
    }

    /// The short ids of their public halves.
    #[must_use]
    pub fn short_ids(&self) -> String {
        let ids: Vec<String> = self.iter().map(|own| own.recipient().short_id()).collect();
        ids.join(", ")
    }

    /// Whether something that is encrypted to these recipients can be read.
    #[must_use]
    pub fn are_among(&self, recipients: &[Recipient]) -> bool {
        self.iter()
            .any(|identity| recipients.contains(identity.recipient()))
    }
}

impl From<Identity> for Identities {
    fn from(identity: Identity) -> Self {
        Self(vec![identity])
    }
}
