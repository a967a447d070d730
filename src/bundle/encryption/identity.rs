//! Identities: the secret halves, each at its station and nowhere else.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use super::POINT;
use super::decrypt_error::{DecryptError, FileKey};
use super::recipient::{Long, Recipient, is_plugin_name};
use super::stanza::Stanza;

const HRP: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// How the programs of plugins are called.
pub const PLUGIN_PROGRAM: &str = "age-plugin-";

/// How identities begin whose other half a plugin of age knows.
const OF_PLUGIN: &str = "age-plugin-";

/// An X25519 identity, `AGE-SECRET-KEY-1…`.
pub struct Identity {
    secret: Zeroizing<[u8; POINT]>,
    point: [u8; POINT],
    recipient: Recipient,
}

/// An identity of another kind than X25519: an SSH key, or what a plugin knows.
pub trait OtherIdentity: Send + Sync {
    /// Its public half, where that is known.
    fn recipient(&self) -> Option<&Recipient>;

    /// What people know it by.
    fn short_id(&self) -> String;

    /// Whether it may read what is encrypted to this recipient.
    fn is_for(&self, recipient: &Recipient) -> bool;

    /// The file key, by the shares of a header; `None` when none of them is for it.
    ///
    /// # Errors
    ///
    /// When one of them is, and cannot be opened.
    fn open(&self, shares: &[Stanza]) -> Result<Option<FileKey>, DecryptError>;
}

/// Where identities of other kinds come from: they need a passphrase, or another program.
pub trait OtherKinds {
    /// Of the text of a private key of SSH.
    ///
    /// # Errors
    ///
    /// When it is none that can be used.
    fn ssh(&mut self, text: &str) -> Result<Box<dyn OtherIdentity>, IdentityError>;

    /// Of an identity of this plugin.
    ///
    /// # Errors
    ///
    /// When there is no such plugin.
    fn plugin(&mut self, text: &str, plugin: &str) -> Result<Box<dyn OtherIdentity>, IdentityError>;
}

/// There are no other kinds.
pub struct X25519Alone;

impl OtherKinds for X25519Alone {
    fn ssh(&mut self, _: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
        Err(IdentityError::Ssh)
    }

    fn plugin(&mut self, _: &str, _: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
        Err(IdentityError::Plugin)
    }
}

