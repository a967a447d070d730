//! Flashing stations: each bundle to one device, once.
//!
//! ```text
//!   seal ─► index ─► claim ─► bundle ─► files ─► (flash) ─► report ─► wipe ─► burn
//!                      │                                       │
//!                      └───────── one object a device ─────────┘
//! ```
//!
//! A [`Station`] works on one batch. What makes a device its own is an object in the store that only one
//! can create, and that is changed by whoever knows its version only ([`claim`](crate::batch::claim)). Everything else
//! follows from that object: what the station remembers on disk (`memory`) tells it after a crash
//! which claims are its own, and the records of what was flashed, failed or scrapped are written after it.
//! Nothing of a batch is believed that does not follow from its seal (`batch`).

mod batch;
mod bundles;
mod burn;
mod cache;
mod claiming;
mod cycle;
mod damaged;
mod durable;
mod ended;
mod error;
pub mod identity;
mod keyed;
mod memory;
mod metrics;
mod overview;
mod recorded;
mod released;
mod reporting;
mod said;
mod script;
mod unpack;
mod walk;
mod withdrawn;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use time::{Duration, OffsetDateTime};

pub use crate::batch::Device;
pub use crate::batch::report::Record;
pub use batch::SealedBatch;
pub use burn::Burned;
pub use cache::Cache;
pub use claiming::Claimed;
pub use cycle::{Cycle, CycleEvent, CycleSummary, Stop};
pub use damaged::Damaged;
pub use ended::Ended;
pub use error::StationError;
pub use identity::IdentityFileError;
pub use keyed::Keyed;
pub use memory::{Report, Unpacked, Way};
pub use overview::{Failure, Overview, SILENT_AFTER, StaleClaim, StationOverview, Watch};
pub use released::ReleasedDevice;
pub use reporting::{Reported, Sent};
pub use unpack::{Inode, is_in_memory};

use crate::batch::claim::{Claim, Wish, is_station_name};
use crate::batch::claim_object;
use crate::bundle::encryption::Identities;
use crate::engine::Random;
use crate::manifest::DeviceId;
use crate::seal::SealError;
pub use crate::seal::Trust;
use crate::store::{Store, StoreError};
use memory::Memory;
use walk::Walk;

