//! ZIP archives (APPNOTE.TXT 6.3.10) appended to a buffer, in place and deterministic.
//!
//! Fixed order, fixed times, no extra fields, no data descriptors. An archive's offsets count from
//! where it begins in the buffer, so an archive can be a member of another: that is what a pack is.

use std::ops::Range;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// A member whose octets are the same in every archive: compressed and summed once.
#[derive(Debug, Clone)]
pub struct Constant {
    method: Method,
    crc: u32,
    size: u32,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored = 0,
    Deflated = 8,
}

impl Constant {
    #[must_use]
    pub fn stored(content: &[u8]) -> Self {
        Self {
            method: Method::Stored,
            crc: crc32fast::hash(content),
            size: size(content.len()),
            data: content.to_vec(),
        }
    }

    /// Deflated by the zip crate, at its best and slowest.
    ///
    /// # Panics
    ///
    /// Never: the archive is in memory.
    #[must_use]
    pub fn deflated(content: &[u8]) -> Self {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9));
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file("x", options).expect("memory does not fail");
        std::io::Write::write_all(&mut writer, content).expect("memory does not fail");
        let archive = writer.finish().expect("memory does not fail");
        let mut archive = zip::ZipArchive::new(archive).expect("the archive was just written");
        let mut member = archive.by_index_raw(0).expect("it has one member");
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut member, &mut data).expect("memory does not fail");
        Self {
            method: Method::Deflated,
            crc: member.crc32(),
            size: size(content.len()),
            data,
        }
    }
}

/// Deflates members that differ from archive to archive; keeps its tables between them.
pub struct Deflater(flate2::Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(flate2::Compress::new(flate2::Compression::default(), false))
    }
}

impl Deflater {
    fn append(&mut self, content: &[u8], out: &mut Vec<u8>) {
        self.0.reset();
        // So that one call suffices.
        out.reserve(content.len() + deflating_adds(content.len()));
        let status = self.0.compress_vec(content, out, flate2::FlushCompress::Finish);
        assert_eq!(
            status.ok(),
            Some(flate2::Status::StreamEnd),
            "the buffer is large enough"
        );
    }
}

/// Octets that deflate adds at most to what does not compress: its stored blocks.
pub(super) fn deflating_adds(len: usize) -> usize {
    len / 1000 + 64
}

/// An archive that is being appended to a buffer.
pub struct Archive<'a> {
    out: &'a mut Vec<u8>,
    directory: &'a mut Vec<u8>,
    start: usize,
    members: u16,
}

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DIRECTORY_HEADER: u32 = 0x0201_4b50;
const DIRECTORY_END: u32 = 0x0605_4b50;
const LOCAL_HEADER_LEN: usize = 30;

/// Version 2.0 of the format, for deflate and nothing else.
const VERSION_NEEDED: u16 = 20;
/// Made by: Unix (3), so that unzip restores modes.
const MADE_BY: u16 = 0x0300 | VERSION_NEEDED;
/// Bit 11, names are UTF-8, is not set: they are ASCII.
const FLAGS: u16 = 0;
/// 1980-01-01 00:00:00, the format's earliest time.
const DOS_TIME: u16 = 0;
const DOS_DATE: u16 = 1 << 5 | 1;
const REGULAR_FILE: u32 = 0o100_000;

impl<'a> Archive<'a> {
    /// Begins an archive at the end of `out`. `directory` is scratch.
    pub fn begin(out: &'a mut Vec<u8>, directory: &'a mut Vec<u8>) -> Self {
        directory.clear();
        let start = out.len();
        Self {
            out,
            directory,
            start,
            members: 0,
        }
    }

    /// Begins an archive with what another was begun with: its octets, its directory, and how many members
    /// these are.
    pub(super) fn begin_with(
        out: &'a mut Vec<u8>,
        directory: &'a mut Vec<u8>,
        octets: &[u8],
        of_directory: &[u8],
        members: u16,
    ) -> Self {
        let mut archive = Self::begin(out, directory);
        archive.out.extend_from_slice(octets);
        archive.directory.extend_from_slice(of_directory);
        archive.members = members;
        archive
    }

    pub(super) fn members(&self) -> u16 {
        self.members
    }

    /// Appends a member that is the same in every archive.
    pub fn constant(&mut self, name: &str, mode: u32, member: &Constant) {
        let header = self.local_header(name);
        self.out.extend_from_slice(&member.data);
        self.close(header, name, mode, member.method, member.crc, member.size);
    }

