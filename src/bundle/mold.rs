//! Molds: a bundle that was opened and found good, by which others of its batch are known without a reader of ZIPs.
//!
//! What fits a mold is, octet for octet, a ZIP that the reader reads as it read the first one: the same files in
//! the same places, those that are the same for every device unchanged, and for the others true sizes and sums. What
//! does not fit is not wrong yet: [`super::open()`] tells. This reads what lies there and knows nothing of the writer.

use std::ops::Deref;

use flate2::{Decompress, FlushDecompress, Status};
use zeroize::Zeroizing;

/// Octets of headers, without names: APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16.
const LOCAL: usize = 30;
const IN_DIRECTORY: usize = 46;
const END: usize = 22;

/// In the header before a file, from its CRC-32 to its size; the header in the directory has the same 2 octets later.
const SUMS: std::ops::Range<usize> = 14..26;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Octets of a deflated file that differs from device to device, at most.
const MOST_INFLATED: usize = 256 * 1024;

/// What a file of a bundle holds: as it lies there, or inflated. It may be a private key.
pub enum Octets<'a> {
    Lying(&'a [u8]),
    Inflated(Zeroizing<Vec<u8>>),
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lying(octets) => octets,
            Self::Inflated(octets) => octets,
        }
    }
}

/// What the bundles of a batch have in common.
pub struct Mold {
    files: Vec<File>,
    end: [u8; END],
}

struct File {
    /// `None`: it is every device's own.
    same: Option<Vec<u8>>,
    /// The header before the file, with its name.
    local: Vec<u8>,
    /// The header in the directory, with its name.
    directory: Vec<u8>,
}

impl File {
    fn name(&self) -> &[u8] {
        &self.local[LOCAL..]
    }

    fn method(&self) -> u16 {
        get16(&self.local, 8).unwrap_or_default()
    }
}

impl Mold {
    /// Of a bundle that was found good. `is_same` tells of a file whether it is the same for every device. `None` when
    /// it does not lie there as simply as it could.
    pub fn of(bundle: &[u8], is_same: impl Fn(&str) -> bool) -> Option<Self> {
        let mut files = Vec::new();
        let end = walk(bundle, |file| {
            files.push(File {
                same: is_same(file.name()?).then(|| bundle[file.at..file.end].to_vec()),
                local: file.local.to_vec(),
                directory: file.directory.to_vec(),
            });
            Some(())
        })?;
        let mold = Self { files, end: *end };
        let mut contents = Vec::new();
        mold.fits(bundle, &mut contents).then_some(mold)
    }

    /// The names of the files that are every device's own, in order.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        let own = self.files.iter().filter(|file| file.same.is_none());
        own.map(|file| std::str::from_utf8(file.name()).unwrap_or_default())
    }

    /// Whether a bundle fits. `contents` becomes what the files hold that are every device's own, in order; nothing of
    /// it may be used when the bundle does not fit.
    pub fn fits<'a>(&self, bundle: &'a [u8], contents: &mut Vec<Octets<'a>>) -> bool {
        contents.clear();
        self.try_fit(bundle, contents).is_some()
    }

    fn try_fit<'a>(&self, bundle: &'a [u8], contents: &mut Vec<Octets<'a>>) -> Option<()> {
        // Where each file begins, and its sums, to be found in the directory again.
        let mut places = [(0, [0; 12]); MOST_FILES];
        let mut rest = bundle;
        for (file, place) in self.files.iter().zip(places.get_mut(..self.files.len())?) {
            let at = bundle.len() - rest.len();
            let local = rest.get(..file.local.len())?;
            *place = (u32::try_from(at).ok()?, local[SUMS].try_into().ok()?);
            if let Some(same) = &file.same {
                rest = rest.strip_prefix(same.as_slice())?;
                continue;
            }
            ensure(local[..SUMS.start] == file.local[..SUMS.start])?;
            ensure(local[SUMS.end..] == file.local[SUMS.end..])?;
            let (data, after) = rest[local.len()..].split_at_checked(get32(local, 18)?)?;
            let content = match file.method() {
                STORED => Octets::Lying(data),
                DEFLATED => Octets::Inflated(inflate(data, get32(local, 22)?)?),
                _ => return None,
            };
            let is_so = content.len() == get32(local, 22)?
                && local[SUMS.start..18] == crc32fast::hash(&content).to_le_bytes();
            ensure(is_so)?;
            contents.push(content);
            rest = after;
        }
        let directory_at = bundle.len() - rest.len();
        for (file, (at, sums)) in self.files.iter().zip(places) {
            let (entry, after) = rest.split_at_checked(file.directory.len())?;
            let is_so = entry[..16] == file.directory[..16]
                && entry[16..28] == sums
                && entry[28..42] == file.directory[28..42]
                && entry[42..IN_DIRECTORY] == at.to_le_bytes()
                && entry[IN_DIRECTORY..] == file.directory[IN_DIRECTORY..];
            ensure(is_so)?;
            rest = after;
        }
        let end: &[u8; END] = rest.try_into().ok()?;
        let directory = bundle.len() - END - directory_at;
        let is_so = end[..12] == self.end[..12]
            && get32(end, 12)? == directory
            && get32(end, 16)? == directory_at
            && end[20..] == self.end[20..];
        ensure(is_so)
    }
}

