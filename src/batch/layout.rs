//! Layouts: the names of a batch's objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GENERATIONS;
use super::shape::{MAX_CHUNK_ROWS, MOST_CHUNKS};
use crate::bundle;
use crate::digest::sha256;
use crate::manifest::DeviceId;

/// What the batch is: written first, before any bundle.
pub const BATCH_OBJECT: &str = "batch.json";

/// The signed statement that the batch is complete: written last, after every index.
pub const SEAL_OBJECT: &str = "seal.json";

/// The head of the ledger's history when the batch was sealed, signed: written after the seal.
pub const HISTORY_OBJECT: &str = "history.json";

/// The files that are the same for every device, of a batch whose profile shares some: written after the record, and
/// before any bundle.
pub const SHARED_OBJECT: &str = "shared.zip";

/// That the batch is withdrawn, so that nothing of it may come up.
pub const WITHDRAWN_OBJECT: &str = "withdrawn.json";

/// Folder of the indexes.
pub const INDEXES: &str = "index/";

/// Folders that bundles lie in, in one layout and the other.
pub const BUNDLE_FOLDERS: [&str; 2] = ["bundles/", "packs/"];

/// Folder of what the shards of a batch state.
pub const SHARDS: &str = "shards/";

/// Folders of what stations write.
pub const CLAIMS: &str = "claims/";
pub const FLASHED: &str = "flashed/";
pub const FAILED: &str = "failed/";
pub const SCRAPPED: &str = "scrapped/";

/// How bundles are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One object a device: `bundles/<hh>/<device id>.zip`, hh from a hash, so that S3 spreads the load.
    #[default]
    Objects,
    /// One object a chunk: `packs/<chunk>.zip`, a stored ZIP whose members are the bundles.
    Packs,
    /// As objects, each encrypted: `bundles/<hh>/<device id>.zip.age`.
    #[serde(rename = "objects-age")]
    EncryptedObjects,
    /// As packs, each of whose members is encrypted: a whole age file.
    #[serde(rename = "packs-age")]
    EncryptedPacks,
    /// As objects, each of which is the one file of a device itself: `bundles/<hh>/<device id>.bin`.
    #[serde(rename = "objects-file")]
    Files,
    /// As packs, whose members are files.
    #[serde(rename = "packs-file")]
    FilePacks,
    /// As objects, each a file that is encrypted: `bundles/<hh>/<device id>.bin.age`.
    #[serde(rename = "objects-file-age")]
    EncryptedFiles,
    /// As packs, whose members are files that are encrypted.
    #[serde(rename = "packs-file-age")]
    EncryptedFilePacks,
}

/// How a bundle lies there by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Zip,
    EncryptedZip,
    File,
    EncryptedFile,
}

