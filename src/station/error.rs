//! What keeps a station from flashing a device, and what its operator can do about it.

use std::io;
use std::path::PathBuf;

use time::OffsetDateTime;

use crate::batch::claim::State;
use crate::batch::{BATCH_OBJECT, NotRead, SEAL_OBJECT, since};
use crate::engine::EngineError;
use crate::exposure::Exposure;
use crate::manifest::DeviceId;
use crate::profile::rfc3339;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why a station cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{name:?} cannot name a station")]
    Name { name: String },
    #[error("{location} is not sealed: it has no {SEAL_OBJECT}")]
    NotSealed { location: String },
    #[error("{location} is no batch: it has no {BATCH_OBJECT}")]
    NoBatch { location: String },
    #[error("{location} is not where this batch was sealed, which is {sealed}")]
    Moved { location: String, sealed: String },
    #[error(
        "station {station} is in use by another certforge on this machine, or by a script that it left running"
    )]
    InUse { station: String },
    #[error("batch {batch} is withdrawn{}: {reason}", since(.at))]
    Withdrawn {
        batch: String,
        /// As `2026-11-24T12:00:00Z`; empty when nobody can tell.
        at: String,
        reason: String,
    },
    #[error("what the station remembers cannot be read or written: {path}")]
    Memory { path: PathBuf, source: io::Error },
    #[error("what the station remembers may be somebody else's: {} {exposure}", place.display())]
    Exposed { place: PathBuf, exposure: Exposure },
    #[error("batch {batch} has no device {device_id}")]
    UnknownDevice {
        /// As it was asked for.
        device_id: String,
        batch: String,
    },
    #[error("device {device_id} is claimed by {station} since {}, until {}", rfc3339(*.since), rfc3339(*.lease_until))]
    Taken {
        device_id: DeviceId,
        station: String,
        since: OffsetDateTime,
        lease_until: OffsetDateTime,
        /// Whether that station bears the name of this one.
        is_same_name: bool,
    },
    #[error("device {device_id} is claimed by {station} since {}, and its lease ended at {}", rfc3339(*.since), rfc3339(*.lease_until))]
    Stale {
        device_id: DeviceId,
        station: String,
        since: OffsetDateTime,
        lease_until: OffsetDateTime,
    },
    #[error("device {device_id} was flashed by {station} at {}", rfc3339(*.at))]
    Flashed {
        device_id: DeviceId,
        station: String,
        at: OffsetDateTime,
    },
    #[error("device {device_id} was scrapped by {station} at {}", rfc3339(*.at))]
    Scrapped {
        device_id: DeviceId,
        station: String,
        at: OffsetDateTime,
    },
    #[error("device {device_id} was {state}, whatever its claim says: there is a record, {object}")]
    Recorded {
        device_id: DeviceId,
        /// Flashed or scrapped.
        state: State,
        object: String,
    },
    #[error("device {device_id} failed at {station} at {}{}", rfc3339(*.at), colon(.reason.as_deref()))]
    FailedElsewhere {
        device_id: DeviceId,
        station: String,
        at: OffsetDateTime,
        reason: Option<String>,
    },
    #[error("device {device_id} was taken over by {station} at {}", rfc3339(*.since))]
    TakenOver {
        device_id: DeviceId,
        station: String,
        since: OffsetDateTime,
    },
    #[error("device {device_id} is not claimed by anybody")]
    NotClaimed { device_id: DeviceId },
    #[error("the claim of device {device_id} is gone, which this station made: there is no {object}")]
    ClaimGone { device_id: DeviceId, object: String },
    #[error(
        "device {device_id} is {state}, as its claim says, but there is no record of it: something else is in the place of {object}"
    )]
    Unrecorded {
        device_id: DeviceId,
        state: State,
        object: String,
    },
    #[error("device {device_id} is {state}, and cannot be reported {wanted} any more")]
    CannotFollow {
        device_id: DeviceId,
        state: State,
        wanted: State,
    },
    #[error("device {device_id} was reported on, and the report is not sent yet")]
    Unsent { device_id: DeviceId },
    #[error("batch {batch}: nothing is left to claim")]
    NothingLeft { batch: String },
    #[error("device {device_id}: {object} is refused: {faults}")]
    Bundle {
        device_id: DeviceId,
        object: String,
        faults: String,
        /// Whether it is only that the certificate is not valid now.
        is_of_time: bool,
    },
    #[error(transparent)]
    NotRead(#[from] NotRead),
    #[error("damaged objects, left alone with all that depends on them: {objects}; the first: {first}")]
    Damaged { objects: usize, first: String },
    #[error("{object} changes faster than it can be claimed")]
    Contended { object: String },
    #[error("bundles cannot be unpacked in {path}")]
    Unpack { path: PathBuf, source: io::Error },
    #[error("the bundles of batch {batch} are encrypted, for {recipients}")]
    NoIdentity { batch: String, recipients: String },
    #[error("the bundles of batch {batch} are encrypted for {recipients}, and this station is {own}")]
    SomebodyElse {
        batch: String,
        recipients: String,
        own: String,
    },
    #[error("{path} holds a private key and cannot be wiped")]
    Wipe { path: PathBuf, source: io::Error },
    #[error("{path} is not empty")]
    NotEmpty { path: PathBuf },
    #[error("{path} is no folder of your own, or others may enter it")]
    NotPrivate { path: PathBuf },
    #[error("others could put another folder in the place of {path}: {} {exposure}", place.display())]
    UnsafeWay {
        path: PathBuf,
        /// A folder above it, or a link on the way.
        place: PathBuf,
        exposure: Exposure,
    },
    #[error("the script {path} cannot be run")]
    Script { path: PathBuf, source: io::Error },
    #[error("something that the script {path} started still runs")]
    StillRuns { path: PathBuf, source: io::Error },
    #[error("{object} does not have the certificate of device {device_id}")]
    Certificates { object: String, device_id: DeviceId },
    #[error("{object} has been damaged: {reason}")]
    Pack { object: String, reason: &'static str },
}

fn colon(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}

impl StationError {
    /// Whether the same may well succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }

    /// Whether it is about one object of the batch, so that others need not fail with it.
    #[must_use]
    pub fn is_of_one_object(&self) -> bool {
        match self {
            Self::NotRead(_) | Self::Certificates { .. } | Self::Pack { .. } | Self::Contended { .. } => true,
            Self::Seal(error) => matches!(
                error,
                SealError::Changed { .. } | SealError::NotRead(_) | SealError::Rows { .. }
            ),
            Self::Store(error) => error.is_of_one_object(),
            _ => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint(),
            Self::Seal(error) => return error.hint(),
            Self::Engine(error) => return error.hint(),
            Self::Name { .. } => "use 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor - first".to_owned(),
            Self::NotSealed { .. } => {
                "`certforge run` seals a batch when it is complete, `certforge seal` one that was made in shards"
                    .to_owned()
            }
            Self::NoBatch { .. } => {
                "name a batch, such as s3://factory-eu/batches/line-7-3f2a9c01".to_owned()
            }
            Self::Moved { .. } => {
                "a copy would give each device out once more: name the place where it was sealed; --moved says that it was moved, or is reached by another path, and is no copy"
                    .to_owned()
            }
            Self::Withdrawn { .. } => {
                "the board in hand must not be flashed: put it aside, and ask whoever withdrew the batch, or whoever made it, what to flash instead"
                    .to_owned()
            }
            Self::InUse { .. } => {
                "wait until it has ended; stations that work at the same time have names of their own".to_owned()
            }
            Self::Memory { .. } => {
                "choose a folder that is kept over a restart, and that you may write, with --memory".to_owned()
            }
            Self::Exposed { place, exposure } => format!(
                "{}; or choose a folder of your own with --memory",
                exposure.hint(place)
            ),
            Self::UnknownDevice { .. } => "check the label, and CERTFORGE_BATCH".to_owned(),
            Self::Taken { .. }
            | Self::Stale { .. }
            | Self::FailedElsewhere { .. }
            | Self::Flashed { .. }
            | Self::Recorded { .. }
            | Self::Scrapped { .. }
            | Self::TakenOver { .. }
            | Self::NotClaimed { .. }
            | Self::ClaimGone { .. }
            | Self::Unrecorded { .. }
            | Self::CannotFollow { .. }
            | Self::Unsent { .. } => return self.hint_of_device(),
            Self::NothingLeft { .. } => "`station status` shows what became of each device".to_owned(),
            Self::Bundle {
                device_id, is_of_time, ..
            } => match is_of_time {
                true => "check this machine's clock, then the certificate's validity".to_owned(),
                false => format!(
                    "flash nothing of this batch until you know who changed it; `certforge verify` tells more; `station scrap {device_id}` lets a station go on"
                ),
            },
            Self::NoIdentity { .. } => {
                "give this station's identity with --identity FILE, or in CERTFORGE_IDENTITY; `certforge station identity new` makes one, for batches to come"
                    .to_owned()
            }
            Self::SomebodyElse { .. } => {
                "flash it at a station of these; nothing was claimed. With what `station identity show` prints, `certforge bundle rewrap --recipient` makes this batch readable here, and `run --recipient` batches to come"
                    .to_owned()
            }
            Self::NotRead(_) => "somebody else wrote it; find out who before anybody flashes this device".to_owned(),
            Self::Damaged { .. } => {
                "find out who wrote them, put them back as they were, and repeat the command; `certforge verify` tells more"
                    .to_owned()
            }
            Self::Contended { .. } => "try again".to_owned(),
            Self::Wipe { path, .. } => format!("remove {} by hand", path.display()),
            Self::Unpack { .. } => "choose another folder with --out, best under /dev/shm".to_owned(),
            Self::NotEmpty { path } => format!(
                "`station done` or `station failed` wipes what is unpacked there; otherwise choose another --out, or empty {}",
                path.display()
            ),
            Self::NotPrivate { .. } => {
                "choose another --out: one that is not there yet, or an empty folder of your own with mode 0700".to_owned()
            }
            Self::UnsafeWay { place, exposure, .. } => format!(
                "{}; or choose another --out, best one in /dev/shm itself",
                exposure.hint(place)
            ),
            Self::Script { .. } => "name an executable file with --exec, such as ./flash.sh".to_owned(),
            Self::StillRuns { .. } => {
                "it could read the next bundle: end it, and see that the script starts nothing as another user; then the same command goes on"
                    .to_owned()
            }
            Self::Certificates { .. } => "it was changed; `certforge verify` tells more".to_owned(),
            Self::Pack { .. } => "`certforge verify` tells more; nothing was changed".to_owned(),
        })
    }

    /// The same of an error that is about one device.
    fn hint_of_device(&self) -> Option<String> {
        Some(match self {
            Self::Taken {
                is_same_name: true,
                device_id,
                ..
            } => format!(
                "this machine does not remember it: another machine has the same station name, or this one lost its memory; \
                 if you are sure, `station claim --device {device_id} --take-over`"
            ),
            Self::Taken { .. } => "flash it there, or wait until the lease has ended".to_owned(),
            Self::Stale {
                device_id, station, ..
            } => format!(
                "first see that {station} has no report of it that waits (`station send` there) and will not flash it any more; then `station claim --device {device_id} --take-over`"
            ),
            Self::FailedElsewhere { device_id, .. } => format!(
                "to try again here: `station claim --device {device_id} --take-over`; to give it up: `station scrap {device_id}`"
            ),
            Self::Flashed { device_id, .. } => format!(
                "an identity is for one device: put the second device aside, and find out which label is wrong; `station scrap {device_id} --although-flashed` is for a device that is thrown away after it was flashed"
            ),
            Self::Recorded { .. } => {
                "an identity is for one device: put this one aside, and find out who wrote the claim over; `station show` tells who had it"
                    .to_owned()
            }
            Self::Scrapped { .. } => "its certificate is to be revoked: give the device another identity".to_owned(),
            Self::TakenOver { .. } => {
                "two devices may have this identity now: put this one aside, and flash it anew with another".to_owned()
            }
            Self::NotClaimed { device_id } => format!("`station claim --device {device_id}` comes first"),
            Self::ClaimGone { .. } => {
                "see that the store is what it was; the report waits, and `station send` sends it".to_owned()
            }
            Self::Unrecorded { .. } => {
                "the report was taken; find out who put that there, and remove it".to_owned()
            }
            Self::CannotFollow { .. } => "`station status` shows what is known of it".to_owned(),
            Self::Unsent { .. } => "`station send` tells why".to_owned(),
            _ => return None,
        })
    }
}