    /// Appends a stored member that `write` appends to the buffer. Returns where its content lies in
    /// the buffer.
    pub fn stored(&mut self, name: &str, mode: u32, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        self.stored_and_summed(name, mode, |out| {
            let start = out.len();
            write(out);
            crc32fast::hash(&out[start..])
        })
    }

    /// The same, where `write` knows a quicker way to the CRC-32 of what it appended, and returns it.
    pub fn stored_and_summed(
        &mut self,
        name: &str,
        mode: u32,
        write: impl FnOnce(&mut Vec<u8>) -> u32,
    ) -> Range<usize> {
        let header = self.local_header(name);
        let start = self.out.len();
        let crc = write(self.out);
        let range = start..self.out.len();
        self.close(header, name, mode, Method::Stored, crc, size(range.len()));
        range
    }

    /// Octets that were appended, by their place in the buffer.
    #[must_use]
    pub fn octets(&self, range: Range<usize>) -> &[u8] {
        &self.out[range]
    }

    /// Appends a deflated member.
    pub(super) fn deflated(&mut self, name: &str, mode: u32, content: &[u8], deflater: &mut Deflater) {
        let header = self.local_header(name);
        deflater.append(content, self.out);
        self.close(
            header,
            name,
            mode,
            Method::Deflated,
            crc32fast::hash(content),
            size(content.len()),
        );
    }

    /// Appends a local header whose sums are filled in by [`Archive::close`].
    fn local_header(&mut self, name: &str) -> usize {
        let header = self.out.len();
        self.out.resize(header + LOCAL_HEADER_LEN, 0);
        self.out.extend_from_slice(name.as_bytes());
        header
    }

