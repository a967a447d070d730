//! CAs for one batch, and their end: the key is destroyed, and nothing can be signed with it ever again.
//!
//! That it was retired is written down before the key goes, so that whatever stops it, the CA signs no more, and retiring it
//! once more ends what was begun.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wrapped_key::{self, WRAPPED_KEY_FILE};
use super::{AskSecret, IssuerError, KEY_FILE};
use crate::bounded;
use crate::engine::Random;
use crate::profile::rfc3339;

/// Says that a CA is for one batch, and whether it is retired.
pub const FOR_BATCH_FILE: &str = "for-batch.json";

/// A CA for one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForBatch {
    /// RFC 3339; nothing, while it may sign.
    pub retired_at: Option<String>,
}

impl ForBatch {
    /// What the folder of a CA says of it; `None`: it is not for one batch.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, IssuerError> {
        let path = folder.join(FOR_BATCH_FILE);
        let text = match bounded::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IssuerError::Read { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(found) => Ok(Some(found)),
            Err(_) => Err(IssuerError::ForBatch { path }),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), IssuerError> {
        let path = folder.join(FOR_BATCH_FILE);
        let scratch = folder.join(format!(".{FOR_BATCH_FILE}.new"));
        let text = serde_json::to_string(self).expect("it has nothing that JSON has not");
        let written = || -> io::Result<()> {
            fs::write(&scratch, format!("{text}\n"))?;
            File::open(&scratch)?.sync_all()?;
            fs::rename(&scratch, &path)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(|source| IssuerError::Write { path, source })
    }
}

/// Refuses a CA that is retired.
pub(super) fn refuse_retired(folder: &Path) -> Result<(), IssuerError> {
    match ForBatch::read(folder)?.and_then(|found| found.retired_at) {
        Some(at) => Err(IssuerError::Retired {
            folder: folder.to_owned(),
            at,
        }),
        None => Ok(()),
    }
}

/// Destroys the key of a CA for one batch. Says when it was retired: now, or before.
///
/// # Errors
///
/// When it is not for one batch, or its key cannot be destroyed.
pub fn retire(folder: &Path, now: OffsetDateTime, ask: AskSecret<'_>) -> Result<String, IssuerError> {
    let Some(found) = ForBatch::read(folder)? else {
        return Err(IssuerError::NotForBatch {
            folder: folder.to_owned(),
        });
    };
    let at = found.retired_at.unwrap_or_else(|| rfc3339(now));
    let retired = ForBatch {
        retired_at: Some(at.clone()),
    };
    retired.write(folder)?;
    let wrapped = folder.join(WRAPPED_KEY_FILE);
    if wrapped.exists() {
        wrapped_key::destroy(&wrapped, ask)?;
        shred(&wrapped)?;
    }
    let plain = folder.join(KEY_FILE);
    if plain.exists() {
        shred(&plain)?;
    }
    Ok(at)
}

/// Overwrites a file, and removes it. What a disk or a file system keeps of old octets is not ours to say; so a key is never
/// on it unless encrypted.
fn shred(path: &Path) -> Result<(), IssuerError> {
    let shredded = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(1 << 20);
        let mut noise = vec![0; length];
        Random.fill(&mut noise).map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&noise)?;
        file.sync_all()?;
        fs::remove_file(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    shredded().map_err(|source| IssuerError::Write {
        path: path.to_owned(),
        source,
    })
}
