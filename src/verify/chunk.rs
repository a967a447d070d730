//! One chunk: its index, its certificates, its bundles, and the rows of manifest and ledger.

use std::collections::{BTreeSet, HashSet};

use zeroize::Zeroizing;

use super::bundle::{Findings, Standard, public_key_id};
use super::retired::retired;
use super::seal::CHANGED;
use super::tally::Tallies;
use super::{Fault, VerifyError};
use crate::batch::{
    BatchRecord, ChunkCertificates, IndexEntry, IndexRow, Layout, certificates_object, index_object,
    pack_object, pack_octets, parse_index,
};
use crate::bundle::{self, Placed};
use crate::manifest::{DeviceId, Row};
use crate::profile::Ends;
use crate::seal::{ChunkDigest, Seal};
use crate::store::{Store, StoreError};

/// What is to be read and held against it.
pub(super) struct Task<'a> {
    pub chunk: u64,
    /// The rows of the manifest, when it is at hand.
    pub manifest: Option<Vec<Row>>,
    /// The ledger's entries, when there is a ledger.
    pub ledger: Option<Vec<IndexEntry>>,
    pub record: &'a BatchRecord,
    pub seal: Option<&'a Seal>,
}

#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Bundles without a fault.
    pub good: u64,
    /// Bundles that were removed after their device was flashed or scrapped.
    pub burned: u64,
    pub faults: Vec<Fault>,
    pub tallies: Tallies,
    /// When its certificates end.
    pub ends: Option<Ends>,
    /// What the seal must say of it, when the index is as a forge writes it.
    pub digest: Option<ChunkDigest>,
}

/// Verifies a released chunk. Faults are found, not failed at; an error is a store that cannot be read.
pub(super) fn verify(
    task: &Task<'_>,
    store: &Store,
    standard: &Standard<'_>,
) -> Result<Verified, VerifyError> {
    let mut verified = Verified::default();
    let index = index_object(task.chunk);
    let octets = store.read(&index, None)?;
    if let Some(seal) = task.seal
        && seal.check_index(task.chunk, &octets).is_err()
    {
        verified.faults.push(Fault::of(&index, CHANGED.to_owned()));
    }
    verified.digest = ChunkDigest::of(task.chunk, &octets, task.record).ok();
    let rows = match parse_index(&octets) {
        Ok(rows) => rows,
        Err(error) => {
            verified
                .faults
                .push(Fault::of(&index, format!("is no index: {error}")));
            return Ok(verified);
        }
    };
    let disputed = compare_rows(task, &rows, &index, &mut verified.faults);
    let chunk_certificates = read_certificates(task.chunk, rows.len(), store, &mut verified.faults)?;
    let pack = read_pack(task, &rows, store)?;
    let bundles = match &pack {
        Some(_) => Vec::new(),
        None => read_bundles(task, &rows, store, standard)?,
    };
    let bundle = |i: usize| match &pack {
        Some(pack) if pack.is_empty() => None,
        Some(pack) => Some(slice(pack, &rows[i].entry)),
        None => bundles[i].as_ref().map(|own| own.as_slice()),
    };
    let gone: Vec<&DeviceId> = rows
        .iter()
        .enumerate()
        .filter(|(i, _)| is_gone(bundle(*i)))
        .map(|(_, row)| &row.entry.device_id)
        .collect();
    let retired = match gone.is_empty() {
        true => HashSet::new(),
        false => retired(store, task.chunk, &gone)?,
    };
    if let Some(pack) = &pack {
        compare_members(task, &rows, pack, &retired, &mut verified.faults);
    }
    let found = Found {
        task,
        certificates: &chunk_certificates,
        disputed: &disputed,
        is_pack: pack.is_some(),
    };
    for (i, row) in rows.iter().enumerate() {
        verified.ends = Ends::both(verified.ends, Ends::at(row.entry.not_after));
        match retired.contains(&row.entry.device_id) {
            true => found.account_for_retired(i, row, &mut verified),
            false => found.judge(i, row, bundle(i), standard, &mut verified),
        }
    }
    Ok(verified)
}

/// What was found of a chunk, and its rows are judged by.
struct Found<'a> {
    task: &'a Task<'a>,
    certificates: &'a ChunkCertificates,
    /// Rows that are not those of the batch, manifest or ledger.
    disputed: &'a BTreeSet<usize>,
    is_pack: bool,
}

