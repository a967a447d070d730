//! The reader: an image taken apart again, or refused.
//!
//! It reads what the writer and Espressif's generator make, and partitions that a device has gone on writing in: pages in
//! any order, entries that were erased, blobs whose chunks are numbered from 128.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use zeroize::{Zeroize, Zeroizing};

use super::PAGE;
use super::encryption::{Cipher, Keys};
use super::item::{CHUNK, INDEX, Item, NO_CHUNK, TEXT, U8, described};
use super::page::{ENTRIES, ENTRY, Fault, Life, Page};
use super::value::Value;

/// Octets of a blob at most: 127 pages hold less.
const MOST_BLOB: usize = 127 * PAGE;

/// Why an image is not read. Offsets are octets of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("it has {octets} octets, which are not one or more pages of 4096")]
    Size { octets: usize },
    #[error("it has no page that was written")]
    Empty,
    #[error("the header of the page at octet {offset} is damaged")]
    Header { offset: usize },
    #[error("the page at octet {offset} is neither in use nor full")]
    State { offset: usize },
    #[error("the page at octet {offset} is of another version than 2")]
    Version { offset: usize },
    #[error("there are two pages with the number {number}")]
    SamePage { number: u32 },
    #[error("the entry at octet {offset} is damaged, or the key is another")]
    Entry { offset: usize },
    #[error("the value at octet {offset} is damaged")]
    Value { offset: usize },
    #[error("the entry at octet {offset} is of type {kind:#04x}, which this does not know")]
    Kind { offset: usize, kind: u8 },
    #[error("the entry at octet {offset} is in a namespace without a name")]
    Namespace { offset: usize },
    #[error("the entry at octet {offset} is there a second time")]
    Twice { offset: usize },
    #[error("a blob lacks its index or some of its chunks, or has more")]
    Blob,
}

/// A value that was read, and where it belongs; it may be a key, and is wiped. Values come in the order of their entries, a blob where its index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub namespace: String,
    pub key: String,
    pub value: Value<'static>,
}

/// Octets of the partition that these begin with, as far as it can be known: its pages are erased or have a header, and none has the
/// number of another.
#[must_use]
pub fn extent(octets: &[u8]) -> usize {
    let mut numbers = BTreeSet::new();
    let is_its = |page: &&[u8]| match Page::read(page) {
        Ok(None) => true,
        Ok(Some(page)) => numbers.insert(page.number),
        Err(_) => false,
    };
    octets.chunks_exact(PAGE).take_while(is_its).count() * PAGE
}

/// Whether the entries of a partition are what these keys make of them, or plain where there are none: by its first page with
/// entries, of which one that can be read tells it. `None`: nothing is written there.
#[must_use]
pub fn opens(image: &[u8], keys: Option<&Keys>) -> Option<bool> {
    let cipher = keys.map(Keys::cipher);
    for (octets, offset) in image.chunks_exact(PAGE).zip((0..).step_by(PAGE)) {
        let Ok(Some(page)) = Page::read(octets) else {
            continue;
        };
        let mut written = (0..ENTRIES)
            .filter(|entry| page.life(*entry) == Some(Life::Written))
            .peekable();
        if written.peek().is_some() {
            let is_read =
                |entry| Item::read(plain(&page, offset, entry, cipher.as_ref()).as_slice()).is_some();
            return Some(written.any(is_read));
        }
    }
    None
}

/// An entry of the page at an octet, decrypted when it is encrypted.
fn plain(
    page: &Page<'_>,
    page_offset: usize,
    entry: usize,
    cipher: Option<&Cipher>,
) -> Zeroizing<[u8; ENTRY]> {
    let mut octets = Zeroizing::new([0; ENTRY]);
    octets.copy_from_slice(page.entry(entry));
    if let Some(cipher) = cipher {
        cipher.decrypt(page_offset + (entry + 2) * ENTRY, octets.as_mut_slice());
    }
    octets
}

impl Drop for Read {
    fn drop(&mut self) {
        match &mut self.value {
            Value::String(Cow::Owned(text)) => text.zeroize(),
            Value::Blob(Cow::Owned(octets)) => octets.zeroize(),
            _ => {}
        }
    }
}

/// Reads an image, and decrypts it when there are keys.
///
/// # Errors
///
/// When anything of it is damaged, or it is encrypted and the keys are others or none.
pub fn read(image: &[u8], keys: Option<&Keys>) -> Result<Vec<Read>, Unread> {
    let octets = image.len();
    if octets == 0 || !octets.is_multiple_of(PAGE) {
        return Err(Unread::Size { octets });
    }
    let cipher = keys.map(Keys::cipher);
    let mut pages = BTreeMap::new();
    for (octets, offset) in image.chunks_exact(PAGE).zip((0..).step_by(PAGE)) {
        let page = Page::read(octets).map_err(|fault| match fault {
            Fault::Header => Unread::Header { offset },
            Fault::Version => Unread::Version { offset },
            Fault::State => Unread::State { offset },
        })?;
        if let Some(page) = page {
            let number = page.number;
            if pages.insert(number, (offset, page)).is_some() {
                return Err(Unread::SamePage { number });
            }
        }
    }
    if pages.is_empty() {
        return Err(Unread::Empty);
    }
    let mut found = Found::default();
    for (offset, page) in pages.into_values() {
        found.read(offset, &page, cipher.as_ref())?;
    }
    found.finish()
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// By number.
    namespaces: BTreeMap<u8, String>,
    names: BTreeSet<(u8, String)>,
    values: Vec<(usize, u8, String, Laid)>,
    /// By namespace, key and number.
    chunks: BTreeMap<(u8, String, u8), Zeroizing<Vec<u8>>>,
}

