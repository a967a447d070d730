//! Bundles on a station's disk, which should be memory: unpacked for their owner alone, and wiped with
//! whatever a script made of them.
//!
//! What is wiped is the folder that was made, by its inode, and never what is at its path by now: from its descriptor
//! down, nothing is reached by path and no link is followed.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmod, openat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::StationError;
use crate::bundle::Files;
use crate::exposure;

/// Which folder it was that was made, whatever is at its path by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    device: u64,
    inode: u64,
}

impl Inode {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A folder that was made for a bundle.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    file: File,
    pub(super) inode: Inode,
}

/// What became of a folder that was to be wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wiped {
    Wiped,
    /// It is not there; something else may be.
    Gone,
}

/// Sees that nobody else could put another folder in the place of one.
fn check_way(folder: &Path) -> Result<(), StationError> {
    let way = exposure::of_way_to(folder).map_err(|source| StationError::Unpack {
        path: folder.to_owned(),
        source,
    })?;
    way.map_or(Ok(()), |(place, exposure)| {
        Err(StationError::UnsafeWay {
            path: folder.to_owned(),
            place,
            exposure,
        })
    })
}

/// Sees that bundles may be unpacked into a folder: it is not there, or is the user's own and empty; and nobody else
/// could put another in its place.
pub(super) fn check(folder: &Path) -> Result<(), StationError> {
    let failed = |source| StationError::Unpack {
        path: folder.to_owned(),
        source,
    };
    check_way(folder)?;
    let metadata = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    if !is_private(&metadata) {
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

/// Whether it is a folder of the user's own, and nobody else may enter it.
fn is_private(metadata: &Metadata) -> bool {
    metadata.is_dir() && is_own(metadata) && metadata.mode() & 0o077 == 0
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Makes a folder that [`check`] has passed. What came there since, as anybody may make folders in
/// `/dev/shm`, is looked at once more.
pub(super) fn make(path: &Path) -> Result<Folder, StationError> {
    let failed = |source| StationError::Unpack {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
    }
    check_way(path)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path)?,
        other => other.map_err(failed)?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !is_private(&metadata) {
        return Err(StationError::NotPrivate {
            path: path.to_owned(),
        });
    }
    if !names(&file).map_err(failed)?.is_empty() {
        return Err(StationError::NotEmpty {
            path: path.to_owned(),
        });
    }
    Ok(Folder {
        path: path.to_owned(),
        inode: Inode::of(&metadata),
        file,
    })
}

/// Writes the files of a bundle into a folder that was made for it.
pub(super) fn fill(folder: &Folder, files: &Files) -> Result<(), StationError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = || -> io::Result<()> {
        for (name, content) in files {
            let file = openat(&folder.file, name, flags, Mode::RUSR | Mode::WUSR)?;
            File::from(file).write_all(content)?;
        }
        Ok(())
    };
    write().map_err(|source| StationError::Unpack {
        path: folder.path.clone(),
        source,
    })
}

/// Overwrites and removes a folder that [`fill`] has filled, and all that is in it; what cannot be removed does not keep
/// the rest from it. `made`: which it is, as far as that is remembered; no other is touched.
pub(super) fn wipe(path: &Path, made: Option<Inode>) -> Result<Wiped, StationError> {
    let failed = |source| StationError::Wipe {
        path: path.to_owned(),
        source,
    };
    let folder = match open_path(CWD, path, OFlags::DIRECTORY) {
        Err(Errno::NOENT) => return Ok(Wiped::Gone),
        Err(Errno::NOTDIR | Errno::LOOP) if made.is_some() => return Ok(Wiped::Gone),
        other => other.map_err(|error| failed(error.into()))?,
    };
    let metadata = folder.metadata().map_err(failed)?;
    // What a script let others do to it is no reason to leave it.
    let is_it = match made {
        Some(made) if made != Inode::of(&metadata) => return Ok(Wiped::Gone),
        Some(_) => is_own(&metadata),
        None => is_private(&metadata),
    };
    if !is_it {
        return Err(failed(io::Error::other(
            "it is no folder of your own, or others may enter it",
        )));
    }
    let mut first = None;
    wipe_folder(&folder, &mut first);
    if let Err(error) = fs::remove_dir(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        first.get_or_insert(error);
    }
    first.map_or(Ok(Wiped::Wiped), |error| Err(failed(error)))
}

/// Empties a folder: its files first, then the folders in it. `first` gets the first error.
fn wipe_folder(folder: &File, first: &mut Option<io::Error>) {
    let mut note = |result: io::Result<()>| {
        if let Err(error) = result
            && error.kind() != io::ErrorKind::NotFound
        {
            first.get_or_insert(error);
        }
    };
    // A script may have closed it.
    permit(folder, Mode::RWXU);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(folder, c".", flags, Mode::empty()).map_err(io::Error::from);
    let listed = opened.and_then(|folder| Ok((names(&folder)?, folder)));
    let (names, folder) = match listed {
        Ok(listed) => listed,
        Err(error) => return note(Err(error)),
    };
    let mut folders = Vec::new();
    for name in names {
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| FileType::from_raw_mode(stat.st_mode))
        {
            Ok(FileType::Directory) => {
                folders.push(name);
                continue;
            }
            Ok(FileType::RegularFile) => note(overwrite(folder.as_fd(), &name)),
            Ok(_) => {}
            Err(error) => note(Err(error.into())),
        }
        note(unlinkat(&folder, &name, AtFlags::empty()).map_err(io::Error::from));
    }
    for name in folders {
        match open_path(&folder, &name, OFlags::DIRECTORY) {
            Ok(within) => wipe_folder(&within, first),
            Err(error) => _ = first.get_or_insert(error.into()),
        }
        if let Err(error) = unlinkat(&folder, &name, AtFlags::REMOVEDIR)
            && error != Errno::NOENT
        {
            first.get_or_insert(error.into());
        }
    }
}

