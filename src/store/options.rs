//! Options of a store that is reached over a network.

use std::time::Duration;

#[cfg(feature = "s3")]
pub use aws_sdk_s3::config::Credentials;

/// Requests at once, when nothing else is asked for.
pub const DEFAULT_UPLOADS: u16 = 64;

/// How long an attempt may take, when nothing else is asked for: a part of 8 MiB over a slow line.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// How to reach a store, and how to store there; a folder needs none of it. What is left out comes from the
/// AWS SDK's own chain: environment, `~/.aws`, SSO, instance metadata.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `None`: from the chain. Its `Debug` says that the secret is elided.
    #[cfg(feature = "s3")]
    pub credentials: Option<Credentials>,
    /// Of a server that is not AWS's.
    pub endpoint_url: Option<String>,
    /// Asks a person for the code that an MFA device shows. `None`: nobody is asked.
    pub ask_code: Option<fn(&str) -> Option<String>>,
    pub region: Option<String>,
    /// Attempts at a request, the first one among them.
    pub attempts: Option<u32>,
    /// How long an attempt may take.
    pub attempt_timeout: Duration,
    /// Requests at once, at most.
    pub uploads: u16,
    pub encryption: Option<Encryption>,
    /// Such as `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// Id of the ledger that accounts for the batch, kept with every object. Who has none makes no batch: a folder is
    /// not made for them.
    pub ledger: Option<String>,
    /// Tags of every object.
    pub tags: Vec<(String, String)>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            #[cfg(feature = "s3")]
            credentials: None,
            endpoint_url: None,
            ask_code: None,
            region: None,
            attempts: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            uploads: DEFAULT_UPLOADS,
            encryption: None,
            storage_class: None,
            ledger: None,
            tags: Vec::new(),
        }
    }
}

/// How S3 shall encrypt objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// Key of AWS KMS, by id, ARN or alias.
    pub kms_key_id: Option<String>,
}
