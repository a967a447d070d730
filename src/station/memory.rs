//! What a station remembers, on disk: the devices that it has, and reports that are still to be sent.
//!
//! Invariants. A hold is written before it is claimed, and a report before the files are wiped, so a
//! station that dies at any instant knows afterwards what it may have. One process uses it at a time.
//! No private key is ever in it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::cache::batch_folder;
use super::unpack::Inode;
use super::{StationError, durable};
use crate::batch::claim::{Claim, State, is_hold, is_moment};
use crate::manifest::DeviceId;

/// How a station came by a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By its id: the device in hand is that one.
    Named,
    /// As the next one: any device in hand will do.
    Next,
}

/// A device that the station has, or is about to claim; or one that failed in its hands, which it may try
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub chunk: u64,
    pub way: Way,
    pub claim: Claim,
    /// Where its bundle was unpacked, and which files.
    #[serde(default)]
    pub unpacked: Option<Unpacked>,
    /// The hold of this station's that failed, and that this one is to follow.
    #[serde(default)]
    pub follows: Option<String>,
    /// Whether its bundle was ever unpacked, so that a device may have it.
    #[serde(default)]
    pub delivered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Was made for it, or was empty: all that is in it goes with the bundle.
    pub folder: PathBuf,
    pub files: Vec<String>,
    /// Which folder it is; nothing else is wiped. `None`: one that an earlier version made.
    #[serde(default)]
    pub made: Option<Inode>,
}

/// How a device ended at this station; sent when the store can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub device_id: DeviceId,
    /// The hold that it ends; `None` when the station does not remember it.
    pub claim: Option<String>,
    pub state: State,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether the bundle is to be removed from the store.
    #[serde(default)]
    pub burn: bool,
    /// Whether a device that was flashed may be scrapped.
    #[serde(default)]
    pub although_flashed: bool,
}

/// What one station remembers of one batch.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    _lock: File,
}

