//! `certforge station`.

mod burn;
mod claim;
mod identity;
mod report;
mod run;
mod send;
#[cfg(feature = "display")]
mod serve;
mod show;
mod status;

use std::path::{Path, PathBuf};

use certforge::bundle::encryption::Identities;
use certforge::manifest::DeviceId;
use certforge::station::{
    Cache, Options, SILENT_AFTER, SealedBatch, Sent, Station as Worker, StationError, Trust, is_in_memory,
    open_batch,
};
use certforge::store::{Place, Store};
use clap::{Args, Subcommand};
use time::{Duration, OffsetDateTime};

use super::issuer::trust;
use super::ledger_args::LedgerArgs;
use super::report::{Outcome, Printer, warn as warn_people};
use super::text::count;
use super::{Failure, place};

#[derive(Debug, Subcommand)]
pub enum Station {
    /// Claim a device for this station, and unpack its bundle
    Claim(claim::Claim),
    /// Report that a device was flashed, and wipe its files
    Done(report::Done),
    /// Report that flashing a device failed, and wipe its files; the same station may try again
    Failed(report::Failed),
    /// Report that a device will never have its identity, so that its certificate can be revoked
    Scrap(report::Scrap),
    /// Claim, run a script, report, wipe, and again until nothing is left
    Run(run::Run),
    /// Show who has a device, who had it before, and what this station knows of it
    Show(show::Show),
    /// Send the reports that wait for the store
    Send(send::Send),
    /// Show what became of the batch, in all and by station
    Status(status::Status),
    /// Remove the bundles of all devices that were flashed or scrapped, so that their keys are in them alone
    Burn(burn::Burn),
    /// Make this station's identity, by which it reads bundles that are encrypted for it, or show its public half
    #[command(subcommand)]
    Identity(identity::Identity),
    /// Serve a page that shows what becomes of the batch, live
    #[cfg(feature = "display")]
    Serve(serve::Serve),
}

impl Station {
    pub fn run(&self, printer: Printer) -> Outcome {
        match self {
            Self::Claim(command) => command.run(),
            Self::Done(command) => command.run(),
            Self::Failed(command) => command.run(),
            Self::Scrap(command) => command.run(),
            Self::Run(command) => command.run(printer),
            Self::Show(command) => command.run(),
            Self::Send(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Burn(command) => command.run(),
            Self::Identity(command) => command.run(),
            #[cfg(feature = "display")]
            Self::Serve(command) => command.run(printer),
        }
    }
}

/// Which batch, and whom to trust for it.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// Batch, such as s3://factory-eu/batches/line-7-3f2a9c01 or out/line-7-3f2a9c01
    #[arg(
        long,
        env = "CERTFORGE_BATCH",
        hide_env_values = true,
        value_name = "DIR|S3-URL"
    )]
    batch: String,
    /// Certificate of the CA that must have sealed the batch, its folder, or the SHA-256 of the certificate
    #[arg(
        long,
        env = "CERTFORGE_ISSUER",
        hide_env_values = true,
        value_name = "FILE|DIR|SHA-256",
        default_value = "ca"
    )]
    issuer: String,
    /// Folder for what stations of this machine remember [default: ~/.local/state/certforge]
    #[arg(long, env = "CERTFORGE_MEMORY", hide_env_values = true, value_name = "DIR")]
    memory: Option<PathBuf>,
    /// The batch was moved since it was sealed, or is reached by another path; it is no copy
    #[arg(long)]
    moved: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl BatchArgs {
    /// Opens the batch, for work that can wait.
    pub fn open(&self) -> Result<(Store, SealedBatch, Cache), Failure> {
        let place = self.place()?;
        let store = self.reach.open(&place)?;
        let (batch, cache) = open_batch(&store, self.trust()?, self.moved, &self.memory()?)?;
        Ok((store, batch, cache))
    }

    fn place(&self) -> Result<Place, Failure> {
        let batch = place::of_batch(&self.batch, &|| LedgerArgs::default().usual())?;
        place::parse(&batch, &self.reach, None)
    }

    /// Opens the place of the batch, for somebody who waits.
    fn quick_store(&self) -> Result<Store, Failure> {
        let place = self.place()?;
        Ok(self.reach.open_quick(&place)?)
    }

    pub fn trust(&self) -> Result<Trust, Failure> {
        trust(&self.issuer)
    }

    pub fn memory(&self) -> Result<PathBuf, Failure> {
        let of = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        self.memory
            .clone()
            .or_else(|| Some(of("XDG_STATE_HOME")?.join("certforge")))
            .or_else(|| Some(of("HOME")?.join(".local/state/certforge")))
            .ok_or_else(|| {
                Failure::usage(
                    "there is no folder for what the station remembers",
                    "name one that is kept over a restart with --memory, or in CERTFORGE_MEMORY",
                )
            })
    }
}