/// Why a text holds no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("is a recipient, the public half; an identity is the secret one")]
    Public,
    #[error("is encrypted with a passphrase")]
    Encrypted,
    #[error("is an SSH key, which this certforge was built without")]
    Ssh,
    #[error("is an SSH key {what}")]
    SshKind { what: String },
    #[error("is the public half of an SSH key; an identity is the secret one")]
    SshPublic,
    #[error("is an SSH key with a passphrase, and that was not told: {why}")]
    NoPassphrase { why: String },
    #[error("is an SSH key with another passphrase than that")]
    WrongPassphrase,
    #[error("is an SSH key with {rounds} rounds of bcrypt, which take too long")]
    SshRounds { rounds: u32 },
    #[error("is an identity of age's post-quantum kind, which is not read here")]
    PostQuantum,
    #[error("is an identity of an age plugin")]
    Plugin,
    #[error(
        "is an identity of age plugin {plugin}, and there is no program {PLUGIN_PROGRAM}{plugin} on the PATH"
    )]
    NoPlugin { plugin: String },
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
            Self::Ssh => {
                "the Debian package reads them, and `cargo build --release --features age`; or `age -d -i FILE` opens a bundle by hand"
                    .to_owned()
            }
            Self::SshKind { .. } => {
                "age reads keys of kind ssh-ed25519 and ssh-rsa as OpenSSH writes them: `ssh-keygen -t ed25519` makes one".to_owned()
            }
            Self::SshPublic => "name the file without .pub".to_owned(),
            Self::NoPassphrase { .. } => {
                "put it into a file of mode 0600 and name that with --identity-passphrase-file, or into CERTFORGE_IDENTITY_PASSPHRASE, or type it when asked"
                    .to_owned()
            }
            Self::WrongPassphrase => {
                "`ssh-keygen -y -f FILE` tells whether a passphrase is the right one".to_owned()
            }
            Self::SshRounds { .. } => "`ssh-keygen -p -a 24 -f FILE` writes it with fewer".to_owned(),
            Self::PostQuantum => {
                "`certforge station identity new` makes one that is, and age-keygen without -pq".to_owned()
            }
            Self::NoPlugin { plugin } => {
                format!("install {PLUGIN_PROGRAM}{plugin}, where whoever runs certforge finds it: `command -v {PLUGIN_PROGRAM}{plugin}`")
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
            point,
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
        if is_of_plugin(text) {
            return Err(IdentityError::Plugin);
        }
        if start("AGE-SECRET-KEY-PQ-1") {
            return Err(IdentityError::PostQuantum);
        }
        if start("age1") {
            return Err(IdentityError::Public);
        }
        if start("ssh-") {
            return Err(IdentityError::SshPublic);
        }
        if start("-----BEGIN AGE ENCRYPTED FILE") || start("age-encryption.org/") {
            return Err(IdentityError::Encrypted);
        }
        if start("-----BEGIN ") {
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

    /// Its u on Curve25519.
    pub(super) fn point(&self) -> &[u8; POINT] {
        &self.point
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

/// An identity of a file.
pub(super) enum Own {
    X25519(Identity),
    Other(Box<dyn OtherIdentity>),
}

impl Own {
    fn recipient(&self) -> Option<&Recipient> {
        match self {
            Self::X25519(own) => Some(own.recipient()),
            Self::Other(own) => own.recipient(),
        }
    }

    fn short_id(&self) -> String {
        match self {
            Self::X25519(own) => own.recipient().short_id(),
            Self::Other(own) => own.short_id(),
        }
    }

    fn is_for(&self, recipient: &Recipient) -> bool {
        match self {
            Self::X25519(own) => own.recipient() == recipient,
            Self::Other(own) => own.is_for(recipient),
        }
    }
}

/// The identities of a file: one as a rule.
pub struct Identities(Vec<Own>);

impl Identities {
    /// Reads a file of X25519 identities.
    ///
    /// # Errors
    ///
    /// When a line is something else, or there is none.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        Self::read(text, &mut X25519Alone)
    }

    /// Reads a file: one identity a line, and lines that begin with `#` for people; or a private key of SSH.
    ///
    /// # Errors
    ///
    /// When a line is something else, or there is none.
    pub fn read(text: &str, others: &mut dyn OtherKinds) -> Result<Self, IdentityError> {
        let start = text.trim_start();
        if start.starts_with("-----BEGIN ") && !start.starts_with("-----BEGIN AGE ") {
            return Ok(Self(vec![Own::Other(others.ssh(start)?)]));
        }
        let mut identities = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = match is_of_plugin(line) {
                true => plugin_of(line)
                    .ok_or(IdentityError::Malformed)
                    .and_then(|plugin| others.plugin(line, &plugin))
                    .map(Own::Other),
                false => Identity::parse(line).map(Own::X25519),
            };
            identities.push(read.map_err(|what| IdentityError::Line {
                line: i + 1,
                what: Box::new(what),
            })?);
        }
        match identities.is_empty() {
            true => Err(IdentityError::Nothing),
            false => Ok(Self(identities)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Own> {
        self.0.iter()
    }

    /// Their public halves, as far as they are known.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter().filter_map(Own::recipient)
    }

    /// The short ids of their public halves.
    #[must_use]
    pub fn short_ids(&self) -> String {
        let ids: Vec<String> = self.iter().map(Own::short_id).collect();
        ids.join(", ")
    }

    /// Whether something that is encrypted to these recipients can be read.
    #[must_use]
    pub fn are_among(&self, recipients: &[Recipient]) -> bool {
        self.iter()
            .any(|own| recipients.iter().any(|one| own.is_for(one)))
    }
}

fn is_of_plugin(text: &str) -> bool {
    let start = text.get(..OF_PLUGIN.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(OF_PLUGIN))
}

/// The plugin whose identity a text is.
fn plugin_of(text: &str) -> Option<String> {
    let decoded = CheckedHrpstring::new::<Long>(text).ok()?;
    let hrp = decoded.hrp().to_lowercase();
    let name = hrp.strip_prefix(OF_PLUGIN)?.strip_suffix('-')?;
    is_plugin_name(name).then(|| name.to_owned())
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({}, elided)", self.short_ids())
    }
}

impl From<Identity> for Identities {
    fn from(identity: Identity) -> Self {
        Self(vec![Own::X25519(identity)])
    }
}
