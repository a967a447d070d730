//! `certforge jitp`.

mod bulk;
mod lambda;
mod policy;
mod proof;
mod reach;
mod record;
mod register;
mod revoke;
mod revoke_list;
mod status;
pub mod template;
mod thingpress;
mod withdraw;

use std::path::Path;

use certforge::exposure;
use clap::{Args, Subcommand};

use super::batch::{OpenBatch, VoucherArgs};
use super::failure::Failure;
use super::input;
use super::report::{Outcome, Printer};

#[derive(Debug, Subcommand)]
pub enum Jitp {
    /// Draft, check and try out provisioning templates
    #[command(subcommand)]
    Template(template::Template),
    /// Check policies of devices
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Prove to AWS IoT that the CA's key is at hand; works offline
    Proof(proof::Proof),
    /// Register the CA for JITP or JITR: role, template, proof, registration, endpoint
    Register(Box<register::Register>),
    /// Show what AWS IoT knows of the CA, and what is missing for a first connection
    Status(status::Status),
    /// Package the Lambda function of JITR, which activates the certificates of a batch and refuses others
    JitrLambda(lambda::JitrLambda),
    /// Write template and parameters to register a batch before its first connection
    Bulk(bulk::Bulk),
    /// Write the certificates of a batch as AWS Thingpress imports them
    Thingpress(thingpress::Thingpress),
    /// Revoke certificates one by one: of devices that were stolen or scrapped
    Revoke(Box<revoke::Revoke>),
    /// Withdraw a batch that must never come up: revoke its certificates, and let no station claim it
    Withdraw(withdraw::Withdraw),
}

impl Jitp {
    pub fn run(&self, printer: Printer) -> Outcome {
        match self {
            Self::Template(command) => command.run(printer),
            Self::Policy(command) => command.run(),
            Self::Proof(command) => command.run(),
            Self::Register(command) => command.run(printer),
            Self::Status(command) => command.run(),
            Self::JitrLambda(command) => command.run(),
            Self::Bulk(command) => command.run(),
            Self::Thingpress(command) => command.run(),
            Self::Revoke(command) => command.run(printer),
            Self::Withdraw(command) => command.run(printer),
        }
    }
}

/// A batch, by its place or by its name in the ledger.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// Batch: its folder or s3:// URL, or its name in the ledger
    #[arg(long, value_name = "DIR|S3-URL|NAME")]
    pub batch: String,
    #[command(flatten)]
    pub voucher: VoucherArgs,
}

impl BatchArgs {
    pub fn open(&self) -> Result<OpenBatch, Failure> {
        self.voucher.open(&self.batch)
    }
}

/// The text of a file that the user named.
fn read_document(path: &Path, what: &str) -> Result<String, Failure> {
    input::text(path).map_err(|error| {
        Failure::usage(
            &format!("{what} {} cannot be read: {error}", input::name(path)),
            "check the path and who may read it",
        )
    })
}

/// A file that is made and must not be there yet; `secret`: for its owner alone.
fn create(path: &Path, content: &[u8], secret: bool) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if secret { 0o600 } else { 0o644 };
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            "nothing is written over; name another place, or remove it first"
        }
        _ => "check the path and who may use it",
    };
    Failure::usage(&format!("{} cannot be written: {error}", path.display()), hint)
}

/// A folder that is made when it is not there.
fn make_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    let metadata = made.and_then(|()| path.metadata());
    let metadata = metadata.map_err(|error| cannot_write(path, &error))?;
    // Whoever else may write there could put other files in the place of these before they are used.
    match exposure::of_folder(&metadata) {
        None => Ok(()),
        Some(exposure) => Err(Failure::usage(
            &format!("folder {} {exposure}", path.display()),
            &exposure.hint(path),
        )),
    }
}
