//! A worker's workshop: turns the rows of a chunk into bundles, in buffers that are used again.
//!
//! Pure but for the signer: no disk, clock or network; randomness is drawn from its one source.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::Zeroizing;

use super::ForgeError;
use super::credentials::Credentials;
use super::encrypting::Encrypting;
use super::issuance::Issuance;
use super::plan::Plan;
use crate::batch::IndexEntry;
use crate::bundle::{Archive, BundleWriter, Credential, TOGETHER};
use crate::certificate::SerialPrefix;
use crate::digest::sha256_many;
use crate::engine::Random;
use crate::manifest::Row;
use crate::profile::Binding;
use crate::store::ALIGNMENT;

pub(crate) struct Workshop<'a> {
    plan: &'a Plan<'a>,
    issuance: Issuance<'a>,
    writer: BundleWriter<'a>,
    encrypting: Option<Encrypting<'a>>,
    directory: Vec<u8>,
    /// The chunk's bundles: a pack, or one after the other; before them what brings them to an address that stores
    /// like.
    bundles: Zeroizing<Vec<u8>>,
    start: usize,
    /// Where each bundle lies in there, in row order.
    ranges: Vec<Range<usize>>,
    /// The chunk's certificates as PEM, in row order; likewise.
    certificates: Vec<u8>,
    certificates_start: usize,
}

/// Empties a buffer, and fills it up to the first address that is aligned. Returns how far that is.
fn begin_aligned(buffer: &mut Vec<u8>) -> usize {
    buffer.clear();
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let start = if start < ALIGNMENT { start } else { 0 };
    buffer.resize(start, 0);
    start
}

impl<'a> Workshop<'a> {
    pub(crate) fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            issuance: Issuance::new(plan),
            writer: plan.bundler.writer(),
            encrypting: plan.shares.as_ref().map(Encrypting::new),
            directory: Vec::new(),
            bundles: Zeroizing::new(Vec::new()),
            start: 0,
            ranges: Vec::new(),
            certificates: Vec::new(),
            certificates_start: 0,
        }
    }

    /// The chunk's pack, or its bundles one after the other.
    pub(crate) fn pack(&self) -> &[u8] {
        &self.bundles[self.start..]
    }

    /// The chunk's bundles, in row order.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.bundles[range.clone()])
    }

    /// The chunk's certificates as PEM, in row order.
    pub(crate) fn certificates(&self) -> &[u8] {
        &self.certificates[self.certificates_start..]
    }

    /// Makes the chunk's bundles and returns what is to be recorded of them, in row order.
    pub(crate) fn make(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<Vec<IndexEntry>, ForgeError> {
        self.bundles.clear();
        // Enough, so that a buffer with private keys never moves and leaves a copy behind.
        self.bundles
            .reserve(rows.len() * self.plan.bundle_room + ALIGNMENT);
        let room = self.bundles.capacity();
        self.start = begin_aligned(&mut self.bundles);
        self.ranges.clear();
        self.certificates_start = begin_aligned(&mut self.certificates);
        let body = match self.plan.layout.is_packed() {
            true => Body::Pack(Archive::begin(&mut self.bundles, &mut self.directory)),
            false => Body::Objects(&mut self.bundles),
        };
        let mut packing = Packing {
            plan: self.plan,
            writer: &mut self.writer,
            encrypting: self.encrypting.as_mut(),
            failure: None,
            body,
            start: self.start,
            ranges: &mut self.ranges,
            certificates: &mut self.certificates,
            entries: Vec::with_capacity(rows.len()),
            key_ids: Vec::with_capacity(rows.len()),
            block: Vec::new(),
            ends: Vec::new(),
        };
        let issued = self
            .issuance
            .issue(rows, prefix, |rows, block| packing.pack(rows, block));
        packing.body.finish();
        let (entries, key_ids, failure) = (packing.entries, packing.key_ids, packing.failure);
        debug_assert_eq!(
            self.bundles.capacity(),
            room,
            "bundles are longer than was measured"
        );
        issued?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.plan.keys.add(&key_ids)?;
        Ok(entries)
    }
}

/// A chunk whose bundles are being packed.
struct Packing<'a, 'b> {
    plan: &'a Plan<'a>,
    writer: &'b mut BundleWriter<'a>,
    encrypting: Option<&'b mut Encrypting<'a>>,
    /// Why there are no random octets, or no shares of file keys.
    failure: Option<ForgeError>,
    body: Body<'b>,
    /// Where it begins in its buffer.
    start: usize,
    ranges: &'b mut Vec<Range<usize>>,
    certificates: &'b mut Vec<u8>,
    entries: Vec<IndexEntry>,
    key_ids: Vec<[u8; 20]>,
    /// The certificates of a block, DER, and where each ends.
    block: Vec<u8>,
    ends: Vec<usize>,
}

