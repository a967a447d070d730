//! Attempts that were never released: found by what they left, and adopted, so that it may be replaced.
//!
//! An object in S3 tells which attempt wrote it. A file does not, but one that was put aside has the attempt in its name,
//! and certificates have it in their serials. In a folder each chunk that is not released gets an attempt in any case:
//! who follows one puts its files aside, and not where others may lie.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use data_encoding::HEXLOWER;

use super::RebuildError;
use super::chunk::Reading;
use crate::batch::{ChunkCertificates, Layout, certificates_object, chunk_of, pack_object};
use crate::certificate::SerialPrefix;
use crate::engine::Random;
use crate::ledger::{Ledger, Selection};
use crate::manifest::DeviceId;
use crate::store::{Listed, StoreError};

/// Objects that are asked for at a time.
const AT_A_TIME: usize = 1000;

/// Objects that are named one by one, at most.
const NAMED: usize = 10;

/// What was adopted.
#[derive(Default)]
pub(super) struct Adopted {
    /// The attempts at each chunk, in an order in which they may have been made; those whose chunk is not known under
    /// [`crate::batch::Shape::unknown_chunk`].
    pub attempts: BTreeMap<u64, Vec<SerialPrefix>>,
    /// Chunks for which a prefix was drawn, since nothing tells of their first attempt.
    pub drawn: u64,
    /// Some of the objects that no attempt is known to have written.
    pub foreign: Vec<String>,
    seen: HashSet<SerialPrefix>,
}

/// Finds the attempts at the chunks that are not released, which the ledger knows nothing of.
pub(super) fn adopt(
    reading: &Reading<'_>,
    open: &BTreeSet<u64>,
    ledger: &dyn Ledger,
) -> Result<Adopted, RebuildError> {
    let mut adopted = Adopted {
        seen: ledger.prefixes()?.into_iter().collect(),
        ..Adopted::default()
    };
    if open.is_empty() {
        return Ok(adopted);
    }
    let mut left = Vec::new();
    for (folder, object) in [
        ("certificates/", certificates_object as fn(u64) -> String),
        ("packs/", pack_object),
    ] {
        reading.store.list(folder, &mut |Listed { name, .. }| {
            let chunk = numbered(&name, object).filter(|chunk| open.contains(chunk));
            left.extend(chunk.map(|chunk| (name, chunk)));
        })?;
    }
    match reading.store.tells_writers() {
        true => by_writers(reading, &left, ledger, &mut adopted)?,
        false => by_names(reading, &left, (open, ledger), &mut adopted)?,
    }
    Ok(adopted)
}

impl Adopted {
    /// Adopts an attempt; `false` when it is none, or is known to be at another chunk.
    fn add(&mut self, chunk: u64, attempt: &str) -> bool {
        let octets = HEXLOWER.decode(attempt.as_bytes()).ok();
        let octets: Option<[u8; 8]> = octets.and_then(|octets| octets.try_into().ok());
        match octets.and_then(SerialPrefix::from_octets) {
            Some(prefix) => self.add_prefix(chunk, prefix),
            None => false,
        }
    }

    fn add_prefix(&mut self, chunk: u64, prefix: SerialPrefix) -> bool {
        if self.seen.insert(prefix) {
            self.attempts.entry(chunk).or_default().push(prefix);
            return true;
        }
        self.attempts.values().any(|of_chunk| of_chunk.contains(&prefix))
    }
}

/// In S3: each object tells.
fn by_writers(
    reading: &Reading<'_>,
    left: &[(String, u64)],
    ledger: &dyn Ledger,
    adopted: &mut Adopted,
) -> Result<(), RebuildError> {
    for some in left.chunks(AT_A_TIME) {
        let names: Vec<String> = some.iter().map(|(name, _)| name.clone()).collect();
        let chunks = some.iter().map(|(_, chunk)| *chunk);
        ask(reading, &names, chunks, adopted)?;
    }
    if !reading.record.layout.is_packed() {
        let unknown = reading.record.shape().unknown_chunk();
        each_stray(reading, ledger, &mut |names| {
            ask(reading, names, std::iter::repeat(unknown), adopted)
        })?;
    }
    Ok(())
}

fn ask(
    reading: &Reading<'_>,
    names: &[String],
    chunks: impl Iterator<Item = u64>,
    adopted: &mut Adopted,
) -> Result<(), RebuildError> {
    let writers = reading.store.writers(names);
    for ((name, chunk), writer) in names.iter().zip(chunks).zip(writers) {
        let is_adopted = writer?.is_some_and(|attempt| adopted.add(chunk, &attempt));
        if !is_adopted && adopted.foreign.len() < NAMED {
            adopted.foreign.push(name.clone());
        }
    }
    Ok(())
}

