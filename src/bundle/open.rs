//! Bundles, opened: the one reader of what [`super::BundleWriter`] writes.
//!
//! It is told what was asked for. Nothing is inflated of a bundle that is not the one its digest names, no file
//! beyond what its recipe allows, and none that the recipe does not have; names come from the recipe, never from
//! the archive. The archive itself is opened by the zip crate, of which the writer knows nothing.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::ops::Range;

use zeroize::Zeroizing;
use zip::{CompressionMethod, ZipArchive};

use super::encryption::is_encrypted;
use super::format::{Beside, Value};
use super::{Content, Drawn, Member, Recipe, Secrets};
use crate::digest::sha256;

/// Files in a bundle whose recipe is not at hand, and octets of each, at most.
const UNKNOWN_FILES: usize = 64;
const UNKNOWN_OCTETS: usize = 1024 * 1024;

/// Octets of such a bundle, at most: several times what any recipe makes. What a list of files takes in memory is
/// fifty times what it takes in a ZIP.
pub const MOST_OCTETS: usize = 2 * 1024 * 1024;

/// What a ZIP has beside the contents of its files, at most: for each of them two headers, with its name in both.
const HEADERS: usize = 4 * 1024;

/// Names that an error tells of, at most, and characters of each.
const NAMES_TOLD: usize = 64;
const CHARACTERS_TOLD: usize = 64;

/// The files of a bundle, by name.
pub type Files = Vec<(String, Zeroizing<Vec<u8>>)>;

/// A file of a bundle.
pub struct Opened<'a> {
    pub member: &'a Member,
    /// What the device's file is called.
    pub name: Cow<'a, str>,
    pub octets: Zeroizing<Vec<u8>>,
}

impl Opened<'_> {
    /// With its name, which is the recipe's.
    #[must_use]
    pub fn into_named(self) -> (String, Zeroizing<Vec<u8>>) {
        (self.name.into_owned(), self.octets)
    }
}

/// The secrets that files of a bundle deliver for others.
#[derive(Default)]
pub struct Delivered(Vec<(Drawn, Zeroizing<Vec<u8>>)>);

impl Delivered {
    #[must_use]
    pub fn by(files: &[Opened<'_>]) -> Self {
        let mut delivered = Vec::new();
        for Opened { member, octets, .. } in files {
            let is_drawn = |content: &Content| matches!(content, Content::Drawn(_));
            if !member.contents().iter().any(is_drawn) {
                continue;
            }
            let values = member.read(octets, &Beside::default()).unwrap_or_default();
            for (content, value) in member.contents().iter().zip(values) {
                if let (Content::Drawn(drawn), Value::Drawn(octets)) = (content, value) {
                    delivered.push((*drawn, octets));
                }
            }
        }
        Self(delivered)
    }

    #[must_use]
    pub fn secrets(&self) -> Secrets<'_> {
        let mut secrets = Secrets::default();
        for (drawn, octets) in &self.0 {
            secrets.set(*drawn, octets);
        }
        secrets
    }
}

/// Octets that are not the bundle that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("SHA-256 is not that of the index")]
    OtherDigest,
    #[error("the zip is damaged: {0}")]
    Damaged(String),
    #[error("holds {} where the profile has {}", found.join(", "), expected.join(", "))]
    OtherFiles {
        found: Vec<String>,
        expected: Vec<String>,
    },
    #[error("{name} has more than {limit} octets")]
    TooLarge { name: String, limit: usize },
    #[error("has {found} octets, and no bundle of this kind has more than {limit}")]
    TooLong { found: usize, limit: usize },
    #[error("it is encrypted, in the age format")]
    Encrypted,
    #[error("this is a pack, with the bundles of {bundles} devices")]
    Pack { bundles: usize },
}

