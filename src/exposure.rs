//! Who else could get at a file: what others can read is no secret, and what others can change is not believed.
//!
//! Root may own what others use, for root can do anything anyway. What is asked is what the kernel says of an open
//! file or of a path; whoever opens asks the descriptor.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::shell::quoted;

/// How others could get at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    #[error("belongs to another user (uid {uid})")]
    Owner { uid: u32 },
    #[error("can be read by others (mode {mode:04o})")]
    Readable { mode: u32 },
    #[error("can be written by others (mode {mode:04o})")]
    Writable { mode: u32 },
}

impl Exposure {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(self, path: &Path) -> String {
        let path = quoted(&path.display().to_string());
        match self {
            Self::Owner { .. } => {
                let own = rustix::process::geteuid().as_raw();
                format!("make sure of what is in it, then: chown {own} {path}")
            }
            Self::Readable { .. } => format!("chmod 600 {path}"),
            Self::Writable { .. } => format!("make sure of what is in it, then: chmod go-w {path}"),
        }
    }
}

/// Of a file that holds a secret: nobody else may read it, or write to it.
#[must_use]
pub fn of_secret(metadata: &Metadata) -> Option<Exposure> {
    let mode = metadata.mode() & 0o777;
    of_owner(metadata).or((mode & 0o077 != 0).then_some(Exposure::Readable { mode }))
}

/// Of a file that everybody may read and nobody else may write to.
#[must_use]
pub fn of_file(metadata: &Metadata) -> Option<Exposure> {
    let mode = metadata.mode() & 0o777;
    of_owner(metadata).or((mode & 0o022 != 0).then_some(Exposure::Writable { mode }))
}

/// Of a folder in which nobody else may put one file in the place of another: in one that is sticky, as /tmp is, only
/// the owner of a file can. A group that has the number of the owner is the owner's own, as distributions make them.
#[must_use]
pub fn of_folder(metadata: &Metadata) -> Option<Exposure> {
    let mode = metadata.mode() & 0o7777;
    let is_own_group = metadata.gid() == metadata.uid();
    let others = if is_own_group { 0o002 } else { 0o022 };
    let is_open = mode & others != 0 && mode & 0o1000 == 0;
    of_owner(metadata).or(is_open.then_some(Exposure::Writable { mode }))
}

/// The same of every folder above a path, up to the root.
///
/// # Errors
///
/// When one cannot be looked at.
pub fn of_folders_above(path: &Path) -> io::Result<Option<(&Path, Exposure)>> {
    for folder in path.ancestors().skip(1) {
        if let Some(exposure) = of_folder(&folder.metadata()?) {
            return Ok(Some((folder, exposure)));
        }
    }
    Ok(None)
}

/// Of what is another user's, and nothing else: a link has no mode of its own.
#[must_use]
pub fn of_owner(metadata: &Metadata) -> Option<Exposure> {
    let own = rustix::process::geteuid().as_raw();
    let uid = metadata.uid();
    (uid != own && uid != 0).then_some(Exposure::Owner { uid })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn tells_who_else_may_get_at_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (mode, secret, plain) in [
            (0o600, None, None),
            (0o400, None, None),
            (0o644, Some(Exposure::Readable { mode: 0o644 }), None),
            (
                0o620,
                Some(Exposure::Readable { mode: 0o620 }),
                Some(Exposure::Writable { mode: 0o620 }),
            ),
            (
                0o666,
                Some(Exposure::Readable { mode: 0o666 }),
                Some(Exposure::Writable { mode: 0o666 }),
            ),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(
                (of_secret(&metadata), of_file(&metadata)),
                (secret, plain),
                "{mode:o}"
            );
        }
        for (mode, is_open) in [(0o755, false), (0o757, true), (0o1777, false), (0o700, false)] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let exposure = of_folder(&folder.path().metadata().unwrap());
            assert_eq!(exposure.is_some(), is_open, "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_not_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        if chown(&file, Some(1000), Some(1000)).is_err() {
            eprintln!("LEFT OUT: only root can give a file away");
            return;
        }
        let metadata = file.metadata().unwrap();
        let expected = Some(Exposure::Owner { uid: 1000 });
        assert_eq!((of_secret(&metadata), of_file(&metadata)), (expected, expected));
        assert!(of_folders_above(&file).unwrap().is_none());
        chown(folder.path(), Some(1000), Some(1000)).unwrap();
        let (found, _) = of_folders_above(&file).unwrap().expect("it is another user's");
        assert_eq!(found, folder.path());
    }
}
