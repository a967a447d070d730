//! Releasing: what attempts with predecessors put aside takes its place, and with it the index, as one step.
//!
//! Nothing tells who wrote a file, so nothing of a chunk is touched once its index is there. Whoever looks and then
//! moves does so under a lock, and holds it across no write of content: one who slept before it finds the index of
//! whoever was faster.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Dir;
use super::atomic::link;
use super::refused;
use crate::store::transport::{Outcome, Release};

impl Dir {
    pub(super) fn take_place(&self, chunks: &[Release<'_>]) -> io::Result<Vec<Outcome>> {
        let index = |chunk: &Release<'_>| self.path(&chunk.index.name);
        let written = chunks
            .iter()
            .map(|chunk| self.write_beside(&index(chunk), chunk.index.body));
        let written: Vec<PathBuf> = written.collect::<io::Result<_>>()?;
        let lock = self.lock()?;
        let mut outcomes = Vec::with_capacity(chunks.len());
        for (chunk, scratch) in chunks.iter().zip(&written) {
            outcomes.push(self.take_place_of(chunk, &index(chunk), scratch)?);
        }
        drop(lock);
        let indexes: Vec<PathBuf> = chunks.iter().map(index).collect();
        self.sync_names(indexes.iter().map(PathBuf::as_path))?;
        Ok(outcomes)
    }

    fn take_place_of(&self, chunk: &Release<'_>, index: &Path, scratch: &Path) -> io::Result<Outcome> {
        if index.try_exists()? {
            fs::remove_file(scratch)?;
            return refused(index, chunk.index.body);
        }
        for to in chunk.moves {
            match fs::rename(self.path(&to.aside), self.path(&to.name)) {
                // It took its place before one who was stopped could put the index.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        for stale in chunk.stale {
            match fs::remove_file(self.path(stale)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        let moved: Vec<PathBuf> = chunk.moves.iter().map(|to| self.path(&to.name)).collect();
        if !moved.is_empty() {
            self.sync_names(moved.iter().map(PathBuf::as_path))?;
        }
        link(scratch, index, chunk.index.body)
    }
}
