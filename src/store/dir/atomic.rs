//! Files that are put in place atomically: written beside their place, made durable, then linked or renamed
//! into it. What is written beside it has a name that begins with a dot, and is no object.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{AtFlags, linkat, unlinkat};

use super::folder::{self, Spot, Spots};
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
        if let When::Is(version, replaced) = when {
            return objects
                .iter()
                .map(|object| self.swap(&object.name, object.body, version, *replaced))
                .collect();
        }
        let mut spots = Spots::new(self.folder()?);
        let mut written = Vec::with_capacity(objects.len());
        for object in objects {
            let spot = spots.make(&object.name)?;
            let scratch = write_beside(&spot, object.body)?;
            written.push((spot, scratch, object.body));
        }
        let linked = written
            .iter()
            .map(|(spot, scratch, body)| link(spot, scratch, body));
        let outcomes = linked.collect::<io::Result<_>>()?;
        self.sync_names(objects.iter().map(|object| object.name.as_str()))?;
        Ok(outcomes)
    }
}

/// Writes a file beside its place, durably, under a name that nobody else uses.
pub(super) fn write_beside(spot: &Spot<'_>, body: &[u8]) -> io::Result<String> {
    let scratch = scratch(spot.file);
    let written = folder::create(&spot.folder, &scratch).and_then(|mut file| {
        file.write_all(body)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(scratch),
        Err(error) => {
            // What cannot be written whole is not left behind.
            let _ = remove(spot, &scratch);
            Err(error)
        }
    }
}

/// Puts a written file in its place, unless another is there. Unlike a rename, a link never takes the
/// place of what is there.
pub(super) fn link(spot: &Spot<'_>, scratch: &str, body: &[u8]) -> io::Result<Outcome> {
    let folder = &spot.folder;
    let linked = linkat(folder, scratch, folder, spot.file, AtFlags::empty());
    remove(spot, scratch)?;
    match linked {
        Err(rustix::io::Errno::EXIST) => refused(folder, spot.file, body),
        other => Ok(other.map(|()| Outcome::Stored)?),
    }
}

/// Removes a file of the folder of another.
pub(super) fn remove(spot: &Spot<'_>, file: &str) -> io::Result<()> {
    Ok(unlinkat(&spot.folder, file, AtFlags::empty())?)
}

/// Where a file is written before it is put in place. Many processes may put the same file in place at
/// once, so each time it is another.
pub(super) fn scratch(file: &str) -> String {
    let mut own = [0; 8];
    // Without randomness two processes would at worst refuse each other's file: it is made anew, never reused.
    let _ = SystemRandom::new().fill(&mut own);
    format!("{}{}.tmp", scratch_prefix(file), HEXLOWER.encode(&own))
}

/// How the scratch files of a file begin.
pub(super) fn scratch_prefix(file: &str) -> String {
    format!(".{file}.")
}
