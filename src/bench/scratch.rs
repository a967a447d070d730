//! The folder in which everything is written that is measured.
//!
//! Invariant: mode 0700 from the moment it exists, for there are private keys in it, and gone when the value is dropped,
//! unless the system does not remove it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::BenchError;

/// A folder of our own, with all that is in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in a folder that exists.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new(within: &Path) -> Result<Self, BenchError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let failed = |source| BenchError::Folder {
            folder: within.to_owned(),
            source,
        };
        // A ledger tells its place by an absolute path.
        let within = std::path::absolute(within).map_err(failed)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = within.join(format!("certforge-bench-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // A process of this number was killed and left one behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Another one within it, which goes earlier.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn folder(&self) -> Result<Self, BenchError> {
        Self::new(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A drop cannot fail. Whoever got the path, by `Event::Begun`, can see whether the folder is gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What kind of file system a folder is on, such as `tmpfs` or `ext4`; `None` where nobody tells.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    // Device, place, type and more (proc(5)). Of several at one place the last is seen.
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let seen = mounted.filter(|(place, _)| folder.starts_with(place));
    let (_, name) = seen.max_by_key(|(place, _)| place.len())?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_for_its_owner_alone_and_goes_with_all_that_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(place.path()).unwrap();
        let inner = scratch.folder().unwrap();
        std::fs::write(inner.path().join("file"), "x").unwrap();
        for folder in [&scratch, &inner] {
            let mode = folder.path().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        drop(inner);
        assert_eq!(scratch.path().read_dir().unwrap().count(), 0);
        std::mem::forget(scratch.folder().unwrap());
        drop(scratch);
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn tells_where_no_folder_can_be_made() {
        let place = tempfile::tempdir().unwrap();
        let error = Scratch::new(&place.path().join("nowhere")).unwrap_err();
        assert!(matches!(error, BenchError::Folder { folder, .. } if folder.ends_with("nowhere")));
    }
}
