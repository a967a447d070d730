//! Versions of a file: replaced only by one who knows what it replaces, and removed for good.
//!
//! A version is a digest of the content. Of many processes that replace files of a batch one does at a
//! time, under a lock that the kernel takes away from whoever dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use data_encoding::HEXLOWER;

use super::DirStore;
use crate::digest::sha256;
use crate::store::{Replaced, Version};

/// Beside the objects, and no object.
const LOCK_FILE: &str = ".lock";

pub(super) fn of(octets: &[u8]) -> Version {
    Version(HEXLOWER.encode(&sha256(octets)))
}

impl DirStore {
    /// Replaces a file that still is this version. Returns whether the new content is there now.
    pub(super) fn swap(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> io::Result<bool> {
        let path = self.path(name);
        let _lock = self.lock()?;
        let found = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => zeroize::Zeroizing::new(other?),
        };
        if of(&found) != *version {
            return Ok(found.as_slice() == body);
        }
        let scratch = self.write_beside(&path, body)?;
        // Held open, so that what was replaced can be overwritten and not only forgotten.
        let old = OpenOptions::new().write(true).open(&path)?;
        fs::rename(&scratch, &path)?;
        self.sync_names(std::iter::once(path.as_path()))?;
        if replaced == Replaced::Shredded {
            overwrite(old)?;
        }
        Ok(true)
    }

    /// Overwrites a file and removes it. A disk may still hold what it held: SECURITY.md says so.
    pub(super) fn shred(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let _lock = self.lock()?;
        match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => overwrite(file?)?,
        }
        fs::remove_file(&path)?;
        self.sync_names(std::iter::once(path.as_path()))
    }

    fn lock(&self) -> io::Result<File> {
        self.folder()?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.path(LOCK_FILE))?;
        file.lock()?;
        Ok(file)
    }
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
    use super::*;
    use crate::store::Store;

    #[test]
    fn replaces_only_the_version_that_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        assert!(store.create("claims/A.json", b"first").unwrap());
        let (octets, first) = store.read_version("claims/A.json").unwrap();
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
    fn a_file_that_is_removed_is_overwritten_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
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
        let store = DirStore::new(folder.path().join("batch"));
        store.create("packs/0.zip", b"a private key").unwrap();
        let also = folder.path().join("also");
        fs::hard_link(folder.path().join("batch/packs/0.zip"), &also).unwrap();
        let (_, version) = store.read_version("packs/0.zip").unwrap();
        assert!(
            store
                .replace("packs/0.zip", b"none", &version, Replaced::Shredded)
                .unwrap()
        );
        assert_eq!(fs::read(&also).unwrap(), [0; 13]);
    }

    #[test]
    fn one_of_many_that_replace_a_version_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        store.create("claims/A.json", b"first").unwrap();
        let (_, first) = store.read_version("claims/A.json").unwrap();
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
}
