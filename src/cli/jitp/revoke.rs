//! `certforge jitp revoke`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use certforge::aws::{Outcome as Became, note_revoked, revoke_certificates};
use certforge::issuer::RevocationCode;
use certforge::ledger::{Batch, Issued, Ledger, Selection};
use certforge::profile::rfc3339;
use certforge::store::Store;
use clap::Args;
use clap::builder::PossibleValuesParser;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::reach::{AwsReach, consent};
use super::revoke_list::{Listed, read};
use crate::cli::failure::Failure;
use crate::cli::ledger_args::{LedgerArgs, open_existing};
use crate::cli::report::{Ended, Outcome, Printer};
use crate::cli::text::count;
use crate::cli::{exit, interrupt, place, progress};

/// Certificates that are shown to people one by one.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub struct Revoke {
    /// Device whose certificates are revoked, all that the ledger has of it; may be given more than once
    #[arg(long, value_name = "ID", group = "which")]
    device: Vec<String>,
    /// Certificate to revoke, by its certificate id; may be given more than once
    #[arg(long, value_name = "SHA-256", group = "which")]
    certificate: Vec<String>,
    /// File of what to revoke: device ids or certificate ids, one a line; a CSV with a column certificate_id or
    /// device_id, such as `export --scrapped` writes; or certificates, PEM. - is standard input
    #[arg(long, value_name = "FILE", group = "which")]
    from: Option<PathBuf>,
    /// Of this batch alone
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Why, in words; the ledger keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Why, as revocation lists have it
    #[arg(long, value_name = "CODE", default_value = "unspecified", value_parser = PossibleValuesParser::new(RevocationCode::ALL.map(RevocationCode::name)))]
    code: String,
    /// Note it in the ledger for the CA's revocation list, and ask AWS nothing
    #[arg(long)]
    ledger_only: bool,
    /// Certificates a second, at most; AWS allows 10 unless the account has more
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// List what would be revoked; change nothing, and ask AWS nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

impl Revoke {
    pub fn run(&self, printer: Printer) -> Outcome {
        if self.reason.trim().is_empty() || self.reason.chars().any(char::is_control) {
            return Err(Failure::usage(
                "--reason is blank, or has line breaks or other control characters",
                "say in one line why; the ledger keeps it",
            ));
        }
        let mut ledger = open_existing(&self.ledger.usual()?)?;
        let certificates = self.chosen(&*ledger)?;
        let mut report = Report::new(&certificates);
        if self.dry_run {
            return Ok(Ended::with(report));
        }
        let cloud = match self.ledger_only {
            true => None,
            false => Some(self.reach.open().map_err(|error| {
                let hint = error.hint().unwrap_or_default();
                Failure::from(error).with_hint(&format!(
                    "{hint}; --ledger-only notes it for the revocation list meanwhile"
                ))
            })?),
        };
        printer.tell(&report);
        let place = cloud.as_ref().map(certforge::aws::Cloud::caller);
        let question = match place {
            Some(caller) => format!("Revoke in account {}, {}?", caller.account, caller.region),
            None => format!("Note as revoked in ledger {}?", ledger.location()),
        };
        consent(self.yes, &question)?;
        report.account = place.map(|caller| caller.account.clone());
        report.region = place.map(|caller| caller.region.clone());
        let code = RevocationCode::ALL
            .into_iter()
            .find(|code| code.name() == self.code);
        let code = code.unwrap_or(RevocationCode::Unspecified);
        note_revoked(
            &mut *ledger,
            &certificates,
            (code, &self.reason),
            OffsetDateTime::now_utc(),
        )?;
        report.noted = true;
        let Some(cloud) = cloud else {
            return Ok(report.end(false));
        };
        let bar = progress::bar(certificates.len() as u64, 0);
        let cancel = interrupt::cancel("");
        let outcomes = revoke_certificates(
            &*ledger,
            &certificates,
            (&cloud, self.rate),
            &|batch| self.open_store(batch),
            &|| cancel.is_cancelled(),
            &|| bar.inc(1),
        );
        bar.finish_and_clear();
        report.became(&outcomes?);
        Ok(report.end(cancel.is_cancelled()))
    }

