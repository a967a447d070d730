//! Places: how much room there is, and on what kind of file system.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::{Check, Options};
use crate::ledger::LedgerName;

const MIB: u64 = 1 << 20;

/// Room below which a run may stop soon; and at once.
const LITTLE: u64 = 1024 * MIB;
const NONE: u64 = 64 * MIB;

/// Kinds of file systems, by the number that statfs(2) has for them; and whether a ledger may be kept there: `SQLite` needs
/// locks and shared memory that work.
const KINDS: [(i128, &str, bool); 20] = [
    (0xef53, "ext4", true),
    (0x5846_5342, "xfs", true),
    (0x9123_683e, "btrfs", true),
    (0xf2f5_2010, "f2fs", true),
    (0x2fc1_2fc1, "zfs", true),
    (0x0102_1994, "tmpfs", true),
    (0x8584_58f6, "ramfs", true),
    (0x794c_7630, "overlayfs", true),
    (0x6969, "nfs", false),
    (0x517b, "smb", false),
    (0xff53_4d42, "cifs", false),
    (0xfe53_4d42, "smb2", false),
    (0x6573_5546, "fuse", false),
    (0x0102_1997, "9p", false),
    (0x00c3_6400, "ceph", false),
    (0x786f_4256, "vboxsf", false),
    (0x4d44, "vfat", false),
    (0x2011_bab0, "exfat", false),
    (0x7366_746e, "ntfs", false),
    (0x7371_7368, "squashfs", false),
];

pub(super) fn checks(options: &Options) -> Vec<Check> {
    let ledger = match &options.ledger {
        LedgerName::File(file) => Some(folder_of(file)),
        LedgerName::Server(_) => None,
    };
    let mut places = vec![("folder of the CA", options.ca.clone())];
    places.extend(ledger.clone().map(|folder| ("folder of the ledger", folder)));
    places.extend(options.folder.clone().map(|folder| ("folder of batches", folder)));
    let mut seen = BTreeSet::new();
    let mut checks = Vec::new();
    for (what, path) in places {
        let is_ledgers = ledger.as_ref() == Some(&path);
        if seen.insert(path.clone()) {
            checks.push(check(what, &path, is_ledgers));
        }
    }
    checks
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The folder itself, or the one above it in which it would be made.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        })
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."))
}

fn check(what: &str, path: &Path, is_ledgers: bool) -> Check {
    let found = nearest(path);
    let what = format!("{what}, {}", path.display());
    let stat = match rustix::fs::statvfs(found) {
        Ok(stat) => stat,
        Err(error) => {
            return Check::ok("disk", what, format!("cannot be looked at: {error}"))
                .warn("check the path and who may use it");
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let kind = kind(found);
    let there = if found == path { "" } else { ", not there yet" };
    let name = kind.map_or("a file system of another kind", |(name, _)| name);
    let check = Check::ok("disk", what, format!("{} MiB free on {name}{there}", free / MIB));
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return check.bad("it is mounted for reading only: name another folder");
    }
    if free < NONE {
        return check.bad("free some space");
    }
    if is_ledgers && kind.is_some_and(|(_, is_safe)| !is_safe) {
        return check.warn(
            "locks of a ledger may not work there: keep it on a disk of this machine, and its copies elsewhere",
        );
    }
    if stat.f_files > 0 && stat.f_favail < 10_000 {
        return check.warn("few files more can be made there (inodes): use --layout packs, or another disk");
    }
    match free < LITTLE {
        true => check.warn("a bundle takes about 4 KiB: see that all of a batch fits"),
        false => check,
    }
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Option<(&'static str, bool)> {
    let number = i128::from(rustix::fs::statfs(path).ok()?.f_type);
    let known = KINDS
        .into_iter()
        .find(|(known, ..)| *known == number & 0xffff_ffff);
    known.map(|(_, name, is_safe)| (name, is_safe))
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> Option<(&'static str, bool)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_the_folder_in_which_one_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(nearest(&path), folder.path());
        assert_eq!(nearest(Path::new("no/such")), Path::new("."));
        let check = check("folder of batches", &path, false);
        assert!(
            check.said.contains("MiB free on") && check.said.ends_with("not there yet"),
            "{}",
            check.said
        );
    }
}
