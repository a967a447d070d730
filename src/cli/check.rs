//! `certforge check`.

use std::fmt;

use certforge::forge::{self, Asked, Shard, Standing};
use certforge::issuer::CaCertificate;
use certforge::ledger::{self, LedgerError, Patience};
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
    /// The batch that `run` goes on with; `None`: it begins one.
    batch: Option<String>,
    /// Devices that are made in that batch.
    made: u64,
    /// The ledger that was asked; `None`: there is none, or no CA.
    ledger: Option<String>,
    /// The first of them, in full.
    problems: Vec<Problem>,
    /// How many more there are, by what is wrong.
    unlisted: Vec<Unlisted>,
    /// What is odd, and refused by nobody.
    oddities: Vec<String>,
    #[serde(skip)]
    outlook: String,
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
        if let Some(folder) = found.folder.as_ref().filter(|_| !self.of.new_ledger) {
            folder.check_before(&found.name, &Patience::default())?;
        }
        let ledger = match ledger::open_read_only(&found.name) {
            Err(LedgerError::Missing { .. }) => None,
            other => Some(other?),
        };
        let asked = match (&ledger, &issuer) {
            (Some(ledger), Some(issuer)) => Some(Asked {
                ledger: &**ledger,
                issuer,
                batch: self.of.batch.as_deref(),
            }),
            _ => None,
        };
        let of_others = asked.filter(|_| !self.of.reissue);
        let (report, issued) = forge::check_against(&manifest, &binding, 1024, of_others)?;
        let is_good = report.bad_lines == 0 && report.specimen.is_some();
        if is_good {
            forge::fits(&profile, issuer.as_ref(), &report.longest.texts)?;
        }
        let mut oddities: Vec<String> = report.oddities.iter().map(ToString::to_string).collect();
        if let Some(issuer) = &issuer {
            oddities.extend(self.of_profile_and_issuer(&profile, issuer)?);
        }
        if let Some(issuer) = issuer.as_ref().filter(|_| is_good) {
            self.of.refuse_issued_by_the_cas(&manifest, &profile, issuer)?;
        }
        let standing = match asked.filter(|_| is_good) {
            Some(Asked { ledger, issuer, .. }) => {
                let of = (&manifest, &profile, issuer);
                Some(self.of.standing(of, (ledger, &report))?)
            }
            None => None,
        };
        let location = asked.map(|asked| asked.ledger.location().to_owned());
        let shard = self.of.shard()?;
        let outlook = match (&standing, &location) {
            (Some(standing), Some(ledger)) => self.outlook(standing, shard, ledger),
            _ => String::new(),
        };
        let begun = standing.filter(|standing| standing.made > 0);
        let listed = report.problems.listed();
        let mut hints: Vec<_> = listed
            .iter()
            .filter_map(|problem| problem.reason.hint())
            .collect();
        hints.sort_unstable();
        hints.dedup();
        let checked = Checked {
            manifest: manifest.path().display().to_string(),
            profile: profile.name().to_owned(),
            sha256: HEXLOWER.encode(&report.sha256),
            rows: report.rows,
            bad_lines: report.bad_lines,
            issued,
            made: begun.as_ref().map_or(0, |begun| begun.made),
            batch: begun.map(|begun| begun.batch),
            ledger: location,
            problems: listed.to_vec(),
            unlisted: unlisted(&report.problems),
            oddities,
            outlook,
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

    /// What the ledger has of a manifest whose rows all fit.
    fn outlook(&self, standing: &Standing, shard: Option<Shard>, ledger: &str) -> String {
        let Standing { batch, devices, made } = standing;
        let whose = match shard {
            Some(shard) => format!("of the {} of shard {shard}", count(*devices)),
            None => "of them".to_owned(),
        };
        match *made {
            // Those that were have a second identity coming.
            0 if self.of.reissue => String::new(),
            0 => format!("; none was issued before, as ledger {ledger} has it"),
            made if made == *devices => {
                format!(
                    "; all {whose} are made, in batch {batch}, as ledger {ledger} has it: nothing is left to make"
                )
            }
            made => format!(
                "; {} {whose} are made, in batch {batch}, as ledger {ledger} has it: `run` goes on with that",
                count(made)
            ),
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
        let lacks = self.of.is_without_endpoint(profile, issuer);
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
            return writeln!(
                f,
                "{manifest}: {}, all fit profile {profile}{}",
                devices(self.rows),
                printable::line(&self.outlook)
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