/// When a station counts as silent.
#[derive(Debug, Args)]
struct SilentArgs {
    /// Minutes without a claim or a report after which a station is called silent, while there is something to do
    #[arg(long, value_name = "MINUTES", default_value_t = SILENT_AFTER.whole_minutes(), value_parser = clap::value_parser!(i64).range(1..=525_600))]
    silent_after: i64,
}

impl SilentArgs {
    fn after(&self) -> Duration {
        Duration::minutes(self.silent_after)
    }
}

/// Which station.
#[derive(Debug, Args)]
struct StationArgs {
    /// Name of this station, such as line7-st3; no two that work at the same time have the same
    #[arg(long, env = "CERTFORGE_STATION", hide_env_values = true, value_name = "NAME")]
    station: String,
    #[command(flatten)]
    batch: BatchArgs,
}

/// A device id as a label reader gives it, perhaps with blanks around it.
fn device_id(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a device has an id"),
        text => Ok(text.to_owned()),
    }
}

/// Until then nobody else may take a device over.
const DEFAULT_LEASE_MINUTES: u32 = 60;

impl StationArgs {
    /// The station, for work that reads no bundle.
    fn open(&self, lease_minutes: u32) -> Result<Worker, Failure> {
        Self::open_as(&self.station, &self.batch, lease_minutes, None)
    }

    /// The station, which reads bundles by these.
    fn open_with(&self, identities: Option<Identities>, lease_minutes: u32) -> Result<Worker, Failure> {
        Self::open_as(&self.station, &self.batch, lease_minutes, identities)
    }

    /// The station of this name.
    fn open_as(
        name: &str,
        batch: &BatchArgs,
        lease_minutes: u32,
        identities: Option<Identities>,
    ) -> Result<Worker, Failure> {
        let options = Options {
            name: name.to_owned(),
            issuer: batch.trust()?,
            moved: batch.moved,
            memory: batch.memory()?,
            lease: Duration::minutes(lease_minutes.into()),
            identities,
            clock: OffsetDateTime::now_utc,
        };
        Ok(Worker::open(batch.quick_store()?, options)?)
    }

    /// The station, and the device of its batch that a person names.
    fn open_for(&self, device: &str) -> Result<(Worker, DeviceId), Failure> {
        let station = self.open(DEFAULT_LEASE_MINUTES)?;
        let device_id = station.device_id(device)?;
        Ok((station, device_id))
    }
}

/// Says loudly what waits, and what is given up.
fn warn(sent: &Sent) {
    if let Some(folder) = &sent.gone {
        warn_of_gone(folder);
    }
    for error in &sent.refused {
        warn_of_refused(error);
    }
    for error in &sent.unrecorded {
        Failure::of(error).tell();
    }
    warn_of_pending(sent);
}

fn warn_of_gone(folder: &Path) {
    warn_people(format_args!(
        "{} is gone, into which the bundle was unpacked: if it was moved or copied, the private key is still there",
        folder.display()
    ));
}

fn warn_of_pending(sent: &Sent) {
    if sent.pending > 0 {
        warn_people(format_args!(
            "REPORTS THAT ARE NOT SENT YET: {}; they are sent with the next command, or by `certforge station send`",
            count(sent.pending as u64)
        ));
        for why in &sent.why {
            Failure::of(why).tell();
        }
    }
}

fn warn_of_refused(error: &StationError) {
    warn_people("an earlier report is given up");
    Failure::of(error).tell();
}

/// Private keys are to be nowhere but in the device.
fn warn_of_disk(folder: &Path, keys: &str) {
    if !is_in_memory(folder) {
        warn_people(format_args!(
            "{} is on a disk, which may keep {keys} wiped; use a folder in memory, such as /dev/shm",
            folder.display()
        ));
    }
}
