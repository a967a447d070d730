//! What shall be made, as far as it is known without the key that signs, and what the ledger says to it. A run asks before it
//! makes anything, and who only checks a manifest asks the same.

use std::collections::BTreeSet;

use super::check::{Accepted, Findings};
use super::{
    ForgeError, OpenStore, Shard, batch_name, begun, check_shape, delivered, issued, recipients, withdrawn,
};
use crate::batch::Layout;
use crate::issuer::CaCertificate;
use crate::ledger::{BatchIdentity, Ledger, LedgerError};
use crate::manifest::{Bookmark, Manifest};
use crate::profile::Profile;

/// What shall be made. Its fields are those of [`super::Job`].
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub manifest: &'a Manifest,
    pub profile: &'a Profile,
    pub issuer: &'a CaCertificate,
    pub layout: Layout,
    pub batch: Option<&'a str>,
    pub chunk_rows: Option<usize>,
    pub shard: Option<Shard>,
    pub reissue: bool,
}

/// How far a ledger has what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Name of the batch.
    pub batch: String,
    /// Devices of the manifest, or of the shard.
    pub devices: u64,
    /// Of these, devices that are made, in this batch.
    pub made: u64,
}

/// Where a batch will be, by its name; `None`: wherever the ledger has it.
pub type Locate<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Wanted<'_> {
    fn chunk_rows(&self) -> usize {
        self.chunk_rows
            .unwrap_or_else(|| self.profile.key_type().chunk_rows())
    }

    /// Refuses a manifest without a fault that a run would refuse by its ledger, and tells how much of it is made. The store is
    /// asked only for why a batch is another than was begun, and whether another shard has begun it for others.
    ///
    /// # Errors
    ///
    /// What a run says to it; or when the ledger cannot be read.
    pub fn standing(
        &self,
        (ledger, found): (&dyn Ledger, &Findings),
        locate: Locate<'_>,
        open_store: OpenStore<'_>,
    ) -> Result<Standing, ForgeError> {
        check_shape(found.rows, self.chunk_rows())?;
        let name = batch_name(self.batch, self.manifest, &found.sha256)?;
        withdrawn::refuse_in_ledger(ledger, &name)?;
        self.refuse_other_kind(ledger, &name)?;
        let before = begun::before_note(self, ledger, &name, &found.sha256)?;
        let wanted = Self {
            profile: before.unwrap_or(self.profile),
            ..*self
        };
        let begun = ledger.find_batch(&name)?;
        let location = locate(&name).or(begun.map(|batch| batch.location));
        let location = location.unwrap_or_default();
        let identity = wanted.identity((&name, &location, ""), (found.rows, found.sha256));
        let batch = match ledger.same_batch(&identity) {
            Ok(batch) => {
                // Another shard may have begun it, under another ledger.
                if let (None, Some(_), Ok(store)) = (&batch, self.shard, open_store(&name)) {
                    recipients::refuse_others((ledger, &store), (&name, &found.sha256), &wanted)?;
                }
                batch
            }
            Err(error) => {
                if let Ok(store) = open_store(&name) {
                    recipients::refuse_others((ledger, &store), (&name, &found.sha256), &wanted)?;
                }
                return Err(error.into());
            }
        };
        let shape = identity.shape();
        let is_own = |chunk: &u64| self.shard.is_none_or(|shard| shard.has(*chunk));
        let rows = |chunks: &mut dyn Iterator<Item = u64>| -> u64 {
            chunks.filter(is_own).map(|chunk| shape.rows_of(chunk)).sum()
        };
        let committed = match &batch {
            Some(batch) => ledger.committed(batch)?,
            None => Vec::new(),
        };
        Ok(Standing {
            devices: rows(&mut (0..shape.chunks())),
            made: rows(&mut committed.into_iter().map(|(chunk, _)| chunk)),
            batch: name,
        })
    }

    /// What makes the batch that batch, by its name, its location and the path of its manifest.
    pub(super) fn identity<'b>(
        &'b self,
        (name, location, manifest): (&'b str, &'b str, &'b str),
        (rows, manifest_sha256): (u64, [u8; 32]),
    ) -> BatchIdentity<'b> {
        BatchIdentity {
            name,
            location,
            issuer: self.issuer,
            manifest,
            manifest_sha256,
            profile: self.profile.name(),
            profile_sha256: self.profile.digest(),
            layout: delivered(self.layout, self.profile),
            rows,
            chunk_rows: self.chunk_rows() as u64,
            reissue: self.reissue,
        }
    }

    /// Refuses a second identity in the batch of the first, and the other way round.
    fn refuse_other_kind(&self, ledger: &dyn Ledger, name: &str) -> Result<(), ForgeError> {
        let batch = name.to_owned();
        match (self.reissue, ledger.find_batch(name)?.map(|begun| begun.reissue)) {
            (true, Some(false)) => Err(ForgeError::ReissueNeedsName { batch }),
            (false, Some(true)) => Err(ForgeError::IsReissue { batch }),
            _ => Ok(()),
        }
    }

    /// Refuses devices that this issuer has issued, in another batch and not on purpose. `issued`: the chunks that
    /// have one, in whichever batch.
    pub(super) fn refuse_issued(
        &self,
        ledger: &dyn Ledger,
        name: &str,
        accepted: &Accepted,
        mut issued: Vec<Bookmark>,
    ) -> Result<(), ForgeError> {
        self.refuse_other_kind(ledger, name)?;
        if self.reissue {
            return Ok(());
        }
        let path = || self.manifest.path().to_owned();
        if let Some(batch) = ledger.batch_of_manifest(&accepted.sha256, self.issuer, name)? {
            return Err(ForgeError::SameManifest { path: path(), batch });
        }
        let done = made_before(ledger, name, &accepted.sha256, self.chunk_rows() as u64)?;
        issued.retain(|bookmark| !done.contains(&bookmark.number()));
        match issued::issued_before(self.manifest, (ledger, self.issuer), name, &issued)? {
            None => Ok(()),
            Some((first, lines)) => Err(ForgeError::Issued {
                path: path(),
                first,
                lines,
            }),
        }
    }
}

/// The chunks that this very batch has made: their devices have an identity by right.
fn made_before(
    ledger: &dyn Ledger,
    name: &str,
    manifest_sha256: &[u8; 32],
    chunk_rows: u64,
) -> Result<BTreeSet<u64>, LedgerError> {
    match ledger.find_batch(name)? {
        Some(batch) if batch.manifest_sha256 == *manifest_sha256 && batch.chunk_rows == chunk_rows => {
            Ok(ledger
                .committed(&batch)?
                .into_iter()
                .map(|(chunk, _)| chunk)
                .collect())
        }
        _ => Ok(BTreeSet::new()),
    }
}
