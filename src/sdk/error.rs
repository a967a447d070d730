//! Settings that cannot be: what is wrong with them, and what the user can do about it.

use std::io;
use std::path::PathBuf;

/// How credentials are set up at all.
const SET_UP: &str =
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_PROFILE, as for the AWS CLI";

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{message}")]
    Said { message: String, hint: String },
    /// Nobody has set any up, where the AWS CLI would look for them.
    #[error("there are no AWS credentials: {looked}")]
    NoCredentials { looked: String },
    #[error("AWS_CA_BUNDLE {path} cannot be read")]
    TrustFile { path: PathBuf, source: io::Error },
}

impl SettingsError {
    pub(crate) fn said(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Said {
            message: message.into(),
            hint: hint.into(),
        }
    }

    pub(crate) fn no_region() -> Self {
        Self::said(
            "no AWS Region is set",
            "name it with --region, or set AWS_REGION or AWS_PROFILE, as for the AWS CLI",
        )
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Said { hint, .. } => hint,
            Self::NoCredentials { .. } => SET_UP,
            Self::TrustFile { .. } => "check the path and who may use it",
        }
    }
}
