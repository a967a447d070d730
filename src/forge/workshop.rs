//! A worker's workshop: turns the rows of a chunk into bundles, in buffers that are used again.
//!
//! Pure: no disk, clock or network; randomness comes through the engine.

use std::ops::Range;

use zeroize::Zeroizing;

use super::ForgeError;
use super::plan::Plan;
use crate::bundle::{Archive, BundleWriter, Credential};
use crate::certificate::{
    CertificateSerial, Fields, SerialPrefix, assemble, distinct_keys, encode_san, encode_subject, lint_fields,
};
use crate::digest::sha256;
use crate::engine::DeviceKey;
use crate::manifest::Row;
use crate::store::{IndexEntry, Layout};

pub(super) struct Workshop<'a> {
    plan: &'a Plan<'a>,
    keys: Vec<DeviceKey>,
    serials: Vec<CertificateSerial>,
    tbs: Vec<u8>,
    tbs_ranges: Vec<Range<usize>>,
    signatures: Vec<Vec<u8>>,
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
            keys: Vec::new(),
            serials: Vec::new(),
            tbs: Vec::new(),
            tbs_ranges: Vec::new(),
            signatures: Vec::new(),
            writer: plan.bundler.writer(),
            directory: Vec::new(),
            bundles: Zeroizing::new(Vec::new()),
            ranges: Vec::new(),
            certificates: Vec::new(),
        }
    }

    /// Makes the chunk's bundles and returns what is to be recorded of them, in row order.
    pub(super) fn make(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<Vec<IndexEntry>, ForgeError> {
        self.make_keys(rows.len())?;
        self.draw_serials(rows.len(), prefix)?;
        self.stamp(rows)?;
        self.sign()?;
        Ok(self.bundle(rows))
    }

    fn make_keys(&mut self, count: usize) -> Result<(), ForgeError> {
        self.keys.resize_with(count, DeviceKey::default);
        self.plan
            .key_engine
            .make_keys(self.plan.key_type, &mut self.keys)?;
        distinct_keys(self.keys.iter().map(DeviceKey::public_key))?;
        Ok(())
    }

    fn draw_serials(&mut self, count: usize, prefix: SerialPrefix) -> Result<(), ForgeError> {
        let mut octets = vec![0; 8 * count];
        self.plan.key_engine.random(&mut octets)?;
        self.serials.clear();
        let (own, _) = octets.as_chunks::<8>();
        self.serials.extend(own.iter().map(|own| prefix.serial(*own)));
        Ok(())
    }

    /// Stamps and lints every certificate of the chunk.
    fn stamp(&mut self, rows: &[Row]) -> Result<(), ForgeError> {
        let (mut scratch, mut subject, mut san) = (Vec::new(), Vec::new(), Vec::new());
        self.tbs.clear();
        self.tbs_ranges.clear();
        for (row, (key, serial)) in rows.iter().zip(self.keys.iter().zip(&self.serials)) {
            subject.clear();
            encode_subject(self.plan.binding.subject(row), &mut scratch, &mut subject);
            san.clear();
            encode_san(self.plan.binding.san(row), &mut scratch, &mut san);
            let fields = Fields {
                serial,
                subject: &subject,
                san: &san,
                public_key: key.public_key(),
            };
            let start = self.tbs.len();
            self.plan.stamp.tbs(&fields, &mut self.tbs);
            lint_fields(&self.tbs[start..], &fields)?;
            self.tbs_ranges.push(start..self.tbs.len());
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<(), ForgeError> {
        let messages: Vec<&[u8]> = self
            .tbs_ranges
            .iter()
            .map(|range| &self.tbs[range.clone()])
            .collect();
        self.signatures.resize_with(messages.len(), Vec::new);
        self.plan.signer.sign(&messages, &mut self.signatures)?;
        // One in each chunk is held against the issuer's public key, by another library than may have made it.
        let sample = messages.first().zip(self.signatures.first());
        match sample.is_none_or(|(message, signature)| self.plan.issuer.key().verifies(message, signature)) {
            true => Ok(()),
            false => Err(ForgeError::Signature),
        }
    }

    fn bundle(&mut self, rows: &[Row]) -> Vec<IndexEntry> {
        self.bundles.clear();
        // Enough, so that a buffer with private keys never moves and leaves a copy behind.
        self.bundles.reserve(rows.len() * self.plan.bundle_room);
        self.ranges.clear();
        self.certificates.clear();
        let mut entries = Vec::with_capacity(rows.len());
        let mut certificate = Vec::new();
        let algorithm = self.plan.signer.algorithm();
        let not_after = self.plan.period.not_after.unix_timestamp();
        let mut directory = std::mem::take(&mut self.directory);
        let mut body = match self.plan.layout {
            Layout::Packs => Body::Pack(Archive::begin(&mut self.bundles, &mut directory)),
            Layout::Objects => Body::Objects(&mut self.bundles),
        };
        for (i, row) in rows.iter().enumerate() {
            certificate.clear();
            assemble(
                &self.tbs[self.tbs_ranges[i].clone()],
                algorithm,
                &self.signatures[i],
                &mut certificate,
            );
            let credential = Credential {
                private_key: self.keys[i].pkcs8(),
                certificate: &certificate,
                thing_name: &self.plan.binding.thing_name(row),
                client_id: &self.plan.binding.client_id(row),
            };
            let range = body.append(row.device_id.as_str(), |out| self.writer.append(&credential, out));
            self.certificates.extend_from_slice(self.writer.certificate_pem());
            entries.push(IndexEntry {
                device_id: row.device_id.to_string(),
                certificate_id: sha256(&certificate),
                certificate_serial: self.serials[i],
                not_after,
                offset: match self.plan.layout {
                    Layout::Packs => range.start as u64,
                    Layout::Objects => 0,
                },
                length: range.len() as u64,
                sha256: sha256(body.octets(range.clone())),
            });
            self.ranges.push(range);
        }
        body.finish();
        self.directory = directory;
        entries
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
    fn append(&mut self, device_id: &str, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        match self {
            Self::Objects(out) => {
                let start = out.len();
                write(out);
                start..out.len()
            }
            Self::Pack(pack) => pack.stored(&format!("{device_id}.zip"), 0o600, write),
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
