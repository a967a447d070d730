//! `certforge jitp template check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use certforge::forge;
use certforge::jitp::{self, Fault, Finding, Template};
use certforge::manifest::Manifest;
use certforge::profile::{self, Binding, Profile};
use clap::Args;
use serde_json::json;

use super::super::super::text::{count, devices};
use super::super::super::{Failure, Outcome, exit, print, print_json};
use super::read;

#[derive(Debug, Args)]
pub struct Check {
    /// Template, JSON; or a registrationConfig that holds one
    template: PathBuf,
    /// Built-in profile or TOML file: what the certificates look like
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// CSV file: evaluate the template for every row
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

impl Check {
    pub fn run(&self) -> Outcome {
        let text = read(&self.template)?;
        let profile = Profile::load(&self.profile, None)?;
        let reading = Template::read_for(&text, Some(&profile));
        let mut findings = reading.findings;
        let sound = reading
            .template
            .filter(|_| !findings.iter().any(Finding::is_error));
        let census = match (&sound, &self.manifest) {
            (Some(template), Some(path)) => Some(count_devices(template, path, &profile)?),
            _ => None,
        };
        if let Some(census) = &census {
            findings.extend(census.finding());
        }
        self.report(&profile, &findings, census.as_ref());
        Ok(match (sound.is_some(), census) {
            (false, _) => exit::AWS.into(),
            (true, Some(census)) if !census.faults.is_empty() => exit::SOME_FAILED.into(),
            _ => ExitCode::SUCCESS,
        })
    }

    fn report(&self, profile: &Profile, findings: &[Finding], census: Option<&Counted>) {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let warnings = match findings.len() - errors {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            n => format!("; {n} warnings"),
        };
        if self.json {
            return print_json(&json!({
                "template": self.template.display().to_string(),
                "profile": profile.name(),
                "manifest": self.manifest.as_ref().map(|path| path.display().to_string()),
                "errors": errors,
                "findings": findings,
                "devices": census.map(|census| census.rows),
                "devices_refused": census.map(|census| census.faults.len()),
                "faults": census.map(|census| &census.faults),
            }));
        }
        let path = self.template.display();
        let mut lines = Vec::new();
        for finding in findings {
            lines.push(format!("{path}: {finding}"));
            lines.extend(finding.hint.as_ref().map(|hint| format!("    {hint}")));
        }
        if let (Some(census), Some(manifest)) = (census, &self.manifest) {
            for fault in &census.faults {
                let (line, id) = (fault.line, &fault.device_id);
                let manifest = manifest.display();
                lines.push(format!("{manifest}, line {line}: device {id}: {}", fault.reason));
            }
        }
        lines.push(match (errors, census) {
            (0, None) => format!("{path}: fits profile {}{warnings}", profile.name()),
            (0, Some(census)) if census.faults.is_empty() => {
                format!(
                    "{path}: fits profile {}; all {} would be provisioned{warnings}",
                    profile.name(),
                    devices(census.rows)
                )
            }
            (0, Some(census)) => format!(
                "{path}: {} of {} would not be provisioned as they should",
                count(census.faults.len() as u64),
                devices(census.rows)
            ),
            (1, _) => format!("{path}: 1 error"),
            (n, _) => format!("{path}: {n} errors"),
        });
        print(&(lines.join("\n") + "\n"));
    }
}

/// What became of a manifest's devices, and what is said of all of them.
struct Counted {
    rows: u64,
    faults: Vec<Fault>,
    renamed: u64,
    first_renamed: Option<jitp::Renamed>,
}

impl Counted {
    /// Things that are named otherwise than the bundles say: a device would not know its own name.
    fn finding(&self) -> Option<Finding> {
        let renamed = self.first_renamed.as_ref()?;
        Some(Finding {
            severity: jitp::Severity::Warning,
            path: "$.Resources".to_owned(),
            message: format!(
                "{} would be other things than their endpoint.json says: device {} of line {} becomes thing {}, its bundle says {}: it would not find its own topics and shadow",
                devices(self.renamed),
                renamed.device_id,
                renamed.line,
                renamed.thing,
                renamed.bundle
            ),
            hint: Some(
                "set thing_name under [endpoint] in the profile as the template names things".to_owned(),
            ),
        })
    }
}

fn count_devices(template: &Template, path: &Path, profile: &Profile) -> Result<Counted, Failure> {
    let manifest = Manifest::open(path, profile.id_column())?;
    let binding = Binding::new(profile, manifest.header(), manifest.path())?;
    // A manifest that is no manifest is said first, as `run` would.
    forge::check(&manifest, &binding, 1024)?.accept(&manifest)?;
    let census = jitp::census(template, &manifest, &binding)?;
    Ok(Counted {
        rows: census.rows,
        faults: census.faults,
        renamed: census.renamed,
        first_renamed: census.first_renamed,
    })
}
