//! `certforge jitp`.

mod bulk;
mod lambda;
mod proof;
mod reach;
mod register;
mod status;
pub mod template;
mod thingpress;
mod withdraw;

use std::path::{Path, PathBuf};

use certforge::forge;
use certforge::ledger;
use certforge::store::Store;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::ledger::DEFAULT_FILE;
use super::place;
use super::report::{Outcome, Printer};

#[derive(Debug, Subcommand)]
pub enum Jitp {
    /// Draft, check and try out provisioning templates
    #[command(subcommand)]
    Template(template::Template),
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
    /// Withdraw a batch that must never come up: revoke its certificates, and let no station claim it
    Withdraw(withdraw::Withdraw),
}

impl Jitp {
    pub fn run(&self, printer: Printer) -> Outcome {
        match self {
            Self::Template(command) => command.run(printer),
            Self::Proof(command) => command.run(),
            Self::Register(command) => command.run(printer),
            Self::Status(command) => command.run(),
            Self::JitrLambda(command) => command.run(),
            Self::Bulk(command) => command.run(),
            Self::Thingpress(command) => command.run(),
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
    /// Ledger that knows where a batch is
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub ledger: PathBuf,
    #[command(flatten)]
    pub reach: place::Reach,
}

impl BatchArgs {
    pub fn open(&self) -> Result<Store, Failure> {
        open_batch(&self.batch, &self.ledger, &self.reach)
    }
}

/// Opens a batch, by its place or by its name in the ledger, unless it is withdrawn.
pub fn open_batch(batch: &str, ledger: &Path, reach: &place::Reach) -> Result<Store, Failure> {
    let place = match place::is_place(batch) {
        true => batch.to_owned(),
        false => ledger::open_read_only(ledger)?.batch(batch)?.location,
    };
    let store = reach.open(&place::parse(&place, reach, None)?)?;
    forge::refuse_withdrawn(&store, batch)?;
    Ok(store)
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
    made.map_err(|error| cannot_write(path, &error))
}
