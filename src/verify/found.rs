//! What was found of a chunk before its bundles are judged, and what is told of each.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::bundle::{Findings, Standard, public_key_id, refuse};
use super::bundles::Bundles;
use super::generations::Left;
use super::sight::{Seen, Sight};
use super::specimen::Listed;
use super::task::{Task, Verified};
use super::{Fault, VerifyError};
use crate::batch::{ChunkCertificates, IndexRow, certificates_object};
use crate::manifest::{DeviceId, Row};
use crate::store::{Store, StoreError};

/// What was found of a chunk, and its rows are judged by.
pub(super) struct Found<'a> {
    pub task: &'a Task<'a>,
    pub rows: &'a [IndexRow],
    /// Of the manifest, when it is at hand.
    pub lines: Option<&'a [Row]>,
    pub certificates: &'a Certificates,
    pub bundles: &'a Bundles,
    pub sight: &'a Sight,
    /// Devices that were flashed or scrapped, and whose bundle is gone.
    pub retired: &'a HashSet<DeviceId>,
    /// Of these, devices whose bundle is in a generation before.
    pub left: &'a HashSet<DeviceId>,
    /// Of these, devices that were flashed or scrapped, and whose bundle may be gone there too.
    pub ended: &'a HashSet<DeviceId>,
    /// Rows that are not those of the batch, manifest or ledger.
    pub disputed: &'a BTreeSet<usize>,
}

impl Found<'_> {
    /// The line of the manifest that is a row's.
    pub(super) fn line(&self, i: usize) -> Option<&Row> {
        let line = self.lines?.get(i)?;
        (line.device_id == self.rows[i].entry.device_id).then_some(line)
    }

    /// The bundle of a row, if there should be one and there is.
    pub(super) fn bundle(&self, i: usize) -> Option<&[u8]> {
        let row = &self.rows[i];
        let octets = self.bundles.of(i, row)?;
        (!self.retired.contains(&row.entry.device_id)).then_some(octets)
    }

    /// What the bundle of a row holds, if it can be read.
    pub(super) fn plain(&self, i: usize) -> Option<&[u8]> {
        match self.sight.see(i, self.bundle(i)?) {
            Seen::Bundle(plain) => Some(plain),
            Seen::Unread | Seen::Refused(_) => None,
        }
    }

    /// Judges a row's bundle in full.
    pub(super) fn inspect(&self, i: usize, standard: &Standard<'_>) -> Findings {
        let (entry, line) = (&self.rows[i].entry, self.line(i));
        match self.bundle(i) {
            Some(octets) => match self.sight.see(i, octets) {
                Seen::Bundle(plain) => {
                    let mut findings = standard.inspect((octets, plain), entry, line);
                    if findings.lacks_certificate() {
                        let listed = self.certificates.found.of(i, entry);
                        standard.judge_listed(listed, entry, line, &mut findings);
                    }
                    findings
                }
                Seen::Refused(error) => refuse(octets, error, entry),
                Seen::Unread => {
                    let listed = self.certificates.found.of(i, entry);
                    standard.inspect_unread(octets, listed, entry, line)
                }
            },
            // A missing pack is one fault, not one a device.
            None if self.bundles.is_pack() => Findings::default(),
            None => Findings {
                faults: vec!["the bundle is missing".to_owned()],
                ..Findings::default()
            },
        }
    }

    /// A row whose device was flashed or scrapped, and whose bundle was removed: its certificate is all that is left.
    /// Returns the key of that.
    pub(super) fn account_for_retired(
        &self,
        i: usize,
        row: &IndexRow,
        verified: &mut Verified,
    ) -> Option<[u8; 20]> {
        let own = self.certificates.found.of(i, &row.entry);
        let is_another = self.certificates.found.found().len() > i && own.is_none();
        if is_another {
            let what = "has another certificate than the index names".to_owned();
            let object = certificates_object(self.task.chunk);
            verified
                .faults
                .push(Fault::of_device(&row.entry.device_id, &object, what));
        }
        let is_sound = !self.disputed.contains(&i) && !is_another;
        match self.left.contains(&row.entry.device_id) {
            false => verified.burned += u64::from(is_sound),
            true if is_sound => verified.left.push(Left {
                chunk: self.task.chunk,
                device_id: row.entry.device_id.clone(),
                is_over: self.ended.contains(&row.entry.device_id),
            }),
            true => {}
        }
        self.listed_key(i, row)
    }

    /// Tells what was found of a row's bundle, and returns the device's key.
    pub(super) fn judge(
        &self,
        i: usize,
        row: &IndexRow,
        mut findings: Findings,
        verified: &mut Verified,
    ) -> Option<[u8; 20]> {
        let listed = self.certificates.found.found().get(i);
        let is_listed = listed.is_none_or(|listed| *listed == findings.certificate);
        if !findings.certificate.is_empty() && !is_listed {
            let object = certificates_object(self.task.chunk);
            findings.faults.push(format!("{object} has another certificate"));
        }
        let is_whole = findings.faults.is_empty();
        let is_good = is_whole
            && findings.untimely.is_none()
            && self.bundle(i).is_some()
            && !self.disputed.contains(&i);
        verified.good += u64::from(is_good);
        verified.unread += u64::from(is_good && self.sight.is_sealed());
        verified.not_opened += u64::from(is_good && findings.is_locked);
        let fault = |what| Fault::of_device(&row.entry.device_id, &row.object, what);
        verified.faults.extend(findings.faults.into_iter().map(fault));
        if let Some(what) = findings.untimely {
            let end = if is_whole { "; the bundle is whole" } else { "" };
            verified.faults.push(Fault {
                is_of_time: true,
                ..fault(what + end)
            });
        }
        findings.key.or_else(|| self.listed_key(i, row))
    }

    /// The key of a device whose bundle is gone, or does not tell: that of the certificate which the index names.
    fn listed_key(&self, i: usize, row: &IndexRow) -> Option<[u8; 20]> {
        public_key_id(self.certificates.found.of(i, &row.entry)?)
    }
}

