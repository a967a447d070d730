//! Who else could get at a file: what others can read is no secret, and what others can change is not believed.
//!
//! Root may own what others use, for root can do anything anyway. What is asked is what the kernel says of an open
//! file or of a path; whoever opens asks the descriptor.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::shell::quoted;

/// Links on the way to a file, as Linux follows them.
const MOST_LINKS: u32 = 40;

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

/// Of a file that holds a secret: nobody else may read it, or write to it. What root owns, a group may read: root has said
/// who is in it, and no other way leads from a Secret of Kubernetes to a process that is not root. PostgreSQL has the same rule.
#[must_use]
pub fn of_secret(metadata: &Metadata) -> Option<Exposure> {
    of_secret_to(metadata, rustix::process::geteuid().as_raw())
}

fn of_secret_to(metadata: &Metadata, own: u32) -> Option<Exposure> {
    let mode = metadata.mode() & 0o777;
    let is_handed_out = metadata.uid() == 0 && own != 0;
    let others = if is_handed_out { 0o037 } else { 0o077 };
    of_owner(metadata).or((mode & others != 0).then_some(Exposure::Readable { mode }))
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

/// The same of every folder on the way to a path, which need not be there yet. A link on the way must be one's own or root's,
/// and then it is the way to where it leads. Whoever could change one of them could put something else at the path.
///
/// # Errors
///
/// When one cannot be looked at.
pub fn of_way_to(path: &Path) -> io::Result<Option<(PathBuf, Exposure)>> {
    let whole = std::path::absolute(path)?;
    let mut left = steps(&whole);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = left.pop() {
        if let Some(exposure) = of_folder(&here.metadata()?) {
            return Ok(Some((here, exposure)));
        }
        let next = match step == ".." {
            true => here.parent().unwrap_or(&here).to_owned(),
            false => here.join(step),
        };
        let metadata = match next.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            other => other?,
        };
        if !metadata.is_symlink() {
            here = next;
            continue;
        }
        if let Some(exposure) = of_owner(&metadata) {
            return Ok(Some((next, exposure)));
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(rustix::io::Errno::LOOP.into());
        }
        let to = next.read_link()?;
        if to.is_absolute() {
            here = PathBuf::from("/");
        }
        left.extend(steps(&to));
    }
    Ok(None)
}

/// The parts of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
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
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

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
    fn a_group_may_read_what_root_has_given_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        if file.metadata().unwrap().uid() != 0 {
            eprintln!("LEFT OUT: only root owns what root owns");
            return;
        }
        for (mode, to_root, to_another) in [
            (0o400, true, true),
            (0o440, false, true),
            (0o640, false, true),
            (0o660, false, false),
            (0o450, false, false),
            (0o444, false, false),
            (0o404, false, false),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let metadata = file.metadata().unwrap();
            for (own, is_closed) in [(0, to_root), (65532, to_another)] {
                let exposure = of_secret_to(&metadata, own);
                let expected = (!is_closed).then_some(Exposure::Readable { mode });
                assert_eq!(exposure, expected, "{mode:o} for {own}");
            }
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
        assert!(of_way_to(&file).unwrap().is_none());
        chown(folder.path(), Some(1000), Some(1000)).unwrap();
        let (found, _) = of_way_to(&file).unwrap().expect("it is another user's");
        assert_eq!(found, folder.path());
    }

    #[test]
    fn the_way_to_a_file_is_looked_at_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("far/off/here")).unwrap();
        fs::create_dir(root.join("near")).unwrap();
        symlink("../far/off", root.join("near/link")).unwrap();
        symlink(root.join("near/link"), root.join("twice")).unwrap();
        symlink("round", root.join("round")).unwrap();
        let ways = [
            "far/off/here/x",
            "near/link/here/x",
            "twice/here/x",
            "near/../twice/here/not/yet",
        ];
        for way in ways {
            let way = root.join(way);
            assert_eq!(of_way_to(&way).unwrap(), None, "{}", way.display());
            let exposure = Exposure::Writable { mode: 0o777 };
            let open = root.join("far");
            fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
            assert_eq!(
                of_way_to(&way).unwrap(),
                Some((open.clone(), exposure)),
                "{}",
                way.display()
            );
            // As /tmp is.
            fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
            assert_eq!(of_way_to(&way).unwrap(), None, "{}", way.display());
            fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        }
        // The place itself is whoever's asks.
        fs::set_permissions(root.join("far/off/here"), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(of_way_to(&root.join("twice/here")).unwrap(), None);
        assert!(of_way_to(&root.join("round/x")).is_err());
        let link = root.join("near/link");
        if lchown(&link, Some(1000), None).is_err() {
            eprintln!("LEFT OUT: only root can give a link away");
            return;
        }
        let exposure = Exposure::Owner { uid: 1000 };
        assert_eq!(
            of_way_to(&root.join("twice/here/x")).unwrap(),
            Some((link, exposure))
        );
    }
}
