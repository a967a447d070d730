//! Bundles on a station's disk, which should be memory: unpacked for their owner alone, and wiped.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::StationError;
use super::batch::Files;
use super::memory::Unpacked;

/// Sees that bundles may be unpacked into a folder: it is not there, or is the user's own and empty.
pub(super) fn check(folder: &Path) -> Result<(), StationError> {
    let failed = |source| StationError::Unpack {
        path: folder.to_owned(),
        source,
    };
    let metadata = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    let is_own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_own || metadata.mode() & 0o077 != 0 {
        return Err(StationError::NotPrivate {
            path: folder.to_owned(),
        });
    }
    match fs::read_dir(folder).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(StationError::NotEmpty {
            path: folder.to_owned(),
        }),
    }
}

/// Writes the files of a bundle into a folder that [`check`] has passed.
pub(super) fn unpack(files: &Files, folder: &Path) -> Result<(), StationError> {
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for (name, content) in files {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.join(name))?;
            file.write_all(content)?;
        }
        Ok(())
    };
    write().map_err(|source| StationError::Unpack {
        path: folder.to_owned(),
        source,
    })
}

/// Overwrites and removes what was unpacked, and the folder when nothing else is in it.
pub(super) fn wipe(unpacked: &Unpacked) -> Result<(), StationError> {
    let wipe = || -> io::Result<()> {
        for name in &unpacked.files {
            let path = unpacked.folder.join(name);
            match OpenOptions::new().write(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
                Ok(mut file) => {
                    let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
                    file.write_all(&vec![0; len])?;
                    file.sync_all()?;
                }
            }
            fs::remove_file(&path)?;
        }
        match fs::remove_dir(&unpacked.folder) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    };
    wipe().map_err(|source| StationError::Unpack {
        path: unpacked.folder.clone(),
        source,
    })
}

/// Whether a folder, or the one that it will be made in, is in memory and on no disk.
#[must_use]
pub fn is_in_memory(folder: &Path) -> bool {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of linux/magic.h.
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    let kind = existing.and_then(|existing| rustix::fs::statfs(existing).ok());
    kind.is_some_and(|kind| u64::try_from(kind.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}
