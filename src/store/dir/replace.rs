//! Versions of a file: replaced only by one who knows what it replaces, and removed for good.
//!
//! A version is a digest of the content. Of many processes that replace files of a batch one does at a
//! time, under a lock that the kernel takes away from whoever dies.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, OFlags, linkat, renameat, statat};
use rustix::io::Errno;

use super::atomic::{remove, scratch, scratch_prefix, write_beside};
use super::folder::{self, Spot, Spots};
use super::{Dir, found};
use crate::store::transport::{Outcome, Replaced, Version};

/// Beside the objects, and no object.
const LOCK_FILE: &str = ".lock";

/// Nobody holds the lock for longer than a disk takes for some files: who does was stopped while it had it, or has no
/// business with it.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Between two looks at the lock.
const LONGEST_NAP: Duration = Duration::from_millis(10);

impl Dir {
    /// Replaces a file that still is this version. One that is to be shredded keeps a name until a purge
    /// overwrites it, so that it is found after a crash.
    pub(super) fn swap(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> io::Result<Outcome> {
        let spot = Spots::new(self.folder()?).make(name)?;
        // Written before the lock, so that a slow disk keeps nobody waiting.
        let written = write_beside(&spot, body)?;
        let (folder, file) = (&spot.folder, spot.file);
        let looked = self
            .lock()
            .and_then(|lock| Ok((found(folder, file, body)?, lock)));
        let _lock = match looked {
            Ok((Some(found), lock)) if found.version == *version => lock,
            other => {
                remove(&spot, &written)?;
                let found = other?.0;
                return Ok(Outcome::Refused { found, body: None });
            }
        };
        if replaced == Replaced::Shredded {
            linkat(folder, file, folder, scratch(file), AtFlags::empty())?;
        }
        renameat(folder, &written, folder, file)?;
        self.sync_names(std::iter::once(name))?;
        Ok(Outcome::Stored)
    }

    /// Overwrites a file and removes it. A disk may still hold what it held: SECURITY.md says so.
    pub(super) fn shred(&self, name: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        let Some(spot) = self.spot(name)? else {
            return Ok(());
        };
        shred_scratch_of(&spot)?;
        match remove_overwritten(&spot, spot.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync_names(std::iter::once(name)),
        }
    }

    /// Overwrites and removes what was written beside a file, or replaced, by one who was stopped.
    pub(super) fn shred_scratch(&self, name: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        match self.spot(name)? {
            Some(spot) => shred_scratch_of(&spot),
            None => Ok(()),
        }
    }

    /// Where a file is, if its folder is there.
    fn spot<'n>(&self, name: &'n str) -> io::Result<Option<Spot<'n>>> {
        match Spots::new(self.folder()?).of(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) fn lock(&self) -> io::Result<File> {
        self.lock_within(LOCK_WAIT)
    }

    /// Takes the lock, unless somebody holds it for so long.
    fn lock_within(&self, wait: Duration) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let file = folder::open_file(self.folder()?, LOCK_FILE, flags).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{}: {error}", self.path(LOCK_FILE).display()),
            )
        })?;
        let until = Instant::now() + wait;
        let mut nap = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
                Err(std::fs::TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(nap);
                    nap = (nap * 2).min(LONGEST_NAP);
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let path = self.path(LOCK_FILE);
                    let message = format!(
                        "another process holds {} for {} s",
                        path.display(),
                        wait.as_secs()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
            }
        }
    }
}

/// Overwrites and removes what lies beside a file, under the lock, which whoever replaces a file holds, so nobody uses
/// what is found. Who was stopped between the two steps of a replacement left another name of the file that is still in
/// its place.
fn shred_scratch_of(spot: &Spot<'_>) -> io::Result<()> {
    let prefix = scratch_prefix(spot.file);
    let id = |file: &str| match statat(&spot.folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        other => other.map(|stat| Some((stat.st_dev, stat.st_ino))),
    };
    let in_place = id(spot.file)?;
    for entry in rustix::fs::Dir::read_from(&spot.folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy();
        if !file.starts_with(&prefix) {
            continue;
        }
        let is_in_place = in_place.is_some() && id(&file)? == in_place;
        match is_in_place {
            true => remove(spot, &file)?,
            false => match remove_overwritten(spot, &file) {
                // A link or a pipe holds nothing of its own.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => remove(spot, &file)?,
                other => other?,
            },
        }
    }
    Ok(())
}

fn remove_overwritten(spot: &Spot<'_>, file: &str) -> io::Result<()> {
    overwrite(folder::open_file(&spot.folder, file, OFlags::WRONLY)?)?;
    remove(spot, file)
}

