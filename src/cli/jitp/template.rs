//! `certforge jitp template`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use certforge::forge;
use certforge::jitp::{
    self, Draft, Facts, Fault, Finding, Issued, Parameter, PolicyMade, Provisioned, Template as Checked,
};
use certforge::manifest::Manifest;
use certforge::pem;
use certforge::profile::{self, Binding, Profile};
use clap::{Args, Subcommand};
use serde_json::json;

use super::super::text::{Report, count, devices};
use super::super::{Failure, Outcome, exit, place, print, print_json};

#[derive(Debug, Subcommand)]
pub enum Template {
    /// Print a new template of the usual form
    New(New),
    /// List everything that is wrong with a template; with a manifest, every device that would not come up
    Check(Check),
    /// Print the thing, policies and certificate that AWS IoT would create for one device
    Render(Render),
}

impl Template {
    pub fn json(&self) -> bool {
        match self {
            Self::New(_) => false,
            Self::Check(command) => command.json,
            Self::Render(command) => command.json,
        }
    }

    pub fn run(&self) -> Outcome {
        match self {
            Self::New(command) => command.run(),
            Self::Check(command) => command.run(),
            Self::Render(command) => command.run(),
        }
    }
}

#[derive(Debug, Args)]
pub struct New {
    /// What things are named after: CommonName, Id, or another parameter of JITP
    #[arg(long, value_name = "PARAMETER", default_value = "CommonName")]
    thing_name: String,
    /// Attribute of the thing, such as country=Country; may be given again
    #[arg(long = "attribute", value_name = "NAME=PARAMETER")]
    attributes: Vec<String>,
    /// Thing type, which must exist
    #[arg(long, value_name = "NAME")]
    thing_type: Option<String>,
    /// Thing group, which must exist; may be given again
    #[arg(long = "thing-group", value_name = "NAME")]
    groups: Vec<String>,
    /// Policy that exists [default: a policy of the template's own, for topics that begin with the thing's name]
    #[arg(long, value_name = "NAME")]
    policy_name: Option<String>,
    /// Partition of AWS
    #[arg(long, value_name = "NAME", default_value = "aws", value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    partition: String,
}

impl New {
    fn run(&self) -> Outcome {
        let attributes = self
            .attributes
            .iter()
            .map(|text| match text.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), parameter(value)?)),
                None => Err(Failure::usage(
                    &format!("--attribute {text} is not NAME=PARAMETER"),
                    "write it as in country=Country",
                )),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let draft = Draft {
            thing_name: parameter(&self.thing_name)?,
            attributes,
            thing_type: self.thing_type.clone(),
            groups: self.groups.clone(),
            policy_name: self.policy_name.clone(),
            partition: match self.partition.as_str() {
                "aws-cn" => "aws-cn",
                "aws-us-gov" => "aws-us-gov",
                _ => "aws",
            },
        };
        if let Some(refusal) = draft.refusal() {
            return Err(Failure::usage(&refusal, "choose another name"));
        }
        let text = draft.to_json();
        let reading = Checked::read(&text);
        if let Some(error) = reading.findings.iter().find(|finding| finding.is_error()) {
            return Err(Failure::usage(
                &format!("the template would be wrong: {}", error.message),
                error.hint.as_deref().unwrap_or("ask for less"),
            ));
        }
        for finding in &reading.findings {
            eprintln!("certforge: {finding}");
        }
        print(&text);
        Ok(ExitCode::SUCCESS)
    }
}

fn parameter(name: &str) -> Result<Parameter, Failure> {
    Parameter::parse(name).ok_or_else(|| {
        let names: Vec<_> = Parameter::ALL.iter().map(|known| known.short_name()).collect();
        Failure::usage(
            &format!("{name:?} is no parameter of JITP"),
            &format!("use one of {}", names.join(", ")),
        )
    })
}

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

/// Reads a template's file.
pub fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(
            &format!("template {} cannot be read: {error}", path.display()),
            "give the path of a JSON file; `certforge jitp template new` prints one",
        )
    })
}

/// The template of a file, if nothing is wrong with it; what is wrong is printed otherwise.
pub fn load(path: &Path) -> Result<Checked, Failure> {
    let reading = Checked::read(&read(path)?);
    match reading.template {
        Some(template) => Ok(template),
        None => Err(refused(path, &reading.findings)),
    }
}

