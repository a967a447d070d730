//! A directory as a store.
//!
//! Folders are 0700 and files 0600 from the moment they exist; a batch folder that is open to others
//! is refused. Many files become durable by one `syncfs`, a few by an fsync each, which does not wait
//! for what others wrote. What is published is put in place atomically.

mod atomic;
mod version;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use zeroize::Zeroizing;

use super::{Attempt, Existing, Listed, Object, Replaced, Store, StoreError, Ticket, Version};

/// The folder of one batch.
#[derive(Debug)]
pub struct DirStore {
    root: PathBuf,
    /// The folder, open since before the first write: only so does `syncfs` report every error since.
    folder: OnceLock<File>,
    /// What was put and not yet flushed, by ticket.
    unflushed: Mutex<HashMap<Ticket, Unflushed>>,
    next_ticket: AtomicU64,
}

/// The files of one put.
#[derive(Debug)]
enum Unflushed {
    /// At most [`FEW`], by name.
    Few(Vec<PathBuf>),
    Many,
}

/// So many files are synced one by one.
const FEW: usize = 64;

impl DirStore {
    /// Uses a folder, which is made when something is first written.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        // The ledger records the place, so it must not depend on where a command is run.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self {
            root,
            folder: OnceLock::new(),
            unflushed: Mutex::default(),
            next_ticket: AtomicU64::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of the batch, made if need be, for its owner alone.
    fn folder(&self) -> io::Result<&File> {
        if let Some(folder) = self.folder.get() {
            return Ok(folder);
        }
        make_folder(&self.root)?;
        let folder = File::open(&self.root)?;
        Ok(self.folder.get_or_init(|| folder))
    }

    /// Whether the folder, if there is one, keeps others out.
    fn check_folder(&self) -> Result<(), StoreError> {
        if self.folder.get().is_some() {
            return Ok(());
        }
        let Ok(metadata) = fs::metadata(&self.root) else {
            return Ok(());
        };
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        let mode = metadata.mode() & 0o777;
        if is_own && mode & 0o077 == 0 {
            return Ok(());
        }
        Err(StoreError::OpenToOthers {
            folder: self.location(),
            mode,
        })
    }

    /// Writes a file, mode 0600; makes its folder when it is missing.
    fn write(&self, path: &Path, body: &[u8], existing: Existing) -> io::Result<File> {
        self.folder()?;
        let open = || {
            let mut options = OpenOptions::new();
            match existing {
                Existing::Refuse => options.create_new(true),
                Existing::Replace => options.create(true).truncate(true),
            };
            options.write(true).mode(0o600).open(path)
        };
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(path.parent().unwrap_or(&self.root))?;
                open()?
            }
            other => other?,
        };
        file.write_all(body)?;
        Ok(file)
    }

    /// Makes the whole file system durable.
    fn sync_all(&self) -> io::Result<()> {
        let folder = self.folder()?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(folder)?;
        #[cfg(not(target_os = "linux"))]
        {
            rustix::fs::sync();
            folder.sync_all()?;
        }
        Ok(())
    }

    /// Makes the names of files durable, and those of the folders that they are in.
    fn sync_names<'a>(&'a self, paths: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        // Each folder up to the batch's: any of them may be new.
        let above = |path: &'a Path| path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        let mut folders: BTreeSet<&Path> = paths.flat_map(above).collect();
        folders.insert(&self.root);
        folders.extend(self.root.parent());
        folders
            .into_iter()
            .try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn flush_files(&self, tickets: &[Ticket]) -> io::Result<()> {
        let mut paths = Vec::new();
        let mut is_many = false;
        {
            let mut unflushed = self.unflushed.lock().expect("no holder panics");
            for ticket in tickets {
                match unflushed.remove(ticket) {
                    Some(Unflushed::Few(few)) => paths.extend(few),
                    Some(Unflushed::Many) => is_many = true,
                    None => {}
                }
            }
        }
        if is_many || paths.len() > FEW {
            return self.sync_all();
        }
        for path in &paths {
            File::open(path)?.sync_all()?;
        }
        self.sync_names(paths.iter().map(PathBuf::as_path))
    }

    fn read_file(&self, name: &str, range: Option<Range<u64>>) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut file = File::open(self.path(name))?;
        let size = file.metadata()?.len();
        let range = range.unwrap_or(0..size);
        let len = range.end.min(size).saturating_sub(range.start);
        // Of full size from the start, so that it never moves and leaves a copy behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0)));
        file.seek(SeekFrom::Start(range.start))?;
        file.take(len).read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn walk(&self, folder: &str, visit: &mut dyn FnMut(Listed)) -> io::Result<()> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            if file_name.starts_with('.') {
                continue;
            }
            let name = format!("{folder}{file_name}");
            let metadata = match entry.metadata() {
                // Somebody removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if metadata.is_dir() {
                self.walk(&format!("{name}/"), visit)?;
            } else {
                visit(listed(name, &metadata));
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
            match (operation, source.kind()) {
                ("read", io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    StoreError::NotFound { object }
                }
                ("write", io::ErrorKind::AlreadyExists) => StoreError::Conflict { object },
                _ => StoreError::Io {
                    operation,
                    object,
                    source,
                },
            }
        }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The same error for one more of those that failed together.
fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

impl Store for DirStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn put(&self, objects: &[Object<'_>], attempt: Attempt<'_>) -> Result<Ticket, StoreError> {
        self.check_folder()?;
        let existing = match attempt.earlier.is_empty() {
            true => Existing::Refuse,
            false => Existing::Replace,
        };
        for Object { name, body, .. } in objects {
            self.write(&self.path(name), body, existing)
                .map_err(self.error("write", name))?;
        }
        let unflushed = match objects.len() {
            0..=FEW => Unflushed::Few(objects.iter().map(|object| self.path(&object.name)).collect()),
            _ => Unflushed::Many,
        };
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.unflushed
            .lock()
            .expect("no holder panics")
            .insert(Ticket(number), unflushed);
        Ok(Ticket(number))
    }

    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError> {
        self.check_folder()?;
        let placed = self.place([(name, body)].into_iter(), Existing::Refuse);
        Ok(placed.map_err(self.error("create", name))?[0])
    }

    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>> {
        let flushed = self.flush_files(&tickets);
        // What is synced together is lost together.
        let result = |_| match &flushed {
            Ok(()) => Ok(()),
            Err(error) => Err(self.error("make durable", "")(copy(error))),
        };
        tickets.iter().map(result).collect()
    }

    fn publish(&self, objects: &[(String, Vec<u8>)], existing: Existing) -> Vec<Result<(), StoreError>> {
        if self.check_folder().is_err() {
            return objects.iter().map(|_| self.check_folder()).collect();
        }
        let bodies = objects
            .iter()
            .map(|(name, body)| (name.as_str(), body.as_slice()));
        let placed = self.place(bodies, existing);
        let result = |i: usize, name: &str| match &placed {
            Ok(placed) if placed[i] => Ok(()),
            Ok(_) => Err(StoreError::Conflict {
                object: self.path(name).display().to_string(),
            }),
            // What is put in place together fails together.
            Err(error) => Err(self.error("publish", name)(copy(error))),
        };
        let results = objects.iter().enumerate();
        results.map(|(i, (name, _))| result(i, name)).collect()
    }

    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.read_file(name, range).map_err(self.error("read", name))
    }

    fn read_version(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError> {
        let octets = self.read(name, None)?;
        let version = version::of(&octets);
        Ok((octets, version))
    }

    fn replace(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> Result<bool, StoreError> {
        self.check_folder()?;
        self.swap(name, body, version, replaced)
            .map_err(self.error("replace", name))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.shred(name).map_err(self.error("remove", name))
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.shred_scratch(name).map_err(self.error("purge", name))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        if prefix.is_empty() || prefix.ends_with('/') {
            return self.walk(prefix, visit).map_err(self.error("list", prefix));
        }
        match fs::metadata(self.path(prefix)) {
            Ok(metadata) if metadata.is_file() => visit(listed(prefix.to_owned(), &metadata)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.error("list", prefix)(error)),
        }
        Ok(())
    }
}

fn listed(name: String, metadata: &fs::Metadata) -> Listed {
    Listed {
        name,
        size: metadata.len(),
        stamp: format!(
            "{}-{}.{:09}",
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const FIRST: Attempt<'static> = Attempt {
        name: "1",
        earlier: &[],
    };
    const SECOND: Attempt<'static> = Attempt {
        name: "2",
        earlier: &[String::new()],
    };

    fn put(store: &DirStore, name: &str, body: &[u8]) -> Result<Ticket, StoreError> {
        let name = name.to_owned();
        let sha256 = None;
        store.put(&[Object { name, body, sha256 }], SECOND)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("out/batch"));
        put(&store, "bundles/3f/A.zip", b"key").unwrap();
        let index = [("index/000000.csv".to_owned(), b"row".to_vec())];
        assert!(store.publish(&index, Existing::Refuse)[0].is_ok());
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
        let first = put(&store, "packs/000000.zip", b"long, long ago").unwrap();
        let second = put(&store, "packs/000000.zip", b"0123456789").unwrap();
        assert!(store.flush(vec![first, second]).iter().all(Result::is_ok));
        assert_eq!(**store.read("packs/000000.zip", None).unwrap(), *b"0123456789");
        assert_eq!(**store.read("packs/000000.zip", Some(2..5)).unwrap(), *b"234");
        assert_eq!(**store.read("packs/000000.zip", Some(8..50)).unwrap(), *b"89");
        assert!(matches!(
            store.read("packs/000001.zip", None),
            Err(StoreError::NotFound { .. })
        ));
        let objects = ["index/000000.csv", "index/000001.csv"].map(|name| (name.to_owned(), b"x".to_vec()));
        assert!(
            store
                .publish(&objects, Existing::Refuse)
                .iter()
                .all(Result::is_ok)
        );
        let mut names = Vec::new();
        store
            .list("", &mut |listed| names.push((listed.name, listed.size)))
            .unwrap();
        names.sort();
        let whole = names[1].0.clone();
        store
            .list(&whole, &mut |listed| assert_eq!(listed.name, whole))
            .unwrap();
        let expected = [
            ("index/000000.csv", 1),
            ("index/000001.csv", 1),
            ("packs/000000.zip", 10),
        ];
        assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
        store.list("none/", &mut |_| panic!("there is nothing")).unwrap();
        store.list("none", &mut |_| panic!("there is nothing")).unwrap();
    }

    #[test]
    fn creates_an_object_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        assert!(store.create("batch.json", b"first").unwrap());
        assert!(!store.create("batch.json", b"second").unwrap());
        assert_eq!(**store.read("batch.json", None).unwrap(), *b"first");
        assert_eq!(fs::read_dir(folder.path().join("batch")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_already_stays_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        let object = |body| {
            [Object {
                name: "bundles/00/A.zip".to_owned(),
                body,
                sha256: None,
            }]
        };
        store.put(&object(b"first"), FIRST).unwrap();
        let again = store.put(&object(b"second"), FIRST);
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
        store.put(&object(b"third"), SECOND).unwrap();
        assert_eq!(**store.read("bundles/00/A.zip", None).unwrap(), *b"third");

        let index = |body: &[u8]| [("index/000000.csv".to_owned(), body.to_vec())];
        assert!(store.publish(&index(b"first"), Existing::Refuse)[0].is_ok());
        assert!(store.publish(&index(b"first"), Existing::Refuse)[0].is_ok());
        let again = store.publish(&index(b"second"), Existing::Refuse);
        assert!(matches!(again[..], [Err(StoreError::Conflict { .. })]));
        assert_eq!(**store.read("index/000000.csv", None).unwrap(), *b"first");
        assert!(store.publish(&index(b"second"), Existing::Replace)[0].is_ok());
        assert_eq!(**store.read("index/000000.csv", None).unwrap(), *b"second");
        assert_eq!(
            fs::read_dir(folder.path().join("batch/index")).unwrap().count(),
            1
        );
    }

    #[test]
    fn refuses_a_batch_folder_that_is_open_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("batch");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o750)).unwrap();
        let store = DirStore::new(root.clone());
        assert!(matches!(
            put(&store, "a", b""),
            Err(StoreError::OpenToOthers { mode: 0o750, .. })
        ));
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        put(&store, "a", b"").unwrap();
    }

    #[test]
    fn many_files_are_flushed_as_well_as_few() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::new(folder.path().join("batch"));
        let objects: Vec<_> = (0..=FEW)
            .map(|i| Object {
                name: format!("bundles/00/{i}.zip"),
                body: b"x",
                sha256: None,
            })
            .collect();
        let many = store.put(&objects, FIRST).unwrap();
        let few = store.put(&objects[..2], SECOND).unwrap();
        assert_eq!(store.flush(vec![few, many]).len(), 2);
        assert!(store.unflushed.lock().unwrap().is_empty());
    }
}
