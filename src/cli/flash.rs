//! `certforge flash`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use certforge::bundle::encryption::Identities;
use certforge::bundle::format::nvs::Keys;
use certforge::flash::{
    self, Found, Released, certificate_ids, certificate_ids_within, compare, keys_within, locked,
};
use certforge::printable;
use certforge::station::{Cache, Device, Keyed, ReleasedDevice, SealedBatch};
use certforge::store::Store;
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::identity::IdentityArgs;
use super::report::{Ended, Outcome};
use super::station::BatchArgs;
use super::text::{count, many};
use super::{Failure, exit};

/// No chip of this kind has a larger flash.
const MOST_OCTETS: u64 = 128 << 20;

#[derive(Debug, Subcommand)]
pub enum Flash {
    /// Say whether what was read back from a device's flash is what was released for it
    Verify(Verify),
}

impl Flash {
    pub fn run(&self) -> Outcome {
        match self {
            Self::Verify(command) => command.run(),
        }
    }
}

/// Finds the device by the certificate in its flash, and holds each octet against the files that were released for it.
/// Where the certificate lies in NVS that is encrypted, the keys in the batch's bundles tell whose it is.
///
/// Exit codes: 0 all as released; 1 something differs; 2 usage; 9 the batch has no such device.
#[derive(Debug, Args)]
pub struct Verify {
    /// What was read back, such as by `esptool.py read_flash`: one partition, or the flash as a whole with --offset
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Where in the image a partition begins, such as 0xD000; may be given again [default: the image is one partition]
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    offset: Vec<usize>,
    /// Keys of NVS that is encrypted, by which its device is found: what was read back of the partition nvs_keys, the file that
    /// was released, or an HMAC key [default: the partition nvs_keys, where --offset names it, or else those that the batch's
    /// bundles deliver]
    #[arg(long, value_name = "FILE", conflicts_with = "device")]
    keys: Option<PathBuf>,
    /// Id of the device, where its certificate cannot be read in the image: in NVS that is encrypted, and whose keys the batch's
    /// bundles do not deliver
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

/// An offset as Espressif's tools take it.
fn offset(text: &str) -> Result<usize, String> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) if digits.starts_with(|digit: char| digit.is_ascii_hexdigit()) => {
            usize::from_str_radix(digits, 16)
        }
        _ => text.parse(),
    };
    number.map_err(|_| "an offset is a number of octets, such as 0xD000".to_owned())
}

/// What became of a device's flash.
#[derive(Serialize)]
struct Verified {
    batch: String,
    device_id: String,
    certificate_id: String,
    as_released: bool,
    places: Vec<Place>,
    /// Files that are flashed too, and were not seen.
    not_seen: Vec<String>,
}

/// What lies at a place.
#[derive(Serialize)]
struct Place {
    offset: usize,
    state: State,
    file: Option<String>,
    format: Option<String>,
    /// Of the file as it was released.
    octets: Option<usize>,
    /// In the image, the first octet that is another, or missing.
    first_difference: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    AsReleased,
    Differs,
    CutOff,
    NothingReleased,
}

