//! `certforge check`.

use std::fmt;

use certforge::forge::{self, Asked};
use certforge::issuer::CaCertificate;
use certforge::ledger::{self, LedgerError};
use certforge::manifest::{Manifest, Problem, Problems};
use certforge::printable;
use certforge::profile::{Binding, Profile};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::report::{Ended, Outcome};
use super::run::{self, Run};
use super::text::{count, devices};
use super::{Failure, exit, place};

/// It takes what `run` takes, so that one line checks what the other makes.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    of: Run,
}

/// What a manifest holds, and every bad line of it.
#[derive(Serialize)]
struct Checked {
    manifest: String,
    profile: String,
    sha256: String,
    rows: u64,
    bad_lines: u64,
    /// Of these, lines whose device was issued before.
    issued: u64,
    /// The ledger that was asked; `None`: there is none, or no CA.
    ledger: Option<String>,
    /// The first of them, in full.
    problems: Vec<Problem>,
    /// How many more there are, by what is wrong.
    unlisted: Vec<Unlisted>,
    /// What is odd, and refused by nobody.
    oddities: Vec<String>,
}

/// Problems of one kind that are not listed.
#[derive(Serialize)]
struct Unlisted {
    reason: &'static str,
    problems: u64,
}

fn unlisted(problems: &Problems) -> Vec<Unlisted> {
    let unlisted = problems.unlisted().iter();
    unlisted
        .map(|(&reason, &problems)| Unlisted { reason, problems })
        .collect()
}

impl Check {
    pub fn run(&self) -> Outcome {
        let profile = self.of.profile()?;
        let manifest = Manifest::open(place::file(&self.of.manifest), profile.id_column())?;
        let binding = Binding::new(&profile, manifest.header(), manifest.path())?;
        let issuer = self.issuer()?;
        let found = self.of.ledger()?;
        let ledger = match ledger::open_read_only(&found.name) {
            Err(LedgerError::Missing { .. }) => None,
            other => Some(other?),
        };
        let remembers = found.folder.as_ref().filter(|_| !self.of.new_ledger);
        if let (Some(folder), Some(ledger)) = (remembers, &ledger) {
            folder.check(&**ledger)?;
        }
        let asked = match (&ledger, &issuer) {
            (Some(ledger), Some(issuer)) if !self.of.reissue => Some(Asked {
                ledger: &**ledger,
                issuer,
                batch: self.of.batch.as_deref(),
            }),
            _ => None,
        };
        let (report, issued) = forge::check_against(&manifest, &binding, 1024, asked)?;
        if report.bad_lines == 0 && report.specimen.is_some() {
            forge::fits(&profile, issuer.as_ref(), &report.longest.texts)?;
        }
        let listed = report.problems.listed();
        let mut hints: Vec<_> = listed
            .iter()
            .filter_map(|problem| problem.reason.hint())
            .collect();
        hints.sort_unstable();
        hints.dedup();
        let mut oddities: Vec<String> = report.oddities.iter().map(ToString::to_string).collect();
        if let Some(issuer) = &issuer {
            oddities.extend(self.of_profile_and_issuer(&profile, issuer)?);
        }
        let checked = Checked {
            manifest: manifest.path().display().to_string(),
            profile: profile.name().to_owned(),
            sha256: HEXLOWER.encode(&report.sha256),
            rows: report.rows,
            bad_lines: report.bad_lines,
            issued,
            ledger: asked.map(|asked| asked.ledger.location().to_owned()),
            problems: listed.to_vec(),
            unlisted: unlisted(&report.problems),
            oddities,
        };
        let code = match (checked.bad_lines, checked.issued) {
            (0, _) => 0,
            (bad, issued) if bad == issued => exit::LEDGER,
            _ => exit::MANIFEST,
        };
        let ended = Ended::done(checked).code(code);
        Ok(hints.into_iter().fold(ended, Ended::text_hint))
    }

    /// The CA that `run` would sign with, if it is there: its key is not touched.
    fn issuer(&self) -> Result<Option<CaCertificate>, Failure> {
        let now = OffsetDateTime::now_utc();
        match self.of.issuer.is_named() || self.of.issuer.is_there() {
            true => Ok(Some(self.of.issuer.read_public(now)?.0)),
            false => Ok(None),
        }
    }

    /// What `run` would refuse, or tell of, whatever the manifest says.
    fn of_profile_and_issuer(
        &self,
        profile: &Profile,
        issuer: &CaCertificate,
    ) -> Result<Vec<String>, Failure> {
        let now = OffsetDateTime::now_utc();
        let period = profile.validity().period(now, issuer.period());
        let until = period.map_err(forge::ForgeError::from)?.not_after;
        if issuer.is_lab() {
            return Ok(Vec::new());
        }
        let wanted = self.of.min_validity(profile);
        let is_short = until - now + time::Duration::DAY < wanted;
        let lacks = run::lacks_endpoint(profile, issuer);
        let endpoint = format!(
            "bundles of profile {} name an endpoint, and none is known, so that `run` refuses: {}",
            profile.name(),
            run::ENDPOINT_HINT
        );
        Ok(is_short
            .then(|| run::short_lived(until, wanted))
            .into_iter()
            .chain(run::examples(profile))
            .chain(lacks.then_some(endpoint))
            .collect())
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (manifest, profile) = (printable::line(&self.manifest), printable::line(&self.profile));
        for oddity in &self.oddities {
            writeln!(f, "{manifest}: warning: {}", printable::line(oddity))?;
        }
        if self.bad_lines == 0 {
            let ledger = match &self.ledger {
                Some(ledger) => format!(
                    "; none was issued before, as ledger {} has it",
                    printable::line(ledger)
                ),
                None => String::new(),
            };
            return writeln!(
                f,
                "{manifest}: {}, all fit profile {profile}{ledger}",
                devices(self.rows)
            );
        }
        for problem in &self.problems {
            writeln!(f, "{manifest}, {}", printable::line(&problem.to_string()))?;
        }
        for Unlisted { reason, problems } in &self.unlisted {
            writeln!(f, "{manifest}: and {} more: {reason}", count(*problems))?;
        }
        let (bad, all) = (count(self.bad_lines), count(self.rows));
        writeln!(f, "{manifest}: bad rows: {bad} of {all}")
    }
}
