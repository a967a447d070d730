//! `certforge check`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::forge;
use certforge::manifest::{Manifest, Problem};
use certforge::profile::{self, Binding, Profile};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::text::{count, devices};
use super::{Outcome, exit, print, print_json};

#[derive(Debug, Args)]
pub struct Check {
    /// CSV file with a header line and a row for each device
    manifest: PathBuf,
    /// Built-in profile or TOML file that the rows must fit
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Checked<'a> {
    manifest: String,
    profile: &'a str,
    sha256: String,
    rows: u64,
    bad_lines: u64,
    problems: &'a [Problem],
}

impl Check {
    pub fn run(&self) -> Outcome {
        let profile = Profile::load(&self.profile, None)?;
        let manifest = Manifest::open(&self.manifest, profile.id_column())?;
        let binding = Binding::new(&profile, manifest.header(), manifest.path())?;
        let report = forge::check(&manifest, &binding, 1024)?;
        let mut lines: Vec<u64> = report.problems.iter().map(|problem| problem.line).collect();
        lines.dedup();
        let bad_lines = lines.len() as u64;
        if self.json {
            print_json(&Checked {
                manifest: self.manifest.display().to_string(),
                profile: profile.name(),
                sha256: HEXLOWER.encode(&report.sha256),
                rows: report.rows,
                bad_lines,
                problems: &report.problems,
            });
        } else {
            self.print(&report, profile.name(), bad_lines);
        }
        Ok(if bad_lines == 0 {
            ExitCode::SUCCESS
        } else {
            exit::MANIFEST.into()
        })
    }

    fn print(&self, report: &forge::Report, profile: &str, bad_lines: u64) {
        let manifest = self.manifest.display();
        if bad_lines == 0 {
            return print(&format!(
                "{manifest}: {}, all fit profile {profile}\n",
                devices(report.rows)
            ));
        }
        let mut lines: Vec<String> = report
            .problems
            .iter()
            .map(|problem| format!("{manifest}, {problem}"))
            .collect();
        lines.push(format!(
            "{manifest}: bad rows: {} of {}\n",
            count(bad_lines),
            count(report.rows)
        ));
        let mut hints: Vec<_> = report
            .problems
            .iter()
            .filter_map(|problem| problem.reason.hint())
            .collect();
        hints.sort_unstable();
        hints.dedup();
        print(&lines.join("\n"));
        for hint in hints {
            eprintln!("certforge: hint: {hint}");
        }
    }
}
