//! A directory as a store.
//!
//! Folders are 0700 and files 0600 from the moment they exist. What was put becomes durable by one
//! `syncfs`, not by an fsync a file. What is published is written beside its place, made durable,
//! and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Listed, Store, StoreError};

/// The folder of one batch.
#[derive(Debug)]
pub struct DirStore {
    root: PathBuf,
}

impl DirStore {
    /// Uses a folder, which is made when something is first written.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        // The ledger records the place, so it must not depend on where a command is run.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Opens a file for writing; makes its folders when they are missing.
    fn create(&self, path: &Path) -> io::Result<File> {
        let open = || {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(path)
        };
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&self.root);
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                open()
            }
            other => other,
        }
    }

    fn write(&self, path: &Path, body: &[u8]) -> io::Result<File> {
        let mut file = self.create(path)?;
        file.write_all(body)?;
        Ok(file)
    }

    fn sync(&self) -> io::Result<()> {
        let folder = File::open(&self.root)?;
        // syncfs reports the errors of earlier writes too, since Linux 5.8.
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&folder)?;
        #[cfg(not(target_os = "linux"))]
        {
            rustix::fs::sync();
            folder.sync_all()?;
        }
        Ok(())
    }

    fn publish_files(&self, objects: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut moves = Vec::with_capacity(objects.len());
        for (name, body) in objects {
            let path = self.path(name);
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            let scratch = path.with_file_name(format!(".{file_name}.tmp"));
            let file = self.write(&scratch, body)?;
            if objects.len() == 1 {
                file.sync_all()?;
            }
            moves.push((scratch, path));
        }
        if objects.len() > 1 {
            self.sync()?;
        }
        let mut folders: Vec<&Path> = Vec::new();
        for (scratch, path) in &moves {
            fs::rename(scratch, path)?;
            let folder = path.parent().unwrap_or(&self.root);
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
            .iter()
            .try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn read_file(&self, name: &str, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let mut octets = Vec::new();
        match range {
            None => {
                file.read_to_end(&mut octets)?;
            }
            Some(range) => {
                file.seek(SeekFrom::Start(range.start))?;
                file.take(range.end.saturating_sub(range.start))
                    .read_to_end(&mut octets)?;
            }
        }
        Ok(octets)
    }

    fn walk(&self, folder: &str, visit: &mut dyn FnMut(Listed)) -> io::Result<()> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{folder}{}", entry.file_name().to_string_lossy());
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                self.walk(&format!("{name}/"), visit)?;
            } else {
                visit(Listed {
                    name,
                    size: metadata.len(),
                });
            }
        }
        Ok(())
    }

    fn error<'a>(
        &'a self,
        operation: &'static str,
        name: &'a str,
    ) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| {
            let object = self.path(name).display().to_string();
            if source.kind() == io::ErrorKind::NotFound && operation == "read" {
                return StoreError::NotFound { object };
            }
            StoreError::Io {
                operation,
                object,
                source,
            }
        }
    }
}

impl Store for DirStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn put(&self, name: &str, body: &[u8]) -> Result<(), StoreError> {
        self.write(&self.path(name), body)
            .map(|_| ())
            .map_err(self.error("write", name))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.sync().map_err(self.error("make durable", ""))
    }

    fn publish(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        let name = objects.first().map_or("", |(name, _)| name);
        self.publish_files(objects).map_err(self.error("publish", name))
    }

    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, StoreError> {
        self.read_file(name, range).map_err(self.error("read", name))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.walk(prefix, visit).map_err(self.error("list", prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("out/batch"));
        store.put("bundles/3f/A.zip", b"key").unwrap();
        store
            .publish(&[("index/000000.csv".to_owned(), b"row".to_vec())])
            .unwrap();
        for name in [
            "out",
            "out/batch",
            "out/batch/bundles",
            "out/batch/bundles/3f",
            "out/batch/index",
        ] {
            assert_eq!(mode(&folder.path().join(name)), 0o700, "{name}");
        }
        assert_eq!(mode(&folder.path().join("out/batch/bundles/3f/A.zip")), 0o600);
        assert_eq!(mode(&folder.path().join("out/batch/index/000000.csv")), 0o600);
    }

    #[test]
    fn gives_back_what_was_put_whole_or_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        store.put("packs/000000.zip", b"long, long ago").unwrap();
        store.put("packs/000000.zip", b"0123456789").unwrap();
        store.flush().unwrap();
        assert_eq!(store.read("packs/000000.zip", None).unwrap(), b"0123456789");
        assert_eq!(store.read("packs/000000.zip", Some(2..5)).unwrap(), b"234");
        assert!(matches!(
            store.read("packs/000001.zip", None),
            Err(StoreError::NotFound { .. })
        ));
        let objects = ["index/000000.csv", "index/000001.csv"].map(|name| (name.to_owned(), b"x".to_vec()));
        store.publish(&objects).unwrap();
        let mut names = Vec::new();
        store
            .list("", &mut |listed| names.push((listed.name, listed.size)))
            .unwrap();
        names.sort();
        let expected = [
            ("index/000000.csv", 1),
            ("index/000001.csv", 1),
            ("packs/000000.zip", 10),
        ];
        assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
        store.list("none/", &mut |_| panic!("there is nothing")).unwrap();
    }
}
