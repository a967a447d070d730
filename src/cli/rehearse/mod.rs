//! `certforge rehearse`.

mod activate;
mod batch;
mod endpoint;
mod list;
mod report;
mod serve;
mod values;

use std::path::{Path, PathBuf};

use certforge::rehearsal::{Account, AccountError, RunError, ServerIdentityError};
use clap::{Args, Subcommand};

pub use batch::MqttVersion;

use super::{Failure, Outcome, exit};

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
    pub fn json(&self) -> bool {
        match &self.command {
            None => self.json,
            Some(Command::Activate(command)) => command.json,
            Some(Command::Mark(command)) => command.json,
            Some(Command::List(command)) => command.json,
        }
    }

    pub fn run(&self) -> Outcome {
        match (&self.command, &self.batch) {
            (Some(Command::Activate(command)), _) => command.run(),
            (Some(Command::Mark(command)), _) => command.run(),
            (Some(Command::List(command)), _) => command.run(),
            (None, Some(batch)) => batch::run(batch, &self.endpoint, &self.devices, self.json),
            (None, None) => serve::run(&self.endpoint, self.json),
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
    fn open(&self) -> Result<Account, Failure> {
        Ok(Account::open_existing(&self.state)?)
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let hint = error.hint();
        let code = match error {
            AccountError::Missing { .. } | AccountError::NotState { .. } | AccountError::Version { .. } => {
                exit::USAGE
            }
            AccountError::Sqlite { .. } | AccountError::Authority(_) => exit::STORE,
        };
        Self::with_code(code, error, hint)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let hint = match &error {
            RunError::Batch(error) => error.hint(),
            RunError::Account(error) => error.hint(),
            RunError::Listen { .. } => Some(
                "choose another address and port with --address, --alpn-address or --http; port 0 takes a free one"
                    .to_owned(),
            ),
            RunError::Runtime(_) => Some("see how many processes and files this user may have".to_owned()),
        };
        match error {
            RunError::Batch(error) => error.into(),
            RunError::Account(error) => error.into(),
            error => Self::with_code(exit::USAGE, error, hint),
        }
    }
}

impl From<ServerIdentityError> for Failure {
    fn from(error: ServerIdentityError) -> Self {
        let hint =
            "give host names with --host, or a certificate and its key with --server-cert and --server-key";
        Self::with_code(exit::USAGE, error, Some(hint.to_owned()))
    }
}

/// Text of a file that the user named.
pub fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(
            &format!("{what} {} cannot be read: {error}", path.display()),
            "check the path and who may read it",
        )
    })
}
