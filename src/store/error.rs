//! Stores that fail: what happened, and what the user can do about it.

use std::io;

use super::Place;

/// A store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store: cannot {operation} {object}")]
    Io {
        operation: &'static str,
        /// As a person finds it: a path or a URL.
        object: String,
        source: io::Error,
    },
    /// The others are.
    #[error("store: {object} cannot be listed, and what is in it is left out")]
    Unlisted {
        /// A folder below the one that was to be listed.
        object: String,
        source: io::Error,
    },
    #[error("store: there is no {object}")]
    NotFound { object: String },
    #[error("store: there is no batch in {folder}, where one was")]
    Away { folder: String },
    #[error("store: {folder} belongs to another user or is open to others (mode {mode:04o})")]
    OpenToOthers { folder: String, mode: u32 },
    #[error("store: {folder} belongs to another user (uid {uid})")]
    OfAnother { folder: String, uid: u32 },
    #[error("store: {object} is there already, with other content")]
    Conflict { object: String },
    #[error("store: {object} has more than the {most} octets that anything under its name has")]
    TooLarge { object: String, most: u64 },
    #[error("store: there is no bucket {bucket}")]
    NoBucket { bucket: String },
    #[error("store: {message}")]
    Settings { message: String, hint: String },
    #[error("store: cannot {operation} {object}: {status} {code}{}", colon(.message))]
    Refused {
        operation: &'static str,
        object: String,
        /// HTTP status.
        status: u16,
        /// The server's word for it, such as `AccessDenied`.
        code: String,
        message: String,
        /// What to do about it, where it is about credentials or rights.
        hint: Option<Box<str>>,
    },
    #[error(
        "store: cannot {operation} {object}: no success in {attempts} attempts at {server}, the last: {why}"
    )]
    Unanswered {
        operation: &'static str,
        object: String,
        server: String,
        attempts: u32,
        why: String,
    },
    #[error("store: {place} is {}, for which this certforge was not built", .place.kind())]
    NotBuilt {
        place: Place,
        /// With which it is built.
        feature: &'static str,
    },
    #[error("store: {object} was stored with encryption {got}, not {wanted}")]
    Encryption {
        object: String,
        wanted: String,
        got: String,
    },
}

fn colon(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

impl StoreError {
    /// Whether the same may well succeed a little later, so that others need not fail with it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered { .. } | Self::Away { .. } => true,
            // Another process holds the batch.
            Self::Io { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Whether it is about one object, so that others need not fail with it.
    #[must_use]
    pub fn is_of_one_object(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Unlisted { .. } | Self::TooLarge { .. } => {
                true
            }
            // Links, pipes and the like are invalid data, as whoever opens them says.
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidData
            ),
            // Archived; or encrypted by, or belonging to, somebody else.
            Self::Refused { code, .. } => {
                ["AccessDenied", "InvalidObjectState"].contains(&code.as_str()) || code.starts_with("KMS.")
            }
            _ => false,
        }
    }

    /// Whether something that no certforge wrote is in the place of an object.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::TooLarge { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory
            ),
            _ => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => {
                "name a batch, such as ./out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01".to_owned()
            }
            Self::Away { .. } => {
                "see that it is mounted, and is what it was; nothing was written there".to_owned()
            }
            Self::OpenToOthers { folder, .. } => {
                format!(
                    "bundles hold private keys: chmod 700 {folder}, or choose another --to; a share of SMB is mounted with file_mode=0600,dir_mode=0700"
                )
            }
            Self::OfAnother { folder, .. } => {
                format!(
                    "who owns it could read every key: make sure of what is in it, then chown {} {folder}, or choose another --to",
                    rustix::process::geteuid().as_raw()
                )
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, then run the same command again; it goes on where it stopped"
                }
                io::ErrorKind::FileTooLarge => {
                    "this shell limits the size of files: ulimit -f unlimited, then run the same command again; it goes on where it stopped"
                }
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::ReadOnlyFilesystem => "choose a folder that you may write with --to",
                io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory => {
                    "no certforge put that there: find out who did, and remove it"
                }
                io::ErrorKind::TimedOut => {
                    "`fuser -v` and the path of the lock tell who it is; a certforge that was stopped goes on with `kill -CONT`, and whoever else holds it has no business with it"
                }
                _ => "run the same command again; it goes on where it stopped",
            }
            .to_owned(),
            Self::Unlisted { .. } | Self::TooLarge { .. } => "no certforge put that there: find out who did, and remove it".to_owned(),
            Self::Conflict { .. } => {
                "somebody else wrote it, or another copy of this ledger is in use; find out before you run again".to_owned()
            }
            Self::NoBucket { .. } => {
                "make the bucket first, or correct its name, --region or --endpoint-url".to_owned()
            }
            Self::Settings { hint, .. } => hint.clone(),
            Self::Refused { code, hint, .. } => hint.as_deref().unwrap_or_else(|| refused_hint(code)).to_owned(),
            Self::Unanswered { .. } => {
                "check the server, --endpoint-url and the network, then run the same command again; `run` goes on where it stopped"
                    .to_owned()
            }
            Self::NotBuilt { feature, .. } => format!("build it with the feature {feature}, which is on by default"),
            Self::Encryption { .. } => {
                "this server does not encrypt as asked; leave --sse out, or use another".to_owned()
            }
        })
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn refused_hint(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AllAccessDisabled" => {
            "these credentials lack a right here: s3:PutObject, s3:GetObject, s3:ListBucket; with --tags also \
             s3:PutObjectTagging, with --sse aws:kms also kms:GenerateDataKey and kms:Decrypt"
        }
        "PermanentRedirect" | "IllegalLocationConstraintException" => {
            "the bucket is in another Region: name it with --region"
        }
        "NotImplemented" => "this server lacks what was asked of it; leave the option out, or use another",
        _ => {
            "correct what the server complains of, then run the same command again; it goes on where it stopped"
        }
    }
}
