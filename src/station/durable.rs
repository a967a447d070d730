//! Small files that are there whole or not at all, for their owner alone, and still there after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::StationError;
use crate::engine::Random;
use crate::exposure::{self, Exposure};

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The folder for what stations remember, without links, once it is seen that nobody else can put one of theirs in its
/// place, or something into it.
pub(super) fn root(folder: &Path) -> Result<PathBuf, StationError> {
    let failed = failed(folder);
    check_way(folder)?;
    let whole = folder.canonicalize().map_err(&failed)?;
    refuse(&whole, exposure::of_folder(&whole.metadata().map_err(&failed)?))?;
    Ok(whole)
}

/// Makes that folder, and those above it, where nobody else can put one of theirs in the place of one of these.
pub(super) fn make_root(folder: &Path) -> Result<PathBuf, StationError> {
    check_way(folder)?;
    make_folder(folder).map_err(failed(folder))?;
    root(folder)
}

fn check_way(folder: &Path) -> Result<(), StationError> {
    match exposure::of_way_to(folder).map_err(failed(folder))? {
        Some((place, exposure)) => refuse(&place, Some(exposure)),
        None => Ok(()),
    }
}

/// Sees the same of a folder in it. A link is none.
pub(super) fn check_folder(folder: &Path) -> Result<(), StationError> {
    let failed = failed(folder);
    let metadata = folder.symlink_metadata().map_err(&failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    refuse(folder, exposure::of_folder(&metadata))
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> StationError {
    |source| StationError::Memory {
        path: folder.to_owned(),
        source,
    }
}

fn refuse(place: &Path, exposure: Option<Exposure>) -> Result<(), StationError> {
    exposure.map_or(Ok(()), |exposure| {
        Err(StationError::Exposed {
            place: place.to_owned(),
            exposure,
        })
    })
}

/// Writes a file, or replaces it.
pub(super) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two processes of one machine may keep the same object at once; and nobody else has made it, or knows its name.
    let random: [u8; 8] = Random.octets().map_err(io::Error::other)?;
    let scratch = path.with_file_name(format!(".{file_name}.{}", HEXLOWER.encode(&random)));
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag fits");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(&scratch)?;
    let written = file
        .write_all(octets)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&scratch, path));
    if written.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    written?;
    File::open(folder)?.sync_all()
}

/// Removes a file, durably; that it is gone already is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_memory_that_others_could_change_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let far = scratch.path().join("far");
        let folder = far.join("off/memory");
        make_folder(&folder).unwrap();
        assert_eq!(root(&folder).unwrap(), folder.canonicalize().unwrap());
        let link = scratch.path().join("link");
        symlink(&folder, &link).unwrap();
        assert_eq!(root(&link).unwrap(), folder.canonicalize().unwrap());
        assert!(check_folder(&folder).is_ok());
        assert!(matches!(check_folder(&link), Err(StationError::Memory { .. })));
        let is_refused = |at: &Path| {
            let refused = root(&folder).is_err() && root(&link).is_err();
            let refusal = root(&folder).unwrap_err();
            refused && matches!(refusal, StationError::Exposed { place, .. } if place == at)
        };
        for place in [&*folder, scratch.path(), &far] {
            fs::set_permissions(place, Permissions::from_mode(0o777)).unwrap();
            assert!(is_refused(place), "{}", place.display());
            fs::set_permissions(place, Permissions::from_mode(0o700)).unwrap();
        }
        if chown(&folder, Some(1000), None).is_err() {
            eprintln!("LEFT OUT: only root can give a folder away");
            return;
        }
        assert!(is_refused(&folder));
        assert!(check_folder(&folder).is_err());
        chown(&folder, Some(0), None).unwrap();
        std::os::unix::fs::lchown(&link, Some(1000), None).unwrap();
        assert!(matches!(root(&link), Err(StationError::Exposed { place, .. }) if place == link));
    }

    #[test]
    fn a_file_is_replaced_and_leaves_nothing_beside_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, victim) = (scratch.path().join("file"), scratch.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, &path).unwrap();
        // The name that it once had, which others could know.
        symlink(
            &victim,
            path.with_file_name(format!(".file.{}", std::process::id())),
        )
        .unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3);
        // A folder is there: what was written for it is not left.
        fs::create_dir(scratch.path().join("folder")).unwrap();
        assert!(write(&scratch.path().join("folder"), b"new").is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 4);
    }
}
