//! A directory as a store.
//!
//! Folders are 0700 and files 0600 from the moment they exist; a batch folder that is another's or open to others
//! is refused. Many files become durable by one `syncfs`, a few by an fsync each, which does not wait
//! for what others wrote. What is put atomically is written beside its place first. Nothing tells who wrote a
//! file.

mod aside;
mod atomic;
#[cfg(target_os = "linux")]
mod direct;
mod folder;
mod release;
mod replace;
mod sync;
mod walk;

use std::fs::{self, DirBuilder, File};
#[cfg(not(target_os = "linux"))]
use std::io::Write;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use folder::{open_file, split};

use super::StoreError;
use super::place::spelling;
use super::transport::{
    Found, Got, How, Listed, Lot, Manner, Object, Outcome, Putting, Release, Transport, Version, When,
};
use crate::batch::BATCH_OBJECT;
use crate::exposure::Exposure;

/// What is in the place of a file may be larger by so much.
const MUCH_LARGER: u64 = 4 << 20;

/// The folder of one batch.
#[derive(Debug)]
pub struct Dir {
    root: PathBuf,
    origin: Origin,
    /// The folder, open since before the first write: only so does `syncfs` report every error since.
    folder: OnceLock<File>,
}

/// Where the folder of a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is made when something is first written.
    Made,
    /// Somebody else has made it, and the batch is in it.
    Found,
}

/// Folders below each other: a batch has no more than five, of a generation that is laid out as objects.
const DEEPEST: usize = 6;

impl Transport for Dir {
    fn locate(&self, name: &str) -> String {
        match name {
            "" => self.root.display().to_string(),
            name => self.path(name).display().to_string(),
        }
    }

    fn tells_writers(&self) -> bool {
        false
    }

    fn refuse_exposed(&self) -> Result<(), StoreError> {
        if self.folder.get().is_some() {
            return Ok(());
        }
        match self.open() {
            Ok(folder) => {
                self.folder.get_or_init(|| folder);
                Ok(())
            }
            // There was none yet, or none can be: whoever makes it says so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) if fs::symlink_metadata(&self.root).is_err() => Ok(()),
            Err(error) => Err(self.error("open", "")(error)),
        }
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        let get = |name: &&str| {
            let octets = self
                .read_file(name, range.clone())
                .map_err(self.error("read", name))?;
            Ok(Got {
                octets,
                version: None,
            })
        };
        names.iter().map(get).collect()
    }

    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        if let Some(refused) = self.refused(objects.len()) {
            return refused;
        }
        match how.manner {
            Manner::Bulk => self.put_in_bulk(objects, how),
            Manner::Atomic => self.put_atomically(objects, how),
        }
    }

    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        let synced = self.sync_lots(lots);
        // What is synced together is lost together.
        let result = |_| match &synced {
            Ok(()) => Ok(()),
            Err(error) => Err(self.error("make durable", "")(copy(error))),
        };
        lots.iter().map(result).collect()
    }

    fn release(&self, chunks: &[Release<'_>]) -> Vec<Putting> {
        if let Some(refused) = self.refused(chunks.len()) {
            return refused;
        }
        match self.take_place(chunks) {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| Putting::Ended(Ok(outcome)))
                .collect(),
            // What is released together fails together.
            Err(error) => chunks
                .iter()
                .map(|chunk| Putting::Ended(Err(self.error("publish", &chunk.index.name)(copy(&error)))))
                .collect(),
        }
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let delete = |name: &String| self.shred(name).map_err(self.error("remove", name));
        names.iter().map(delete).collect()
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.shred_scratch(name).map_err(self.error("purge", name))
    }

    fn has_leftovers(&self) -> Result<bool, StoreError> {
        self.has_scratch().map_err(self.error("list", ""))
    }

    fn list_aside(&self, visit: &mut dyn FnMut(&str, &str)) -> Result<(), StoreError> {
        self.walk_aside(visit).map_err(self.error("list", ""))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.refuse_away()?;
        match prefix.is_empty() || prefix.ends_with('/') {
            true => {
                let left_out = self.walk(prefix, visit).map_err(self.error("list", prefix))?;
                left_out.map_or(Ok(()), |(name, source)| {
                    let object = self.locate(&name);
                    Err(StoreError::Unlisted { object, source })
                })
            }
            false => self.look_at(prefix, visit).map_err(self.error("list", prefix)),
        }
    }

    fn around(&self) -> Option<Box<dyn Transport>> {
        let above = self.root.parent()?;
        Some(Box::new(Self::new(above.to_owned())))
    }

    fn folders(&self) -> Result<Vec<String>, StoreError> {
        self.folder_names().map_err(self.error("list", ""))
    }
}

