//! What a record says of files that all devices share, in a form that every certforge reads.
//!
//! Those of before shared files refuse a record with a field that they do not know as changed by somebody. So the
//! record that lies in a store has the profile without these files, and what belongs to them in the one text that nobody
//! reads: the profile's description, which records leave empty otherwise. What refuses an older certforge is the
//! format of the seal.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::BatchRecord;
use crate::profile::{FileConfig, Profile, ProfileConfig};

/// How such a description begins, which none for people does.
const START: &str = r#"{"certforge_shared":"#;

/// Raised with every change of what the description means.
const FORMAT: u32 = 1;

/// The description.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    certforge_shared: u32,
    /// Of `shared.zip`.
    sha256: String,
    /// Of the whole profile.
    profile_sha256: String,
    files: Vec<FileConfig>,
}

/// Why a record says nothing of shared files that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    #[error("has shared files of format {found}, this certforge reads {FORMAT}")]
    Format { found: u32 },
    #[error("does not say what shared files it has")]
    Malformed,
}

/// The record as it lies in a store.
pub(super) fn folded(record: &BatchRecord) -> BatchRecord {
    let mut folded = record.clone();
    let Some(sha256) = folded.shared_sha256.take() else {
        return folded;
    };
    let mut shared = Vec::new();
    if let Some(files) = &mut folded.profile.bundle.files {
        shared.extend(files.extract_if(.., |file| file.shared));
    }
    let description = Description {
        certforge_shared: FORMAT,
        sha256,
        profile_sha256: std::mem::take(&mut folded.profile_sha256),
        files: shared,
    };
    folded.profile_sha256 = digest(&folded.profile).unwrap_or_default();
    folded.profile.description = serde_json::to_string(&description).expect("it has only text keys");
    folded
}

/// The record that lies in a store so.
pub(super) fn unfold(mut record: BatchRecord) -> Result<BatchRecord, SharedError> {
    if !record.profile.description.starts_with(START) {
        return Ok(record);
    }
    let text = std::mem::take(&mut record.profile.description);
    let description: Description = serde_json::from_str(&text).map_err(|_| SharedError::Malformed)?;
    if description.certforge_shared != FORMAT {
        let found = description.certforge_shared;
        return Err(SharedError::Format { found });
    }
    let is_whole = !description.files.is_empty() && description.files.iter().all(|file| file.shared);
    let own = record.profile.bundle.files.as_mut().filter(|_| is_whole);
    let own = own.ok_or(SharedError::Malformed)?;
    if own.iter().any(|file| file.shared) {
        return Err(SharedError::Malformed);
    }
    // One that was changed is not put right.
    let is_own = digest(&record.profile).is_some_and(|digest| digest == record.profile_sha256);
    if let Some(own) = record.profile.bundle.files.as_mut() {
        own.extend(description.files);
    }
    if is_own {
        record.profile_sha256 = description.profile_sha256;
    }
    record.shared_sha256 = Some(description.sha256);
    Ok(record)
}

fn digest(profile: &ProfileConfig) -> Option<String> {
    let profile = Profile::from_config(profile).ok()?;
    Some(HEXLOWER.encode(&profile.digest()))
}
