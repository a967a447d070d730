//! What attempts that were stopped have left beside the objects of a batch, which tells of these attempts.

use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, FileType, OFlags, statat};

use super::folder::{open_file, open_folder};
use super::{DEEPEST, Dir, read};

/// The name of an attempt is shorter.
const MOST_OF_MARK: u64 = 256;

impl Dir {
    /// Visits what was put aside: the object, and the attempt; and of a chunk that somebody had begun to release, its index
    /// and the attempt.
    pub(super) fn walk_aside(&self, visit: &mut dyn FnMut(&str, &str)) -> io::Result<()> {
        match self.within(|folder| open_folder(folder, "")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => walk(&folder?, "", visit),
        }
    }
}

fn walk(folder: &File, prefix: &str, visit: &mut dyn FnMut(&str, &str)) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy();
        if let Some(hidden) = file.strip_prefix('.') {
            if let Some((object, attempt)) = put_aside(hidden) {
                visit(&format!("{prefix}{object}"), attempt);
            } else if let Some(index) = hidden.strip_suffix(".taken") {
                let mark = read(open_file(folder, &file, OFlags::RDONLY)?, MOST_OF_MARK)?;
                visit(&format!("{prefix}{index}"), &String::from_utf8_lossy(&mark));
            }
            continue;
        }
        let stat = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_folder && prefix.matches('/').count() < DEEPEST {
            walk(&open_folder(folder, &file)?, &format!("{prefix}{file}/"), visit)?;
        }
    }
    Ok(())
}

/// The object and the attempt in `<object>.<attempt>.tmp`.
fn put_aside(hidden: &str) -> Option<(&str, &str)> {
    hidden.strip_suffix(".tmp")?.rsplit_once('.')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::store::{Attempt, Object, Store};

    #[test]
    fn what_was_put_aside_tells_by_which_attempt() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::in_folder(place.path().join("batch"));
        let put = |object: &str, name: &str, earlier: &[String]| {
            let object = Object {
                name: object.to_owned(),
                body: b"keys",
                sha256: None,
            };
            store.put(&[object], Attempt { name, earlier }).unwrap();
        };
        put("packs/000000.zip", "a1", &[]);
        put("packs/000000.zip", "b2", &["a1".to_owned()]);
        put("bundles/3f/SN.1.zip", "b2", &["a1".to_owned()]);
        fs::create_dir(place.path().join("batch/index")).unwrap();
        fs::write(place.path().join("batch/index/.000003.csv.taken"), "c3").unwrap();
        let mut found = Vec::new();
        store
            .list_aside(&mut |object, attempt| found.push(format!("{object} {attempt}")))
            .unwrap();
        found.sort();
        assert_eq!(
            found,
            [
                "bundles/3f/SN.1.zip b2",
                "index/000003.csv c3",
                "packs/000000.zip b2"
            ]
        );
    }
}