impl Layout {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Packs => "packs",
            Self::EncryptedObjects => "objects-age",
            Self::EncryptedPacks => "packs-age",
            Self::Files => "objects-file",
            Self::FilePacks => "packs-file",
            Self::EncryptedFiles => "objects-file-age",
            Self::EncryptedFilePacks => "packs-file-age",
        }
    }

    fn wrapping(self) -> Wrapping {
        match self {
            Self::Objects | Self::Packs => Wrapping::Zip,
            Self::EncryptedObjects | Self::EncryptedPacks => Wrapping::EncryptedZip,
            Self::Files | Self::FilePacks => Wrapping::File,
            Self::EncryptedFiles | Self::EncryptedFilePacks => Wrapping::EncryptedFile,
        }
    }

    fn wrapped(self, wrapping: Wrapping) -> Self {
        match (wrapping, self.is_packed()) {
            (Wrapping::Zip, false) => Self::Objects,
            (Wrapping::Zip, true) => Self::Packs,
            (Wrapping::EncryptedZip, false) => Self::EncryptedObjects,
            (Wrapping::EncryptedZip, true) => Self::EncryptedPacks,
            (Wrapping::File, false) => Self::Files,
            (Wrapping::File, true) => Self::FilePacks,
            (Wrapping::EncryptedFile, false) => Self::EncryptedFiles,
            (Wrapping::EncryptedFile, true) => Self::EncryptedFilePacks,
        }
    }

    /// Whether a chunk's bundles are in one object.
    #[must_use]
    pub fn is_packed(self) -> bool {
        matches!(
            self,
            Self::Packs | Self::EncryptedPacks | Self::FilePacks | Self::EncryptedFilePacks
        )
    }

    /// Whether each bundle is encrypted, by itself.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        self != self.plain()
    }

    /// Whether a bundle is the one file of its device itself, and no ZIP.
    #[must_use]
    pub fn is_file(self) -> bool {
        matches!(self.wrapping(), Wrapping::File | Wrapping::EncryptedFile)
    }

    /// The same of bundles that are the one file of their device itself.
    #[must_use]
    pub fn of_files(self) -> Self {
        match self.is_encrypted() {
            true => self.wrapped(Wrapping::EncryptedFile),
            false => self.wrapped(Wrapping::File),
        }
    }

    /// The same of bundles that are ZIPs.
    #[must_use]
    pub fn of_zips(self) -> Self {
        match self.is_encrypted() {
            true => self.wrapped(Wrapping::EncryptedZip),
            false => self.wrapped(Wrapping::Zip),
        }
    }

    /// The same of bundles that are encrypted.
    #[must_use]
    pub fn encrypted(self) -> Self {
        match self.is_file() {
            true => self.wrapped(Wrapping::EncryptedFile),
            false => self.wrapped(Wrapping::EncryptedZip),
        }
    }

    /// The same of bundles that are not encrypted.
    #[must_use]
    pub fn plain(self) -> Self {
        match self.is_file() {
            true => self.wrapped(Wrapping::File),
            false => self.wrapped(Wrapping::Zip),
        }
    }

    /// How the name of a bundle ends, behind the device id.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self.wrapping() {
            Wrapping::Zip => ".zip",
            Wrapping::EncryptedZip => ".zip.age",
            Wrapping::File => ".bin",
            Wrapping::EncryptedFile => ".bin.age",
        }
    }

    /// What a device's bundle is called in a pack.
    #[must_use]
    pub fn member(self, device_id: &DeviceId) -> String {
        format!("{device_id}{}", self.ending())
    }

    /// The object that holds a device's bundle.
    #[must_use]
    pub fn object(self, chunk: u64, device_id: &DeviceId) -> String {
        if self.is_packed() {
            return pack_object(chunk);
        }
        let hash = sha256(device_id.as_str().as_bytes())[0];
        format!("bundles/{hash:02x}/{}", self.member(device_id))
    }
}

impl Layout {
    /// Whether an object is the one that holds a device's bundle.
    #[must_use]
    pub fn is_object(self, object: &str, chunk: u64, device_id: &DeviceId) -> bool {
        match self.is_packed() {
            false => self.object(chunk, device_id) == object,
            // One for all of them, which costs no digest.
            true => numbered(object, "packs/", ".zip") == Some(chunk),
        }
    }
}

/// The number in a name of six digits at least.
fn numbered(name: &str, before: &str, after: &str) -> Option<u64> {
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let number: u64 = digits.parse().ok()?;
    let is_padded = digits.len() == 6 || (digits.len() > 6 && !digits.starts_with('0'));
    (is_padded && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(number)
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "objects" => Ok(Self::Objects),
            "packs" => Ok(Self::Packs),
            _ => Err("a layout is objects or packs".to_owned()),
        }
    }
}

/// The pack of a chunk, in layout packs.
#[must_use]
pub fn pack_object(chunk: u64) -> String {
    format!("packs/{chunk:06}.zip")
}

/// The index of a chunk; when it is in place, the chunk's bundles are released.
#[must_use]
pub fn index_object(chunk: u64) -> String {
    format!("{INDEXES}{chunk:06}.csv")
}

/// The certificates of a chunk, PEM, in row order: public, for a later registration or revocation.
#[must_use]
pub fn certificates_object(chunk: u64) -> String {
    format!("certificates/{chunk:06}.pem")
}

