//! A worker's workshop: turns the rows of a chunk into bundles, in buffers that are used again.
//!
//! Pure: no disk, clock or network; randomness comes through the engine.

use std::ops::Range;

use zeroize::Zeroizing;

use super::ForgeError;
use super::credentials::Credentials;
use super::plan::Plan;
use crate::batch::{IndexEntry, Layout};
use crate::bundle::{Archive, BundleWriter, Bundler, Credential};
use crate::certificate::{SerialPrefix, distinct_keys};
use crate::digest::sha256;
use crate::manifest::Row;

/// Rows whose credentials are made and bundled together: few enough that all of it stays near the processor,
/// and whole groups for every engine.
const BLOCK: usize = 128;

pub(super) struct Workshop<'a> {
    plan: &'a Plan<'a>,
    credentials: Credentials<'a>,
    writer: BundleWriter<'a>,
    directory: Vec<u8>,
    /// The chunk's bundles: a pack, or one after the other.
    pub bundles: Zeroizing<Vec<u8>>,
    /// Where each bundle lies in [`Workshop::bundles`], in row order.
    pub ranges: Vec<Range<usize>>,
    /// The chunk's certificates as PEM, in row order.
    pub certificates: Vec<u8>,
}

impl<'a> Workshop<'a> {
    pub(super) fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            credentials: Credentials::new(plan),
            writer: plan.bundler.writer(),
            directory: Vec::new(),
            bundles: Zeroizing::new(Vec::new()),
            ranges: Vec::new(),
            certificates: Vec::new(),
        }
    }

    /// Makes the credentials of a chunk, checked as ever, and nothing of them.
    pub(super) fn issue(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<(), ForgeError> {
        let mut certificate = Vec::new();
        let mut key_ids = Vec::with_capacity(rows.len());
        for block in rows.chunks(BLOCK) {
            self.credentials.make(block, prefix)?;
            key_ids.extend_from_slice(&self.credentials.key_ids);
            for i in 0..block.len() {
                certificate.clear();
                self.credentials.append_certificate(i, &mut certificate);
                std::hint::black_box(&certificate);
            }
        }
        self.credentials.check_one()?;
        distinct_keys(&key_ids)?;
        Ok(())
    }

    /// Makes the chunk's bundles and returns what is to be recorded of them, in row order.
    pub(super) fn make(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<Vec<IndexEntry>, ForgeError> {
        self.bundles.clear();
        // Enough, so that a buffer with private keys never moves and leaves a copy behind.
        self.bundles.reserve(rows.len() * self.plan.bundle_room);
        self.ranges.clear();
        self.certificates.clear();
        let mut directory = std::mem::take(&mut self.directory);
        let mut bundles = std::mem::take(&mut self.bundles);
        let mut body = match self.plan.layout {
            Layout::Packs => Body::Pack(Archive::begin(&mut bundles, &mut directory)),
            Layout::Objects => Body::Objects(&mut bundles),
        };
        let mut entries = Vec::with_capacity(rows.len());
        let mut key_ids = Vec::with_capacity(rows.len());
        let mut made = Ok(());
        for block in rows.chunks(BLOCK) {
            made = self.credentials.make(block, prefix);
            if made.is_err() {
                break;
            }
            key_ids.extend_from_slice(&self.credentials.key_ids);
            self.bundle(block, &mut body, &mut entries);
        }
        body.finish();
        self.directory = directory;
        self.bundles = bundles;
        made?;
        self.credentials.check_one()?;
        distinct_keys(&key_ids)?;
        Ok(entries)
    }

    /// Appends the bundles of rows whose credentials were just made.
    fn bundle(&mut self, rows: &[Row], body: &mut Body<'_>, entries: &mut Vec<IndexEntry>) {
        let Plan {
            binding,
            bundler,
            layout,
            ..
        } = self.plan;
        let not_after = self.plan.period.not_after.unix_timestamp();
        let mut certificate = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            certificate.clear();
            self.credentials.append_certificate(i, &mut certificate);
            let credential = Credential {
                private_key: self.credentials.private_key(i),
                certificate: &certificate,
                thing_name: &binding.thing_name(row),
                client_id: &binding.client_id(row),
            };
            let range = body.append(row.device_id.as_str(), bundler, |out| {
                self.writer.append(&credential, out);
            });
            self.certificates.extend_from_slice(self.writer.certificate_pem());
            entries.push(IndexEntry {
                device_id: row.device_id.clone(),
                certificate_id: sha256(&certificate),
                certificate_serial: self.credentials.serials[i],
                not_after,
                offset: match layout {
                    Layout::Packs => range.start as u64,
                    Layout::Objects => 0,
                },
                length: range.len() as u64,
                sha256: bundler.sha256(body.octets(range.clone())),
            });
            self.ranges.push(range);
        }
    }
}

/// The bundles of a chunk, as the layout has them.
enum Body<'a> {
    /// One after the other; each becomes an object.
    Objects(&'a mut Vec<u8>),
    /// Members of one archive.
    Pack(Archive<'a>),
}

impl Body<'_> {
    fn append(
        &mut self,
        device_id: &str,
        bundler: &Bundler,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Range<usize> {
        match self {
            Self::Objects(out) => {
                let start = out.len();
                write(out);
                start..out.len()
            }
            Self::Pack(pack) => pack.stored_and_summed(&format!("{device_id}.zip"), 0o600, |out| {
                let start = out.len();
                write(out);
                bundler.crc(&out[start..])
            }),
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
