//! Files that are there whole or not at all, whatever stops their writer, and that are written into nothing that somebody else
//! put in the way: a link in the place of the unfinished one is not followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Names that are tried for the unfinished file.
const NAMES: u32 = 100;

/// A file that gets its name when it is finished; until then, and if it never is, what had the name stays.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    scratch: Option<PathBuf>,
    path: PathBuf,
}

impl Unfinished {
    /// Begins a file with a mode, beside its place.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut number = 0;
        loop {
            let scratch = path.with_file_name(format!(".{name}.{}.{number}", std::process::id()));
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(mode).open(&scratch) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        scratch: Some(scratch),
                        path: path.to_owned(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < NAMES => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sees that all of it is on disk, and gives it its name.
    ///
    /// # Errors
    ///
    /// When that fails; then it is gone.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(scratch) = &self.scratch {
            fs::rename(scratch, &self.path)?;
        }
        self.scratch = None;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for Unfinished {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            let _ = fs::remove_file(scratch);
        }
    }
}

/// Writes a file, or replaces it.
///
/// # Errors
///
/// When it cannot be written; what was there stays.
pub fn write(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut file = Unfinished::create(path, mode)?;
    file.write_all(octets)?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_in_the_way_of_the_unfinished_file_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a.json"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(
            &victim,
            folder.path().join(format!(".a.json.{}.0", std::process::id())),
        )
        .unwrap();
        symlink(&victim, &path).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert!(!path.is_symlink());
    }

    #[test]
    fn what_is_not_finished_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old", 0o600).unwrap();
        let mut file = Unfinished::create(&path, 0o600).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