/// A part of the lookup, which finds the chunk of a device.
#[must_use]
pub fn lookup_object(part: u64) -> String {
    format!("lookup/{part:06}.csv")
}

/// What a shard states of its chunks, once all are released.
#[must_use]
pub fn shard_object(shard: u32) -> String {
    format!("{SHARDS}{shard:06}.json")
}

/// Whose a shard is: the ledger that accounts for it, before it has any object.
#[must_use]
pub fn shard_ledger_object(shard: u32) -> String {
    format!("{SHARDS}{shard:06}.ledger.json")
}

/// The claim of a device: what became of it, and at which station. A chunk's claims are in one folder, so
/// that one listing finds what is left of it.
#[must_use]
pub fn claim_object(chunk: u64, device_id: &DeviceId) -> String {
    format!("{CLAIMS}{chunk:06}/{device_id}.json")
}

/// The record that a device was flashed.
#[must_use]
pub fn flashed_object(chunk: u64, device_id: &DeviceId) -> String {
    format!("{FLASHED}{chunk:06}/{device_id}.json")
}

/// The record that an attempt at flashing a device failed.
#[must_use]
pub fn failed_object(chunk: u64, device_id: &DeviceId, attempt: u32) -> String {
    format!("{FAILED}{chunk:06}/{device_id}/{attempt}.json")
}

/// The record that a device was scrapped.
#[must_use]
pub fn scrapped_object(chunk: u64, device_id: &DeviceId) -> String {
    format!("{SCRAPPED}{chunk:06}/{device_id}.json")
}

/// So many octets an object of this name has at most, if a forge or a station wrote it: whoever may write there could have made
/// it larger than any memory.
#[must_use]
pub fn most_octets(object: &str) -> u64 {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const ROWS: u64 = MAX_CHUNK_ROWS as u64;
    let object = match object.strip_prefix(GENERATIONS) {
        None => object,
        // As in the batch itself, behind number and attempt.
        Some(own) => {
            let own = own.split_once('/').map_or("", |(_, own)| own);
            match own == SEAL_OBJECT {
                true => own,
                false => own.split_once('/').map_or("", |(_, own)| own),
            }
        }
    };
    match object.split_once('/').map_or(object, |(folder, _)| folder) {
        // A digest of each chunk, and of each part of the lookup.
        SEAL_OBJECT => 2 * MOST_CHUNKS * 72 + MIB,
        "shards" => MOST_CHUNKS * 72 + MIB,
        BATCH_OBJECT => 4 * MIB,
        // A row has eight fields, the longest of which is an id in the name of an object.
        "index" => (ROWS + 1) * 640,
        "certificates" => ROWS * 16 * KIB,
        "bundles" | SHARED_OBJECT => bundle::MOST_OCTETS as u64,
        // As ZIPs without ZIP64 have.
        "packs" => u32::MAX.into(),
        // What stations write, and what withdraws a batch; and a part of the lookup, which knows about as many devices as a
        // chunk has.
        _ => MIB,
    }
}

/// The chunk and the device of a record that is named like `<folder><chunk>/<device id>.json`.
#[must_use]
pub fn device_of(object: &str, folder: &str) -> Option<(u64, DeviceId)> {
    let (chunk, device_id) = object
        .strip_prefix(folder)?
        .strip_suffix(".json")?
        .split_once('/')?;
    let number = chunk.parse().ok()?;
    let device_id = DeviceId::parse(device_id).ok()?;
    (chunk == format!("{number:06}")).then_some((number, device_id))
}

