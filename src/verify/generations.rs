//! The generations of a batch: the newest is what is verified. Of those before it nothing may be left but the bundles of
//! devices that stations had claimed when the next was made; these are verified where they are.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use rustls_pki_types::CertificateDer;

use super::bundle::{Findings, Standard, refuse};
use super::inputs::Inputs;
use super::{Fault, Job, Report, UnreadEarlier, VerifyError};
use crate::batch::{
    BATCH_OBJECT, BUNDLE_FOLDERS, GENERATIONS, IndexEntry, ReadRecord, SEAL_OBJECT, generation_seal,
    index_object, pack_octets,
};
use crate::bundle::encryption::{Recipient, decrypt};
use crate::digest::sha256;
use crate::ledger::{Deed, Entry, Ledger};
use crate::manifest::DeviceId;
use crate::seal::Generation;
use crate::store::{Store, StoreError};

/// A device whose bundle is not in the newest generation.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub chunk: u64,
    pub device_id: DeviceId,
    /// Whether it was flashed or scrapped, so that its bundle may be gone.
    pub is_over: bool,
}

/// The generations of a batch; of one that has only its own bundles, none.
#[derive(Default)]
pub(super) struct Generations(Vec<Generation>);

impl Generations {
    /// Reads the seals. What is wrong with one is a fault, and the generation before it is verified.
    pub(super) fn read(job: &Job<'_>, inputs: &Inputs, faults: &mut Vec<Fault>) -> Result<Self, VerifyError> {
        let read = |object: &str| match job.store.read(object, None) {
            Err(StoreError::NotFound { .. }) => Ok(None),
            other => Ok::<_, VerifyError>(Some(other?)),
        };
        let first = match read(SEAL_OBJECT)? {
            // What is wrong with the batch's own seal is told where that is read.
            Some(octets) => Generation::first(&octets, &inputs.issuer).ok(),
            None => None,
        };
        let mut all = Vec::from_iter(first);
        while let Some(last) = all.last() {
            let object = last.next_object();
            let Some(octets) = read(&object)? else { break };
            match last.next(&octets, &inputs.issuer) {
                Ok(next) => all.push(next),
                Err(error) => {
                    faults.push(Fault::of(&object, error.to_string()));
                    break;
                }
            }
        }
        Ok(match all.len() {
            0 | 1 => Self::default(),
            _ => Self(all),
        })
    }

    /// Counted from 0, which is the batch's own.
    pub(super) fn newest(&self) -> u32 {
        self.0.last().map_or(0, Generation::number)
    }

    /// Holds the newest against the ledger's history, which tells of each that was made: whoever may write to a store may put
    /// an older one back.
    pub(super) fn check_history(
        &self,
        ledger: Option<&dyn Ledger>,
        batch: &str,
        faults: &mut Vec<Fault>,
    ) -> Result<(), VerifyError> {
        let Some(ledger) = ledger else { return Ok(()) };
        let entries = ledger.history()?;
        let is_of_batch = |entry: &&Entry| entry.act == Deed::BundlesRemade && entry.subject == batch;
        let Some(last) = entries.iter().rfind(is_of_batch) else {
            return Ok(());
        };
        let number = last.what.strip_prefix("generation ").unwrap_or_default();
        let number = number
            .split_once(',')
            .and_then(|(number, _)| number.parse::<u32>().ok());
        let sealed = self.0.last().map(|newest| HEXLOWER.encode(&newest.sha256));
        let is_it = sealed.is_some_and(|sealed| last.what.contains(&sealed));
        // A newer one, of which this ledger was not told, has a seal that follows from those before it.
        if number.is_some_and(|number| number > self.newest() || (number == self.newest() && !is_it)) {
            let what = format!(
                "the ledger's history has another generation, made at {}: {}; an older copy of the batch was put back",
                last.at, last.what
            );
            faults.push(Fault::of_batch(what));
        }
        Ok(())
    }

    /// The store as the newest has it.
    pub(super) fn sight(&self, batch: &Store) -> Store {
        self.0
            .last()
            .map_or_else(|| batch.clone(), |newest| sight(batch, newest))
    }

    /// The record of the newest, once it is seen to be the one that was sealed; `None`: that of the batch is it.
    pub(super) fn record(&self, batch: &Store) -> Result<Option<Result<ReadRecord, Fault>>, VerifyError> {
        let Some(newest) = self.0.last() else {
            return Ok(None);
        };
        Ok(Some(record(batch, newest)?))
    }

