//! `certforge rehearse activate` and `mark`: what an account's owner, or the Lambda function of JITR, does.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;

use certforge::jitp::{Issued, Template};
use certforge::rehearsal::{Account, Activation, Outcome as Activated, Registered, Status, activate};
use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::super::jitp::open_batch;
use super::super::run::DEFAULT_LEDGER;
use super::super::text::count;
use super::StateArgs;
use super::endpoint::{POLICIES_SETTING, TEMPLATE_SETTING};
use crate::cli::{Failure, Outcome, exit, place, print, print_json};

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
    /// Ledger that knows where a batch is
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LEDGER)]
    ledger: PathBuf,
    #[command(flatten)]
    state: StateArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Activate {
    pub fn run(&self) -> Outcome {
        let account = self.state.open()?;
        let pending = || account.certificates(Some(Status::PendingActivation), u32::MAX);
        let allowed = self
            .allow_list
            .as_deref()
            .map(|batch| self.read(batch))
            .transpose()?;
        let wanted = match self.certificates.is_empty() {
            true => pending()?,
            false => self
                .certificates
                .iter()
                .map(|text| find(&account, text))
                .collect::<Result<_, _>>()?,
        };
        let activation = activation(&account)?;
        let mut results = Vec::new();
        for certificate in wanted {
            let id = &certificate.certificate_id;
            let is_allowed = allowed.as_ref().is_none_or(|allowed| allowed.contains(id));
            let result = match certificate.status {
                _ if !is_allowed => {
                    account.set_status(id, Status::Inactive)?;
                    Ok("INACTIVE: it is not in the allow list".to_owned())
                }
                Status::PendingActivation => {
                    let der = account.certificate_der(id)?.unwrap_or_default();
                    match activate(&account, id, &der, &certificate.name, &activation)? {
                        Activated::Made(made) => Ok(made.status.as_str().to_owned()),
                        Activated::Pending(reason) => Err(reason),
                        Activated::Waits | Activated::NotAllowed => unreachable!("nobody else is asked"),
                    }
                }
                Status::Revoked => Err("it is REVOKED and stays so".to_owned()),
                Status::Active | Status::Inactive => {
                    account.set_status(id, Status::Active)?;
                    Ok("ACTIVE".to_owned())
                }
            };
            results.push((certificate, result));
        }
        Ok(self.tell(&results))
    }

    /// The certificates of a batch, by id.
    fn read(&self, batch: &str) -> Result<HashSet<String>, Failure> {
        let store = open_batch(batch, &self.ledger, &self.reach)?;
        let issued = Issued::open(&*store)?;
        let mut ids = HashSet::new();
        for chunk in 0..issued.record().shape().chunks() {
            let entries = issued.entries(chunk)?.into_iter();
            ids.extend(entries.map(|entry| HEXLOWER.encode(&entry.certificate_id)));
        }
        Ok(ids)
    }

    fn tell(&self, results: &[(Registered, Result<String, String>)]) -> ExitCode {
        if self.json {
            let results: Vec<_> = results
                .iter()
                .map(|(certificate, result)| {
                    json!({
                        "certificateId": certificate.certificate_id,
                        "name": certificate.name,
                        "result": result.as_deref().ok(),
                        "error": result.as_deref().err(),
                    })
                })
                .collect();
            print_json(&json!({ "certificates": results }));
        } else {
            for (certificate, result) in results {
                let (Ok(said) | Err(said)) = result;
                print(&format!("{}  {said}\n", certificate.name));
            }
            if results.is_empty() {
                print("no certificate is pending\n");
            }
        }
        match results.iter().any(|(_, result)| result.is_err()) {
            true => exit::SOME_FAILED.into(),
            false => ExitCode::SUCCESS,
        }
    }
}

/// What is made besides, as the endpoint was told.
fn activation(account: &Account) -> Result<Activation, Failure> {
    if let Some(text) = account.setting(TEMPLATE_SETTING)? {
        let template = Template::read(&text).template;
        return Ok(Activation::Template(Box::new(
            template.expect("the endpoint has read it"),
        )));
    }
    let names = account.setting(POLICIES_SETTING)?.unwrap_or_default();
    Ok(Activation::Policies(names.lines().map(str::to_owned).collect()))
}

/// The one certificate that a text means.
fn find(account: &Account, text: &str) -> Result<Registered, Failure> {
    let all = account.certificates(None, u32::MAX)?;
    let is_meant = |certificate: &&Registered| {
        certificate.name == text || (text.len() >= 4 && certificate.certificate_id.starts_with(text))
    };
    let mut found = all.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(Failure::usage(
            &format!("no certificate {text} is registered"),
            "`certforge rehearse list --state FILE` lists them; a device is registered when it first connects",
        )),
        (Some(_), Some(_)) => Err(Failure::usage(
            &format!(
                "{text} is more than one certificate: {} of them",
                count(all.iter().filter(is_meant).count() as u64)
            ),
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
    pub json: bool,
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

impl Mark {
    pub fn run(&self) -> Outcome {
        let account = self.state.open()?;
        let status = match self.status {
            MarkStatus::Active => Status::Active,
            MarkStatus::Inactive => Status::Inactive,
            MarkStatus::Revoked => Status::Revoked,
        };
        let found: Vec<Registered> = self
            .certificates
            .iter()
            .map(|text| find(&account, text))
            .collect::<Result<_, _>>()?;
        for certificate in &found {
            account.set_status(&certificate.certificate_id, status)?;
        }
        if self.json {
            let ids: Vec<_> = found
                .iter()
                .map(|certificate| &certificate.certificate_id)
                .collect();
            print_json(&json!({ "status": status, "certificates": ids }));
        } else {
            for certificate in &found {
                print(&format!("{}  {}\n", certificate.name, status.as_str()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