/// Bundles of devices that are not released, some at a time: of which chunk they are, they do not tell.
fn each_stray(
    reading: &Reading<'_>,
    ledger: &dyn Ledger,
    visit: &mut dyn FnMut(&[String]) -> Result<(), RebuildError>,
) -> Result<(), RebuildError> {
    let mut some = Vec::new();
    let mut ended = Ok(());
    reading.store.list("bundles/", &mut |Listed { name, .. }| {
        some.push(name);
        if some.len() == AT_A_TIME && ended.is_ok() {
            ended = strays(reading, ledger, std::mem::take(&mut some)).and_then(|names| visit(&names));
        }
    })?;
    ended?;
    visit(&strays(reading, ledger, some)?)
}

/// Of bundles, those whose device is not released in this batch.
fn strays(
    reading: &Reading<'_>,
    ledger: &dyn Ledger,
    names: Vec<String>,
) -> Result<Vec<String>, RebuildError> {
    let layout = reading.record.layout;
    let devices: BTreeSet<String> = names.iter().filter_map(|name| device_in(name, layout)).collect();
    let mut released = HashSet::new();
    ledger.select(Selection::Devices(&devices), &mut |issued| {
        if issued.batch == reading.record.batch {
            released.insert(issued.entry.device_id.to_string());
        }
        true
    })?;
    let is_stray = |name: &String| device_in(name, layout).is_some_and(|device| !released.contains(&device));
    Ok(names.into_iter().filter(is_stray).collect())
}

fn device_in(bundle: &str, layout: Layout) -> Option<String> {
    let id = bundle.rsplit('/').next()?.strip_suffix(layout.ending())?;
    let id = DeviceId::parse(id).ok()?;
    (layout.object(0, &id) == bundle).then(|| id.to_string())
}

/// In a folder: what lies in its place by its certificates, what was put aside by its name.
fn by_names(
    reading: &Reading<'_>,
    left: &[(String, u64)],
    (open, ledger): (&BTreeSet<u64>, &dyn Ledger),
    adopted: &mut Adopted,
) -> Result<(), RebuildError> {
    for (name, chunk) in left.iter().filter(|(name, _)| name.starts_with("certificates/")) {
        let octets = match reading.store.read(name, None) {
            Ok(octets) => octets,
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) if error.is_of_one_object() => continue,
            Err(error) => return Err(error.into()),
        };
        let certificates = ChunkCertificates::read(&octets);
        let first = certificates.found().first();
        let serial = first.and_then(|der| reading.standard.serial(der));
        let prefix = serial.and_then(|serial| serial.first_chunk().copied());
        if let Some(prefix) = prefix.and_then(SerialPrefix::from_octets) {
            adopted.add_prefix(*chunk, prefix);
        }
    }
    // The first of all put nothing aside, so there must be one.
    for chunk in open {
        if !adopted.attempts.contains_key(chunk) {
            adopted.drawn += 1;
            adopted.add_prefix(*chunk, SerialPrefix::draw(Random)?);
        }
    }
    let mut aside = Vec::new();
    reading
        .store
        .list_aside(&mut |object, attempt| aside.push((object.to_owned(), attempt.to_owned())))?;
    let (bundles, others): (Vec<_>, Vec<_>) = aside
        .into_iter()
        .partition(|(object, _)| object.starts_with("bundles/"));
    for (object, attempt) in others {
        let chunk = numbered(&object, certificates_object)
            .or_else(|| numbered(&object, pack_object))
            .or_else(|| chunk_of(&object));
        if let Some(chunk) = chunk.filter(|chunk| open.contains(chunk)) {
            adopted.add(chunk, &attempt);
        }
    }
    let unknown = reading.record.shape().unknown_chunk();
    for some in bundles.chunks(AT_A_TIME) {
        let names = some.iter().map(|(object, _)| object.clone()).collect();
        let strays: HashSet<String> = strays(reading, ledger, names)?.into_iter().collect();
        for (_, attempt) in some.iter().filter(|(object, _)| strays.contains(object)) {
            adopted.add(unknown, attempt);
        }
    }
    Ok(())
}

/// The number in a name that is made of it, and of nothing else.
fn numbered(name: &str, object: fn(u64) -> String) -> Option<u64> {
    let digits = name.rsplit_once('/')?.1.split_once('.')?.0;
    let number = digits.parse().ok()?;
    (object(number) == name).then_some(number)
}