impl Found<'_> {
    /// A row whose device was flashed or scrapped, and whose bundle was removed: its certificate is all that is left.
    fn account_for_retired(&self, i: usize, row: &IndexRow, verified: &mut Verified) {
        let key = listed_key(self.certificates, i, row);
        tally(&mut verified.tallies, row, key, self.number(i));
        let is_another = self.certificates.found().len() > i && self.certificates.of(i, &row.entry).is_none();
        if is_another {
            let what = "has another certificate than the index names".to_owned();
            let object = certificates_object(self.task.chunk);
            verified
                .faults
                .push(Fault::of_device(&row.entry.device_id, &object, what));
        }
        verified.burned += u64::from(!self.disputed.contains(&i) && !is_another);
    }

    fn judge(
        &self,
        i: usize,
        row: &IndexRow,
        octets: Option<&[u8]>,
        standard: &Standard<'_>,
        verified: &mut Verified,
    ) {
        let line = self.task.manifest.as_ref().and_then(|rows| rows.get(i));
        let line = line.filter(|line| line.device_id == row.entry.device_id);
        let mut findings = match octets {
            Some(octets) => standard.inspect(octets, &row.entry, line),
            // A missing pack is one fault, not one a device.
            None if self.is_pack => Findings::default(),
            None => Findings {
                faults: vec!["the bundle is missing".to_owned()],
                ..Findings::default()
            },
        };
        let listed = self.certificates.found().get(i);
        let is_listed = listed.is_none_or(|listed| *listed == findings.certificate);
        if !findings.certificate.is_empty() && !is_listed {
            let object = certificates_object(self.task.chunk);
            findings.faults.push(format!("{object} has another certificate"));
        }
        let key = findings.key.or_else(|| listed_key(self.certificates, i, row));
        tally(&mut verified.tallies, row, key, self.number(i));
        let is_whole = findings.faults.is_empty();
        let is_good =
            is_whole && findings.untimely.is_none() && octets.is_some() && !self.disputed.contains(&i);
        verified.good += u64::from(is_good);
        let fault = |what| Fault::of_device(&row.entry.device_id, &row.object, what);
        verified.faults.extend(findings.faults.into_iter().map(fault));
        if let Some(what) = findings.untimely {
            let end = if is_whole { "; the bundle is whole" } else { "" };
            verified.faults.push(Fault {
                is_of_time: true,
                ..fault(what + end)
            });
        }
    }

    /// The row's number in the batch.
    fn number(&self, i: usize) -> u64 {
        self.task.chunk * self.task.record.chunk_rows + i as u64
    }
}

/// Whether a bundle is gone: its object is, or its place in a pack holds zeros.
fn is_gone(octets: Option<&[u8]>) -> bool {
    octets.is_none_or(|octets| octets.iter().all(|octet| *octet == 0))
}

/// The certificates of a chunk, which are kept beside its bundles.
fn read_certificates(
    chunk: u64,
    rows: usize,
    store: &Store,
    faults: &mut Vec<Fault>,
) -> Result<ChunkCertificates, VerifyError> {
    let object = certificates_object(chunk);
    let (certificates, octets) = match store.read(&object, None) {
        Ok(octets) => (ChunkCertificates::read(&octets), octets),
        Err(StoreError::NotFound { .. }) => {
            faults.push(Fault::of(&object, "the certificates are missing".to_owned()));
            return Ok(ChunkCertificates::default());
        }
        Err(error) => return Err(error.into()),
    };
    let found = certificates.found().len();
    if found != rows {
        let what = format!("certificates in it: {found}, rows in the index: {rows}");
        faults.push(Fault::of(&object, what));
    } else if certificates.to_pem() != *octets {
        faults.push(Fault::of(&object, "has more in it than certificates".to_owned()));
    }
    Ok(certificates)
}

/// The key of a device whose bundle is gone, or does not tell: that of the certificate which the index names.
fn listed_key(certificates: &ChunkCertificates, i: usize, row: &IndexRow) -> Option<[u8; 20]> {
    public_key_id(certificates.of(i, &row.entry)?)
}

fn tally(tallies: &mut Tallies, row: &IndexRow, key: Option<[u8; 20]>, number: u64) {
    tallies
        .devices
        .add(row.entry.device_id.as_str().as_bytes(), number);
    tallies.certificates.add(&row.entry.certificate_id, number);
    tallies.serials.add(row.entry.certificate_serial.octets(), number);
    if let Some(key) = key {
        tallies.keys.add(&key, number);
    }
}

