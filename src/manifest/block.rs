//! Blocks: runs of consecutive manifest rows, read as bytes and parsed apart from reading.
//!
//! Reading a block finds line ends and nothing else, so one reader keeps many parsers busy.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::path::PathBuf;

use ring::digest::{Context, SHA256};

use super::{MAX_LINE, ManifestError};
use crate::digest::{into_octets, sha256_start};

/// Consecutive rows of a manifest, unparsed. Blank lines are left out.
#[derive(Debug, Default, Clone)]
pub struct Block {
    /// Position of the block in the manifest, from 0: the chunk number.
    pub number: u64,
    /// Line terminators are `\n` throughout.
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<Line>,
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

    /// Line number of the first row.
    #[must_use]
    pub fn first_line(&self) -> u64 {
        self.lines.first().map_or(0, |line| line.number)
    }

    /// The first 16 octets of the SHA-256 of the rows: tells whether a second reading found the same.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        sha256_start(&self.bytes)
    }
}

/// Reads a manifest block by block and digests every octet of the file on the way.
pub struct Blocks<R> {
    reader: R,
    path: PathBuf,
    rows: usize,
    next_line: u64,
    next_block: u64,
    digest: Context,
    line: Vec<u8>,
}

impl<R: BufRead> Blocks<R> {
    pub(super) fn new(reader: R, path: PathBuf, rows: usize) -> Self {
        assert!(rows > 0, "a block holds at least one row");
        Self {
            reader,
            path,
            rows,
            next_line: 1,
            next_block: 0,
            digest: Context::new(&SHA256),
            line: Vec::new(),
        }
    }

    /// Reads the header, which must be the one that was read before.
    pub(super) fn skip_header(&mut self, header: &[u8]) -> Result<(), ManifestError> {
        self.read_line()?;
        if self.line == header {
            return Ok(());
        }
        Err(ManifestError::Changed {
            path: self.path.clone(),
            line: 1,
        })
    }

    /// Returns whether the line was too long, or `None` at the end of the file.
    fn read_line(&mut self) -> Result<Option<bool>, ManifestError> {
        let read_error = |source| ManifestError::Read {
            path: self.path.clone(),
            source,
        };
        self.line.clear();
        let n = read_line(&mut self.reader, &mut self.line).map_err(read_error)?;
        if n == 0 {
            return Ok(None);
        }
        self.digest.update(&self.line);
        let mut too_long = false;
        if self.line.len() >= MAX_LINE && self.line.last() != Some(&b'\n') {
            too_long = true;
            self.skip_to_line_end()?;
        }
        self.next_line += 1;
        Ok(Some(too_long))
    }

    fn skip_to_line_end(&mut self) -> Result<(), ManifestError> {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            let n = read_line(&mut self.reader, &mut rest).map_err(|source| ManifestError::Read {
                path: self.path.clone(),
                source,
            })?;
            self.digest.update(&rest);
            if n == 0 || rest.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }

    /// The next block, or `None` when there are no more rows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_block(&mut self) -> Result<Option<Block>, ManifestError> {
        let mut block = Block {
            number: self.next_block,
            bytes: Vec::with_capacity(self.rows.min(8192) * 96),
            lines: Vec::with_capacity(self.rows.min(8192)),
        };
        while block.lines.len() < self.rows {
            let number = self.next_line;
            let Some(too_long) = self.read_line()? else { break };
            let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                continue;
            }
            let start = block.bytes.len();
            block.bytes.extend_from_slice(text);
            block.bytes.push(b'\n');
            block.lines.push(Line {
                number,
                range: start..start + text.len(),
                too_long,
            });
        }
        if block.lines.is_empty() {
            return Ok(None);
        }
        self.next_block += 1;
        Ok(Some(block))
    }

    /// The next blocks, `at_a_time` at most; none at the end of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_blocks(&mut self, at_a_time: usize) -> Result<Vec<Block>, ManifestError> {
        let mut blocks = Vec::with_capacity(at_a_time);
        while blocks.len() < at_a_time
            && let Some(block) = self.next_block()?
        {
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// SHA-256 of the whole file. Call it when [`Blocks::next_block`] has returned `None`.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        into_octets(self.digest.finish())
    }
}

/// Reads up to and with the next `\n`, or [`MAX_LINE`] bytes of the line.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(MAX_LINE as u64).read_until(b'\n', line)
}
