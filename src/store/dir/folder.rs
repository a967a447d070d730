//! The folder of a batch: made, then looked at by its descriptor, and used by that from then on.
//!
//! Whoever may write to a folder above can put another in its place between two looks, so nothing is asked of a path
//! that was not asked of what was opened. It is asked once for each opening of the store, not for each file.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::exposure;

/// Opens a folder that is one's own, and closed to others.
///
/// # Errors
///
/// Of another's, or one that is open to others, an [`exposure::Exposure`] within.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(openat(CWD, path, flags, Mode::empty())?);
    match exposure::of_secret(&folder.metadata()?) {
        None => Ok(folder),
        Some(exposure) => Err(io::Error::other(exposure)),
    }
}

/// Makes a file of a folder, mode 0600, which is not there yet.
pub(super) fn create(folder: &File, name: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Makes the folders of a folder in which a file is to be.
pub(super) fn make_above(folder: &File, name: &Path) -> io::Result<()> {
    let mut above: Vec<&Path> = name.ancestors().skip(1).collect();
    // The last is the folder itself.
    above.pop();
    for name in above.into_iter().rev() {
        match mkdirat(folder, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

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
        fs::DirBuilder::new().create(&others).unwrap();
        symlink(&others, &root).unwrap();
        let store = Store::in_folder(root);
        assert!(write(&store).is_err());
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
        assert!(create(&folder, Path::new("link")).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    }
}
