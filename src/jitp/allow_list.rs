//! The allow list of Just-In-Time Registration (JITR): a Lambda function, as a ZIP, that activates the
//! certificates of a batch and refuses all others.

use std::io::{Cursor, Write};

use data_encoding::HEXLOWER;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::issuer::CaCertificate;

/// The function that Lambda calls.
pub const HANDLER: &str = "activate.handler";

const SOURCE: &str = include_str!("activate.py");

/// Certificates that may be activated.
#[derive(Debug, Default)]
pub struct AllowList(Vec<([u8; 32], String)>);

impl AllowList {
    /// Adds a certificate, by its id, and the name of its thing.
    pub fn add(&mut self, certificate_id: [u8; 32], thing: &str) {
        self.0.push((certificate_id, thing.to_owned()));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The function's package; `with_things`: it makes their things as well.
    ///
    /// # Errors
    ///
    /// When the package grows over what a ZIP holds.
    pub fn package(
        mut self,
        batches: &[String],
        issuer: &CaCertificate,
        with_things: bool,
    ) -> Result<Vec<u8>, zip::result::ZipError> {
        self.0.sort_unstable();
        let about = json!({
            "batches": batches,
            "caCertificateId": HEXLOWER.encode(&issuer.id()),
            "certificates": self.0.len(),
            "things": with_things,
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
        for (id, _) in &self.0 {
            zip.write_all(id)?;
        }
        if with_things {
            let mut offsets = Vec::with_capacity(4 * self.0.len());
            zip.start_file("things.txt", deflated)?;
            let mut offset: u32 = 0;
            for (_, thing) in &self.0 {
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
