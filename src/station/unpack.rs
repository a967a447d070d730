//! Bundles on a station's disk, which should be memory: unpacked for their owner alone, and wiped with
//! whatever a script made of them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::StationError;
use crate::bundle::Files;

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

/// Makes a folder that [`check`] has passed. What came there since, as anybody may make folders in
/// `/dev/shm`, is looked at once more.
pub(super) fn make(folder: &Path) -> Result<(), StationError> {
    let failed = |source| StationError::Unpack {
        path: folder.to_owned(),
        source,
    };
    if let Some(parent) = folder.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(folder),
        other => other.map_err(failed),
    }
}

/// Writes the files of a bundle into a folder that was made for it.
pub(super) fn fill(folder: &Path, files: &Files) -> Result<(), StationError> {
    let write = || -> io::Result<()> {
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

/// Overwrites and removes a folder that [`fill`] has filled, and all that is in it. No link is followed.
pub(super) fn wipe(folder: &Path) -> Result<(), StationError> {
    let result = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => wipe_folder(folder),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
    };
    result.map_err(|source| StationError::Wipe {
        path: folder.to_owned(),
        source,
    })
}

fn wipe_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            wipe_folder(&path)?;
            continue;
        }
        if metadata.is_file() {
            overwrite(&path)?;
        }
        fs::remove_file(&path)?;
    }
    fs::remove_dir(folder)
}

fn overwrite(path: &Path) -> io::Result<()> {
    // A script may have made it read-only.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag fits");
    let mut file = OpenOptions::new()
        .write(true)
        .custom_flags(no_follow)
        .open(path)?;
    let mut left = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let zeros = [0; 4096];
    while left > 0 {
        let some = left.min(zeros.len());
        file.write_all(&zeros[..some])?;
        left -= some;
    }
    file.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wipes_what_a_script_made_and_follows_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("dev");
        let files = vec![(
            "private.pem.key".to_owned(),
            zeroize::Zeroizing::new(b"key".to_vec()),
        )];
        make(&folder).unwrap();
        fill(&folder, &files).unwrap();
        let elsewhere = scratch.path().join("elsewhere");
        fs::write(&elsewhere, "stays").unwrap();
        fs::create_dir(folder.join("made")).unwrap();
        fs::write(folder.join("made/nvs.bin"), "the key in another form").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("link")).unwrap();
        assert!(matches!(check(&folder), Err(StationError::NotEmpty { .. })));
        wipe(&folder).unwrap();
        wipe(&folder).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "stays");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(matches!(check(&link), Err(StationError::NotPrivate { .. })));
        assert!(matches!(wipe(&link), Err(StationError::Wipe { .. })));
        assert!(matches!(make(&link), Err(StationError::NotPrivate { .. })));
    }
}
