//! Recipients: those for whom bundles are encrypted, by the public halves of their identities.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Checksum, Hrp};

use super::POINT;
use super::ssh::{SshKey, SshKeyError};

/// Recipients of a batch, at most: each costs its part of every bundle.
pub const MAX_RECIPIENTS: usize = 64;

/// Characters of a recipient that are enough to tell it from others.
const SHORT: usize = 12;

/// Characters that follow the name of a plugin: the one between, and some of its data.
const SHORT_OF_PLUGIN: usize = 8;

const HRP: Hrp = Hrp::parse_unchecked("age");

/// How the names of recipients begin that a plugin makes: with what the plugin is called behind it.
const OF_PLUGIN: &str = "age1";

/// Octets of a recipient of a plugin at most, as text.
const MAX_OF_PLUGIN: usize = 8 * 1024;

/// Somebody who shall read a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient(Kind);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// `age1…`: its u on Curve25519 (RFC 7748).
    X25519([u8; POINT]),
    /// `ssh-ed25519 …` or `ssh-rsa …`.
    Ssh(SshKey),
    /// `age1name1…`, which is the business of another program.
    Plugin(PluginRecipient),
}

/// A recipient whose share of a file key a plugin of age makes: `age-plugin-NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginRecipient {
    text: String,
    plugin: String,
}

/// Why a text names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    #[error("is an identity, the secret half; a recipient is the public one")]
    Secret,
    #[error("is an SSH key of kind {kind}, which age does not encrypt to")]
    SshKind { kind: String },
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
            Self::SshKind { .. } => {
                "age encrypts to keys of kind ssh-ed25519 and ssh-rsa: `ssh-keygen -t ed25519` makes one".to_owned()
            }
            _ => "a recipient is what `certforge station identity new` or age-keygen prints, age1 and 58 more letters and digits, or a line of a file of SSH's public keys, or what a plugin of age prints"
                .to_owned(),
        }
    }
}

impl Recipient {
    /// Reads `age1…`, or a public key of SSH.
    ///
    /// # Errors
    ///
    /// When it is none, or one with whom no secret can be shared.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let lower = text.to_ascii_lowercase();
        if ["age-secret-key-", "age-plugin-", "-----begin "]
            .iter()
            .any(|start| lower.starts_with(start))
        {
            return Err(RecipientError::Secret);
        }
        if is_ssh(text) {
            return Ok(Self(Kind::Ssh(SshKey::parse(text)?)));
        }
        let malformed = |reason| RecipientError::Malformed { reason };
        if !lower.starts_with(OF_PLUGIN) {
            return Err(malformed("it does not begin with age1"));
        }
        let decoded = CheckedHrpstring::new::<Long>(text)
            .map_err(|_| malformed("its checksum is wrong, so a part of it is missing or mistyped"))?;
        if text != lower {
            return Err(malformed("it is in capitals"));
        }
        if decoded.hrp() != HRP {
            return PluginRecipient::new(text, &decoded).map(|own| Self(Kind::Plugin(own)));
        }
        let octets: Vec<u8> = decoded.byte_iter().collect();
        let point = octets
            .try_into()
            .map_err(|_| malformed("it has another length"))?;
        // Whoever wrote a point of low order would make every secret zero, which anybody can guess.
        match is_of_low_order(&point) {
            true => Err(malformed("everybody could read what is encrypted to it")),
            false => Ok(Self::of(point)),
        }
    }

    /// Of a public key that was made of a secret one.
    pub(super) fn of(point: [u8; POINT]) -> Self {
        Self(Kind::X25519(point))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    /// The plugin whose recipient it is, if it is a plugin's.
    #[must_use]
    pub fn of_plugin(&self) -> Option<&PluginRecipient> {
        match &self.0 {
            Kind::Plugin(own) => Some(own),
            Kind::X25519(_) | Kind::Ssh(_) => None,
        }
    }

    /// How it begins, or is known otherwise: enough for people to tell it from others.
    #[must_use]
    pub fn short_id(&self) -> String {
        match &self.0 {
            Kind::X25519(_) => self.to_string()[..SHORT].to_owned(),
            Kind::Ssh(key) => key.short_id(),
            Kind::Plugin(own) => {
                let len = own
                    .text
                    .len()
                    .min(OF_PLUGIN.len() + own.plugin.len() + SHORT_OF_PLUGIN);
                own.text[..len].to_owned()
            }
        }
    }
}

impl From<SshKeyError> for RecipientError {
    fn from(error: SshKeyError) -> Self {
        match error {
            SshKeyError::Kind(kind) => Self::SshKind { kind },
            SshKeyError::Malformed(reason) => Self::Malformed { reason },
        }
    }
}

/// Whether a text begins as a line of a file of SSH's public keys.
#[must_use]
pub fn is_ssh(text: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|start| text.starts_with(start))
}

impl PluginRecipient {
    fn new(text: &str, decoded: &CheckedHrpstring<'_>) -> Result<Self, RecipientError> {
        let malformed = |reason| RecipientError::Malformed { reason };
        let hrp = decoded.hrp().to_lowercase();
        let plugin = hrp.strip_prefix(OF_PLUGIN).filter(|name| is_plugin_name(name));
        Ok(Self {
            plugin: plugin.ok_or(malformed("it names no plugin of age"))?.to_owned(),
            text: Some(text)
                .filter(|text| text.len() <= MAX_OF_PLUGIN)
                .ok_or(malformed("it has another length"))?
                .to_owned(),
        })
    }

    /// What the plugin is called: the program is `age-plugin-NAME`.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// As the plugin has written it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Whether a plugin may be called so: nothing that leads to another folder.
pub(super) fn is_plugin_name(name: &str) -> bool {
    let is_sound = |octet: u8| octet.is_ascii_alphanumeric() || b"+-._".contains(&octet);
    !name.is_empty() && name.bytes().all(is_sound)
}

/// Bech32, but longer: recipients of plugins are as long as they have to be, as age itself has it.
pub(super) enum Long {}

impl Checksum for Long {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32::TARGET_RESIDUE;
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.0 {
            Kind::X25519(point) => {
                Cow::from(bech32::encode_lower::<Bech32>(HRP, point).map_err(|_| fmt::Error)?)
            }
            Kind::Ssh(key) => Cow::from(key.to_text()),
            Kind::Plugin(own) => Cow::from(&own.text),
        };
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
