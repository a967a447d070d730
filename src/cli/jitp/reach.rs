//! How AWS is reached, and whether it may be changed.

use std::io::IsTerminal;

use certforge::aws::{AwsError, Caller, Cloud};
use certforge::sdk::Reach;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::mfa::ask_code;
use crate::cli::report::ask_aside;

/// How to reach AWS IoT and IAM. What is left out comes from where the AWS CLI has it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "AWS")]
pub struct AwsReach {
    /// Server in place of AWS's, such as http://localhost:4566
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Region [default: as for the AWS CLI]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

impl AwsReach {
    pub fn open(&self) -> Result<Cloud, AwsError> {
        Cloud::open(&self.reach())
    }

    /// Whoever would ask AWS, where nobody does.
    pub fn unasked(&self) -> Result<Caller, AwsError> {
        Cloud::unasked(&self.reach())
    }

    fn reach(&self) -> Reach {
        Reach {
            credentials: None,
            endpoint_url: self.endpoint_url.clone(),
            region: self.region.clone(),
            connections: 64,
            ask_code: Some(ask_code),
        }
    }
}

/// Asks before anything is changed; whoever does not consent has failed to.
pub fn consent(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage(
            "nothing was changed: there is no terminal to ask at",
            "say --yes, or --dry-run to see the plan only",
        ));
    }
    ask_aside(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Failure::usage("nothing was changed", "answer y, or say --yes")),
    }
}
