//! Files that are put in place atomically: written beside their place, made durable, then linked or renamed
//! into it. What is written beside it has a name that begins with a dot, and is no object.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};

use super::DirStore;
use crate::store::Existing;

impl DirStore {
    /// Puts files in place, each whole or not at all. Tells of each whether it is there now; it is not when
    /// another is there already, which is left as it is.
    pub(super) fn place<'a>(
        &self,
        objects: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
        existing: Existing,
    ) -> io::Result<Vec<bool>> {
        let paths: Vec<PathBuf> = objects.clone().map(|(name, _)| self.path(name)).collect();
        let mut written = Vec::with_capacity(paths.len());
        for (path, (_, body)) in paths.iter().zip(objects.clone()) {
            written.push(self.write_beside(path, body)?);
        }
        let mut placed = Vec::with_capacity(paths.len());
        for ((path, scratch), (_, body)) in paths.iter().zip(&written).zip(objects) {
            placed.push(match existing {
                Existing::Replace => fs::rename(scratch, path).map(|()| true)?,
                Existing::Refuse => link(scratch, path, body)?,
            });
        }
        self.sync_names(paths.iter().map(PathBuf::as_path))?;
        Ok(placed)
    }

    /// Writes a file beside its place, durably, under a name that nobody else uses.
    pub(super) fn write_beside(&self, path: &Path, body: &[u8]) -> io::Result<PathBuf> {
        let scratch = scratch(path);
        let written = self
            .write(&scratch, body, Existing::Refuse)
            .and_then(|file| file.sync_all());
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
fn link(scratch: &Path, path: &Path, body: &[u8]) -> io::Result<bool> {
    let linked = fs::hard_link(scratch, path);
    fs::remove_file(scratch)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(fs::read(path)? == body),
        other => other.map(|()| true),
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