/// A file of a ZIP, as it lies there.
struct Lying<'a> {
    /// Where its header begins, and where its octets end.
    at: usize,
    end: usize,
    local: &'a [u8],
    directory: &'a [u8],
}

impl Lying<'_> {
    fn name(&self) -> Option<&str> {
        std::str::from_utf8(&self.local[LOCAL..]).ok()
    }
}

/// Visits the files of a ZIP that lies there as simply as it could: files one after the other, each with its header,
/// then the directory with the same in the same order, and nothing else. Returns how it ends.
fn walk<'a>(zip: &'a [u8], mut each: impl FnMut(Lying<'a>) -> Option<()>) -> Option<&'a [u8; END]> {
    let (before, end) = zip.split_last_chunk::<END>()?;
    // One disk, and no comment.
    let is_plain = end.starts_with(b"PK\x05\x06\0\0\0\0") && end[20..] == [0; 2] && end[8..10] == end[10..12];
    ensure(is_plain)?;
    let (files, mut directory) = before.split_at_checked(get32(end, 16)?)?;
    ensure(directory.len() == get32(end, 12)?)?;
    let mut at = 0;
    for _ in 0..get16(end, 8)? {
        let (entry, local) = (directory, files.get(at..)?);
        let name_len = usize::from(get16(entry, 28)?);
        let (entry, rest) = entry.split_at_checked(IN_DIRECTORY + name_len)?;
        let local = local.get(..LOCAL + name_len)?;
        // No encryption, no sums behind the file, no extra fields, no comment, one disk.
        let is_plain = entry.starts_with(b"PK\x01\x02")
            && local.starts_with(b"PK\x03\x04")
            && local[4..LOCAL] == entry[6..32]
            && local[6..8] == [0; 2]
            && local[28..30] == [0; 2]
            && entry[32..36] == [0; 4]
            && get32(entry, 42)? == at
            && local[LOCAL..] == entry[IN_DIRECTORY..];
        ensure(is_plain)?;
        let end = at.checked_add(local.len())?.checked_add(get32(local, 18)?)?;
        ensure(end <= files.len())?;
        each(Lying {
            at,
            end,
            local,
            directory: entry,
        })?;
        (at, directory) = (end, rest);
    }
    (at == files.len() && directory.is_empty()).then_some(end)
}

/// Whether octets are a ZIP whose files are stored as they are and lie there one after the other, and `is_next` says of
/// each, in order, that it is the one it should be: by its name and which octets it has. It says so of no more than
/// there should be, and whoever asks counts them. What is no such ZIP may be a ZIP all the same.
pub fn are_placed(zip: &[u8], mut is_next: impl FnMut(&str, std::ops::Range<u64>) -> bool) -> bool {
    let walked = walk(zip, |file| {
        let octets = (file.at + file.local.len()) as u64..file.end as u64;
        let is_stored = get16(file.local, 8)? == STORED && file.local[18..22] == file.local[22..26];
        ensure(is_stored && is_next(file.name()?, octets))
    });
    walked.is_some()
}

/// Files of a bundle, at most, as a recipe has them.
const MOST_FILES: usize = 64;

fn ensure(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// What was deflated, if it is so long and nothing follows it.
fn inflate(data: &[u8], size: usize) -> Option<Zeroizing<Vec<u8>>> {
    ensure(size <= MOST_INFLATED)?;
    // Room for an octet more tells one that is longer.
    let mut out = Zeroizing::new(Vec::with_capacity(size + 1));
    let mut inflater = Decompress::new(false);
    let status = inflater
        .decompress_vec(data, &mut out, FlushDecompress::Finish)
        .ok()?;
    let is_whole =
        status == Status::StreamEnd && inflater.total_in() == data.len() as u64 && out.len() == size;
    is_whole.then_some(out)
}

fn get16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn get32(octets: &[u8], at: usize) -> Option<usize> {
    let octets = octets.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(octets)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Bundler, Credential, Recipe, Shared, examine};
    use crate::profile::Profile;
    use proptest::prelude::*;

    const PROFILE: &str = "name = 'p'
        [bundle]
        files = [
            { name = 'key.pem', content = 'private-key' },
            { name = 'chain.pem', content = 'chain', compression = 'deflated' },
            { name = 'root.pem', content = 'amazon-root-ca-3' },
            { name = 'endpoint.json', content = 'endpoint' },
        ]";

    fn recipe() -> Recipe {
        Profile::parse(PROFILE, "test", None).unwrap().recipe().clone()
    }

    fn bundle(recipe: &Recipe, i: u8) -> Vec<u8> {
        let shared = Shared {
            issuer: b"issuer".to_vec(),
            host: None,
            port: 8883,
            region: None,
        };
        let name = "d".repeat(usize::from(i) + 1);
        let credential = Credential {
            private_key: &[i; 138],
            certificate: &vec![i; 600 + usize::from(i)],
            thing_name: &name,
            client_id: &name,
            device_id: &name,
            texts: &[],
        };
        let mut out = Vec::new();
        let bundler = Bundler::new(recipe, shared).unwrap();
        bundler.writer().append(&credential, &mut out);
        out
    }

    fn mold(recipe: &Recipe, bundle: &[u8]) -> Option<Mold> {
        Mold::of(bundle, |name| name == "root.pem" && recipe.members().len() == 4)
    }

    #[test]
    fn what_fits_is_what_the_reader_reads() {
        let recipe = recipe();
        let mold = mold(&recipe, &bundle(&recipe, 7)).unwrap();
        for i in 0..20 {
            let bundle = bundle(&recipe, i);
            let mut contents = Vec::new();
            assert!(mold.fits(&bundle, &mut contents));
            let opened = examine(&bundle, &recipe, "d").unwrap();
            let own = opened.iter().filter(|file| file.member.name() != "root.pem");
            let own: Vec<_> = own
                .map(|file| (file.member.name(), file.octets.to_vec()))
                .collect();
            let fitted = mold.own().zip(contents.iter().map(|content| content.to_vec()));
            assert_eq!(fitted.collect::<Vec<_>>(), own);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_was_changed_does_not_fit(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let recipe = recipe();
            let mold = mold(&recipe, &bundle(&recipe, 7)).unwrap();
            let mut changed = bundle(&recipe, 9);
            let at = at.index(changed.len());
            changed[at] ^= 1u8 << bit;
            let mut contents = Vec::new();
            // Bits behind the end of what is deflated say nothing: the digest alone tells.
            let files = |octets: &[u8]| {
                let files = examine(octets, &recipe, "d").ok()?.into_iter();
                Some(files.map(|file| file.octets.to_vec()).collect::<Vec<_>>())
            };
            let is_same = files(&changed) == files(&bundle(&recipe, 9));
            prop_assert!(!mold.fits(&changed, &mut contents) || is_same);
            prop_assert!(!mold.fits(&changed[..at], &mut contents));
            let mut changed = changed.clone();
            changed[at] ^= 1u8 << bit;
            changed.insert(at, 0);
            prop_assert!(!mold.fits(&changed, &mut Vec::new()));
        }

        #[test]
        fn nothing_panics_on_what_is_no_zip(octets in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..300) {
            let recipe = recipe();
            let good = bundle(&recipe, 7);
            let _ = mold(&recipe, &octets);
            // Its own end, behind other octets.
            let tail = &good[good.len() - cut..];
            let _ = mold(&recipe, &[&octets, tail].concat());
        }
    }

    #[test]
    fn a_pack_has_its_bundles_one_after_the_other_and_nothing_else() {
        use crate::bundle::{Archive, placed};
        let (mut pack, mut directory) = (Vec::new(), Vec::new());
        let mut archive = Archive::begin(&mut pack, &mut directory);
        for i in 0..5_u8 {
            archive.stored(&format!("SN{i}.zip"), 0o600, |out| {
                out.extend_from_slice(&[i; 90]);
            });
        }
        archive.finish();
        let files = placed(&pack).unwrap();
        let are_those = |pack: &[u8]| {
            let mut files = files.iter();
            let is_next = |name: &str, octets| {
                files
                    .next()
                    .is_some_and(|file| file.name == name && file.octets == octets)
            };
            are_placed(pack, is_next) && files.next().is_none()
        };
        assert!(are_those(&pack));
        for at in 0..pack.len() {
            let mut changed = pack.clone();
            changed[at] ^= 1;
            let is_content = files.iter().any(|file| file.octets.contains(&(at as u64)));
            // What it says of itself that no other place says again, and no reader asks for.
            let as_before = placed(&changed).is_ok_and(|found| found == files);
            assert!(!are_those(&changed) || as_before, "{at}");
            assert!(are_those(&changed) || !is_content, "{at}");
        }
        assert!(!are_those(&pack[..pack.len() - 1]));
        assert!(!are_those(&[&pack[..], b"x"].concat()));
    }
}