/// What is in a folder.
fn names(folder: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn overwrite(folder: BorrowedFd<'_>, name: &CString) -> io::Result<()> {
    // A script may have made it read-only.
    permit(
        &open_path(folder, name, OFlags::empty())?,
        Mode::RUSR | Mode::WUSR,
    );
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    let mut left = usize::try_from(metadata.len()).unwrap_or(0);
    let zeros = [0; 4096];
    while left > 0 {
        let some = left.min(zeros.len());
        file.write_all(&zeros[..some])?;
        left -= some;
    }
    file.sync_all()
}

/// Opens what a name stands for, even what may not be read; of a link the link itself.
fn open_path(folder: impl AsFd, name: impl rustix::path::Arg, more: OFlags) -> Result<File, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | more;
    openat(folder, name, flags, Mode::empty()).map(OwnedFd::into)
}

/// Permits its owner what is to be done with it. A failure shows when that is done.
fn permit(file: &File, mode: Mode) {
    // A descriptor of this kind has no fchmod, and a path may lead elsewhere by now.
    let _ = chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode);
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
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn wipes_what_a_script_made_and_follows_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("dev");
        let files = vec![(
            "private.pem.key".to_owned(),
            zeroize::Zeroizing::new(b"key".to_vec()),
        )];
        let made = make(&folder).unwrap();
        fill(&made, &files).unwrap();
        let elsewhere = scratch.path().join("elsewhere");
        fs::write(&elsewhere, "stays").unwrap();
        fs::create_dir(folder.join("made")).unwrap();
        fs::write(folder.join("made/nvs.bin"), "the key in another form").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("link")).unwrap();
        assert!(matches!(check(&folder), Err(StationError::NotEmpty { .. })));
        let wipe = |folder: &Path| wipe(folder, None);
        assert_eq!(wipe(&folder).unwrap(), Wiped::Wiped);
        assert_eq!(wipe(&folder).unwrap(), Wiped::Gone);
        assert!(!folder.exists());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "stays");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(matches!(check(&link), Err(StationError::NotPrivate { .. })));
        assert!(matches!(wipe(&link), Err(StationError::Wipe { .. })));
        assert!(matches!(make(&link), Err(StationError::NotPrivate { .. })));
    }

    fn filled(folder: &Path) -> Folder {
        let made = make(folder).unwrap();
        fill(
            &made,
            &vec![("key".to_owned(), zeroize::Zeroizing::new(b"key".to_vec()))],
        )
        .unwrap();
        made
    }

    #[test]
    fn wipes_the_folder_that_was_made_and_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("dev");
        let made = Some(filled(&folder).inode);
        let moved = scratch.path().join("moved");
        fs::rename(&folder, &moved).unwrap();
        // Another is at its path, or a link.
        filled(&folder);
        assert_eq!(wipe(&folder, made).unwrap(), Wiped::Gone);
        assert_eq!(fs::read(folder.join("key")).unwrap(), b"key");
        fs::remove_dir_all(&folder).unwrap();
        symlink(&moved, &folder).unwrap();
        assert_eq!(wipe(&folder, made).unwrap(), Wiped::Gone);
        assert_eq!(fs::read(moved.join("key")).unwrap(), b"key");
        // It itself is wiped although others may enter it by now; not so one of which that is all one knows.
        fs::set_permissions(&moved, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(wipe(&moved, None), Err(StationError::Wipe { .. })));
        assert_eq!(wipe(&moved, made).unwrap(), Wiped::Wiped);
        assert!(!moved.exists());
    }

    #[test]
    fn a_folder_of_another_user_is_not_wiped() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("dev");
        let made = filled(&folder).inode;
        if chown(&folder, Some(1000), None).is_err() {
            eprintln!("LEFT OUT: only root can give a folder away");
            return;
        }
        for made in [None, Some(made)] {
            assert!(matches!(wipe(&folder, made), Err(StationError::Wipe { .. })));
        }
        assert_eq!(fs::read(folder.join("key")).unwrap(), b"key");
    }

    #[test]
    fn what_cannot_be_wiped_keeps_nothing_else_from_it() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("dev");
        let made = filled(&folder);
        fs::set_permissions(folder.join("key"), Permissions::from_mode(0o400)).unwrap();
        let also = scratch.path().join("also");
        fs::hard_link(folder.join("key"), &also).unwrap();
        for name in ["closed", "closed/deep"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        fs::write(folder.join("closed/deep/key"), "key").unwrap();
        for name in ["closed/deep", "closed", ""] {
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o000)).unwrap();
        }
        // What is not there any more, when its turn comes, is no error; what cannot be opened is, and the rest is wiped.
        let mut first = Some(io::Error::other("the first one"));
        wipe_folder(&open_path(CWD, &folder, OFlags::DIRECTORY).unwrap(), &mut first);
        assert_eq!(first.unwrap().to_string(), "the first one");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(fs::read(&also).unwrap(), [0; 3]);
        assert_eq!(wipe(&folder, Some(made.inode)).unwrap(), Wiped::Wiped);
    }
}