/// Opens the bundle of a device that has this digest, and was made by this recipe.
///
/// # Errors
///
/// When the octets are another bundle, or none.
pub fn open<'a>(
    octets: &[u8],
    sha256: &[u8; 32],
    recipe: &'a Recipe,
    device_id: &str,
) -> Result<Vec<Opened<'a>>, OpenError> {
    match self::sha256(octets) == *sha256 {
        true => examine(octets, recipe, device_id),
        false => Err(OpenError::OtherDigest),
    }
}

/// Opens what may be no bundle at all, for whoever looks for everything that is wrong with it. The same bounds hold.
///
/// # Errors
///
/// When the octets are no bundle of this recipe.
pub fn examine<'a>(octets: &[u8], recipe: &'a Recipe, device_id: &str) -> Result<Vec<Opened<'a>>, OpenError> {
    match recipe.members() {
        [member] if recipe.is_file() => {
            refuse_too_long(octets, member.most())?;
            Ok(vec![Opened {
                member,
                name: member.name_for(device_id),
                octets: Zeroizing::new(octets.to_vec()),
            }])
        }
        members => examine_members(octets, members, device_id),
    }
}

/// Opens a ZIP of these files and no others.
pub(super) fn examine_members<'a>(
    octets: &[u8],
    wanted: &'a [Member],
    device_id: &str,
) -> Result<Vec<Opened<'a>>, OpenError> {
    refuse_too_long(octets, most_of(wanted))?;
    let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(damaged)?;
    let names = names_of(&archive);
    let find = |name: &String| wanted.iter().find(|member| member.name_for(device_id) == *name);
    let members: Vec<_> = names.iter().filter_map(find).collect();
    let is_each = |member: &Member| members.iter().any(|found| found.name() == member.name());
    // As many as the recipe has, and each of them: so none twice, and no other.
    if names.len() != wanted.len() || !wanted.iter().all(is_each) {
        return Err(OpenError::OtherFiles {
            found: told(&names),
            expected: wanted
                .iter()
                .map(|own| own.name_for(device_id).into_owned())
                .collect(),
        });
    }
    let mut opened = Vec::with_capacity(members.len());
    for (i, member) in members.into_iter().enumerate() {
        let name = member.name_for(device_id);
        let octets = inflate(&mut archive, i, &name, member.most())?;
        opened.push(Opened { member, name, octets });
    }
    Ok(opened)
}

/// Octets that a bundle of a recipe has at most: more than any that a forge makes.
#[must_use]
pub fn most_octets(recipe: &Recipe) -> usize {
    most_of(recipe.members())
}

fn most_of(members: &[Member]) -> usize {
    let room = |member: &Member| 2 * member.most() + HEADERS;
    members.iter().map(room).sum()
}

/// Opens a bundle that somebody has at hand without its batch, so that its recipe is not known: the files by their
/// names, which are such as a recipe may have.
///
/// # Errors
///
/// When the octets are no bundle.
pub fn open_unknown(octets: &[u8]) -> Result<Files, OpenError> {
    refuse_too_long(octets, MOST_OCTETS)?;
    if is_encrypted(octets) {
        return Err(OpenError::Encrypted);
    }
    let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(damaged)?;
    let names = names_of(&archive);
    let bundles = names.iter().filter(|name| is_bundle(name)).count();
    if bundles > 0 && bundles == names.len() {
        return Err(OpenError::Pack { bundles });
    }
    if names.len() > UNKNOWN_FILES {
        return Err(OpenError::Damaged(format!("it has {} files", names.len())));
    }
    let mut files = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        if !super::recipe::is_name(&name) {
            let name = told(&[name]).concat();
            return Err(OpenError::Damaged(format!("no file is named {name}")));
        }
        let octets = inflate(&mut archive, i, &name, UNKNOWN_OCTETS)?;
        files.push((name, octets));
    }
    Ok(files)
}

/// Whether a file is named as a bundle in a pack.
#[must_use]
pub fn is_bundle(name: &str) -> bool {
    name.ends_with(".zip") || name.ends_with(".zip.age")
}

/// A file of a ZIP: its name, and which octets of the ZIP it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub name: String,
    pub octets: Range<u64>,
}

