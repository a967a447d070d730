//! What a record says of those for whom its bundles are encrypted, in a form that every certforge reads.
//!
//! As with shared files ([`super::shared`]), the record that lies in a store has the layout and the profile of bundles that are
//! not encrypted, and what belongs to encryption in the profile's description, with the description that was there. What
//! refuses an older certforge is the format of the seal.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::BatchRecord;
use crate::profile::{Profile, ProfileConfig};

/// How such a description begins, which none for people does.
const START: &str = r#"{"certforge_encrypted":"#;

/// Raised with every change of what the description means.
const FORMAT: u32 = 1;

/// The description.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    certforge_encrypted: u32,
    /// Of the whole profile.
    profile_sha256: String,
    /// `age1…`, in order.
    recipients: Vec<String>,
    /// What the description would be without.
    #[serde(rename = "description", default, skip_serializing_if = "String::is_empty")]
    without: String,
}

/// Why a record says nothing of encryption that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedError {
    #[error("has encrypted bundles of format {found}, this certforge reads {FORMAT}")]
    Format { found: u32 },
    #[error("does not say for whom its bundles are encrypted")]
    Malformed,
}

/// The record as it lies in a store.
pub(super) fn folded(mut record: BatchRecord) -> BatchRecord {
    record.layout = record.layout.plain();
    let recipients = std::mem::take(&mut record.profile.delivery.recipients);
    if recipients.is_empty() {
        return record;
    }
    let description = Description {
        certforge_encrypted: FORMAT,
        profile_sha256: std::mem::take(&mut record.profile_sha256),
        recipients,
        without: std::mem::take(&mut record.profile.description),
    };
    record.profile_sha256 = digest(&record.profile).unwrap_or_default();
    record.profile.description = serde_json::to_string(&description).expect("it has only text keys");
    record
}

/// The record that lies in a store so.
pub(super) fn unfold(mut record: BatchRecord) -> Result<BatchRecord, EncryptedError> {
    if record.layout.is_encrypted() || !record.profile.delivery.recipients.is_empty() {
        return Err(EncryptedError::Malformed);
    }
    if !record.profile.description.starts_with(START) {
        return Ok(record);
    }
    let text = std::mem::take(&mut record.profile.description);
    let description: Description = serde_json::from_str(&text).map_err(|_| EncryptedError::Malformed)?;
    if description.certforge_encrypted != FORMAT {
        let found = description.certforge_encrypted;
        return Err(EncryptedError::Format { found });
    }
    if description.recipients.is_empty() {
        return Err(EncryptedError::Malformed);
    }
    // One that was changed is not put right.
    let is_own = digest(&record.profile).is_some_and(|digest| digest == record.profile_sha256);
    if is_own {
        record.profile_sha256 = description.profile_sha256;
    }
    record.profile.description = description.without;
    record.profile.delivery.recipients = description.recipients;
    record.layout = record.layout.encrypted();
    Ok(record)
}

fn digest(profile: &ProfileConfig) -> Option<String> {
    let profile = Profile::from_config(profile).ok()?;
    Some(HEXLOWER.encode(&profile.digest()))
}
