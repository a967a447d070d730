//! `certforge jitp template render`.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::jitp::{Facts, PolicyMade, Provisioned};
use certforge::pem;
use clap::Args;
use serde::Serialize;

use super::load;
use crate::cli::batch::VoucherArgs;
use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::Lines;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct Render {
    /// Template, JSON; or a registrationConfig that holds one
    template: PathBuf,
    /// Certificate of the device, PEM or DER
    #[arg(long, value_name = "FILE", group = "whose")]
    cert: Option<PathBuf>,
    /// Device of a batch, by its id
    #[arg(long, value_name = "ID", group = "whose", requires = "batch")]
    device: Option<String>,
    /// Batch of the device: its folder or s3:// URL, or its name in the ledger
    #[arg(long, value_name = "DIR|S3-URL|NAME", requires = "device")]
    batch: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voucher: VoucherArgs,
}

/// What AWS IoT would create for one device.
#[derive(Serialize)]
struct Rendered(Provisioned);

impl Render {
    pub fn run(&self) -> Outcome {
        let template = load(&self.template)?;
        let der = match (&self.cert, &self.device, &self.batch) {
            (Some(path), ..) => read_certificate(path)?,
            (None, Some(device), Some(batch)) => self.find(device, batch)?,
            _ => unreachable!("clap asks for one of them"),
        };
        let facts = Facts::of_certificate(&der).map_err(|error| {
            let whose = self
                .cert
                .as_ref()
                .map_or_else(String::new, |path| format!("{}: ", path.display()));
            Failure::usage(&format!("{whose}{error}"), "give a certificate, PEM or DER")
        })?;
        let made = template.provision(&facts).map_err(|refusal| {
            Failure::refused(
                format!("AWS IoT would leave the certificate pending: {refusal}"),
                "change the template, or the profile that the certificate was made with",
            )
        })?;
        Ok(Ended::with(Rendered(made)))
    }

    /// The certificate of a device of a batch.
    fn find(&self, device: &str, batch: &str) -> Result<Vec<u8>, Failure> {
        let batch = self.voucher.open(batch)?;
        let issued = batch.vouched()?;
        for chunk in 0..issued.record().shape().chunks() {
            let entries = issued.entries(chunk)?;
            if entries.iter().any(|entry| entry.device_id == *device) {
                let certificates = issued.certificates(chunk)?;
                let found = certificates
                    .into_iter()
                    .find(|certificate| certificate.entry.device_id == *device);
                return Ok(found.expect("it is in the index").der);
            }
        }
        Err(Failure::usage(
            &format!("batch {} has no device {device}", issued.record().batch),
            "`certforge ledger export` lists the devices of a batch",
        ))
    }
}

fn read_certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    let octets = input::octets(path).map_err(|error| {
        Failure::usage(
            &format!("certificate {} cannot be read: {error}", input::name(path)),
            "give the path of a certificate, PEM or DER",
        )
    })?;
    let blocks = std::str::from_utf8(&octets)
        .ok()
        .and_then(|text| pem::blocks(text).ok());
    let first = blocks
        .into_iter()
        .flatten()
        .find(|block| block.label == pem::CERTIFICATE);
    // The first certificate of a chain is the device's own.
    Ok(first.map_or_else(|| octets.to_vec(), |block| block.der.to_vec()))
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(made) = self;
        let mut lines = Lines::default();
        if let Some(thing) = &made.thing {
            lines.line("thing", &thing.thing_name);
            for (name, value) in &thing.attributes {
                lines.line("attribute", format!("{name} = {value}"));
            }
            if let Some(thing_type) = &thing.thing_type_name {
                lines.line("thing type", thing_type);
            }
            for group in &thing.thing_groups {
                lines.line("thing group", group);
            }
            if let Some(group) = &thing.billing_group {
                lines.line("billing group", group);
            }
        }
        lines
            .line("certificate", &made.certificate.certificate_id)
            .line("status", &made.certificate.status);
        for policy in &made.policies {
            match policy {
                PolicyMade::PolicyName(name) => lines.line("policy", format!("{name}, which must exist")),
                PolicyMade::PolicyDocument(document) => lines.line("policy", document),
            };
        }
        lines.fmt(f)
    }
}
