//! `certforge ca retire`, and the end of a run that retires its CA.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::issuer::{self, CaCertificate, ForBatch, IssuerError, Secret};
use certforge::ledger::{self, Act, Deed, LedgerError, Patience};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::issuer::{Whose, files_at};
use super::ledger_args::LedgerArgs;
use super::passphrase::PassphraseArgs;
use super::report::{Ended, Outcome};
use super::text::Lines;
use super::{Failure, clock};

#[derive(Debug, Args)]
pub struct Retire {
    /// Folder of the CA
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Though it was not registered with AWS IoT from here, which in mode DEFAULT needs its key once more
    #[arg(long)]
    unregistered: bool,
    /// Though a batch of it is not complete, and never will be
    #[arg(long)]
    unfinished: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// A CA that signs no more.
#[derive(Serialize)]
struct Told {
    folder: String,
    subject: String,
    ca_certificate_id: String,
    retired_at: String,
}

impl Retire {
    pub fn run(&self) -> Outcome {
        let now = clock::now()?;
        refuse_unregistered(&self.folder, self.unregistered)?;
        if !self.unfinished {
            refuse_unfinished(&self.folder, &self.ledger)?;
        }
        let (certificate, at) = retire(&self.folder, &self.ledger, now)?;
        let told = Told {
            folder: self.folder.display().to_string(),
            subject: certificate.subject_text().to_owned(),
            ca_certificate_id: HEXLOWER.encode(&certificate.id()),
            retired_at: at,
        };
        Ok(Ended::with(told).warning(
            "revocation lists of this CA end with its key: what is revoked later is revoked in AWS IoT alone",
        ))
    }
}

/// Refuses to destroy a key that a registration may still need.
pub fn refuse_unregistered(folder: &Path, is_meant: bool) -> Result<(), Failure> {
    if ForBatch::read(folder)?.is_none() {
        return Err(IssuerError::NotForBatch {
            folder: folder.to_owned(),
        }
        .into());
    }
    if is_meant {
        return Ok(());
    }
    let (certificate, _) = issuer::read_public(&files_at(folder))?;
    let known = issuer::read_registrations(folder, &certificate)?;
    let folder_shown = folder.display();
    if let Some(open) = known.iter().find(|known| known.needs_key()) {
        return Err(Failure::usage(
            &format!(
                "the registration of {folder_shown} in account {}, {}, mode DEFAULT, was begun at {} and is not proven: that takes a signature of its key",
                open.account, open.region, open.begun_at
            ),
            "end it first, by the same `certforge jitp register --ca DIR`; or, when nobody will, say --unregistered",
        ));
    }
    if !known.is_empty() {
        return Ok(());
    }
    // As it was registered by other means, or by an earlier certforge.
    let endpoint = issuer::read_endpoint(&folder.join(issuer::ENDPOINT_FILE))?;
    Err(match endpoint {
        None => Failure::usage(
            &format!(
                "{folder_shown} was not registered with AWS IoT from here: in mode DEFAULT that takes a signature of its key"
            ),
            "register it first, `certforge jitp register --ca DIR`; or, when nobody will (or in mode SNI_ONLY, which takes no signature), say --unregistered",
        ),
        Some(_) => Failure::usage(
            &format!(
                "{folder_shown} has an endpoint, and nothing tells in which mode it was registered with AWS IoT: in mode DEFAULT that takes a signature of its key"
            ),
            "`certforge jitp register --ca DIR` sees how it is registered, and notes it; or, when that was done or nobody will, say --unregistered",
        ),
    })
}

/// Refuses to end a CA in the middle of a batch.
fn refuse_unfinished(folder: &Path, ledger: &LedgerArgs) -> Result<(), Failure> {
    let name = ledger.of_folder(folder)?;
    let ledger = match ledger::open_read_only(name) {
        Err(LedgerError::Missing { .. }) => return Ok(()),
        other => other?,
    };
    let statuses = ledger.status(None)?;
    match statuses.iter().find(|status| status.released < status.devices) {
        None => Ok(()),
        Some(status) => Err(Failure::usage(
            &format!(
                "batch {} is not complete, and could not be without its CA's key",
                status.batch
            ),
            "run it to its end first; or, when it never will be, say --unfinished",
        )),
    }
}

/// Destroys the key, and has the history say so.
pub fn retire(
    folder: &Path,
    ledger: &LedgerArgs,
    now: OffsetDateTime,
) -> Result<(CaCertificate, String), Failure> {
    let (certificate, _) = issuer::read_public(&files_at(folder))?;
    let secrets = PassphraseArgs::default();
    let mut ask = |secret: Secret<'_>| secrets.ask(secret);
    let at = issuer::retire(folder, now, &mut ask)?;
    let found = ledger.find(Whose {
        folder: Some(folder),
        shard: None,
    })?;
    let mut ledger = found.open(false, &Patience::default())?;
    let is_told = ledger
        .history()?
        .iter()
        .any(|entry| entry.act == Deed::CaRetired && entry.subject == certificate.subject_text());
    if !is_told {
        let what = format!(
            "certificate {}: its key was destroyed",
            HEXLOWER.encode(&certificate.id())
        );
        ledger.record(Act::new(Deed::CaRetired, certificate.subject_text(), what), now)?;
    }
    Ok((certificate, at))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("retired", &self.folder)
            .line("subject", &self.subject)
            .line("at", &self.retired_at)
            .line("caCertificateId", &self.ca_certificate_id);
        lines.fmt(f)
    }
}