    /// The certificates that are meant, each once; every one of those that were named must be in the ledger.
    fn chosen(&self, ledger: &dyn Ledger) -> Result<Vec<Issued>, Failure> {
        let mut listed = Listed::default();
        for device in &self.device {
            listed.devices.insert(device.trim().to_owned());
        }
        for text in &self.certificate {
            listed.add_certificate(text)?;
        }
        if let Some(path) = &self.from {
            read(path, &mut listed)?;
        }
        if let Some(name) = &self.batch {
            ledger.batch(name)?;
        }
        let mut found = Vec::new();
        let mut devices: BTreeSet<String> = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let mut take = |issued: Issued| {
            if self.batch.as_ref().is_none_or(|name| *name == issued.batch) {
                devices.insert(issued.entry.device_id.to_string());
                if ids.insert(issued.entry.certificate_id) {
                    found.push(issued);
                }
            }
            true
        };
        if !listed.devices.is_empty() {
            ledger.select(Selection::Devices(&listed.devices), &mut take)?;
        }
        if !listed.certificates.is_empty() {
            ledger.select(Selection::Certificates(&listed.certificates), &mut take)?;
        }
        let unknown = listed.devices.difference(&devices).cloned();
        let hex = |id: &[u8; 32]| HEXLOWER.encode(id);
        let unknown: Vec<String> = unknown
            .chain(listed.certificates.difference(&ids).map(hex))
            .collect();
        if let Some(first) = unknown.first() {
            let others = match unknown.len() - 1 {
                0 => String::new(),
                n => format!(", and {} more", count(n as u64)),
            };
            let of = self.batch.as_ref().map_or_else(
                || format!("ledger {}", ledger.location()),
                |name| format!("batch {name} of ledger {}", ledger.location()),
            );
            return Err(Failure::usage(
                &format!("{of} has not issued {first}{others}; nothing was revoked"),
                "correct what is listed, or name the ledger that it was issued with, with --ledger",
            ));
        }
        Ok(found)
    }

    fn open_store(&self, batch: &Batch) -> Option<Store> {
        let nothing = place::Reach::new(None, None);
        let is_bucket = batch.location.starts_with("s3://");
        let reach = match is_bucket {
            true => place::Reach::new(self.reach.endpoint_url.clone(), self.reach.region.clone()),
            false => nothing,
        };
        let place = place::parse(&batch.location, &reach, None).ok()?;
        reach.open_quick(&place).ok()
    }
}

/// What is to be revoked, and what became of it.
#[derive(Serialize)]
struct Report {
    account: Option<String>,
    region: Option<String>,
    certificates: Vec<Line>,
    /// In the ledger, for revocation lists.
    noted: bool,
    revoked: u64,
    of_these_unknown_before: u64,
    failed: u64,
    interrupted: bool,
}

#[derive(Serialize)]
struct Line {
    device_id: String,
    certificate_id: String,
    batch: String,
    not_after: String,
    state: &'static str,
    outcome: Option<&'static str>,
    error: Option<String>,
}

impl Report {
    fn new(certificates: &[Issued]) -> Self {
        let line = |issued: &Issued| {
            let end = OffsetDateTime::from_unix_timestamp(issued.entry.not_after);
            Line {
                device_id: issued.entry.device_id.to_string(),
                certificate_id: HEXLOWER.encode(&issued.entry.certificate_id),
                batch: issued.batch.clone(),
                not_after: rfc3339(end.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
                state: issued.state(),
                outcome: None,
                error: None,
            }
        };
        Self {
            account: None,
            region: None,
            certificates: certificates.iter().map(line).collect(),
            noted: false,
            revoked: 0,
            of_these_unknown_before: 0,
            failed: 0,
            interrupted: false,
        }
    }

    fn became(&mut self, outcomes: &[Became]) {
        for (certificate, outcome) in self.certificates.iter_mut().zip(outcomes) {
            certificate.outcome = match outcome {
                Became::Revoked => Some("revoked"),
                Became::Registered => Some("registered-as-revoked"),
                Became::Failed(_) => Some("failed"),
                Became::NotTried => None,
            };
            match outcome {
                Became::Failed(error) => {
                    certificate.error = Some(error.to_string());
                    self.failed += 1;
                }
                Became::Registered => {
                    self.revoked += 1;
                    self.of_these_unknown_before += 1;
                }
                Became::Revoked => self.revoked += 1,
                Became::NotTried => {}
            }
        }
    }

    fn end(mut self, interrupted: bool) -> Ended {
        self.interrupted = interrupted;
        let first = self.certificates.iter().find_map(|one| {
            let error = one.error.as_ref()?;
            Some(format!("device {}: {error}", one.device_id))
        });
        let failure = first.map(|first| {
            let failure = Failure::aws(
                format!(
                    "certificates that are not revoked: {} at least; {first}",
                    count(self.failed)
                ),
                "run the same command again, in the same account and Region",
            );
            match interrupted {
                true => failure.under(exit::INTERRUPTED),
                false => failure,
            }
        });
        let code = if interrupted { exit::INTERRUPTED } else { 0 };
        Ended::with(self).code(code).failed(failure)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.noted {
            match &self.account {
                None => writeln!(
                    f,
                    "noted as revoked: {}; AWS was not asked",
                    count(self.certificates.len() as u64)
                )?,
                Some(_) => writeln!(
                    f,
                    "revoked: {}, {} of which had not connected yet",
                    count(self.revoked),
                    count(self.of_these_unknown_before)
                )?,
            }
            return writeln!(f, "`certforge ca crl` makes the CA's revocation list anew");
        }
        writeln!(f, "to revoke: {}", count(self.certificates.len() as u64))?;
        for one in self.certificates.iter().take(SHOWN) {
            let line = format!(
                "  {}  {}  batch {}, until {}, {}",
                one.device_id, one.certificate_id, one.batch, one.not_after, one.state
            );
            writeln!(f, "{}", certforge::printable::line(&line))?;
        }
        match self.certificates.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {} more; --json lists them all", count(more as u64)),
        }
    }
}