/// Who a station is, and how it works.
#[derive(Debug)]
pub struct Options {
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`, and neither `.` nor `-` first.
    pub name: String,
    /// The issuer whose batches are trusted.
    pub issuer: Trust,
    /// Whether the batch may be elsewhere than where it was sealed.
    pub moved: bool,
    /// A folder for what stations of this machine remember.
    pub memory: PathBuf,
    /// How long a claim is a station's own before somebody else may take it over by name.
    pub lease: Duration,
    /// By which it reads bundles that are encrypted.
    pub identities: Option<Identities>,
    /// The time of day.
    pub clock: fn() -> OffsetDateTime,
}

/// What a station knows of a device.
#[derive(Debug, Clone)]
pub struct Known {
    pub device: Device,
    pub claim: Option<Claim>,
    /// What this station has reported and not sent yet.
    pub report: Option<Report>,
    /// Where this station has unpacked its bundle.
    pub unpacked: Option<Unpacked>,
}

/// One flashing station at work on one batch.
pub struct Station {
    store: Store,
    batch: SealedBatch,
    cache: Cache,
    memory: Memory,
    walk: Walk,
    name: String,
    lease: Duration,
    identities: Option<Identities>,
    clock: fn() -> OffsetDateTime,
}

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Station({}, {})", self.name, self.store.location())
    }
}

impl Station {
    /// Opens the station, once the batch's seal is verified.
    ///
    /// # Errors
    ///
    /// When the name is none, another process is this station, or the batch is not sealed by the issuer.
    pub fn open(store: Store, options: Options) -> Result<Self, StationError> {
        check_name(&options.name)?;
        let location = store.location();
        let folder = durable::make_root(&options.memory)?;
        let memory = Memory::open(&folder, &location, &options.name)?;
        let cache = Cache::new(&folder, &location);
        let batch = SealedBatch::open(&store, &cache, options.issuer, options.moved, false)?;
        let walk = Walk::new(
            &options.name,
            batch.shape().chunks(),
            &memory.full_chunks(batch.digest(), i64::MIN),
        );
        Ok(Self {
            store,
            batch,
            cache,
            memory,
            walk,
            name: options.name,
            lease: options.lease,
            identities: options.identities,
            clock: options.clock,
        })
    }

    #[must_use]
    pub fn batch(&self) -> &SealedBatch {
        &self.batch
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of a device as somebody gives it.
    ///
    /// # Errors
    ///
    /// When no device of any batch is called so.
    pub fn device_id(&self, text: &str) -> Result<DeviceId, StationError> {
        self.batch.device_id(text)
    }

    /// Reads the seal anew if it was only remembered. Returns whether it is another one.
    fn reopen(&mut self) -> Result<bool, StationError> {
        let is_another = self.batch.reopen(&self.store, &self.cache)?;
        if is_another {
            let full = self.memory.full_chunks(self.batch.digest(), i64::MIN);
            self.walk = Walk::new(&self.name, self.batch.shape().chunks(), &full);
        }
        Ok(is_another)
    }

    /// Goes on with a newer generation, if there is one: its bundles may be for other stations, so before a device is claimed.
    fn look_for_newer(&mut self) -> Result<(), StationError> {
        if self.batch.has_newer(&self.store)? {
            self.reopen()?;
        }
        Ok(())
    }

    /// A device by its id.
    fn find(&mut self, device_id: &DeviceId) -> Result<Device, StationError> {
        match self.batch.find(&self.store, &self.cache, device_id) {
            Err(error) if self.is_outdated(&error)? => self.batch.find(&self.store, &self.cache, device_id),
            other => other,
        }
    }

    /// Whether what was found wrong is that the batch was made anew since its seal was read.
    fn is_outdated(&mut self, error: &StationError) -> Result<bool, StationError> {
        Ok(may_be_outdated(error) && self.reopen()?)
    }

    /// All that is known of a device.
    ///
    /// # Errors
    ///
    /// When the batch has no such device, or its claim cannot be read.
    pub fn show(&mut self, device_id: &DeviceId) -> Result<Known, StationError> {
        let device = self.find(device_id)?;
        Ok(Known {
            claim: claim_of(&self.store, &device)?,
            device,
            report: self.memory.report(device_id)?,
            unpacked: self.memory.held(device_id)?.and_then(|held| held.unpacked),
        })
    }

    fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }

    fn wish(&self, take_over: bool) -> Wish<'_> {
        Wish {
            station: &self.name,
            now: self.now(),
            lease: self.lease,
            take_over,
        }
    }
}

/// Opens a batch for reading, as far as its seal goes.
///
/// # Errors
///
/// When it is not sealed by the issuer, or others could change what is remembered of it.
pub fn open_batch(
    store: &Store,
    issuer: Trust,
    moved: bool,
    memory: &Path,
) -> Result<(SealedBatch, Cache), StationError> {
    let cache = Cache::new(memory, &store.location());
    // What is not there yet is made by whoever keeps something.
    if memory.exists() {
        durable::root(memory)?;
        cache.check()?;
    }
    let batch = SealedBatch::open(store, &cache, issuer, moved, true)?;
    Ok((batch, cache))
}

/// All that the batch says of a device, to whom is no station.
///
/// # Errors
///
/// When the batch has no such device, or its claim cannot be read.
pub fn look_up(
    store: &Store,
    batch: &mut SealedBatch,
    cache: &Cache,
    device_id: &DeviceId,
) -> Result<Known, StationError> {
    let device = match batch.find(store, cache, device_id) {
        // It may have been made anew since its seal was read.
        Err(error) if may_be_outdated(&error) && batch.reopen(store, cache)? => {
            batch.find(store, cache, device_id)?
        }
        other => other?,
    };
    Ok(Known {
        claim: claim_of(store, &device)?,
        device,
        report: None,
        unpacked: None,
    })
}

/// The claim of a device, if it has one.
fn claim_of(store: &Store, device: &Device) -> Result<Option<Claim>, StationError> {
    let device_id = &device.entry.device_id;
    let object = claim_object(device.chunk, device_id);
    match store.read(&object, None) {
        Err(StoreError::NotFound { .. }) => Ok(None),
        other => Ok(Some(Claim::read(&other?, &object, device_id)?)),
    }
}

/// Whether what was found wrong may be that the batch was made anew since its seal was read.
fn may_be_outdated(error: &StationError) -> bool {
    matches!(
        error,
        StationError::Seal(SealError::Changed { .. })
            | StationError::Bundle { .. }
            | StationError::UnknownDevice { .. }
    )
}

fn check_name(name: &str) -> Result<(), StationError> {
    match is_station_name(name) {
        true => Ok(()),
        false => Err(StationError::Name {
            name: name.to_owned(),
        }),
    }
}

/// A name for a hold that no other has.
fn claim_id() -> Result<String, StationError> {
    let mut octets = [0; 16];
    Random.fill(&mut octets)?;
    Ok(HEXLOWER.encode(&octets))
}