/// The chunk whose index has this name.
#[must_use]
pub fn chunk_of(index_object: &str) -> Option<u64> {
    let number = index_object.strip_prefix(INDEXES)?.strip_suffix(".csv")?;
    let chunk = number.parse().ok()?;
    (self::index_object(chunk) == index_object).then_some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_devices_if_it_has_the_name_that_the_layout_gives_it() {
        let id = DeviceId::parse("SN1").unwrap();
        let all = [
            Layout::Objects,
            Layout::Packs,
            Layout::EncryptedObjects,
            Layout::EncryptedPacks,
            Layout::Files,
            Layout::FilePacks,
            Layout::EncryptedFiles,
            Layout::EncryptedFilePacks,
        ];
        for layout in all {
            for chunk in [0, 7, 999_999, 1_000_000] {
                let own = layout.object(chunk, &id);
                assert!(layout.is_object(&own, chunk, &id), "{own}");
                let others = [
                    "packs/7.zip",
                    "packs/0000007.zip",
                    "packs/+00007.zip",
                    "packs/000007.zip ",
                    "",
                ];
                for other in others.into_iter().filter(|other| *other != own) {
                    assert!(!layout.is_object(other, chunk, &id), "{other}");
                }
            }
        }
        assert!(!Layout::Packs.is_object("packs/000008.zip", 7, &id));
        assert!(!Layout::Objects.is_object(&Layout::EncryptedObjects.object(0, &id), 0, &id));
        assert!(!Layout::EncryptedObjects.is_object(&Layout::Objects.object(0, &id), 0, &id));
    }

    #[test]
    fn what_a_bundle_is_by_itself_says_nothing_of_packs() {
        use Layout::{
            EncryptedFilePacks, EncryptedFiles, EncryptedObjects, EncryptedPacks, FilePacks, Files, Objects,
            Packs,
        };
        for [zip, zip_age, file, file_age] in [
            [Objects, EncryptedObjects, Files, EncryptedFiles],
            [Packs, EncryptedPacks, FilePacks, EncryptedFilePacks],
        ] {
            for layout in [zip, zip_age, file, file_age] {
                assert_eq!(layout.is_packed(), zip == Packs);
                let is_file = layout == file || layout == file_age;
                assert_eq!(layout.is_file(), is_file);
                assert_eq!(layout.plain(), if is_file { file } else { zip });
                assert_eq!(layout.encrypted(), if is_file { file_age } else { zip_age });
                assert_eq!(layout.of_files().is_encrypted(), layout.is_encrypted());
                assert_eq!(layout.of_files().of_zips(), layout.of_zips());
                assert_eq!(serde_json::to_value(layout).unwrap(), layout.as_str());
            }
        }
    }

    #[test]
    fn record_names_give_their_chunk_and_device_back() {
        let [sn1, ab] = ["SN1", "a:b"].map(|id| DeviceId::parse(id).unwrap());
        let found = device_of(&claim_object(7, &sn1), CLAIMS);
        assert_eq!(found, Some((7, sn1.clone())));
        let found = device_of(&flashed_object(1_000_000, &ab), FLASHED);
        assert_eq!(found, Some((1_000_000, ab)));
        for name in [
            "claims/7/SN1.json",
            "claims/000007/SN1",
            "claims/000007/..json",
            "claims/000007/a b.json",
            "claims/000007/a/b.json",
            "flashed/000007/SN1.json",
        ] {
            assert_eq!(device_of(name, CLAIMS), None, "{name}");
        }
        assert_eq!(device_of(&failed_object(7, &sn1, 2), FAILED), None);
    }

    #[test]
    fn what_a_generation_has_may_be_as_long_as_what_the_batch_has() {
        for object in [
            "seal.json",
            "batch.json",
            "packs/000000.zip",
            "index/000000.csv",
            "lookup/000000.csv",
        ] {
            let folder = super::super::GenerationFolder::new(3, "abc").unwrap();
            assert_eq!(
                most_octets(&folder.object(object)),
                most_octets(object),
                "{object}"
            );
        }
    }

    #[test]
    fn index_names_give_their_chunk_back() {
        for chunk in [0, 7, 999_999, 1_000_000] {
            assert_eq!(chunk_of(&index_object(chunk)), Some(chunk));
        }
        for name in [
            "index/7.csv",
            "index/.000007.csv.tmp",
            "index/x.csv",
            "packs/000007.zip",
        ] {
            assert_eq!(chunk_of(name), None);
        }
    }
}