    /// Names what lies under the names of generations and is of none that is sealed, and the bundles that were replaced and
    /// are still there.
    pub(super) fn extras(
        &self,
        batch: &Store,
        left: &[Left],
        faults: &mut Vec<Fault>,
    ) -> Result<(), VerifyError> {
        let mut strays = BTreeSet::new();
        let mut replaced = BTreeSet::new();
        let folders = || self.0.iter().filter_map(|generation| generation.folder.as_ref());
        let listed = batch.list(GENERATIONS, &mut |listed| {
            if folders().all(|folder| folder.name_of(&listed.name).is_none()) {
                strays.insert(listed.name);
            }
        });
        match listed {
            Err(error @ StoreError::Unlisted { .. }) => faults.push(Fault::of_batch(error.to_string())),
            other => other?,
        }
        let before = self.0.split_last().map_or(&[][..], |(_, before)| before);
        for generation in before {
            let store = sight(batch, generation);
            for name in replaced_in(&store, generation, left)? {
                let own = generation.folder.as_ref();
                replaced.insert(own.map_or(name.clone(), |own| own.object(&name)));
            }
        }
        let newest = self.newest();
        faults.extend(strays.iter().map(|object| {
            let what = "is of no generation that is sealed: whoever made it was stopped";
            Fault::of(object, what.to_owned())
        }));
        faults.extend(replaced.iter().map(|object| {
            let what = format!(
                "was replaced by generation {newest}, and is still there with its keys: the command that made it, once more, removes it"
            );
            Fault::of(object, what)
        }));
        Ok(())
    }

    /// Judges the bundles of devices that are not in the newest, where they are.
    pub(super) fn judge_left(
        &self,
        job: &Job<'_>,
        inputs: &Inputs,
        left: &[Left],
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let mut open: BTreeMap<u64, BTreeMap<&DeviceId, bool>> = BTreeMap::new();
        for device in left {
            let of_chunk = open.entry(device.chunk).or_default();
            of_chunk.insert(&device.device_id, device.is_over);
        }
        let before = self.0.split_last().map_or(&[][..], |(_, before)| before);
        for generation in before.iter().rev() {
            let read = match record(job.store, generation)? {
                Ok(read) => read,
                Err(fault) => {
                    report.faults.push(fault);
                    continue;
                }
            };
            let store = sight(job.store, generation);
            let issuer_der = CertificateDer::from(inputs.issuer.der());
            let profile = read.profile.with_its_passwords(job.passwords)?;
            let standard = Standard::new(&profile, None, &inputs.issuer, &issuer_der, job.now);
            let Some(standard) = standard else { continue };
            let mut unread = 0;
            for (chunk, devices) in &mut open {
                let index = index_object(*chunk);
                let octets = store.read(&index, None)?;
                let rows = match generation.seal.index(*chunk, &octets) {
                    Ok(rows) => rows,
                    Err(error) => {
                        report
                            .faults
                            .push(Fault::of(&at(generation, &index), error.to_string()));
                        continue;
                    }
                };
                for row in rows.iter().filter(|row| row.length > 0) {
                    let Some(is_over) = devices.remove(&row.device_id) else {
                        continue;
                    };
                    let object = read.record.layout.object(*chunk, &row.device_id);
                    let findings = match judge(job, &store, (&read, &standard), (&object, row))? {
                        Some(findings) => findings,
                        None if is_over => {
                            report.burned += 1;
                            continue;
                        }
                        None => (wrong("the bundle is missing"), true),
                    };
                    let (findings, is_read) = findings;
                    let is_locked = findings.is_locked;
                    let faults = findings.faults.into_iter().chain(findings.untimely);
                    let before = report.faults.len();
                    let object = at(generation, &object);
                    report
                        .faults
                        .extend(faults.map(|what| Fault::of_device(&row.device_id, &object, what)));
                    let is_good = report.faults.len() == before;
                    report.good += u64::from(is_good);
                    report.not_opened += u64::from(is_good && is_locked);
                    report.in_earlier_generations += u64::from(is_good);
                    unread += u64::from(is_good && !is_read);
                }
            }
            if unread > 0 {
                report.unread += unread;
                report.unread_earlier.push(UnreadEarlier {
                    generation: generation.number(),
                    bundles: unread,
                    recipients: profile.recipients().iter().map(Recipient::short_id).collect(),
                });
            }
        }
        for (chunk, devices) in open {
            for (device_id, is_over) in devices {
                if is_over {
                    report.burned += 1;
                    continue;
                }
                let what = "no generation has its bundle".to_owned();
                let fault = Fault::of_device(device_id, &index_object(chunk), what);
                report.faults.push(fault);
            }
        }
        Ok(())
    }
}

