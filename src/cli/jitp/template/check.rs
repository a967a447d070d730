//! `certforge jitp template check`.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::forge;
use certforge::jitp::{self, Census, DeviceFault, Finding, Severity, Template};
use certforge::manifest::Manifest;
use certforge::printable;
use certforge::profile::{self, Binding, Profile};
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::read;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{count, devices};

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
    json: bool,
}

/// What is wrong with a template, and every device that would not come up.
#[derive(Serialize)]
struct Checked {
    template: String,
    profile: String,
    manifest: Option<String>,
    errors: usize,
    findings: Vec<Finding>,
    devices: Option<u64>,
    devices_refused: Option<usize>,
    faults: Option<Vec<DeviceFault>>,
    /// Thing types, thing groups, billing groups and policies that the devices name; at most a thousand.
    must_exist: Option<Vec<String>>,
    must_exist_cut: Option<bool>,
}

impl Check {
    pub fn run(&self) -> Outcome {
        let text = read(&self.template)?;
        let profile = Profile::load(&self.profile, None)?;
        let now = OffsetDateTime::now_utc();
        let reading = Template::read_for(&text, Some(&profile), Some(now));
        let mut findings = reading.around;
        findings.extend(reading.findings);
        let sound = reading
            .template
            .filter(|_| !findings.iter().any(Finding::is_error));
        let census = match (&sound, &self.manifest) {
            (Some(template), Some(path)) => Some(count_devices(template, path, &profile)?),
            _ => None,
        };
        findings.extend(census.as_ref().and_then(renamed));
        let code = match (sound.is_some(), &census) {
            (false, _) => exit::AWS,
            (true, Some(census)) if !census.faults.is_empty() => exit::SOME_FAILED,
            _ => 0,
        };
        let checked = Checked {
            template: self.template.display().to_string(),
            profile: profile.name().to_owned(),
            manifest: self.manifest.as_ref().map(|path| path.display().to_string()),
            errors: findings.iter().filter(|finding| finding.is_error()).count(),
            findings,
            devices: census.as_ref().map(|census| census.rows),
            devices_refused: census.as_ref().map(|census| census.all_faults),
            must_exist: census.as_ref().map(|census| {
                let names = census.must_exist.names.iter();
                names.map(ToString::to_string).collect()
            }),
            must_exist_cut: census.as_ref().map(|census| census.must_exist.is_cut),
            faults: census.map(|census| census.faults),
        };
        Ok(Ended::with(checked).code(code))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, profile) = (printable::line(&self.template), printable::line(&self.profile));
        for finding in &self.findings {
            writeln!(f, "{path}: {}", printable::line(&finding.to_string()))?;
            if let Some(hint) = &finding.hint {
                writeln!(f, "    {}", printable::line(hint))?;
            }
        }
        let faults = self.faults.as_deref().unwrap_or_default();
        for DeviceFault {
            line,
            device_id,
            reason,
        } in faults
        {
            let manifest = self.manifest.as_deref().unwrap_or_default();
            let fault = format!("{manifest}, line {line}: device {device_id}: {reason}");
            writeln!(f, "{}", printable::line(&fault))?;
        }
        let refused = self.devices_refused.unwrap_or_default();
        if refused > faults.len() {
            let more = count((refused - faults.len()) as u64);
            writeln!(f, "and {more} more")?;
        }
        if let Some(names) = self.must_exist.as_deref().filter(|names| !names.is_empty()) {
            let more = match self.must_exist_cut {
                Some(true) => " and more",
                _ => "",
            };
            let names = format!("{}{more}", names.join(", "));
            writeln!(
                f,
                "{path}: must exist in the account: {}",
                printable::line(&names)
            )?;
        }
        let warnings = match self.findings.len() - self.errors {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            n => format!("; {n} warnings"),
        };
        match (self.errors, self.devices) {
            (0, None) => writeln!(f, "{path}: fits profile {profile}{warnings}"),
            (0, Some(rows)) if faults.is_empty() => writeln!(
                f,
                "{path}: fits profile {profile}; all {} would be provisioned{warnings}",
                devices(rows)
            ),
            (0, Some(rows)) => writeln!(
                f,
                "{path}: {} of {} would not be provisioned as they should",
                count(refused as u64),
                devices(rows)
            ),
            (1, _) => writeln!(f, "{path}: 1 error"),
            (n, _) => writeln!(f, "{path}: {n} errors"),
        }
    }
}

/// Things that are named otherwise than the bundles say: a device would not know its own name.
fn renamed(census: &Census) -> Option<Finding> {
    let first = census.first_renamed.as_ref()?;
    Some(Finding {
        severity: Severity::Warning,
        path: "$.Resources".to_owned(),
        message: format!(
            "{} would be other things than their endpoint.json says: device {} of line {} becomes thing {}, its bundle says {}: it would not find its own topics and shadow",
            devices(census.renamed),
            first.device_id,
            first.line,
            first.thing,
            first.bundle
        ),
        hint: Some("set thing_name under [endpoint] in the profile as the template names things".to_owned()),
    })
}

fn count_devices(template: &Template, path: &Path, profile: &Profile) -> Result<Census, Failure> {
    let manifest = Manifest::open(path, profile.id_column())?;
    let binding = Binding::new(profile, manifest.header(), manifest.path())?;
    // A manifest that is no manifest is said first, as `run` would.
    let accepted = forge::check(&manifest, &binding, 1024)?.accept(&manifest)?;
    Ok(jitp::census(template, &manifest, &accepted.sha256, &binding)?)
}
