//! Batches, as a ledger knows them: begun once, resumed as often as need be, never with another identity.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::error::SETTINGS;
use super::{HostStatus, LedgerError, Withdrawal};
use crate::batch::{BatchRecord, Layout, Shape};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::profile::Ends;

/// How the name of a profile ends, in a database, of a batch whose bundles are encrypted. The layouts that a database takes were
/// settled before there were such; and a certforge of then finds a profile that it has not, and makes nothing.
const ENCRYPTED: &str = "+age";

/// And how it ends, before that, of a batch whose bundles are files and no ZIPs.
const FILE: &str = "+file";

/// The name of a batch's profile and its layout, as a database has them.
pub(super) fn written(profile: &str, layout: Layout) -> (String, &'static str) {
    let file = if layout.is_file() { FILE } else { "" };
    let ending = if layout.is_encrypted() { ENCRYPTED } else { "" };
    (
        format!("{profile}{file}{ending}"),
        layout.plain().of_zips().as_str(),
    )
}

/// The name of a batch's profile and its layout, which a database has so.
pub(super) fn read(mut profile: String, layout: Layout) -> (String, Layout) {
    let mut layout = layout;
    if profile.ends_with(ENCRYPTED) {
        profile.truncate(profile.len() - ENCRYPTED.len());
        layout = layout.encrypted();
    }
    if profile.ends_with(FILE) {
        profile.truncate(profile.len() - FILE.len());
        layout = layout.of_files();
    }
    (profile, layout)
}

/// What makes a batch that batch and no other.
#[derive(Debug, Clone)]
pub struct BatchIdentity<'a> {
    pub name: &'a str,
    /// Where the store is.
    pub location: &'a str,
    pub issuer: &'a CaCertificate,
    /// The manifest's path, as it was given.
    pub manifest: &'a str,
    pub manifest_sha256: [u8; 32],
    pub profile: &'a str,
    pub profile_sha256: [u8; 32],
    pub layout: Layout,
    pub rows: u64,
    pub chunk_rows: u64,
    /// Whether devices may have been issued before.
    pub reissue: bool,
}

/// A batch in the ledger. It means nothing to another ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The database's own numbers of the batch and of its issuer.
    pub(super) key: i64,
    pub(super) issuer: i64,
    pub name: String,
    pub location: String,
    pub issuer_certificate: Vec<u8>,
    pub manifest: String,
    pub manifest_sha256: [u8; 32],
    pub profile: String,
    pub profile_sha256: [u8; 32],
    pub layout: Layout,
    pub rows: u64,
    pub chunk_rows: u64,
    pub reissue: bool,
}

impl Batch {
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            chunk_rows: self.chunk_rows,
        }
    }

    /// What a record in a store names otherwise than the ledger, in words.
    pub fn disagreements(
        &self,
        record: &BatchRecord,
        issuer: &CaCertificate,
    ) -> impl Iterator<Item = &'static str> + use<> {
        let facts = [
            (
                "issuer",
                self.issuer_certificate == issuer.der() && record.issuer_id == HEXLOWER.encode(&issuer.id()),
            ),
            (
                "manifest",
                record.manifest_sha256 == HEXLOWER.encode(&self.manifest_sha256),
            ),
            (
                "profile",
                record.profile_sha256 == HEXLOWER.encode(&self.profile_sha256),
            ),
            ("layout", record.layout == self.layout),
            ("number of rows", record.shape() == self.shape()),
        ];
        facts
            .into_iter()
            .filter_map(|(what, agrees)| (!agrees).then_some(what))
    }
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatus {
    pub batch: String,
    pub location: String,
    pub manifest: String,
    pub profile: String,
    pub layout: Layout,
    pub issuer: String,
    pub reissue: bool,
    pub created_at: String,
    /// Rows of the manifest.
    pub devices: u64,
    /// Devices whose bundles are released.
    pub released: u64,
    /// Devices that are committed and not yet released.
    pub committed: u64,
    /// Attempts at chunks, the successful ones among them.
    pub attempts: u64,
    /// When the certificates end that are committed; `None` while none is.
    pub valid_until: Option<Ends>,
    /// That it must never come up.
    pub withdrawn: Option<Withdrawal>,
    /// The hosts that make it, and those that have: where several may, until it is sealed.
    pub hosts: Vec<HostStatus>,
}

fn reissue(is: bool) -> String {
    if is { "with --reissue" } else { "without --reissue" }.to_owned()
}

/// The subject of an issuer, which people know, and the start of its id, which tells two apart.
fn issuer(der: &[u8]) -> String {
    let id = digest(&sha256(der));
    match CaCertificate::from_der(der, Path::new("the ledger")) {
        Ok(certificate) => format!("{} ({id})", certificate.subject_text()),
        Err(_) => id,
    }
}

/// The start of a SHA-256, as batches are named by it.
fn digest(sha256: &[u8; 32]) -> String {
    HEXLOWER.encode(&sha256[..4])
}

impl BatchIdentity<'_> {
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            chunk_rows: self.chunk_rows,
        }
    }

    /// Whether the batch was begun as this.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), LedgerError> {
        let facts = [
            (
                "manifest",
                batch.manifest_sha256 == self.manifest_sha256,
                digest(&batch.manifest_sha256),
                digest(&self.manifest_sha256),
            ),
            (
                "issuer",
                batch.issuer_certificate == self.issuer.der(),
                issuer(&batch.issuer_certificate),
                issuer(self.issuer.der()),
            ),
            (
                "profile",
                batch.profile == self.profile,
                batch.profile.clone(),
                self.profile.to_owned(),
            ),
            (
                SETTINGS,
                batch.profile_sha256 == self.profile_sha256,
                digest(&batch.profile_sha256),
                digest(&self.profile_sha256),
            ),
            (
                "layout",
                batch.layout == self.layout,
                batch.layout.to_string(),
                self.layout.to_string(),
            ),
            (
                "chunk size",
                batch.chunk_rows == self.chunk_rows,
                batch.chunk_rows.to_string(),
                self.chunk_rows.to_string(),
            ),
            (
                "place",
                batch.location == self.location,
                batch.location.clone(),
                self.location.to_owned(),
            ),
            (
                "reissue setting",
                batch.reissue == self.reissue,
                reissue(batch.reissue),
                reissue(self.reissue),
            ),
        ];
        match facts.into_iter().find(|(_, is_same, ..)| !is_same) {
            None => Ok(()),
            Some((what, _, was, now)) => Err(LedgerError::BatchDiffers {
                name: self.name.to_owned(),
                what,
                was,
                now,
            }),
        }
    }
}
