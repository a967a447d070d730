//! The bundles of a chunk as they lie in its store: each an object of its own, or all in one pack.

use std::collections::HashSet;

use zeroize::{Zeroizing, zeroize_bytes};

use super::task::Task;
use super::{Fault, VerifyError};
use crate::batch::{IndexEntry, IndexRow, Layout, pack_object, pack_octets};
use crate::bundle::{self, Placed};
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

pub(super) enum Bundles {
    /// Of each row; `None` where there is none.
    Objects(Vec<Option<Private>>),
    /// Empty when it is missing.
    Pack(Private),
}

/// Octets with private keys in them, which are zeroized when dropped: all at once, where [`Zeroizing`] does it octet by octet,
/// twice.
#[derive(Default)]
pub(super) struct Private(Vec<u8>);

impl From<Zeroizing<Vec<u8>>> for Private {
    fn from(mut octets: Zeroizing<Vec<u8>>) -> Self {
        Self(std::mem::take(&mut *octets))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        zeroize_bytes(&mut self.0);
    }
}

impl Bundles {
    /// Reads those of these rows. One octet more than any bundle can have tells that it is none: `most` is what it has.
    pub(super) fn read(
        task: &Task<'_>,
        rows: &[IndexRow],
        store: &Store,
        most: usize,
    ) -> Result<Self, VerifyError> {
        match task.record.layout.is_packed() {
            false => read_objects(task, rows, store, most).map(Self::Objects),
            true => read_pack(task, rows, store).map(Self::Pack),
        }
    }

    pub(super) fn is_pack(&self) -> bool {
        matches!(self, Self::Pack(_))
    }

    /// The octets of a row's bundle; fewer when the pack ends before, `None` when object or pack is missing.
    pub(super) fn of(&self, i: usize, row: &IndexRow) -> Option<&[u8]> {
        match self {
            Self::Objects(bundles) => bundles[i].as_ref().map(|own| own.0.as_slice()),
            Self::Pack(Private(pack)) if pack.is_empty() => None,
            Self::Pack(Private(pack)) => Some(slice(pack, &row.entry)),
        }
    }

    /// The devices whose bundle is gone.
    pub(super) fn gone<'a>(&self, rows: &'a [IndexRow]) -> Vec<&'a DeviceId> {
        let gone = rows
            .iter()
            .enumerate()
            .filter(|(i, row)| is_gone(self.of(*i, row)));
        gone.map(|(_, row)| &row.entry.device_id).collect()
    }

    /// Holds the members of a pack against the index. What was retired is a member no more.
    pub(super) fn compare_members(
        &self,
        (chunk, layout): (u64, Layout),
        rows: &[IndexRow],
        retired: &HashSet<DeviceId>,
        faults: &mut Vec<Fault>,
    ) {
        let Self::Pack(Private(pack)) = self else {
            return;
        };
        let object = pack_object(chunk);
        if pack.is_empty() {
            if retired.len() < rows.len() {
                faults.push(Fault::of(&object, "the pack is missing".to_owned()));
            }
            return;
        }
        if !is_as_written(pack, rows, layout) {
            compare_placed((pack, layout), &object, rows, retired, faults);
        }
        if pack.len() as u64 != whole(rows, retired, layout) {
            let what = "has octets that no row of the index accounts for";
            faults.push(Fault::of(&object, what.to_owned()));
        }
    }
}

/// Whether a bundle is gone: its object is, or its place in a pack holds zeros.
fn is_gone(octets: Option<&[u8]>) -> bool {
    octets.is_none_or(|octets| octets.iter().all(|octet| *octet == 0))
}

/// The bundles of a chunk in layout objects, in the order of the rows.
fn read_objects(
    task: &Task<'_>,
    rows: &[IndexRow],
    store: &Store,
    most: usize,
) -> Result<Vec<Option<Private>>, VerifyError> {
    // A name comes from the device id, never from what the index says: that may lead anywhere.
    let name = |row: &IndexRow| task.record.layout.object(task.chunk, &row.entry.device_id);
    let names: Vec<String> = rows.iter().map(name).collect();
    let bundle = |octets: Result<Zeroizing<Vec<u8>>, StoreError>| match octets {
        Ok(octets) => Ok(Some(octets.into())),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let read = store.read_starts(&names, most as u64 + 1);
    read.into_iter().map(bundle).collect()
}

fn read_pack(task: &Task<'_>, rows: &[IndexRow], store: &Store) -> Result<Private, VerifyError> {
    // One octet more than it can have tells that it is another.
    let most = pack_octets(rows.iter().map(|row| &row.entry));
    match store.read(&pack_object(task.chunk), Some(0..most + 1)) {
        Ok(pack) => Ok(pack.into()),
        Err(StoreError::NotFound { .. }) => Ok(Private::default()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a pack has the bundles of all rows, one after the other, and nothing else: as long as none was removed.
fn is_as_written(pack: &[u8], rows: &[IndexRow], layout: Layout) -> bool {
    let mut rows = rows.iter();
    let are_placed = bundle::are_placed(pack, |name, octets| {
        rows.next().is_some_and(|IndexRow { entry, .. }| {
            name.strip_suffix(layout.ending()) == Some(entry.device_id.as_str())
                && octets == (entry.offset..entry.offset.saturating_add(entry.length))
        })
    });
    are_placed && rows.next().is_none()
}

/// Tells what is wrong with the members of a pack, as any reader of ZIPs finds them.
fn compare_placed(
    (pack, layout): (&[u8], Layout),
    object: &str,
    rows: &[IndexRow],
    retired: &HashSet<DeviceId>,
    faults: &mut Vec<Fault>,
) {
    match bundle::placed(pack) {
        Err(error) => faults.push(Fault::of(object, error.to_string())),
        Ok(members) => {
            let kept = rows.iter().filter(|row| !retired.contains(&row.entry.device_id));
            if !kept
                .map(|row| member_of(&row.entry, layout))
                .eq(members.iter().cloned())
            {
                let what = format!(
                    "has {} members, not those of the index's {} rows",
                    members.len(),
                    rows.len()
                );
                faults.push(Fault::of(object, what));
            }
        }
    }
}

/// What the pack of an entry's chunk must name it, and where.
fn member_of(entry: &IndexEntry, layout: Layout) -> Placed {
    Placed {
        name: layout.member(&entry.device_id),
        octets: entry.offset..entry.offset.saturating_add(entry.length),
    }
}

/// Octets of a whole pack: headers and bundles one after the other, with those that were retired as zeros; and the list of
/// those that were not. Rows that leave gaps have no whole pack: 0.
fn whole(rows: &[IndexRow], retired: &HashSet<DeviceId>, layout: Layout) -> u64 {
    // Of ZIP's local header, the header in its directory, and the end of that: APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16.
    const LOCAL: u64 = 30;
    const IN_DIRECTORY: u64 = 46;
    const END: u64 = 22;
    let (mut end, mut directory) = (0, END);
    for IndexRow { entry, .. } in rows {
        let name = (entry.device_id.as_str().len() + layout.ending().len()) as u64;
        if entry.offset != end + LOCAL + name {
            return 0;
        }
        end = entry.offset.saturating_add(entry.length);
        directory += if retired.contains(&entry.device_id) {
            0
        } else {
            IN_DIRECTORY + name
        };
    }
    end.saturating_add(directory)
}

/// The octets that the entry points to; fewer when the pack ends before.
fn slice<'a>(pack: &'a [u8], entry: &IndexEntry) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(pack.len());
    let start = at(entry.offset);
    &pack[start..at(entry.offset.saturating_add(entry.length)).max(start)]
}