impl Dir {
    /// Uses a folder, which is made when something is first written.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self::from(root, Origin::Made)
    }

    /// Uses a folder in which a batch is. Where there is none, because a share is not mounted, nothing is written or
    /// listed: what is missing there tells nothing of the batch.
    #[must_use]
    pub fn found(root: PathBuf) -> Self {
        Self::from(root, Origin::Found)
    }

    fn from(mut root: PathBuf, origin: Origin) -> Self {
        // The ledger records the place, so it must not depend on where a command is run, nor on how somebody spells it.
        root = spelling(&root);
        Self {
            root,
            origin,
            folder: OnceLock::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of the batch, made if need be and if it may be, for its owner alone.
    fn folder(&self) -> io::Result<&File> {
        if let Some(folder) = self.folder.get() {
            return Ok(folder);
        }
        if self.origin == Origin::Made {
            make_folder(&self.root)?;
        }
        let folder = self.open()?;
        Ok(self.folder.get_or_init(|| folder))
    }

    fn open(&self) -> io::Result<File> {
        let folder = folder::open(&self.root)?;
        match self.origin {
            Origin::Found if !folder::is_in(&folder, BATCH_OBJECT)? => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(folder),
        }
    }

    /// Refuses a folder that has no batch in it, where one was found before.
    fn refuse_away(&self) -> Result<(), StoreError> {
        if self.origin == Origin::Made || self.folder.get().is_some() {
            return Ok(());
        }
        let is_there = folder::look(&self.root).and_then(|folder| folder::is_in(&folder, BATCH_OBJECT));
        match is_there {
            Ok(true) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error("open", "")(error)),
            _ => Err(StoreError::Away {
                folder: self.locate(""),
            }),
        }
    }

    /// So many puts that are refused, when the folder does not keep others out, or is not there.
    fn refused(&self, puts: usize) -> Option<Vec<Putting>> {
        let look = || self.refuse_exposed().and_then(|()| self.refuse_away());
        let first = look().err()?;
        // What comes after the first may go without an answer.
        let others = (1..puts).filter_map(|_| look().err());
        let errors = std::iter::once(first).chain(others);
        Some(errors.map(|error| Putting::Ended(Err(error))).collect())
    }

    /// Writes each file in its place: three system calls. Others that are in the way end it.
    fn put_in_bulk(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        let mut puttings = Vec::with_capacity(objects.len());
        for object in objects {
            let outcome = self
                .put_one(object, &how.when)
                .map_err(self.error(how.operation, &object.name));
            let is_there = match &outcome {
                Ok(Outcome::Stored) => true,
                Ok(Outcome::Refused { found, .. }) => found.as_ref().is_some_and(|found| found.is_same),
                Err(_) => false,
            };
            puttings.push(Putting::Ended(outcome));
            if !is_there {
                break;
            }
        }
        puttings
    }

    fn put_one(&self, object: &Object<'_>, when: &When) -> io::Result<Outcome> {
        let written = match when {
            When::Absent => self.write(&object.name, object.body),
            When::Is(version, replaced) => return self.swap(&object.name, object.body, version, *replaced),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                refused(self.folder()?, &object.name, object.body)
            }
            other => other.map(|_| Outcome::Stored),
        }
    }

    /// Writes a new file, mode 0600; makes its folder when it is missing.
    fn write(&self, name: &str, body: &[u8]) -> io::Result<File> {
        let folder = self.folder()?;
        let mut file = match folder::create(folder, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder::make_above(folder, name)?;
                folder::create(folder, name)?
            }
            other => other?,
        };
        #[cfg(target_os = "linux")]
        direct::write(&mut file, body)?;
        #[cfg(not(target_os = "linux"))]
        file.write_all(body)?;
        Ok(file)
    }

    /// Looks at what is in the folder of the batch, which nobody need have opened for writing.
    fn within<T>(&self, ask: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match self.folder.get() {
            Some(folder) => ask(folder),
            None => ask(&folder::look(&self.root)?),
        }
    }

    fn read_file(&self, name: &str, range: Option<Range<u64>>) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut file = self.within(|folder| open_file(folder, name, OFlags::RDONLY))?;
        let size = file.metadata()?.len();
        let range = range.unwrap_or(0..size);
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        read(file, range.end.min(size).saturating_sub(range.start))
    }

    fn error<'a>(
        &'a self,
        operation: &'static str,
        name: &'a str,
    ) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| {
            let object = self.locate(name);
            let within = source.get_ref();
            match within.and_then(|within| within.downcast_ref::<Exposure>()) {
                Some(Exposure::Owner { uid }) => {
                    return StoreError::OfAnother {
                        folder: self.locate(""),
                        uid: *uid,
                    };
                }
                Some(Exposure::Readable { mode } | Exposure::Writable { mode }) => {
                    return StoreError::OpenToOthers {
                        folder: self.locate(""),
                        mode: *mode,
                    };
                }
                None => {}
            }
            match (operation, source.kind()) {
                ("read", io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    StoreError::NotFound { object }
                }
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
    match error
        .get_ref()
        .and_then(|within| within.downcast_ref::<Exposure>())
    {
        Some(exposure) => io::Error::other(*exposure),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// So many octets of a file, or all that follow.
fn read(file: File, len: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Of full size from the start, so that it never moves and leaves a copy behind.
    let mut octets = Zeroizing::new(Vec::new());
    octets.try_reserve_exact(usize::try_from(len).unwrap_or(usize::MAX))?;
    file.take(len).read_to_end(&mut octets)?;
    Ok(octets)
}

/// What is in the way of a file.
fn found(folder: &File, name: &str, body: &[u8]) -> io::Result<Option<Found>> {
    let file = match open_file(folder, name, OFlags::RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let size = file.metadata()?.len();
    // Another attempt's, or another version, is about as large: it is not known by anything but its content.
    if size > MUCH_LARGER + 2 * body.len() as u64 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "something far larger is in its place",
        ));
    }
    let octets = read(file, size)?;
    Ok(Some(Found {
        version: Version::of(&octets),
        is_same: octets.as_slice() == body,
        attempt: None,
    }))
}

fn refused(folder: &File, name: &str, body: &[u8]) -> io::Result<Outcome> {
    Ok(Outcome::Refused {
        found: found(folder, name, body)?,
        body: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Attempt, FEW, Store, Ticket};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    const FIRST: Attempt<'static> = Attempt {
        name: "1",
        earlier: &[],
    };
    const SECOND: Attempt<'static> = Attempt {
        name: "2",
        earlier: &[String::new()],
    };

    fn put(store: &Store, name: &str, body: &[u8]) -> Result<Ticket, StoreError> {
        let name = name.to_owned();
        let sha256 = None;
        store.put(&[Object { name, body, sha256 }], FIRST)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("out/batch"));
        put(&store, "bundles/3f/A.zip", b"key").unwrap();
        let index = [("index/000000.csv".to_owned(), b"row".to_vec())];
        assert!(store.publish(&index)[0].is_ok());
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
        let store = Store::in_folder(folder.path().join("batch"));
        let ticket = put(&store, "packs/000000.zip", b"0123456789").unwrap();
        assert!(store.flush(vec![ticket]).iter().all(Result::is_ok));
        assert_eq!(**store.read("packs/000000.zip", None).unwrap(), *b"0123456789");
        assert_eq!(**store.read("packs/000000.zip", Some(2..5)).unwrap(), *b"234");
        assert_eq!(**store.read("packs/000000.zip", Some(8..50)).unwrap(), *b"89");
        assert!(matches!(
            store.read("packs/000001.zip", None),
            Err(StoreError::NotFound { .. })
        ));
        let objects = ["index/000000.csv", "index/000001.csv"].map(|name| (name.to_owned(), b"x".to_vec()));
        assert!(store.publish(&objects).iter().all(Result::is_ok));
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
        let store = Store::in_folder(folder.path().join("batch"));
        assert!(store.create("batch.json", b"first").unwrap());
        assert!(!store.create("batch.json", b"second").unwrap());
        assert_eq!(**store.read("batch.json", None).unwrap(), *b"first");
        assert_eq!(fs::read_dir(folder.path().join("batch")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_already_stays_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
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
        let index = |body: &[u8]| [("index/000000.csv".to_owned(), body.to_vec())];
        assert!(store.publish(&index(b"first"))[0].is_ok());
        assert!(store.publish(&index(b"first"))[0].is_ok());
        let again = store.publish(&index(b"second"));
        assert!(matches!(again[..], [Err(StoreError::Conflict { .. })]));
        assert_eq!(**store.read("index/000000.csv", None).unwrap(), *b"first");
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
        let store = Store::in_folder(root.clone());
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
        let store = Store::in_folder(folder.path().join("batch"));
        let objects: Vec<_> = (0..=FEW)
            .map(|i| Object {
                name: format!("bundles/00/{i}.zip"),
                body: b"x",
                sha256: None,
            })
            .collect();
        let many = store.put(&objects, FIRST).unwrap();
        let few = store.put(&objects[..2], SECOND).unwrap();
        let flushed = store.flush(vec![few, many]);
        assert!(flushed.len() == 2 && flushed.iter().all(Result::is_ok));
    }

    /// Puts what is no regular file at a path.
    fn put_odd(what: &str, path: &Path) {
        match what {
            "loop" => symlink(path, path).unwrap(),
            "device" => symlink("/dev/zero", path).unwrap(),
            "folder" => fs::create_dir(path).unwrap(),
            "socket" => drop(UnixListener::bind(path).unwrap()),
            _ => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        }
    }

    #[test]
    fn nothing_but_a_regular_file_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("batch");
        let store = Store::in_folder(root.clone());
        let name = "claims/000000/A.json";
        assert!(store.create(name, b"first").unwrap());
        let (_, version) = store.read_version(name, None).unwrap();
        let path = root.join(name);
        for what in ["loop", "device", "folder", "socket", "pipe"] {
            match path.is_dir() {
                true => fs::remove_dir(&path).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
            put_odd(what, &path);
            for refused in [
                store.read(name, None).map(drop),
                Store::in_folder(root.clone()).read(name, None).map(drop),
                store.create(name, b"second").map(drop),
                store
                    .replace(name, b"second", &version, crate::store::Replaced::Forgotten)
                    .map(drop),
                store.remove(name),
            ] {
                let error = refused.expect_err(what);
                assert!(error.is_of_one_object(), "{what}: {error:?}");
                assert!(!matches!(error, StoreError::NotFound { .. }), "{what}");
            }
            // Nothing is left of what could not take its place.
            let left = fs::read_dir(path.parent().unwrap()).unwrap();
            assert_eq!(left.count(), 1, "{what}");
        }
    }

    #[test]
    fn no_more_is_read_than_anything_of_its_name_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("batch"));
        for name in [
            "batch.json",
            "seal.json",
            "withdrawn.json",
            "shards/000001.json",
            "index/000000.csv",
            "lookup/000000.csv",
            "bundles/00/A.zip",
            "claims/000000/A.json",
            "flashed/000000/A.json",
        ] {
            assert!(store.create(name, b"first").unwrap());
            let (_, version) = store.read_version(name, None).unwrap();
            let file = File::options()
                .write(true)
                .open(folder.path().join("batch").join(name));
            file.unwrap().set_len(1 << 40).unwrap();
            for read in [
                store.read(name, None).map(drop),
                store.read_all(&[name.to_owned()]).remove(0).map(drop),
                store.read_version(name, None).map(drop),
            ] {
                assert!(matches!(read, Err(StoreError::TooLarge { .. })), "{name}");
            }
            let replaced = store.replace(name, b"x", &version, crate::store::Replaced::Forgotten);
            for refused in [store.create(name, b"first"), replaced] {
                assert!(refused.expect_err("it is large").is_of_one_object());
            }
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, others) = (folder.path().join("batch"), folder.path().join("others"));
        let store = Store::in_folder(root.clone());
        assert!(store.create("batch.json", b"{}").unwrap());
        fs::create_dir(&others).unwrap();
        fs::write(others.join("A.json"), "first").unwrap();
        fs::create_dir(root.join("claims")).unwrap();
        symlink(&others, root.join("claims/000000")).unwrap();
        let (name, new) = ("claims/000000/A.json", "claims/000000/B.json");
        let version = Version::of(b"first");
        let index = [(new.to_owned(), b"row".to_vec())];
        for refused in [
            store.read(name, None).map(drop),
            Store::in_folder(root.clone()).read(name, None).map(drop),
            store.create(new, b"second").map(drop),
            store
                .replace(name, b"second", &version, crate::store::Replaced::Forgotten)
                .map(drop),
            put(&store, new, b"second").map(drop),
            put(&store, "claims/000000/deeper/B.json", b"second").map(drop),
            store.publish(&index).remove(0),
            store.remove(name),
            store.purge(name),
            store.list("claims/000000/", &mut |_| panic!("it is elsewhere")),
        ] {
            let error = refused.expect_err("it leads elsewhere");
            assert!(error.is_of_one_object(), "{error:?}");
        }
        assert_eq!(fs::read_dir(&others).unwrap().count(), 1);
        assert_eq!(fs::read(others.join("A.json")).unwrap(), b"first");
    }

    #[test]
    fn a_folder_that_cannot_be_listed_keeps_nobody_from_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("batch");
        let store = Store::in_folder(root.clone());
        for name in ["claims/000000/A.json", "claims/000001/B.json"] {
            assert!(store.create(name, b"x").unwrap());
        }
        fs::create_dir_all(root.join("claims/000000/a/b/c/d/e")).unwrap();
        fs::write(root.join("claims/000002"), "").unwrap();
        let mut names = Vec::new();
        let listed = store.list("claims/", &mut |listed| names.push(listed.name));
        names.sort();
        assert_eq!(
            names,
            ["claims/000000/A.json", "claims/000001/B.json", "claims/000002"]
        );
        let error = listed.expect_err("it is deeper than a batch is");
        assert!(
            matches!(&error, StoreError::Unlisted { object, .. } if object.ends_with("000000/a/b/c/d/e"))
        );
        let listed = store.list("claims/000002/", &mut |_| panic!("it is a file"));
        assert!(listed.expect_err("it is a file").is_of_one_object());
    }
}
