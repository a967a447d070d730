//! `certforge jitp template`.

mod check;
mod new;
mod render;

use std::path::Path;

use certforge::jitp::{Finding, Template as Checked};
use clap::Subcommand;

use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::report::{Outcome, Printer, tell_aside};

#[derive(Debug, Subcommand)]
pub enum Template {
    /// Print a new template of the usual form
    New(new::New),
    /// List everything that is wrong with a template; with a manifest, every device that would not come up
    Check(check::Check),
    /// Print the thing, policies and certificate that AWS IoT would create for one device
    Render(render::Render),
}

impl Template {
    pub fn run(&self, printer: Printer) -> Outcome {
        match self {
            Self::New(command) => command.run(printer),
            Self::Check(command) => command.run(),
            Self::Render(command) => command.run(),
        }
    }
}

/// Reads a template's file.
pub fn read(path: &Path) -> Result<String, Failure> {
    input::text(path).map_err(|error| {
        Failure::usage(
            &format!("template {} cannot be read: {error}", input::name(path)),
            "give the path of a JSON file, or - for standard input; `certforge jitp template new` prints one",
        )
    })
}

/// The template of a file, if nothing is wrong with it; what is wrong is printed otherwise.
pub fn load(path: &Path) -> Result<Checked, Failure> {
    let reading = Checked::read(&read(path)?);
    // Where it was found may be wrong, and the template may be right.
    for finding in &reading.around {
        print_finding(path, finding);
    }
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
    tell_aside(format_args!("{}: {finding}", path.display()));
    if let Some(hint) = &finding.hint {
        tell_aside(format_args!("    {hint}"));
    }
}
