//! `certforge rehearse`.

mod activate;
mod assume;
mod batch;
mod endpoint;
mod list;
mod report;
mod serve;
mod values;

use std::path::{Path, PathBuf};

use certforge::rehearsal::{Account, AccountError};
use clap::{Args, Subcommand};

pub use batch::MqttVersion;
pub use values::own_filter;

use super::failure::Failure;
use super::input;
use super::report::{Outcome, Printer};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Rehearse {
    #[command(subcommand)]
    command: Option<Command>,
    /// Batch: its folder or s3:// URL, or its name in the ledger
    #[arg(required_unless_present = "serve", conflicts_with = "serve")]
    batch: Option<String>,
    /// Stay up for devices of your own, until Ctrl-C
    #[arg(long)]
    serve: bool,
    #[command(flatten)]
    endpoint: endpoint::EndpointArgs,
    #[command(flatten)]
    devices: batch::DeviceArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Activate pending certificates, as the Lambda function of JITR does
    Activate(activate::Activate),
    /// Set the status of certificates, such as INACTIVE or REVOKED
    Mark(activate::Mark),
    /// List things, policies, certificates and what happened of late, also while the endpoint runs
    List(list::List),
}

impl Rehearse {
    pub fn run(&self, printer: Printer) -> Outcome {
        match (&self.command, &self.batch) {
            (Some(Command::Activate(command)), _) => command.run(),
            (Some(Command::Mark(command)), _) => command.run(),
            (Some(Command::List(command)), _) => command.run(),
            (None, Some(batch)) => batch::run(batch, &self.endpoint, &self.devices, printer),
            (None, None) => serve::run(&self.endpoint, printer),
        }
    }
}

/// The state that a rehearsal runs with, or ran with.
#[derive(Debug, Args)]
struct StateArgs {
    /// State of the rehearsal
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
}

impl StateArgs {
    fn open(&self) -> Result<Account, AccountError> {
        Account::open_existing(&self.state)
    }
}

/// Text of a file that the user named.
pub fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    input::text(path).map_err(|error| {
        Failure::usage(
            &format!("{what} {} cannot be read: {error}", input::name(path)),
            "check the path and who may read it",
        )
    })
}
