//! `certforge rehearse activate` and `mark`: what an account's owner, or the Lambda function of JITR, does.

use std::collections::HashSet;
use std::fmt;

use certforge::jitp::certificate_ids;
use certforge::printable;
use certforge::rehearsal::{Account, Activation, CertificateStatus, Registered, decide};
use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::StateArgs;
use crate::cli::batch::VoucherArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::count;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Activate {
    /// Certificates, by id or the beginning of it, or by the name in their subject
    #[arg(group = "which")]
    certificates: Vec<String>,
    /// All that are pending
    #[arg(long, group = "which")]
    all: bool,
    /// Those of a batch; all others that are pending become INACTIVE, as the Lambda function makes them
    #[arg(long, value_name = "DIR|S3-URL|NAME", group = "which")]
    allow_list: Option<String>,
    #[command(flatten)]
    state: StateArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voucher: VoucherArgs,
}

/// What became of each certificate.
#[derive(Serialize)]
struct Activated {
    certificates: Vec<OfOne>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfOne {
    certificate_id: String,
    name: String,
    result: Option<String>,
    error: Option<String>,
}

impl Activate {
    pub fn run(&self) -> Outcome {
        let account = self.state.open()?;
        let allowed = self
            .allow_list
            .as_deref()
            .map(|batch| self.read(batch))
            .transpose()?;
        let wanted = match self.certificates.is_empty() {
            true => account.certificates(Some(CertificateStatus::PendingActivation), u32::MAX)?,
            false => find_all(&account, &self.certificates)?,
        };
        let activation = Activation::kept(&account)?;
        let mut certificates = Vec::with_capacity(wanted.len());
        for certificate in wanted {
            let id = &certificate.certificate_id;
            let is_allowed = allowed.as_ref().is_none_or(|allowed| allowed.contains(id));
            let decided = decide(&account, &certificate, &activation, is_allowed)?;
            certificates.push(OfOne {
                certificate_id: certificate.certificate_id,
                name: certificate.name,
                error: decided.as_ref().err().cloned(),
                result: decided.ok(),
            });
        }
        let has_failed = certificates.iter().any(|one| one.error.is_some());
        let code = if has_failed { exit::SOME_FAILED } else { 0 };
        Ok(Ended::with(Activated { certificates }).code(code))
    }

    /// The certificates of a batch, by id.
    fn read(&self, batch: &str) -> Result<HashSet<String>, Failure> {
        let batch = self.voucher.open(batch)?;
        let ids = certificate_ids(&batch.vouched()?)?;
        Ok(ids.iter().map(|id| HEXLOWER.encode(id)).collect())
    }
}

impl fmt::Display for Activated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.certificates.is_empty() {
            return writeln!(f, "no certificate is pending");
        }
        for one in &self.certificates {
            let said = one.result.as_ref().or(one.error.as_ref());
            let name = printable::line(&one.name);
            writeln!(f, "{name}  {}", said.map_or("", String::as_str))?;
        }
        Ok(())
    }
}

/// The one certificate that each text means.
fn find_all(account: &Account, texts: &[String]) -> Result<Vec<Registered>, Failure> {
    texts.iter().map(|text| find(account, text)).collect()
}

fn find(account: &Account, text: &str) -> Result<Registered, Failure> {
    let mut found = account.matching(text)?;
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Failure::usage(
            &format!("no certificate {text} is registered"),
            "`certforge rehearse list --state FILE` lists them; a device is registered when it first connects",
        )),
        n => Err(Failure::usage(
            &format!("{text} is more than one certificate: {} of them", count(n as u64)),
            "name it by more of its certificate id",
        )),
    }
}

#[derive(Debug, Args)]
pub struct Mark {
    /// Status
    #[arg(value_enum, ignore_case = true)]
    status: MarkStatus,
    /// Certificates, by id or the beginning of it, or by the name in their subject
    #[arg(required = true)]
    certificates: Vec<String>,
    #[command(flatten)]
    state: StateArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MarkStatus {
    #[value(name = "ACTIVE")]
    Active,
    #[value(name = "INACTIVE")]
    Inactive,
    #[value(name = "REVOKED")]
    Revoked,
}

/// What certificates have become.
#[derive(Serialize)]
struct Marked {
    status: CertificateStatus,
    /// By id.
    certificates: Vec<String>,
    #[serde(skip)]
    names: Vec<String>,
}

impl Mark {
    pub fn run(&self) -> Outcome {
        let account = self.state.open()?;
        let status = match self.status {
            MarkStatus::Active => CertificateStatus::Active,
            MarkStatus::Inactive => CertificateStatus::Inactive,
            MarkStatus::Revoked => CertificateStatus::Revoked,
        };
        let found = find_all(&account, &self.certificates)?;
        for certificate in &found {
            account.set_status(&certificate.certificate_id, status)?;
        }
        let (certificates, names) = found
            .into_iter()
            .map(|certificate| (certificate.certificate_id, certificate.name))
            .unzip();
        Ok(Ended::with(Marked {
            status,
            certificates,
            names,
        }))
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.names {
            writeln!(f, "{}  {}", printable::line(name), self.status.as_str())?;
        }
        Ok(())
    }
}
