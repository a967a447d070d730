//! `certforge jitp policy`.

use std::fmt;
use std::path::PathBuf;

use certforge::jitp::{self, Finding};
use certforge::printable;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::many;

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// List everything that is wrong with a policy of devices, alone in its file
    Check(Check),
}

impl Policy {
    pub fn run(&self) -> Outcome {
        match self {
            Self::Check(command) => command.run(),
        }
    }
}

#[derive(Debug, Args)]
pub struct Check {
    /// Policy, JSON; or what holds policies: the output of `aws iot get-policy`, or a CloudFormation template
    policy: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What is wrong with the policies of a file.
#[derive(Serialize)]
struct Checked {
    policy: String,
    /// How many policies are in the file.
    policies: usize,
    errors: usize,
    findings: Vec<Finding>,
}

impl Check {
    fn run(&self) -> Outcome {
        let text = super::read_document(&self.policy, "policy")?;
        let checked = jitp::check_policies(&text).map_err(|error| {
            Failure::usage(
                &format!("{}: {error}", self.policy.display()),
                "give a file with a policy of AWS IoT in it, and not one that names where the policy is",
            )
        })?;
        let errors = checked
            .findings
            .iter()
            .filter(|finding| finding.is_error())
            .count();
        let code = if errors > 0 { exit::AWS } else { 0 };
        let report = Checked {
            policy: self.policy.display().to_string(),
            policies: checked.policies,
            errors,
            findings: checked.findings,
        };
        Ok(Ended::with(report).code(code))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = printable::line(&self.policy);
        for finding in &self.findings {
            writeln!(f, "{path}: {}", printable::line(&finding.to_string()))?;
            if let Some(hint) = &finding.hint {
                writeln!(f, "    {}", printable::line(hint))?;
            }
        }
        let warnings = self.findings.len() - self.errors;
        match (self.errors, warnings) {
            (0, 0) => writeln!(f, "{path}: nothing is wrong with it"),
            (0, n) => writeln!(f, "{path}: AWS IoT would take it; {}", many(n as u64, "warning")),
            (n, _) => writeln!(f, "{path}: {}", many(n as u64, "error")),
        }
    }
}