enum Laid {
    Whole(Value<'static>),
    Index { len: usize, chunks: u8, first: u8 },
}

impl Found {
    fn read(&mut self, page_offset: usize, page: &Page<'_>, cipher: Option<&Cipher>) -> Result<(), Unread> {
        let mut entry = 0;
        while entry < ENTRIES {
            let offset = page_offset + (entry + 2) * ENTRY;
            let damaged = Unread::Entry { offset };
            match page.life(entry).ok_or(damaged)? {
                // What is not written is erased flash.
                Life::Empty if page.entry(entry).iter().any(|octet| *octet != 0xFF) => return Err(damaged),
                Life::Empty | Life::Erased => {
                    entry += 1;
                    continue;
                }
                Life::Written => {}
            }
            let plain = |entry| plain(page, page_offset, entry, cipher);
            let first = plain(entry);
            let item = Item::read(first.as_slice()).ok_or(damaged)?;
            let end = entry + usize::from(item.span);
            let is_whole = item.span > 0 && end <= ENTRIES;
            if !is_whole || (entry..end).any(|entry| page.life(entry) != Some(Life::Written)) {
                return Err(damaged);
            }
            let mut data = Zeroizing::new(Vec::with_capacity((end - entry) * ENTRY));
            for entry in entry + 1..end {
                data.extend_from_slice(plain(entry).as_slice());
            }
            self.take(offset, &item, &data)?;
            entry = end;
        }
        Ok(())
    }

    /// Takes an item with the data of the entries after it.
    fn take(&mut self, offset: usize, item: &Item<'_>, data: &[u8]) -> Result<(), Unread> {
        let damaged = Unread::Value { offset };
        let key = item.key.to_owned();
        if item.kind != CHUNK && item.chunk != NO_CHUNK {
            return Err(damaged);
        }
        let laid = match item.kind {
            CHUNK => {
                let octets = variable(item, data).ok_or(damaged)?;
                let name = (item.namespace, key, item.chunk);
                return match self.chunks.insert(name, Zeroizing::new(octets.to_vec())) {
                    None => Ok(()),
                    Some(_) => Err(Unread::Twice { offset }),
                };
            }
            INDEX => {
                let [a, b, c, d, chunks, first @ (0 | 128), 0xFF, 0xFF] = item.data else {
                    return Err(damaged);
                };
                let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| damaged)?;
                data.is_empty().then_some(()).ok_or(damaged)?;
                Laid::Index { len, chunks, first }
            }
            TEXT => {
                let text = variable(item, data).and_then(|text| text.strip_suffix(b"\0"));
                let text = text.filter(|text| !text.contains(&0)).ok_or(damaged)?;
                let text = std::str::from_utf8(text).map_err(|_| damaged)?;
                Laid::Whole(Value::String(Cow::Owned(text.to_owned())))
            }
            kind => {
                let unknown = Unread::Kind { offset, kind };
                let value = Value::of_number(kind, item.data).ok_or(unknown)?;
                data.is_empty().then_some(()).ok_or(damaged)?;
                Laid::Whole(value)
            }
        };
        if item.namespace == 0 {
            let Laid::Whole(Value::U8(number @ 1..=254)) = laid else {
                return Err(damaged);
            };
            debug_assert_eq!(item.kind, U8);
            let is_new = !self.namespaces.values().any(|name| *name == key);
            return match self.namespaces.insert(number, key) {
                None if is_new => Ok(()),
                _ => Err(Unread::Twice { offset }),
            };
        }
        if !self.names.insert((item.namespace, key.clone())) {
            return Err(Unread::Twice { offset });
        }
        self.values.push((offset, item.namespace, key, laid));
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Read>, Unread> {
        let mut values = Vec::with_capacity(self.values.len());
        for (offset, number, key, laid) in self.values {
            let namespace = self.namespaces.get(&number).ok_or(Unread::Namespace { offset })?;
            let value = match laid {
                Laid::Whole(value) => value,
                Laid::Index { len, chunks, first } => {
                    // It never moves.
                    let mut octets = Vec::with_capacity(len.min(MOST_BLOB));
                    for chunk in first..first.checked_add(chunks).ok_or(Unread::Blob)? {
                        let name = (number, key.clone(), chunk);
                        octets.extend_from_slice(&self.chunks.remove(&name).ok_or(Unread::Blob)?);
                    }
                    if octets.len() != len {
                        return Err(Unread::Blob);
                    }
                    Value::Blob(Cow::Owned(octets))
                }
            };
            values.push(Read {
                namespace: namespace.clone(),
                key,
                value,
            });
        }
        match self.chunks.is_empty() {
            true => Ok(values),
            false => Err(Unread::Blob),
        }
    }
}

/// The octets that an item describes and its entries hold, filled up with 0xFF.
fn variable<'a>(item: &Item<'_>, data: &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_le_bytes([item.data[0], item.data[1]]));
    let (octets, filling) = data.split_at_checked(len)?;
    let is_whole = data.len() == len.next_multiple_of(ENTRY)
        && filling.iter().all(|octet| *octet == 0xFF)
        && item.data == described(&[octets]);
    is_whole.then_some(octets)
}
