//! `certforge check`.

use std::fmt;
use std::path::PathBuf;

use certforge::forge;
use certforge::manifest::{Manifest, Oddity, Problem, Problems};
use certforge::printable;
use certforge::profile::{self, Binding, Profile};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::exit;
use super::report::{Ended, Outcome};
use super::text::{count, devices};

#[derive(Debug, Args)]
pub struct Check {
    /// CSV file with a header line and a row for each device
    manifest: PathBuf,
    /// Built-in profile or TOML file that the rows must fit
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What a manifest holds, and every bad line of it.
#[derive(Serialize)]
struct Checked {
    manifest: String,
    profile: String,
    sha256: String,
    rows: u64,
    bad_lines: u64,
    /// The first of them, in full.
    problems: Vec<Problem>,
    /// How many more there are, by what is wrong.
    unlisted: Vec<Unlisted>,
    /// What is odd, and refused by nobody.
    oddities: Vec<Oddity>,
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
        let profile = Profile::load(&self.profile, None)?;
        let manifest = Manifest::open(&self.manifest, profile.id_column())?;
        let binding = Binding::new(&profile, manifest.header(), manifest.path())?;
        let report = forge::check(&manifest, &binding, 1024)?;
        let listed = report.problems.listed();
        let mut hints: Vec<_> = listed
            .iter()
            .filter_map(|problem| problem.reason.hint())
            .collect();
        hints.sort_unstable();
        hints.dedup();
        let checked = Checked {
            manifest: self.manifest.display().to_string(),
            profile: profile.name().to_owned(),
            sha256: HEXLOWER.encode(&report.sha256),
            rows: report.rows,
            bad_lines: report.bad_lines,
            problems: listed.to_vec(),
            unlisted: unlisted(&report.problems),
            oddities: report.oddities,
        };
        let code = if checked.bad_lines == 0 { 0 } else { exit::MANIFEST };
        let ended = Ended::with(checked).code(code);
        Ok(hints.into_iter().fold(ended, Ended::text_hint))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (manifest, profile) = (printable::line(&self.manifest), printable::line(&self.profile));
        for oddity in &self.oddities {
            writeln!(f, "{manifest}: warning: {}", printable::line(&oddity.to_string()))?;
        }
        if self.bad_lines == 0 {
            return writeln!(f, "{manifest}: {}, all fit profile {profile}", devices(self.rows));
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