/// The files of a ZIP whose files are stored as they are, such as a pack, in order.
///
/// # Errors
///
/// When the octets are no such ZIP.
pub fn placed(octets: &[u8]) -> Result<Vec<Placed>, OpenError> {
    let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(damaged)?;
    let names = names_of(&archive);
    let mut files = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        let file = archive.by_index_raw(i).map_err(damaged)?;
        let start = file.data_start().filter(|_| {
            file.compression() == CompressionMethod::Stored && file.size() == file.compressed_size()
        });
        let start = start.ok_or_else(|| {
            OpenError::Damaged(format!(
                "{} is not stored as it is",
                told(std::slice::from_ref(&name)).concat()
            ))
        })?;
        files.push(Placed {
            name,
            octets: start..start.saturating_add(file.size()),
        });
    }
    Ok(files)
}

/// Refuses what is too long to be a bundle before any of it is read, its list of files least of all.
fn refuse_too_long(octets: &[u8], limit: usize) -> Result<(), OpenError> {
    match octets.len() {
        found if found > limit => Err(OpenError::TooLong { found, limit }),
        _ => Ok(()),
    }
}

fn damaged(error: impl std::fmt::Display) -> OpenError {
    OpenError::Damaged(error.to_string())
}

/// Names as the archive has them; one that is no text is empty, which no file is.
fn names_of(archive: &ZipArchive<Cursor<&[u8]>>) -> Vec<String> {
    let names = archive.file_names();
    names.map(|name| name.unwrap_or_default().into_owned()).collect()
}

/// Names from outside, fit for an error.
fn told(names: &[String]) -> Vec<String> {
    let told = |name: &String| {
        let start: String = name.chars().take(CHARACTERS_TOLD).collect();
        start.escape_debug().to_string()
    };
    names.iter().take(NAMES_TOLD).map(told).collect()
}