impl Packing<'_, '_> {
    /// Appends the bundles of rows whose credentials were just made.
    fn pack(&mut self, rows: &[Row], credentials: &Credentials<'_>) {
        let Plan {
            bundler,
            layout,
            period,
            ..
        } = self.plan;
        let not_after = period.not_after.unix_timestamp();
        self.key_ids.extend_from_slice(&credentials.key_ids);
        self.block.clear();
        self.ends.clear();
        if let Some(encrypting) = &mut self.encrypting
            && let Err(error) = encrypting.prepare(rows.len(), self.plan.bundle_room)
        {
            self.failure = Some(error.into());
            return;
        }
        if let Err(error) = self.writer.draw(rows.len(), |octets| Random.fill(octets)) {
            self.failure = Some(error.into());
            return;
        }
        let first = self.ranges.len();
        for i in 0..rows.len() {
            credentials.append_certificate(i, &mut self.block);
            self.ends.push(self.block.len());
        }
        let block = std::mem::take(&mut self.block);
        let certificates = cut(&block, &self.ends);
        let mut digests = self.append(rows, credentials, &certificates);
        let ranges = &self.ranges[first..];
        // Of a whole block at once, while it is near the processor.
        let mut certificate_ids = vec![[0; 32]; rows.len()];
        sha256_many(&certificates, &mut certificate_ids);
        self.block = block;
        let bundles: Vec<&[u8]> = ranges
            .iter()
            .map(|range| self.body.octets(range.clone()))
            .collect();
        let are_known = digests.len() == rows.len();
        digests.resize(rows.len(), [0; 32]);
        match self.encrypting {
            None if are_known => {}
            None => bundler.sha256_many(&bundles, &mut digests),
            // They have no beginning in common.
            Some(_) => sha256_many(&bundles, &mut digests),
        }
        for (i, (row, range)) in rows.iter().zip(ranges).enumerate() {
            self.entries.push(IndexEntry {
                device_id: row.device_id.clone(),
                certificate_id: certificate_ids[i],
                certificate_serial: credentials.serials[i],
                not_after,
                offset: match layout.is_packed() {
                    true => (range.start - self.start) as u64,
                    false => 0,
                },
                length: range.len() as u64,
                sha256: digests[i],
            });
        }
    }

    /// Appends bundles, and their certificates as PEM. Returns the SHA-256 of the bundles in the clear, if it is known already.
    fn append(
        &mut self,
        rows: &[Row],
        credentials: &Credentials<'_>,
        certificates: &[&[u8]],
    ) -> Vec<[u8; 32]> {
        let Plan {
            binding,
            bundler,
            layout,
            ..
        } = self.plan;
        let mut digests = Vec::with_capacity(rows.len());
        for start in (0..rows.len()).step_by(TOGETHER) {
            let rows = &rows[start..rows.len().min(start + TOGETHER)];
            let names: Vec<Names<'_>> = rows.iter().map(|row| Names::of(binding, row)).collect();
            let mut of_devices = Vec::with_capacity(rows.len());
            for (number, (row, names)) in rows.iter().zip(&names).enumerate() {
                of_devices.push(Credential {
                    private_key: credentials.private_key(start + number),
                    certificate: certificates[start + number],
                    thing_name: &names.thing_name,
                    client_id: &names.client_id,
                    device_id: row.device_id.as_str(),
                    texts: &names.texts,
                });
            }
            let mut together = self.writer.together(&of_devices);
            for (number, row) in rows.iter().enumerate() {
                let range = self.body.append(&layout.member(&row.device_id), |out| {
                    let bundle = out.len();
                    match &mut self.encrypting {
                        None => {
                            together.append(number, out);
                            bundler.crc(&out[bundle..])
                        }
                        Some(encrypting) => {
                            let number_in_block = start + number;
                            encrypting.append(number_in_block, out, |plain| together.append(number, plain));
                            crc32fast::hash(&out[bundle..])
                        }
                    }
                });
                self.certificates
                    .extend_from_slice(together.certificate_pem(number));
                self.ranges.push(range);
            }
            digests.extend_from_slice(together.digests().unwrap_or_default());
        }
        digests
    }
}

/// What a device is called, and what its row gives for texts.
struct Names<'a> {
    thing_name: Cow<'a, str>,
    client_id: Cow<'a, str>,
    texts: Vec<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn of(binding: &'a Binding, row: &'a Row) -> Self {
        Self {
            thing_name: binding.thing_name(row),
            client_id: binding.client_id(row),
            texts: binding.texts(row),
        }
    }
}

/// What lies one behind the other in a buffer, by where each ends.
fn cut<'a>(octets: &'a [u8], ends: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(&0).chain(ends);
    starts
        .zip(ends)
        .map(|(start, end)| &octets[*start..*end])
        .collect()
}

/// The bundles of a chunk, as the layout has them.
enum Body<'a> {
    /// One after the other; each becomes an object.
    Objects(&'a mut Vec<u8>),
    /// Members of one archive.
    Pack(Archive<'a>),
}

impl Body<'_> {
    /// Appends a bundle that `write` appends, and whose CRC-32 it returns.
    fn append(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> u32) -> Range<usize> {
        match self {
            Self::Objects(out) => {
                let start = out.len();
                write(out);
                start..out.len()
            }
            Self::Pack(pack) => pack.stored_and_summed(name, 0o600, write),
        }
    }

    fn octets(&self, range: Range<usize>) -> &[u8] {
        match self {
            Self::Objects(out) => &out[range],
            Self::Pack(pack) => pack.octets(range),
        }
    }

    fn finish(self) {
        if let Self::Pack(pack) = self {
            pack.finish();
        }
    }
}