impl Verify {
    fn run(&self) -> Outcome {
        let flash = read(&self.image).map_err(|error| self.unreadable(&error))?;
        let is_partition = self.offset.is_empty();
        let places = match is_partition {
            true => vec![0],
            false => self.offset.clone(),
        };
        if let Some(beyond) = places.iter().find(|place| **place >= flash.len()) {
            return Err(Failure::usage(
                &format!(
                    "image {} has {} octets, and none at {beyond:#x}",
                    self.image.display(),
                    count(flash.len() as u64)
                ),
                "give an offset within the image; without --offset the image is one partition",
            ));
        }
        let keys = self.keys(&flash, &places)?;
        let identities = self.identity.read()?;
        let (store, batch, cache) = self.batch.open()?;
        let device = if let Some(device) = &self.device {
            batch.device(&store, &cache, device)?
        } else {
            let mut ids = certificate_ids(&flash, &places);
            ids.extend(self.ids_within(&flash, &places, &keys)?);
            match batch.certified(&store, &cache, &ids)? {
                Some(device) => device,
                None => self.keyed(
                    (&store, &cache),
                    &batch,
                    identities.as_ref(),
                    (&flash, &places),
                    ids.len(),
                )?,
            }
        };
        let now = OffsetDateTime::now_utc();
        let released = batch.released((&store, &cache), device, identities.as_ref(), now)?;
        let (device, files) = images(released);
        if files.is_empty() {
            return Err(Failure::usage(
                &format!("batch {} has no file that is flashed as it is", batch.name()),
                "`flash verify` is for files of the formats esp-secure-cert, nvs and nvs-keys",
            ));
        }
        let found: Vec<_> = places
            .iter()
            .map(|place| Place::of(*place, compare(&flash, *place, is_partition, &files), &files))
            .collect();
        let is_seen = |name: &String| found.iter().any(|place| place.file.as_ref() == Some(name));
        let names = files.iter().map(|file| file.name.clone());
        let verified = Verified {
            batch: batch.name().to_owned(),
            device_id: device.entry.device_id.to_string(),
            certificate_id: HEXLOWER.encode(&device.entry.certificate_id),
            as_released: found.iter().all(|place| place.state == State::AsReleased),
            not_seen: names.filter(|name| !is_seen(name)).collect(),
            places: found,
        };
        let code = if verified.as_released {
            0
        } else {
            exit::SOME_FAILED
        };
        Ok(Ended::with(verified).code(code))
    }

    /// The keys of NVS that were given, and those that lie in the image itself.
    fn keys(&self, flash: &[u8], places: &[usize]) -> Result<Vec<Keys>, Failure> {
        let mut keys = keys_within(flash, places);
        let Some(path) = &self.keys else {
            return Ok(keys);
        };
        let failed = |error: &dyn fmt::Display| {
            Failure::usage(
                &format!("keys {}: {error}", path.display()),
                "give what was read back of the partition nvs_keys, or the file of that format that was released",
            )
        };
        let octets = read(path).map_err(|error| failed(&error))?;
        keys.insert(0, flash::keys(&octets).map_err(|error| failed(&error))?);
        Ok(keys)
    }

    /// What may be a certificate in NVS that opens with keys.
    fn ids_within(&self, flash: &[u8], places: &[usize], keys: &[Keys]) -> Result<Vec<[u8; 32]>, Failure> {
        let (mut ids, mut opened, mut unread) = (Vec::new(), 0, None);
        for (place, keys) in places
            .iter()
            .flat_map(|place| keys.iter().map(move |keys| (place, keys)))
        {
            match certificate_ids_within(flash, *place, keys) {
                Ok(found) => {
                    opened += 1;
                    ids.extend(found);
                }
                Err(error) => unread = Some((*place, error)),
            }
        }
        match unread.filter(|_| opened == 0 && self.keys.is_some()) {
            None => Ok(ids),
            Some((place, error)) => Err(Failure::usage(
                &format!("no NVS partition opens with these keys: at {place:#x}, {error}"),
                "give the keys of the device whose flash it is, and with --offset where in the flash its NVS begins; or name the device with --device",
            )
            .under(exit::STATION)),
        }
    }