/// Writes zeros over a file, to the disk.
fn overwrite(mut file: File) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut left = file.metadata()?.size();
    file.seek(SeekFrom::Start(0))?;
    while left > 0 {
        let some = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..usize::try_from(some).unwrap_or(ZEROS.len())])?;
        left -= some;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Store;

    #[test]
    fn replaces_only_the_version_that_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        assert!(store.create("claims/A.json", b"first").unwrap());
        let (octets, first) = store.read_version("claims/A.json", None).unwrap();
        assert_eq!(**octets, *b"first");
        assert!(
            store
                .replace("claims/A.json", b"second", &first, Replaced::Forgotten)
                .unwrap()
        );
        assert!(
            store
                .replace("claims/A.json", b"second", &first, Replaced::Forgotten)
                .unwrap(),
            "the same content is no loss"
        );
        assert!(
            !store
                .replace("claims/A.json", b"third", &first, Replaced::Forgotten)
                .unwrap()
        );
        assert!(
            !store
                .replace("claims/B.json", b"third", &first, Replaced::Forgotten)
                .unwrap()
        );
        assert_eq!(**store.read("claims/A.json", None).unwrap(), *b"second");
    }

    #[test]
    fn another_name_of_the_file_in_its_place_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("packs/0.zip", b"private keys").unwrap();
        let path = folder.path().join("batch/packs/0.zip");
        // Stopped after the first step of a replacement.
        let left = path.with_file_name(scratch("0.zip"));
        fs::hard_link(&path, &left).unwrap();
        store.purge("packs/0.zip").unwrap();
        assert_eq!(**store.read("packs/0.zip", None).unwrap(), *b"private keys");
        assert!(!left.exists());
    }

    #[test]
    fn a_file_that_is_removed_is_overwritten_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("bundles/A.zip", b"a private key").unwrap();
        let path = folder.path().join("batch/bundles/A.zip");
        let also = folder.path().join("also");
        fs::hard_link(&path, &also).unwrap();
        store.remove("bundles/A.zip").unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(&also).unwrap(), [0; 13]);
        store.remove("bundles/A.zip").unwrap();
    }

    #[test]
    fn what_is_replaced_is_overwritten_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("packs/0.zip", b"a private key").unwrap();
        let also = folder.path().join("also");
        fs::hard_link(folder.path().join("batch/packs/0.zip"), &also).unwrap();
        let (_, version) = store.read_version("packs/0.zip", None).unwrap();
        assert!(
            store
                .replace("packs/0.zip", b"none", &version, Replaced::Shredded)
                .unwrap()
        );
        assert_eq!(fs::read(&also).unwrap(), [0; 13]);
    }

    #[test]
    fn purges_what_one_left_who_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("packs/0.zip", b"a private key").unwrap();
        let packs = folder.path().join("batch/packs");
        for name in [".0.zip.0123456789abcdef.tmp", ".1.zip.0123456789abcdef.tmp"] {
            fs::write(packs.join(name), "a private key").unwrap();
        }
        store.purge("packs/0.zip").unwrap();
        assert!(!packs.join(".0.zip.0123456789abcdef.tmp").exists());
        assert!(packs.join(".1.zip.0123456789abcdef.tmp").exists());
        assert_eq!(**store.read("packs/0.zip", None).unwrap(), *b"a private key");
        store.purge("none/0.zip").unwrap();
    }

    #[test]
    fn one_of_many_that_replace_a_version_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("claims/A.json", b"first").unwrap();
        let (_, first) = store.read_version("claims/A.json", None).unwrap();
        let done: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16_u8)
                .map(|i| {
                    let (store, first) = (&store, &first);
                    scope.spawn(move || {
                        usize::from(
                            store
                                .replace("claims/A.json", &[i], first, Replaced::Forgotten)
                                .unwrap(),
                        )
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, 1);
    }

    #[test]
    fn a_lock_that_another_holds_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::new(folder.path().join("batch"));
        let held = dir.lock().unwrap();
        let error = dir.lock_within(Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(
            error.to_string().starts_with("another process holds /"),
            "{error}"
        );
        let error = crate::store::StoreError::Io {
            operation: "replace",
            object: "claims/A.json".to_owned(),
            source: error,
        };
        assert!(error.is_passing() && error.hint().is_some_and(|hint| hint.contains("fuser")));
        drop(held);
        drop(dir.lock_within(Duration::ZERO).unwrap());
    }

    #[test]
    fn a_lock_that_is_no_regular_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::new(folder.path().join("batch"));
        drop(dir.lock().unwrap());
        let path = folder.path().join("batch").join(LOCK_FILE);
        let elsewhere = folder.path().join("elsewhere");
        for target in [elsewhere.as_path(), std::path::Path::new("/dev/null")] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(target, &path).unwrap();
            assert_eq!(dir.lock().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert!(!elsewhere.exists());
    }
}