/// The certificates of a chunk, which are kept beside its bundles.
#[derive(Default)]
pub(super) struct Certificates {
    found: ChunkCertificates,
    octets: Vec<u8>,
    /// Where each is in the octets; none when these are not as a forge writes them.
    places: Vec<Range<usize>>,
}

impl Certificates {
    pub(super) fn read(
        chunk: u64,
        rows: usize,
        store: &Store,
        faults: &mut Vec<Fault>,
    ) -> Result<Self, VerifyError> {
        let object = certificates_object(chunk);
        let octets = match store.read(&object, None) {
            // They are public.
            Ok(mut octets) => std::mem::take(&mut *octets),
            Err(StoreError::NotFound { .. }) => {
                faults.push(Fault::of(&object, "the certificates are missing".to_owned()));
                return Ok(Self::default());
            }
            Err(error) => return Err(error.into()),
        };
        let written = ChunkCertificates::read_written(&octets);
        let is_written = written.is_some();
        let (found, places) = written.unwrap_or_else(|| (ChunkCertificates::read(&octets), Vec::new()));
        let count = found.found().len();
        if count != rows {
            let what = format!("certificates in it: {count}, rows in the index: {rows}");
            faults.push(Fault::of(&object, what));
        } else if !is_written && found.to_pem() != octets {
            faults.push(Fault::of(&object, "has more in it than certificates".to_owned()));
        }
        Ok(Self {
            found,
            octets,
            places,
        })
    }

    /// The certificate of a row, where all are as a forge writes them.
    pub(super) fn listed(&self, i: usize) -> Option<Listed<'_>> {
        Some(Listed {
            pem: self.octets.get(self.places.get(i)?.clone())?,
            der: self.found.found().get(i)?,
        })
    }
}
