//! The lab CA: a first run that names no CA makes one, so that the first command works.

use std::path::Path;

use time::OffsetDateTime;

use super::{ForgeError, Shard, check};
use crate::batch::MAX_CHUNK_ROWS;
use crate::issuer::{CaRequest, create};
use crate::ledger::CaFolder;
use crate::manifest::Manifest;
use crate::profile::{Binding, Profile};

/// Makes a lab CA in `folder`, with a key that is not encrypted, if that is what a run without a named CA needs. Returns whether
/// it did. `is_new`: whether the ledger has no batches, or is not there yet.
///
/// # Errors
///
/// When a shard is to be made, whose CA all shards must have; when something is wrong with the manifest; and when the CA
/// cannot be made.
pub fn make_lab_ca(
    folder: &Path,
    (manifest, profile): (&Manifest, &Profile),
    shard: Option<Shard>,
    is_new: bool,
    now: OffsetDateTime,
) -> Result<bool, ForgeError> {
    if shard.is_some() {
        return Err(ForgeError::ShardWithoutCa);
    }
    // A ledger that has batches had a CA: somebody forgot to name it.
    if folder.symlink_metadata().is_ok() || !is_new {
        return Ok(false);
    }
    // A bad manifest costs no certificate, not even a lab CA's.
    let binding = Binding::new(profile, manifest.header(), manifest.path())?;
    check(manifest, &binding, MAX_CHUNK_ROWS)?.accept(manifest)?;
    create(&CaRequest::lab()?, None, now)?.write(folder, None)?;
    CaFolder::new(folder, None).begin()?;
    Ok(true)
}
