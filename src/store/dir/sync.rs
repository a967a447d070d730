//! Durability: of many files by one `syncfs`, of a few by an fsync each.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use rustix::fs::OFlags;

use super::Dir;
use super::folder::{open_file, open_folder};
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
    pub(super) fn sync_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let folder = self.folder()?;
        // Each folder up to the batch's: any of them may be new.
        let above = |name: &'a str| name.match_indices('/').map(|(end, _)| &name[..end]);
        let folders: BTreeSet<&str> = names.flat_map(above).collect();
        for above in folders {
            open_folder(folder, above)?.sync_all()?;
        }
        folder.sync_all()?;
        match self.root.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    pub(super) fn sync_lots(&self, lots: &[Lot]) -> io::Result<()> {
        let few = |lot: &Lot| match lot {
            Lot::Few(names) => Some(names.clone()),
            Lot::Many => None,
        };
        let few: Option<Vec<Vec<String>>> = lots.iter().map(few).collect();
        match few.map(|few| few.concat()) {
            Some(names) if names.len() <= FEW => {
                for name in &names {
                    open_file(self.folder()?, name, OFlags::RDONLY)?.sync_all()?;
                }
                self.sync_names(names.iter().map(String::as_str))
            }
            _ => self.sync_all(),
        }
    }
}
