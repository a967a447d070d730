//! Blocks: runs of consecutive manifest rows, read as bytes and parsed apart from reading.
//!
//! Reading a block finds line ends and nothing else, so one reader keeps many parsers busy. Whoever has read a
//! block keeps its [`Bookmark`], by which it is found again and known again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};

use super::{MAX_LINE, ManifestError};
use crate::digest::{into_octets, sha256};

/// Octets that blocks which are read together have, but for the last of them: long rows cost no more memory than short ones.
const OCTETS_AT_A_TIME: usize = 16 * 1024 * 1024;

/// What stands for a line that is too long, of which nobody reads more.
const TOO_LONG: &[u8] = b"too long";

/// Consecutive rows of a manifest, unparsed. Blank lines are left out.
#[derive(Debug, Default, Clone)]
pub struct Block {
    /// Position of the block in the manifest, from 0: the chunk number.
    pub number: u64,
    /// Where its first line begins in the file, and the number of that line; blank ones count.
    offset: u64,
    line: u64,
    /// Line terminators are `\n` throughout.
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<Line>,
    /// Rows without any value that come before one that has one: the first line and the last of each run.
    pub(super) gaps: Vec<(u64, u64)>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) range: Range<usize>,
    pub(super) too_long: bool,
}

impl Block {
    /// Rows in the block.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Where the block is, and what it says.
    #[must_use]
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            number: self.number,
            offset: self.offset,
            line: self.line,
            rows: self.lines.len(),
            digest: sha256(&self.bytes),
        }
    }
}

/// Finds a block again, in 64 octets, whatever its rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    number: u64,
    offset: u64,
    line: u64,
    rows: usize,
    /// The SHA-256 of the rows: tells whether another reading finds the same.
    digest: [u8; 32],
}

/// A block that was read again, of which nobody knows yet whether it is the one that it was:
/// [`super::Manifest::parse_again`] finds out.
#[derive(Debug)]
pub struct Unproven {
    pub(super) block: Block,
    pub(super) bookmark: Bookmark,
}

impl Unproven {
    pub(super) fn is_as_it_was(&self) -> bool {
        self.block.bookmark() == self.bookmark
    }
}

impl Bookmark {
    /// Position of the block in the manifest, from 0: the chunk number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The line that the block begins with, for messages.
    #[must_use]
    pub(super) fn line(&self) -> u64 {
        self.line
    }
}

/// Reads the lines of a file, and knows where it is.
struct Lines<R> {
    reader: R,
    path: PathBuf,
    number: u64,
    offset: u64,
    /// The line that was read, or the beginning of one that is too long.
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, path: PathBuf) -> Self {
        Self {
            reader,
            path,
            number: 1,
            offset: 0,
            line: Vec::new(),
        }
    }

    /// Reads the header, which must be the one that was read before.
    fn skip_header(&mut self, header: &[u8], take: &mut impl FnMut(&[u8])) -> Result<(), ManifestError> {
        // It has two lines where the first one names the delimiter.
        let mut found = Vec::with_capacity(header.len());
        while found.len() < header.len() && self.next(take)?.is_some() {
            found.extend_from_slice(&self.line);
        }
        match found == header {
            true => Ok(()),
            false => Err(ManifestError::changed(&self.path, 1)),
        }
    }

    /// Reads a line, and gives `take` all its octets. Returns whether it is too long, or `None` at the end of the
    /// file.
    fn next(&mut self, take: &mut impl FnMut(&[u8])) -> Result<Option<bool>, ManifestError> {
        self.line.clear();
        let n = self.read_into_line()?;
        if n == 0 {
            return Ok(None);
        }
        take(&self.line);
        let mut too_long = false;
        if self.line.len() >= MAX_LINE && self.line.last() != Some(&b'\n') {
            too_long = true;
            self.skip_to_line_end(take)?;
        }
        self.number += 1;
        Ok(Some(too_long))
    }

    fn skip_to_line_end(&mut self, take: &mut impl FnMut(&[u8])) -> Result<(), ManifestError> {
        let start = self.line.len();
        loop {
            let n = self.read_into_line()?;
            let rest = &self.line[start..];
            take(rest);
            let is_end = n == 0 || rest.last() == Some(&b'\n');
            self.line.truncate(start);
            if is_end {
                return Ok(());
            }
        }
    }

    fn read_into_line(&mut self) -> Result<usize, ManifestError> {
        let n = read_line(&mut self.reader, &mut self.line).map_err(|source| self.cannot_read(source))?;
        self.offset += n as u64;
        Ok(n)
    }

    fn cannot_read(&self, source: io::Error) -> ManifestError {
        ManifestError::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// The next block of up to so many rows, or `None` when there are no more.
    fn block(
        &mut self,
        number: u64,
        rows: usize,
        take: &mut impl FnMut(&[u8]),
    ) -> Result<Option<Block>, ManifestError> {
        let mut block = Block {
            number,
            offset: self.offset,
            line: self.number,
            bytes: Vec::with_capacity(rows.min(8192) * 96),
            lines: Vec::with_capacity(rows.min(8192)),
            gaps: Vec::new(),
        };
        let mut gap = None;
        while block.lines.len() < rows {
            let number = self.number;
            let Some(too_long) = self.next(take)? else { break };
            let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                continue;
            }
            // Spreadsheets write rows that were cleared, and mean nothing by those behind the last one.
            if !too_long && is_empty_row(text) {
                gap = Some((gap.map_or(number, |(first, _)| first), number));
                continue;
            }
            block.gaps.extend(gap.take());
            let text = if too_long { TOO_LONG } else { text };
            let start = block.bytes.len();
            block.bytes.extend_from_slice(text);
            block.bytes.push(b'\n');
            block.lines.push(Line {
                number,
                range: start..start + text.len(),
                too_long,
            });
        }
        Ok((!block.lines.is_empty()).then_some(block))
    }
}