    /// The device whose bundle delivers the keys of NVS in the image. `certificates`: how many there are that are no device's.
    fn keyed(
        &self,
        (store, cache): (&Store, &Cache),
        batch: &SealedBatch,
        identities: Option<&Identities>,
        (flash, places): (&[u8], &[usize]),
        certificates: usize,
    ) -> Result<Device, Failure> {
        let locked = locked(flash, places);
        if locked.is_empty() || self.keys.is_some() {
            return Err(unknown(batch.name(), certificates));
        }
        let opens = |keys: &Keys| locked.iter().any(|partition| partition.opens_with(keys));
        match batch.keyed((store, cache), identities, &opens)? {
            Keyed {
                device: Some(device), ..
            } => Ok(device),
            Keyed {
                tried: 0, unread: 0, ..
            } => Err(unknown(batch.name(), certificates)),
            keyed => Err(keyless(batch.name(), locked[0].place, &keyed)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::usage(
            &format!("image {} cannot be read: {error}", self.image.display()),
            "name a file that was read back from a device's flash, such as by `esptool.py read_flash`",
        )
    }
}

/// An image, which may hold keys.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len().min(MOST_OCTETS);
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(MOST_OCTETS + 1).read_to_end(&mut octets)?;
    match octets.len() as u64 > MOST_OCTETS {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(octets),
    }
}

fn unknown(batch: &str, certificates: usize) -> Failure {
    let (message, hint) = match certificates {
        0 => (
            "no certificate can be read in the image".to_owned(),
            "of the flash as a whole, say where a partition begins with --offset; where its NVS is encrypted and no bundle has the keys, give them with --keys, or name the device with --device",
        ),
        _ => (
            format!("batch {batch} has no device with a certificate that is in the image"),
            "name the batch that the device is of with --batch",
        ),
    };
    Failure::usage(&message, hint).under(exit::STATION)
}

fn keyless(batch: &str, place: usize, keyed: &Keyed) -> Failure {
    let Keyed { tried, unread, .. } = keyed;
    let removed = match unread {
        0 => String::new(),
        unread => format!(", {} cannot be read", count(*unread)),
    };
    Failure::usage(
        &format!(
            "the NVS at {place:#x} opens with none of the keys of batch {batch}: {} tried{removed}",
            many(*tried, "bundle")
        ),
        "name the batch that the device is of with --batch; where its bundle was removed, give the keys with --keys, or name the device with --device",
    )
    .under(exit::STATION)
}

/// The files that are flashed as they are.
fn images(released: ReleasedDevice) -> (Device, Vec<Released>) {
    let ReleasedDevice {
        device,
        files,
        images,
    } = released;
    let image = |(name, octets): (String, Zeroizing<Vec<u8>>)| {
        let (_, format) = images.iter().find(|(image, _)| *image == name)?;
        Some(Released {
            format: (*format).to_owned(),
            name,
            octets,
        })
    };
    (device, files.into_iter().filter_map(image).collect())
}

impl Place {
    fn of(offset: usize, found: Found, files: &[Released]) -> Self {
        let (state, file, first_difference) = match found {
            Found::Same { file } => (State::AsReleased, Some(file), None),
            Found::Differs { file, at } => (State::Differs, Some(file), Some(at)),
            Found::Cut { file, at } => (State::CutOff, Some(file), Some(at)),
            Found::Other => (State::NothingReleased, None, Some(offset)),
        };
        let file = file.map(|file| &files[file]);
        Self {
            offset,
            state,
            file: file.map(|file| file.name.clone()),
            format: file.map(|file| file.format.clone()),
            octets: file.map(|file| file.octets.len()),
            first_difference,
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, batch) = (&self.device_id, printable::line(&self.batch));
        let judged = if self.as_released {
            "as released"
        } else {
            "NOT AS RELEASED"
        };
        writeln!(f, "device {device} of batch {batch}: {judged}")?;
        for place in &self.places {
            writeln!(f, "  {:#x}: {place}", place.offset)?;
        }
        match self.not_seen.as_slice() {
            [] => Ok(()),
            names => writeln!(f, "  not seen: {}", names.join(", ")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.as_deref().unwrap_or_default();
        let octets = count(self.octets.unwrap_or_default() as u64);
        let at = self.first_difference.unwrap_or_default();
        match self.state {
            State::AsReleased => write!(f, "{name}, {octets} octets, as released"),
            State::Differs => write!(
                f,
                "{name}, {octets} octets, differs from octet {at:#x} of the image on"
            ),
            State::CutOff => write!(f, "{name}, {octets} octets, but the image ends at {at:#x}"),
            State::NothingReleased => f.write_str("nothing that was released for this device"),
        }
    }
}
