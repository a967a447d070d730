//! Rebuilding: a ledger made anew from what is released in a store.
//!
//! It believes what the issuer has signed and nothing else: each row of an index is held against its certificate, and each
//! certificate's signature is verified; a seal, where there is one, must agree. What is found wrong is a [`Fault`], and
//! then there is no ledger. What no store tells is in [`Report::unknown`].
//!
//! Of attempts that were never released, the names are adopted: what they left may be replaced when the batch goes on.

mod attempts;
mod certificate;
mod chunk;
mod enter;
mod error;
mod faults;
mod released;
mod survey;

use std::fmt;

use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

pub use error::RebuildError;

use crate::ledger::{Ledger, LedgerError};
use crate::profile::rfc3339;
use crate::seal::Trust;
use crate::store::{Place, Store, StoreError};
use faults::Faults;

/// What a ledger is to be rebuilt from.
pub struct Job<'a> {
    /// Where batches are.
    pub places: &'a [Place],
    pub open: &'a dyn Fn(&Place) -> Result<Store, StoreError>,
    pub issuer: &'a Trust,
    /// Id that the ledger takes, of those that the batches name. `None`: the one that all name, or most that are not complete.
    pub id: Option<&'a str>,
    /// Names of batches that were begun as reissues, for which nothing else says so.
    pub reissues: &'a [String],
    pub now: OffsetDateTime,
}

/// Opens the new ledger, by its id.
pub type Make<'a> = &'a mut dyn FnMut([u8; 16]) -> Result<Box<dyn Ledger>, LedgerError>;

/// Something that is not as a forge leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Name of the batch's folder.
    pub batch: String,
    /// Relative to the batch.
    pub object: String,
    pub device_id: Option<String>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: ", self.batch, self.object)?;
        if let Some(device_id) = &self.device_id {
            write!(f, "device {device_id}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// A batch that the ledger knows now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    pub batch: String,
    pub location: String,
    /// Rows of its manifest.
    pub devices: u64,
    pub released: u64,
    /// Attempts that were never released, whose names were adopted.
    pub adopted: u64,
    /// The beginning of its first certificate's validity, by which batches come one after the other; `None` while there is
    /// no certificate.
    pub begun: Option<String>,
    pub reissue: bool,
    pub withdrawn: bool,
}

/// A batch that is none of the ledger's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub batch: String,
    /// SHA-256 of its CA's certificate, in hexadecimal.
    pub issuer_id: String,
}

/// A batch that names another ledger, under which alone it can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    pub batch: String,
    /// Id of the ledger.
    pub ledger: String,
}

/// What became of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Id of the ledger.
    pub id: String,
    /// As they were begun.
    pub batches: Vec<Rebuilt>,
    pub left_out: Vec<LeftOut>,
    pub elsewhere: Vec<Elsewhere>,
    /// What cannot be known, in words.
    pub unknown: Vec<String>,
    /// What is wrong; then the ledger must not be used.
    pub faults: Vec<Fault>,
    /// Faults that are not listed, since there are so many.
    pub unlisted: u64,
}

/// Makes a ledger of what the places hold. With a fault in the report it is not complete, and must be thrown away.
///
/// # Errors
///
/// When there is nothing to make one of, or a store or the ledger fails.
pub fn rebuild(job: &Job<'_>, make: Make<'_>) -> Result<(Report, Box<dyn Ledger>), RebuildError> {
    let mut faults = Faults::default();

    // 1. Find the batches of the issuer, in their order, and the id that they name.
    let survey = survey::survey(job, &mut faults)?;
    let mut report = Report {
        id: HEXLOWER.encode(&survey.id),
        left_out: survey.left_out,
        elsewhere: survey.elsewhere,
        ..Report::default()
    };
    let mut ledger = make(survey.id)?;

    // 2. Enter what is released of each, and adopt the attempts of what is not.
    for batch in &survey.batches {
        let store = (job.open)(&batch.place)?;
        let (rebuilt, unknown) = enter::enter(job, &store, batch, &mut *ledger, &mut faults)?;
        report.batches.push(rebuilt);
        report.unknown.extend(unknown);
    }
    report.unknown.push(
        "which single certificates were revoked, and the number of the last revocation list".to_owned(),
    );
    (report.faults, report.unlisted) = faults.end();
    Ok((report, ledger))
}

/// A time as reports have it.
fn told(time: Option<OffsetDateTime>) -> Option<String> {
    time.map(rfc3339)
}
