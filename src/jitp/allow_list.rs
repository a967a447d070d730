//! The allow list of Just-In-Time Registration (JITR): a Lambda function, as a ZIP, that activates the
//! certificates of a batch and refuses all others.

use std::collections::HashSet;
use std::io::{Cursor, Write};

use data_encoding::HEXLOWER;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::issuer::CaCertificate;
use crate::profile::{Profile, ProfileError};
use crate::vouched::{Vouched, VouchedError};

/// The function that Lambda calls.
pub const HANDLER: &str = "activate.handler";

const SOURCE: &str = include_str!("activate.py");

/// Certificates that may be activated: those of some batches of one CA.
#[derive(Debug)]
pub struct AllowList {
    issuer: CaCertificate,
    batches: Vec<String>,
    /// Whether the function makes their things as well.
    with_things: bool,
    /// Certificate ids, each with the name of its thing.
    certificates: Vec<([u8; 32], String)>,
}

/// A batch that a function cannot be made for.
#[derive(Debug, thiserror::Error)]
pub enum AllowListError {
    #[error("it is of another CA")]
    OtherCa,
    #[error(
        "profile {profile} names things otherwise than by the device id, and the index has no other name"
    )]
    OtherNames { profile: String },
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Batch(#[from] VouchedError),
}

impl AllowList {
    /// One without a certificate yet. `with_things`: the function makes their things as well.
    #[must_use]
    pub fn new(issuer: &CaCertificate, with_things: bool) -> Self {
        Self {
            issuer: issuer.clone(),
            batches: Vec::new(),
            with_things,
            certificates: Vec::new(),
        }
    }

    /// Adds the certificates of a batch.
    ///
    /// # Errors
    ///
    /// When it is of another CA, its things have names that the index does not have, or it cannot be read.
    pub fn add(&mut self, issued: &Vouched<'_>) -> Result<(), AllowListError> {
        let record = issued.record();
        if *issued.issuer() != self.issuer {
            return Err(AllowListError::OtherCa);
        }
        if self.with_things && !names_things_by_id(&Profile::from_config(&record.profile)?) {
            return Err(AllowListError::OtherNames {
                profile: record.profile.name.clone(),
            });
        }
        for chunk in 0..record.shape().chunks() {
            let entries = issued.entries(chunk)?.into_iter();
            self.certificates
                .extend(entries.map(|entry| (entry.certificate_id, entry.device_id.to_string())));
        }
        self.batches.push(record.batch.clone());
        Ok(())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The function's package.
    ///
    /// # Errors
    ///
    /// When the package grows over what a ZIP holds.
    pub fn package(mut self) -> Result<Vec<u8>, zip::result::ZipError> {
        self.certificates.sort_unstable();
        let about = json!({
            "batches": self.batches,
            "caCertificateId": HEXLOWER.encode(&self.issuer.id()),
            "certificates": self.certificates.len(),
            "things": self.with_things,
        });
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        // Lambda runs what others may read.
        let stored = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o644);
        let deflated = stored.compression_method(CompressionMethod::Deflated);
        zip.start_file("activate.py", deflated)?;
        zip.write_all(SOURCE.as_bytes())?;
        zip.start_file("about.json", deflated)?;
        zip.write_all(about.to_string().as_bytes())?;
        // Digests do not compress.
        zip.start_file("ids.bin", stored)?;
        for (id, _) in &self.certificates {
            zip.write_all(id)?;
        }
        if self.with_things {
            let mut offsets = Vec::with_capacity(4 * self.certificates.len());
            zip.start_file("things.txt", deflated)?;
            let mut offset: u32 = 0;
            for (_, thing) in &self.certificates {
                offsets.extend_from_slice(&offset.to_le_bytes());
                zip.write_all(thing.as_bytes())?;
                zip.write_all(b"\n")?;
                offset += u32::try_from(thing.len()).expect("a thing name is short") + 1;
            }
            zip.start_file("things.idx", deflated)?;
            zip.write_all(&offsets)?;
        }
        Ok(zip.finish()?.into_inner())
    }
}

/// Whether the thing of a device is named by its id.
fn names_things_by_id(profile: &Profile) -> bool {
    let device_id = format!("{{{}}}", profile.id_column());
    let thing_name = &profile.config().endpoint.thing_name;
    thing_name.as_ref().is_none_or(|name| *name == device_id)
}

/// The certificates of a batch, by id.
///
/// # Errors
///
/// When it cannot be read.
pub fn certificate_ids(issued: &Vouched<'_>) -> Result<HashSet<[u8; 32]>, VouchedError> {
    let mut ids = HashSet::new();
    for chunk in 0..issued.record().shape().chunks() {
        let entries = issued.entries(chunk)?.into_iter();
        ids.extend(entries.map(|entry| entry.certificate_id));
    }
    Ok(ids)
}
