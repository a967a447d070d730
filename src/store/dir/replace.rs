//! Versions of a file: replaced only by one who knows what it replaces, and removed for good.
//!
//! A version is a digest of the content. Of many processes that replace files of a batch one does at a
//! time, under a lock that the kernel takes away from whoever dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::atomic::{scratch, scratch_prefix};
use super::{Dir, found};
use crate::store::transport::{Outcome, Replaced, Version};

/// Beside the objects, and no object.
const LOCK_FILE: &str = ".lock";

impl Dir {
    /// Replaces a file that still is this version. One that is to be shredded keeps a name until a purge
    /// overwrites it, so that it is found after a crash.
    pub(super) fn swap(
        &self,
        path: &Path,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> io::Result<Outcome> {
        // Written before the lock, so that a slow disk keeps nobody waiting.
        let written = self.write_beside(path, body)?;
        let _lock = self.lock()?;
        match found(path, body)? {
            Some(found) if found.version == *version => {}
            found => {
                fs::remove_file(&written)?;
                return Ok(Outcome::Refused { found, body: None });
            }
        }
        if replaced == Replaced::Shredded {
            fs::hard_link(path, scratch(path))?;
        }
        fs::rename(&written, path)?;
        self.sync_names(std::iter::once(path))?;
        Ok(Outcome::Stored)
    }

    /// Overwrites a file and removes it. A disk may still hold what it held: SECURITY.md says so.
    pub(super) fn shred(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let _lock = self.lock()?;
        self.shred_scratch_of(&path)?;
        match remove_overwritten(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync_names(std::iter::once(path.as_path())),
        }
    }

    /// Overwrites and removes what was written beside a file, or replaced, by one who was stopped.
    pub(super) fn shred_scratch(&self, name: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        self.shred_scratch_of(&self.path(name))
    }

    /// The same under the lock, which whoever replaces a file holds, so nobody uses what is found. Who was stopped
    /// between the two steps of a replacement left another name of the file that is still in its place.
    fn shred_scratch_of(&self, path: &Path) -> io::Result<()> {
        let prefix = scratch_prefix(path);
        let folder = path.parent().unwrap_or(&self.root);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let in_place = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(id(other?)),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                match Some(id(entry.metadata()?)) == in_place {
                    true => fs::remove_file(entry.path())?,
                    false => remove_overwritten(&entry.path())?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> io::Result<File> {
        self.folder()?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.path(LOCK_FILE))?;
        file.lock()?;
        Ok(file)
    }
}

fn remove_overwritten(path: &Path) -> io::Result<()> {
    overwrite(OpenOptions::new().write(true).open(path)?)?;
    fs::remove_file(path)
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
        let store = Store::in_folder(folder.path().join("batch"));
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
    fn another_name_of_the_file_in_its_place_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        store.create("packs/0.zip", b"private keys").unwrap();
        let path = folder.path().join("batch/packs/0.zip");
        // Stopped after the first step of a replacement.
        let left = scratch(&path);
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
        let (_, version) = store.read_version("packs/0.zip").unwrap();
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
