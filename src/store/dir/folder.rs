//! The folder of a batch: made, then looked at by its descriptor, and used by that from then on.
//!
//! Whoever may write to a folder above can put another in its place between two looks, so nothing is asked of a path
//! that was not asked of what was opened. It is asked once for each opening of the store, not for each file.
//!
//! Whoever may write in the batch can put a link, a pipe or a device in the place of a file, or a link in that of a
//! folder. So no link within the batch is followed, nothing is waited for, and only a regular file is one.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;

use crate::exposure;

/// To look up names only, where a folder can be opened for that alone.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Folders that are kept open at a time: bundles are in 256, and a process may well have no more than 1024 files.
const KEPT: usize = 260;

/// Opens a folder that is one's own, and closed to others.
///
/// # Errors
///
/// Of another's, or one that is open to others, an [`exposure::Exposure`] within.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(openat(CWD, path, flags, Mode::empty())?);
    match exposure::of_secret(&folder.metadata()?) {
        None => Ok(folder),
        Some(exposure) => Err(io::Error::other(exposure)),
    }
}

/// Opens a folder whoever it belongs to, to read what is in it.
pub(super) fn look(path: &Path) -> io::Result<File> {
    let flags = LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}

/// Whether a folder has anything of this name.
pub(super) fn is_in(folder: &File, name: &str) -> io::Result<bool> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes a file of a folder, mode 0600, which is not there yet.
pub(super) fn create(folder: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    open_beneath(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Makes the folders of a folder in which a file is to be.
pub(super) fn make_above(folder: &File, name: &str) -> io::Result<()> {
    for (end, _) in name.match_indices('/') {
        let (above, own) = split(&name[..end]);
        match mkdirat(open_folder(folder, above)?, own, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Opens a folder within a folder; of an empty name, that itself.
pub(super) fn open_folder(folder: &File, name: &str) -> io::Result<File> {
    let name = if name.is_empty() { "." } else { name };
    open_beneath(folder, name, FOLDER, Mode::empty())
}

/// Opens a regular file within a folder.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when it is anything else.
pub(super) fn open_file(folder: &File, name: &str, access: OFlags) -> io::Result<File> {
    // A pipe would be waited for.
    let file = open_beneath(folder, name, access | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(no_regular_file()),
    }
}

/// The folder in which a name is, and what it is there.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Opens what is within a folder, and follows no link to it.
fn open_beneath(folder: &File, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC;
    let mode = match flags.contains(OFlags::CREATE) {
        true => mode,
        false => Mode::empty(),
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(folder, name, flags, mode, resolve) {
            // Linux before 5.6 has no such call, and a sandbox may not let it through.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return opened.map(File::from).map_err(judge),
        }
    }
    open_by_steps(folder, name, flags, mode)
}

/// The same with a call for each part of the name.
fn open_by_steps(folder: &File, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW;
    let mut parts = name.split('/').peekable();
    let mut above: Option<File> = None;
    while let Some(part) = parts.next() {
        let at = above.as_ref().unwrap_or(folder);
        if part == ".." || part.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_last = parts.peek().is_none();
        let (flags, mode) = match is_last {
            true => (flags, mode),
            false => (
                LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            ),
        };
        let opened = match openat(at, part, flags, mode) {
            // So it says of a link that is to be a folder, too.
            Err(Errno::NOTDIR) if is_link(at, part) => Err(Errno::LOOP),
            other => other,
        };
        above = Some(opened.map_err(judge)?.into());
        if is_last {
            break;
        }
    }
    above.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn is_link(folder: &File, name: &str) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// What a call says of something that is in the place of a file or of a folder.
fn judge(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::new(
            io::ErrorKind::InvalidData,
            "a symbolic link is in its place, or in that of its folder",
        ),
        // Of a socket, of a pipe that nobody reads, and of a file that somebody keeps from being opened.
        Errno::NXIO | Errno::NODEV | Errno::AGAIN | Errno::OPNOTSUPP => no_regular_file(),
        error => error.into(),
    }
}

fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no regular file")
}

/// Where a file is, or is to be: the folder, and the name there.
#[derive(Debug, Clone)]
pub(super) struct Spot<'a> {
    pub folder: Rc<File>,
    pub file: &'a str,
}

/// The folders in which files are, each opened once.
#[derive(Debug)]
pub(super) struct Spots<'a> {
    folder: &'a File,
    open: HashMap<String, Rc<File>>,
}

impl<'a> Spots<'a> {
    pub(super) fn new(folder: &'a File) -> Self {
        Self {
            folder,
            open: HashMap::new(),
        }
    }

    /// Where a file is.
    ///
    /// # Errors
    ///
    /// When it has no folder, or a link or a file is in the place of that.
    pub(super) fn of<'n>(&mut self, name: &'n str) -> io::Result<Spot<'n>> {
        let (above, file) = split(name);
        if let Some(folder) = self.open.get(above) {
            let folder = folder.clone();
            return Ok(Spot { folder, file });
        }
        if self.open.len() >= KEPT {
            self.open.clear();
        }
        let folder = Rc::new(open_folder(self.folder, above)?);
        self.open.insert(above.to_owned(), folder.clone());
        Ok(Spot { folder, file })
    }

    /// Where a file is to be: its folder is made when it is missing.
    pub(super) fn make<'n>(&mut self, name: &'n str) -> io::Result<Spot<'n>> {
        match self.of(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_above(self.folder, name)?;
                self.of(name)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, chown, symlink};

    use super::*;
    use crate::store::{Store, StoreError};

    fn write(store: &Store) -> Result<bool, StoreError> {
        store.create("bundles/3f/A.zip", b"a private key")
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("batch");
        write(&Store::in_folder(root.clone())).unwrap();
        if chown(&root, Some(1000), None).is_err() {
            eprintln!("LEFT OUT: only root can give a folder away");
            return;
        }
        let store = Store::in_folder(root);
        for refused in [store.refuse_exposed(), write(&store).map(drop)] {
            let error = refused.expect_err("it is another user's");
            assert!(
                matches!(error, StoreError::OfAnother { uid: 1000, .. }),
                "{error}"
            );
            assert!(error.hint().is_some_and(|hint| hint.contains("chown")));
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (root, others) = (place.path().join("batch"), place.path().join("others"));
        // It is as good as any, but for the link to it.
        fs::DirBuilder::new().mode(0o700).create(&others).unwrap();
        symlink(&others, &root).unwrap();
        let store = Store::in_folder(root);
        assert!(store.refuse_exposed().is_err() && write(&store).is_err());
        assert_eq!(fs::read_dir(&others).unwrap().count(), 0);
    }

    #[test]
    fn what_takes_the_place_of_an_open_folder_gets_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (root, others) = (place.path().join("batch"), place.path().join("others"));
        let store = Store::in_folder(root.clone());
        assert!(store.create("batch.json", b"{}").unwrap());
        fs::rename(&root, place.path().join("moved")).unwrap();
        fs::create_dir(&others).unwrap();
        symlink(&others, &root).unwrap();
        // It may fail, as its names are looked for; but the key is not where others can read it.
        let _ = write(&store);
        let _ = store.put(
            &[crate::store::Object {
                name: "packs/000000.zip".to_owned(),
                body: b"a private key",
                sha256: None,
            }],
            crate::store::Attempt {
                name: "1",
                earlier: &[],
            },
        );
        assert_eq!(fs::read_dir(&others).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("batch");
        let store = Store::in_folder(root.clone());
        assert!(store.create("batch.json", b"{}").unwrap());
        let victim = place.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, root.join("link")).unwrap();
        let folder = open(&root).unwrap();
        assert!(create(&folder, "link").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    }

    #[test]
    fn without_the_call_of_linux_it_is_as_with_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("batch");
        let store = Store::in_folder(root.clone());
        assert!(store.create("claims/000000/A.json", b"{}").unwrap());
        symlink("000000", root.join("claims/000001")).unwrap();
        symlink("A.json", root.join("claims/000000/B.json")).unwrap();
        let folder = open(&root).unwrap();
        for (name, is_there) in [
            ("claims/000000/A.json", Ok(())),
            ("claims/000000/B.json", Err(io::ErrorKind::InvalidData)),
            ("claims/000001/A.json", Err(io::ErrorKind::InvalidData)),
            ("claims/000000/C.json", Err(io::ErrorKind::NotFound)),
            ("claims/000000/A.json/D", Err(io::ErrorKind::NotADirectory)),
        ] {
            for open in [open_beneath, open_by_steps] {
                let opened = open(&folder, name, OFlags::RDONLY, Mode::empty());
                assert_eq!(opened.map(drop).map_err(|error| error.kind()), is_there, "{name}");
            }
        }
        assert!(open_by_steps(&folder, "claims/../../batch", OFlags::RDONLY, Mode::empty()).is_err());
        assert!(open_by_steps(&folder, ".", FOLDER, Mode::empty()).is_ok());
    }
}