/// The failure of a template that AWS would refuse, after its errors are printed.
pub fn refused(path: &Path, findings: &[Finding]) -> Failure {
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.is_error()).collect();
    for error in &errors {
        print_finding(path, error);
    }
    let what = if errors.len() == 1 { "an error" } else { "errors" };
    Failure::aws(
        format!("template {} has {what}", path.display()),
        &format!("`certforge jitp template check {}` lists them", path.display()),
    )
}

fn print_finding(path: &Path, finding: &Finding) {
    eprintln!("{}: {finding}", path.display());
    if let Some(hint) = &finding.hint {
        eprintln!("    {hint}");
    }
}

impl Check {
    fn run(&self) -> Outcome {
        let text = read(&self.template)?;
        let profile = Profile::load(&self.profile, None)?;
        let reading = Checked::read_for(&text, Some(&profile));
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

fn count_devices(template: &Checked, path: &Path, profile: &Profile) -> Result<Counted, Failure> {
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

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct Render {
    /// Template, JSON; or a registrationConfig that holds one
    template: PathBuf,
    /// Certificate of the device, PEM or DER
    #[arg(long, value_name = "FILE", group = "whose")]
    cert: Option<PathBuf>,
    /// Device of a batch, by its id
    #[arg(long, value_name = "ID", group = "whose", requires = "batch")]
    device: Option<String>,
    /// Batch of the device: its folder or s3:// URL
    #[arg(long, value_name = "DIR|S3-URL", requires = "device")]
    batch: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Render {
    fn run(&self) -> Outcome {
        let template = load(&self.template)?;
        let der = match (&self.cert, &self.device, &self.batch) {
            (Some(path), ..) => read_certificate(path)?,
            (None, Some(device), Some(batch)) => self.find(device, batch)?,
            _ => unreachable!("clap asks for one of them"),
        };
        let facts = Facts::of_certificate(&der).map_err(|error| {
            let whose = self
                .cert
                .as_ref()
                .map_or_else(String::new, |path| format!("{}: ", path.display()));
            Failure::usage(&format!("{whose}{error}"), "give a certificate, PEM or DER")
        })?;
        let made = template.provision(&facts).map_err(|refusal| {
            Failure::refused(
                format!("AWS IoT would leave the certificate pending: {refusal}"),
                "change the template, or the profile that the certificate was made with",
            )
        })?;
        match self.json {
            true => print_json(&made),
            false => print(&describe(&made)),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The certificate of a device of a batch.
    fn find(&self, device: &str, batch: &str) -> Result<Vec<u8>, Failure> {
        let store = self.reach.open(&place::parse(batch, &self.reach, None)?)?;
        let issued = Issued::open(&*store)?;
        for chunk in 0..issued.record().chunks() {
            let entries = issued.entries(chunk)?;
            if entries.iter().any(|entry| entry.device_id == device) {
                let certificates = issued.certificates(chunk)?;
                let found = certificates
                    .into_iter()
                    .find(|certificate| certificate.entry.device_id == device);
                return Ok(found.expect("it is in the index").der);
            }
        }
        Err(Failure::usage(
            &format!("batch {} has no device {device}", issued.record().batch),
            "`certforge ledger export` lists the devices of a batch",
        ))
    }
}

fn read_certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    let octets = std::fs::read(path).map_err(|error| {
        Failure::usage(
            &format!("certificate {} cannot be read: {error}", path.display()),
            "give the path of a certificate, PEM or DER",
        )
    })?;
    let blocks = std::str::from_utf8(&octets)
        .ok()
        .and_then(|text| pem::blocks(text).ok());
    let first = blocks
        .into_iter()
        .flatten()
        .find(|block| block.label == pem::CERTIFICATE);
    // The first certificate of a chain is the device's own.
    Ok(first.map_or(octets, |block| block.der.to_vec()))
}

fn describe(made: &Provisioned) -> String {
    let mut report = Report::default();
    if let Some(thing) = &made.thing {
        report.line("thing", &thing.thing_name);
        for (name, value) in &thing.attributes {
            report.line("attribute", format!("{name} = {value}"));
        }
        if let Some(thing_type) = &thing.thing_type_name {
            report.line("thing type", thing_type);
        }
        for group in &thing.thing_groups {
            report.line("thing group", group);
        }
        if let Some(group) = &thing.billing_group {
            report.line("billing group", group);
        }
    }
    report
        .line("certificate", &made.certificate.certificate_id)
        .line("status", &made.certificate.status);
    for policy in &made.policies {
        match policy {
            PolicyMade::PolicyName(name) => report.line("policy", format!("{name}, which must exist")),
            PolicyMade::PolicyDocument(document) => report.line("policy", document),
        };
    }
    report.to_string()
}
