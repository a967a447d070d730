//! Why a key that is elsewhere cannot be reached, or not used, and what the user can do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::exposure::Exposure;
use crate::shell::quoted;

/// What keeps one from a key.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("this certforge was built without {what}")]
    Absent {
        what: &'static str,
        feature: &'static str,
    },
    #[error("{uri} does not say by which PKCS#11 module")]
    NoModule { uri: String },
    #[error("PKCS#11 module {path} cannot be loaded")]
    Module {
        path: PathBuf,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{path} {exposure}")]
    Exposed { path: PathBuf, exposure: Exposure },
    #[error("there is no token {wanted}")]
    NoToken { wanted: String, there: Vec<String> },
    #[error("{count} tokens are {wanted}")]
    ManyTokens { wanted: String, count: usize },
    #[error("there is no private key {wanted} in token {token}")]
    NoKey {
        token: String,
        wanted: String,
        there: Vec<String>,
    },
    #[error("{count} private keys in token {token} are {wanted}")]
    ManyKeys {
        token: String,
        wanted: String,
        count: usize,
    },
    #[error("token {token} has a key {key} already")]
    Exists { token: String, key: String },
    #[error("there is no PIN for token {token}")]
    NoPin { token: String, source: io::Error },
    #[error("token {token} refuses the PIN")]
    WrongPin { token: String, is_last_try: bool },
    #[error("token {token} has locked its PIN")]
    PinLocked { token: String },
    #[error("{place} is a key that cannot be used: {reason}")]
    Unfit { place: String, reason: String },
    #[error("{place} is {found}, and the certificate has {wanted}")]
    OtherType {
        place: String,
        found: String,
        wanted: String,
    },
    #[error("{place} cannot be reached")]
    Unreachable {
        place: String,
        is_passing: bool,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("there is no key {key} in AWS KMS, or not in this account and Region")]
    NoKmsKey { key: String },
    #[error("AWS KMS does not let this identity use {key}")]
    Denied {
        key: String,
        action: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{place} gave a signature that is not its key's")]
    Wrong { place: String },
}

impl AccessError {
    /// Whether it may be gone when the key is asked for again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { is_passing: true, .. } | Self::Wrong { .. }
        )
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let one_of = |there: &[String], what: &str| match there {
            [] => format!("there is no {what} at all that can be seen"),
            there => format!("there is {}", there.join(", ")),
        };
        Some(match self {
            Self::Absent { feature, .. } => format!("build it with --features {feature}"),
            Self::NoModule { .. } => {
                "add ?module-path=/path/to/module.so to the URI, or set CERTFORGE_PKCS11_MODULE".to_owned()
            }
            Self::Module { path, .. } => format!(
                "check that it is there, for this processor, and that what it needs is installed: ldd {}",
                quoted(&path.display().to_string())
            ),
            Self::Exposed { path, exposure } => exposure.hint(path),
            Self::NoToken { there, .. } => format!(
                "{}; `pkcs11-tool --module MODULE --list-token-slots` lists them",
                one_of(there, "token")
            ),
            Self::ManyTokens { .. } => "say which with serial= in the URI".to_owned(),
            Self::NoKey { there, .. } => format!(
                "{}; `certforge ca new --key URI` makes one",
                one_of(there, "private key")
            ),
            Self::ManyKeys { .. } => "say which with id= in the URI".to_owned(),
            Self::Exists { .. } => {
                "name another, or make a CA with the key that is there: `certforge ca new --use-key`, or `ca adopt` when it has a certificate"
                    .to_owned()
            }
            Self::NoPin { .. } => {
                "put it into a file of mode 0600 and name that (?pin-source=/path), or into CERTFORGE_PIN, or type it when asked"
                    .to_owned()
            }
            Self::WrongPin { is_last_try: true, .. } => {
                "it was tried once and will not be again; one more wrong PIN locks the token".to_owned()
            }
            Self::WrongPin { .. } => {
                "it was tried once and will not be again: tokens lock after a few wrong ones".to_owned()
            }
            Self::PinLocked { .. } => {
                "whoever has the security officer's PIN can set a new one: `pkcs11-tool --init-pin --login --login-type so`"
                    .to_owned()
            }
            Self::Unfit { .. } => {
                "P-256, P-384 and RSA of 2048, 3072 or 4096 bits are signed with, by keys that may sign".to_owned()
            }
            Self::OtherType { .. } => "name the key that belongs to the certificate".to_owned(),
            Self::Unreachable { is_passing: true, .. } => {
                "run the same command again when it is there: what was made stays made".to_owned()
            }
            Self::Unreachable { .. } => return None,
            Self::NoKmsKey { .. } => {
                "check its name, the Region (?region=…) and the account; `aws kms create-key --key-usage SIGN_VERIFY --key-spec ECC_NIST_P256` makes one, `aws kms create-alias` names it"
                    .to_owned()
            }
            Self::Denied { action, .. } => {
                format!("the identity needs {action} on the key; an alias gives no right by itself: the key's policy does")
            }
            Self::Wrong { .. } => {
                "nothing that it signed was used; a token that does this is broken, or its driver is".to_owned()
            }
        })
    }
}