/// Holds the index's rows against the batch, the manifest and the ledger. Returns those in dispute.
fn compare_rows(task: &Task<'_>, rows: &[IndexRow], index: &str, faults: &mut Vec<Fault>) -> BTreeSet<usize> {
    let mut disputed = BTreeSet::new();
    let expected = task.record.shape().rows_of(task.chunk);
    if rows.len() as u64 != expected {
        let what = format!("rows in it: {}, in the manifest: {expected}", rows.len());
        faults.push(Fault::of(index, what));
    }
    for (i, row) in rows.iter().enumerate() {
        let device = &row.entry.device_id;
        let mut fault = |what: String| {
            disputed.insert(i);
            faults.push(Fault::of_device(device, index, what));
        };
        if row.object != task.record.layout.object(task.chunk, device) {
            fault("the index points to another object".to_owned());
        }
        if let Some(manifest) = &task.manifest {
            match manifest.get(i) {
                Some(line) if line.device_id == *device => {}
                Some(line) => fault(format!(
                    "the manifest has {} here, on line {}",
                    line.device_id, line.line
                )),
                None => fault("the manifest has no such row".to_owned()),
            }
        }
        if let Some(ledger) = &task.ledger {
            match ledger.get(i) {
                Some(entry) if *entry == row.entry => {}
                Some(entry) => fault(format!(
                    "the ledger has {} here, with other facts",
                    entry.device_id
                )),
                None => fault("the ledger has no such row".to_owned()),
            }
        }
    }
    disputed
}

/// The bundles of a chunk in layout objects, in the order of the rows; `None` where there is none.
fn read_bundles(
    task: &Task<'_>,
    rows: &[IndexRow],
    store: &Store,
    standard: &Standard<'_>,
) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, VerifyError> {
    // A name comes from the device id, never from what the index says: that may lead anywhere.
    let name = |row: &IndexRow| task.record.layout.object(task.chunk, &row.entry.device_id);
    let names: Vec<String> = rows.iter().map(name).collect();
    let bundle = |octets| match octets {
        Ok(octets) => Ok(Some(octets)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    };
    // One octet more than any can have tells that one is no bundle.
    let read = store.read_starts(&names, standard.most_octets() as u64 + 1);
    read.into_iter().map(bundle).collect()
}

/// The pack of a chunk, when the batch is in packs; empty when it is missing.
fn read_pack(
    task: &Task<'_>,
    rows: &[IndexRow],
    store: &Store,
) -> Result<Option<Zeroizing<Vec<u8>>>, VerifyError> {
    if task.record.layout == Layout::Objects {
        return Ok(None);
    }
    // One octet more than it can have tells that it is another.
    let most = pack_octets(rows.iter().map(|row| &row.entry));
    match store.read(&pack_object(task.chunk), Some(0..most + 1)) {
        Ok(pack) => Ok(Some(pack)),
        Err(StoreError::NotFound { .. }) => Ok(Some(Zeroizing::default())),
        Err(error) => Err(error.into()),
    }
}

/// Holds the members of a pack against the index. What was retired is a member no more.
fn compare_members(
    task: &Task<'_>,
    rows: &[IndexRow],
    pack: &[u8],
    retired: &HashSet<DeviceId>,
    faults: &mut Vec<Fault>,
) {
    let object = pack_object(task.chunk);
    if pack.is_empty() {
        if retired.len() < rows.len() {
            faults.push(Fault::of(&object, "the pack is missing".to_owned()));
        }
        return;
    }
    match bundle::placed(pack) {
        Err(error) => faults.push(Fault::of(&object, error.to_string())),
        Ok(members) => {
            let kept = || rows.iter().filter(|row| !retired.contains(&row.entry.device_id));
            let rows = rows.len();
            if !kept()
                .map(|row| member_of(&row.entry))
                .eq(members.iter().cloned())
            {
                let what = format!(
                    "has {} members, not those of the index's {rows} rows",
                    members.len()
                );
                faults.push(Fault::of(&object, what));
            }
        }
    }
    if pack.len() as u64 != whole(rows, retired) {
        let what = "has octets that no row of the index accounts for";
        faults.push(Fault::of(&object, what.to_owned()));
    }
}

/// What the pack of an entry's chunk must name it, and where.
fn member_of(entry: &IndexEntry) -> Placed {
    Placed {
        name: format!("{}.zip", entry.device_id),
        octets: entry.offset..entry.offset.saturating_add(entry.length),
    }
}

/// Octets of a whole pack: headers and bundles one after the other, with those that were retired as zeros; and the list of
/// those that were not. Rows that leave gaps have no whole pack: 0.
fn whole(rows: &[IndexRow], retired: &HashSet<DeviceId>) -> u64 {
    // Of ZIP's local header, the header in its directory, and the end of that: APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16.
    const LOCAL: u64 = 30;
    const IN_DIRECTORY: u64 = 46;
    const END: u64 = 22;
    let (mut end, mut directory) = (0, END);
    for IndexRow { entry, .. } in rows {
        let name = member_of(entry).name.len() as u64;
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
