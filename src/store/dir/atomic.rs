//! Files that are put in place atomically: written beside their place, made durable, then linked or renamed
//! into it. What is written beside it has a name that begins with a dot, and is no object.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};

use super::{Dir, copy, refused};
use crate::store::transport::{How, Object, Outcome, Putting, When};

impl Dir {
    /// Puts files in place, each whole or not at all.
    pub(super) fn put_atomically(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        match self.place(objects, &how.when) {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| Putting::Ended(Ok(outcome)))
                .collect(),
            // What is put in place together fails together.
            Err(error) => objects
                .iter()
                .map(|object| Putting::Ended(Err(self.error(how.operation, &object.name)(copy(&error)))))
                .collect(),
        }
    }

    fn place(&self, objects: &[Object<'_>], when: &When) -> io::Result<Vec<Outcome>> {
        let paths: Vec<PathBuf> = objects.iter().map(|object| self.path(&object.name)).collect();
        let with_body = || paths.iter().zip(objects.iter().map(|object| object.body));
        if let When::Is(version, replaced) = when {
            return with_body()
                .map(|(path, body)| self.swap(path, body, version, *replaced))
                .collect();
        }
        let written = with_body().map(|(path, body)| self.write_beside(path, body));
        let written: Vec<PathBuf> = written.collect::<io::Result<_>>()?;
        let linked = with_body()
            .zip(&written)
            .map(|((path, body), scratch)| link(scratch, path, body));
        let outcomes = linked.collect::<io::Result<_>>()?;
        self.sync_names(paths.iter().map(PathBuf::as_path))?;
        Ok(outcomes)
    }

    /// Writes a file beside its place, durably, under a name that nobody else uses.
    pub(super) fn write_beside(&self, path: &Path, body: &[u8]) -> io::Result<PathBuf> {
        let scratch = scratch(path);
        let written = self.write(&scratch, body).and_then(|file| file.sync_all());
        match written {
            Ok(()) => Ok(scratch),
            Err(error) => {
                // What cannot be written whole is not left behind.
                let _ = fs::remove_file(&scratch);
                Err(error)
            }
        }
    }
}

/// Puts a written file in its place, unless another is there. Unlike a rename, a link never takes the
/// place of what is there.
pub(super) fn link(scratch: &Path, path: &Path, body: &[u8]) -> io::Result<Outcome> {
    let linked = fs::hard_link(scratch, path);
    fs::remove_file(scratch)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refused(path, body),
        other => other.map(|()| Outcome::Stored),
    }
}

/// Where a file is written before it is put in place. Many processes may put the same file in place at
/// once, so each time it is another.
pub(super) fn scratch(path: &Path) -> PathBuf {
    let mut own = [0; 8];
    // Without randomness two processes would at worst refuse each other's file: it is made anew, never reused.
    let _ = SystemRandom::new().fill(&mut own);
    path.with_file_name(format!("{}{}.tmp", scratch_prefix(path), HEXLOWER.encode(&own)))
}

/// How the scratch files of a file begin.
pub(super) fn scratch_prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}