/// The objects of a generation before the newest that hold more than the bundles of devices that are left there.
fn replaced_in(store: &Store, generation: &Generation, left: &[Left]) -> Result<Vec<String>, VerifyError> {
    let layout = generation.seal.statement().layout;
    let mut stays: BTreeMap<String, BTreeSet<&DeviceId>> = BTreeMap::new();
    let mut chunks = BTreeMap::new();
    for device in left {
        let object = layout.object(device.chunk, &device.device_id);
        chunks.insert(object.clone(), device.chunk);
        stays.entry(object).or_default().insert(&device.device_id);
    }
    let mut replaced = Vec::new();
    for folder in BUNDLE_FOLDERS {
        store.list(folder, &mut |listed| {
            if !stays.contains_key(&listed.name) {
                replaced.push(listed.name);
            }
        })?;
    }
    for (object, devices) in stays.into_iter().filter(|_| layout.is_packed()) {
        let chunk = chunks[&object];
        let index = store.read(&index_object(chunk), None)?;
        // What is wrong with the index is told where the bundles are judged.
        let rows = generation.seal.index(chunk, &index).unwrap_or_default();
        let pack = match store.read(&object, Some(0..pack_octets(rows.iter()) + 1)) {
            Err(StoreError::NotFound { .. }) => continue,
            other => other?,
        };
        let is_there = |row: &IndexEntry| {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            let octets = pack.get(at(row.offset)..at(row.offset.saturating_add(row.length)));
            octets.is_some_and(|octets| octets.iter().any(|octet| *octet != 0))
        };
        let mut others = rows.iter().filter(|row| !devices.contains(&row.device_id));
        if others.any(is_there) {
            replaced.push(object);
        }
    }
    Ok(replaced)
}

/// What is found of one bundle of an earlier generation, and whether it was read; `None` when it is gone.
fn judge(
    job: &Job<'_>,
    store: &Store,
    (read, standard): (&ReadRecord, &Standard<'_>),
    (object, row): (&str, &IndexEntry),
) -> Result<Option<(Findings, bool)>, VerifyError> {
    let is_packed = read.record.layout.is_packed();
    let start = if is_packed { row.offset } else { 0 };
    let octets = match store.read(object, Some(start..start.saturating_add(row.length))) {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    if octets.iter().all(|octet| *octet == 0) {
        return Ok(None);
    }
    if !read.record.layout.is_encrypted() {
        return Ok(Some((standard.inspect((&octets, &octets), row, None), true)));
    }
    let readable = job
        .identities
        .filter(|own| own.are_among(read.profile.recipients()));
    let is_read = readable.is_some();
    let findings = match readable.map(|identities| decrypt(&octets, identities)) {
        Some(Ok(plain)) => standard.inspect((&octets, &plain), row, None),
        Some(Err(error)) => refuse(&octets, &error, row),
        // Nobody can read it here: its digest was sealed.
        None if sha256(&octets) == row.sha256 => Findings::default(),
        None => wrong("SHA-256 is not that of the index"),
    };
    Ok(Some((findings, is_read)))
}

fn wrong(what: &str) -> Findings {
    Findings {
        faults: vec![what.to_owned()],
        ..Findings::default()
    }
}

fn record(batch: &Store, generation: &Generation) -> Result<Result<ReadRecord, Fault>, VerifyError> {
    let object = at(generation, BATCH_OBJECT);
    match sight(batch, generation).read(BATCH_OBJECT, None) {
        Ok(octets) => Ok(generation
            .seal
            .record(&octets)
            .map_err(|error| Fault::of(&object, error.to_string()))),
        Err(StoreError::NotFound { .. }) => {
            let seal = generation_seal(generation.number());
            Ok(Err(Fault::of(&object, format!("is missing, and {seal} has it"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// What an object of a generation is called in its batch.
fn at(generation: &Generation, name: &str) -> String {
    let folder = generation.folder.as_ref();
    folder.map_or_else(|| name.to_owned(), |folder| folder.object(name))
}

/// The store as a generation has it.
fn sight(batch: &Store, generation: &Generation) -> Store {
    batch.seen_as(generation.folder.as_ref())
}
