//! Releasing: what attempts with predecessors put aside takes its place, and with it the index, as one step.
//!
//! Nothing tells who wrote a file, so nothing of a chunk is touched once its index is there. Whoever looks and then
//! moves does so under a lock, and holds it across no write of content: one who slept before it finds the index of
//! whoever was faster.

use std::io;

use rustix::fs::{AtFlags, renameat, statat};
use rustix::io::Errno;

use super::atomic::{link, remove, write_beside};
use super::folder::{Spot, Spots};
use super::{Dir, refused};
use crate::store::transport::{Outcome, Release};

impl Dir {
    pub(super) fn take_place(&self, chunks: &[Release<'_>]) -> io::Result<Vec<Outcome>> {
        let mut spots = Spots::new(self.folder()?);
        let mut written = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let index = spots.make(&chunk.index.name)?;
            let scratch = write_beside(&index, chunk.index.body)?;
            written.push((index, scratch));
        }
        let lock = self.lock()?;
        let mut outcomes = Vec::with_capacity(chunks.len());
        for (chunk, (index, scratch)) in chunks.iter().zip(&written) {
            outcomes.push(self.take_place_of(chunk, index, scratch, &mut spots)?);
        }
        drop(lock);
        self.sync_names(chunks.iter().map(|chunk| chunk.index.name.as_str()))?;
        Ok(outcomes)
    }

    fn take_place_of(
        &self,
        chunk: &Release<'_>,
        index: &Spot<'_>,
        scratch: &str,
        spots: &mut Spots<'_>,
    ) -> io::Result<Outcome> {
        match statat(&index.folder, index.file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                remove(index, scratch)?;
                return refused(&index.folder, index.file, chunk.index.body);
            }
        }
        let mut rename = |aside: &str, name: &str| {
            let (aside, name) = (spots.of(aside)?, spots.of(name)?);
            renameat(&aside.folder, aside.file, &name.folder, name.file).map_err(io::Error::from)
        };
        for to in chunk.moves {
            match rename(&to.aside, &to.name) {
                // It took its place before one who was stopped could put the index.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        for stale in chunk.stale {
            match spots.of(stale).and_then(|spot| remove(&spot, spot.file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        if !chunk.moves.is_empty() {
            self.sync_names(chunk.moves.iter().map(|to| to.name.as_str()))?;
        }
        link(index, scratch, chunk.index.body)
    }
}
