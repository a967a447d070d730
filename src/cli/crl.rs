//! `certforge ca crl`.

use std::fmt;
use std::path::PathBuf;

use certforge::issuer::{CRL_FILE, Crl, CrlRequest, IssuerError, RevocationCode};
use certforge::profile::rfc3339;
use certforge::whole;
use clap::Args;
use serde::Serialize;
use time::Duration;

use super::Failure;
use super::issuer::IssuerArgs;
use super::ledger_args::{LedgerArgs, open_existing};
use super::report::{Ended, Outcome};
use super::text::{Lines, count};
use super::{clock, span};

#[derive(Debug, Args)]
pub struct NewCrl {
    #[command(flatten)]
    issuer: IssuerArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// File of the list, PEM; one that is there is replaced by the new one [default: crl.pem beside the CA's certificate]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Write DER in place of PEM
    #[arg(long)]
    der: bool,
    /// How long the list may be believed, such as 30d, 2w or 1y: nextUpdate
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = span::parse)]
    next_update: Duration,
    /// Name the certificates of devices that have a later one too
    #[arg(long)]
    superseded: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl NewCrl {
    pub fn run(&self) -> Outcome {
        if self.next_update < Duration::DAY {
            return Err(Failure::usage(
                "--next-update is less than a day",
                "whoever checks a list refuses it from then on: give the time until you make the next one",
            ));
        }
        let now = clock::now()?;
        let found = self.ledger.find(self.issuer.whose(None))?;
        let mut ledger = open_existing(&found.name)?;
        // An older copy knows less of what is revoked.
        if let Some(folder) = &found.folder {
            folder.check(&*ledger)?;
        }
        let issuer = self.issuer.load(now)?;
        let certificate = issuer.certificate();
        let path = match &self.to {
            Some(path) => path.clone(),
            None => self.issuer.certificate_path().with_file_name(CRL_FILE),
        };
        let before = Crl::number_in(&path, certificate)?.unwrap_or(0);
        let revoked = ledger.revoked_of(certificate, self.superseded)?;
        let Some(number) = ledger.next_crl(certificate, before, now)? else {
            return Err(Failure::usage(
                &format!("ledger {} knows of no batch of this CA", ledger.location()),
                "name the ledger that the CA's batches were made with, with --ledger",
            ));
        };
        let next_update = now.saturating_add(self.next_update);
        let crl = Crl::make(
            &issuer,
            &CrlRequest {
                number,
                this_update: now,
                next_update,
                revoked: &revoked,
            },
        )?;
        let octets = match self.der {
            true => crl.der().to_vec(),
            false => crl.to_pem().into_bytes(),
        };
        whole::write(&path, &octets, 0o644).map_err(|source| IssuerError::Write {
            path: path.clone(),
            source,
        })?;
        let of = |code| revoked.iter().filter(|one| one.code == code).count() as u64;
        let ended = Ended::with(Made {
            path: path.display().to_string(),
            issuer: certificate.subject_text().to_owned(),
            number,
            this_update: rfc3339(now),
            next_update: rfc3339(next_update),
            revoked: revoked.len() as u64,
            reasons: RevocationCode::ALL
                .into_iter()
                .map(|code| (code.name(), of(code)))
                .filter(|(_, certificates)| *certificates > 0)
                .map(|(reason, certificates)| Reason { reason, certificates })
                .collect(),
        });
        Ok(match next_update > certificate.period().not_after {
            true => ended.warning("the CA's own validity ends before the list's nextUpdate"),
            false => ended,
        })
    }
}

/// A list that was made.
#[derive(Serialize)]
struct Made {
    path: String,
    issuer: String,
    number: u64,
    this_update: String,
    next_update: String,
    revoked: u64,
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    certificates: u64,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("list", &self.path)
            .line("issuer", &self.issuer)
            .line("number", self.number.to_string())
            .line("valid", format!("{} to {}", self.this_update, self.next_update))
            .line("revoked", count(self.revoked));
        for Reason { reason, certificates } in &self.reasons {
            lines.line("", format!("{} {reason}", count(*certificates)));
        }
        lines.fmt(f)
    }
}
