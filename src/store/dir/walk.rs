//! Listing: what is in a folder and those below it, as far as a batch has any.
//!
//! One folder that cannot be listed keeps nobody from what is in the others.

use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use super::folder::open_folder;
use super::{DEEPEST, Dir, split};
use crate::store::transport::Listed;

/// A folder that was left out, and why.
type LeftOut = (String, io::Error);

impl Dir {
    /// Visits what is in a folder. Gives back the first folder below it that cannot be listed, which is left out.
    pub(super) fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> io::Result<Option<LeftOut>> {
        let mut left_out = None;
        match self.within(|folder| open_folder(folder, prefix.trim_end_matches('/'))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            folder => walk(&folder?, prefix, visit, &mut left_out)?,
        }
        Ok(left_out)
    }

    /// The folders directly in it, and links to such: none where it is not there.
    pub(super) fn folder_names(&self) -> io::Result<Vec<String>> {
        let folder = match self.within(|folder| open_folder(folder, "")) {
            // What is in its place is found out by who writes there.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok(Vec::new());
            }
            folder => folder?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            let may_be_one = matches!(
                entry.file_type(),
                FileType::Directory | FileType::Symlink | FileType::Unknown
            );
            if may_be_one && !name.starts_with('.') {
                names.push(name.into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether a folder of the batch has a file that was put aside, or written beside its place. The batch's own folder has
    /// its lock, and nothing with keys.
    pub(super) fn has_scratch(&self) -> io::Result<bool> {
        match self.within(|folder| open_folder(folder, "")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            folder => has_scratch(&folder?, 0),
        }
    }

    /// Visits one file, if it is there.
    pub(super) fn look_at(&self, name: &str, visit: &mut dyn FnMut(Listed)) -> io::Result<()> {
        let (above, file) = split(name);
        let stat = self.within(|folder| {
            let folder = open_folder(folder, above)?;
            Ok(statat(folder, file, AtFlags::SYMLINK_NOFOLLOW)?)
        });
        match stat {
            Ok(stat) if kind(&stat) == FileType::RegularFile => visit(listed(name.to_owned(), &stat)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn has_scratch(folder: &File, depth: usize) -> io::Result<bool> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy();
        if file.starts_with('.') {
            if depth > 0 && file != "." && file != ".." {
                return Ok(true);
            }
            continue;
        }
        let stat = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = kind(&stat) == FileType::Directory && depth < DEEPEST;
        if is_folder && has_scratch(&open_folder(folder, &file)?, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn walk(
    folder: &File,
    prefix: &str,
    visit: &mut dyn FnMut(Listed),
    left_out: &mut Option<LeftOut>,
) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy();
        if file.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{file}");
        let stat = match statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            // Somebody removed it meanwhile.
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        if kind(&stat) != FileType::Directory {
            visit(listed(name, &stat));
            continue;
        }
        let below = match name.split('/').count() > DEEPEST {
            true => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no batch has folders below each other so far",
            )),
            false => open_folder(folder, &file),
        };
        let walked = below.and_then(|below| walk(&below, &format!("{name}/"), visit, left_out));
        match walked {
            Err(error) if is_its_own(&error) => {
                left_out.get_or_insert((name, error));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether it is for what a folder is that it cannot be listed.
fn is_its_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidData
    )
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn listed(name: String, stat: &Stat) -> Listed {
    Listed {
        name,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        stamp: format!("{}-{}.{:09}", stat.st_ino, stat.st_mtime, stat.st_mtime_nsec),
    }
}
