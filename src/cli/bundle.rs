//! `certforge bundle`: the bundles of a batch made anew, around the same keys and certificates.

use std::fmt;
use std::path::PathBuf;

use certforge::bundle::encryption::Recipient;
use certforge::engine::Choice;
use certforge::generation::{Newest, Remade, Remake};
use certforge::issuer::Issuer;
use certforge::ledger::{self, Act, Deed, LedgerError};
use certforge::profile::{self, Profile};
use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;

use super::identity::IdentityArgs;
use super::issuer::{IssuerArgs, files_at};
use super::ledger_args::{LedgerArgs, enter};
use super::passphrase::PassphraseArgs;
use super::passwords::PasswordArgs;
use super::progress::Bar;
use super::report::{Ended, Outcome};
use super::run::lacks_endpoint;
use super::text::{self, Lines, devices};
use super::{Failure, clock, interrupt, place};

#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Encrypt the bundles of a batch to other stations; keys, certificates and files stay as they are
    ///
    /// What was encrypted to the stations before is removed, and with it what the store has of devices that were flashed or
    /// scrapped. A device that a station has claimed keeps the bundle that it has; one that failed is encrypted anew as all
    /// others.
    Rewrap(Rewrap),
    /// Make the bundles of a batch anew, with another endpoint or by another profile; keys and certificates stay as they are
    ///
    /// What was there before is removed, and with it what the store has of devices that were flashed or scrapped. A device
    /// that a station has claimed keeps the bundle that it has; one that failed is made anew as all others.
    Repack(Repack),
}

#[derive(Debug, Args)]
pub struct Rewrap {
    /// Station that can read the bundles from now on, and nobody else but those named so: its public key, or a file of such, one
    /// a line; `certforge station identity new` makes one
    #[arg(long = "recipient", value_name = "age1…|FILE", required = true)]
    recipients: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["endpoint", "profile"])]
pub struct Repack {
    /// Host that devices connect to
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// Profile whose [bundle], [endpoint] and [delivery] hold from now on; what it says of ids, keys and certificates must be
    /// as before
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Station that can read the bundles from now on [default: as before, or as the profile says]
    #[arg(long = "recipient", value_name = "age1…|FILE")]
    recipients: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Batch, such as out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01
    batch: String,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    passwords: PasswordArgs,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Folder of the CA above the one that made the batch, which signs in its place: that one is retired
    #[arg(long, value_name = "DIR")]
    parent: Option<PathBuf>,
    /// File whose first line is the passphrase of the parent's key
    #[arg(long, value_name = "FILE", requires = "parent")]
    parent_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// It is reached by another path than when it was sealed: it was moved, and is no copy
    #[arg(long)]
    moved: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// A generation of a batch.
#[derive(Serialize)]
struct Anew {
    batch: String,
    generation: u32,
    made_before: bool,
    devices: u64,
    left_as_they_were: u64,
    failed_since: u64,
    flashed_or_scrapped: u64,
    endpoint: Option<String>,
    recipients: Vec<String>,
    signed_by: String,
    seal_sha256: String,
}

impl Bundle {
    pub fn run(&self) -> Outcome {
        match self {
            Self::Rewrap(Rewrap { recipients, common }) => common.remake(|profile, _| {
                let recipients = profile::recipients(recipients)?;
                Ok(profile.with_recipients(&recipients)?)
            }),
            Self::Repack(repack) => repack
                .common
                .remake(|profile, newest| repack.profile(profile, newest)),
        }
    }
}

impl Repack {
    /// What bundles shall be like, which are like this profile now.
    fn profile(&self, now: Profile, newest: &Newest) -> Result<Profile, Failure> {
        let profile = match &self.profile {
            None => match &self.endpoint {
                Some(host) => now.with_host(host)?,
                None => now,
            },
            Some(name) => {
                let given = Profile::load(name, self.endpoint.as_deref())?;
                // What was said for the batch holds on where the profile says nothing.
                let given = match (&given.endpoint().host, &now.endpoint().host) {
                    (None, Some(host)) => given.with_host(host)?,
                    _ => given,
                };
                match given.recipients() {
                    [] => given.with_recipients(now.recipients())?,
                    _ => given,
                }
            }
        };
        let profile = match self.recipients.is_empty() {
            true => profile,
            false => profile.with_recipients(&profile::recipients(&self.recipients)?)?,
        };
        match lacks_endpoint(&profile, newest.issuer()) {
            false => Ok(profile),
            true => Err(Failure::usage(
                "these bundles would name no endpoint: their devices would not know where to connect",
                "give it with --endpoint",
            )),
        }
    }
}

impl Common {
    fn remake(&self, change: impl FnOnce(Profile, &Newest) -> Result<Profile, Failure>) -> Outcome {
        if self.parent.is_some() && !self.issuer.is_named() {
            return Err(Failure::usage(
                "--parent is the CA above the one that made the batch, and nothing says which that is",
                "name the CA that made the batch with --ca",
            ));
        }
        let now = clock::now()?;
        let cancel = interrupt::cancel("stopping; nothing is changed until all of it is made");
        let found = || self.ledger.find(self.issuer.whose(None));
        let batch = place::of_batch(&self.batch, &|| Ok(found()?.name))?;
        let store = self.reach.open(&place::parse(&batch, &self.reach, None)?)?;
        let (issuer, _) = self.issuer.read_public(now)?;
        let mut newest = Newest::open(store, &issuer, self.moved)?;
        newest.unlock(&self.passwords.read()?)?;
        let profile = change(newest.profile().clone(), &newest)?;
        let identities = self.identity.read()?;
        let signer = self.signer(now)?;
        let bar = Bar::default();
        let job = Remake {
            profile: &profile,
            signer: &signer,
            identities: identities.as_ref(),
            now,
        };
        let remade = newest.remake(&job, &|event| bar.show(&event), cancel);
        drop(bar);
        let remade = remade?;
        let made = Anew {
            batch: newest.record().batch.clone(),
            generation: remade.generation,
            made_before: remade.before,
            devices: remade.devices,
            left_as_they_were: remade.left,
            failed_since: remade.failed,
            flashed_or_scrapped: remade.ended,
            endpoint: profile.endpoint().host.clone(),
            recipients: profile.recipients().iter().map(Recipient::short_id).collect(),
            signed_by: signer.certificate().subject_text().to_owned(),
            seal_sha256: data_encoding::HEXLOWER.encode(&remade.seal_sha256),
        };
        let warning = self.tell_history(&made, &remade)?;
        let ended = Ended::with(made);
        Ok(warning.into_iter().fold(ended, Ended::warning))
    }