impl Memory {
    /// Opens the memory of a station for the batch at a location, in a folder for all batches that was looked at.
    pub(super) fn open(folder: &Path, location: &str, station: &str) -> Result<Self, StationError> {
        let batch = batch_folder(folder, location);
        let folder = batch.join(format!("station-{station}"));
        let failed = |source| StationError::Memory {
            path: folder.clone(),
            source,
        };
        for folder in [&batch, &folder] {
            durable::make_folder(folder).map_err(failed)?;
            durable::check_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                // A script inherits the lock: while one still runs whose station was killed, that station
                // does not begin anew.
                rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())
                    .map_err(|error| failed(error.into()))?;
                Ok(Self { folder, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(StationError::InUse {
                station: station.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(super) fn held(&self, device_id: &DeviceId) -> Result<Option<Held>, StationError> {
        read(&self.held_path(device_id), device_id)
    }

    /// All devices that the station has in hand, the one that it has longest first.
    pub(super) fn all_held(&self) -> Result<Vec<Held>, StationError> {
        let all: Result<Vec<Held>, StationError> = self.read_all("held")?.into_iter().collect();
        let mut all = all?;
        all.retain(|held| held.claim.hold.state == State::Claimed);
        all.sort_by(|a, b| {
            let key = |held: &Held| (held.claim.hold.claimed_at, held.claim.device_id.clone());
            key(a).cmp(&key(b))
        });
        Ok(all)
    }

    pub(super) fn hold(&self, held: &Held) -> Result<(), StationError> {
        write(&self.held_path(&held.claim.device_id), held)
    }

    pub(super) fn let_go(&self, device_id: &DeviceId) -> Result<(), StationError> {
        remove(&self.held_path(device_id))
    }

    /// The reports that are still to be sent, oldest first; and why others cannot be read.
    pub(super) fn reports(&self) -> Result<(Vec<Report>, Vec<StationError>), StationError> {
        let (mut reports, mut damaged) = (Vec::new(), Vec::new());
        for read in self.read_all::<Report>("reports")? {
            match read {
                Ok(report) => reports.push(report),
                Err(error) => damaged.push(error),
            }
        }
        reports.sort_by(|a, b| (a.at, &a.device_id).cmp(&(b.at, &b.device_id)));
        Ok((reports, damaged))
    }

    pub(super) fn report(&self, device_id: &DeviceId) -> Result<Option<Report>, StationError> {
        read(&self.report_path(device_id), device_id)
    }

    pub(super) fn has_report(&self, device_id: &DeviceId) -> bool {
        self.report_path(device_id).exists()
    }

    pub(super) fn queue(&self, report: &Report) -> Result<(), StationError> {
        write(&self.report_path(&report.device_id), report)
    }

    pub(super) fn sent(&self, report: &Report) -> Result<(), StationError> {
        remove(&self.report_path(&report.device_id))
    }

    /// Chunks of the batch with this digest of which nothing was left to claim, since then, in seconds since 1970.
    pub(super) fn full_chunks(&self, batch: &str, since: i64) -> BTreeSet<u64> {
        let text = fs::read_to_string(self.full_path(batch)).unwrap_or_default();
        let marks = text.lines().filter_map(|line| line.split_once(' '));
        marks
            .filter(|(_, at)| at.parse().is_ok_and(|at: i64| at >= since))
            .filter_map(|(chunk, _)| chunk.parse().ok())
            .collect()
    }

    /// Remembers such a chunk; forgetting it would cost a listing and nothing else.
    pub(super) fn mark_full(&self, batch: &str, chunk: u64, at: i64) {
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.full_path(batch));
        let _ = file.and_then(|mut file| writeln!(file, "{chunk} {at}"));
    }

    fn full_path(&self, batch: &str) -> PathBuf {
        self.folder.join(format!("full-{batch}"))
    }

    fn held_path(&self, device_id: &DeviceId) -> PathBuf {
        self.folder.join("held").join(format!("{device_id}.json"))
    }

    fn report_path(&self, device_id: &DeviceId) -> PathBuf {
        self.folder.join("reports").join(format!("{device_id}.json"))
    }

    /// All that is remembered in a folder, or why it cannot be read. What is named after no device is none of it.
    fn read_all<T: OfDevice>(&self, folder: &str) -> Result<Vec<Result<T, StationError>>, StationError> {
        let folder = self.folder.join(folder);
        let failed = |source| StationError::Memory {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let device_id = name.and_then(|name| DeviceId::parse(name.strip_suffix(".json")?).ok());
            if let Some(device_id) = device_id {
                all.extend(read(&path, &device_id).transpose());
            }
        }
        Ok(all)
    }
}

/// What is remembered of a device.
trait OfDevice: DeserializeOwned {
    fn device_id(&self) -> &DeviceId;

    /// Whether it is such as a station remembers.
    fn is_sound(&self) -> bool;
}

impl OfDevice for Held {
    fn device_id(&self) -> &DeviceId {
        &self.claim.device_id
    }

    fn is_sound(&self) -> bool {
        self.claim.is_sound()
    }
}

impl OfDevice for Report {
    fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    fn is_sound(&self) -> bool {
        is_moment(self.at) && self.claim.as_deref().is_none_or(is_hold)
    }
}

/// Reads what is remembered of a device, which is not believed to be of this one.
fn read<T: OfDevice>(path: &Path, asked: &DeviceId) -> Result<Option<T>, StationError> {
    let failed = |source| StationError::Memory {
        path: path.to_owned(),
        source,
    };
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(octets) => {
            let remembered: T = serde_json::from_slice(&octets).map_err(|error| failed(error.into()))?;
            match remembered.device_id() == asked {
                true if remembered.is_sound() => Ok(Some(remembered)),
                true => Err(failed(io::Error::other("no station writes such a thing"))),
                false => Err(failed(io::Error::other("it is of another device"))),
            }
        }
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), StationError> {
    let json = serde_json::to_vec_pretty(value).expect("it has only text keys");
    durable::write(path, &json).map_err(|source| StationError::Memory {
        path: path.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> Result<(), StationError> {
    durable::remove(path).map_err(|source| StationError::Memory {
        path: path.to_owned(),
        source,
    })
}
