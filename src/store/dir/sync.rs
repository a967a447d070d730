//! Durability: of many files by one `syncfs`, of a few by an fsync each.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Dir;
use crate::store::transport::{FEW, Lot};

impl Dir {
    /// Makes the whole file system durable.
    fn sync_all(&self) -> io::Result<()> {
        let folder = self.folder()?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(folder)?;
        #[cfg(not(target_os = "linux"))]
        {
            rustix::fs::sync();
            folder.sync_all()?;
        }
        Ok(())
    }

    /// Makes the names of files durable, and those of the folders that they are in.
    pub(super) fn sync_names<'a>(&'a self, paths: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        // Each folder up to the batch's: any of them may be new.
        let above = |path: &'a Path| path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        let mut folders: BTreeSet<&Path> = paths.flat_map(above).collect();
        folders.insert(&self.root);
        folders.extend(self.root.parent());
        folders
            .into_iter()
            .try_for_each(|folder| File::open(folder)?.sync_all())
    }

    pub(super) fn sync_lots(&self, lots: &[Lot]) -> io::Result<()> {
        let few = |lot: &Lot| match lot {
            Lot::Few(names) => Some(names.iter().map(|name| self.path(name)).collect::<Vec<_>>()),
            Lot::Many => None,
        };
        let few: Option<Vec<Vec<PathBuf>>> = lots.iter().map(few).collect();
        match few.map(|few| few.concat()) {
            Some(paths) if paths.len() <= FEW => {
                for path in &paths {
                    File::open(path)?.sync_all()?;
                }
                self.sync_names(paths.iter().map(PathBuf::as_path))
            }
            _ => self.sync_all(),
        }
    }
}