/// A file of an archive, read whole, so that its sums are checked, into a buffer that never moves.
fn inflate(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    i: usize,
    name: &str,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let too_large = || OpenError::TooLarge {
        name: name.to_owned(),
        limit,
    };
    let in_file = |error: &dyn std::fmt::Display| OpenError::Damaged(format!("{name}: {error}"));
    let file = archive.by_index(i).map_err(|error| in_file(&error))?;
    let declared = usize::try_from(file.size()).ok();
    let declared = declared
        .filter(|declared| *declared <= limit)
        .ok_or_else(too_large)?;
    // What it has beyond what it declares is a fault, whatever the archive's reader says to it.
    let mut octets = Zeroizing::new(Vec::with_capacity(declared + 64));
    let mut bounded = file.take(declared as u64 + 1);
    bounded
        .read_to_end(&mut octets)
        .map_err(|error| in_file(&error))?;
    match octets.len() == declared {
        true => Ok(octets),
        false => Err(in_file(&"it has another size than it says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Archive, Constant, Content};

    fn recipe() -> Recipe {
        let member = |name, content| Member::new(name, &[content], None, None).unwrap();
        Recipe::new(vec![
            member("key", Content::PrivateKey),
            member("certificate", Content::Certificate),
        ])
        .unwrap()
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        let mut archive = Archive::begin(&mut out, &mut directory);
        for (name, content) in files {
            archive.constant(name, 0o600, &Constant::deflated(content));
        }
        archive.finish();
        out
    }

    fn error(octets: &[u8]) -> String {
        let error = examine(octets, &recipe(), "SN1").err();
        error.map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn inflates_nothing_that_its_digest_does_not_name() {
        let recipe = recipe();
        let octets = zip(&[("key", b"k"), ("certificate", b"c")]);
        assert_eq!(
            open(&octets, &[7; 32], &recipe, "SN1").err(),
            Some(OpenError::OtherDigest)
        );
        let opened = open(&octets, &sha256(&octets), &recipe, "SN1").unwrap();
        let found = opened
            .iter()
            .map(|file| (file.member.name(), file.octets.as_slice()));
        assert!(found.eq([("key", b"k".as_slice()), ("certificate", b"c")]));
    }

    #[test]
    fn opens_nothing_but_the_files_of_the_recipe_in_any_order() {
        assert_eq!(error(&zip(&[("certificate", b"c"), ("key", b"k")])), "");
        for (names, told) in [
            (&["key"][..], "key"),
            (&["key", "certificate", "more"], "key, certificate, more"),
            (&["key", "../certificate"], "key, ../certificate"),
            (&["key", "\u{1b}[2J"], "key, \\u{1b}[2J"),
        ] {
            let files: Vec<_> = names.iter().map(|name| (*name, b"x".as_slice())).collect();
            let expected = format!("holds {told} where the profile has key, certificate");
            assert_eq!(error(&zip(&files)), expected);
        }
    }

    #[test]
    fn inflates_no_bomb() {
        let bomb = vec![0; 32 * 1024 * 1024];
        let octets = zip(&[("key", &bomb), ("certificate", b"c")]);
        assert!(octets.len() < 64 * 1024);
        assert!(error(&octets).starts_with("key has more than "));
        assert!(matches!(open_unknown(&octets), Err(OpenError::TooLarge { .. })));

        // It says that it is small.
        let mut liar = octets;
        for (signature, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
            let at = liar.windows(4).position(|window| window == signature).unwrap();
            liar[at + offset..at + offset + 4].copy_from_slice(&100_u32.to_le_bytes());
        }
        assert!(
            error(&liar).starts_with("the zip is damaged: key: "),
            "{}",
            error(&liar)
        );
        assert!(open_unknown(&liar).is_err());
    }

    #[test]
    fn reads_no_list_of_more_files_than_a_bundle_can_have() {
        let names: Vec<String> = (0..30_000).map(|i| format!("{i:05}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        let octets = zip(&files);
        let told = error(&octets);
        assert!(
            told.contains("octets, and no bundle of this kind has more than"),
            "{told}"
        );
        let fewer = error(&zip(&files[..200]));
        assert!(
            fewer.starts_with("holds 00000, 00001") && fewer.len() < 2000,
            "{fewer}"
        );
        assert!(open_unknown(&octets).is_err());
        let larger = vec![0; MOST_OCTETS + 1];
        assert!(matches!(open_unknown(&larger), Err(OpenError::TooLong { .. })));
    }

    #[test]
    fn a_zip_within_a_file_is_not_opened() {
        let bomb = zip(&[("key", &vec![0; 16 * 1024 * 1024]), ("certificate", b"c")]);
        let octets = zip(&[("key", b"k"), ("certificate", &bomb)]);
        let recipe = recipe();
        let opened = examine(&octets, &recipe, "SN1").unwrap();
        assert_eq!(opened[1].octets.as_slice(), bomb);
    }

    #[test]
    fn files_that_lie_over_one_another_are_bounded_as_others_are() {
        // Both files are the first one, by where the list of files says that they begin.
        let mut octets = zip(&[("key", &vec![0; 15 * 1024]), ("certificate", b"c")]);
        let second = octets
            .windows(4)
            .rposition(|window| window == b"PK\x01\x02")
            .unwrap();
        octets[second + 42..second + 46].fill(0);
        assert!(!error(&octets).is_empty());
    }

    #[test]
    fn a_bundle_at_hand_has_names_that_a_recipe_may_have() {
        let octets = zip(&[("key", b"k"), ("own.zip", b"c")]);
        let names = open_unknown(&octets).unwrap().into_iter().map(|(name, _)| name);
        assert!(names.eq(["key", "own.zip"]));
        assert!(open_unknown(&zip(&[("a/../b", b"k")])).is_err());
        let pack = zip(&[("SN:1.zip", b"k"), ("SN:2.zip", b"c")]);
        assert_eq!(open_unknown(&pack).err(), Some(OpenError::Pack { bundles: 2 }));
    }
}