/// Reads a manifest block by block and digests every octet of the file on the way.
pub struct Blocks<R> {
    lines: Lines<R>,
    rows: usize,
    next: u64,
    digest: Context,
}

impl<R: BufRead> Blocks<R> {
    /// Reads the header, which must be the one that was read before.
    pub(super) fn new(reader: R, path: PathBuf, rows: usize, header: &[u8]) -> Result<Self, ManifestError> {
        assert!(rows > 0, "a block holds at least one row");
        let mut digest = Context::new(&SHA256);
        let mut lines = Lines::new(reader, path);
        lines.skip_header(header, &mut |octets| digest.update(octets))?;
        Ok(Self {
            lines,
            rows,
            next: 0,
            digest,
        })
    }

    /// The next block, or `None` when there are no more rows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_block(&mut self) -> Result<Option<Block>, ManifestError> {
        let digest = &mut self.digest;
        let block = self
            .lines
            .block(self.next, self.rows, &mut |octets| digest.update(octets))?;
        self.next += 1;
        Ok(block)
    }

    /// The next blocks, `at_a_time` at most, and no more than 16 MiB but for the last of them; none at
    /// the end of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_blocks(&mut self, at_a_time: usize) -> Result<Vec<Block>, ManifestError> {
        let mut blocks = Vec::with_capacity(at_a_time);
        let mut octets = 0;
        while blocks.len() < at_a_time
            && octets < OCTETS_AT_A_TIME
            && let Some(block) = self.next_block()?
        {
            octets += block.bytes.len();
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// SHA-256 of the whole file. Call it when [`Blocks::next_block`] has returned `None`.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        into_octets(&self.digest.finish())
    }
}

/// Reads the blocks of a manifest again that are wanted again, by their bookmarks, and nothing else of the file.
pub struct Reread<R = BufReader<File>> {
    lines: Lines<R>,
}

impl<R: Read + Seek> Reread<BufReader<R>> {
    pub(super) fn new(reader: BufReader<R>, path: PathBuf, header: &[u8]) -> Result<Self, ManifestError> {
        let mut lines = Lines::new(reader, path);
        lines.skip_header(header, &mut |_| ())?;
        Ok(Self { lines })
    }