    fn close(&mut self, header: usize, name: &str, mode: u32, method: Method, crc: u32, size: u32) {
        let data = header + LOCAL_HEADER_LEN + name.len();
        let mut common = [0; 26];
        let name_len = u16::try_from(name.len()).expect("names are short");
        put16(&mut common, 0, VERSION_NEEDED);
        put16(&mut common, 2, FLAGS);
        put16(&mut common, 4, method as u16);
        put16(&mut common, 6, DOS_TIME);
        put16(&mut common, 8, DOS_DATE);
        put32(&mut common, 10, crc);
        put32(&mut common, 14, self::size(self.out.len() - data));
        put32(&mut common, 18, size);
        put16(&mut common, 22, name_len);
        self.out[header..header + 4].copy_from_slice(&LOCAL_HEADER.to_le_bytes());
        self.out[header + 4..header + LOCAL_HEADER_LEN].copy_from_slice(&common);

        let directory = &mut *self.directory;
        directory.extend_from_slice(&DIRECTORY_HEADER.to_le_bytes());
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        directory.extend_from_slice(&common);
        // Comment length, disk number, internal attributes.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&((REGULAR_FILE | mode) << 16).to_le_bytes());
        directory.extend_from_slice(&self::size(header - self.start).to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        self.members = self
            .members
            .checked_add(1)
            .expect("an archive has fewer than 65,536 members");
    }

    /// Appends the central directory.
    pub fn finish(self) {
        let offset = size(self.out.len() - self.start);
        self.out.extend_from_slice(self.directory);
        let mut end = [0; 22];
        end[..4].copy_from_slice(&DIRECTORY_END.to_le_bytes());
        put16(&mut end, 8, self.members);
        put16(&mut end, 10, self.members);
        put32(&mut end, 12, size(self.directory.len()));
        put32(&mut end, 16, offset);
        self.out.extend_from_slice(&end);
    }
}

fn put16(octets: &mut [u8], at: usize, value: u16) {
    octets[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(octets: &mut [u8], at: usize, value: u32) {
    octets[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Chunks are bounded so that no pack comes near the 4 GiB at which ZIP64 would begin.
fn size(len: usize) -> u32 {
    u32::try_from(len).expect("archives stay below 4 GiB")
}

/// Removes members from an archive of this module's: their octets become zeros and the directory names
/// them no more; all others stay where they are. Returns how many there were. `None`: it is no such
/// archive, and is undefined from then on.
pub fn remove_members(archive: &mut Vec<u8>, is_removed: impl Fn(&str) -> bool) -> Option<u64> {
    const DIRECTORY_HEADER_LEN: usize = 46;
    const END_LEN: usize = 22;
    let get16 = |at: usize, from: &[u8]| Some(u16::from_le_bytes(from.get(at..at + 2)?.try_into().ok()?));
    let get32 = |at: usize, from: &[u8]| Some(u32::from_le_bytes(from.get(at..at + 4)?.try_into().ok()?));
    let end = archive.len().checked_sub(END_LEN)?;
    if get32(end, archive)? != DIRECTORY_END {
        return None;
    }
    let start = usize::try_from(get32(end + 16, archive)?).ok()?;
    let directory = archive.get(start..end)?.to_vec();
    let mut kept = Vec::with_capacity(directory.len());
    let (mut rest, mut members, mut removed) = (directory.as_slice(), 0_u16, 0);
    while !rest.is_empty() {
        if get32(0, rest)? != DIRECTORY_HEADER {
            return None;
        }
        let name_len = usize::from(get16(28, rest)?);
        let (header, others) = rest.split_at_checked(DIRECTORY_HEADER_LEN + name_len)?;
        rest = others;
        let name = std::str::from_utf8(&header[DIRECTORY_HEADER_LEN..]).ok()?;
        if !is_removed(name) {
            kept.extend_from_slice(header);
            members += 1;
            continue;
        }
        let data_len = usize::try_from(get32(20, header)?).ok()?;
        let local = usize::try_from(get32(42, header)?).ok()?;
        let member = archive.get_mut(local..local.checked_add(LOCAL_HEADER_LEN + name_len + data_len)?)?;
        zeroize::Zeroize::zeroize(member);
        removed += 1;
    }
    archive.truncate(start);
    let rest = Archive {
        out: archive,
        directory: &mut kept,
        start: 0,
        members,
    };
    rest.finish();
    Some(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Read};

    #[derive(Debug, Clone)]
    enum Kind {
        ConstantStored,
        ConstantDeflated,
        Stored,
        Deflated,
    }

    fn members() -> impl Strategy<Value = Vec<(Kind, Vec<u8>)>> {
        let kind = prop_oneof![
            Just(Kind::ConstantStored),
            Just(Kind::ConstantDeflated),
            Just(Kind::Stored),
            Just(Kind::Deflated)
        ];
        // Octets of a small alphabet compress, octets of all 256 do not.
        let content = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..3000),
            prop::collection::vec(0u8..4, 0..3000)
        ];
        prop::collection::vec((kind, content), 0..6)
    }

    fn write(members: &[(Kind, Vec<u8>)], out: &mut Vec<u8>) {
        let mut directory = Vec::new();
        let mut deflater = Deflater::default();
        let mut archive = Archive::begin(out, &mut directory);
        for (i, (kind, content)) in members.iter().enumerate() {
            let name = format!("member-{i}");
            match kind {
                Kind::ConstantStored => archive.constant(&name, 0o644, &Constant::stored(content)),
                Kind::ConstantDeflated => archive.constant(&name, 0o644, &Constant::deflated(content)),
                Kind::Stored => {
                    archive.stored(&name, 0o600, |out| out.extend_from_slice(content));
                }
                Kind::Deflated => archive.deflated(&name, 0o600, content, &mut deflater),
            }
        }
        archive.finish();
    }

    fn read(octets: &[u8]) -> Vec<Vec<u8>> {
        let mut archive = zip::ZipArchive::new(Cursor::new(octets)).unwrap();
        (0..archive.len())
            .map(|i| {
                let mut member = archive.by_index(i).unwrap();
                assert_eq!(member.name().unwrap(), format!("member-{i}"));
                let mut content = Vec::new();
                member.read_to_end(&mut content).unwrap();
                content
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_zip_crate_reads_back_what_was_put_in(members in members(), before in 0usize..50) {
            let mut out = vec![b'x'; before];
            write(&members, &mut out);
            let expected: Vec<_> = members.iter().map(|(_, content)| content.clone()).collect();
            prop_assert_eq!(read(&out[before..]), expected);
            let mut again = Vec::new();
            write(&members, &mut again);
            prop_assert_eq!(&out[before..], &again[..], "archives are deterministic");
        }

        #[test]
        fn an_archive_can_be_cut_out_of_another(bundles in prop::collection::vec(members(), 1..4)) {
            let (mut out, mut directory) = (Vec::new(), Vec::new());
            let mut pack = Archive::begin(&mut out, &mut directory);
            let ranges: Vec<_> = bundles
                .iter()
                .enumerate()
                .map(|(i, members)| pack.stored(&format!("member-{i}"), 0o600, |out| write(members, out)))
                .collect();
            pack.finish();
            let whole = read(&out);
            for (i, members) in bundles.iter().enumerate() {
                let cut = &out[ranges[i].clone()];
                prop_assert_eq!(cut, &whole[i][..]);
                let expected: Vec<_> = members.iter().map(|(_, content)| content.clone()).collect();
                prop_assert_eq!(read(cut), expected);
            }
        }
    }
}
