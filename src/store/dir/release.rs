//! Releasing: what attempts with predecessors put aside takes its place, and with it the index, as one step.
//!
//! Nothing tells who wrote a file, so nothing of a chunk is touched once its index is there. Whoever looks and then
//! moves does so under a lock, and holds it across no write of content: one who slept before it finds the index of
//! whoever was faster. One who is stopped between the first move and the index has said before whose the chunk is: an
//! attempt that does not know of that one leaves it alone.

use std::io;

use rustix::fs::{AtFlags, OFlags, renameat, statat};
use rustix::io::Errno;

use super::atomic::{link, remove, write_beside};
use super::folder::{Spot, Spots, open_file};
use super::{Dir, read, refused};
use crate::store::transport::{Found, Outcome, Release, Version};

/// What of a chunk is written beside its place.
struct Beside {
    index: String,
    /// Whose the chunk is, where something is to be moved.
    mark: Option<String>,
}

impl Dir {
    pub(super) fn take_place(&self, chunks: &[Release<'_>]) -> io::Result<Vec<Outcome>> {
        let mut spots = Spots::new(self.folder()?);
        let mut written = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let index = spots.make(&chunk.index.name)?;
            let mark_file = mark_of(index.file);
            let mark = Spot {
                file: &mark_file,
                ..index.clone()
            };
            let beside = Beside {
                index: write_beside(&index, chunk.index.body)?,
                mark: match chunk.moves {
                    [] => None,
                    _ => Some(write_beside(&mark, chunk.attempt.as_bytes())?),
                },
            };
            written.push((index, beside));
        }
        let lock = self.lock()?;
        let mut outcomes = Vec::with_capacity(chunks.len());
        for (chunk, (index, beside)) in chunks.iter().zip(&written) {
            let refused = refuse(chunk, index)?;
            if let Some(refused) = refused {
                for scratch in std::iter::once(&beside.index).chain(&beside.mark) {
                    remove(index, scratch)?;
                }
                outcomes.push(refused);
                continue;
            }
            outcomes.push(self.take_place_of(chunk, index, beside, &mut spots)?);
        }
        drop(lock);
        self.sync_names(chunks.iter().map(|chunk| chunk.index.name.as_str()))?;
        Ok(outcomes)
    }

    fn take_place_of(
        &self,
        chunk: &Release<'_>,
        index: &Spot<'_>,
        beside: &Beside,
        spots: &mut Spots<'_>,
    ) -> io::Result<Outcome> {
        let mark = mark_of(index.file);
        if let Some(scratch) = &beside.mark {
            renameat(&index.folder, scratch, &index.folder, &mark)?;
            self.sync_names(std::iter::once(chunk.index.name.as_str()))?;
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
        let outcome = link(index, &beside.index, chunk.index.body)?;
        if beside.mark.is_some() {
            remove(index, &mark)?;
        }
        Ok(outcome)
    }
}

/// Where it is said whose a chunk is, beside its index.
fn mark_of(index: &str) -> String {
    format!(".{index}.taken")
}

/// What keeps a chunk from being released: its index, or another attempt that has begun to and is not known.
fn refuse(chunk: &Release<'_>, index: &Spot<'_>) -> io::Result<Option<Outcome>> {
    match statat(&index.folder, index.file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return refused(&index.folder, index.file, chunk.index.body).map(Some),
    }
    let mark = match open_file(&index.folder, &mark_of(index.file), OFlags::RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => read(other?, MOST_OF_MARK)?,
    };
    let by = String::from_utf8_lossy(&mark).into_owned();
    let is_known = by == chunk.attempt || chunk.earlier.contains(&by);
    Ok((!is_known).then(|| Outcome::Refused {
        found: Some(Found {
            version: Version::of(&mark),
            is_same: false,
            attempt: Some(by),
        }),
        body: None,
    }))
}

/// The name of an attempt is shorter.
const MOST_OF_MARK: u64 = 256;

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::store::{Aside, Attempt, Object, Store, StoreError};

    #[test]
    fn who_is_stopped_while_a_chunk_takes_its_place_keeps_those_from_it_that_do_not_know_of_it() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::in_folder(place.path().join("batch"));
        let put = |name: &str, earlier: &[&str], body: &[u8]| -> Aside {
            let earlier: Vec<String> = earlier.iter().map(|name| (*name).to_owned()).collect();
            let object = Object {
                name: "packs/000000.zip".to_owned(),
                body,
                sha256: None,
            };
            let attempt = Attempt {
                name,
                earlier: &earlier,
            };
            let ticket = store.put(&[object], attempt).unwrap();
            store.flush(vec![ticket]).remove(0).unwrap()
        };
        let index = |aside: &Aside| ("index/000000.csv".to_owned(), b"row".to_vec(), aside.clone());
        let release = |aside: &Aside| store.release(&[index(aside)]).remove(0);
        // The first attempt, and one by a copy of its ledger, that is killed after its pack is in its place.
        let first = put("a", &[], b"keys of a");
        let copy = put("b", &["a"], b"keys of b");
        let other = put("c", &["a"], b"keys of c");
        let batch = place.path().join("batch");
        fs::create_dir(batch.join("index")).unwrap();
        fs::write(batch.join("index/.000000.csv.taken"), "b").unwrap();
        fs::rename(
            batch.join("packs/.000000.zip.b.tmp"),
            batch.join("packs/000000.zip"),
        )
        .unwrap();
        for stranger in [&first, &other] {
            let refused = release(stranger);
            assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        }
        assert_eq!(**store.read("packs/000000.zip", None).unwrap(), *b"keys of b");
        // Its own next try ends what it began.
        release(&copy).unwrap();
        assert_eq!(**store.read("packs/000000.zip", None).unwrap(), *b"keys of b");
        assert_eq!(fs::read_dir(batch.join("index")).unwrap().count(), 1);
    }
}