    /// The block as the file has it now.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or ends before the block.
    pub fn block(&mut self, bookmark: &Bookmark) -> Result<Unproven, ManifestError> {
        let lines = &mut self.lines;
        if lines.offset != bookmark.offset {
            let away = i64::try_from(i128::from(bookmark.offset) - i128::from(lines.offset));
            let away = away.map_err(|_| ManifestError::changed(&lines.path, bookmark.line))?;
            // What the buffer holds already is not read again.
            lines
                .reader
                .seek_relative(away)
                .map_err(|source| lines.cannot_read(source))?;
            (lines.offset, lines.number) = (bookmark.offset, bookmark.line);
        }
        let block = lines.block(bookmark.number, bookmark.rows, &mut |_| ())?;
        Ok(Unproven {
            block: block.ok_or_else(|| ManifestError::changed(&lines.path, bookmark.line))?,
            bookmark: *bookmark,
        })
    }
}

/// Whether every field of a row is empty, whatever the delimiter is.
fn is_empty_row(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [b',' | b';' | b'\t' | b'|' | b' ', rest @ ..] | [b'"', b'"', rest @ ..] => rest,
            _ => return false,
        }
    }
}

/// Reads up to and with the next `\n`, or [`MAX_LINE`] bytes of the line.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(MAX_LINE as u64).read_until(b'\n', line)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Cursor, SeekFrom};

    use super::*;
    use crate::manifest::{DEFAULT_ID_COLUMN, Manifest};

    /// Counts the octets that are read.
    struct Counted<'a>(Cursor<&'a [u8]>, &'a Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(octets)?;
            self.1.set(self.1.get() + n);
            Ok(n)
        }
    }

    impl Seek for Counted<'_> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    const HEADER: &[u8] = b"serial_number,note\r\n";

    fn text() -> Vec<u8> {
        let row = |row: usize| match row % 10 {
            // Blank lines, and one that is too long, are lines as well.
            3 => format!("SN{row},x\r\n\r\n\n"),
            7 => format!("SN{row},{}\n", "y".repeat(MAX_LINE + row)),
            _ => format!("SN{row},\"z\"\n"),
        };
        let rows: String = (0..95).map(row).collect();
        [HEADER, rows.as_bytes()].concat()
    }

    fn lines(block: &Block) -> Vec<u64> {
        block.lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn a_block_is_found_again_by_its_bookmark_in_any_order() {
        let text = text();
        let mut blocks = Blocks::new(&text[..], "devices.csv".into(), 4, HEADER).unwrap();
        let blocks = blocks.next_blocks(100).unwrap();
        assert_eq!(blocks.len(), 24);
        let read = Cell::new(0);
        let file = BufReader::with_capacity(64, Counted(Cursor::new(&text), &read));
        let mut file = Reread::new(file, "devices.csv".into(), HEADER).unwrap();
        let order = (0..24).chain((0..24).rev()).chain([7, 7, 3, 20]);
        for number in order {
            let (block, before) = (&blocks[number], read.get());
            let again = file.block(&block.bookmark()).unwrap();
            assert!(again.is_as_it_was());
            let again = again.block;
            assert_eq!((lines(&again), &again.bytes), (lines(block), &block.bytes));
            // No more than the block, with long lines, which are not kept, and what buffers hold.
            let long = again.lines.iter().filter(|line| line.too_long).count();
            let most = again.bytes.len() + long * (MAX_LINE + 300) + 2 * 64;
            assert!(
                read.get() - before <= most,
                "block {number}: {}",
                read.get() - before
            );
        }
    }

    #[test]
    fn what_changed_since_it_was_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.csv");
        std::fs::write(&path, "serial_number\nA1\nA2\nA3\nA4\n").unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        let block = manifest.blocks(2).unwrap().next_blocks(9).unwrap().remove(1);
        let bookmark = block.bookmark();
        let reread = || -> Result<_, ManifestError> {
            let block = manifest.reread()?.block(&bookmark)?;
            Ok(manifest.parse_again(&block)?.0)
        };
        assert_eq!(reread().unwrap()[1].line, 5);
        for changed in [
            "serial_number\nA1\nA2\nA3\nA5\n",
            "serial_number\nA1\nA2\nA3\n",
            "serial_number\nA1\n",
            "serial_nummer\nA1\nA2\nA3\nA4\n",
        ] {
            std::fs::write(&path, changed).unwrap();
            let error = reread().unwrap_err();
            assert!(
                matches!(error, ManifestError::Changed { .. }),
                "{changed}: {error}"
            );
        }
    }
}