    fn signer(&self, now: OffsetDateTime) -> Result<Issuer, Failure> {
        let Some(parent) = &self.parent else {
            return Ok(self.issuer.load(now)?);
        };
        let passphrase = PassphraseArgs::from_file(self.parent_passphrase_file.clone());
        Ok(passphrase.load(&files_at(parent), &Choice::Auto, now)?)
    }

    /// Has the history say so, unless it does.
    fn tell_history(&self, made: &Anew, remade: &Remade) -> Result<Option<String>, Failure> {
        let name = self.ledger.find(self.issuer.whose(None))?.name;
        let what = made.as_act();
        let is_known = match ledger::open_read_only(&name) {
            Ok(ledger) => {
                let entries = ledger.history()?;
                let is_it = |entry: &ledger::Entry| {
                    entry.act == Deed::BundlesRemade && entry.subject == made.batch && entry.what == what
                };
                remade.before && entries.iter().any(is_it)
            }
            Err(LedgerError::Missing { .. }) => {
                return Ok(Some(format!(
                    "there is no ledger {name}, so that no history tells of this"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        match is_known {
            true => Ok(None),
            false => enter(&name, Act::new(Deed::BundlesRemade, &made.batch, what)),
        }
    }
}

impl Anew {
    /// What the history says of it.
    fn as_act(&self) -> String {
        let whom = match self.recipients.is_empty() {
            true => "not encrypted".to_owned(),
            false => format!("for {}", self.recipients.join(", ")),
        };
        let endpoint = self.endpoint.as_deref().unwrap_or("none");
        format!(
            "generation {}, endpoint {endpoint}, {whom}; seal {}",
            self.generation, self.seal_sha256
        )
    }
}

impl fmt::Display for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        let before = if self.made_before { ", made before" } else { "" };
        lines
            .line("batch", &self.batch)
            .line("generation", format!("{}{before}", self.generation))
            .line("devices", devices(self.devices));
        if self.left_as_they_were > 0 {
            let left = format!(
                "{} in the hands of stations, as before",
                devices(self.left_as_they_were)
            );
            lines.line("left", left);
        }
        if self.failed_since > 0 {
            let failed = devices(self.failed_since);
            lines.line(
                "left, failed",
                format!("{failed}, which a station had then: their bundle is for the stations of then; flash them there, or scrap them"),
            );
        }
        if self.flashed_or_scrapped > 0 {
            let ended = devices(self.flashed_or_scrapped);
            lines.line("removed", format!("the bundles of {ended}, flashed or scrapped"));
        }
        if !self.recipients.is_empty() {
            lines.line("encrypted", format!("to {}", self.recipients.join(", ")));
        }
        lines
            .line(
                "endpoint",
                self.endpoint
                    .as_deref()
                    .map_or_else(|| "none".to_owned(), text::endpoint),
            )
            .line("signed by", &self.signed_by);
        lines.fmt(f)
    }
}
